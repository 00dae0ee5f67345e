//! Configs of the programs: what all sources say, held against the schema.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::ConfigError;
use super::settings::{Config, settings_schema};
use super::sources::{ConfigSource, MergedSettings};
use super::target::{TargetConfig, shared_settings, target_schema};
use super::value::normalised;

/// Settings of which null is a value: never.
const NULLABLE: [&str; 1] = ["sweep_hours"];

/// Prefixes of the programs' own variables, as Meltano's SDK forms them.
const TAP_PREFIX: &str = "TAP_HUBSPOT_TICKETS_";
const TARGET_PREFIX: &str = "TARGET_HUBSPOT_";

/// A valid config and what is to be said about it.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// One sentence for each key that is no setting.
    pub warnings: Vec<String>,
}

/// A valid config of the target and what is to be said about it.
#[derive(Debug)]
pub struct LoadedTarget {
    /// How to reach the portal; of its settings only those that the target shares with the tap are set.
    pub connection: Config,
    /// What to do there.
    pub target: TargetConfig,
    /// One sentence for each key that is no setting.
    pub warnings: Vec<String>,
}

/// Reads every source in order, a later one winning over an earlier one key by key and the environment over all
/// files, and validates the result.
///
/// # Errors
/// When a source cannot be read or a value breaks its constraint; no message shows a secret's value.
pub fn load(sources: &[ConfigSource]) -> Result<Loaded, ConfigError> {
    let merged = MergedSettings::read(sources, settings_schema(), TAP_PREFIX)?;
    let config = accept(&merged, config_of)?;
    Ok(Loaded { config, warnings: merged.warnings() })
}

/// The same of one JSON text.
///
/// # Errors
/// As [`load`].
pub fn parse(text: &[u8]) -> Result<Loaded, ConfigError> {
    let merged = MergedSettings::parse(text, settings_schema())?;
    let config = accept(&merged, config_of)?;
    Ok(Loaded { config, warnings: merged.warnings() })
}

/// The same for the target.
///
/// # Errors
/// As [`load`].
pub fn load_target(sources: &[ConfigSource]) -> Result<LoadedTarget, ConfigError> {
    let merged = MergedSettings::read(sources, target_schema(), TARGET_PREFIX)?;
    let (connection, target) = accept(&merged, |settings| {
        let settings = validated(settings, target_schema())?;
        let connection: Config = deserialised(shared_settings(&settings))?;
        connection.credentials()?;
        Ok((connection, deserialised(settings.into())?))
    })?;
    Ok(LoadedTarget { connection, target, warnings: merged.warnings() })
}

/// What `make` makes of the settings.
fn accept<T>(
    merged: &MergedSettings,
    make: impl FnOnce(Map<String, Value>) -> Result<T, ConfigError>,
) -> Result<T, ConfigError> {
    make(merged.settings.clone()).map_err(|error| {
        // Nobody gets the warnings of a config that is none, and a misspelt key is often the reason.
        for warning in merged.warnings() {
            tracing::warn!("{warning}");
        }
        error.with_hint(merged.credential_hint())
    })
}

fn config_of(settings: Map<String, Value>) -> Result<Config, ConfigError> {
    let settings = validated(settings, settings_schema())?;
    let config: Config = deserialised(settings.into())?;
    config.credentials()?;
    if let (Some(start), Some(end)) = (config.start_date, config.end_date)
        && start >= end
    {
        return Err(ConfigError::Invalid {
            field: "end_date".to_owned(),
            constraint: format!("must be after start_date; given {end} and {start}"),
        });
    }
    if config.hash.as_ref().is_some_and(|patterns| !patterns.is_empty()) && config.hash_salt.is_none() {
        // Without a salt, hashes of e-mail addresses are looked up in tables that exist.
        return Err(ConfigError::Invalid {
            field: "hash".to_owned(),
            constraint: "needs hash_salt, a secret of eight characters or more that is the same in every run"
                .to_owned(),
        });
    }
    Ok(config)
}

/// The settings of a program that shares none with the tap, and one sentence for each key that is no setting.
///
/// # Errors
/// As [`load`].
pub fn load_settings<T: DeserializeOwned>(
    sources: &[ConfigSource],
    schema: &Value,
    prefix: &'static str,
) -> Result<(T, Vec<String>), ConfigError> {
    let merged = MergedSettings::read(sources, schema, prefix)?;
    let settings = accept(&merged, |settings| deserialised(validated(settings, schema)?.into()))?;
    Ok((settings, merged.warnings()))
}

/// The settings in the form that the schema takes, which they fit.
fn validated(settings: Map<String, Value>, schema: &Value) -> Result<Map<String, Value>, ConfigError> {
    let mut normal = Map::new();
    for (setting, value) in settings {
        let value = normalised(&setting, value, &schema["properties"][&setting])?;
        // Orchestrators write unset settings as null; for a few settings null says something.
        if !value.is_null() || NULLABLE.contains(&setting.as_str()) {
            normal.insert(setting, value);
        }
    }
    validate(&normal, schema)?;
    Ok(normal)
}

