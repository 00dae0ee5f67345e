//! What a run did, stream by stream.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

use crate::state::State;

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

/// A part of a run: a first load, a reading of changes, a sweep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase {
    /// The stream that it is about.
    pub stream: &'static str,
    /// What is done.
    pub kind: PhaseKind,
    /// When it began, by HubSpot's clock.
    pub started_at: DateTime<Utc>,
    /// How it ended; none while it is under way.
    pub ended: Option<Ending>,
}

/// What a part of a run does: the column `part` of `sync_audit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhaseKind {
    /// Reads all rows for the first time, or on each run.
    FirstLoad,
    /// Reads all rows again.
    Sweep,
    /// The same once more: the sweep that ended was begun by an earlier run, and does not know what changed since.
    SweepAgain,
    /// Reads what changed since the bookmark.
    Changes,
    /// Reads what was archived.
    Archive,
    /// Reads what was created since an instant.
    CreatedAfter,
}

impl PhaseKind {
    /// The word for it in `sync_audit`, in the report and in the log.
    pub fn word(self) -> &'static str {
        match self {
            Self::FirstLoad => "first_load",
            Self::Sweep => "sweep",
            Self::SweepAgain => "sweep_anew",
            Self::Changes => "changes",
            Self::Archive => "archive",
            Self::CreatedAfter => "created_after",
        }
    }
}

/// How a part of a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// When, by HubSpot's clock.
    pub at: DateTime<Utc>,
    /// Whether everything it is about was read.
    pub whole: bool,
    /// Why not, or why it removes no row.
    pub reason: Option<Reason>,
}

/// Counts of a run, and how far it has come.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    /// By stream, in the order in which they were read.
    pub streams: Vec<(&'static str, StreamSummary)>,
    /// The parts, in the order in which they began.
    pub phases: Vec<Phase>,
    /// The state of the last checkpoint.
    pub state: Option<State>,
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
    pub(crate) fn stream(&self, stream: &str) -> StreamSummary {
        let summary = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        summary.streams.iter().find(|(name, _)| *name == stream).map(|(_, counts)| counts.clone()).unwrap_or_default()
    }

    pub(crate) fn begin_phase(&self, stream: &'static str, kind: PhaseKind, started_at: DateTime<Utc>) {
        let mut summary = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        summary.phases.push(Phase { stream, kind, started_at, ended: None });
    }

    pub(crate) fn end_phase(&self, stream: &str, kind: PhaseKind, ending: Ending) {
        let mut summary = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = summary.phases.iter_mut().rev().find(|phase| phase.stream == stream && phase.kind == kind);
        if let Some(phase) = begun {
            phase.ended = Some(ending);
        }
    }

    pub(crate) fn checkpoint(&self, state: &State) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).state = Some(state.clone());
    }

    pub(crate) fn update(&self, stream: &'static str, change: impl FnOnce(&mut StreamSummary)) {
        let mut summary = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let index = summary.streams.iter().position(|(name, _)| *name == stream).unwrap_or_else(|| {
            summary.streams.push((stream, StreamSummary::default()));
            summary.streams.len() - 1
        });
        change(&mut summary.streams[index].1);
    }
}

/// Why a reading is not whole, or removes nothing: the column `reason` of `sync_audit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The deadline of the sweep came first.
    DeadlineReached,
    /// The reading ended with an error.
    Failed,
    /// The search counts records that nothing returns.
    CountDisagrees,
    /// Records exist that could not be read.
    RecordsUnread,
    /// Fewer rows than before, and nothing tells why.
    UnexplainedFall,
    /// A date bounds the reading, so that it says nothing of other rows.
    BoundedByDate,
}

impl Reason {
    /// The word for it in `sync_audit` and in the report.
    pub fn word(self) -> &'static str {
        match self {
            Self::DeadlineReached => "deadline_reached",
            Self::Failed => "failed",
            Self::CountDisagrees => "count_disagrees",
            Self::RecordsUnread => "records_unread",
            Self::UnexplainedFall => "unexplained_fall",
            Self::BoundedByDate => "bounded_by_date",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}
