//! Why a call failed, by what the caller can do about it.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use thiserror::Error;

use super::credential_fault::CredentialFault;

/// Why a call failed, after all its tries.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The client cannot be made.
    #[error("the HTTP client cannot be set up: {reason}")]
    Setup {
        /// What is wrong.
        reason: String,
    },
    /// The file with tokens cannot be used.
    #[error("token_cache_path {path} cannot be used: {reason}", path = path.display())]
    TokenCache {
        /// The file.
        path: PathBuf,
        /// What is wrong, without its contents.
        reason: String,
    },
    /// The token is unknown, expired or revoked.
    #[error("HubSpot refused the credentials: {fault} ({detail})", fault = fault.in_words())]
    Unauthorized {
        /// HubSpot's words, with the correlation id.
        detail: String,
        /// Which of them, and why.
        fault: CredentialFault,
    },
    /// The token may not use an endpoint, mostly for want of a scope.
    #[error("the token may not use HubSpot's {endpoint} endpoint (403): {detail}{hint}", hint = self.hint())]
    MissingScopes {
        /// The endpoint.
        endpoint: &'static str,
        /// Scopes of which one is needed, as HubSpot names them or as its documents do.
        scopes: Vec<String>,
        /// HubSpot's words, with the correlation id.
        detail: String,
    },
    /// The token may not read some properties of objects that it may read.
    #[error("the token may not read the properties {names} (403, {endpoint}): {detail}", names = properties.join(", "))]
    DeniedProperties {
        /// The endpoint.
        endpoint: &'static str,
        /// The properties' names.
        properties: Vec<String>,
        /// HubSpot's words, with the correlation id.
        detail: String,
    },
    /// The day's calls are used up.
    #[error(
        "the portal's daily limit of API calls is reached; run again after midnight in the portal's time zone{at} ({detail})",
        at = at_instant(*resume_at)
    )]
    DailyLimit {
        /// HubSpot's words, with the correlation id.
        detail: String,
        /// When the limit is reset, where that is known.
        resume_at: Option<DateTime<Utc>>,
    },
    /// Only the calls that `daily_reserve` keeps for other apps are left today.
    #[error(
        "{left} of the portal's {limit} API calls a day are left, which daily_reserve keeps for other apps; run again after midnight in the portal's time zone{at}",
        at = at_instant(*resume_at)
    )]
    DailyReserve {
        /// Calls left today.
        left: u64,
        /// Calls a day.
        limit: u64,
        /// When the limit is reset, where that is known.
        resume_at: Option<DateTime<Utc>>,
    },
    /// The portal is being moved between data centres.
    #[error("HubSpot is migrating this portal; try again {after} ({detail})", after = later(*wait))]
    Migrating {
        /// What Retry-After says.
        wait: Option<Duration>,
        /// HubSpot's words, with the correlation id.
        detail: String,
    },
    /// The portal is in another data centre than the one that responds.
    #[error(
        "HubSpot looks for this portal in the wrong data centre (488, {endpoint}, {tries} tries): {detail}; try again later, and if it lasts {hint}",
        hint = other_host(hublet.as_deref())
    )]
    OtherDataCentre {
        /// The endpoint.
        endpoint: &'static str,
        /// The data centre that has the portal, where HubSpot names it: `eu1`.
        hublet: Option<String>,
        /// HubSpot's words, with the correlation id.
        detail: String,
        /// How often it was sent.
        tries: u32,
    },
    /// Every try was redirected.
    #[error(
        "{endpoint} is redirected to {target} ({status}, {tries} tries), which HubSpot does not do: look at the proxy or gateway between, or set api_base_url to HubSpot's own host"
    )]
    Redirected {
        /// The endpoint.
        endpoint: &'static str,
        /// The status code.
        status: u16,
        /// Where to.
        target: String,
        /// How often it was sent.
        tries: u32,
    },
    /// Any other error response that a repeat does not change.
    #[error("HubSpot answered {status} to {endpoint}: {detail}")]
    Refused {
        /// The endpoint.
        endpoint: &'static str,
        /// The status code.
        status: u16,
        /// HubSpot's words, with the correlation id.
        detail: String,
        /// HubSpot's own name for the reason, and the id that its support asks for.
        reason: Box<RefusalReason>,
    },
    /// Every try got a response that asks to try later.
    #[error("HubSpot kept answering {status} to {endpoint} ({tries} tries): {detail}")]
    Failing {
        /// The endpoint.
        endpoint: &'static str,
        /// The status code of the last answer.
        status: u16,
        /// HubSpot's words, with the correlation id.
        detail: String,
        /// How often it was sent.
        tries: u32,
    },
    /// No try got a whole response.
    #[error("{host} gave no whole answer to {endpoint} ({tries} tries): {reason}")]
    Unreachable {
        /// The endpoint.
        endpoint: &'static str,
        /// The host.
        host: String,
        /// What the transport says.
        reason: String,
        /// Whether the request was sent, so that the host may have caused the failure.
        is_sent: bool,
        /// How often it was sent.
        tries: u32,
    },
    /// Every try got a success whose body is not what HubSpot documents.
    #[error("the answer to {endpoint} is not what HubSpot documents ({tries} tries): {reason}")]
    Malformed {
        /// The endpoint.
        endpoint: &'static str,
        /// What is wrong with it.
        reason: String,
        /// How often it was sent.
        tries: u32,
    },
}

/// `, at 2026-01-02T05:00:00Z`.
fn at_instant(resume_at: Option<DateTime<Utc>>) -> String {
    resume_at.map_or_else(String::new, |at| format!(", at {}", at.to_rfc3339_opts(SecondsFormat::Secs, true)))
}

/// `in 7200 s`.
fn later(wait: Option<Duration>) -> String {
    wait.map_or_else(|| "later".to_owned(), |wait| format!("in {} s", wait.as_secs()))
}

/// What to set for a portal that is in another data centre.
fn other_host(hublet: Option<&str>) -> String {
    match hublet {
        None => "set api_base_url to the host of the portal's data centre".to_owned(),
        Some("na1") => "set api_base_url to https://api.hubapi.com: the portal is in the data centre na1".to_owned(),
        Some(hublet) => {
            format!("set api_base_url to https://api-{hublet}.hubapi.com: the portal is in the data centre {hublet}")
        }
    }
}

/// Why HubSpot refused, in its own terms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RefusalReason {
    /// The words alone.
    pub message: String,
    /// `VALIDATION_ERROR`, `CONFLICT`, …; empty where the answer has none.
    pub category: String,
    /// Empty where the answer has none.
    pub correlation_id: String,
}

impl ClientError {
    fn hint(&self) -> String {
        match self {
            Self::MissingScopes { scopes, .. } if !scopes.is_empty() => {
                format!("; add the scope {} to the private app, service key or OAuth app", scopes.join(" or "))
            }
            _ => String::new(),
        }
    }
}
