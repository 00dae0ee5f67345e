//! Instants as people write them in settings.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, Utc};

/// What an error shows as the right form.
pub(super) const EXAMPLE: &str = "2024-01-31 (midnight UTC) or 2024-01-31T13:45:00Z";

/// An instant in the one form that the settings' schema takes, from a date or a date and time: with `T` or a space
/// between, with or without seconds, with `Z`, an offset or none (UTC, as taps of Meltano's SDK take it).
pub(super) fn normalised(text: &str) -> Option<String> {
    parse(text.trim()).map(|instant| instant.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

fn parse(text: &str) -> Option<DateTime<Utc>> {
    // Chrono takes years of any length.
    if !(text.len() >= 8 && text.bytes().take(4).all(|byte| byte.is_ascii_digit()) && text.as_bytes()[4] == b'-') {
        return None;
    }
    let (date, time) = match text.split_once(['T', 't', ' ']) {
        None => (text, None),
        Some((date, time)) => (date, Some(time.trim())),
    };
    let date = NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()?;
    let Some(time) = time else { return Some(date.and_time(NaiveTime::MIN).and_utc()) };
    let utc = time.trim_end_matches(['Z', 'z']).trim_end_matches("UTC").trim_end();
    for format in ["%H:%M:%S%.f", "%H:%M"] {
        if let Ok(time) = NaiveTime::parse_from_str(utc, format) {
            return Some(NaiveDateTime::new(date, time).and_utc());
        }
    }
    let with_offset = format!("{date} {time}");
    ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f %#z", "%Y-%m-%d %H:%M%#z"]
        .iter()
        .find_map(|format| DateTime::parse_from_str(&with_offset, format).ok())
        .map(|instant| instant.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_midnight_utc_and_instants_without_zone_are_utc() {
        for (given, expected) in [
            ("2024-01-01", "2024-01-01T00:00:00Z"),
            (" 2024-01-01\n", "2024-01-01T00:00:00Z"),
            ("2024-01-01T00:00:00", "2024-01-01T00:00:00Z"),
            ("2024-01-01 00:00:00", "2024-01-01T00:00:00Z"),
            ("2024-01-01 13:45", "2024-01-01T13:45:00Z"),
            ("2024-01-01T13:45Z", "2024-01-01T13:45:00Z"),
            ("2024-01-01t13:45:06z", "2024-01-01T13:45:06Z"),
            ("2024-01-01 13:45:06 UTC", "2024-01-01T13:45:06Z"),
            ("2024-01-01T13:45:06.250", "2024-01-01T13:45:06.250Z"),
            ("2024-01-01T13:45:06.123456Z", "2024-01-01T13:45:06.123456Z"),
            ("2024-01-01T13:45:06+02:00", "2024-01-01T11:45:06Z"),
            ("2024-01-01 13:45:06 +0200", "2024-01-01T11:45:06Z"),
            ("2024-01-01 13:45:06-05", "2024-01-01T18:45:06Z"),
            ("2024-01-01T13:45+02:00", "2024-01-01T11:45:00Z"),
        ] {
            assert_eq!(normalised(given).as_deref(), Some(expected), "{given:?}");
        }
    }

    #[test]
    fn what_is_no_instant_or_not_clear_is_refused() {
        for given in [
            "",
            "yesterday",
            "2024",
            "2024-01",
            "2024-13-01",
            "2023-02-29",
            "01/02/2024",
            "20240101",
            "1704067200",
            "1704067200000",
            "24-01-01",
            "2024-01-01T25:00:00Z",
            "2024-01-01 soon",
            "12024-01-01",
        ] {
            assert_eq!(normalised(given), None, "{given:?}");
        }
    }
}
