//! The settings that the target has besides those it shares with the tap.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::settings::settings_schema;

/// The tap's settings that say how to reach a portal: the target has the same, with the same definitions.
const SHARED: [&str; 16] = [
    "access_token",
    "client_id",
    "client_secret",
    "refresh_token",
    "token_cache_path",
    "organization_id",
    "api_base_url",
    "api_version",
    "request_timeout_secs",
    "rate_limit",
    "rate_limit_share",
    "daily_reserve",
    "lock_path",
    "retry_attempts",
    "retry_delay_secs",
    "user_agent",
];

/// What is written, and what happens to what cannot be.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct TargetConfig {
    /// What a stream is in HubSpot: `{"customers": {"object_type": "contacts", "properties": {"mail": "email"},
    /// "id_property": "email", "required": ["email"]}}`. Streams named contacts, companies, deals or tickets need no
    /// entry; null leaves a stream out.
    #[serde(default)]
    #[schemars(with = "Option<BTreeMap<String, Option<StreamConfig>>>")]
    pub streams: BTreeMap<String, Option<StreamConfig>>,

    /// Name of this delivery. Tickets of a stream without key_properties are known by it and the number of their line,
    /// so that the same file delivered twice under one name makes no ticket twice.
    #[schemars(length(min = 1, max = 100))]
    pub delivery_id: Option<String>,

    /// Unique ticket property that holds the delivery key; it is created when the portal lacks it. `none` does without:
    /// what is delivered twice is there twice.
    #[serde(default = "default_ticket_key")]
    #[schemars(regex(pattern = "^[a-z][a-z0-9_]*$"))]
    pub ticket_key: String,

    /// Clear a property where a record has null; otherwise null leaves it as it is.
    #[serde(default)]
    pub clear_nulls: bool,

    /// Fields that the portal has no property for: `reject` the record, `ignore` the field, or `pass` it on for HubSpot
    /// to decide.
    #[serde(default)]
    pub unknown_fields: UnknownFields,

    /// File that rejected records are added to, each with the reason; mended, it can be delivered as it is.
    #[schemars(with = "Option<String>", length(min = 1))]
    pub rejects_path: Option<PathBuf>,

    /// File that one line of JSON is added to for each record of the input, with its line, id, what was done, its
    /// associations, and why it was rejected.
    #[schemars(with = "Option<String>", length(min = 1))]
    pub results_path: Option<PathBuf>,

    /// The run fails when more records than this are rejected: a number, or a share of all such as `10%`. Default: 0
    /// without rejects_path, with it `50%`.
    #[schemars(with = "Option<String>", extend("type" = ["integer", "string", "null"]))]
    pub max_rejects: Option<MaxRejects>,
}

/// How many records may be rejected before a run fails.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "Value")]
pub enum MaxRejects {
    /// So many.
    Number(u64),
    /// So many in a hundred of all.
    Share(f64),
}

impl MaxRejects {
    /// Of a run with a file of rejects: when most records are rejected, something is wrong with all of them.
    const WITH_A_FILE: Self = Self::Share(50.0);

    /// Whether so many rejected records of so many are more than is allowed.
    pub fn is_exceeded(self, rejected: u64, all: u64) -> bool {
        match self {
            Self::Number(allowed) => rejected > allowed,
            // Counts of records are far below 2^52.
            #[expect(clippy::cast_precision_loss, reason = "below 2^52")]
            Self::Share(allowed) => rejected as f64 * 100.0 > all as f64 * allowed,
        }
    }
}

impl TryFrom<Value> for MaxRejects {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let wrong =
            || format!("max_rejects must be a whole number from 0 on, or a share such as \"10%\"; given {value}");
        match &value {
            Value::Number(number) => number.as_u64().map(Self::Number).ok_or_else(wrong),
            Value::String(text) => match text.trim().strip_suffix('%') {
                Some(share) => {
                    let share = share.trim().parse().ok().filter(|share| (0.0..=100.0).contains(share));
                    share.map(Self::Share).ok_or_else(wrong)
                }
                None => text.trim().parse().map(Self::Number).map_err(|_| wrong()),
            },
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for MaxRejects {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(formatter, "{number}"),
            Self::Share(share) => write!(formatter, "{share}%"),
        }
    }
}

/// What one stream is in HubSpot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct StreamConfig {
    /// contacts, companies, deals or tickets. Default: the stream's name.
    #[serde(default)]
    pub object_type: Option<String>,
    /// Property of each field whose name differs; null leaves a field out.
    #[serde(default)]
    pub properties: BTreeMap<String, Option<String>>,
    /// Unique property by which records are found, or hs_object_id.
    #[serde(default)]
    pub id_property: Option<String>,
    /// Properties that a new record must have.
    #[serde(default)]
    pub required: Option<Vec<String>>,
}

/// What happens to a field that the portal has no property for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum UnknownFields {
    /// The record is rejected.
    #[default]
    Reject,
    /// The field is left out.
    Ignore,
    /// The field goes to HubSpot under its own name.
    Pass,
}

impl TargetConfig {
    /// How many records may be rejected before the run fails.
    pub fn max_rejects(&self) -> MaxRejects {
        let default = if self.rejects_path.is_none() { MaxRejects::Number(0) } else { MaxRejects::WITH_A_FILE };
        self.max_rejects.unwrap_or(default)
    }

    /// The unique property of tickets; none when doubles are accepted.
    pub fn ticket_key(&self) -> Option<&str> {
        Some(self.ticket_key.as_str()).filter(|name| *name != "none")
    }
}

/// The JSON Schema of the target's settings: the shared ones from [`super::Config`], its own from [`TargetConfig`].
pub fn target_schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let mut schema = schemars::schema_for!(TargetConfig).to_value();
        let shared = &settings_schema()["properties"];
        let mut properties: Map<String, Value> =
            SHARED.into_iter().map(|name| (name.to_owned(), shared[name].clone())).collect();
        properties.extend(schema["properties"].as_object().cloned().unwrap_or_default());
        schema["properties"] = Value::Object(properties);
        schema
    });
    &SCHEMA
}

/// Of a target's settings those that say how to reach the portal.
pub(super) fn shared_settings(settings: &Map<String, Value>) -> Value {
    let shared = settings.iter().filter(|(name, _)| SHARED.contains(&name.as_str()));
    Value::Object(shared.map(|(name, value)| (name.clone(), value.clone())).collect())
}

fn default_ticket_key() -> String {
    "tap_delivery_key".to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_share_of_rejects_is_one_of_all_records() {
        let share = MaxRejects::try_from(Value::from("10%")).expect("a share");
        for (rejected, all, exceeded) in [(0, 0, false), (1, 10, false), (2, 11, true), (10, 10, true)] {
            assert_eq!(share.is_exceeded(rejected, all), exceeded, "{rejected} of {all}");
        }
        assert!(!MaxRejects::Share(100.0).is_exceeded(7, 7));
        assert_eq!(MaxRejects::try_from(Value::from("7")), Ok(MaxRejects::Number(7)), "as environment variables are");
        for wrong in [json!("some"), json!("101%"), json!("-1"), json!(-1), json!(0.5), json!("NaN%"), json!("")] {
            let said = MaxRejects::try_from(wrong.clone()).expect_err("no number of rejects");
            assert!(said.contains("a share such as \"10%\"") && said.ends_with(&wrong.to_string()), "{said}");
        }
    }

    #[test]
    fn shared_settings_are_the_taps() {
        for name in SHARED {
            assert_eq!(target_schema()["properties"][name], settings_schema()["properties"][name]);
            assert!(target_schema()["properties"][name].is_object(), "{name}");
        }
    }
}
