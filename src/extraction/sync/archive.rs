//! When the archive is read: a small one on each run, a large one at intervals, so that a run that finds nothing costs few
//! calls.

use chrono::{DateTime, TimeDelta, Utc};

use crate::extraction::sync::schedule::pause_of_hours;

/// Rows of an archive that is read on each run: five calls.
const SMALL_ARCHIVE: u64 = 500;
/// Rows of a larger archive for each hour between two readings: about ten calls an hour.
const ROWS_AN_HOUR: u64 = 1_000;
/// The longest time between two readings, however large the archive is: deletions are a day late at most.
const MOST_MINUTES: u64 = 24 * 60;

/// Whether the archive is read now. `hours` is the setting `archive_hours`; without it the interval follows from `rows`,
/// what the archive held when it was read last. One that was never read or counted is due.
pub(crate) fn archive_is_due(
    hours: Option<f64>,
    rows: Option<u64>,
    last: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> bool {
    let pause = match (hours, rows) {
        (Some(hours), _) => pause_of_hours(hours),
        (None, Some(rows)) if rows > SMALL_ARCHIVE => {
            let minutes = (rows * 60 / ROWS_AN_HOUR).min(MOST_MINUTES);
            TimeDelta::minutes(i64::try_from(minutes).expect("at most a day"))
        }
        (None, _) => TimeDelta::zero(),
    };
    last.is_none_or(|last| last + pause <= now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_archives_are_due_on_each_run_and_large_ones_at_intervals() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("an instant");
        let ago = |minutes| Some(now - TimeDelta::minutes(minutes));
        for (hours, rows, last, due) in [
            (None, None, None, true),
            (None, Some(1_000_000), None, true),
            (None, None, ago(0), true),
            (None, Some(0), ago(0), true),
            (None, Some(500), ago(0), true),
            (None, Some(600), ago(35), false),
            (None, Some(600), ago(36), true),
            (None, Some(10_000), ago(599), false),
            (None, Some(10_000), ago(600), true),
            (None, Some(1_000_000), ago(24 * 60 - 1), false),
            (None, Some(1_000_000), ago(24 * 60), true),
            (Some(0.0), Some(1_000_000), ago(0), true),
            (Some(0.5), Some(1_000_000), ago(30), true),
            (Some(6.0), Some(3), ago(359), false),
        ] {
            assert_eq!(archive_is_due(hours, rows, last, now), due, "{hours:?} {rows:?} {last:?}");
        }
    }
}
