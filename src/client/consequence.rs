//! What a caller can do about an error.

use chrono::{DateTime, Utc};

use super::error::ClientError;
use super::request::Endpoint;

impl ClientError {
    /// The error with the number of tries it took, and when the daily quota is reset.
    pub(super) fn after(mut self, sent: u32, quota_resets_at: Option<DateTime<Utc>>) -> Self {
        match &mut self {
            Self::DailyLimit { resume_at, .. } => *resume_at = quota_resets_at,
            Self::Failing { tries, .. }
            | Self::Unreachable { tries, .. }
            | Self::Malformed { tries, .. }
            | Self::OtherDataCentre { tries, .. }
            | Self::Redirected { tries, .. } => *tries = sent,
            _ => {}
        }
        self
    }

    /// The status code, where there is one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } | Self::Failing { status, .. } | Self::Redirected { status, .. } => {
                Some(*status)
            }
            Self::MissingScopes { .. } | Self::DeniedProperties { .. } => Some(403),
            Self::OtherDataCentre { .. } => Some(488),
            _ => None,
        }
    }

    /// Whether every other request would fail in the same way, because of the token, the quota or the portal itself: the
    /// run ends.
    pub fn ends_all(&self) -> bool {
        match self {
            Self::Setup { .. }
            | Self::TokenCache { .. }
            | Self::Unauthorized { .. }
            | Self::DailyLimit { .. }
            | Self::DailyReserve { .. }
            | Self::Migrating { .. }
            | Self::OtherDataCentre { .. } => true,
            // Without a token nothing can be sent.
            Self::MissingScopes { endpoint, .. }
            | Self::DeniedProperties { endpoint, .. }
            | Self::Redirected { endpoint, .. }
            | Self::Refused { endpoint, .. }
            | Self::Failing { endpoint, .. }
            | Self::Unreachable { endpoint, .. }
            | Self::Malformed { endpoint, .. } => *endpoint == Endpoint::Token.label(),
        }
    }

    /// Whether an answer may mean that the URL is too long: edges and gateways say so in many ways.
    pub fn may_be_of_length(&self) -> bool {
        match self {
            Self::Refused { status, .. } => matches!(status, 400 | 413 | 414 | 431),
            Self::Failing { status, .. } => matches!(status, 400 | 403 | 404),
            Self::MissingScopes { .. } => true,
            _ => false,
        }
    }

    /// Whether a batch may be refused because of its size, or of a record that it names.
    pub fn is_of_input(&self) -> bool {
        match self {
            Self::Refused { status, .. } => matches!(status, 400 | 404 | 413 | 414),
            Self::Failing { status, .. } => matches!(status, 400 | 404),
            _ => false,
        }
    }

    /// Whether a request for less may succeed where this one failed.
    pub fn may_be_of_size(&self) -> bool {
        match self {
            Self::Refused { status, .. } => *status == 413,
            Self::Failing { status, .. } => matches!(status, 408 | 500 | 502 | 503 | 504 | 520 | 522 | 524),
            Self::Unreachable { is_sent, .. } => *is_sent,
            _ => false,
        }
    }

    /// When a run of the same portal can succeed, where the error passes with time and the instant is known.
    pub fn resume_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::DailyLimit { resume_at, .. } | Self::DailyReserve { resume_at, .. } => *resume_at,
            _ => None,
        }
    }

    /// Whether HubSpot may have carried out the request all the same.
    pub fn is_unknown_outcome(&self) -> bool {
        matches!(
            self,
            Self::Failing { .. } | Self::Unreachable { .. } | Self::Malformed { .. } | Self::Redirected { .. }
        )
    }

    /// The scope that is missing, in words; none where the token may.
    pub fn missing_scope(&self) -> Option<String> {
        match self {
            Self::MissingScopes { scopes, .. } if scopes.is_empty() => Some("for this endpoint".to_owned()),
            Self::MissingScopes { scopes, .. } => Some(scopes.join(" or ")),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::credential_fault::CredentialFault;

    fn refused(status: u16) -> ClientError {
        ClientError::Refused { endpoint: "list", status, detail: String::new(), reason: Box::default() }
    }

    fn failing(endpoint: &'static str, status: u16) -> ClientError {
        ClientError::Failing { endpoint, status, detail: String::new(), tries: 1 }
    }

    fn denied() -> ClientError {
        ClientError::MissingScopes { endpoint: "list", scopes: Vec::new(), detail: String::new() }
    }

    fn unreachable(is_sent: bool) -> ClientError {
        ClientError::Unreachable { endpoint: "list", host: String::new(), reason: String::new(), is_sent, tries: 1 }
    }

    fn daily_limit() -> ClientError {
        ClientError::DailyLimit { detail: String::new(), resume_at: None }
    }

    fn unauthorized() -> ClientError {
        ClientError::Unauthorized { detail: String::new(), fault: CredentialFault::Unknown }
    }

    /// Each with whether a shorter URL may succeed, whether a smaller page may, and whether nothing else can.
    #[test]
    fn the_truth_table_of_fallbacks() {
        for (error, of_length, of_size, ends_all) in [
            (refused(400), true, false, false),
            (refused(404), false, false, false),
            (refused(413), true, true, false),
            (refused(414), true, false, false),
            (refused(431), true, false, false),
            (failing("list", 400), true, false, false),
            (failing("list", 403), true, false, false),
            (failing("list", 408), false, true, false),
            (failing("list", 429), false, false, false),
            (failing("list", 500), false, true, false),
            (failing("list", 502), false, true, false),
            (failing("list", 504), false, true, false),
            (failing("token", 500), false, true, true),
            (denied(), true, false, false),
            (unreachable(true), false, true, false),
            (unreachable(false), false, false, false),
            (daily_limit(), false, false, true),
            (unauthorized(), false, false, true),
        ] {
            let found = (error.may_be_of_length(), error.may_be_of_size(), error.ends_all());
            assert_eq!(found, (of_length, of_size, ends_all), "{error:?}");
        }
    }
}
