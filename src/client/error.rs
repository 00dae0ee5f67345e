//! Why a call failed, by what the caller can do about it.

use std::time::Duration;

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
    /// The token is unknown, expired or revoked.
    #[error("HubSpot refused the credentials ({detail}){hint}", hint = self.hint())]
    Unauthorized {
        /// HubSpot's words, with the correlation id.
        detail: String,
        /// Whether an OAuth grant was used.
        oauth: bool,
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
        "the portal's daily limit of API calls is reached; it is reset at midnight in the portal's time zone ({detail})"
    )]
    DailyLimit {
        /// HubSpot's words, with the correlation id.
        detail: String,
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
    pub(super) fn refused(request: &Request, answer: &Answer) -> Self {
        let body = answer.error_body();
        let words = body.message.clone().or_else(|| body.error_description.clone());
        let words = words.unwrap_or_else(|| match answer.body.is_empty() {
            true => "no body".to_owned(),
            false => format!("an answer that is not JSON: {}", first_words(&answer.body)),
        });
        let detail = match &body.correlation_id {
            Some(id) => format!("{}; correlationId {id}", words.trim_end_matches('.')),
            None => words.trim_end_matches('.').to_owned(),
        };
        let endpoint = request.endpoint.label();
        let category = body.category.as_deref().unwrap_or_default();
        match (answer.status, answer.failure().limit()) {
            // 530: the edge does not even take the token for one.
            (401 | 530, _) => Self::Unauthorized { detail, oauth: false },
            (400, _) if request.endpoint == Endpoint::Token => Self::Unauthorized { detail, oauth: true },
            (403, _) if category == "MISSING_SCOPES" || !body.required_scopes().is_empty() => {
                Self::MissingScopes { endpoint, scopes: body.required_scopes(), detail }
            }
            (429, Some(Limit::Daily)) => Self::DailyLimit { detail },
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

    /// The error with the number of tries it took.
    pub(super) fn after(mut self, sent: u32) -> Self {
        match &mut self {
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

    /// Whether what was asked for may have been done all the same.
    pub fn is_unknown_outcome(&self) -> bool {
        matches!(self, Self::Failing { .. } | Self::Unreachable { .. } | Self::Malformed { .. })
    }

    fn hint(&self) -> String {
        match self {
            Self::Unauthorized { oauth: true, .. } => {
                "; check client_id, client_secret and refresh_token, or have the portal install the app again"
                    .to_owned()
            }
            Self::Unauthorized { oauth: false, .. } => {
                "; check access_token: copy it again from the private app or service key in HubSpot".to_owned()
            }
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
