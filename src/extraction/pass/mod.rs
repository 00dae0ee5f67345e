//! A pass over lists: pages from several places, gathered in chunks, completed side by side, written in order, with a
//! checkpoint now and then.

mod gathered;
mod ranges;
mod reading;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use tokio::task::JoinHandle;

use super::Bounds;
use super::ExtractError;
use super::cache::Trust;
use super::chunk::Workshop;
use super::list::Reader;
use super::output::{Output, Reading};
use super::page::Page;
use crate::client::ObjectId;
use crate::property::parse_instant_token;
use crate::state::{List, Part, Progress};

pub(super) use gathered::written_rows;
pub(super) use reading::Held;

use gathered::{Chunk, CompletedChunk, Order, complete};
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
}

/// How a pass ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// All its parts were read to their ends.
    Whole,
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
        while let Some(list) = progress.parts.first().map(|part| part.list) {
            // All archived records are written before any live one, so that live wins.
            let (parts, behind) = std::mem::take(&mut progress.parts).into_iter().partition(|part| part.list == list);
            let ranges = Ranges::begin(self.reader, list, Vec::into_iter(parts));
            progress.parts = ranges.parts().chain(Vec::clone(&behind)).collect();
            let mut reach = Reach { progress, ranges, behind, pages_since_checkpoint };
            if self.read(list, &mut reach, output, &mut keep).await? == Ended::Early {
                return Ok(Ended::Early);
            }
            pages_since_checkpoint = reach.pages_since_checkpoint;
        }
        Ok(Ended::Whole)
    }

    /// Reads one list to its end.
    async fn read(
        &self,
        list: List,
        reach: &mut Reach<'_>,
        output: &mut Output<'_>,
        keep: &mut impl FnMut(&mut Output<'_>, &Progress, &Written),
    ) -> Result<Ended, ExtractError> {
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
                    completing.push_back(self.complete(list, chunk));
                }
            }
            tokio::select! {
                biased;
                Some(completed) = completing.next(), if !completing.is_empty() => {
                    let completed: Result<_, tokio::task::JoinError> = completed;
                    let completed = completed.map_err(|panic| ExtractError::Worker(panic.to_string()))??;
                    if self.write(completed, reach, output, keep).await? == Ended::Early {
                        return Ok(Ended::Early);
                    }
                }
                taken = reach.ranges.next(), if !is_over && !self.is_full(&chunk, &reach.ranges, most_pages) => match taken {
                    Ok(taken) => chunk.add(taken, list, &self.filter),
                    // A failure waits its turn: the chunks before it are whole.
                    Err(error) => failure = Some(error),
                },
                else => return failure.map_or(Ok(Ended::Whole), Err),
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

    fn complete(&self, list: List, chunk: Chunk) -> JoinHandle<Result<CompletedChunk, ExtractError>> {
        // A pass over all rows writes every live row after the tombstones.
        let order = Order { live_follows: self.filter.since.is_none(), trust: self.trust, sweeping: self.sweeping };
        let (workshop, reader) = (Arc::clone(self.workshop), Arc::clone(self.reader));
        tokio::spawn(async move { complete(&workshop, &reader, chunk, list, order).await })
    }

    /// Writes a chunk, and a checkpoint when it is time.
    async fn write(
        &self,
        chunk: CompletedChunk,
        reach: &mut Reach<'_>,
        output: &mut Output<'_>,
        keep: &mut impl FnMut(&mut Output<'_>, &Progress, &Written),
    ) -> Result<Ended, ExtractError> {
        let columns = self.workshop.columns();
        for page in chunk.pages {
            output.write_page(page, self.workshop.lead, columns, self.reading).await?;
        }
        output.count_misfits(columns, &chunk.misfits);
        output.summary.update(self.workshop.lead, |stream| stream.pages += chunk.page_count);
        let Reach { progress, ranges, behind, pages_since_checkpoint } = reach;
        for advance in chunk.advances {
            ranges.written(advance);
        }
        progress.parts = ranges.parts().chain(behind.iter().cloned()).collect();
        progress.rows += chunk.row_count;
        progress.pages += chunk.page_count;
        *pages_since_checkpoint += chunk.page_count;
        keep(output, progress, &chunk.written);
        let is_late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if *pages_since_checkpoint >= u64::from(self.bounds.checkpoint_every_pages) || is_late {
            *pages_since_checkpoint = 0;
            // Safe: all pages before the cursors of `progress` were yielded, each range's in its order.
            output.checkpoint().await?;
        }
        Ok(if is_late && !progress.parts.is_empty() { Ended::Early } else { Ended::Whole })
    }
}
