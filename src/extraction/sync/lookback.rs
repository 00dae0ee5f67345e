//! The rows that the next run finds again in its lookback.

use std::collections::BTreeMap;
use std::ops::Range;

use chrono::{DateTime, Utc};

use crate::client::ObjectId;

/// The time that the next run reads again, and how many of its rows the state may name.
pub(crate) struct Lookback {
    pub(crate) time: Range<DateTime<Utc>>,
    pub(crate) most_rows: usize,
}

impl Lookback {
    /// The same from another instant on.
    pub(crate) fn from(self, start: DateTime<Utc>) -> Self {
        Self { time: start..self.time.end, ..self }
    }
}

/// Keeps the rows that the next run will find again in its lookback, or none if they are too many to keep. What was
/// written without a modified instant, such as a tombstone, is known no more.
pub(crate) fn keep_recent(
    recent: &mut BTreeMap<u64, i64>,
    written: &[(ObjectId, Option<DateTime<Utc>>)],
    lookback: &Lookback,
) {
    for (id, at) in written {
        match at.filter(|at| lookback.time.contains(at)) {
            Some(at) => drop(recent.insert(id.0, at.timestamp_millis())),
            None => drop(recent.remove(&id.0)),
        }
    }
    recent.retain(|_, at| *at >= lookback.time.start.timestamp_millis());
    if recent.len() > lookback.most_rows {
        recent.clear();
    }
}
