//! The last step of an answer: headers, compression, and faults of the body.

use std::io::Write;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::StreamExt;
use futures_util::stream;
use serde_json::{Value, json};

use crate::clock::{Millis, SECOND, http_date, instant_text};
use crate::cursor;
use crate::faults::Fault;
use crate::reply::{Errors, Reply};

/// Smaller bodies are not worth compressing.
const GZIP_MIN: usize = 1_024;

/// The answer of a fault that keeps the request from being carried out.
pub(crate) fn faulty(fault: &Fault, now: Millis, errors: &Errors) -> Reply {
    match fault {
        Fault::Status { code, headers, body } => {
            let mut reply = match body {
                Some(body) => Reply::bytes(*code, body.clone().into_bytes()),
                None => errors.plain(*code, "internal error"),
            };
            reply.headers.extend(headers.iter().cloned());
            reply
        }
        Fault::RateLimited { limit, retry_after } => {
            let reply = errors.rate_limited(*limit);
            match retry_after {
                Some(seconds) => reply.header("Retry-After", seconds),
                None => reply,
            }
        }
        Fault::ExpiredToken => errors.expired(1, &instant_text(now - 1_000)),
        Fault::Html(code) => Reply::html(*code, "Bad Gateway"),
        Fault::NotJson => Reply::bytes(200, b"<!doctype html><title>Just a moment...</title>".to_vec()),
        _ => Reply::bytes(200, Vec::new()),
    }
}

/// Turns a reply into what goes out; `gzip` is whether compressing is wanted.
pub(crate) fn respond(reply: Reply, errors: &Errors, now: Millis, gzip: bool, fault: Option<&Fault>) -> Response<Body> {
    let content_type = if reply.html { "text/html" } else { "application/json;charset=utf-8" };
    let mut response = Response::builder()
        .status(reply.status)
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
    for (name, value) in &reply.headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            response = response.header(name, value);
        }
    }
    let mut body = Bytes::from(reply.body);
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

/// Spoils the JSON of an answer that was already made.
pub(crate) fn distort_json(fault: &Fault, body: &mut Value) {
    let first = body["results"][0]["id"].as_str().map(str::to_owned);
    match fault {
        Fault::ResultsMissing => {
            body.as_object_mut().map(|body| body.shift_remove("results"));
        }
        Fault::ResultsNotAnArray => body["results"] = json!({"0": {}}),
        Fault::EmptyPage => {
            body["results"] = json!([]);
            body.as_object_mut().map(|body| body.shift_remove("paging"));
        }
        Fault::CursorBackwards => {
            // The cursors of owners mean nothing to the caller.
            let of_owners = body["results"][0]["userId"].is_number();
            let first = first.unwrap_or_else(|| "0".to_owned());
            let after = if of_owners { cursor::encode("owners:0") } else { first };
            body["paging"] = json!({"next": {"after": after}});
        }
        Fault::IdsOutOfOrder => {
            if let Some(results) = body["results"].as_array_mut() {
                results.reverse();
            }
        }
        Fault::RecordMissing => {
            if let Some(results) = body["results"].as_array_mut().filter(|results| !results.is_empty()) {
                results.remove(results.len() / 2);
            }
        }
        Fault::PagingMissing => {
            body.as_object_mut().map(|body| body.shift_remove("paging"));
        }
        Fault::TotalOff(by) => {
            if let Some(total) = body["total"].as_i64() {
                body["total"] = json!((total + by).max(0));
            }
        }
        Fault::LeaveOut { every, category } => leave_out(body, *every, category.as_deref()),
        Fault::SetMember { path, value } => set_member(body, path, Some(value)),
        Fault::RemoveMember(path) => set_member(body, path, None),
        _ => {}
    }
}

/// Leaves results out of a batch's answer.
fn leave_out(body: &mut Value, every: u64, category: Option<&str>) {
    let id_of = |result: &Value| {
        let id = if result["id"].is_null() { &result["from"]["id"] } else { &result["id"] };
        id.as_u64().or_else(|| id.as_str()?.parse().ok()).unwrap_or(1)
    };
    let Some(results) = body["results"].as_array_mut() else { return };
    let left: Vec<String> = results
        .extract_if(.., |result| id_of(result).is_multiple_of(every))
        .map(|result| id_of(&result).to_string())
        .collect();
    let Some(category) = category.filter(|_| !left.is_empty()) else { return };
    let error = json!({
        "status": "error", "category": category, "message": "There was a problem with the request.",
        "context": {"fromObjectId": left, "ids": left},
    });
    match body["errors"].as_array_mut() {
        Some(errors) => errors.push(error),
        None => body["errors"] = json!([error]),
    }
}

/// Sets or takes out the members that a path leads to.
fn set_member(body: &mut Value, path: &str, value: Option<&Value>) {
    let (first, rest) = path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
    if first == "*" {
        let Some(rest) = rest else { return };
        body.as_array_mut().into_iter().flatten().for_each(|element| set_member(element, rest, value));
        return;
    }
    let next = match body {
        Value::Array(elements) => first.parse().ok().and_then(|index: usize| elements.get_mut(index)),
        Value::Object(members) if rest.is_none() => {
            match value {
                Some(value) => drop(members.insert(first.to_owned(), value.clone())),
                None => drop(members.shift_remove(first)),
            }
            return;
        }
        Value::Object(members) => members.get_mut(first),
        _ => None,
    };
    match (next, rest) {
        (Some(next), Some(rest)) => set_member(next, rest, value),
        (Some(next), None) => *next = value.cloned().unwrap_or_default(),
        (None, _) => {}
    }
}

fn compressed(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 6), Compression::fast());
    // Writing into a vector cannot fail.
    drop(encoder.write_all(body));
    Bytes::from(encoder.finish().unwrap_or_default())
}

/// Half of the body, then a broken connection.
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

/// The body, then blanks for ever.
fn endless(body: Bytes) -> Body {
    let most = body.len().saturating_sub(1);
    let blanks = stream::repeat(Bytes::from_static(&[b' '; 256])).then(async |blank| {
        tokio::time::sleep(Duration::from_millis(20)).await;
        blank
    });
    let head = stream::once(async move { body.slice(..most) });
    Body::from_stream(head.chain(blanks).map(Ok::<_, std::convert::Infallible>))
}
