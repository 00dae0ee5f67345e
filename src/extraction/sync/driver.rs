//! A pass over lists: pages from several places, gathered in chunks, completed side by side, written in order, with a
//! checkpoint now and then.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use tokio::task::JoinHandle;

use crate::client::{ClientError, ObjectId, SearchPage};
use crate::extraction::cache::CacheView;
use crate::extraction::emit::{Emitter, RecordMeta};
use crate::extraction::encode::block::RowEncoder;
use crate::extraction::enrich::loader::Announcement;
use crate::extraction::error::ExtractError;
use crate::extraction::plan::bounds::Bounds;
use crate::extraction::read::list::ObjectReader;
use crate::extraction::read::ranges::Ranges;
use crate::extraction::read::span::IdSpan;
use crate::extraction::sync::chunk::{
    CHUNK_KIB, CHUNKS_IN_FLIGHT, Chunk, EnrichOptions, EnrichedChunk, PendingProgress, enrich_chunk,
};
use crate::extraction::sync::filter::RowFilter;
use crate::state::{List, ListPart, PassProgress};

/// The first chunk of a list is smaller, so that its first records do not wait for ten pages.
const FIRST_CHUNK_PAGES: u64 = 2;

/// A pass that can be interrupted and resumed.
pub(crate) struct Pass<'p> {
    pub(crate) encoder: &'p Arc<RowEncoder>,
    pub(crate) reader: &'p Arc<ObjectReader>,
    pub(crate) bounds: &'p Bounds,
    pub(crate) filter: RowFilter,
    pub(crate) record_meta: RecordMeta,
    /// With a cache: how far it can be trusted.
    pub(crate) cache_view: Option<CacheView>,
    /// All rows are read: what the cache has and the list has not is gone.
    pub(crate) sweeping: bool,
    /// When to stop, with the rest left to the next run.
    pub(crate) deadline: Option<Instant>,
    /// Records that were archived since are counted.
    pub(crate) ended_since: Option<DateTime<Utc>>,
}

/// How a pass ended.
#[derive(Debug)]
pub(crate) enum PassOutcome {
    /// All its parts were read to their ends.
    Complete(ListedSpans),
    /// Its deadline came first.
    DeadlineReached,
}

/// What this run has read of the live list.
#[derive(Debug, Default)]
pub(crate) struct ListedSpans {
    pub(crate) spans: Vec<IdSpan>,
    /// What the search counts, asked for when the last page had come, while its rows were completed.
    pub(crate) count: Option<JoinHandle<Result<SearchPage, ClientError>>>,
}

/// Each row that was written, with its modified instant; none for a tombstone.
type WrittenRows = [(ObjectId, Option<DateTime<Utc>>)];

/// A list of a pass under way.
struct ListRun<'a> {
    progress: &'a mut PassProgress,
    ranges: Ranges,
    /// Parts of the lists behind this one.
    behind: Vec<ListPart>,
    pages_since_checkpoint: u64,
    /// A chunk was written.
    has_written: bool,
    /// What was written of the live list.
    listed: ListedSpans,
}

