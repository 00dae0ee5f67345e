//! What makes two lines the same record, as keys that cannot collide.
//!
//! Keys are made of values, not of JSON text: a text is trimmed, and a number is its decimal digits, so that 17, 17.0 and
//! `"17"` are one key. An empty or null value is no key.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::client::{ObjectId, ObjectType};
use crate::hex::hex;

/// The longest key that is used as it is; longer ones are hashed.
const MAX_KEY: usize = 200;
/// A number with a larger power of ten keeps its exponent.
const MAX_POWER: i128 = 40;

/// The hash of a list of texts. Two different lists have different hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct KeyHash(u128);

impl KeyHash {
    /// The hash of a list. Each part is hashed with its length, so that no two lists are written alike.
    pub(super) fn of(parts: &[&str]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        let digest = hasher.finalize();
        let half: [u8; 16] = std::array::from_fn(|at| digest[at]);
        Self(u128::from_be_bytes(half))
    }

    /// A record by the value of a property, or by its key of another kind.
    pub(super) fn of_value(object_type: &ObjectType, property: &str, value: &str) -> Self {
        Self::of(&[object_type.as_str(), property, value])
    }

    /// A record by its id.
    pub(super) fn of_id(object_type: &ObjectType, id: ObjectId) -> Self {
        Self::of_value(object_type, "hs_object_id", &id.to_string())
    }

    /// A deal by its name among the deals of a contact.
    pub(super) fn of_deal(contact: ObjectId, name: &str) -> Self {
        Self::of(&["deal of", &contact.to_string(), name])
    }

    pub(super) fn number(self) -> u128 {
        self.0
    }
}

/// A value as HubSpot compares unique values, addresses and domains: trimmed, in lower case.
pub(super) fn folded(text: &str) -> String {
    text.trim().to_lowercase()
}

/// The key in a JSON token; none for null and for texts without a character other than blanks.
pub(super) fn key_text(token: &str) -> Option<String> {
    let token = token.trim();
    let text = match serde_json::from_str::<Value>(token) {
        Ok(Value::Null) => return None,
        Ok(Value::String(text)) => text.trim().to_owned(),
        Ok(Value::Number(_)) => decimal(token),
        Ok(other) => other.to_string(),
        Err(_) => token.to_owned(),
    };
    (!text.is_empty()).then_some(text)
}

/// A JSON number without what does not change its value: `17.0` and `1.7e1` are `17`.
pub(super) fn decimal(number: &str) -> String {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let Ok(exponent) = exponent.parse::<i64>() else { return number.to_owned() };
    let digits = format!("{whole}{fraction}");
    // Wide enough for any exponent and any length of a text.
    let mut point = whole.len() as i128 + i128::from(exponent);
    let leading = digits.len() - digits.trim_start_matches('0').len();
    let digits = digits.trim_matches('0');
    point -= leading as i128;
    if digits.is_empty() {
        return "0".to_owned();
    }
    let length = digits.len() as i128;
    let zeros = |count: i128| "0".repeat(usize::try_from(count).unwrap_or(0));
    if point.abs() > MAX_POWER + length {
        return format!("{sign}{digits}e{}", point - length);
    }
    if point <= 0 {
        return format!("{sign}0.{}{digits}", zeros(-point));
    }
    if point >= length {
        return format!("{sign}{digits}{}", zeros(point - length));
    }
    let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or(0));
    format!("{sign}{whole}.{fraction}")
}

/// The delivery key of a record of a stream with key_properties: `STREAM/VALUE` where that is unambiguous, as
/// earlier releases wrote it; else a hash.
pub(super) fn delivery_key(stream: &str, values: &[String]) -> String {
    match values {
        [one] if !stream.contains('/') && !one.contains('/') => plain_or_hashed(format!("{stream}/{one}")),
        several => {
            let mut parts = vec!["key", stream];
            parts.extend(several.iter().map(String::as_str));
            hashed(&Value::from(parts).to_string())
        }
    }
}

/// The delivery key of a line of a stream without key_properties. It has two slashes, and so is no record's key.
pub(super) fn line_key(delivery_id: &str, line: u64) -> String {
    match delivery_id.contains('/') {
        false => plain_or_hashed(format!("line/{delivery_id}/{line}")),
        true => hashed(&Value::from(vec!["line", delivery_id, &line.to_string()]).to_string()),
    }
}

/// The delivery key that earlier releases made of the JSON tokens of a record's key.
pub(super) fn earlier_delivery_key(stream: &str, tokens: &[&str]) -> String {
    plain_or_hashed(match tokens {
        [one] => format!("{stream}/{}", one.trim_matches('"')),
        several => format!("{stream}/[{}]", several.join(",")),
    })
}

/// The delivery key that earlier releases made of a line's number.
pub(super) fn earlier_line_key(delivery_id: &str, line: u64) -> String {
    plain_or_hashed(format!("{delivery_id}/{line}"))
}

