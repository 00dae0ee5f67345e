//! HubSpot's responses.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use reqwest::header::{DATE, HeaderMap, LOCATION, RETRY_AFTER};
use serde_json::{Map, Value};

use super::buffer::Buffer;
use super::error::{ClientError, chain};
use super::meaning::{Meaning, meaning};
use super::request::{Endpoint, Request};
use super::retry::{Limit, RequestFailure};

/// No response of HubSpot is larger: 100 records of 10 KB are 1 MB. A body that never ends is cut off here.
const MAX_BODY_BYTES: usize = 512 << 20;

/// A whole response.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) body: Bytes,
    pub(super) date: Option<DateTime<Utc>>,
    pub(super) limits: LimitHeaders,
    /// The id that HubSpot's support asks for; in a header of every response.
    pub(super) correlation_id: Option<String>,
    /// Where a redirect leads.
    pub(super) location: Option<String>,
    retry_after: Option<Duration>,
}

/// The rate-limit headers; search and association answers carry no interval ones, OAuth apps no daily ones.
#[derive(Debug, Default, Clone)]
pub(super) struct LimitHeaders {
    pub(super) max_per_window: Option<u32>,
    pub(super) window: Option<Duration>,
    pub(super) daily_limit: Option<u64>,
    pub(super) daily_remaining: Option<u64>,
}

/// HubSpot's error body; any member may be absent or of another type, and then hides nothing of the rest.
#[derive(Debug, Default)]
pub(super) struct ErrorBody(Map<String, Value>);

/// Why there is no whole response.
#[derive(Debug)]
pub(super) enum TransportError {
    /// The request was not sent: DNS, connection or TLS failed.
    NotSent(reqwest::Error),
    /// It may have been received: reset, timeout, broken body.
    Interrupted(reqwest::Error),
    /// The body is larger than [`MAX_BODY_BYTES`].
    TooLarge,
}

impl Response {
    /// Sends the request and reads the whole response.
    pub(super) async fn read(builder: reqwest::RequestBuilder) -> Result<Self, TransportError> {
        let failed = |error: reqwest::Error| {
            if error.is_connect() || error.is_builder() {
                TransportError::NotSent(error)
            } else {
                TransportError::Interrupted(error)
            }
        };
        let mut response = builder.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let headers = response.headers();
        let date = header(headers, DATE.as_str())
            .and_then(|text| DateTime::parse_from_rfc2822(text).ok())
            .map(|date| date.to_utc());
        let retry_after = header(headers, RETRY_AFTER.as_str()).and_then(|text| wait(text, date));
        let location = header(headers, LOCATION.as_str()).map(|target| without_query(target).to_owned());
        let limits = LimitHeaders::of(headers);
        let correlation_id = header(headers, "x-hubspot-correlation-id").map(str::to_owned);
        let expected = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        let mut body = Buffer::with_capacity(expected.min(MAX_BODY_BYTES));
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MAX_BODY_BYTES {
                return Err(TransportError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Self { status, body: Bytes::from_owner(body), date, limits, correlation_id, location, retry_after })
    }

    pub(super) fn is_success(&self) -> bool {
        // 207 is a partial success, whose errors the endpoint's decoder reads.
        (200..300).contains(&self.status)
    }

    /// The error body; none where the answer is HTML, nothing or otherwise no JSON object.
    pub(super) fn error_body(&self) -> Option<ErrorBody> {
        serde_json::from_slice(&self.body).ok().map(ErrorBody)
    }

    /// What an error response means.
    pub(super) fn meaning(&self, endpoint: Endpoint) -> Meaning {
        meaning(endpoint, self.status, self.error_body().is_some())
    }

    /// What the retry decision needs to know of an error response.
    pub(super) fn failure(&self, endpoint: Endpoint) -> RequestFailure {
        let limit = (self.status == 429).then(|| self.limit());
        RequestFailure::Status {
            status: self.status,
            meaning: self.meaning(endpoint),
            limit,
            retry_after: self.retry_after,
        }
    }

    /// The limit that a 429 names.
    pub(super) fn limit(&self) -> Limit {
        self.error_body().unwrap_or_default().limit()
    }

    /// What Retry-After says.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl TransportError {
    pub(super) fn failure(&self) -> RequestFailure {
        match self {
            Self::NotSent(_) => RequestFailure::NotSent,
            Self::Interrupted(_) | Self::TooLarge => RequestFailure::Interrupted,
        }
    }

    pub(super) fn into_error(self, request: &Request) -> ClientError {
        let reason = match &self {
            Self::NotSent(error) | Self::Interrupted(error) => chain(error),
            Self::TooLarge => format!("the answer passes {} MiB", MAX_BODY_BYTES >> 20),
        };
        let (endpoint, host) = (request.endpoint.label(), host(&request.url));
        let is_sent = !matches!(self, Self::NotSent(_));
        ClientError::Unreachable { endpoint, host, reason, is_sent, tries: 1 }
    }
}

impl LimitHeaders {
    fn of(headers: &HeaderMap) -> Self {
        let number = |name: &str| number(headers, name);
        Self {
            max_per_window: number("x-hubspot-ratelimit-max").and_then(|max| u32::try_from(max).ok()),
            window: number("x-hubspot-ratelimit-interval-milliseconds").map(Duration::from_millis),
            daily_limit: number("x-hubspot-ratelimit-daily"),
            daily_remaining: number("x-hubspot-ratelimit-daily-remaining"),
        }
    }
}

impl ErrorBody {
    /// HubSpot's words, or OAuth's: `{"error": "invalid_grant", "error_description": …}`.
    pub(super) fn words(&self) -> Option<&str> {
        self.text("message").or_else(|| self.text("error_description"))
    }

