//! Why settings cannot be used.

use std::path::PathBuf;

use thiserror::Error;

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
    pub(super) fn with_hint(self, hint: String) -> Self {
        match self {
            Self::NoCredentials { .. } => Self::NoCredentials { hint },
            Self::HalfAnOAuthGrant { missing, .. } => Self::HalfAnOAuthGrant { missing, hint },
            other => other,
        }
    }
}
