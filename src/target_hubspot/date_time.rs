//! Dates and times as people and programs write them: ISO 8601, Postgres, pandas, and epochs.

use chrono::{DateTime, Datelike, Duration, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Utc};

use super::scalars::whole_number;

/// Years that HubSpot and every client can hold.
const YEARS: std::ops::RangeInclusive<i32> = 1..=9999;
/// The error of a text that is none.
const TAKES_INSTANT: &str = "is no date and time; write it such as 2024-02-29T13:45:00Z or 2024-02-29 13:45:00+01:00";
const TAKES_DATE: &str = "is no date; write it as YYYY-MM-DD, such as 2024-02-29";

/// A date and time as it is written; without a time of day it is midnight.
#[derive(Debug, Clone, Copy)]
struct WrittenRecord {
    local: NaiveDateTime,
    /// None: the text names no zone.
    offset: Option<FixedOffset>,
}

/// Reads an instant; without a zone it is in UTC.
///
/// # Errors
/// What is wrong, to follow the quoted text.
pub(super) fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    let written = written(text, TAKES_INSTANT)?;
    let shift = Duration::seconds(written.offset.map_or(0, |offset| i64::from(offset.local_minus_utc())));
    let instant = written.local.checked_sub_signed(shift).map(|utc| utc.and_utc());
    instant.filter(|instant| YEARS.contains(&instant.year())).ok_or_else(|| TAKES_INSTANT.to_owned())
}

/// Reads a calendar date; a time of day must be midnight in its own zone.
///
/// # Errors
/// What is wrong, to follow the quoted text.
pub(super) fn date(text: &str) -> Result<NaiveDate, String> {
    let written = written(text, TAKES_DATE)?;
    if written.local.time() != NaiveTime::MIN {
        return Err("has a time of day, and the property holds a date alone; write it as YYYY-MM-DD".to_owned());
    }
    Some(written.local.date()).filter(|date| YEARS.contains(&date.year())).ok_or_else(|| TAKES_DATE.to_owned())
}

fn written(text: &str, takes: &str) -> Result<WrittenRecord, String> {
    // Programs write great floats with an exponent.
    let whole = text.contains(['e', 'E']).then(|| whole_number(text)).flatten();
    let text = whole.as_deref().unwrap_or(text);
    let digits = text.strip_prefix('-').unwrap_or(text);
    let numeric = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !text.is_empty() && numeric && digits.matches('.').count() <= 1 {
        return epoch(text);
    }
    let unreadable = || takes.to_owned();
    let (day, rest) = text.split_at_checked(10).ok_or_else(unreadable)?;
    let day = calendar_date(day).ok_or_else(unreadable)?;
    let Some(first) = rest.chars().next() else {
        return Ok(WrittenRecord { local: day.and_time(NaiveTime::MIN), offset: None });
    };
    if !matches!(first, 'T' | 't' | ' ') {
        return Err(unreadable());
    }
    let rest = rest[1..].trim_start();
    let end = rest.find(|one: char| !one.is_ascii_digit() && !":.,".contains(one)).unwrap_or(rest.len());
    let (time, zone) = rest.split_at(end);
    let local = day.and_time(time_of_day(time).ok_or_else(unreadable)?);
    Ok(WrittenRecord { local, offset: zone_offset(zone.trim())? })
}

/// `YYYY-MM-DD`.
fn calendar_date(text: &str) -> Option<NaiveDate> {
    let shape = text.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    if !shape {
        return None;
    }
    NaiveDate::from_ymd_opt(text[..4].parse().ok()?, text[5..7].parse().ok()?, text[8..].parse().ok()?)
}

/// `HH:MM[:SS[.fraction]]`; digits behind the ninth are dropped.
fn time_of_day(text: &str) -> Option<NaiveTime> {
    let (whole, fraction) = text.split_once(['.', ',']).unwrap_or((text, "0"));
    let parts: Vec<&str> = whole.split(':').collect();
    let sound = parts.iter().all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit()));
    let numbers: Vec<u32> = parts.iter().filter_map(|part| part.parse().ok()).collect();
    if !sound || fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos = format!("{fraction:0<9}")[..9].parse().ok()?;
    match numbers.as_slice() {
        [hour, minute] if whole == text => NaiveTime::from_hms_opt(*hour, *minute, 0),
        [hour, minute, second] => NaiveTime::from_hms_nano_opt(*hour, *minute, *second, nanos),
        _ => None,
    }
}

/// Nothing, `Z`, `UTC`, `GMT`, or `±HH`, `±HHMM`, `±HH:MM`, `±HH:MM:SS`.
fn zone_offset(zone: &str) -> Result<Option<FixedOffset>, String> {
    if zone.is_empty() {
        return Ok(None);
    }
    let unclear =
        || format!("has the time zone {zone:?}, which is not clear; write Z for UTC, or an offset such as +01:00");
    if ["Z", "UTC", "GMT"].iter().any(|name| zone.eq_ignore_ascii_case(name)) {
        return Ok(FixedOffset::east_opt(0));
    }
    let (sign, digits) = match zone.split_at_checked(1) {
        Some(("+", digits)) => (1, digits),
        Some(("-", digits)) => (-1, digits),
        _ => return Err(unclear()),
    };
    let digits: String = digits.chars().filter(|one| *one != ':').collect();
    if ![2, 4, 6].contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(unclear());
    }
    let part = |at: usize| digits.get(at..at + 2).map_or(Ok(0), str::parse::<i32>).unwrap_or(0);
    let (hours, minutes, seconds) = (part(0), part(2), part(4));
    if hours > 15 || minutes > 59 || seconds > 59 {
        return Err(unclear());
    }
    FixedOffset::east_opt(sign * (hours * 3600 + minutes * 60 + seconds)).map(Some).ok_or_else(unclear)
}

