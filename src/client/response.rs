//! HubSpot's responses.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use reqwest::header::{DATE, HeaderMap, LOCATION, RETRY_AFTER};

use super::buffer::Buffer;
use super::error_body::ErrorBody;
use super::meaning::{Meaning, meaning};
use super::request::Endpoint;
use super::retry::{Limit, RequestFailure};
use super::transport_error::{MAX_BODY_BYTES, TransportError};

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
        serde_json::from_slice(&self.body).ok()
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

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    header(headers, name)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

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
