//! `spec`: the settings, from the one struct that defines them, in the form that Airbyte's pages are made of.

use serde_json::{Map, Value, json};

use crate::config::settings_schema;

/// What a reader of the settings page is to look up further.
const DOCUMENTATION: &str = "https://developers.hubspot.com/docs/api-reference/latest/crm/objects/tickets/guide";

/// How rows leave a destination, which Airbyte has no message for.
const DELETIONS: &str = "Archived and merged tickets come as rows with archived and _sdc_deleted_at set. Rows \
    deleted for good, and removed associations, come as such rows too when cache_path names a file that is kept from \
    sync to sync; without one they leave with the next full refresh.";

/// What becomes of numbers that the way into a destination would change.
const NUMBERS: &str = "Numbers that a double or a numeric(38,9) column does not hold (whole numbers beyond 2^53, more than \
    15 digits with a fraction, more than nine behind the point) stand as text in _unparsed; their column is null beyond \
    2^53, else rounded.";

/// The SPEC message.
pub(super) fn message() -> Value {
    let properties: Map<String, Value> = settings_schema()["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .enumerate()
        .map(|(order, (name, definition))| (name.clone(), setting(order, name, definition)))
        .collect();
    json!({"type": "SPEC", "spec": {
        "protocol_version": "0.5.2",
        "documentationUrl": DOCUMENTATION,
        "supportsIncremental": true,
        "supported_destination_sync_modes": ["overwrite", "append", "append_dedup"],
        "connectionSpecification": {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "title": "HubSpot tickets",
            "description": format!("{DELETIONS} {NUMBERS}"),
            "type": "object",
            "additionalProperties": true,
            "properties": properties,
        },
    }})
}

/// A setting in the subset of JSON Schema that Airbyte's pages show: one type, no null.
fn setting(order: usize, name: &str, definition: &Value) -> Value {
    let mut setting = definition.as_object().cloned().unwrap_or_default();
    setting.insert("title".to_owned(), title(name).into());
    setting.insert("order".to_owned(), order.into());
    if setting.remove("secret").is_some_and(|secret| secret == true) {
        setting.insert("airbyte_secret".to_owned(), true.into());
    }
    setting.shift_remove("writeOnly");
    if let Some(Value::Array(types)) = setting.get("type") {
        let one = types.iter().find(|name| **name != "null").cloned().unwrap_or_default();
        setting.insert("type".to_owned(), one);
    }
    if let Some(Value::Array(choices)) = setting.shift_remove("oneOf") {
        let choices: Vec<Value> = choices.into_iter().filter_map(|choice| choice.get("const").cloned()).collect();
        setting.insert("type".to_owned(), "string".into());
        setting.insert("enum".to_owned(), choices.into());
    }
    if setting.get("default").is_some_and(Value::is_null) {
        setting.shift_remove("default");
    }
    // Draft 7 knows no widths of numbers.
    if setting.get("format").is_some_and(|format| format != "date-time") {
        setting.shift_remove("format");
    }
    if name == "cache_path" {
        setting.insert("description".to_owned(), format!("{} {DELETIONS}", words(definition)).into());
    }
    Value::Object(setting)
}

fn words(definition: &Value) -> &str {
    definition["description"].as_str().unwrap_or_default()
}

/// `api_base_url` as `Api base url`.
fn title(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut characters = words.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}
