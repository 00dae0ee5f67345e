//! A pass over lists: pages from several places, gathered in chunks, completed side by side, written in order, with a
//! checkpoint now and then.
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use tokio::task::JoinHandle;

use crate::client::ObjectId;
use crate::extraction::cache::Trust;
use crate::extraction::emit::{Output, Reading};
use crate::extraction::encode::block::RowEncoder;
use crate::extraction::enrich::enricher::Turn;
use crate::extraction::error::ExtractError;
use crate::extraction::plan::bounds::Bounds;
use crate::extraction::read::list::Reader;
use crate::extraction::read::ranges::Ranges;
use crate::extraction::read::span::IdSpan;
use crate::extraction::sync::chunk::{CHUNKS_IN_FLIGHT, Chunk, CompletedChunk, Gain, Order, enrich_chunk};
use crate::extraction::sync::filter::Filter;
use crate::state::{List, Part, Progress};

/// The first chunk of a list is smaller, so that its first records do not wait for ten pages.
const FIRST_CHUNK_PAGES: u64 = 2;

/// A pass that can be interrupted and gone on with.
pub(crate) struct Pass<'p> {
    pub(crate) encoder: &'p Arc<RowEncoder>,
    pub(crate) reader: &'p Arc<Reader>,
    pub(crate) bounds: &'p Bounds,
    pub(crate) filter: Filter,
    pub(crate) reading: Reading,
    /// With a cache: how far it can be trusted.
    pub(crate) trust: Option<Trust>,
    /// All rows are read: what the cache has and the list has not is gone.
    pub(crate) sweeping: bool,
    /// When to stop, with the rest left to the next run.
    pub(crate) deadline: Option<Instant>,
    /// Records that were archived since are counted.
    pub(crate) ended_since: Option<DateTime<Utc>>,
}

/// How a pass ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// All its parts were read to their ends: the spans of ids that this run has read of the live list.
    Whole(Vec<IdSpan>),
    /// Its deadline came first.
    Early,
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
    pub(crate) async fn run(
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
            if is_read && self.encoder.enricher.has_waiting() {
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
                    Ok(taken) => chunk.add(taken, list, &self.filter, self.ended_since, self.encoder),
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
        let alone = self.encoder.enricher.types.is_empty() || list == List::Archived;
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
        let (encoder, reader) = (Arc::clone(self.encoder), Arc::clone(self.reader));
        tokio::spawn(async move { enrich_chunk(&encoder, &reader, chunk, list, order).await })
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
        let (lead, columns) = (self.encoder.enricher.lead, self.encoder.columns());
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
