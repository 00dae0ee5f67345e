//! One value of a row, in a form that compares by meaning: however many zeros a number ends in, whatever a target
//! makes of an instant.

use std::fmt;

use chrono::{DateTime, NaiveDateTime};
use serde_json::Value;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
    Boolean,
    Instant,
    Date,
    /// An object or an array.
    Json,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Text(String),
    Number(Decimal),
    Boolean(bool),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Instant(i64),
    /// `YYYY-MM-DD`
    Date(String),
    Json(Value),
}

/// A number with all its digits: `digits` times ten to the power of `exponent`.
///
/// The digits neither begin nor end with a zero, so that equal numbers are equal here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// Reads what JSON and Postgres write, and what people do: `+5`, `007`, `.5`, `5.`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, power) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let exponent = power.parse::<i64>().ok()? - i64::try_from(fraction.len()).ok()?;
        let digits = all.trim_start_matches('0');
        let significant = digits.trim_end_matches('0');
        if significant.is_empty() {
            return Some(Self { negative: false, digits: String::new(), exponent: 0 });
        }
        let exponent = exponent + i64::try_from(digits.len() - significant.len()).ok()?;
        Some(Self { negative, digits: significant.to_owned(), exponent })
    }

    /// The power of ten of the first digit; 0 for zero.
    pub(crate) fn magnitude(&self) -> i64 {
        match i64::try_from(self.digits.len()).expect("a length") {
            0 => 0,
            length => length - 1 + self.exponent,
        }
    }

    /// The nearest double, as which some targets store every number.
    fn nearest(&self) -> f64 {
        self.to_string().parse().expect("a number")
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if self.digits.is_empty() { "0" } else { &self.digits };
        write!(formatter, "{}{digits}e{}", if self.negative { "-" } else { "" }, self.exponent)
    }
}

/// How exactly a target keeps what it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fidelity {
    Exact,
    /// Numbers become the nearest double.
    Doubles,
    /// Numbers become the nearest double, and a control character in a text stays the escape that JSON has for it:
    /// a line's end is stored as `\n`.
    DoublesAndEscapes,
}

impl Cell {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// An instant of HubSpot's responses.
    pub(crate) fn instant(text: &str) -> Self {
        Self::Instant(micros(text).unwrap_or_else(|| panic!("no instant: {text}")))
    }

    /// Reads a value of a RECORD.
    pub(crate) fn from_json(kind: Kind, token: &str) -> Result<Self, String> {
        if token == "null" {
            return Ok(Self::Null);
        }
        let wrong = || format!("{token} is no {kind:?}");
        if kind == Kind::Number {
            return Decimal::parse(token).map(Self::Number).ok_or_else(wrong);
        }
        let value: Value = serde_json::from_str(token).map_err(|_| wrong())?;
        match (kind, value) {
            (Kind::Text, Value::String(text)) => Ok(Self::Text(text)),
            (Kind::Boolean, Value::Bool(boolean)) => Ok(Self::Boolean(boolean)),
            (Kind::Date, Value::String(date)) => Ok(Self::Date(date)),
            (Kind::Instant, Value::String(text)) => micros(&text).map(Self::Instant).ok_or_else(wrong),
            (Kind::Json, value @ (Value::Array(_) | Value::Object(_))) => Ok(Self::Json(value)),
            _ => Err(wrong()),
        }
    }

    /// Reads what Postgres writes for a value.
    pub(crate) fn from_sql(kind: Kind, text: Option<&str>) -> Result<Self, String> {
        let Some(text) = text else { return Ok(Self::Null) };
        let wrong = || format!("{text} is no {kind:?}");
        match kind {
            Kind::Text => Ok(Self::text(text)),
            Kind::Number => Decimal::parse(text).map(Self::Number).ok_or_else(wrong),
            Kind::Boolean => match text {
                "t" => Ok(Self::Boolean(true)),
                "f" => Ok(Self::Boolean(false)),
                _ => Err(wrong()),
            },
            Kind::Date => Ok(Self::Date(text.to_owned())),
            Kind::Instant => NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f")
                .map(|instant| Self::Instant(instant.and_utc().timestamp_micros()))
                .map_err(|_| wrong()),
            // target-postgres stores a null in a JSON column as JSON's null.
            Kind::Json => match serde_json::from_str(text).map_err(|_| wrong())? {
                Value::Null => Ok(Self::Null),
                value => Ok(Self::Json(value)),
            },
        }
    }

    /// Whether this, in a target, is what was expected.
    #[expect(clippy::float_cmp, reason = "the nearest doubles of the same number are the same")]
    pub(crate) fn matches(&self, expected: &Self, fidelity: Fidelity) -> bool {
        match (self, expected) {
            (Self::Number(held), Self::Number(expected)) if fidelity != Fidelity::Exact => {
                held.nearest() == expected.nearest()
            }
            (Self::Text(held), Self::Text(expected)) if fidelity == Fidelity::DoublesAndEscapes => {
                *held == with_escapes(expected)
            }
            _ => self == expected,
        }
    }
}

/// Control characters as JSON escapes them, all else as it is.
fn with_escapes(text: &str) -> String {
    let escaped = |character: char| match character {
        '\0'..='\x1f' => serde_json::to_string(&character).expect("JSON").trim_matches('"').to_owned(),
        other => other.to_string(),
    };
    text.chars().map(escaped).collect()
}

fn micros(text: &str) -> Option<i64> {
    DateTime::parse_from_rfc3339(text).ok().map(|instant| instant.timestamp_micros())
}

#[test]
fn equal_numbers_are_equal_however_they_are_written() {
    let same = [
        ["12.50", "12.5", "1.25e1", "+012.5"],
        ["0", "-0", "0.00", "0e7"],
        ["100", "1e2", "1E+2", "100."],
        [".5", "0.5", "5e-1", "00.50"],
    ];
    for forms in same {
        for form in forms {
            assert_eq!(Decimal::parse(form), Decimal::parse(forms[0]), "{form}");
        }
    }
    for other in ["12.51", "-12.5", "125"] {
        assert_ne!(Decimal::parse(other), Decimal::parse("12.5"));
    }
    for none in ["", ".", "-", "e5", "1e", "NaN", "1,5", "1 2", "0x10"] {
        assert_eq!(Decimal::parse(none), None, "{none}");
    }
    assert_eq!(Decimal::parse("0.001").expect("a number").magnitude(), -3);
    assert_eq!(Decimal::parse("1200").expect("a number").magnitude(), 3);
}