/// Seconds (10 digits, maybe with a fraction), milliseconds (12 or 13), microseconds (16) or nanoseconds (19) since
/// 1970. Any other number of digits could be two of them, or a year.
fn epoch(text: &str) -> Result<WrittenRecord, String> {
    let unclear = || {
        "is not clear as a time: epoch seconds have 10 digits, epoch milliseconds 13; or write it such as \
         2024-02-29T13:45:00Z"
            .to_owned()
    };
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let number: i64 = whole.parse().map_err(|_| unclear())?;
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(unclear());
    }
    let since = match whole.len() {
        10 => {
            let nanos: i64 = format!("{fraction:0<9}")[..9].parse().map_err(|_| unclear())?;
            Duration::seconds(number) + Duration::nanoseconds(nanos)
        }
        12 | 13 => Duration::milliseconds(number),
        16 => Duration::microseconds(number),
        19 => Duration::nanoseconds(number),
        _ => return Err(unclear()),
    };
    let instant = DateTime::UNIX_EPOCH.checked_add_signed(if negative { -since } else { since }).ok_or_else(unclear)?;
    Ok(WrittenRecord { local: instant.naive_utc(), offset: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::property::format_instant;

    #[test]
    fn instants_of_postgres_pandas_and_epochs_are_read() {
        for (given, expected) in [
            ("2024-02-29T01:02:03Z", "2024-02-29T01:02:03.000Z"),
            ("2024-02-29 01:02:03+00", "2024-02-29T01:02:03.000Z"),
            ("2024-02-29 01:02:03.5+0200", "2024-02-28T23:02:03.500Z"),
            ("2024-02-29 01:02:03 +02:00", "2024-02-28T23:02:03.000Z"),
            ("2024-02-29 01:02:03 UTC", "2024-02-29T01:02:03.000Z"),
            ("2024-02-29 01:02:03.123456-05:30", "2024-02-29T06:32:03.123456Z"),
            ("2024-02-29T01:02:03.123456789012", "2024-02-29T01:02:03.123456Z"),
            ("2024-02-29t01:02z", "2024-02-29T01:02:00.000Z"),
            ("2024-02-29", "2024-02-29T00:00:00.000Z"),
            ("1709168523", "2024-02-29T01:02:03.000Z"),
            ("1709168523.25", "2024-02-29T01:02:03.250Z"),
            ("1709168523000", "2024-02-29T01:02:03.000Z"),
            ("1.709168523e12", "2024-02-29T01:02:03.000Z"),
            ("1709168523000.0", "2024-02-29T01:02:03.000Z"),
            ("1709168523000000", "2024-02-29T01:02:03.000Z"),
            ("1709168523000000000", "2024-02-29T01:02:03.000Z"),
            ("-1000000000", "1938-04-24T22:13:20.000Z"),
        ] {
            assert_eq!(instant(given).map(format_instant).as_deref(), Ok(expected), "{given}");
        }
    }

    #[test]
    fn what_is_not_clear_is_refused_with_what_to_write() {
        for (given, says) in [
            ("soon", "2024-02-29T13:45:00Z"),
            ("29.02.2024", "2024-02-29T13:45:00Z"),
            ("2023-02-29 01:02:03", "is no date and time"),
            ("2024-02-29 25:00:00", "is no date and time"),
            ("2024-02-29 01:02:03 CET", "\"CET\", which is not clear"),
            ("2024-02-29 01:02:03 Europe/Berlin", "is not clear"),
            ("2024-02-29T01:02:03+99:00", "is not clear"),
            ("20240229", "10 digits"),
            ("2024", "10 digits"),
            ("17091685230", "10 digits"),
            ("0000-01-01T00:00:00Z", "is no date and time"),
            ("-", "10 digits"),
            ("", "is no date and time"),
        ] {
            let said = instant(given).expect_err(given);
            assert!(said.contains(says), "{given}: {said}");
        }
    }

    #[test]
    fn dates_have_no_time_of_day_but_midnight() {
        for given in ["2024-02-29", "2024-02-29 00:00:00", "2024-02-29T00:00:00+02:00", "1709164800", "1709164800000"] {
            assert_eq!(date(given).map(|date| date.to_string()).as_deref(), Ok("2024-02-29"), "{given}");
        }
        assert!(date("2024-02-29T01:00:00Z").expect_err("a time").contains("has a time of day"));
        assert!(date("02/29/2024").expect_err("no date").contains("YYYY-MM-DD"));
    }
}
