//! `--about`: the tap and its settings, from the one struct that defines them.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde_json::{Value, json};

use super::cli::AboutFormat;
use crate::config::settings_schema;
use crate::session::TapError;

/// What the tap can, in the words of Meltano's SDK.
const CAPABILITIES: [&str; 6] = ["catalog", "discover", "state", "about", "activate-version", "structured-logging"];
const DESCRIPTION: &str = env!("CARGO_PKG_DESCRIPTION");

/// Writes the description in the form asked for.
pub(super) fn write(format: AboutFormat) -> Result<(), TapError> {
    let text = match format {
        AboutFormat::Text => as_text(),
        AboutFormat::Json => serde_json::to_string_pretty(&as_json()).expect("a description is JSON"),
        AboutFormat::Markdown => as_markdown(),
        AboutFormat::Meltano => as_meltano(),
    };
    writeln!(io::stdout(), "{}", text.trim_end()).map_err(TapError::Output)
}

fn as_json() -> Value {
    json!({
        "name": env!("CARGO_PKG_NAME"),
        "description": DESCRIPTION,
        "version": env!("CARGO_PKG_VERSION"),
        "sdk_version": null,
        "supported_python_versions": null,
        "capabilities": CAPABILITIES,
        "settings": settings_schema(),
    })
}

fn as_text() -> String {
    let mut text = format!(
        "{} {}\n{DESCRIPTION}\n\nCapabilities: {}\n\nSettings:\n",
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_VERSION"),
        CAPABILITIES.join(", ")
    );
    for setting in settings() {
        writeln!(text, "  {} ({}{})", setting.name, setting.kind, setting.default_words())
            .expect("writing to a String does not fail");
        writeln!(text, "      {}", setting.description).expect("writing to a String does not fail");
    }
    text
}

fn as_markdown() -> String {
    let mut text = format!("# {}\n\n{DESCRIPTION}\n\n## Capabilities\n\n", env!("CARGO_PKG_NAME"));
    for capability in CAPABILITIES {
        writeln!(text, "- `{capability}`").expect("writing to a String does not fail");
    }
    text.push_str("\n## Settings\n\n");
    text.push_str(&settings_table());
    text
}

/// The plugin definition that `meltano add --from-ref` takes.
fn as_meltano() -> String {
    let mut text = format!(
        "# Made by {name} --about --format=meltano; meltano add {name} --from-ref takes it.\n\
         plugin_type: extractors\nname: {name}\nnamespace: tap_hubspot_tickets\nvariant: rust\nlabel: HubSpot tickets\n\
         description: {DESCRIPTION:?}\nexecutable: {name}\ncapabilities: [{}]\n\
         settings_group_validation:\n- [access_token]\n- [client_id, client_secret, refresh_token]\nsettings:\n",
        CAPABILITIES.join(", "),
        name = env!("CARGO_PKG_NAME"),
    );
    for (name, definition) in settings_schema()["properties"].as_object().into_iter().flatten() {
        text.push_str(&meltano_setting(name, definition));
    }
    text
}

/// One setting; its default stays the tap's own, so that the definition need not change with it.
fn meltano_setting(name: &str, definition: &Value) -> String {
    let kind = match meltano_kind(definition) {
        "options" => {
            let choices = definition["oneOf"].as_array().into_iter().flatten();
            let choices: Vec<String> = choices
                .map(|choice| format!("\n  - {{label: {0}, value: {0}}}", choice["const"].as_str().unwrap_or("")))
                .collect();
            format!("options\n  options:{}", choices.concat())
        }
        kind => kind.to_owned(),
    };
    let sensitive = if definition["secret"] == true { "\n  sensitive: true" } else { "" };
    let description = definition["description"].as_str().unwrap_or_default().replace('\n', " ");
    // JSON's strings are YAML's.
    format!("- name: {name}\n  kind: {kind}{sensitive}\n  description: {}\n", Value::from(description))
}

fn meltano_kind(definition: &Value) -> &'static str {
    let is = |name: &str| match &definition["type"] {
        Value::String(one) => one == name,
        Value::Array(several) => several.iter().any(|one| one == name),
        _ => false,
    };
    match () {
        () if definition["oneOf"].is_array() => "options",
        () if definition["format"] == "date-time" => "date_iso8601",
        () if is("array") => "array",
        () if is("boolean") => "boolean",
        () if is("string") => "string",
        () if is("integer") => "integer",
        () => "decimal",
    }
}

/// The settings as a Markdown table; the README holds the same one, as a test shows.
pub(super) fn settings_table() -> String {
    let mut table = "| Setting | Type | Default | Description |\n|---|---|---|---|\n".to_owned();
    for setting in settings() {
        let default = setting.default.map_or_else(String::new, |default| format!("`{default}`"));
        let secret = if setting.secret { " (secret)" } else { "" };
        let Setting { name, kind, description, .. } = setting;
        writeln!(table, "| `{name}` | {kind}{secret} | {default} | {description} |")
            .expect("writing to a String does not fail");
    }
    table
}

struct Setting<'s> {
    name: &'s str,
    kind: String,
    default: Option<&'s Value>,
    secret: bool,
    description: String,
}

impl Setting<'_> {
    fn default_words(&self) -> String {
        self.default.map_or_else(String::new, |default| format!(", default {default}"))
    }
}

fn settings() -> impl Iterator<Item = Setting<'static>> {
    settings_schema()["properties"].as_object().into_iter().flatten().map(|(name, definition)| Setting {
        name,
        kind: kind(definition),
        default: definition.get("default").filter(|default| !default.is_null()),
        secret: definition["secret"] == true,
        description: definition["description"].as_str().unwrap_or_default().replace('\n', " "),
    })
}

/// The type in a word or two: `string`, `integer 1-100`, `columns or object`.
fn kind(definition: &Value) -> String {
    if let Some(choices) = definition["oneOf"].as_array() {
        let names: Vec<&str> = choices.iter().filter_map(|choice| choice["const"].as_str()).collect();
        return names.join(" or ");
    }
    let names: Vec<&str> = match &definition["type"] {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect(),
        _ => Vec::new(),
    };
    let name = names.join(" or ");
    let name = if definition["format"] == "date-time" { "date-time".to_owned() } else { name };
    match (definition["minimum"].as_f64(), definition["maximum"].as_f64()) {
        (Some(minimum), Some(maximum)) if maximum < 4e9 => format!("{name} {minimum}-{maximum}"),
        (Some(minimum), _) if minimum > 0.0 => format!("{name} from {minimum}"),
        _ => name,
    }
}
