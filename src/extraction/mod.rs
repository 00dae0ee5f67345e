//! Reading a portal: from plans and cursors to the encoded records of pages, with checkpoints between them.

mod answer;
mod audit;
mod batch;
mod cache;
mod changes;
mod chunk;
mod completeness;
mod encoder;
mod estimate;
mod fingerprint;
mod group;
mod layout;
mod links;
mod list;
mod output;
mod page;
mod parse;
mod pass;
mod plan;
mod primaries;
mod privacy;
mod readable;
mod schemas;
mod sides;
mod small;
mod stamp;
mod summary;
mod tombstone;
mod window;

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use thiserror::Error;
use tokio::sync::mpsc;

use crate::client::{Buffer, Client, ClientError, ObjectType};
use crate::state::State;

pub use answer::encode_answer;
pub use cache::{Cache, CacheError};
pub use completeness::Reason;

use audit::Audit;
use group::Group;
use output::Output;

pub use estimate::{AssociationCost, Calls, Estimate};
pub use plan::{AssociationSettings, Plan, PlanError, wanted_associations};
pub use privacy::Privacy;
pub use schemas::StreamSchema;
pub use sides::{KeptStream, Sides, read_sides};
pub use small::SmallRecords;
pub use stamp::Stamp;
pub use summary::{Ending, Phase, StreamSummary, Summary, SummaryHandle};

/// What extraction yields. Order holds: a checkpoint covers what was yielded before it.
#[derive(Debug)]
pub enum Yield {
    /// Records of one page.
    Records(Records),
    /// All records of a stream's version have been yielded; rows of older versions are gone.
    ActivateVersion {
        /// The stream.
        stream: &'static str,
        /// Its version.
        version: i64,
    },
    /// A state that is true once everything before it has arrived.
    Checkpoint(State),
}

/// Encoded records of one stream, of one page.
#[derive(Debug)]
pub struct Records {
    /// The stream.
    pub stream: &'static str,
    /// JSON objects without their closing part, one behind another.
    pub bodies: Buffer,
    /// Where each of `bodies` ends.
    pub ends: Vec<usize>,
    /// What closes each object: the columns that all records of the page share, and the brace.
    pub tail: Vec<u8>,
    /// The stream's version.
    pub version: i64,
    /// When the page was read, by HubSpot's clock.
    pub extracted_at: DateTime<Utc>,
}

impl Records {
    /// The beginnings of the objects, each to be followed by the tail.
    pub fn bodies(&self) -> impl Iterator<Item = &[u8]> {
        let mut begin = 0;
        self.ends.iter().map(move |end| &self.bodies[std::mem::replace(&mut begin, *end)..*end])
    }
}

/// Where extraction puts what it yields; bounded, so that a slow reader slows the reading.
pub type Sink = mpsc::Sender<Yield>;

/// What a run is bounded by.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Records a page.
    pub page_size: u32,
    /// Pages between checkpoints.
    pub checkpoint_every_pages: u32,
    /// What is read again before a bookmark.
    pub lookback: TimeDelta,
    /// Rows modified earlier are left out; inclusive.
    pub since: Option<DateTime<Utc>>,
    /// Rows modified at or after this are left out.
    pub until: Option<DateTime<Utc>>,
    /// Rows created earlier are left out; inclusive. No bookmark moves.
    pub created_after: Option<DateTime<Utc>>,
    /// Read the archive.
    pub include_archived: bool,
    /// Hours between two readings of the archive; none: by its size.
    pub archive_hours: Option<f64>,
    /// Hours between two sweeps; none: never.
    pub sweep_hours: Option<f64>,
    /// How long a sweep may take of one run.
    pub sweep_time: Duration,
}

impl Bounds {
    /// The same bounds in HubSpot's resolution: a row lies inside these exactly when it lies inside the finer ones.
    fn in_millis(self) -> Self {
        let up = |at: DateTime<Utc>| match DateTime::from_timestamp_millis(at.timestamp_millis()) {
            Some(floor) if floor < at => floor + TimeDelta::milliseconds(1),
            _ => at,
        };
        let Self { since, until, created_after, .. } = self;
        Self { since: since.map(up), until: until.map(up), created_after: created_after.map(up), ..self }
    }
}

