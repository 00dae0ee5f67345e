//! Settings from environment variables, for `--config ENV`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value};

use super::error::ConfigError;
use super::unknown::Unknown;
use super::value::{is, of_text};

/// Prefix of the variables that the Python extraction service read.
const GUIDE_PREFIX: &str = "HUBSPOT_";
/// Names of that service which differ from the settings'.
const GUIDE_NAMES: [(&str, &str); 4] = [
    ("HUBSPOT_API_TIMEOUT", "request_timeout_secs"),
    ("HUBSPOT_API_RATE_LIMIT", "rate_limit"),
    ("HUBSPOT_RETRY_DELAY", "retry_delay_secs"),
    ("HUBSPOT_HUB_ID", "organization_id"),
];

/// What the environment holds of a program's settings.
pub(super) struct Variables {
    /// The settings.
    pub(super) settings: Map<String, Value>,
    /// Variables that are named like settings and are none.
    pub(super) unknown: Vec<Unknown>,
}

/// Reads the settings that the environment and `.env` in the working folder hold; the environment wins over `.env`,
/// `PREFIX*` over `HUBSPOT_*`. The prefix is the program's, as Meltano's SDK forms it.
///
/// # Errors
/// When `.env` is there and cannot be read, or a value does not fit its setting's type.
pub(super) fn read(schema: &Value, prefix: &str, dotenv: &Path) -> Result<Variables, ConfigError> {
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
    let mut known: BTreeSet<String> = GUIDE_NAMES.iter().map(|(name, _)| (*name).to_owned()).collect();
    let properties = schema["properties"].as_object().into_iter().flatten();
    for (setting, definition) in properties {
        known.extend(names(prefix, setting));
        let Some((variable, text)) = find(&variables, prefix, setting) else { continue };
        let is_text = is(definition, "string") || definition["type"].is_null();
        let value = if is_text { Ok(text.into()) } else { of_text(text, definition) };
        let value = value
            .map_err(|expected| ConfigError::Variable { name: variable.to_owned(), expected: expected.to_owned() })?;
        settings.insert(setting.clone(), value);
    }
    let others = variables.keys().filter(|name| !known.contains(*name));
    let unknown = others.filter_map(|name| unknown(name, prefix, schema)).collect();
    Ok(Variables { settings, unknown })
}

/// A variable of none of the settings' names, where it was likely meant for one.
fn unknown(name: &str, prefix: &str, schema: &Value) -> Option<Unknown> {
    let upper = name.to_ascii_uppercase();
    if let Some(rest) = upper.strip_prefix(prefix) {
        // Meltano's own, such as TAP_HUBSPOT_TICKETS__SELECT.
        return (!rest.starts_with('_')).then(|| Unknown::variable(name, prefix, schema));
    }
    // Other programs have variables of this prefix, too.
    let is_guide = speaks_to_hubspot(prefix) && upper.starts_with(GUIDE_PREFIX);
    let guide = is_guide.then(|| Unknown::variable(name, GUIDE_PREFIX, schema));
    guide.filter(Unknown::has_nearest)
}

/// The variables that hold a setting, the one that wins first.
fn names(prefix: &str, setting: &str) -> impl Iterator<Item = String> {
    let upper = setting.to_ascii_uppercase();
    let guide = GUIDE_NAMES.iter().filter(move |(_, of)| *of == setting).map(|(name, _)| (*name).to_owned());
    let guide = guide.chain([format!("{GUIDE_PREFIX}{upper}")]).filter(move |_| speaks_to_hubspot(prefix));
    [format!("{prefix}{upper}")].into_iter().chain(guide)
}

/// HubSpot's variables are none of a program's that does not speak to it.
fn speaks_to_hubspot(prefix: &str) -> bool {
    prefix.contains("HUBSPOT")
}

fn find<'v>(variables: &'v BTreeMap<String, String>, prefix: &str, setting: &str) -> Option<(&'v str, &'v str)> {
    names(prefix, setting)
        .find_map(|name| variables.get_key_value(&name))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(_, value)| !value.is_empty())
}
