//! Builds the HTTP response: headers, compression, and faults of the body.

use std::io::Write;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::StreamExt;
use futures_util::stream;

use crate::api_response::ApiResponse;
use crate::clock::{Millis, SECOND, http_date};
use crate::error_responses::ErrorResponses;
use crate::faults::Fault;

/// Smaller bodies are not worth compressing.
const GZIP_MIN: usize = 1_024;

/// Builds the HTTP response; `gzip` is whether the client accepts compression and the options allow it.
pub(crate) fn build(
    api_response: ApiResponse,
    errors: &ErrorResponses,
    now: Millis,
    gzip: bool,
    fault: Option<&Fault>,
) -> Response<Body> {
    let content_type = if api_response.html { "text/html" } else { "application/json;charset=utf-8" };
    let mut response = Response::builder()
        .status(api_response.status)
        .header(header::CONTENT_TYPE, content_type)
        .header("X-HubSpot-Correlation-Id", &errors.correlation_id)
        .header(header::SERVER, "cloudflare");
    let date = match fault {
        Some(Fault::Date { ahead_secs }) => ahead_secs.map(|seconds| now + seconds * SECOND),
        _ => Some(now),
    };
    if let Some(date) = date {
        response = response.header(header::DATE, http_date(date));
    }
    for (name, value) in &api_response.headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            response = response.header(name, value);
        }
    }
    let mut body = Bytes::from(api_response.body);
    if gzip && body.len() > GZIP_MIN {
        response = response.header(header::CONTENT_ENCODING, "gzip").header(header::VARY, "Accept-Encoding");
        body = compressed(&body);
    }
    let body = match fault {
        Some(Fault::ResetMidBody) => cut_short(body),
        Some(Fault::EndlessBody) => endless(body),
        _ => Body::from(body),
    };
    response.body(body).unwrap_or_default()
}

fn compressed(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 6), Compression::fast());
    // Writing into a vector cannot fail.
    drop(encoder.write_all(body));
    Bytes::from(encoder.finish().unwrap_or_default())
}

/// Half of the body, then a connection reset.
fn cut_short(body: Bytes) -> Body {
    let half = body.slice(..body.len() / 2);
    let pieces = [Ok(half), Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))];
    // The half must leave before the error is seen.
    Body::from_stream(stream::iter(pieces).then(async |piece| {
        if piece.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        piece
    }))
}

/// The body without its last byte, then blanks without end.
fn endless(body: Bytes) -> Body {
    let most = body.len().saturating_sub(1);
    let blanks = stream::repeat(Bytes::from_static(&[b' '; 256])).then(async |blank| {
        tokio::time::sleep(Duration::from_millis(20)).await;
        blank
    });
    let head = stream::once(async move { body.slice(..most) });
    Body::from_stream(head.chain(blanks).map(Ok::<_, std::convert::Infallible>))
}