/// Why a run ended before its end.
#[derive(Debug, Error)]
pub enum ExtractError {
    /// HubSpot did not give what was asked for.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A selected stream that the token may not read.
    #[error("the stream {stream} cannot be read: {source}")]
    Stream {
        /// The stream.
        stream: &'static str,
        /// Why.
        #[source]
        source: ClientError,
    },
    /// A side stream that was not read, while all else was.
    #[error("all else was read, but {stream} was not, and its table stays as it is: {source}")]
    Kept {
        /// The stream.
        stream: &'static str,
        /// Why.
        #[source]
        source: ClientError,
    },
    /// Everything was read, of a portal that HubSpot did not name.
    #[error("all was read, but HubSpot does not tell of which portal: {source}")]
    UntoldPortal {
        /// Why.
        #[source]
        source: ClientError,
    },
    /// The search counts records that it does not give.
    #[error(
        "the search counts {expected} {object_type} modified between {from} and {to}, but gives {seen} also when read again; what it gives was written, and the bookmark stays: run again later"
    )]
    Shortfall {
        /// Of which type.
        object_type: ObjectType,
        /// The beginning of the window.
        from: DateTime<Utc>,
        /// Its end.
        to: DateTime<Utc>,
        /// Records counted.
        expected: u64,
        /// Records seen.
        seen: u64,
    },
    /// The search and the list contradict each other.
    #[error(
        "the search counts more {object_type} than the list has, too many to look at one by one; no row was removed: run again later"
    )]
    Contradiction {
        /// Of which type.
        object_type: ObjectType,
    },
    /// A list is shorter than it was, nothing explains it, and the search does not answer.
    #[error(
        "HubSpot shows {listed} {object_type} where there were {known} (unexplained_fall), and its search does not answer; no row is removed, and the next run reads them again"
    )]
    Fall {
        /// Of which type.
        object_type: ObjectType,
        /// Rows of the list.
        listed: u64,
        /// Rows of the last list.
        known: u64,
    },
    /// Records exist that no answer gives.
    #[error(
        "HubSpot says nothing about {count} {object_type} that exist; the state names them, and the next run asks for them again"
    )]
    Unread {
        /// Of which type.
        object_type: ObjectType,
        /// How many.
        count: usize,
    },
    /// The row cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The list does not give records by ascending id, which a sweep with a cache needs.
    #[error("the list does not keep the order of ids")]
    Disordered,
    /// The caller asked for an end.
    #[error("stopped")]
    Stopped,
    /// Nobody takes the records any more; the writer knows why.
    #[error("the output was closed")]
    OutputClosed,
    /// A worker panicked, which is a defect.
    #[error("a worker failed: {0}")]
    Worker(String),
}

impl ExtractError {
    /// Whether everything was read that could be, and the error tells of the rest.
    pub fn comes_last(&self) -> bool {
        matches!(self, Self::Kept { .. } | Self::UntoldPortal { .. })
    }

    /// Whether other objects may still be read.
    fn concerns_one_object(&self) -> bool {
        match self {
            Self::Shortfall { .. }
            | Self::Contradiction { .. }
            | Self::Fall { .. }
            | Self::Unread { .. }
            | Self::Disordered => true,
            Self::Client(error) => !error.ends_all() && !matches!(error, ClientError::Unreachable { .. }),
            _ => false,
        }
    }
}

/// A run that is ready: what it reads, as whom, from where on.
#[derive(Debug)]
pub struct Run {
    /// What is selected.
    pub plan: Plan,
    /// The small streams, read already.
    pub small: Vec<SmallRecords>,
    /// Streams of which not everything was read.
    pub kept: Vec<KeptStream>,
    /// Why HubSpot does not tell which portal it is, if it may tell later.
    pub portal_failure: Option<ClientError>,
    /// Whose run it is.
    pub stamp: Stamp,
    /// What bounds it.
    pub bounds: Bounds,
    /// Where it goes on.
    pub state: State,
    /// What the target has, row by row.
    pub cache: Option<Cache>,
}

