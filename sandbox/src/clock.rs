//! The portal's clock: the machine's, or a frozen one that control calls move.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use chrono::{DateTime, NaiveDate, Utc};

/// Milliseconds since 1970-01-01T00:00:00Z.
pub(crate) type Millis = i64;

pub(crate) const SECOND: Millis = 1_000;
pub(crate) const HOUR: Millis = 3_600 * SECOND;
pub(crate) const DAY: Millis = 24 * HOUR;

#[derive(Debug)]
pub(crate) struct Clock {
    frozen: AtomicBool,
    /// The instant itself when frozen, the distance to the machine's clock otherwise.
    value: AtomicI64,
}

impl Clock {
    pub(crate) fn new(start: Option<DateTime<Utc>>) -> Self {
        Self {
            frozen: AtomicBool::new(start.is_some()),
            value: AtomicI64::new(start.map_or(0, |at| at.timestamp_millis())),
        }
    }

    pub(crate) fn now(&self) -> Millis {
        let value = self.value.load(Ordering::SeqCst);
        if self.frozen.load(Ordering::SeqCst) { value } else { machine_now() + value }
    }

    pub(crate) fn set(&self, at: Millis) {
        let value = if self.frozen.load(Ordering::SeqCst) { at } else { at - machine_now() };
        self.value.store(value, Ordering::SeqCst);
    }

    pub(crate) fn advance(&self, by: Millis) {
        self.value.fetch_add(by, Ordering::SeqCst);
    }

    pub(crate) fn freeze(&self, at: Millis) {
        self.frozen.store(true, Ordering::SeqCst);
        self.value.store(at, Ordering::SeqCst);
    }

    /// Lets a frozen clock run on from its present time.
    pub(crate) fn run(&self) {
        let now = self.now();
        self.frozen.store(false, Ordering::SeqCst);
        self.value.store(now - machine_now(), Ordering::SeqCst);
    }
}

fn machine_now() -> Millis {
    Utc::now().timestamp_millis()
}

/// Writes `2025-03-21T15:35:54.252Z`, without the fraction when the milliseconds are zero, as
/// HubSpot's server does.
pub(crate) fn write_instant(out: &mut Vec<u8>, at: Millis) {
    let days = at.div_euclid(DAY);
    let in_day = at.rem_euclid(DAY);
    let (year, month, day) = civil_date(days);
    if (0..=9_999).contains(&year) {
        digits(out, year, 4);
    } else {
        out.extend_from_slice(year.to_string().as_bytes());
    }
    out.push(b'-');
    digits(out, month, 2);
    out.push(b'-');
    digits(out, day, 2);
    out.push(b'T');
    digits(out, in_day / HOUR, 2);
    out.push(b':');
    digits(out, in_day / 60_000 % 60, 2);
    out.push(b':');
    digits(out, in_day / SECOND % 60, 2);
    if in_day % SECOND != 0 {
        out.push(b'.');
        digits(out, in_day % SECOND, 3);
    }
    out.push(b'Z');
}

fn digits(out: &mut Vec<u8>, value: i64, width: u32) {
    for place in (0..width).rev() {
        let digit = value / 10_i64.pow(place) % 10;
        out.push(b'0' + u8::try_from(digit).unwrap_or(0));
    }
}

/// Year, month and day of a count of days since 1970-01-01 (Howard Hinnant's civil calendar).
fn civil_date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

pub(crate) fn instant_text(at: Millis) -> String {
    let mut out = Vec::with_capacity(24);
    write_instant(&mut out, at);
    String::from_utf8(out).unwrap_or_default()
}

pub(crate) fn date_text(at: Millis) -> String {
    instant_text(at).chars().take(10).collect()
}

/// `Tue, 15 Nov 1994 08:12:31 GMT`.
pub(crate) fn http_date(at: Millis) -> String {
    DateTime::from_timestamp_millis(at).unwrap_or_default().format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Reads epoch milliseconds, an ISO instant or a plain date (midnight UTC).
pub(crate) fn parse_instant(text: &str) -> Option<Millis> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.timestamp_millis());
    }
    let date = text.parse::<NaiveDate>().ok()?;
    Some(date.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_drops_its_fraction_only_when_it_is_zero() {
        assert_eq!(instant_text(1_742_571_354_252), "2025-03-21T15:35:54.252Z");
        assert_eq!(instant_text(1_742_571_354_000), "2025-03-21T15:35:54Z");
        assert_eq!(instant_text(1_709_164_800_010), "2024-02-29T00:00:00.010Z");
        assert_eq!(instant_text(-1), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn a_frozen_clock_moves_only_when_told() {
        let clock = Clock::new(DateTime::from_timestamp_millis(5_000));
        assert_eq!(clock.now(), 5_000);
        clock.advance(10);
        assert_eq!(clock.now(), 5_010);
        clock.set(4_000);
        assert_eq!(clock.now(), 4_000);
    }
}
