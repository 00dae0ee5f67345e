//! Values as HubSpot sends them, and what becomes of each: one obvious rule after another.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use serde_json::value::RawValue;

use crate::property::Kind;

/// JSON whose numbers keep their digits.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Null,
    Boolean(bool),
    Number(Decimal),
    Text(String),
    Array(Vec<Self>),
    /// In the order in which the names stand.
    Object(Vec<(String, Self)>),
}

/// A decimal by value: `0.digits × 10^point`, without zeros at either end.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Decimal {
    negative: bool,
    digits: String,
    point: i64,
}

/// A value as it stands in HubSpot's answer.
#[derive(Debug, Clone)]
pub(super) enum Sent {
    Absent,
    Null,
    /// UTF-16, since JSON's escapes are, and whether each unit is written as an escape.
    Text(Vec<(u16, bool)>),
    /// Anything else, as it is written.
    Token(String),
}

impl Decimal {
    /// Whether doubles hold it, if rounded: it is no greater than 2^53.
    fn fits_airbyte(&self) -> bool {
        let most = "9007199254740992";
        self.point < 16 || self.point == 16 && format!("{:0<16}", self.digits).as_str() <= most
    }

    /// Whether it has digits behind the ninth, or a fraction and more than 15 digits.
    fn is_rounded(&self) -> bool {
        let fraction = i64::try_from(self.digits.len()).expect("a length") - self.point;
        fraction > 9 || fraction > 0 && self.digits.len() > 15
    }

    /// The digits of a whole number that is no longer than ids are.
    fn as_id(&self) -> Option<String> {
        if self.digits.is_empty() {
            return Some("0".to_owned());
        }
        let length = usize::try_from(self.point).ok().filter(|length| (self.digits.len()..=40).contains(length))?;
        Some(format!("{}{:0<length$}", if self.negative { "-" } else { "" }, self.digits))
    }
}

impl Sent {
    /// The token on the wire; none when absent.
    pub(super) fn token(&self) -> Option<String> {
        match self {
            Self::Absent => None,
            Self::Null => Some("null".to_owned()),
            Self::Token(token) => Some(token.clone()),
            Self::Text(units) => Some(format!("\"{}\"", written(units))),
        }
    }

    /// The text, with U+FFFD for what is no Unicode; none when there is no value.
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Absent | Self::Null => None,
            Self::Token(token) => Some(token.clone()).filter(|token| token != "null"),
            Self::Text(units) => {
                let decoded = char::decode_utf16(units.iter().map(|(unit, _)| *unit));
                Some(decoded.map(|one| one.unwrap_or('\u{fffd}')).collect::<String>()).filter(|text| !text.is_empty())
            }
        }
    }

    pub(super) fn is_unicode(&self) -> bool {
        match self {
            Self::Text(units) => char::decode_utf16(units.iter().map(|(unit, _)| *unit)).all(|one| one.is_ok()),
            _ => true,
        }
    }

    /// What becomes of it in a column: the value, and whether it did not fit.
    pub(super) fn value(&self, kind: Kind) -> (Json, bool) {
        let Some(text) = self.text() else { return (Json::Null, false) };
        let trimmed = text.trim();
        let found = match kind {
            Kind::String => return (Json::Text(storable(&text)), false),
            Kind::Id if !trimmed.is_empty() && trimmed.bytes().all(|byte| byte.is_ascii_digit()) => {
                return (Json::Text(trimmed.to_owned()), false);
            }
            Kind::Id => {
                let number = Decimal::parse(trimmed).filter(|number| self.is_unicode() && number.fits_a_double());
                let digits = number.and_then(|number| number.as_id());
                return (Json::Text(digits.unwrap_or_else(|| storable(&text))), false);
            }
            _ if !self.is_unicode() => None,
            Kind::Number => Decimal::parse(trimmed).filter(Decimal::fits_a_double).map(Json::Number),
            Kind::Decimal => match Decimal::parse(trimmed).filter(Decimal::fits_a_double) {
                Some(number) if !number.fits_airbyte() => None,
                Some(number) if number.is_rounded() => return (Json::Number(number), true),
                number => number.map(Json::Number),
            },
            Kind::Boolean => match trimmed.to_lowercase().as_str() {
                "true" | "yes" => Some(Json::Boolean(true)),
                "false" | "no" => Some(Json::Boolean(false)),
                _ => None,
            },
            Kind::Date => date(trimmed).map(|date| Json::Text(date.format("%Y-%m-%d").to_string())),
            Kind::DateTime => instant(trimmed).map(|instant| Json::Text(shown(instant))),
            Kind::Ids | Kind::Object | Kind::Array => unreachable!("no property is one"),
        };
        let misfit = found.is_none();
        (found.unwrap_or(Json::Null), misfit)
    }

    pub(super) fn raw(&self) -> Json {
        self.text().map_or(Json::Null, |text| Json::Text(storable(&text)))
    }
}

