//! HubSpot's clock and the portal's time zone, as answers tell them.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

/// No offset from UTC.
const UNKNOWN: i64 = i64::MIN;
/// A warning says so when HubSpot's clock is further ahead of this machine's.
const MAX_DRIFT: TimeDelta = TimeDelta::minutes(5);
const DAY_MILLIS: i64 = 24 * 3_600_000;

/// What a client knows of the time at HubSpot.
#[derive(Debug)]
pub(super) struct ServerClock {
    /// The latest `Date` header, in epoch seconds; 0 before the first answer.
    seconds: AtomicI64,
    /// A drift between the clocks was logged.
    is_drift_logged: AtomicBool,
    /// The portal's offset from UTC in milliseconds; [`UNKNOWN`] until the account is read.
    utc_offset_millis: AtomicI64,
}

impl Default for ServerClock {
    fn default() -> Self {
        Self {
            seconds: AtomicI64::new(0),
            is_drift_logged: AtomicBool::new(false),
            utc_offset_millis: AtomicI64::new(UNKNOWN),
        }
    }
}

impl ServerClock {
    /// The earlier of two clocks, in whole milliseconds: HubSpot's as of its latest answer, and this machine's.
    pub(super) fn now(&self) -> DateTime<Utc> {
        let local = Utc::now().timestamp_millis();
        let now = match self.seconds.load(Ordering::Relaxed) {
            0 => local,
            seconds => local.min(seconds.saturating_mul(1000)),
        };
        DateTime::from_timestamp_millis(now).unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// Takes the `Date` of an answer; it may lie before the last one's.
    pub(super) fn learn(&self, date: DateTime<Utc>) {
        self.seconds.store(date.timestamp(), Ordering::Relaxed);
        let drift = date - Utc::now();
        if drift > MAX_DRIFT && !self.is_drift_logged.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "HubSpot's clock is {} s ahead of this machine's; what is read ends at the earlier of both",
                drift.num_seconds()
            );
        }
    }

    /// Takes the portal's offset from UTC.
    pub(super) fn learn_offset(&self, millis: i64) {
        self.utc_offset_millis.store(millis, Ordering::Relaxed);
    }

    /// The next midnight in the portal's time zone; none before its offset is known.
    pub(super) fn next_midnight(&self) -> Option<DateTime<Utc>> {
        let offset = self.utc_offset_millis.load(Ordering::Relaxed);
        if offset == UNKNOWN {
            return None;
        }
        let local = self.now().timestamp_millis() + offset;
        let midnight = (local.div_euclid(DAY_MILLIS) + 1) * DAY_MILLIS;
        Some(DateTime::UNIX_EPOCH + TimeDelta::milliseconds(midnight - offset))
    }
}
