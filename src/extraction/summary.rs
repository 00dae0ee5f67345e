//! What a run did, stream by stream.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts of one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamSummary {
    /// Records yielded, tombstones included.
    pub records: u64,
    /// Tombstones among them.
    pub tombstones: u64,
    /// Pages read.
    pub pages: u64,
    /// Values that did not fit their type, by property.
    pub unparsed: BTreeMap<String, u64>,
}

/// Counts of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// By stream, in the order in which they were read.
    pub streams: Vec<(&'static str, StreamSummary)>,
}

/// The counts of a run that is under way, shared with whoever shows them.
#[derive(Debug, Clone, Default)]
pub struct SummaryHandle(Arc<Mutex<Summary>>);

impl SummaryHandle {
    /// The counts now.
    pub fn now(&self) -> Summary {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The counts of one stream now.
    pub(super) fn stream(&self, stream: &str) -> StreamSummary {
        let summary = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        summary.streams.iter().find(|(name, _)| *name == stream).map(|(_, counts)| counts.clone()).unwrap_or_default()
    }

    pub(super) fn update(&self, stream: &'static str, change: impl FnOnce(&mut StreamSummary)) {
        let mut summary = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let index = summary.streams.iter().position(|(name, _)| *name == stream).unwrap_or_else(|| {
            summary.streams.push((stream, StreamSummary::default()));
            summary.streams.len() - 1
        });
        change(&mut summary.streams[index].1);
    }
}
