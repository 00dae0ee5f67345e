//! Answers, and the error bodies HubSpot sends.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use crate::limits::Pool;

/// One answer before headers and compression.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    pub(crate) html: bool,
    pub(crate) headers: Vec<(String, String)>,
}

impl Reply {
    pub(crate) fn bytes(status: u16, body: Vec<u8>) -> Self {
        Self { status, body, html: false, headers: Vec::new() }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::bytes(status, body.to_string().into_bytes())
    }

    /// What HubSpot's edge answers: no JSON, no correlation id in the body.
    pub(crate) fn html(status: u16, title: &str) -> Self {
        let body = format!(
            "<html>\r\n<head><title>{status} {title}</title></head>\r\n<body>\r\n\
             <center><h1>{status} {title}</h1></center>\r\n<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
        );
        Self { html: true, ..Self::bytes(status, body.into_bytes()) }
    }

    pub(crate) fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }
}

/// Writes the errors of one request, all with its correlation id.
#[derive(Clone, Debug)]
pub(crate) struct Errors {
    pub(crate) correlation_id: String,
}

impl Errors {
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

    fn reply(status: u16, body: Map<String, Value>) -> Reply {
        Reply::json(status, &Value::Object(body))
    }

    pub(crate) fn plain(&self, status: u16, message: &str) -> Reply {
        Self::reply(status, self.body(message))
    }

    pub(crate) fn with(&self, status: u16, message: &str, category: &str, context: Option<Value>) -> Reply {
        let mut body = self.body(message);
        if let Some(context) = context {
            body.insert("context".to_owned(), context);
        }
        body.insert("category".to_owned(), json!(category));
        Self::reply(status, body)
    }

    pub(crate) fn invalid(&self, message: &str) -> Reply {
        self.with(400, message, "VALIDATION_ERROR", None)
    }

    pub(crate) fn query_value(&self, name: &str) -> Reply {
        self.plain(400, &format!("Unable to parse value for query parameter: {name}"))
    }

    pub(crate) fn input_json(&self, error: &serde_json::Error) -> Reply {
        let (line, column) = (error.line(), error.column());
        self.plain(400, &format!("Invalid input JSON on line {line}, column {column}: {error}"))
    }

    pub(crate) fn not_found(&self, id: &str) -> Reply {
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

    pub(crate) fn unauthenticated(&self) -> Reply {
        let message = "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more details at https://developers.hubspot.com/docs/methods/auth/oauth-overview";
        self.with(401, message, "INVALID_AUTHENTICATION", None)
    }

    pub(crate) fn expired(&self, seconds: i64, at: &str) -> Reply {
        let message = format!("The OAuth token used to make this call expired {seconds} second(s) ago.");
        self.with(401, &message, "EXPIRED_AUTHENTICATION", Some(json!({"expire time": [at]})))
    }

    pub(crate) fn missing_scopes(&self, any_of: &[&str]) -> Reply {
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

    pub(crate) fn rate_limited(&self, limit: Limit) -> Reply {
        let name = match limit {
            Limit::Daily => "daily",
            Limit::TenSecondly => "ten_secondly_rolling",
            Limit::Secondly => "secondly",
        };
        let mut body = self.body(&format!("You have reached your {name} limit."));
        match limit {
            Limit::Daily => {
                body.shift_insert(2, "errorType".to_owned(), json!("RATE_LIMIT"));
                body.insert("policyName".to_owned(), json!("DAILY"));
                body.insert("requestId".to_owned(), json!(self.correlation_id));
            }
            Limit::TenSecondly => {
                body.shift_insert(2, "errorType".to_owned(), json!("RATE_LIMIT"));
                body.insert("policyName".to_owned(), json!("TEN_SECONDLY_ROLLING"));
                body.insert("groupName".to_owned(), json!("publicapi:private-app-api-calls-ten-secondly:6748263"));
            }
            // The search limit's body has neither error type nor policy.
            Limit::Secondly => {
                body.insert("category".to_owned(), json!("RATE_LIMITS"));
            }
        }
        Self::reply(429, body)
    }
}

/// Which limit a 429 names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Requests a day.
    Daily,
    /// Requests in ten seconds.
    TenSecondly,
    /// Searches in a second.
    Secondly,
}

impl Limit {
    pub(crate) fn of(pool: Pool) -> Self {
        if pool == Pool::Search { Self::Secondly } else { Self::TenSecondly }
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