    /// `VALIDATION_ERROR`, `MISSING_SCOPES`, …; empty where there is none.
    pub(super) fn category(&self) -> &str {
        self.text("category").unwrap_or_default()
    }

    pub(super) fn correlation_id(&self) -> Option<&str> {
        self.text("correlationId")
    }

    /// The kind of error, as the token endpoint names it: `BAD_REFRESH_TOKEN` and the like.
    pub(super) fn status(&self) -> &str {
        self.text("status").unwrap_or_default()
    }

    /// Which limit a 429 names: in `policyName`, or in the text alone (search).
    fn limit(&self) -> Limit {
        let [policy, message] = ["policyName", "message"].map(|name| self.text(name).unwrap_or_default());
        let text = format!("{policy} {message}").to_ascii_lowercase();
        if text.contains("daily") {
            Limit::Daily
        } else if text.contains("ten_secondly") {
            Limit::TenSecondly
        } else {
            Limit::Secondly
        }
    }

    /// The scopes of which one would do: from a MISSING_SCOPES answer's lists, or the one that the words name in quotes
    /// (`… auth request is missing required 'crm.objects.owners.read' scope`).
    pub(super) fn required_scopes(&self) -> Vec<String> {
        let mut scopes: Vec<String> = Vec::new();
        for error in self.0.get("errors").and_then(Value::as_array).into_iter().flatten() {
            for list in [&error["context"]["requiredGranularScopes"], &error["context"]["requiredScopes"]] {
                scopes.extend(list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
            }
        }
        let message = self.words().filter(|words| words.contains("scope")).unwrap_or_default();
        if scopes.is_empty() {
            let in_quotes = message.split('\'').skip(1).step_by(2);
            scopes.extend(in_quotes.filter(|word| !word.contains(' ') && !word.is_empty()).map(str::to_owned));
        }
        scopes.dedup();
        scopes
    }

    /// The data centre that has the portal, from a 488: `eu1`.
    pub(super) fn correct_hublet(&self) -> Option<String> {
        fn find<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
            match value {
                Value::Object(members) => {
                    members.get(name).or_else(|| members.values().find_map(|member| find(member, name)))
                }
                Value::Array(values) => values.iter().find_map(|value| find(value, name)),
                _ => None,
            }
        }
        let found = self.0.values().find_map(|member| find(member, "correctHublet"));
        let found = self.0.get("correctHublet").or(found)?;
        let text = found.as_str().or_else(|| found.get(0)?.as_str())?;
        Some(text.to_owned())
    }

