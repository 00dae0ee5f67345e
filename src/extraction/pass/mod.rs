//! A pass over lists: pages from several places, gathered in chunks, completed side by side, written in order, with a
//! checkpoint now and then.

mod gathered;
mod ranges;
mod reading;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use tokio::task::JoinHandle;

use super::Bounds;
use super::ExtractError;
use super::cache::Trust;
use super::chunk::{Turn, Workshop};
use super::list::Reader;
use super::output::{Output, Reading};
use super::page::Page;
use crate::client::ObjectId;
use crate::property::parse_instant_token;
use crate::state::{List, Part, Progress};

pub(super) use ranges::IdSpan;
pub(super) use reading::{Held, NO_END};

use gathered::{Chunk, CompletedChunk, Gain, Order, complete};
use ranges::Ranges;

/// Records whose associations are read in one call, HubSpot's maximum.
pub(super) const CHUNK_RECORDS: usize = 1000;
/// The first chunk of a list is smaller, so that its first records do not wait for ten pages.
const FIRST_CHUNK_PAGES: u64 = 2;
/// Chunks that are completed side by side while the next pages come.
pub(super) const CHUNKS_IN_FLIGHT: usize = 3;

/// Which rows of a list are written.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    /// Modified (or archived) at or after this.
    pub(super) since: Option<DateTime<Utc>>,
    /// Modified (or archived) before this.
    pub(super) until: Option<DateTime<Utc>>,
    /// Created at or after this.
    pub(super) created_after: Option<DateTime<Utc>>,
    /// Rows that were written, with the modified instants they were written with in epoch milliseconds.
    pub(super) recent: Arc<BTreeMap<u64, i64>>,
}

/// A pass that can be interrupted and gone on with.
pub(super) struct Pass<'p> {
    pub(super) workshop: &'p Arc<Workshop>,
    pub(super) reader: &'p Arc<Reader>,
    pub(super) bounds: &'p Bounds,
    pub(super) filter: Filter,
    pub(super) reading: Reading,
    /// With a cache: how far it can be trusted.
    pub(super) trust: Option<Trust>,
    /// All rows are read: what the cache has and the list has not is gone.
    pub(super) sweeping: bool,
    /// When to stop, with the rest left to the next run.
    pub(super) deadline: Option<Instant>,
    /// Records that were archived since are counted.
    pub(super) ended_since: Option<DateTime<Utc>>,
}

/// How a pass ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// All its parts were read to their ends: the spans of ids that this run has read of the live list.
    Whole(Vec<IdSpan>),
    /// Its deadline came first.
    Early,
}

impl Filter {
    /// Whether a row lies inside; one whose instants cannot be read does, since it may be new.
    fn admits(&self, modified: &str, created: &str) -> bool {
        let not_before = |since: Option<DateTime<Utc>>, token: &str| {
            since.is_none_or(|since| parse_instant_token(token).is_none_or(|at| at >= since))
        };
        not_before(self.since, modified)
            && not_before(self.created_after, created)
            && self.until.is_none_or(|until| parse_instant_token(modified).is_none_or(|at| at < until))
    }

    /// Whether a row was written as it is.
    pub(super) fn is_known(&self, id: ObjectId, modified: Option<DateTime<Utc>>) -> bool {
        modified.is_some_and(|at| self.recent.get(&id.0) == Some(&at.timestamp_millis()))
    }

    /// Leaves the rows of a page that are written.
    pub(super) fn rows(&self, page: &Page) -> Vec<usize> {
        let inside = |index: &usize| {
            let row = page.row(*index);
            self.admits(row.updated_at(), row.created_at())
                && (self.recent.is_empty() || !self.is_known(row.id(), parse_instant_token(row.updated_at())))
        };
        (0..page.len()).filter(inside).collect()
    }
}

/// What is told of each row that was written: its modified instant, or none for a tombstone.
type Written = [(ObjectId, Option<DateTime<Utc>>)];

