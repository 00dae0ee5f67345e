//! Answers that were a success and are not what HubSpot documents.

use bytes::Bytes;
use serde::de::DeserializeOwned;

/// What is wrong with an answer that was a success.
#[derive(Debug)]
pub struct Malformed(pub(super) String);

impl Malformed {
    /// Says it in words that continue "the answer …".
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }

    /// Where the parser stumbled, without the values that its own words would quote: they are a customer's.
    pub fn json(error: &serde_json::Error) -> Self {
        let words = error.to_string();
        let at = format!("at line {} column {}", error.line(), error.column());
        if !error.is_data() || words.starts_with("missing field") {
            return Self(words);
        }
        match words.rsplit_once(", expected ") {
            Some((_, expected)) => Self(format!("a value is not {expected}")),
            None => Self(format!("a value is not of its type {at}")),
        }
    }
}

/// Decodes a JSON answer.
///
/// # Errors
/// When it is not JSON of this form.
pub(super) fn decode_json<T: DeserializeOwned>(body: Bytes) -> Result<T, Malformed> {
    serde_json::from_slice(&body).map_err(|error| Malformed::json(&error))
}
