//! Reading, merging and validating config files.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use thiserror::Error;

use super::credential::{CREDENTIALS, clean};
use super::unknown::{Unknown, unknown_keys};
use super::value::normalised;
use super::{Config, TargetConfig, environment, shared_settings, target_schema};

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
        "config has no credentials: set access_token (a service key or private app token), or client_id, client_secret and refresh_token{hint}"
    )]
    NoCredentials {
        /// What the user likely meant for one, after a semicolon; empty: nothing.
        hint: String,
    },
    /// Some of the OAuth settings.
    #[error("config has a part of an OAuth grant only: set {missing} too, or access_token instead{hint}")]
    HalfAnOAuthGrant {
        /// What is missing.
        missing: String,
        /// As of [`ConfigError::NoCredentials`].
        hint: String,
    },
}

impl ConfigError {
    /// The same error, naming what was likely meant for the credentials that are missing.
    fn with_hint(self, gathered: &Gathered) -> Self {
        let hint = gathered.credential_hint();
        match self {
            Self::NoCredentials { .. } => Self::NoCredentials { hint },
            Self::HalfAnOAuthGrant { missing, .. } => Self::HalfAnOAuthGrant { missing, hint },
            other => other,
        }
    }
}

/// The settings of all sources, as they are written there.
struct Gathered {
    settings: Map<String, Value>,
    /// What is written there and is no setting.
    unknown: Vec<Unknown>,
}

impl Gathered {
    fn warnings(&self) -> Vec<String> {
        self.unknown.iter().map(Unknown::sentence).collect()
    }

    /// What was likely meant for a credential, after a semicolon.
    fn credential_hint(&self) -> String {
        let is_empty = |value: &Value| value.as_str().is_some_and(|text| clean(text) == Ok(""));
        let empty = CREDENTIALS.iter().filter(|name| self.settings.get(**name).is_some_and(is_empty));
        let empty = empty.map(|name| format!("{name} is given, but empty"));
        let hints = self.unknown.iter().filter_map(Unknown::credential_hint).chain(empty);
        hints.map(|hint| format!("; {hint}")).collect()
    }
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
    let gathered = gathered(sources, settings_schema(), TAP_PREFIX)?;
    let config = accept(&gathered, config_of)?;
    Ok(Loaded { config, warnings: gathered.warnings() })
}

/// The same of one JSON text.
///
/// # Errors
/// As [`load`].
pub fn parse(text: &[u8]) -> Result<Loaded, ConfigError> {
    let settings = read_text(text, Path::new("-"))?;
    let gathered = Gathered { unknown: unknown_keys(&settings, settings_schema()), settings };
    let config = accept(&gathered, config_of)?;
    Ok(Loaded { config, warnings: gathered.warnings() })
}

/// The same for the target.
///
/// # Errors
/// As [`load`].
pub fn load_target(sources: &[ConfigSource]) -> Result<LoadedTarget, ConfigError> {
    let gathered = gathered(sources, target_schema(), TARGET_PREFIX)?;
    let (connection, target) = accept(&gathered, |settings| {
        let settings = validated(settings, target_schema())?;
        let connection: Config = deserialised(shared_settings(&settings))?;
        connection.credentials()?;
        Ok((connection, deserialised(settings.into())?))
    })?;
    Ok(LoadedTarget { connection, target, warnings: gathered.warnings() })
}

/// What `make` makes of the settings.
fn accept<T>(
    gathered: &Gathered,
    make: impl FnOnce(Map<String, Value>) -> Result<T, ConfigError>,
) -> Result<T, ConfigError> {
    make(gathered.settings.clone()).map_err(|error| {
        // Nobody gets the warnings of a config that is none, and a misspelt key is often the reason.
        for warning in gathered.warnings() {
            tracing::warn!("{warning}");
        }
        error.with_hint(gathered)
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
    let gathered = gathered(sources, schema, prefix)?;
    let settings = accept(&gathered, |settings| deserialised(validated(settings, schema)?.into()))?;
    Ok((settings, gathered.warnings()))
}

/// The settings of all sources.
fn gathered(sources: &[ConfigSource], schema: &Value, prefix: &'static str) -> Result<Gathered, ConfigError> {
    if sources.is_empty() {
        return Err(ConfigError::NotGiven { prefix });
    }
    let mut settings = Map::new();
    for source in sources {
        if let ConfigSource::File(path) = source {
            settings.extend(read_file(path)?);
        }
    }
    let mut unknown = unknown_keys(&settings, schema);
    if sources.contains(&ConfigSource::Environment) {
        let variables = environment::read(schema, prefix, Path::new(".env"))?;
        settings.extend(variables.settings);
        unknown.extend(variables.unknown);
    }
    Ok(Gathered { settings, unknown })
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
