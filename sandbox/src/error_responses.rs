//! Error responses as HubSpot writes them.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use crate::api_response::ApiResponse;
use crate::pool::RateLimitKind;

/// Writes the errors of one request, all with its correlation id.
#[derive(Clone, Debug)]
pub(crate) struct ErrorResponses {
    pub(crate) correlation_id: String,
}

impl ErrorResponses {
    pub(crate) fn new() -> Self {
        Self { correlation_id: uuid() }
    }

    fn body(&self, message: &str) -> Map<String, Value> {
        let mut body = Map::new();
        body.insert("status".to_owned(), json!("error"));
        body.insert("message".to_owned(), json!(message));
        body.insert("correlationId".to_owned(), json!(self.correlation_id));
        body
    }

    fn reply(status: u16, body: Map<String, Value>) -> ApiResponse {
        ApiResponse::json(status, &Value::Object(body))
    }

    pub(crate) fn plain(&self, status: u16, message: &str) -> ApiResponse {
        Self::reply(status, self.body(message))
    }

    pub(crate) fn with(&self, status: u16, message: &str, category: &str, context: Option<Value>) -> ApiResponse {
        let mut body = self.body(message);
        if let Some(context) = context {
            body.insert("context".to_owned(), context);
        }
        body.insert("category".to_owned(), json!(category));
        Self::reply(status, body)
    }

    pub(crate) fn invalid(&self, message: &str) -> ApiResponse {
        self.with(400, message, "VALIDATION_ERROR", None)
    }

    pub(crate) fn query_value(&self, name: &str) -> ApiResponse {
        self.plain(400, &format!("Unable to parse value for query parameter: {name}"))
    }

    pub(crate) fn input_json(&self, error: &serde_json::Error) -> ApiResponse {
        let (line, column) = (error.line(), error.column());
        self.plain(400, &format!("Invalid input JSON on line {line}, column {column}: {error}"))
    }

    pub(crate) fn not_found(&self, id: &str) -> ApiResponse {
        if id == "0" {
            let context = json!({"id": [id]});
            return self.with(
                404,
                "Object not found. objectId is usually positive.",
                "OBJECT_NOT_FOUND",
                Some(context),
            );
        }
        if id.parse::<u64>().is_err() {
            let context = json!({"id": [id]});
            return self.with(
                404,
                "Object not found.  objectId are usually numeric.",
                "OBJECT_NOT_FOUND",
                Some(context),
            );
        }
        self.plain(404, "resource not found")
    }

    pub(crate) fn unauthenticated(&self) -> ApiResponse {
        let message = "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more details at https://developers.hubspot.com/docs/methods/auth/oauth-overview";
        self.with(401, message, "INVALID_AUTHENTICATION", None)
    }

    pub(crate) fn expired(&self, seconds: i64, at: &str) -> ApiResponse {
        let message = format!("The OAuth token used to make this call expired {seconds} second(s) ago.");
        self.with(401, &message, "EXPIRED_AUTHENTICATION", Some(json!({"expire time": [at]})))
    }

    pub(crate) fn missing_scopes(&self, any_of: &[&str]) -> ApiResponse {
        let mut body = self.body("This app hasn't been granted all required scopes to make this call. Read more about required scopes here: https://developers.hubspot.com/scopes.");
        body.insert(
            "errors".to_owned(),
            json!([{
                "message": "One or more of the following scopes are required.",
                "context": {"requiredGranularScopes": any_of},
            }]),
        );
        body.insert("links".to_owned(), json!({"scopes": "https://developers.hubspot.com/scopes"}));
        body.insert("category".to_owned(), json!("MISSING_SCOPES"));
        Self::reply(403, body)
    }

    pub(crate) fn rate_limited(&self, limit: RateLimitKind) -> ApiResponse {
        let name = match limit {
            RateLimitKind::Daily => "daily",
            RateLimitKind::TenSecondly => "ten_secondly_rolling",
            RateLimitKind::Secondly => "secondly",
        };
        let mut body = self.body(&format!("You have reached your {name} limit."));
        match limit {
            RateLimitKind::Daily => {
                body.shift_insert(2, "errorType".to_owned(), json!("RATE_LIMIT"));
                body.insert("policyName".to_owned(), json!("DAILY"));
                body.insert("requestId".to_owned(), json!(self.correlation_id));
            }
            RateLimitKind::TenSecondly => {
                body.shift_insert(2, "errorType".to_owned(), json!("RATE_LIMIT"));
                body.insert("policyName".to_owned(), json!("TEN_SECONDLY_ROLLING"));
                body.insert("groupName".to_owned(), json!("publicapi:private-app-api-calls-ten-secondly:6748263"));
            }
            // The search limit's body has neither error type nor policy.
            RateLimitKind::Secondly => {
                body.insert("category".to_owned(), json!("RATE_LIMITS"));
            }
        }
        Self::reply(429, body)
    }
}

pub(crate) fn uuid() -> String {
    let mut rng = Rng::new();
    let (high, low) = (rng.u64(..), rng.u64(..));
    format!(
        "{:08x}-{:04x}-7{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        0x8000 | ((low >> 48) & 0x3fff),
        low & 0xffff_ffff_ffff
    )
}
