//! What a property's value must become in a table, by rules of the tests' own: none of the tap's code is asked.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Utc};
use serde_json::Value;

use super::cell::{Cell, Decimal, Kind};

/// Beyond this power of ten a target with doubles fails.
const MAX_MAGNITUDE: i64 = 307;

/// Whether a property holds ids that HubSpot keeps as numbers.
pub(crate) fn is_id(definition: &Value) -> bool {
    let name = definition["name"].as_str().expect("a name");
    let named = ["associatedcompanyid", "created_by", "hs_custom_inbox", "hs_primary_associated_company"];
    definition["type"] == "number"
        && (definition["referencedObjectType"].is_string()
            || name.ends_with("_id")
            || name.ends_with("_ids")
            || named.contains(&name))
}

/// A raw value of such a property in the form of an id, where it is a whole number of at most forty digits.
pub(crate) fn as_id(raw: &Value) -> Value {
    let text = raw.as_str().map_or_else(String::new, |text| text.trim().to_owned());
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.into();
    }
    let number = Decimal::parse(&text).filter(|number| number.magnitude().abs() <= MAX_MAGNITUDE);
    let whole = number.and_then(|number| {
        let number = number.to_string();
        let (digits, exponent) = number.split_once('e')?;
        let exponent: usize = exponent.parse().ok()?;
        let is_short = digits.trim_start_matches('-').len() + exponent <= 40;
        is_short.then(|| format!("{digits}{}", "0".repeat(exponent)))
    });
    whole.map_or_else(|| raw.clone(), |digits| if digits == "-0" { "0".into() } else { digits.into() })
}

/// The column type for a property: its own, and text for ids.
pub(crate) fn kind(definition: &Value) -> Kind {
    match definition["type"].as_str().expect("a type") {
        "number" if is_id(definition) => Kind::Text,
        "number" => Kind::Number,
        "bool" => Kind::Boolean,
        "date" => Kind::Date,
        "datetime" => Kind::Instant,
        _ => Kind::Text,
    }
}

/// The value in a column of a kind; `Err` with the raw text when it does not fit and belongs into `_unparsed`.
pub(crate) fn cell(kind: Kind, raw: &Value) -> Result<Cell, String> {
    let text = match raw {
        Value::Null => return Ok(Cell::Null),
        Value::String(text) if text.is_empty() => return Ok(Cell::Null),
        Value::String(text) => storable(text),
        other => other.to_string(),
    };
    let trimmed = text.trim();
    let cell = match kind {
        Kind::Text | Kind::Json => Some(Cell::Text(text.clone())),
        Kind::Number => {
            Decimal::parse(trimmed).filter(|number| number.magnitude().abs() <= MAX_MAGNITUDE).map(Cell::Number)
        }
        Kind::Boolean => match trimmed.to_lowercase().as_str() {
            "true" | "yes" => Some(Cell::Boolean(true)),
            "false" | "no" => Some(Cell::Boolean(false)),
            _ => None,
        },
        Kind::Date => date(trimmed).map(|date| Cell::Date(date.format("%Y-%m-%d").to_string())),
        Kind::Instant => instant(trimmed).map(|instant| Cell::Instant(instant.timestamp_micros())),
    };
    cell.ok_or(text)
}

/// Text that every target can store: Postgres has no NUL.
pub(crate) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// A calendar date, or an instant at midnight in UTC.
fn date(text: &str) -> Option<NaiveDate> {
    let date = match text.len() {
        10 if text.is_ascii() && text.as_bytes()[4] == b'-' => text.parse::<NaiveDate>().ok()?,
        _ => {
            let instant = instant(text)?;
            (instant.timestamp_micros() % 86_400_000_000 == 0).then(|| instant.date_naive())?
        }
    };
    storable_year(date.year()).then_some(date)
}

/// RFC 3339, the same without a zone, a date alone, or epoch milliseconds.
fn instant(text: &str) -> Option<DateTime<Utc>> {
    let epoch = || text.parse::<i64>().ok().filter(|millis| millis.abs() >= 100_000_000);
    let zoned = DateTime::parse_from_rfc3339(text).ok().map(|instant| instant.to_utc());
    let instant = zoned
        .or_else(|| text.replace(' ', "T").parse::<NaiveDateTime>().ok().map(|instant| instant.and_utc()))
        .or_else(|| text.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0).map(|instant| instant.and_utc()))
        .or_else(|| DateTime::from_timestamp_millis(epoch()?))?;
    storable_year(instant.year()).then_some(instant)
}

/// The years that every target's calendar has.
fn storable_year(year: i32) -> bool {
    (1..=9999).contains(&year)
}

#[test]
fn values_take_their_columns_type_or_none() {
    let text = |text: &str| Value::from(text);
    assert_eq!(cell(Kind::Number, &text(" 012.50 ")), Ok(Cell::Number(Decimal::parse("12.5").expect("a number"))));
    assert_eq!(cell(Kind::Number, &text("1e400")), Err("1e400".to_owned()));
    assert_eq!(cell(Kind::Number, &text("")), Ok(Cell::Null));
    assert_eq!(cell(Kind::Boolean, &text("Yes")), Ok(Cell::Boolean(true)));
    assert_eq!(cell(Kind::Boolean, &text("1")), Err("1".to_owned()));
    assert_eq!(cell(Kind::Date, &text("1742515200000")), Ok(Cell::Date("2025-03-21".to_owned())));
    assert_eq!(cell(Kind::Date, &text("0001-01-01")), Ok(Cell::Date("0001-01-01".to_owned())));
    assert_eq!(cell(Kind::Date, &text("10000-01-01")), Err("10000-01-01".to_owned()));
    assert_eq!(
        cell(Kind::Instant, &text("2025-03-21T17:35:54.252+02:00")),
        Ok(Cell::instant("2025-03-21T15:35:54.252Z"))
    );
    assert_eq!(cell(Kind::Instant, &text("-1")), Err("-1".to_owned()));
    assert_eq!(cell(Kind::Text, &text("a\0b")), Ok(Cell::text("a\u{fffd}b")));
}