    /// The properties that `request` asks for and the answer names: in quotes or in its context, else in its words.
    pub(super) fn denied_properties(&self, request: &Request) -> Vec<String> {
        let message = self.words().unwrap_or_default();
        let details = ["context", "errors"].iter().filter_map(|name| self.0.get(*name)).map(Value::to_string);
        let text = details.fold(message.to_owned(), |text, detail| text + " " + &detail);
        if self.category() == "MISSING_SCOPES" || !text.to_ascii_lowercase().contains("propert") {
            return Vec::new();
        }
        let is_name = |one: char| one.is_alphanumeric() || "_-.".contains(one);
        let asked = |words: Vec<&str>| {
            let words = words.into_iter().map(|word| word.trim_end_matches('.'));
            let asked = words.filter(|word| !word.is_empty() && request.asks_for(word)).map(str::to_owned);
            let mut names: Vec<String> = asked.collect();
            names.sort_unstable();
            names.dedup();
            names
        };
        let named = asked(text.split(['\'', '"', '`']).filter(|part| part.chars().all(is_name)).collect());
        if named.is_empty() { asked(message.split(|one| !is_name(one)).collect()) } else { named }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }
}

/// Retry-After in either form: seconds, or the instant in HTTP's format.
fn wait(text: &str, date: Option<DateTime<Utc>>) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let at = DateTime::parse_from_rfc2822(text).ok()?.to_utc();
    (at - date.unwrap_or_else(Utc::now)).to_std().ok()
}

/// A target without its query, which may be thousands of property names.
fn without_query(target: &str) -> &str {
    target.split(['?', '#']).next().unwrap_or(target)
}

fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest).to_owned()
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    header(headers, name)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> ErrorBody {
        serde_json::from_str(text).map(ErrorBody).expect("a JSON object")
    }

    #[test]
    fn scopes_are_found_wherever_hubspot_names_them() {
        for (text, scopes) in [
            (
                r#"{"category":"MISSING_SCOPES","errors":[{"context":{"requiredGranularScopes":["a","b"]}}]}"#,
                &["a", "b"][..],
            ),
            (r#"{"errors":[{"context":{"requiredScopes":["c"]}}]}"#, &["c"]),
            (r#"{"message":"This auth request is missing required 'crm.lists.read' scope"}"#, &["crm.lists.read"]),
            (r#"{"message":"This oauth-token (1-2) does not have proper permissions!"}"#, &[]),
            (r#"{"category":"MISSING_SCOPES","message":7,"errors":{}}"#, &[]),
        ] {
            assert_eq!(body(text).required_scopes(), scopes, "{text}");
        }
    }

    #[test]
    fn a_data_centre_is_found_wherever_hubspot_names_it() {
        for (text, hublet) in [
            (r#"{"correctHublet":"eu1"}"#, Some("eu1")),
            (r#"{"context":{"correctHublet":["na2"]}}"#, Some("na2")),
            (r#"{"errors":[{"context":{"correctHublet":["ap1"]}}]}"#, Some("ap1")),
            (r#"{"message":"Hub 7 is unknown to this Hublet"}"#, None),
        ] {
            assert_eq!(body(text).correct_hublet().as_deref(), hublet, "{text}");
        }
    }

    #[test]
    fn properties_are_denied_only_where_they_were_asked_for_and_are_spoken_of() {
        let url = "http://h/crm/objects/2026-03/tickets?limit=1&properties=subject,health_no,app";
        let request = Request::get(Endpoint::List, url.to_owned());
        for (text, names) in [
            (r#"{"message":"The scope of property 'health_no' was not granted"}"#, &["health_no"][..]),
            (r#"{"message":"not allowed","context":{"propertyName":["health_no","other"]}}"#, &["health_no"]),
            (r#"{"message":"No access to properties health_no, subject."}"#, &["health_no", "subject"]),
            (r#"{"message":"This app may not read app"}"#, &[]),
            (r#"{"category":"MISSING_SCOPES","message":"no property app"}"#, &[]),
        ] {
            assert_eq!(body(text).denied_properties(&request), names, "{text}");
        }
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let now = DateTime::parse_from_rfc2822("Wed, 25 Nov 2026 10:00:00 GMT").ok().map(|at| at.to_utc());
        for (text, seconds) in [
            ("7", Some(7.0)),
            ("0.5", Some(0.5)),
            ("Wed, 25 Nov 2026 10:00:30 GMT", Some(30.0)),
            ("Wed, 25 Nov 2026 09:00:00 GMT", None),
            ("-1", None),
            ("soon", None),
        ] {
            assert_eq!(wait(text, now), seconds.map(Duration::from_secs_f64), "{text}");
        }
    }
}