/// A list of a pass under way.
struct Reach<'a> {
    progress: &'a mut Progress,
    ranges: Ranges,
    /// Parts of the lists behind this one.
    behind: Vec<Part>,
    pages_since_checkpoint: u64,
    /// Chunks that were closed, and those of them that were written.
    closed: u64,
    written: u64,
    /// What written chunks bring, from the first on of which rows still wait.
    gains: VecDeque<Gain>,
    /// Spans of the live list that were written.
    spans: Vec<IdSpan>,
}

impl Pass<'_> {
    /// Reads what is left of `progress`; `keep` puts it into the output's state before each checkpoint, and is told of
    /// each row that was written.
    pub(super) async fn run(
        &self,
        progress: &mut Progress,
        output: &mut Output<'_>,
        mut keep: impl FnMut(&mut Output<'_>, &Progress, &Written),
    ) -> Result<Ended, ExtractError> {
        let mut pages_since_checkpoint = 0;
        let mut spans = Vec::new();
        let mut begun_ahead = None;
        while let Some(list) = progress.parts.first().map(|part| part.list) {
            // All archived records are written before any live one, so that live wins.
            let (parts, behind): (Vec<Part>, Vec<Part>) =
                std::mem::take(&mut progress.parts).into_iter().partition(|part| part.list == list);
            let ranges = begun_ahead.take().unwrap_or_else(|| Ranges::begin(self.reader, list, parts.into_iter()));
            // The first pages of the next list come meanwhile, and wait.
            begun_ahead = behind.first().map(|part| Ranges::begin(self.reader, part.list, behind.clone().into_iter()));
            progress.parts = ranges.parts().chain(behind.iter().cloned()).collect();
            let (closed, written, gains) = (0, 0, VecDeque::new());
            let mut reach = Reach { progress, ranges, behind, pages_since_checkpoint, closed, written, gains, spans };
            if !self.read(list, &mut reach, output, &mut keep).await? {
                return Ok(Ended::Early);
            }
            (pages_since_checkpoint, spans) = (reach.pages_since_checkpoint, reach.spans);
        }
        Ok(Ended::Whole(spans))
    }

    /// Reads one list to its end; false when the deadline came first.
    async fn read(
        &self,
        list: List,
        reach: &mut Reach<'_>,
        output: &mut Output<'_>,
        keep: &mut impl FnMut(&mut Output<'_>, &Progress, &Written),
    ) -> Result<bool, ExtractError> {
        let mut chunk = Chunk::default();
        let mut completing = FuturesOrdered::new();
        let mut failure = None;
        let mut most_pages = self.most_pages(list).min(FIRST_CHUNK_PAGES);
        loop {
            let is_over = failure.is_some() || reach.ranges.are_read();
            if (is_over || self.is_full(&chunk, &reach.ranges, most_pages)) && completing.len() < CHUNKS_IN_FLIGHT {
                most_pages = self.most_pages(list);
                let chunk = std::mem::take(&mut chunk);
                // What a chunk still lacks when a page cannot be read does not matter: nothing of it is written yet.
                if !chunk.is_empty() && failure.is_none() {
                    completing.push_back(self.complete(list, chunk, reach, self.may_wait(list)));
                }
            }
            let is_read = reach.ranges.are_read() && failure.is_none() && chunk.is_empty() && completing.is_empty();
            if is_read && self.workshop.has_waiting() {
                completing.push_back(self.complete(list, Chunk::default(), reach, false));
            }
            tokio::select! {
                biased;
                Some(completed) = completing.next(), if !completing.is_empty() => {
                    let completed: Result<_, tokio::task::JoinError> = completed;
                    let completed = completed.map_err(|panic| ExtractError::Worker(panic.to_string()))??;
                    if !self.write(completed, list, reach, output, keep).await? {
                        return Ok(false);
                    }
                }
                taken = reach.ranges.next(), if !is_over && !self.is_full(&chunk, &reach.ranges, most_pages) => match taken {
                    Ok(taken) => chunk.add(taken, list, &self.filter, self.ended_since, self.workshop),
                    // A failure waits its turn: the chunks before it are whole.
                    Err(error) => failure = Some(error),
                },
                else => return failure.map_or(Ok(true), Err),
            }
        }
    }

    /// Chunks close when their associations fill one call, and when nothing could come to them for want of memory.
    fn is_full(&self, chunk: &Chunk, ranges: &Ranges, most_pages: u64) -> bool {
        !chunk.is_empty() && (chunk.is_full(most_pages) || ranges.fill_memory(chunk.held_kib()))
    }

    fn most_pages(&self, list: List) -> u64 {
        let alone = self.workshop.types.is_empty() || list == List::Archived;
        if alone { 1 } else { u64::from(self.bounds.checkpoint_every_pages) }
    }

    /// Whether rows of a list may wait for a later chunk's primaries. Not where it has to end in time: what it has read by
    /// then would not count.
    fn may_wait(&self, list: List) -> bool {
        list == List::Live && self.deadline.is_none()
    }

    fn complete(
        &self,
        list: List,
        chunk: Chunk,
        reach: &mut Reach<'_>,
        may_wait: bool,
    ) -> JoinHandle<Result<CompletedChunk, ExtractError>> {
        let turn = Turn { place: reach.closed, may_wait };
        reach.closed += 1;
        // A pass over all rows writes every live row after the tombstones.
        let live_follows = self.filter.since.is_none();
        let order = Order { live_follows, trust: self.trust, sweeping: self.sweeping, turn };
        let (workshop, reader) = (Arc::clone(self.workshop), Arc::clone(self.reader));
        tokio::spawn(async move { complete(&workshop, &reader, chunk, list, order).await })
    }

    /// Writes a chunk, and a checkpoint when it is time; false when it is time to stop.
    async fn write(
        &self,
        chunk: CompletedChunk,
        list: List,
        reach: &mut Reach<'_>,
        output: &mut Output<'_>,
        keep: &mut impl FnMut(&mut Output<'_>, &Progress, &Written),
    ) -> Result<bool, ExtractError> {
        let CompletedChunk { mut ready, tombstones, written, gain } = chunk;
        let page_count = gain.page_count;
        let (lead, columns) = (self.workshop.lead, self.workshop.columns());
        reach.written += 1;
        reach.gains.push_back(gain);
        for (place, rows) in ready.places() {
            reach.gain(place).left -= rows;
        }
        while let Some(block) = ready.next() {
            output.write(block, lead, columns, self.reading).await?;
        }
        if let Some(tombstones) = tombstones {
            output.write(tombstones, lead, columns, self.reading).await?;
        }
        output.count_misfits(columns, &ready.misfits);
        output.summary.update(lead, |stream| stream.pages += page_count);
        reach.advance(list);
        let Reach { progress, pages_since_checkpoint, .. } = reach;
        *pages_since_checkpoint += page_count;
        keep(output, progress, &written);
        let is_late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if *pages_since_checkpoint >= u64::from(self.bounds.checkpoint_every_pages) || is_late {
            *pages_since_checkpoint = 0;
            // Safe: all pages before the cursors of `progress` were yielded, each range's in its order.
            output.checkpoint().await?;
        }
        Ok(!is_late || progress.parts.is_empty())
    }
}

impl Reach<'_> {
    /// What the chunk at a place brings, of which not all rows are written.
    fn gain(&mut self, place: u64) -> &mut Gain {
        let behind = usize::try_from(self.written - place).expect("few chunks wait");
        let index = self.gains.len() - behind;
        &mut self.gains[index]
    }

    /// Moves the progress on over all chunks that are written whole.
    fn advance(&mut self, list: List) {
        if let Some(id) = self.ranges.rewound_to() {
            let again = self.spans.extract_if(.., |span| span.after >= id).map(|span| span.rows).sum();
            self.progress.rows = self.progress.rows.saturating_sub(again);
        }
        let whole = self.gains.iter().take_while(|gain| gain.left == 0).count();
        for gain in self.gains.drain(..whole) {
            self.progress.pages += gain.page_count;
            self.progress.ended += gain.ended_count;
            for advance in gain.advances {
                let span = advance.span;
                if self.ranges.written(advance) && list == List::Live {
                    self.progress.rows += span.rows;
                    self.spans.push(span);
                }
            }
        }
        self.progress.parts = self.ranges.parts().chain(self.behind.iter().cloned()).collect();
    }
}