/// The key that keeps two writers from creating a contact's deal of one name twice.
pub(super) fn deal_key(contact: ObjectId, name: &str) -> String {
    hashed(&Value::from(vec!["deal", &contact.to_string(), name]).to_string())
}

/// The key of a record whose key belongs to another record: that one was renamed since it was created.
pub(super) fn key_beside(taken: &str, holder: ObjectId) -> String {
    hashed(&Value::from(vec!["beside", taken, &holder.to_string()]).to_string())
}

/// What is long or not plain is hashed, so that HubSpot's folding of case joins no two keys.
fn plain_or_hashed(key: String) -> String {
    let plain = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit() || "/._-:@".contains(one);
    if key.len() <= MAX_KEY && key.chars().all(plain) { key } else { hashed(&key) }
}

fn hashed(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_folded_without_a_panic_and_once_is_enough(
            text in r"-?[0-9]{0,30}(\.[0-9]{0,30})?([eE][+-]?[0-9]{0,25})?",
        ) {
            let folded = decimal(&text);
            prop_assert_eq!(decimal(&folded), folded);
        }

        #[test]
        fn a_number_is_one_key_wherever_its_point_is(
            digits in "[1-9][0-9]{0,20}", zeros in 0_usize..5, exponent in any::<i64>(), point in 0_usize..5,
        ) {
            // The same value, with the point moved to the left and zeros behind.
            let point = point.min(digits.len() - 1);
            let (whole, fraction) = digits.split_at(digits.len() - point);
            let moved = i128::from(exponent) + point as i128;
            prop_assume!(i64::try_from(moved).is_ok());
            let other = format!("{whole}.{fraction}{}e{moved}", "0".repeat(zeros + 1));
            prop_assert_eq!(decimal(&format!("{digits}e{exponent}")), decimal(&other));
            prop_assert_eq!(decimal(&format!("-{digits}e{exponent}")), decimal(&format!("-{other}")));
        }
    }

    fn key(stream: &str, tokens: &[&str]) -> String {
        let values: Vec<String> = tokens.iter().filter_map(|token| key_text(token)).collect();
        delivery_key(stream, &values)
    }

    #[test]
    fn keys_of_one_value_are_one_key() {
        for (one, other) in [
            ("17", "17.0"),
            ("17", "1.7e1"),
            ("17", "\"17\""),
            ("17", "\" 17 \""),
            ("-0", "0.0"),
            ("1200", "1.2E+3"),
            ("0.5", "5e-1"),
            ("\"É-17\"", "\"\\u00c9-17\""),
            ("\"a\\/b\"", "\"a/b\""),
        ] {
            assert_eq!(key("tickets", &[one]), key("tickets", &[other]), "{one} {other}");
        }
        assert_eq!(key("tickets", &["12345678901234567890.10"]), "tickets/12345678901234567890.1");
    }

    #[test]
    fn keys_of_two_records_are_two_keys() {
        let keys = [
            key("a", &["\"b/c\""]),
            key("a/b", &["\"c\""]),
            key("a", &["\"b\"", "\"c\""]),
            key("a", &["\"b\\\",\\\"c\""]),
            key("a", &["1", "2"]),
            key("a", &["12"]),
            key("a", &["\"[1,2]\""]),
            key("tickets", &["2"]),
            line_key("tickets", 2),
            line_key("a/b", 2),
            line_key("a", 2),
            key("line", &["\"a/2\""]),
            key("Tickets", &["2"]),
            key("tickets", &["\"X\""]),
            key("tickets", &["\"x\""]),
        ];
        for (at, one) in keys.iter().enumerate() {
            assert!(!keys[..at].contains(one), "{one} at {at}");
        }
    }

    #[test]
    fn keys_of_earlier_releases_stay_where_they_meant_one_record() {
        assert_eq!(key("tickets", &["7"]), "tickets/7");
        assert_eq!(key("tickets", &["\"X-1\""]), earlier_delivery_key("tickets", &["\"X-1\""]));
        assert_eq!(earlier_delivery_key("tickets", &["17.0"]), "tickets/17.0");
        assert_eq!(earlier_line_key("monday", 4), "monday/4");
    }

    #[test]
    fn nothing_is_no_key() {
        for token in ["null", "\"\"", "\"  \"", "\"\\u00a0\""] {
            assert_eq!(key_text(token), None, "{token}");
        }
        assert_eq!(key_text("0").as_deref(), Some("0"));
        assert_eq!(key_text("false").as_deref(), Some("false"));
    }

    #[test]
    fn tokens_of_different_lists_differ() {
        assert_ne!(KeyHash::of(&["a", "bc"]), KeyHash::of(&["ab", "c"]));
        assert_ne!(KeyHash::of(&["a"]), KeyHash::of(&["a", ""]));
    }
}
