//! Values: from a JSON token to the text that HubSpot takes, and when two texts are one value.

use std::collections::BTreeSet;

use chrono::SecondsFormat;
use serde::de::IgnoredAny;

use super::date_time;
use super::identity::decimal;
use super::property_definition::PropertyDefinition;
use super::scalars::{boolean, number, plain, whole_number};
use super::wording::quoted;
use crate::property::{Fit, Kind, encode_value};

/// Texts that mean "no value" where a number, a date or a truth is expected: what Python, pandas and SQL print.
const NO_VALUE: [&str; 5] = ["nan", "nat", "none", "null", "<na>"];

/// The text of a token as a value of a property; none for texts that mean no value: null, "", spaces alone, and an empty
/// list.
///
/// What does not fit the property's type stays as it is, for the validation to name.
///
/// # Errors
/// When the token is an object or a list and the property holds neither.
pub(super) fn text_of(definition: Option<&PropertyDefinition>, token: &str) -> Result<Option<String>, String> {
    let token = token.trim();
    if definition.is_some_and(|definition| definition.several) {
        let listed = nested(token);
        if listed.starts_with('[') {
            return deduplicated(&listed);
        }
    }
    match (token.as_bytes().first(), definition) {
        (Some(b'[' | b'{'), Some(definition)) if definition.structured => return Ok(plain_text(token)),
        (Some(b'[' | b'{'), _) => {
            let expected = "it takes one text or number, not a list or an object";
            return Err(format!("{} is no value of this property; {expected}", quoted(token)));
        }
        _ => {}
    }
    Ok(plain_text(token).and_then(|text| normal(definition, &text)))
}

/// Whether a text means "no value", as Python, pandas and SQL write it.
pub(super) fn is_no_value(text: &str) -> bool {
    NO_VALUE.iter().any(|word| text.trim().eq_ignore_ascii_case(word))
}

/// A token, or the list or object that a text holds: a cell of a CSV file can hold one as text alone.
pub(super) fn nested(token: &str) -> String {
    let token = token.trim();
    let text: Option<String> = token.starts_with('"').then(|| serde_json::from_str(token).ok()).flatten();
    let inner = text.as_deref().map(str::trim).filter(|inner| inner.starts_with(['[', '{']));
    inner.filter(|inner| serde_json::from_str::<IgnoredAny>(inner).is_ok()).unwrap_or(token).to_owned()
}

/// The members of a list as HubSpot joins them; none when there are none.
fn deduplicated(token: &str) -> Result<Option<String>, String> {
    let members: Vec<serde_json::Value> = serde_json::from_str(token).map_err(|error| error.to_string())?;
    let mut texts = Vec::with_capacity(members.len());
    for member in &members {
        match member {
            serde_json::Value::Null => {}
            serde_json::Value::String(text) => texts.push(text.trim().to_owned()),
            serde_json::Value::Array(_) | serde_json::Value::Object(_) => {
                let expected = "write texts, such as [\"one\", \"two\"]";
                return Err(format!("{} is no option of a list; {expected}", quoted(&member.to_string())));
            }
            other => texts.push(other.to_string()),
        }
    }
    texts.retain(|text| !text.is_empty());
    Ok((!texts.is_empty()).then(|| texts.join(";")))
}

/// The text that a token holds, without characters that no JSON reader takes.
fn plain_text(token: &str) -> Option<String> {
    let mut out = Vec::new();
    if encode_value(Kind::String, token, &mut out) == Fit::Null {
        return None;
    }
    serde_json::from_slice(&out).ok()
}

/// A text in the form that HubSpot stores; none when it stands for no value. What does not fit stays.
fn normal(definition: Option<&PropertyDefinition>, text: &str) -> Option<String> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return None;
    }
    let Some(definition) = definition else { return Some(trimmed.to_owned()) };
    let typed = matches!(definition.kind, Kind::Number | Kind::Boolean | Kind::Date | Kind::DateTime);
    if typed && is_no_value(trimmed) {
        return None;
    }
    let fitting = match definition.kind {
        Kind::Number => number(trimmed),
        Kind::Boolean => boolean(trimmed).map(str::to_owned),
        Kind::Date => date_time::date(trimmed).ok().map(|date| date.to_string()),
        // HubSpot keeps milliseconds; digits behind them would differ for ever.
        Kind::DateTime => {
            date_time::instant(trimmed).ok().map(|instant| instant.to_rfc3339_opts(SecondsFormat::Millis, true))
        }
        _ if definition.several => return members(trimmed),
        _ if definition.multiline => Some(text.to_owned()),
        _ if definition.is_option(trimmed) => None,
        // A column of numbers with gaps is one of floats to many programs: stage 1 is written 1.0.
        _ => whole_number(trimmed).filter(|whole| {
            definition.is_option(whole) || definition.phone && trimmed.strip_suffix(".0") == Some(whole)
        }),
    };
    Some(fitting.unwrap_or_else(|| trimmed.to_owned()))
}

