//! Instants, dates and times of day in the forms of ISO 8601 that Singer taps write, as Postgres reads them.

use std::fmt::Write as _;

use chrono::{Datelike, NaiveDate, NaiveTime, TimeDelta, Timelike};

use super::value::ValueError;

const TIMESTAMP: &str = "timestamp";
const DATE: &str = "date";
const TIME: &str = "time";
/// Postgres stores this many digits of a second; further ones are cut off, as meltanolabs' target-postgres does.
const FRACTION_DIGITS: usize = 6;

/// Writes an instant in UTC; one without an offset is taken as UTC, a date as its midnight.
///
/// # Errors
/// When it is none, or its year is not one of 1 to 9999.
pub(super) fn push_timestamp(text: &str, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let wrong = || ValueError::form(TIMESTAMP, text);
    let (date, rest) = split_date(text).ok_or_else(wrong)?;
    let date = checked_date(date, text, TIMESTAMP)?;
    let (time, offset) = match rest.as_bytes() {
        [] => (Clock { time: NaiveTime::MIN, written: "00:00:00", fraction: "" }, Some(0)),
        [b'T' | b't' | b' ', ..] => {
            let (time, zone) = split_zone(&rest[1..]);
            (Clock::parse(time).ok_or_else(wrong)?, offset_seconds(zone))
        }
        _ => return Err(wrong()),
    };
    let offset = offset.ok_or_else(wrong)?;
    if offset == 0 && time.written.len() == 8 {
        // Nearly all: nothing is to be reckoned.
        out.extend_from_slice(&text.as_bytes()[..10]);
        out.push(b' ');
        out.extend_from_slice(time.written.as_bytes());
        time.push_fraction(out);
        return Ok(());
    }
    let utc = date.and_time(time.time) - TimeDelta::seconds(offset);
    // The instant's own year was checked; in UTC it may be one of the neighbours, which Postgres writes so.
    let (year, era) = if utc.year() > 0 { (utc.year(), "") } else { (1 - utc.year(), " BC") };
    let mut written = String::with_capacity(32);
    let (month, day, hour, minute, second) = (utc.month(), utc.day(), utc.hour(), utc.minute(), utc.second());
    write!(written, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}").expect("a String takes it");
    out.extend_from_slice(written.as_bytes());
    time.push_fraction(out);
    out.extend_from_slice(era.as_bytes());
    Ok(())
}

/// Writes a date.
///
/// # Errors
/// When it is no date of the years 1 to 9999, or more than a date.
pub(super) fn push_date(text: &str, out: &mut Vec<u8>) -> Result<(), ValueError> {
    match split_date(text) {
        Some((date, "")) => {
            checked_date(date, text, DATE)?;
            out.extend_from_slice(text.as_bytes());
            Ok(())
        }
        _ => Err(ValueError::form(DATE, text)),
    }
}

/// Writes a time of day; an offset other than UTC has no place in one.
///
/// # Errors
/// When it is none.
pub(super) fn push_time(text: &str, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let (time, zone) = split_zone(text);
    match (Clock::parse(time), offset_seconds(zone)) {
        (Some(time), Some(0)) => {
            out.extend_from_slice(time.time.format("%H:%M:%S").to_string().as_bytes());
            time.push_fraction(out);
            Ok(())
        }
        _ => Err(ValueError::form(TIME, text)),
    }
}

/// A time of day and the digits of its second's fraction.
struct Clock<'t> {
    time: NaiveTime,
    /// The same as it was written, without the fraction.
    written: &'t str,
    fraction: &'t str,
}

impl<'t> Clock<'t> {
    /// Reads `HH:MM`, `HH:MM:SS` and `HH:MM:SS.fraction`.
    fn parse(text: &'t str) -> Option<Self> {
        let (clock, fraction) = text.split_once(['.', ',']).unwrap_or((text, ""));
        let digits = fraction.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || (text.len() > clock.len() && (fraction.is_empty() || clock.len() != 8)) {
            return None;
        }
        let bytes = clock.as_bytes();
        let (hour, minute) = (two_digits(bytes, 0)?, two_digits(bytes, 3)?);
        let second = match bytes.len() {
            5 => 0,
            8 if bytes[5] == b':' => two_digits(bytes, 6)?,
            _ => return None,
        };
        let time = NaiveTime::from_hms_opt(hour, minute, second).filter(|_| bytes[2] == b':')?;
        Some(Self { time, written: clock, fraction })
    }

    /// Writes the fraction without zeros at its end, so that equal instants are equal texts.
    fn push_fraction(&self, out: &mut Vec<u8>) {
        let kept = &self.fraction[..self.fraction.len().min(FRACTION_DIGITS)];
        let kept = kept.trim_end_matches('0');
        if !kept.is_empty() {
            out.push(b'.');
            out.extend_from_slice(kept.as_bytes());
        }
    }
}

