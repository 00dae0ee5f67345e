//! What HubSpot answered.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use serde_json::Value;

use super::buffer::Buffer;
use super::error::{ClientError, chain};
use super::request::Request;
use super::retry::{Failure, Limit};

/// No answer of HubSpot is larger: 100 records of 10 KB are 1 MB. A body that never ends stops here.
const MAX_BODY_BYTES: usize = 512 << 20;

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
    pub(super) date: Option<DateTime<Utc>>,
    pub(super) limits: LimitHeaders,
    /// What HubSpot's support asks for; in the header of every answer.
    pub(super) correlation_id: Option<String>,
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

/// HubSpot's error body; every field optional, as its documentation says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ErrorBody {
    pub(super) message: Option<String>,
    pub(super) category: Option<String>,
    #[serde(rename = "correlationId")]
    pub(super) correlation_id: Option<String>,
    #[serde(rename = "policyName")]
    policy_name: Option<String>,
    /// `error`; of the token endpoint `BAD_REFRESH_TOKEN` and the like. Any JSON, so that it never hides the rest.
    status: Value,
    /// OAuth's own shape: `{"error": "invalid_grant", "error_description": …}`.
    pub(super) error_description: Option<String>,
    errors: Vec<Value>,
}

/// Why there is no whole answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// The request never left: DNS, connection or TLS.
    NotSent(reqwest::Error),
    /// It may have arrived: reset, timeout, broken body.
    Broken(reqwest::Error),
    /// The body passed its bound.
    Endless,
}

impl Answer {
    /// Sends the request and reads the answer to its end.
    pub(super) async fn read(builder: reqwest::RequestBuilder) -> Result<Self, NoAnswer> {
        let broken = |error: reqwest::Error| {
            if error.is_connect() || error.is_builder() { NoAnswer::NotSent(error) } else { NoAnswer::Broken(error) }
        };
        let mut response = builder.send().await.map_err(broken)?;
        let status = response.status().as_u16();
        let headers = response.headers();
        let date = header(headers, DATE.as_str())
            .and_then(|text| DateTime::parse_from_rfc2822(text).ok())
            .map(|date| date.to_utc());
        let retry_after = number(headers, RETRY_AFTER.as_str()).map(Duration::from_secs);
        let limits = LimitHeaders::of(headers);
        let correlation_id = header(headers, "x-hubspot-correlation-id").map(str::to_owned);
        let expected = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        let mut body = Buffer::with_capacity(expected.min(MAX_BODY_BYTES));
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if body.len() + chunk.len() > MAX_BODY_BYTES {
                return Err(NoAnswer::Endless);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Self { status, body: Bytes::from_owner(body), date, limits, correlation_id, retry_after })
    }

    pub(super) fn is_success(&self) -> bool {
        // 207 is a partial success, whose errors the endpoint's decoder reads.
        (200..300).contains(&self.status)
    }

    /// The error body; empty where the answer is HTML or nothing.
    pub(super) fn error_body(&self) -> ErrorBody {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// What the retry decision needs to know of an answer that is no success.
    pub(super) fn failure(&self) -> Failure {
        let body = self.error_body();
        let limit = (self.status == 429).then(|| body.limit());
        Failure::Status { status: self.status, limit, retry_after: self.retry_after }
    }
}

impl NoAnswer {
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::NotSent(_) => Failure::NotSent,
            Self::Broken(_) | Self::Endless => Failure::Broken,
        }
    }

    pub(super) fn into_error(self, request: &Request) -> ClientError {
        let reason = match &self {
            Self::NotSent(error) | Self::Broken(error) => chain(error),
            Self::Endless => format!("the answer passes {} MiB", MAX_BODY_BYTES >> 20),
        };
        ClientError::Unreachable { endpoint: request.endpoint.label(), host: host(&request.url), reason, tries: 1 }
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
    /// Which limit a 429 names: in `policyName`, or in the text alone (search).
    fn limit(&self) -> Limit {
        let text = format!(
            "{} {}",
            self.policy_name.as_deref().unwrap_or_default(),
            self.message.as_deref().unwrap_or_default()
        )
        .to_ascii_lowercase();
        if text.contains("daily") {
            Limit::Daily
        } else if text.contains("ten_secondly") {
            Limit::TenSecondly
        } else {
            Limit::Secondly
        }
    }

    /// What kind of error it is, as the token endpoint says it.
    pub(super) fn status(&self) -> &str {
        self.status.as_str().unwrap_or_default()
    }

    /// The scopes of which one would do, from a MISSING_SCOPES answer.
    pub(super) fn required_scopes(&self) -> Vec<String> {
        let lists = self
            .errors
            .iter()
            .flat_map(|error| [&error["context"]["requiredGranularScopes"], &error["context"]["requiredScopes"]]);
        let mut scopes: Vec<String> =
            lists.filter_map(Value::as_array).flatten().filter_map(|scope| scope.as_str().map(str::to_owned)).collect();
        scopes.dedup();
        scopes
    }
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