/// `a; b;` as `a;b`; a semicolon in front stays, for it adds the members to those there.
fn members(text: &str) -> Option<String> {
    let members: Vec<&str> = text.split(';').map(str::trim).filter(|member| !member.is_empty()).collect();
    let adds = if text.starts_with(';') { ";" } else { "" };
    (!members.is_empty()).then(|| format!("{adds}{}", members.join(";")))
}

/// A text that records are found by: of a number its value, so that 17.0 and 1.7e1 are `17`. A text of digits stays as
/// it is, unless the property holds numbers.
pub(super) fn key_value(definition: Option<&PropertyDefinition>, token: &str, text: String) -> String {
    let is_number = !token.trim_start().starts_with('"')
        || definition.is_some_and(|definition| matches!(definition.kind, Kind::Number));
    number(&text).filter(|_| is_number).map_or(text, |number| decimal(&number))
}

/// The id of a record, which may come as a float: `12345.0`.
///
/// # Errors
/// A sentence, when the text is no id.
pub(super) fn id_of(text: &str) -> Result<String, String> {
    whole_number(text)
        .filter(|id| id.parse::<u64>().is_ok_and(|id| id > 0))
        .ok_or_else(|| format!("{} is no id of HubSpot's; ids are whole numbers, such as 21458204872", quoted(text)))
}

