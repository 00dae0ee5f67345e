//! The errors of responses: what HubSpot refused, and what its answers contradict.

use super::credential_fault::CredentialFault;
use super::error::{ClientError, RefusalReason};
use super::error_body::ErrorBody;
use super::malformed::Malformed;
use super::meaning::Meaning;
use super::request::{Endpoint, Request};
use super::response::Response;
use super::retry::Limit;
use super::scopes::scope_of;
use super::transport_error::TransportError;

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

    /// The error of a request that got no whole response.
    pub(super) fn unreachable(request: &Request, failed: &TransportError) -> Self {
        let (endpoint, host) = (request.endpoint.label(), host(&request.url));
        Self::Unreachable { endpoint, host, reason: failed.reason(), is_sent: failed.is_sent(), tries: 1 }
    }

    /// The error of a success that is not what HubSpot documents.
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
}

fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest).to_owned()
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
