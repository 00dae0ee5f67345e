//! Dates and instants as HubSpot writes them, and as targets read them.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, Utc};

/// Years that every target can store.
const YEARS: std::ops::RangeInclusive<i32> = 1..=9999;
/// Fewer digits than this are no epoch milliseconds but a year or a mistake.
const MIN_EPOCH_DIGITS: usize = 9;

/// `YYYY-MM-DDTHH:MM:SS.mmmZ`, with six digits when the instant has microseconds.
pub fn format_instant(instant: DateTime<Utc>) -> String {
    let precision = if instant.timestamp_subsec_micros().is_multiple_of(1000) {
        SecondsFormat::Millis
    } else {
        SecondsFormat::Micros
    };
    instant.to_rfc3339_opts(precision, true)
}

/// Reads an instant: ISO 8601 with or without fraction, zone (UTC if none) and time, or epoch milliseconds; years 1 to
/// 9999. HubSpot drops the fraction when it is zero, so instants are never compared as text.
pub(super) fn parse_instant(text: &str) -> Option<DateTime<Utc>> {
    let instant = match parse_usual(text.as_bytes()) {
        Some(instant) => instant,
        None => parse_unusual(text)?,
    };
    YEARS.contains(&instant.year()).then_some(instant)
}

/// Reads a calendar date: `YYYY-MM-DD`, or an instant at midnight UTC.
pub(super) fn parse_date(text: &str) -> Option<NaiveDate> {
    let date = match NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        Ok(date) if text.len() == 10 => date,
        _ => parse_instant(text).filter(|instant| instant.time() == NaiveTime::MIN)?.date_naive(),
    };
    YEARS.contains(&date.year()).then_some(date)
}

/// Whether the text already has the form that [`format_instant`] writes.
pub(super) fn is_formatted(text: &str) -> bool {
    text.len() == 24 && parse_usual(text.as_bytes()).is_some_and(|instant| YEARS.contains(&instant.year()))
}

/// `YYYY-MM-DDTHH:MM:SS[.mmm]Z`, what nearly every value looks like.
fn parse_usual(bytes: &[u8]) -> Option<DateTime<Utc>> {
    let millis = match bytes.len() {
        20 => 0,
        24 if bytes[19] == b'.' => number(&bytes[20..23])?,
        _ => return None,
    };
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (bytes.len() - 1, b'Z')];
    if separators.iter().any(|(position, separator)| bytes[*position] != *separator) {
        return None;
    }
    let year = i32::try_from(number(&bytes[..4])?).ok()?;
    let date = NaiveDate::from_ymd_opt(year, number(&bytes[5..7])?, number(&bytes[8..10])?)?;
    let (hour, minute, second) = (number(&bytes[11..13])?, number(&bytes[14..16])?, number(&bytes[17..19])?);
    Some(date.and_time(NaiveTime::from_hms_milli_opt(hour, minute, second, millis)?).and_utc())
}

fn parse_unusual(text: &str) -> Option<DateTime<Utc>> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.len() >= MIN_EPOCH_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return DateTime::from_timestamp_millis(text.parse().ok()?);
    }
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Some(instant.to_utc());
    }
    for format in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"] {
        if let Ok(instant) = NaiveDateTime::parse_from_str(text, format) {
            return Some(instant.and_utc());
        }
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10)?;
    Some(date.and_time(NaiveTime::MIN).and_utc())
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_of_every_form_are_read() {
        for (given, expected) in [
            ("2025-03-21T15:35:54.252Z", "2025-03-21T15:35:54.252Z"),
            ("2022-02-17T19:25:29Z", "2022-02-17T19:25:29.000Z"),
            ("2022-02-17T19:25:29.1Z", "2022-02-17T19:25:29.100Z"),
            ("2022-02-17T19:25:29.123456789Z", "2022-02-17T19:25:29.123456Z"),
            ("2022-02-17T19:25:29+02:00", "2022-02-17T17:25:29.000Z"),
            ("2022-02-17T19:25:29", "2022-02-17T19:25:29.000Z"),
            ("2022-02-17 19:25:29", "2022-02-17T19:25:29.000Z"),
            ("2022-02-17", "2022-02-17T00:00:00.000Z"),
            ("1742569562943", "2025-03-21T15:06:02.943Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(parse_instant(given).map(format_instant).as_deref(), Some(expected), "{given}");
        }
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for text in
            ["", "bad", "2024", "2024-13-01T00:00:00Z", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "24-1-2"]
        {
            assert_eq!(parse_instant(text), None, "{text}");
        }
    }

    #[test]
    fn dates_of_every_form_are_read() {
        let date = |text: &str| parse_date(text).map(|date| date.to_string());
        assert_eq!(date("2024-02-29").as_deref(), Some("2024-02-29"));
        assert_eq!(date("1704153600000").as_deref(), Some("2024-01-02"));
        assert_eq!(date("2024-01-02T00:00:00Z").as_deref(), Some("2024-01-02"));
        for text in ["2023-02-29", "2024-01-02T01:00:00Z", "2024-1-2", "10000-01-01", "0000-01-01", ""] {
            assert_eq!(date(text), None, "{text}");
        }
    }
}