/// Whether a property that holds `stored` changes when `wanted` is written.
pub(super) fn is_same(definition: Option<&PropertyDefinition>, stored: Option<&str>, wanted: &str) -> bool {
    let stored = stored.unwrap_or_default();
    if stored == wanted {
        return true;
    }
    if stored.is_empty() || wanted.is_empty() {
        return false;
    }
    let Some(definition) = definition else { return stored.trim() == wanted.trim() };
    if definition.folded {
        return stored.trim().to_lowercase() == wanted.trim().to_lowercase();
    }
    if definition.several {
        let members =
            |text: &str| text.split(';').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect();
        let (old, new): (BTreeSet<String>, BTreeSet<String>) = (members(stored), members(wanted));
        // With a semicolon in front the members are added to those there.
        return if wanted.starts_with(';') { new.is_subset(&old) } else { old == new };
    }
    let text = |text: &str| normal(Some(definition), text);
    match definition.kind {
        Kind::Number => text(stored).map(|one| plain(&one)) == text(wanted).map(|one| plain(&one)),
        _ => text(stored) == text(wanted),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::client::ObjectType;

    #[test]
    fn numbers_are_compared_by_value() {
        for (one, other) in [("12.50", "12.5"), ("1e2", "100"), ("0.00", "-0"), ("1200", "1.2e3")] {
            assert_eq!(plain(one), plain(other), "{one} {other}");
        }
        assert_ne!(plain("12.5"), plain("125"));
        assert_ne!(plain("-1"), plain("1"));
    }

    #[test]
    fn whole_numbers_are_ids_whatever_program_wrote_them() {
        for (text, expected) in [
            ("12345", Some("12345")),
            ("12345.0", Some("12345")),
            ("1.2345e4", Some("12345")),
            ("0", Some("0")),
            ("120", Some("120")),
            ("12345.5", None),
            ("-1", None),
            ("1e400", None),
            ("ann", None),
        ] {
            assert_eq!(whole_number(text).as_deref(), expected, "{text}");
        }
    }

    fn property(definition: serde_json::Value) -> PropertyDefinition {
        PropertyDefinition::of(&ObjectType::CONTACTS, &serde_json::from_value(definition).expect("a definition"))
    }

    fn taken(definition: &PropertyDefinition, token: &str) -> Option<String> {
        text_of(Some(definition), token).expect("a text")
    }

    #[test]
    fn values_take_the_form_that_hubspot_stores() {
        for (kind, token, expected) in [
            ("string", "\"\"", None),
            ("string", "\"  \"", None),
            ("string", "null", None),
            ("string", "17", Some("17")),
            ("string", "\" Plan \"", Some("Plan")),
            ("string", "\"nan\"", Some("nan")),
            ("number", "12345678901234567890.10", Some("12345678901234567890.10")),
            ("number", "\" 12 \"", Some("12")),
            ("number", "\"NaN\"", None),
            ("number", "\"seven\"", Some("seven")),
            ("bool", "true", Some("true")),
            ("bool", "1", Some("true")),
            ("bool", "0.0", Some("false")),
            ("bool", "\" YES \"", Some("true")),
            ("bool", "\"No\"", Some("false")),
            ("bool", "2", Some("2")),
            ("datetime", "\"2024-01-02T03:04:05+02:00\"", Some("2024-01-02T01:04:05.000Z")),
            ("datetime", "1709168523", Some("2024-02-29T01:02:03.000Z")),
            ("datetime", "\"NaT\"", None),
            ("date", "\"2024-02-29\"", Some("2024-02-29")),
            ("date", "\"soon\"", Some("soon")),
        ] {
            let definition = property(json!({"name": "p", "type": kind, "fieldType": "text"}));
            assert_eq!(taken(&definition, token).as_deref(), expected, "{kind} {token}");
        }
    }

    #[test]
    fn keys_are_values_of_numbers_and_texts_as_they_are() {
        let text = property(json!({"name": "no", "type": "string"}));
        let number = property(json!({"name": "no", "type": "number"}));
        for (definition, token, expected) in [
            (&text, "17.0", "17"),
            (&text, "1.7e1", "17"),
            (&text, "\"17.0\"", "17.0"),
            (&text, "\"007\"", "007"),
            (&text, "true", "true"),
            (&number, "\"17.0\"", "17"),
            (&number, "\"seven\"", "seven"),
        ] {
            let given = taken(definition, token).expect("a value");
            assert_eq!(key_value(Some(definition), token, given), expected, "{token}");
        }
    }

    #[test]
    fn lists_are_joined_and_empty_ones_are_no_value() {
        let tags = property(json!({"name": "tags", "type": "enumeration", "fieldType": "checkbox"}));
        for (token, expected) in [
            ("[]", None),
            ("[null, \"\"]", None),
            ("[\" a \", \"b\"]", Some("a;b")),
            (r#""[\"a\", \"b\"]""#, Some("a;b")),
            (r#"" [] ""#, None),
            ("\"a; b;\"", Some("a;b")),
            ("\";c\"", Some(";c")),
        ] {
            assert_eq!(taken(&tags, token).as_deref(), expected, "{token}");
        }
        for token in ["[[1]]", "[{}]", "{\"a\": 1}"] {
            assert!(text_of(Some(&tags), token).is_err(), "{token}");
        }
    }

    #[test]
    fn options_that_are_numbers_come_as_floats_too() {
        let options = json!([{"value": "1", "label": "New"}, {"value": "2.0", "label": "Two"}]);
        let stage = property(json!({"name": "s", "type": "enumeration", "fieldType": "select", "options": options}));
        assert_eq!(taken(&stage, "1.0").as_deref(), Some("1"));
        assert_eq!(taken(&stage, "2.0").as_deref(), Some("2.0"));
        let phone = property(json!({"name": "p", "type": "string", "fieldType": "phonenumber"}));
        for (token, expected) in [("15550100.0", "15550100"), ("\"+1 555\"", "+1 555"), ("\"001\"", "001")] {
            assert_eq!(taken(&phone, token).as_deref(), Some(expected));
        }
        let owner = property(json!({"name": "o", "type": "enumeration", "externalOptions": true}));
        assert_eq!(taken(&owner, "12345.0").as_deref(), Some("12345"));
    }

    #[test]
    fn spaces_around_a_text_change_nothing_but_in_texts_of_several_lines() {
        let name = property(json!({"name": "n", "type": "string", "fieldType": "text"}));
        assert!(is_same(Some(&name), Some("Plan "), "Plan"));
        assert!(!is_same(Some(&name), Some("Plan"), "plan"));
        let text = property(json!({"name": "t", "type": "string", "fieldType": "textarea"}));
        assert_eq!(taken(&text, "\" a\\n\"").as_deref(), Some(" a\n"));
        assert!(!is_same(Some(&text), Some("a "), "a"));
    }
}
