//! Settings from environment variables, for `--config ENV`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::ConfigError;

/// Prefix of the variables that the Python extraction service read.
const GUIDE_PREFIX: &str = "HUBSPOT_";
/// Names of that service which differ from the settings'.
const GUIDE_NAMES: [(&str, &str); 4] = [
    ("HUBSPOT_API_TIMEOUT", "request_timeout_secs"),
    ("HUBSPOT_API_RATE_LIMIT", "rate_limit"),
    ("HUBSPOT_RETRY_DELAY", "retry_delay_secs"),
    ("HUBSPOT_HUB_ID", "organization_id"),
];

/// Reads the settings that the environment and `.env` in the working folder hold; the environment wins over `.env`,
/// `PREFIX*` over `HUBSPOT_*`. The prefix is the program's, as Meltano's SDK forms it.
///
/// # Errors
/// When `.env` is there and cannot be read, or a value does not fit its setting's type.
pub(super) fn read(schema: &Value, prefix: &str, dotenv: &Path) -> Result<Map<String, Value>, ConfigError> {
    let mut variables = BTreeMap::new();
    if dotenv.exists() {
        let unreadable =
            |error: dotenvy::Error| ConfigError::Unreadable { path: dotenv.to_owned(), reason: error.to_string() };
        for pair in dotenvy::from_path_iter(dotenv).map_err(unreadable)? {
            // A line that does not parse may hold a secret, so the error names the file alone.
            let (name, value) = pair.map_err(|_| ConfigError::Unreadable {
                path: dotenv.to_owned(),
                reason: "a line is not of the form NAME=value".to_owned(),
            })?;
            variables.insert(name, value);
        }
    }
    variables.extend(
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
    );

    let mut settings = Map::new();
    let properties = schema["properties"].as_object().into_iter().flatten();
    for (setting, definition) in properties {
        let Some((variable, text)) = find(&variables, prefix, setting) else { continue };
        settings.insert(setting.clone(), parse(text, definition, variable)?);
    }
    Ok(settings)
}

fn find<'v>(variables: &'v BTreeMap<String, String>, prefix: &str, setting: &str) -> Option<(&'v str, &'v str)> {
    let upper = setting.to_ascii_uppercase();
    let guide = GUIDE_NAMES.iter().filter(|(_, of)| *of == setting).map(|(name, _)| (*name).to_owned());
    let guide = guide.chain([format!("{GUIDE_PREFIX}{upper}")]);
    // HubSpot's variables are none of a program's that does not speak to it.
    let guide = guide.filter(|_| prefix.contains("HUBSPOT"));
    [format!("{prefix}{upper}")]
        .into_iter()
        .chain(guide)
        .find_map(|name| variables.get_key_value(&name))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(_, value)| !value.is_empty())
}

fn parse(text: &str, definition: &Value, variable: &str) -> Result<Value, ConfigError> {
    let is = |name: &str| match &definition["type"] {
        Value::String(one) => one == name,
        Value::Array(several) => several.iter().any(|one| one == name),
        _ => false,
    };
    let refuse = |expected: &str| ConfigError::Variable { name: variable.to_owned(), expected: expected.to_owned() };
    if is("array") {
        if text.trim_start().starts_with('[') {
            return serde_json::from_str(text).map_err(|_| refuse("a JSON array or names with commas between"));
        }
        return Ok(text.split(',').map(|part| Value::from(part.trim())).collect());
    }
    if is("object") {
        return serde_json::from_str(text).map_err(|_| refuse("a JSON object"));
    }
    if is("boolean") {
        return match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => Ok(true.into()),
            "false" | "0" | "no" => Ok(false.into()),
            _ => Err(refuse("true or false")),
        };
    }
    if is("integer") || is("number") {
        if is("null") && text.trim() == "null" {
            return Ok(Value::Null);
        }
        let number = serde_json::from_str(text.trim()).ok().filter(Value::is_number);
        return number.ok_or_else(|| refuse("a number"));
    }
    Ok(text.into())
}
