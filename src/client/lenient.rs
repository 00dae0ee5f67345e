//! Members of an answer that are told and never needed: null, absent or of another type, they end nothing.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Text as it is, a number in its digits; empty for anything else.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(optional_text(deserializer)?.unwrap_or_default())
}

/// Text as it is, a number in its digits; none for anything else.
pub(super) fn optional_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

/// A whole number, also where it is written as text or with a fraction; none for anything else.
pub(super) fn optional_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(number(&Value::deserialize(deserializer)?))
}

/// The same of a value.
pub(super) fn number(value: &Value) -> Option<i64> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    let fraction = || {
        let number = text.parse::<f64>().ok().filter(|number| number.abs() < 1e15)?;
        #[expect(clippy::cast_possible_truncation, reason = "far below 2^63")]
        let whole = number.round() as i64;
        Some(whole)
    };
    text.parse().ok().or_else(fraction)
}

/// An id of a portal likewise.
pub(super) fn optional_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(optional_number(deserializer)?.and_then(|id| u64::try_from(id).ok()))
}

/// A value of any type that can be decoded; none for anything else.
pub(super) fn optional<'de, T: DeserializeOwned, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    let value = Value::deserialize(from)?;
    Ok(serde_json::from_value(value).ok())
}

/// A key: text or a number, and not empty.
pub(super) fn key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = text(deserializer)?;
    if text.is_empty() { Err(serde::de::Error::custom("a key is missing")) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_taken_in_every_form() {
        for (value, expected) in [
            (json!(-18_000_000), Some(-18_000_000)),
            (json!(-18_000_000.0), Some(-18_000_000)),
            (json!("-18000000"), Some(-18_000_000)),
            (json!(" 3.6e6 "), Some(3_600_000)),
            (json!(null), None),
            (json!("US/Eastern"), None),
            (json!({"offset": 1}), None),
            (json!(1e300), None),
        ] {
            assert_eq!(number(&value), expected, "{value}");
        }
    }
}
