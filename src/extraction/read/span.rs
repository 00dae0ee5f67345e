//! Spans of ids.

use crate::client::PageCursor;

/// The end of a range that has none.
pub(crate) const NO_END: u64 = u64::MAX;

/// A span of ids of which a page has all records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IdSpan {
    /// The greatest id before it.
    pub(crate) after: u64,
    /// Its last id; [`NO_END`] at the list's end.
    pub(crate) last: u64,
    /// How many records it has.
    pub(crate) rows: u64,
}

/// Whether a cursor leads to an id that belongs to the next range.
pub(crate) fn is_at_or_past(cursor: &PageCursor, end: u64) -> bool {
    end != NO_END && cursor.0.parse().is_ok_and(|id: u64| id >= end)
}
