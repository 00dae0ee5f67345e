//! Tokens that outlive a run, in a file that only its owner may read.

use std::fs;
use std::io;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::error::ClientError;
use crate::disk::{probe_secret_file, replace_secret_file};
use crate::hex::hex;

/// The file, and the grant that its tokens must belong to.
#[derive(Debug)]
pub(super) struct TokenCache {
    path: PathBuf,
    /// A hash of the config's own client id and refresh token: with another hash in the file, its tokens are not used.
    grant: String,
}

/// What the file holds.
#[derive(Debug, Deserialize)]
pub(super) struct StoredTokens {
    grant: String,
    /// The portal of the tokens.
    pub(super) hub_id: Option<u64>,
    pub(super) refresh_token: SecretString,
    pub(super) access_token: SecretString,
    /// When the access token expires.
    pub(super) expires_at: DateTime<Utc>,
}

impl TokenCache {
    pub(super) fn new(path: PathBuf, client_id: &str, refresh_token: &SecretString) -> Self {
        let mut hash = Sha256::new();
        hash.update(client_id);
        hash.update([0]);
        hash.update(refresh_token.expose_secret());
        Self { path, grant: hex(&hash.finalize()) }
    }

    /// The stored tokens; none when there is no file yet. This also checks that the file can be written: a rotated token
    /// that cannot be stored would be lost.
    ///
    /// # Errors
    /// When the file cannot be read or written, or holds something else.
    pub(super) fn read(&self) -> Result<Option<StoredTokens>, ClientError> {
        let stored = match fs::read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(self.unusable(error.to_string())),
            // The parser's own words would show what it stumbled over.
            Ok(text) => Some(serde_json::from_slice(&text).map_err(|_| {
                self.unusable("it does not hold tokens of this tap; name another file or remove it".to_owned())
            })?),
        };
        probe_secret_file(&self.path).map_err(|error| self.unusable(error.to_string()))?;
        Ok(stored)
    }

    /// Whether the stored tokens descend from the config's own refresh token.
    pub(super) fn is_of_grant(&self, stored: &StoredTokens) -> bool {
        stored.grant == self.grant
    }

    /// Replaces the file in one step, so that a reader or a crash never sees half of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(
        &self,
        hub_id: Option<u64>,
        refresh_token: &SecretString,
        access_token: &SecretString,
        expires_at: DateTime<Utc>,
    ) -> Result<(), ClientError> {
        let text = json!({
            "grant": self.grant,
            "hub_id": hub_id,
            "refresh_token": refresh_token.expose_secret(),
            "access_token": access_token.expose_secret(),
            "expires_at": expires_at,
        })
        .to_string();
        replace_secret_file(&self.path, text.as_bytes()).map_err(|error| self.unusable(error.to_string()))
    }

    /// The error that says so.
    pub(super) fn unusable(&self, reason: String) -> ClientError {
        ClientError::TokenCache { path: self.path.clone(), reason }
    }
}
