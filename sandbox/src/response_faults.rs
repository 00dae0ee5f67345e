//! Applies faults to responses.

use serde_json::{Value, json};

use crate::api_response::ApiResponse;
use crate::clock::{Millis, instant_text};
use crate::cursor;
use crate::error_responses::ErrorResponses;
use crate::faults::Fault;

/// The response of a fault for which the request is not executed.
pub(crate) fn fault_response(fault: &Fault, now: Millis, errors: &ErrorResponses) -> ApiResponse {
    match fault {
        Fault::Status { code, headers, body } => {
            let mut response = match body {
                Some(body) => ApiResponse::bytes(*code, body.clone().into_bytes()),
                None => errors.plain(*code, "internal error"),
            };
            response.headers.extend(headers.iter().cloned());
            response
        }
        Fault::RateLimited { limit, retry_after } => {
            let response = errors.rate_limited(*limit);
            match retry_after {
                Some(seconds) => response.header("Retry-After", seconds),
                None => response,
            }
        }
        Fault::ExpiredToken => errors.expired(1, &instant_text(now - 1_000)),
        Fault::Html(code) => ApiResponse::html(*code, "Bad Gateway"),
        Fault::NotJson => ApiResponse::bytes(200, b"<!doctype html><title>Just a moment...</title>".to_vec()),
        _ => ApiResponse::bytes(200, Vec::new()),
    }
}

/// Changes the JSON of a successful response.
pub(crate) fn apply_to_json(fault: &Fault, body: &mut Value) {
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

/// Leaves results out of the response to a batch read.
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

/// Sets or removes the members at a path.
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
