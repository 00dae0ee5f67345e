//! Reading, merging and validating config files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use thiserror::Error;

use super::{Config, TargetConfig, environment, target_schema};

/// A misspelt key closer than this to a known one is answered with a suggestion.
const SIMILAR_ENOUGH: f64 = 0.75;

/// Settings of which null is a value: never.
const NULLABLE: [&str; 1] = ["sweep_hours"];

/// Prefixes of the programs' own variables, as Meltano's SDK forms them.
const TAP_PREFIX: &str = "TAP_HUBSPOT_TICKETS_";
const TARGET_PREFIX: &str = "TARGET_HUBSPOT_";

/// Where settings come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigSource {
    /// A JSON file with an object at its root.
    File(PathBuf),
    /// Environment variables and `.env`.
    Environment,
}

impl From<&str> for ConfigSource {
    fn from(argument: &str) -> Self {
        match argument {
            "ENV" => Self::Environment,
            path => Self::File(path.into()),
        }
    }
}

impl From<&Path> for ConfigSource {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

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

/// Why there is no config.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// No `--config` at all.
    #[error("no --config given: pass a JSON file, or ENV to read {prefix}* variables")]
    NotGiven {
        /// Of the program's variables.
        prefix: &'static str,
    },
    /// A file that cannot be read or is not JSON.
    #[error("config {path} cannot be used: {reason}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, without its contents.
        reason: String,
    },
    /// An environment variable of the wrong form.
    #[error("environment variable {name} must be {expected}")]
    Variable {
        /// The variable.
        name: String,
        /// What it should hold.
        expected: String,
    },
    /// A value that breaks its setting's constraint.
    #[error("config setting {field}: {constraint}")]
    Invalid {
        /// The setting.
        field: String,
        /// The constraint and, unless secret, what was given.
        constraint: String,
    },
    /// Neither a token nor an OAuth grant.
    #[error(
        "config has no credentials: set access_token (a private app token or service key), or client_id, client_secret and refresh_token"
    )]
    NoCredentials,
    /// Some of the OAuth settings.
    #[error("config has a part of an OAuth grant only: set {missing} too, or access_token instead")]
    HalfAnOAuthGrant {
        /// What is missing.
        missing: String,
    },
}

/// The JSON Schema of the settings, draft 2020-12, made from [`Config`].
pub fn settings_schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| schemars::schema_for!(Config).to_value());
    &SCHEMA
}

/// Reads every source in order, a later one winning over an earlier one key by key and the environment over all
/// files, and validates the result.
///
/// # Errors
/// When a source cannot be read or a value breaks its constraint; no message shows a secret's value.
pub fn load(sources: &[ConfigSource]) -> Result<Loaded, ConfigError> {
    accept(gathered(sources, settings_schema(), TAP_PREFIX)?)
}

/// The same of one JSON text.
///
/// # Errors
/// As [`load`].
pub fn parse(text: &[u8]) -> Result<Loaded, ConfigError> {
    accept(read_text(text, Path::new("-"))?)
}

fn accept(settings: Map<String, Value>) -> Result<Loaded, ConfigError> {
    let (settings, warnings) = validated(settings, settings_schema())?;
    let config: Config = deserialised(settings)?;
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
    Ok(Loaded { config, warnings })
}

/// The same for the target.
///
/// # Errors
/// As [`load`].
pub fn load_target(sources: &[ConfigSource]) -> Result<LoadedTarget, ConfigError> {
    let settings = gathered(sources, target_schema(), TARGET_PREFIX)?;
    let (settings, warnings) = validated(settings, target_schema())?;
    let target: TargetConfig = deserialised(settings.clone())?;
    let connection: Config = deserialised(settings)?;
    connection.credentials()?;
    Ok(LoadedTarget { connection, target, warnings })
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
    let (settings, warnings) = validated(gathered(sources, schema, prefix)?, schema)?;
    Ok((deserialised(settings)?, warnings))
}

/// The settings of all sources.
fn gathered(sources: &[ConfigSource], schema: &Value, prefix: &'static str) -> Result<Map<String, Value>, ConfigError> {
    if sources.is_empty() {
        return Err(ConfigError::NotGiven { prefix });
    }
    let mut settings = Map::new();
    for source in sources {
        if let ConfigSource::File(path) = source {
            settings.extend(read_file(path)?);
        }
    }
    if sources.contains(&ConfigSource::Environment) {
        settings.extend(environment::read(schema, prefix, Path::new(".env"))?);
    }
    Ok(settings)
}

/// Settings that are valid, and what is to be said about them.
fn validated(mut settings: Map<String, Value>, schema: &Value) -> Result<(Value, Vec<String>), ConfigError> {
    // Orchestrators write unset settings as null; for a few settings null says something.
    settings.retain(|setting, value| !value.is_null() || NULLABLE.contains(&setting.as_str()));

    let warnings = unknown_keys(&settings, schema);
    let settings = Value::Object(settings);
    validate(&settings, schema)?;
    Ok((settings, warnings))
}

fn deserialised<T: DeserializeOwned>(settings: Value) -> Result<T, ConfigError> {
    serde_json::from_value(settings)
        .map_err(|error| ConfigError::Invalid { field: "of the config".to_owned(), constraint: error.to_string() })
}

fn read_file(path: &Path) -> Result<Map<String, Value>, ConfigError> {
    let unusable = |reason: String| ConfigError::Unreadable { path: path.to_owned(), reason };
    read_text(&std::fs::read(path).map_err(|error| unusable(error.to_string()))?, path)
}

fn read_text(text: &[u8], path: &Path) -> Result<Map<String, Value>, ConfigError> {
    let unusable = |reason: String| ConfigError::Unreadable { path: path.to_owned(), reason };
    // The parser's message holds a position, never the text, which may be a secret.
    let value: Value = serde_json::from_slice(text)
        .map_err(|error| unusable(format!("it is not JSON (line {}, column {})", error.line(), error.column())))?;
    match value {
        Value::Object(settings) => Ok(settings),
        _ => Err(unusable("its root is not a JSON object".to_owned())),
    }
}

fn unknown_keys(settings: &Map<String, Value>, schema: &Value) -> Vec<String> {
    let known: BTreeSet<&str> =
        schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    settings
        .keys()
        .filter(|key| !known.contains(key.as_str()))
        .map(|key| {
            let nearest = known
                .iter()
                .map(|name| (strsim::jaro_winkler(key, name), name))
                .filter(|(similarity, _)| *similarity > SIMILAR_ENOUGH)
                .max_by(|(one, _), (other, _)| one.total_cmp(other));
            match nearest {
                Some((_, name)) => format!("config key {key:?} is unknown and ignored; did you mean {name:?}?"),
                None => format!("config key {key:?} is unknown and ignored"),
            }
        })
        .collect()
}

fn validate(settings: &Value, schema: &Value) -> Result<(), ConfigError> {
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
            ("start_date", json!("yesterday"), "yesterday"),
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
    fn half_an_oauth_grant_says_what_is_missing() {
        let error = load_json(&json!({"client_id": "c", "refresh_token": "r"})).expect_err("invalid").to_string();
        assert!(error.contains("set client_secret"), "{error}");
    }
}
