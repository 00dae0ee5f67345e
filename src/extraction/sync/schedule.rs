//! What is due for an object type: pure decisions, the same for a run and for the estimate of `--plan`.

use chrono::{DateTime, TimeDelta, Utc};

use crate::client::MAX_BATCH;
use crate::extraction::plan::bounds::Bounds;
use crate::state::Bookmark;

/// Rows of a search's page.
pub(crate) const SEARCH_PAGE_ROWS: u64 = 200;

/// What a run reads of an object type first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FirstTask {
    /// What was created since an instant; no bookmark counts.
    New,
    /// All rows: nothing was loaded yet, a load has not ended, or the catalog asks for it on each run.
    AllRows,
    /// What changed since the bookmark.
    Changes,
}

/// What a run reads first.
pub(crate) fn first_task(bounds: &Bounds, bookmark: &Bookmark, full_table: bool) -> FirstTask {
    let is_loaded = bookmark.replication_key_value.is_some() && bookmark.swept_at.is_some();
    match bounds.created_after {
        Some(_) => FirstTask::New,
        None if full_table || !is_loaded => FirstTask::AllRows,
        None => FirstTask::Changes,
    }
}

/// The time between two readings that a setting gives in hours.
pub(crate) fn pause_of_hours(hours: f64) -> TimeDelta {
    #[expect(clippy::cast_possible_truncation, reason = "bounded by the settings' maximum")]
    TimeDelta::milliseconds((hours * 3_600_000.0) as i64)
}

/// Calls that a list takes; none where nothing has counted its rows.
pub(crate) fn list_calls(rows: Option<u64>, page_size: u32) -> Option<u64> {
    rows.map(|rows| rows.div_ceil(u64::from(page_size)).max(1))
}

/// Whether changes are read by the list: where that takes no more calls than the search, since the list does not lag.
/// `changed` is what the search counts, and none before it was asked.
pub(crate) fn changes_by_list(list_calls: Option<u64>, changed: Option<u64>) -> bool {
    // Ids by the search, their records by batch read.
    let search_calls = changed.map(|changed| changed.div_ceil(SEARCH_PAGE_ROWS) + changed.div_ceil(MAX_BATCH as u64));
    list_calls.is_some_and(|calls| calls == 1 || search_calls.is_some_and(|search_calls| calls <= search_calls))
}

/// Whether all rows are read again after the changes: the selection grew, a sweep has not ended, or the last one is
/// `sweep_hours` ago. A run with an end date never sweeps.
pub(crate) fn sweep_is_due(bounds: &Bounds, bookmark: &Bookmark, selection_grew: bool, now: DateTime<Utc>) -> bool {
    let elapsed = |hours: f64| bookmark.swept_at.is_none_or(|last| last + pause_of_hours(hours) <= now);
    bounds.until.is_none() && (selection_grew || bookmark.progress.is_some() || bounds.sweep_hours.is_some_and(elapsed))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::state::PassProgress;

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hours)
    }

    fn bounds(until: Option<i64>, created_after: Option<i64>, sweep_hours: Option<f64>) -> Bounds {
        Bounds {
            page_size: 100,
            checkpoint_every_pages: 10,
            lookback: TimeDelta::hours(1),
            since: None,
            until: until.map(at),
            created_after: created_after.map(at),
            include_archived: true,
            archive_hours: None,
            sweep_hours,
            sweep_time: Duration::from_secs(60),
        }
    }

    #[test]
    fn changes_are_read_once_everything_was_loaded() {
        use FirstTask::{AllRows, Changes, New};
        // created_after, bookmark, swept_at, full_table; the task.
        for (created_after, value, swept_at, full_table, expected) in [
            (None, None, None, false, AllRows),
            (None, Some(1), None, false, AllRows),
            (None, None, Some(1), false, AllRows),
            (None, Some(1), Some(1), false, Changes),
            (None, Some(1), Some(1), true, AllRows),
            (Some(5), None, None, false, New),
            (Some(5), Some(1), Some(1), true, New),
        ] {
            let bookmark =
                Bookmark { replication_key_value: value.map(at), swept_at: swept_at.map(at), ..Bookmark::default() };
            let task = first_task(&bounds(None, created_after, None), &bookmark, full_table);
            assert_eq!(task, expected, "{created_after:?} {value:?} {swept_at:?} {full_table}");
        }
    }

    #[test]
    fn a_sweep_is_due_when_the_selection_grew_one_is_open_or_the_last_is_long_ago() {
        // until, sweep_hours, swept_at, is one open, did the selection grow; due.
        for (until, sweep_hours, swept_at, open, grew, expected) in [
            (None, None, Some(0), false, false, false),
            (None, Some(24.0), Some(77), false, false, false),
            (None, Some(24.0), Some(76), false, false, true),
            (None, Some(0.0), Some(100), false, false, true),
            (None, Some(24.0), None, false, false, true),
            (None, None, Some(100), true, false, true),
            (None, None, Some(100), false, true, true),
            (Some(50), Some(24.0), Some(0), true, true, false),
        ] {
            let progress = open.then(|| PassProgress::begin(None, at(90), Vec::new()));
            let bookmark = Bookmark { swept_at: swept_at.map(at), progress, ..Bookmark::default() };
            let due = sweep_is_due(&bounds(until, None, sweep_hours), &bookmark, grew, at(100));
            assert_eq!(due, expected, "{until:?} {sweep_hours:?} {swept_at:?} {open} {grew}");
        }
    }

    #[test]
    fn changes_are_listed_where_that_takes_no_more_calls_than_the_search() {
        // Rows of the last list, changes that the search counts; by the list.
        for (rows, changed, by_list) in [
            (None, None, false),
            (None, Some(1_000_000), false),
            (Some(0), None, true),
            (Some(100), None, true),
            (Some(100), Some(0), true),
            (Some(101), None, false),
            (Some(101), Some(0), false),
            (Some(200), Some(1), true),
            (Some(201), Some(100), false),
            (Some(300), Some(101), true),
            (Some(10_000), Some(6_600), false),
            (Some(10_000), Some(6_700), true),
        ] {
            assert_eq!(changes_by_list(list_calls(rows, 100), changed), by_list, "{rows:?} {changed:?}");
        }
        assert_eq!(list_calls(Some(101), 50), Some(3));
    }
}
