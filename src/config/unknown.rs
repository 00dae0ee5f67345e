//! Keys and variables that are no settings, and the setting that each was likely meant to be.

use serde_json::{Map, Value};

use super::credential::CREDENTIALS;

/// A misspelt key closer than this to a known one is answered with a suggestion.
const SIMILAR_ENOUGH: f64 = 0.75;
/// Names that other HubSpot programs have for a setting.
const NAMES_ELSEWHERE: [(&str, &str); 9] = [
    ("token", "access_token"),
    ("api_key", "access_token"),
    ("api_token", "access_token"),
    ("hapikey", "access_token"),
    ("private_app_token", "access_token"),
    ("service_key", "access_token"),
    ("portal_id", "organization_id"),
    ("hub_id", "organization_id"),
    ("account_id", "organization_id"),
];

/// A key or variable that is no setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unknown {
    /// It, as it is called where it stands: `config key "page_sise"`.
    what: String,
    /// The setting that it is nearest to.
    setting: Option<String>,
    /// That setting's name where this stands: a key in quotes, or a variable.
    nearest: Option<String>,
}

impl Unknown {
    /// A key of a config file, which stands below `path`.
    fn key(path: &str, key: &str, schema: &Value) -> Self {
        let setting = nearest(key, schema);
        let nearest = setting.as_ref().map(|setting| format!("{setting:?}"));
        Self { what: format!("config key {:?}", format!("{path}{key}")), setting, nearest }
    }

    /// An environment variable, whose name begins with `prefix`.
    pub(super) fn variable(name: &str, prefix: &str, schema: &Value) -> Self {
        let setting = name.get(prefix.len()..).and_then(|rest| nearest(rest, schema));
        let nearest = setting.as_ref().map(|setting| format!("{prefix}{}", setting.to_ascii_uppercase()));
        Self { what: format!("environment variable {name}"), setting, nearest }
    }

    /// Whether a setting is near.
    pub(super) fn has_nearest(&self) -> bool {
        self.setting.is_some()
    }

    /// What the user is told.
    pub(super) fn sentence(&self) -> String {
        match &self.nearest {
            Some(nearest) => format!("{} is unknown and ignored; did you mean {nearest}?", self.what),
            None => format!("{} is unknown and ignored", self.what),
        }
    }

    /// The same, where it was likely meant for a credential.
    pub(super) fn credential_hint(&self) -> Option<String> {
        let setting = self.setting.as_deref()?;
        CREDENTIALS.contains(&setting).then(|| self.sentence())
    }
}

/// The keys of a config file that are no settings.
pub(super) fn unknown_keys(settings: &Map<String, Value>, schema: &Value) -> Vec<Unknown> {
    let mut unknown = unknown_within("", settings, schema);
    // Settings of single streams have keys of their own.
    let of_stream = &schema["properties"]["streams"]["additionalProperties"];
    let of_stream = of_stream["anyOf"].as_array().and_then(|forms| forms.first()).unwrap_or(of_stream);
    if of_stream["properties"].is_object() {
        for (stream, entry) in settings.get("streams").and_then(Value::as_object).into_iter().flatten() {
            let keys = entry.as_object().into_iter();
            unknown.extend(keys.flat_map(|keys| unknown_within(&format!("streams.{stream}."), keys, of_stream)));
        }
    }
    unknown
}

fn unknown_within(path: &str, settings: &Map<String, Value>, schema: &Value) -> Vec<Unknown> {
    let known = schema["properties"].as_object();
    settings
        .keys()
        .filter(|key| known.is_none_or(|known| !known.contains_key(*key)))
        .map(|key| Unknown::key(path, key, schema))
        .collect()
}

/// The setting whose name is nearest to one that is none.
fn nearest(name: &str, schema: &Value) -> Option<String> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let is_setting = |setting: &str| schema["properties"].get(setting).is_some();
    if let Some((_, setting)) = NAMES_ELSEWHERE.iter().find(|(elsewhere, of)| *elsewhere == name && is_setting(of)) {
        return Some((*setting).to_owned());
    }
    nearest_of(&name, schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()))
        .map(str::to_owned)
}

/// The nearest of some names, unless all are far.
pub fn nearest_of<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    names
        .into_iter()
        .map(|one| (strsim::jaro_winkler(name, one), one))
        .filter(|(similarity, _)| *similarity > SIMILAR_ENOUGH)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, one)| one)
}

#[cfg(test)]
mod tests {
    use super::super::settings_schema;
    use super::*;

    #[test]
    fn the_nearest_setting_is_named_as_it_is_written_there() {
        for (key, nearest) in [
            ("acces_token", "access_token"),
            ("accessToken", "access_token"),
            ("Access-Token", "access_token"),
            ("token", "access_token"),
            ("client_secrt", "client_secret"),
            ("page_sise", "page_size"),
            ("hub_id", "organization_id"),
        ] {
            let unknown = Unknown::key("", key, settings_schema());
            assert_eq!(
                unknown.sentence(),
                format!("config key {key:?} is unknown and ignored; did you mean {nearest:?}?")
            );
        }
        let variable = Unknown::variable("TAP_HUBSPOT_TICKETS_ACCES_TOKEN", "TAP_HUBSPOT_TICKETS_", settings_schema());
        assert_eq!(
            variable.sentence(),
            "environment variable TAP_HUBSPOT_TICKETS_ACCES_TOKEN is unknown and ignored; did you mean \
             TAP_HUBSPOT_TICKETS_ACCESS_TOKEN?"
        );
        assert!(variable.credential_hint().is_some());
        assert_eq!(Unknown::key("", "zzz", settings_schema()).sentence(), "config key \"zzz\" is unknown and ignored");
        assert_eq!(Unknown::key("", "page_sise", settings_schema()).credential_hint(), None);
    }
}
