//! Why a call failed, by what the caller can do about it.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use thiserror::Error;

use super::answer::Answer;
use super::objects::Malformed;
use super::request::{Endpoint, Request};
use super::retry::Limit;

/// A call that failed for good.
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
    /// The token lacks a scope.
    #[error("the token may not use HubSpot's {endpoint} endpoint: {detail}{hint}", hint = self.hint())]
    MissingScopes {
        /// The endpoint.
        endpoint: &'static str,
        /// Scopes of which one is needed.
        scopes: Vec<String>,
        /// HubSpot's words, with the correlation id.
        detail: String,
    },
    /// The day's calls are used up.
    #[error(
        "the portal's daily limit of API calls is reached; run again after midnight in the portal's time zone{at} ({detail})",
        at = told(*resume_at)
    )]
    DailyLimit {
        /// HubSpot's words, with the correlation id.
        detail: String,
        /// When the limit is reset, where that is known.
        resume_at: Option<DateTime<Utc>>,
    },
    /// What is left of the day is kept for others.
    #[error(
        "{left} of the portal's {limit} API calls a day are left, which daily_reserve keeps for other apps; run again after midnight in the portal's time zone{at}",
        at = told(*resume_at)
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
    #[error("HubSpot is migrating this portal; try again in {wait_secs} s ({detail})")]
    Migrating {
        /// What Retry-After says, in seconds.
        wait_secs: u64,
        /// HubSpot's words, with the correlation id.
        detail: String,
    },
    /// Any other answer that repeating does not change.
    #[error("HubSpot answered {status} to {endpoint}: {detail}")]
    Refused {
        /// The endpoint.
        endpoint: &'static str,
        /// The status code.
        status: u16,
        /// HubSpot's words, with the correlation id.
        detail: String,
        /// HubSpot's own name for the reason, and the id that its support asks for.
        reason: Box<Reason>,
    },
    /// Answers that say "later", to the last try.
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
    /// No whole answer, to the last try.
    #[error("{host} gave no whole answer to {endpoint} ({tries} tries): {reason}")]
    Unreachable {
        /// The endpoint.
        endpoint: &'static str,
        /// The host.
        host: String,
        /// What the transport says.
        reason: String,
        /// How often it was sent.
        tries: u32,
    },
    /// A success that makes no sense, to the last try.
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
    /// The access token has had its time.
    Expired,
    /// HubSpot does not know the access token: it never did, or it was revoked or rotated.
    Unknown,
    /// A token that the OAuth grant has just brought is refused.
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

    fn of(status: u16, category: &str, oauth: bool) -> Self {
        match (status, category) {
            _ if oauth => Self::NewTokenRefused,
            (_, "EXPIRED_AUTHENTICATION") => Self::Expired,
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
fn told(resume_at: Option<DateTime<Utc>>) -> String {
    resume_at.map_or_else(String::new, |at| format!(", at {}", at.to_rfc3339_opts(SecondsFormat::Secs, true)))
}

/// Why HubSpot refused, in its own terms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reason {
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
    pub(super) fn refused(request: &Request, answer: &Answer, oauth: bool) -> Self {
        let body = answer.error_body();
        let words = body.message.clone().or_else(|| body.error_description.clone());
        let words = words.unwrap_or_else(|| match answer.body.iter().find(|byte| !byte.is_ascii_whitespace()) {
            None => "no body".to_owned(),
            // What was to be JSON may hold a customer's values.
            Some(b'{' | b'[' | b'"') => "an answer that says nothing of an error".to_owned(),
            Some(_) => format!("an answer that is not JSON: {}", first_words(&answer.body)),
        });
        let detail = match &body.correlation_id {
            Some(id) => format!("{}; correlationId {id}", words.trim_end_matches('.')),
            None => words.trim_end_matches('.').to_owned(),
        };
        let endpoint = request.endpoint.label();
        let category = body.category.as_deref().unwrap_or_default();
        match (answer.status, answer.failure().limit()) {
            // 530: the edge does not even take the token for one.
            (400 | 401, _) if request.endpoint == Endpoint::Token => {
                Self::Unauthorized { detail, fault: CredentialFault::of_grant(body.status()) }
            }
            (status @ (401 | 530), _) => {
                Self::Unauthorized { detail, fault: CredentialFault::of(status, category, oauth) }
            }
            (403, _) if category == "MISSING_SCOPES" || !body.required_scopes().is_empty() => {
                Self::MissingScopes { endpoint, scopes: body.required_scopes(), detail }
            }
            (429, Some(Limit::Daily)) => Self::DailyLimit { detail, resume_at: None },
            (477, _) => {
                let wait = answer.failure().retry_after().unwrap_or(Duration::from_secs(24 * 3600));
                Self::Migrating { wait_secs: wait.as_secs(), detail }
            }
            (status, _) if answer.failure().is_passing() => Self::Failing { endpoint, status, detail, tries: 1 },
            (status, _) => {
                let reason = Box::new(Reason {
                    message: words,
                    category: category.to_owned(),
                    correlation_id: body.correlation_id.clone().unwrap_or_default(),
                });
                Self::Refused { endpoint, status, detail, reason }
            }
        }
    }

    pub(super) fn malformed(request: &Request, malformed: Malformed) -> Self {
        Self::Malformed { endpoint: request.endpoint.label(), reason: malformed.0, tries: 1 }
    }

    /// Of an answer that was taken and then contradicts what is known.
    pub(super) fn unusable(endpoint: Endpoint, reason: String) -> Self {
        Self::Malformed { endpoint: endpoint.label(), reason, tries: 1 }
    }

    /// Of a list that leads back to where it has been.
    pub fn circle(cursor: &str) -> Self {
        Self::unusable(Endpoint::List, format!("its pages lead back to {cursor}"))
    }

    /// Of records that no answer mentions, however they are asked for.
    pub fn silent(count: usize, object_type: &str) -> Self {
        Self::unusable(Endpoint::BatchRead, format!("it says nothing about {count} {object_type} that exist"))
    }

    /// The error with the number of tries it took, and when the daily quota begins anew.
    pub(super) fn after(mut self, sent: u32, quota_resets_at: Option<DateTime<Utc>>) -> Self {
        match &mut self {
            Self::DailyLimit { resume_at, .. } => *resume_at = quota_resets_at,
            Self::Failing { tries, .. } | Self::Unreachable { tries, .. } | Self::Malformed { tries, .. } => {
                *tries = sent
            }
            _ => {}
        }
        self
    }

    /// The status code, for the few callers to whom one means something.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } | Self::Failing { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// From when on a run of the same portal can succeed, where the error is one of time and that is known.
    pub fn resume_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::DailyLimit { resume_at, .. } | Self::DailyReserve { resume_at, .. } => *resume_at,
            _ => None,
        }
    }

    /// Whether what was asked for may have been done all the same.
    pub fn is_unknown_outcome(&self) -> bool {
        matches!(self, Self::Failing { .. } | Self::Unreachable { .. } | Self::Malformed { .. })
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

fn first_words(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(MAX_SHOWN)]);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
