//! Why a call failed, by what the caller can do about it.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use thiserror::Error;

use super::meaning::Meaning;
use super::objects::Malformed;
use super::request::{Endpoint, Request};
use super::response::{ErrorBody, Response};
use super::retry::Limit;
use super::scopes::scope_of;

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

/// What is wrong with the credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialFault {
    /// The access token has expired.
    Expired,
    /// HubSpot does not know the access token: it never did, or it was revoked or rotated.
    Unknown,
    /// A token that the OAuth grant has just returned is refused.
    NewTokenRefused,
    /// The refresh token was revoked, or is not this app's.
    RefreshToken,
    /// The OAuth app's id.
    ClientId,
    /// The OAuth app's secret.
    ClientSecret,
    /// Any other refusal of the token endpoint.
    Grant,
}

impl CredentialFault {
    /// What happened and what to do about it.
    fn in_words(self) -> &'static str {
        match self {
            Self::Expired => {
                "the access token has expired; set access_token to a private app token or service key, which do not, or use an OAuth grant"
            }
            Self::Unknown => {
                "the access token is wrong, or was revoked or rotated; check access_token: copy it again from the private app or service key in HubSpot"
            }
            Self::NewTokenRefused => {
                "a new access token of the OAuth grant is refused as well; check that the portal still has the app installed"
            }
            Self::RefreshToken => {
                "the refresh token was revoked or is not this app's; have the portal install the app again and set refresh_token to the new one"
            }
            Self::ClientId => "the OAuth app is unknown; check client_id",
            Self::ClientSecret => "the OAuth app's secret is wrong; check client_secret",
            Self::Grant => "the OAuth grant is not accepted; check client_id, client_secret and refresh_token",
        }
    }

    fn of(category: &str, oauth: bool) -> Self {
        match category {
            _ if oauth => Self::NewTokenRefused,
            "EXPIRED_AUTHENTICATION" => Self::Expired,
            _ => Self::Unknown,
        }
    }

    /// By the `status` of the token endpoint's answer.
    fn of_grant(status: &str) -> Self {
        match status {
            "BAD_REFRESH_TOKEN" => Self::RefreshToken,
            "BAD_CLIENT_ID" => Self::ClientId,
            "BAD_CLIENT_SECRET" => Self::ClientSecret,
            _ => Self::Grant,
        }
    }
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

/// Up to this much of an answer that is no JSON is shown.
const MAX_SHOWN: usize = 200;

impl ClientError {
    /// The error of an answer that is no success.
    pub(super) fn refused(request: &Request, response: &Response, oauth: bool) -> Self {
        let (endpoint, status) = (request.endpoint.label(), response.status);
        let body = response.error_body().unwrap_or_default();
        let words = body.words().map_or_else(|| wordless(&response.body), str::to_owned);
        let detail = match body.correlation_id() {
            Some(id) => format!("{}; correlationId {id}", words.trim_end_matches('.')),
            None => words.trim_end_matches('.').to_owned(),
        };
        match response.meaning(request.endpoint) {
            Meaning::GrantRefused => Self::Unauthorized { detail, fault: CredentialFault::of_grant(body.status()) },
            Meaning::Unauthorized => Self::Unauthorized { detail, fault: CredentialFault::of(body.category(), oauth) },
            Meaning::Denied => Self::denied(request, &body, detail),
            Meaning::Limited if response.limit() == Limit::Daily => Self::DailyLimit { detail, resume_at: None },
            Meaning::Limited | Meaning::Transient => Self::Failing { endpoint, status, detail, tries: 1 },
            Meaning::Migrating => Self::Migrating { wait: response.retry_after(), detail },
            Meaning::OtherDataCentre => {
                Self::OtherDataCentre { endpoint, hublet: body.correct_hublet(), detail, tries: 1 }
            }
            Meaning::Redirect => {
                let target = response.location.clone().unwrap_or_else(|| "an address that it does not name".to_owned());
                Self::Redirected { endpoint, status, target, tries: 1 }
            }
            Meaning::TooLarge | Meaning::Refused => {
                let reason = Box::new(RefusalReason {
                    message: words,
                    category: body.category().to_owned(),
                    correlation_id: body.correlation_id().unwrap_or_default().to_owned(),
                });
                Self::Refused { endpoint, status, detail, reason }
            }
        }
    }

    /// The error of a 403: the token may not read some properties, or may not use the endpoint.
    fn denied(request: &Request, body: &ErrorBody, detail: String) -> Self {
        let endpoint = request.endpoint.label();
        let properties = body.denied_properties(request);
        if !properties.is_empty() {
            return Self::DeniedProperties { endpoint, properties, detail };
        }
        let mut scopes = body.required_scopes();
        if scopes.is_empty() {
            scopes.extend(scope_of(request));
        }
        Self::MissingScopes { endpoint, scopes, detail }
    }

    pub(super) fn malformed(request: &Request, malformed: Malformed) -> Self {
        Self::Malformed { endpoint: request.endpoint.label(), reason: malformed.0, tries: 1 }
    }

    /// The error of a response that decodes and contradicts what is known.
    pub(super) fn unusable(endpoint: Endpoint, reason: String) -> Self {
        Self::Malformed { endpoint: endpoint.label(), reason, tries: 1 }
    }

    /// The error of a list whose cursor leads back to a page that was read.
    pub fn circle(cursor: &str) -> Self {
        Self::unusable(Endpoint::List, format!("its pages lead back to {cursor}"))
    }

    /// The error of records that no response mentions, however they are asked for.
    pub fn silent(count: usize, object_type: &str) -> Self {
        Self::unusable(Endpoint::BatchRead, format!("it says nothing about {count} {object_type} that exist"))
    }

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

    fn hint(&self) -> String {
        match self {
            Self::MissingScopes { scopes, .. } if !scopes.is_empty() => {
                format!("; add the scope {} to the private app, service key or OAuth app", scopes.join(" or "))
            }
            _ => String::new(),
        }
    }
}

/// An error and its causes as one sentence.
pub(super) fn chain(error: &reqwest::Error) -> String {
    let mut sentence = error.to_string();
    // reqwest shows the URL, whose query is thousands of property names.
    if let Some(url) = error.url() {
        sentence = sentence.replace(&format!(" for url ({url})"), "");
    }
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !sentence.contains(&cause_text) {
            sentence.push_str(": ");
            sentence.push_str(&cause_text);
        }
        source = cause.source();
    }
    sentence
}

/// Describes a response without HubSpot's words.
fn wordless(body: &[u8]) -> String {
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => "no body".to_owned(),
        // What was to be JSON may hold a customer's values.
        Some(b'{' | b'[' | b'"') => "an answer that says nothing of an error".to_owned(),
        Some(_) => format!("an answer that is not JSON: {}", first_words(body)),
    }
}

fn first_words(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(MAX_SHOWN)]);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