fn deserialised<T: DeserializeOwned>(settings: Value) -> Result<T, ConfigError> {
    serde_json::from_value(settings)
        .map_err(|error| ConfigError::Invalid { field: "of the config".to_owned(), constraint: error.to_string() })
}

fn validate(settings: &Map<String, Value>, schema: &Value) -> Result<(), ConfigError> {
    let settings = &Value::Object(settings.clone());
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(schema)
        .expect("the settings' schema is valid, as a test shows");
    let Some(error) = validator.iter_errors(settings).next() else { return Ok(()) };
    let pointer = error.instance_path().to_string();
    let field = pointer.trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
    let secret = schema["properties"][&field]["secret"] == true;
    let constraint = if secret { error.masked().to_string() } else { error.to_string() };
    Err(ConfigError::Invalid { field, constraint })
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;
    use serde_json::json;

    fn load_json(settings: &Value) -> Result<Loaded, ConfigError> {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        std::fs::write(file.path(), settings.to_string()).expect("written");
        load(&[ConfigSource::File(file.path().to_owned())])
    }

    #[test]
    fn a_token_alone_is_a_config() {
        let loaded = load_json(&json!({"access_token": "t", "scan_id": null})).expect("valid");
        assert_eq!(loaded.config.page_size, 100);
        assert_eq!(loaded.config.association_types(), ["contacts", "companies"]);
        assert!(loaded.warnings.is_empty());
    }

    #[test]
    fn organization_id_is_text_or_number() {
        for id in [json!("123"), json!(123)] {
            let loaded = load_json(&json!({"access_token": "t", "organization_id": id})).expect("valid");
            assert_eq!(loaded.config.organization_id.as_deref(), Some("123"));
        }
    }

    #[test]
    fn a_misspelt_key_is_one_warning_with_the_nearest_key() {
        let loaded = load_json(&json!({"access_token": "t", "page_sise": 10})).expect("valid");
        assert_eq!(loaded.warnings, [r#"config key "page_sise" is unknown and ignored; did you mean "page_size"?"#]);
    }

    #[test]
    fn a_bad_value_names_field_constraint_and_value() {
        for (setting, value, says) in [
            ("page_size", json!(101), "101"),
            ("page_size", json!("ten"), "ten"),
            ("api_version", json!("v9"), "v9"),
            ("start_date", json!("yesterday"), "2024-01-31T13:45:00Z"),
            ("created_after", json!(20_240_101), "20240101"),
            ("retry_delay_secs", json!(-1), "-1"),
        ] {
            let error = load_json(&json!({"access_token": "t", setting: value})).expect_err("invalid").to_string();
            assert!(error.contains(setting) && error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_secret_of_the_wrong_type_is_not_shown() {
        let error = load_json(&json!({"access_token": ["hush-hush"]})).expect_err("invalid").to_string();
        assert!(error.contains("access_token") && !error.contains("hush"), "{error}");
    }

    #[test]
    fn missing_credentials_name_the_key_that_was_likely_meant_for_them() {
        let said = |settings: Value| load_json(&settings).expect_err("refused").to_string();
        let misspelt = said(json!({"acces_token": "hush-hush", "page_sise": 10}));
        assert!(
            misspelt.ends_with(r#"; config key "acces_token" is unknown and ignored; did you mean "access_token"?"#)
        );
        assert!(!misspelt.contains("page_sise") && !misspelt.contains("hush"), "{misspelt}");
        let half = said(json!({"client_id": "c", "client_secrt": "hush-hush", "refresh_token": "r"}));
        assert!(half.contains("set client_secret") && half.contains(r#""client_secrt""#), "{half}");
        let empty = said(json!({"access_token": "Bearer \n"}));
        assert!(empty.ends_with("; access_token is given, but empty"), "{empty}");
    }

    #[test]
    fn settings_of_the_taps_own_are_no_settings_of_the_target() {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        let settings = json!({"access_token": " t\n", "streams": {"customers": {"object_type": "contacts"}}});
        std::fs::write(file.path(), settings.to_string()).expect("written");
        let loaded = load_target(&[ConfigSource::File(file.path().to_owned())]).expect("valid");
        assert_eq!(loaded.connection.access_token.map(|token| token.expose_secret().to_owned()).as_deref(), Some("t"));
        assert!(loaded.connection.streams.is_none() && loaded.target.streams.contains_key("customers"));
    }

    #[test]
    fn half_an_oauth_grant_says_what_is_missing() {
        let error = load_json(&json!({"client_id": "c", "refresh_token": "r"})).expect_err("invalid").to_string();
        assert!(error.contains("set client_secret"), "{error}");
    }
}
