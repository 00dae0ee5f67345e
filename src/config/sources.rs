//! The settings as they are written in files, texts and the environment.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::credential::{CREDENTIALS, clean};
use super::environment;
use super::error::ConfigError;
use super::unknown::{Unknown, unknown_keys};

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

/// The settings of all sources, as they are written there.
pub(super) struct MergedSettings {
    pub(super) settings: Map<String, Value>,
    /// What is written there and is no setting.
    unknown: Vec<Unknown>,
}

impl MergedSettings {
    /// Reads every source in order; a later one wins key by key, and the environment over all files.
    pub(super) fn read(sources: &[ConfigSource], schema: &Value, prefix: &'static str) -> Result<Self, ConfigError> {
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
        Ok(Self { settings, unknown })
    }

    /// The settings of one JSON text.
    pub(super) fn parse(text: &[u8], schema: &Value) -> Result<Self, ConfigError> {
        let settings = read_text(text, Path::new("-"))?;
        Ok(Self { unknown: unknown_keys(&settings, schema), settings })
    }

    /// One sentence for each key that is no setting.
    pub(super) fn warnings(&self) -> Vec<String> {
        self.unknown.iter().map(Unknown::sentence).collect()
    }

    /// What was likely meant for a credential, after a semicolon.
    pub(super) fn credential_hint(&self) -> String {
        let is_empty = |value: &Value| value.as_str().is_some_and(|text| clean(text) == Ok(""));
        let empty = CREDENTIALS.iter().filter(|name| self.settings.get(**name).is_some_and(is_empty));
        let empty = empty.map(|name| format!("{name} is given, but empty"));
        let hints = self.unknown.iter().filter_map(Unknown::credential_hint).chain(empty);
        hints.map(|hint| format!("; {hint}")).collect()
    }
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