impl Pass<'_> {
    /// Reads what is left of `progress`. `on_progress` puts it into the emitter's state before each checkpoint, and gets
    /// each row that was written.
    pub(crate) async fn run(
        &self,
        progress: &mut PassProgress,
        emitter: &mut Emitter<'_>,
        mut on_progress: impl FnMut(&mut Emitter<'_>, &PassProgress, &WrittenRows),
    ) -> Result<PassOutcome, ExtractError> {
        let mut pages_since_checkpoint = 0;
        let mut listed = ListedSpans::default();
        let mut begun_ahead = None;
        while let Some(list) = progress.parts.first().map(|part| part.list) {
            // All archived records are written before any live one, so that live wins.
            let (parts, behind): (Vec<ListPart>, Vec<ListPart>) =
                std::mem::take(&mut progress.parts).into_iter().partition(|part| part.list == list);
            let ranges = begun_ahead.take().unwrap_or_else(|| Ranges::begin(self.reader, list, parts.into_iter()));
            // The first pages of the next list come meanwhile, and wait.
            begun_ahead = behind.first().map(|part| Ranges::begin(self.reader, part.list, behind.clone().into_iter()));
            progress.parts = ranges.parts().chain(behind.iter().cloned()).collect();
            let mut run = ListRun { progress, ranges, behind, pages_since_checkpoint, has_written: false, listed };
            if !self.read(list, &mut run, emitter, &mut on_progress).await? {
                return Ok(PassOutcome::DeadlineReached);
            }
            (pages_since_checkpoint, listed) = (run.pages_since_checkpoint, run.listed);
        }
        Ok(PassOutcome::Complete(listed))
    }

    /// Reads one list to its end; false when the deadline came first.
    async fn read(
        &self,
        list: List,
        run: &mut ListRun<'_>,
        emitter: &mut Emitter<'_>,
        on_progress: &mut impl FnMut(&mut Emitter<'_>, &PassProgress, &WrittenRows),
    ) -> Result<bool, ExtractError> {
        let mut chunk = Chunk::default();
        let mut completing = FuturesOrdered::new();
        let mut failure = None;
        let mut most_pages = self.most_pages(list).min(FIRST_CHUNK_PAGES);
        // The memory of each chunk in flight, and the announcement of the one that is gathered.
        let (mut in_flight, mut announcement) = (VecDeque::new(), None);
        loop {
            let is_over = failure.is_some() || run.ranges.are_read();
            if is_over && failure.is_none() && list == List::Live {
                run.listed.count.get_or_insert_with(|| self.count());
            }
            if (is_over || is_full(&chunk, &run.ranges, most_pages)) && completing.len() < CHUNKS_IN_FLIGHT {
                most_pages = self.most_pages(list);
                let chunk = std::mem::take(&mut chunk);
                // What a chunk still lacks when a page cannot be read does not matter: nothing of it is written yet.
                if !chunk.is_empty() && failure.is_none() {
                    in_flight.push_back(chunk.held_kib());
                    let announcement = announcement.take().unwrap_or_else(|| self.encoder.enricher.announce());
                    completing.push_back(self.complete(list, chunk, announcement));
                }
            }
            if !self.expects_more(list, is_over, &in_flight, run) {
                announcement = None;
            } else if announcement.is_none() {
                announcement = Some(self.encoder.enricher.announce());
            }
            tokio::select! {
                biased;
                Some(completed) = completing.next(), if !completing.is_empty() => {
                    let completed: Result<_, tokio::task::JoinError> = completed;
                    in_flight.pop_front();
                    let completed = completed.map_err(|panic| ExtractError::Worker(panic.to_string()))??;
                    if !self.write(completed, list, run, emitter, on_progress).await? {
                        return Ok(false);
                    }
                }
                taken = run.ranges.next(), if !is_over && !is_full(&chunk, &run.ranges, most_pages) => match taken {
                    Ok(taken) => chunk.add(taken, list, &self.filter, self.ended_since, self.encoder),
                    // A failure waits its turn: the chunks before it are whole.
                    Err(error) => failure = Some(error),
                },
                else => return failure.map_or(Ok(true), Err),
            }
        }
    }

    /// Asks the search how many live records there are.
    fn count(&self) -> JoinHandle<Result<SearchPage, ClientError>> {
        let reader = Arc::clone(self.reader);
        tokio::spawn(async move { reader.client.search_objects(&reader.object_type, &[]).await })
    }

    fn most_pages(&self, list: List) -> u64 {
        let alone = self.encoder.enricher.types.is_empty() || list == List::Archived;
        if alone { 1 } else { u64::from(self.bounds.checkpoint_every_pages) }
    }

    /// Whether the chunk that is gathered will come to those in flight for certain, so that they wait for the records that
    /// it wants. Not before the first rows are written, nor where the pass has to end in time. The chunks in flight leave
    /// room for a whole chunk more; without it, they and the pages to come would wait for each other.
    fn expects_more(&self, list: List, is_over: bool, in_flight: &VecDeque<usize>, run: &ListRun<'_>) -> bool {
        let held_kib: usize = in_flight.iter().sum();
        list == List::Live
            && !is_over
            && self.deadline.is_none()
            && run.has_written
            && (1..CHUNKS_IN_FLIGHT).contains(&in_flight.len())
            && !run.ranges.would_exceed_budget(held_kib + CHUNK_KIB)
    }

    fn complete(
        &self,
        list: List,
        chunk: Chunk,
        announcement: [Announcement; 2],
    ) -> JoinHandle<Result<EnrichedChunk, ExtractError>> {
        // A pass over all rows writes every live row after the tombstones.
        let live_follows = self.filter.since.is_none();
        let options = EnrichOptions { live_follows, cache_view: self.cache_view, sweeping: self.sweeping };
        let (encoder, reader) = (Arc::clone(self.encoder), Arc::clone(self.reader));
        tokio::spawn(async move { enrich_chunk(&encoder, &reader, chunk, list, options, announcement).await })
    }

    /// Writes a chunk, and a checkpoint when it is time; false when it is time to stop.
    async fn write(
        &self,
        chunk: EnrichedChunk,
        list: List,
        run: &mut ListRun<'_>,
        emitter: &mut Emitter<'_>,
        on_progress: &mut impl FnMut(&mut Emitter<'_>, &PassProgress, &WrittenRows),
    ) -> Result<bool, ExtractError> {
        let EnrichedChunk { mut ready, tombstones, written, gain } = chunk;
        let page_count = gain.page_count;
        let (lead, columns) = (self.encoder.enricher.parent_stream, self.encoder.columns());
        while let Some(block) = ready.next() {
            emitter.write(block, lead, columns, self.record_meta).await?;
        }
        if let Some(tombstones) = tombstones {
            emitter.write(tombstones, lead, columns, self.record_meta).await?;
        }
        emitter.report_unparsed(columns, &ready.unparsed_counts);
        emitter.summary.update(lead, |stream| stream.pages += page_count);
        run.advance(list, gain);
        run.has_written = true;
        let ListRun { progress, pages_since_checkpoint, .. } = run;
        *pages_since_checkpoint += page_count;
        on_progress(emitter, progress, &written);
        let is_late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if *pages_since_checkpoint >= u64::from(self.bounds.checkpoint_every_pages) || is_late {
            *pages_since_checkpoint = 0;
            // Safe: all pages before the cursors of `progress` were yielded, each range's in its order.
            emitter.checkpoint().await?;
        }
        Ok(!is_late || progress.parts.is_empty())
    }
}

/// Chunks close when their associations fill one call, and when nothing could come to them for want of memory.
fn is_full(chunk: &Chunk, ranges: &Ranges, most_pages: u64) -> bool {
    !chunk.is_empty() && (chunk.is_full(most_pages) || ranges.would_exceed_budget(chunk.held_kib()))
}

impl ListRun<'_> {
    /// Moves the progress on over a chunk that is written.
    fn advance(&mut self, list: List, gain: PendingProgress) {
        if let Some(id) = self.ranges.rewound_to() {
            let again = self.listed.spans.extract_if(.., |span| span.after >= id).map(|span| span.rows).sum();
            self.progress.rows = self.progress.rows.saturating_sub(again);
        }
        self.progress.pages += gain.page_count;
        self.progress.ended += gain.ended_count;
        for advance in gain.advances {
            let span = advance.span;
            if self.ranges.written(advance) && list == List::Live {
                self.progress.rows += span.rows;
                self.listed.spans.push(span);
            }
        }
        self.progress.parts = self.ranges.parts().chain(self.behind.iter().cloned()).collect();
    }
}