/// The `YYYY-MM-DD` that a text begins with, as numbers, and what follows.
fn split_date(text: &str) -> Option<([u32; 3], &str)> {
    let bytes = text.as_bytes();
    if bytes.len() < 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let year = two_digits(bytes, 0)? * 100 + two_digits(bytes, 2)?;
    Some(([year, two_digits(bytes, 5)?, two_digits(bytes, 8)?], &text[10..]))
}

fn checked_date([year, month, day]: [u32; 3], text: &str, sql_type: &'static str) -> Result<NaiveDate, ValueError> {
    let year = i32::try_from(year).ok().filter(|year| *year > 0);
    let date = year.and_then(|year| NaiveDate::from_ymd_opt(year, month, day));
    date.ok_or_else(|| ValueError::range(sql_type, text))
}

/// A time of day apart from its zone.
fn split_zone(text: &str) -> (&str, &str) {
    let at = text.find(['Z', 'z', '+', '-']).unwrap_or(text.len());
    let (time, zone) = text.split_at(at);
    (time.trim_end_matches(' '), zone)
}

/// The seconds that a zone is ahead of UTC: none, `Z`, `+HH`, `+HHMM`, `+HH:MM`, `+HH:MM:SS`.
fn offset_seconds(zone: &str) -> Option<i64> {
    let sign = match zone.as_bytes() {
        [] | [b'Z' | b'z'] => return Some(0),
        [b'+', ..] => 1,
        [b'-', ..] => -1,
        _ => return None,
    };
    let digits: String = zone[1..].split(':').collect();
    let bytes = digits.as_bytes();
    let part = |at: usize| if at < bytes.len() { two_digits(bytes, at) } else { Some(0) };
    let (hours, minutes, seconds) = (part(0)?, part(2)?, part(4)?);
    let known = matches!(bytes.len(), 2 | 4 | 6) && hours < 24 && minutes < 60 && seconds < 60;
    known.then(|| sign * i64::from(hours * 3600 + minutes * 60 + seconds))
}

fn two_digits(bytes: &[u8], at: usize) -> Option<u32> {
    match bytes.get(at..at + 2)? {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => Some(u32::from(tens - b'0') * 10 + u32::from(ones - b'0')),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(push: fn(&str, &mut Vec<u8>) -> Result<(), ValueError>, text: &str) -> Result<String, ValueError> {
        let mut out = Vec::new();
        push(text, &mut out).map(|()| String::from_utf8(out).expect("UTF-8"))
    }

    #[test]
    fn an_instant_is_written_in_utc() {
        for (text, expected) in [
            ("2024-01-02T03:04:05Z", "2024-01-02 03:04:05"),
            ("2024-01-02T03:04:05.120000Z", "2024-01-02 03:04:05.12"),
            ("2024-01-02T03:04:05.123456789+00:00", "2024-01-02 03:04:05.123456"),
            ("2024-01-02 03:04:05+02:00", "2024-01-02 01:04:05"),
            ("2024-01-02T03:04-0530", "2024-01-02 08:34:00"),
            ("2024-01-02T03:04:05", "2024-01-02 03:04:05"),
            ("2024-01-02", "2024-01-02 00:00:00"),
            ("2024-12-31T23:59:59-01", "2025-01-01 00:59:59"),
            ("0001-01-01T00:00:00+02:00", "0001-12-31 22:00:00 BC"),
            ("9999-12-31T23:59:59-02:00", "10000-01-01 01:59:59"),
        ] {
            assert_eq!(written(push_timestamp, text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_instant_or_out_of_range_is_told() {
        for text in [
            "",
            "bad",
            "infinity",
            "-infinity",
            "now",
            "1700000000000",
            "2024-01-02T03:04:05 PM",
            "2024-01-02T25:00:00Z",
            "2024-01-02T03:04:60Z",
            "2024-01-02T03:04:05+25:00",
            "10000-01-01T00:00:00Z",
            "2024-01-02T03:04:05.Z",
            "2024-W01-2",
            "2024-01-02é",
        ] {
            assert!(matches!(written(push_timestamp, text), Err(ValueError::Form { .. })), "{text}");
        }
        for text in ["2024-13-01T00:00:00Z", "2023-02-29", "0000-01-01T00:00:00Z"] {
            assert!(matches!(written(push_timestamp, text), Err(ValueError::Range { .. })), "{text}");
        }
    }

    #[test]
    fn a_date_and_a_time_of_day_are_no_more_than_that() {
        assert_eq!(written(push_date, "2024-02-29").as_deref(), Ok("2024-02-29"));
        assert!(written(push_date, "2024-02-29T00:00:00Z").is_err());
        assert!(written(push_date, "infinity").is_err());
        assert_eq!(written(push_time, "03:04:05.500Z").as_deref(), Ok("03:04:05.5"));
        assert_eq!(written(push_time, "03:04").as_deref(), Ok("03:04:00"));
        assert!(written(push_time, "03:04:05+02:00").is_err());
    }
}
