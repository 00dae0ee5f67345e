//! Values: from a JSON token to the text that HubSpot takes, and when two texts are one value.

use std::collections::BTreeSet;

use super::definitions::Definition;
use crate::property::{Fit, Kind, encode_value};

/// The text of a token as a value of a property; none for null and "", which both stand for no value.
///
/// What does not fit the property's type stays as it is, for the validation to name.
///
/// # Errors
/// When the token is an object or a list and the property holds neither.
pub(super) fn text_of(definition: Option<&Definition>, token: &str) -> Result<Option<String>, String> {
    let kind = definition.map_or(Kind::String, |definition| definition.kind);
    let several = definition.is_some_and(|definition| definition.several);
    let token = token.trim();
    match token.as_bytes().first() {
        Some(b'[') if several => return joined(token).map(Some),
        Some(b'[' | b'{') if !definition.is_some_and(|definition| definition.structured) => {
            return Err("a list or an object is no value of it".to_owned());
        }
        _ => {}
    }
    Ok(canonical(kind, token))
}

/// The members of a list as HubSpot joins them.
fn joined(token: &str) -> Result<String, String> {
    let members: Vec<serde_json::Value> = serde_json::from_str(token).map_err(|error| error.to_string())?;
    let texts: Vec<String> =
        members.iter().map(|member| member.as_str().map_or_else(|| member.to_string(), str::to_owned)).collect();
    Ok(texts.join(";"))
}

fn canonical(kind: Kind, token: &str) -> Option<String> {
    let encoded = |kind| {
        let mut out = Vec::new();
        let fit = encode_value(kind, token, &mut out);
        (fit, String::from_utf8(out).unwrap_or_default())
    };
    let (fit, json) = match encoded(kind) {
        (Fit::Misfit, _) => encoded(Kind::String),
        fitting => fitting,
    };
    if fit == Fit::Null {
        return None;
    }
    Some(match json.starts_with('"') {
        true => serde_json::from_str(&json).unwrap_or(json),
        false => json,
    })
}

/// Whether a property that holds `stored` changes when `wanted` is written.
pub(super) fn is_same(definition: Option<&Definition>, stored: Option<&str>, wanted: &str) -> bool {
    let stored = stored.unwrap_or_default();
    if stored == wanted {
        return true;
    }
    if stored.is_empty() || wanted.is_empty() {
        return false;
    }
    let Some(definition) = definition else { return false };
    if definition.folded {
        return stored.trim().to_lowercase() == wanted.trim().to_lowercase();
    }
    if definition.several {
        let members = |text: &str| text.split(';').filter(|one| !one.is_empty()).map(str::to_owned).collect();
        let (old, new): (BTreeSet<String>, BTreeSet<String>) = (members(stored), members(wanted));
        // With a semicolon in front the members are added to those there.
        return if wanted.starts_with(';') { new.is_subset(&old) } else { old == new };
    }
    let text = |text: &str| canonical(definition.kind, &serde_json::Value::from(text).to_string());
    match definition.kind {
        Kind::Number => text(stored).map(|one| plain(&one)) == text(wanted).map(|one| plain(&one)),
        Kind::Boolean | Kind::Date | Kind::DateTime => text(stored) == text(wanted),
        _ => false,
    }
}

/// A number without what does not change its value: significant digits and the power of ten.
fn plain(number: &str) -> (bool, String, i64) {
    let (mantissa, exponent) = number.split_once('e').unwrap_or((number, "0"));
    let (negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_end_matches('0');
    let dropped = i64::try_from(digits.len() - significant.len()).unwrap_or(0);
    let power = exponent.parse::<i64>().unwrap_or(0) - i64::try_from(fraction.len()).unwrap_or(0) + dropped;
    let significant = significant.trim_start_matches('0').to_owned();
    let is_zero = significant.is_empty();
    (negative && !is_zero, significant, if is_zero { 0 } else { power })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_value() {
        for (one, other) in [("12.50", "12.5"), ("1e2", "100"), ("0.00", "-0"), ("1200", "1.2e3")] {
            assert_eq!(plain(one), plain(other), "{one} {other}");
        }
        assert_ne!(plain("12.5"), plain("125"));
        assert_ne!(plain("-1"), plain("1"));
    }

    #[test]
    fn values_take_the_form_that_hubspot_stores() {
        for (kind, token, expected) in [
            (Kind::String, "\"\"", None),
            (Kind::String, "null", None),
            (Kind::String, "17", Some("17")),
            (Kind::Number, "12345678901234567890.10", Some("12345678901234567890.10")),
            (Kind::Number, "\"seven\"", Some("seven")),
            (Kind::Boolean, "true", Some("true")),
            (Kind::DateTime, "\"2024-01-02T03:04:05+02:00\"", Some("2024-01-02T01:04:05.000Z")),
            (Kind::Date, "\"2024-02-29\"", Some("2024-02-29")),
        ] {
            assert_eq!(canonical(kind, token).as_deref(), expected, "{token}");
        }
    }
}
