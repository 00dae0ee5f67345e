//! One value: from the JSON token that HubSpot sent to the JSON token that a target reads.

use std::borrow::Cow;
use std::io::Write;

use chrono::{DateTime, Utc};

use super::Kind;
use super::id;
use super::instant::{format_instant, is_formatted, parse_date, parse_instant};
use super::number::{Precision, precision, push_number};
use super::text::{push_json_string, push_sanitised};

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It was written in its column's type.
    Value,
    /// There is none: null, or HubSpot's "" for a cleared one; `null` was written.
    Null,
    /// It does not fit the type; `null` was written, and the raw text belongs into `_unparsed`.
    Misfit,
    /// It was written, but its column rounds it: the raw text belongs into `_unparsed`, too.
    Rounded,
}

/// Appends the value whose JSON token is `token` (empty: absent) as a value of `kind`.
///
/// HubSpot sends strings or null; other tokens are taken for the text they show.
pub fn encode_value(kind: Kind, token: &str, out: &mut Vec<u8>) -> Fit {
    if matches!(token, "" | "null" | "\"\"") {
        out.extend_from_slice(b"null");
        return Fit::Null;
    }
    if kind == Kind::String {
        push_text(token, out);
        return Fit::Value;
    }
    if kind == Kind::Id {
        match plain_text(token).and_then(|text| id::digits(text.trim())) {
            Some(digits) => write!(out, "\"{digits}\"").expect("writing to a Vec does not fail"),
            // Text holds what is no id, too.
            None => push_text(token, out),
        }
        return Fit::Value;
    }
    let Some(text) = plain_text(token) else {
        out.extend_from_slice(b"null");
        return Fit::Misfit;
    };
    let text = text.trim();
    let begin = out.len();
    let written = match kind {
        Kind::Number | Kind::Decimal => push_number(text, out),
        Kind::Boolean => push_boolean(text, out),
        Kind::Date => push_date(text, out),
        Kind::DateTime => push_instant(text, out),
        Kind::String | Kind::Id | Kind::Ids | Kind::Object | Kind::Array => false,
    };
    match written.then(|| if kind == Kind::Decimal { precision(&out[begin..]) } else { Precision::Exact }) {
        Some(Precision::Exact) => return Fit::Value,
        Some(Precision::Rounded) => return Fit::Rounded,
        Some(Precision::OutOfRange) => out.truncate(begin),
        None => {}
    }
    out.extend_from_slice(b"null");
    Fit::Misfit
}

/// Reads the instant that a JSON token holds.
pub fn parse_instant_token(token: &str) -> Option<DateTime<Utc>> {
    parse_instant(plain_text(token)?.trim())
}

/// Appends the token's text as a JSON string.
fn push_text(token: &str, out: &mut Vec<u8>) {
    if token.starts_with('"') {
        push_sanitised(token, out);
    } else {
        push_json_string(token, out);
    }
}

/// The text of a token; none when it holds a lone surrogate.
fn plain_text(token: &str) -> Option<Cow<'_, str>> {
    match token.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        None => Some(Cow::Borrowed(token)),
        Some(inner) if !inner.contains('\\') => Some(Cow::Borrowed(inner)),
        Some(_) => serde_json::from_str(token).ok().map(Cow::Owned),
    }
}

fn push_boolean(text: &str, out: &mut Vec<u8>) -> bool {
    // Old custom properties hold "Yes" and "No".
    let value: &[u8] = if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("yes") {
        b"true"
    } else if text.eq_ignore_ascii_case("false") || text.eq_ignore_ascii_case("no") {
        b"false"
    } else {
        return false;
    };
    out.extend_from_slice(value);
    true
}

fn push_date(text: &str, out: &mut Vec<u8>) -> bool {
    let Some(date) = parse_date(text) else { return false };
    write!(out, "\"{date}\"").expect("writing to a Vec does not fail");
    true
}

fn push_instant(text: &str, out: &mut Vec<u8>) -> bool {
    if is_formatted(text) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return true;
    }
    let Some(instant) = parse_instant(text) else { return false };
    write!(out, "\"{}\"", format_instant(instant)).expect("writing to a Vec does not fail");
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(kind: Kind, token: &str) -> (String, Fit) {
        let mut out = Vec::new();
        let fit = encode_value(kind, token, &mut out);
        (String::from_utf8(out).expect("UTF-8"), fit)
    }

    #[test]
    fn null_and_empty_are_null_in_every_type() {
        for kind in [Kind::String, Kind::Id, Kind::Number, Kind::Boolean, Kind::Date, Kind::DateTime] {
            for token in ["", "null", "\"\""] {
                assert_eq!(encoded(kind, token), ("null".to_owned(), Fit::Null));
            }
        }
    }

    #[test]
    fn values_take_their_type_or_are_misfits() {
        for (kind, token, expected, fit) in [
            (Kind::String, r#""a\nb""#, r#""a\nb""#, Fit::Value),
            (Kind::String, "17", r#""17""#, Fit::Value),
            (Kind::String, r#"{"a":"b"}"#, r#""{\"a\":\"b\"}""#, Fit::Value),
            (Kind::Id, r#""21458204872.0""#, r#""21458204872""#, Fit::Value),
            (Kind::Id, "21458204872", r#""21458204872""#, Fit::Value),
            (Kind::Id, r#""N/A""#, r#""N/A""#, Fit::Value),
            (Kind::Id, r#""\ud800""#, r#""\ufffd""#, Fit::Value),
            (Kind::Number, r#""12.50""#, "12.50", Fit::Value),
            (Kind::Number, "12.50", "12.50", Fit::Value),
            (Kind::Number, r#"" 12 ""#, "12", Fit::Value),
            (Kind::Number, r#""\u0031""#, "1", Fit::Value),
            (Kind::Decimal, r#""12.50""#, "12.50", Fit::Value),
            (Kind::Decimal, r#""0.1234567891""#, "0.1234567891", Fit::Rounded),
            (Kind::Decimal, r#""1e30""#, "null", Fit::Misfit),
            (Kind::Number, r#""N\/A""#, "null", Fit::Misfit),
            (Kind::Number, r#""\ud800""#, "null", Fit::Misfit),
            (Kind::Boolean, r#""Yes""#, "true", Fit::Value),
            (Kind::Boolean, "false", "false", Fit::Value),
            (Kind::Boolean, r#""maybe""#, "null", Fit::Misfit),
            (Kind::Date, r#""2024-02-29""#, r#""2024-02-29""#, Fit::Value),
            (Kind::Date, r#""soon""#, "null", Fit::Misfit),
            (Kind::DateTime, r#""2022-02-17T19:25:29Z""#, r#""2022-02-17T19:25:29.000Z""#, Fit::Value),
            (Kind::DateTime, r#""10000-01-01T00:00:00Z""#, "null", Fit::Misfit),
        ] {
            assert_eq!(encoded(kind, token), (expected.to_owned(), fit), "{token}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_valid_json_in_any_type(text in ".*", number in any::<f64>()) {
            for token in [serde_json::to_string(&text).expect("JSON"), number.to_string()] {
                for kind in [Kind::String, Kind::Id, Kind::Number, Kind::Boolean, Kind::Date, Kind::DateTime] {
                    let (json, _) = encoded(kind, &token);
                    prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
                }
            }
        }
    }
}
