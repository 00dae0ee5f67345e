//! The `paging` of an answer.

use serde::Deserialize;
use serde_json::Value;

/// `paging` of an answer.
#[derive(Debug, Deserialize)]
pub(super) struct Paging {
    next: Option<Next>,
}

#[derive(Debug, Deserialize)]
struct Next {
    /// Text; some answers write a number.
    after: Value,
}

impl Paging {
    /// The cursor of the next page.
    pub(super) fn after(&self) -> Option<String> {
        match &self.next.as_ref()?.after {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }
}