/// JSON's spelling of UTF-16, with more escapes than needed.
pub(super) fn written(units: &[(u16, bool)]) -> String {
    let mut out = String::new();
    let mut at = 0;
    while at < units.len() {
        let (unit, escaped) = units[at];
        let pair = units.get(at + 1).and_then(|(low, _)| char::decode_utf16([unit, *low]).next()?.ok());
        let character = char::from_u32(unit.into()).or(pair);
        match character {
            Some(character) if !escaped && character >= ' ' && !matches!(character, '"' | '\\') => {
                out.push(character);
                at += character.len_utf16();
            }
            _ => {
                out.push_str(&format!("\\u{unit:04x}"));
                at += 1;
            }
        }
    }
    out
}

/// Text that every target can store.
pub(super) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

impl Decimal {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, i64::from(exponent.parse::<i32>().ok()?)),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        if all.is_empty() || all.len() > 1_000 || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let zeros = all.len() - all.trim_start_matches('0').len();
        let digits = all.trim_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Self { negative: false, digits, point: 0 });
        }
        let length = |count: usize| i64::try_from(count).expect("few digits");
        Some(Self { negative, digits, point: length(whole.len()) - length(zeros) + exponent })
    }

    pub(super) fn fits_a_double(&self) -> bool {
        self.digits.is_empty() || (-307..=307).contains(&(self.point - 1))
    }
}

pub(super) fn instant(text: &str) -> Option<DateTime<Utc>> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_epoch = digits.len() >= 9 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let found = if is_epoch {
        DateTime::from_timestamp_millis(text.parse().ok()?)?
    } else if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        instant.to_utc()
    } else if let Ok(instant) = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f") {
        instant.and_utc()
    } else if let Ok(instant) = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f") {
        instant.and_utc()
    } else {
        plain_date(text)?.and_time(NaiveTime::MIN).and_utc()
    };
    (1..=9999).contains(&found.year()).then_some(found)
}

pub(super) fn plain_date(text: &str) -> Option<NaiveDate> {
    (text.len() == 10).then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok())?
}

pub(super) fn date(text: &str) -> Option<NaiveDate> {
    let midnight = || instant(text).filter(|instant| instant.time() == NaiveTime::MIN).map(|one| one.date_naive());
    plain_date(text).or_else(midnight).filter(|date| (1..=9999).contains(&date.year()))
}

pub(super) fn shown(instant: DateTime<Utc>) -> String {
    let text = instant.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
    text.replace("000Z", "Z")
}

/// Reads what the encoder wrote.
pub(super) fn read(token: &str) -> Json {
    let inner = |token: &str| -> Vec<Box<RawValue>> { serde_json::from_str(token).expect("an array") };
    match token.as_bytes()[0] {
        b'n' => Json::Null,
        b't' | b'f' => Json::Boolean(token == "true"),
        b'"' => Json::Text(serde_json::from_str(token).expect("text")),
        b'[' => Json::Array(inner(token).iter().map(|value| read(value.get())).collect()),
        b'{' => {
            let values: BTreeMap<String, Box<RawValue>> = serde_json::from_str(token).expect("an object");
            let order: serde_json::Map<String, serde_json::Value> = serde_json::from_str(token).expect("an object");
            Json::Object(order.keys().map(|name| (name.clone(), read(values[name].get()))).collect())
        }
        _ => Json::Number(Decimal::parse(token).expect("a number")),
    }
}