/// Extracts what a run's plan selects: the small streams, then tickets with their associations.
///
/// # Errors
/// Everything yielded before the error stands, and the last checkpoint covers it.
pub async fn extract(client: Arc<Client>, run: Run, sink: &Sink, summary: &SummaryHandle) -> Result<(), ExtractError> {
    extract_until(client, run, sink, summary, pending()).await
}

/// The same, until `stop` comes to its end; what was yielded by then is covered by a last checkpoint.
///
/// # Errors
/// As [`extract`]; [`ExtractError::Stopped`] when it was stopped.
pub async fn extract_until(
    client: Arc<Client>,
    run: Run,
    sink: &Sink,
    summary: &SummaryHandle,
    stop: impl Future<Output = ()>,
) -> Result<(), ExtractError> {
    let Run { plan, small, mut kept, portal_failure, stamp, bounds, state, cache } = run;
    let bounds = bounds.in_millis();
    let mut output = Output::new(&stamp, sink, summary, state, plan.audit.is_some(), cache.map(Arc::new));
    // Safe: it is the state that came in. pipelinewise's target takes the first STATE for written when it writes anything.
    output.checkpoint().await?;
    for records in small {
        small::yield_small(records, &mut output).await?;
    }
    let mut audit = Audit::default();
    let mut outcome = Ok(());
    let mut stop = pin!(stop);
    for object in plan.objects {
        let (stream, is_side) = (object.streams()[0], object.object_type != ObjectType::TICKETS);
        let was_read = output.state.bookmark(stream).is_some();
        let ended = match Group::new(&client, object, &bounds, &output) {
            Ok(group) => tokio::select! {
                biased;
                () = &mut stop => Err(ExtractError::Stopped),
                outcome = group.run(&mut output, &mut audit) => outcome,
            },
            Err(error) => Err(error.into()),
        };
        let ended = match ended {
            // The row cache may know of rows that were about to be yielded, so that nothing may follow.
            Err(ExtractError::Client(error)) if is_side && !error.ends_all() && output.cache.is_none() => {
                tracing::warn!("{stream} cannot be read to its end now: {error}");
                // A scope that was missing from the beginning is told by the warning alone.
                let has_rows = |(name, counts): &(&str, StreamSummary)| *name == stream && counts.records > 0;
                let is_begun = was_read || summary.now().streams.iter().any(has_rows);
                let is_failure = is_begun || error.missing_scope().is_none();
                kept.push(KeptStream { stream, failure: is_failure.then_some(error) });
                Ok(())
            }
            ended => ended,
        };
        let goes_on = ended.as_ref().err().is_none_or(ExtractError::concerns_one_object);
        // The first failure is the one that is told.
        outcome = outcome.and(ended);
        if !goes_on {
            break;
        }
    }
    // What was read is told also when a part failed, and most of all then.
    let told = audit.write(plan.audit.as_ref(), &client, &output).await;
    let cut_short = matches!(outcome, Err(ExtractError::Client(_) | ExtractError::Stopped));
    if cut_short && told.is_ok() && output.cache.is_none() {
        // Safe: the state names nothing but what was yielded before. The row cache may know of rows that were about to be.
        output.checkpoint().await?;
    }
    outcome.and(told)?;
    // Safe: nothing has been yielded since the last part's own checkpoint but the audit.
    output.checkpoint().await?;
    // All else was read: only now the failure of a side decides how the run ends.
    let failed = kept.into_iter().find_map(|KeptStream { stream, failure }| failure.map(|source| (stream, source)));
    match (failed, portal_failure) {
        (Some((stream, source)), _) => Err(ExtractError::Kept { stream, source }),
        (None, Some(source)) => Err(ExtractError::UntoldPortal { source }),
        (None, None) => Ok(()),
    }
}
