//! A pass over lists: pages in chunks, completed side by side, written in order, with a checkpoint now and then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use tokio::sync::mpsc;

use super::cache::Trust;
use super::chunk::{Completed, Kept, Workshop};
use super::encoder::Misfits;
use super::list::Reader;
use super::output::{Output, Reading};
use super::page::Page;
use super::tombstone::Tombstone;
use super::{Bounds, ExtractError};
use crate::client::{ClientError, ObjectId, PageCursor};
use crate::property::parse_instant_token;
use crate::state::{List, Part, Progress};

/// Records whose associations are read in one call, HubSpot's maximum.
pub(super) const CHUNK_RECORDS: usize = 1000;
/// A chunk closes beyond this, so that large records do not fill the memory.
const CHUNK_BYTES: usize = 16 << 20;
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

/// How the chunks of a pass are completed.
#[derive(Debug, Clone, Copy)]
struct Order {
    live_follows: bool,
    trust: Option<Trust>,
    sweeping: bool,
}

/// How a pass ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// All its parts were read to their ends.
    Whole,
    /// Its deadline came first.
    Early,
}

/// Some pages, and where the list goes on behind them.
struct Chunk {
    pages: Vec<Kept>,
    tombstones: Vec<Tombstone>,
    extracted_at: DateTime<Utc>,
    page_count: u64,
    row_count: u64,
    /// The ids that the list had no more than these of: above the first, up to the second.
    ids: (u64, u64),
    /// The list did not keep the order of ids.
    disordered: bool,
    next: Option<PageCursor>,
}

/// A chunk, written.
struct CompletedChunk {
    pages: Vec<Completed>,
    misfits: Misfits,
    written: Vec<(ObjectId, Option<DateTime<Utc>>)>,
    page_count: u64,
    row_count: u64,
    last_id: u64,
    next: Option<PageCursor>,
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

impl Pass<'_> {
    /// Reads what is left of `progress`; `keep` puts it into the output's state before each checkpoint, and is told of
    /// each row that was written: its modified instant, or none for a tombstone.
    pub(super) async fn run(
        &self,
        progress: &mut Progress,
        output: &mut Output<'_>,
        mut keep: impl FnMut(&mut Output<'_>, &Progress, &[(ObjectId, Option<DateTime<Utc>>)]),
    ) -> Result<Ended, ExtractError> {
        let mut pages_since_checkpoint = 0;
        while let Some(part) = progress.parts.first().cloned() {
            let parts_left = progress.parts.len();
            let mut chunks = std::pin::pin!(self.completed_chunks(part));
            while let Some(chunk) = chunks.try_next().await? {
                match &chunk.next {
                    Some(PageCursor(cursor)) => {
                        progress.parts[0].after = Some(cursor.clone());
                        progress.parts[0].last_id = Some(chunk.last_id);
                    }
                    None => drop(progress.parts.remove(0)),
                }
                progress.rows += chunk.row_count;
                pages_since_checkpoint += chunk.page_count;
                let written = self.write(chunk, output).await?;
                keep(output, progress, &written);
                let late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
                if pages_since_checkpoint >= u64::from(self.bounds.checkpoint_every_pages) || late {
                    pages_since_checkpoint = 0;
                    // Safe: all pages before the cursors of `progress` were yielded above, in this order.
                    output.checkpoint().await?;
                }
                if late && !progress.parts.is_empty() {
                    return Ok(Ended::Early);
                }
            }
            if progress.parts.len() == parts_left {
                // Only a page without a next one ends a list; a reader that is gone does not.
                return Err(ExtractError::Worker("the reader of a list ended before the list".to_owned()));
            }
        }
        Ok(Ended::Whole)
    }

    /// The chunks of a part, completed by workers, in the list's order.
    fn completed_chunks(&self, part: Part) -> impl Stream<Item = Result<CompletedChunk, ExtractError>> + use<> {
        // A pass over all rows writes every live row after the tombstones.
        let order = Order { live_follows: self.filter.since.is_none(), trust: self.trust, sweeping: self.sweeping };
        let list = part.list;
        let (workshop, reader) = (Arc::clone(self.workshop), Arc::clone(self.reader));
        self.chunks(part)
            .map(move |chunk| {
                let (workshop, reader) = (Arc::clone(&workshop), Arc::clone(&reader));
                async move {
                    // A failure of the reader waits its turn: the chunks before it are whole.
                    let chunk = chunk?;
                    let work = async move { complete(&workshop, &reader, chunk, list, order).await };
                    tokio::spawn(work).await.map_err(|panic| ExtractError::Worker(panic.to_string()))?
                }
            })
            .buffered(CHUNKS_IN_FLIGHT)
    }

    /// The pages of a part, in chunks that close when their associations fill one call. A task of its own reads them:
    /// while the output is blocked, a request in flight still comes to its end.
    fn chunks(&self, part: Part) -> impl Stream<Item = Result<Chunk, ExtractError>> + use<> {
        let alone = self.workshop.types.is_empty() || part.list == List::Archived;
        let most_pages = if alone { 1 } else { u64::from(self.bounds.checkpoint_every_pages) };
        let reader = Arc::clone(self.reader);
        let filter = self.filter.clone();
        let (to_pass, chunks) = mpsc::channel(1);
        tokio::spawn(async move {
            if let Err(error) = read_chunks(&reader, part, filter, most_pages, &to_pass).await {
                // The pass is gone when nobody takes the error.
                let _ = to_pass.send(Err(error.into())).await;
            }
        });
        stream::unfold(chunks, |mut chunks| async move { chunks.recv().await.map(|chunk| (chunk, chunks)) })
    }

    async fn write(
        &self,
        chunk: CompletedChunk,
        output: &mut Output<'_>,
    ) -> Result<Vec<(ObjectId, Option<DateTime<Utc>>)>, ExtractError> {
        let columns = self.workshop.columns();
        for page in chunk.pages {
            output.write_page(page, self.workshop.lead, columns, self.reading).await?;
        }
        output.count_misfits(columns, &chunk.misfits);
        output.summary.update(self.workshop.lead, |stream| stream.pages += chunk.page_count);
        Ok(chunk.written)
    }
}

/// Reads a list from the part's cursor to its end, or until nobody takes the chunks.
async fn read_chunks(
    reader: &Reader,
    part: Part,
    filter: Filter,
    most_pages: u64,
    to_pass: &mpsc::Sender<Result<Chunk, ExtractError>>,
) -> Result<(), ClientError> {
    let mut cursor = part.after.map(PageCursor);
    let mut last_id = part.last_id.unwrap_or(0);
    loop {
        let mut chunk = Chunk::after(last_id);
        while !chunk.is_full(most_pages) {
            let page = reader.list(part.list, cursor.as_ref()).await?;
            cursor.clone_from(&page.next);
            chunk.add(page, part.list, &filter, reader.client.server_now());
            if cursor.is_none() {
                break;
            }
        }
        chunk.next.clone_from(&cursor);
        last_id = chunk.ids.1;
        if to_pass.send(Ok(chunk)).await.is_err() || cursor.is_none() {
            return Ok(());
        }
    }
}

async fn complete(
    workshop: &Workshop,
    reader: &Reader,
    chunk: Chunk,
    list: List,
    order: Order,
) -> Result<CompletedChunk, ExtractError> {
    let Order { live_follows, trust, sweeping } = order;
    let vanished = match (sweeping && list == List::Live, trust) {
        (true, Some(trust)) if trust.compares => vanished(workshop, &chunk, trust)?,
        _ => Vec::new(),
    };
    let Chunk { pages, mut tombstones, extracted_at, page_count, row_count, ids: (_, last_id), next, .. } = chunk;
    tombstones.extend(vanished);
    workshop.leave_out_gone(&mut tombstones, trust)?;
    // A row that a trusted cache has is not written again, so that a tombstone before it would stand.
    if !live_follows || trust.is_some_and(|trust| trust.compares) {
        leave_out_live(reader, &mut tombstones).await?;
    }
    let mut written = written_rows(&pages);
    written.extend(tombstones.iter().map(|tombstone| (tombstone.id, None)));
    let (mut completed, misfits) = workshop.complete(pages, trust).await?;
    if !tombstones.is_empty() {
        completed.push(workshop.bury(&tombstones, extracted_at, trust)?);
    }
    Ok(CompletedChunk { pages: completed, misfits, written, page_count, row_count, last_id, next })
}

/// Tombstones of the rows that the cache has and the list, in whose range of ids they lie, has not.
fn vanished(workshop: &Workshop, chunk: &Chunk, trust: Trust) -> Result<Vec<Tombstone>, ExtractError> {
    let Some(cache) = &workshop.cache else { return Ok(Vec::new()) };
    if chunk.disordered {
        return Err(ExtractError::Disordered);
    }
    let (first, last) = chunk.ids;
    let last = if chunk.next.is_none() { u64::MAX } else { last };
    if first >= last {
        return Ok(Vec::new());
    }
    let listed: BTreeSet<ObjectId> = chunk.pages.iter().flat_map(|kept| kept.page.ids()).copied().collect();
    let held = cache.range(workshop.lead, first + 1..=last, trust)?;
    let gone = held.into_keys().filter(|id| !listed.contains(id));
    Ok(gone.map(|id| Tombstone::vanished(id, chunk.extracted_at)).collect())
}

/// The ids of rows that are written, with the modified instants they are written with.
pub(super) fn written_rows(pages: &[Kept]) -> Vec<(ObjectId, Option<DateTime<Utc>>)> {
    let rows = pages.iter().flat_map(|kept| kept.rows.iter().map(|row| kept.page.row(*row)));
    rows.map(|row| (row.id(), parse_instant_token(row.updated_at()))).collect()
}

/// Leaves out tombstones of records that are live: one restored while the archive is read stands in both lists, and its
/// tombstone would stand until the record's next change. A tombstone that says nothing learns of a merge.
async fn leave_out_live(reader: &Reader, tombstones: &mut Vec<Tombstone>) -> Result<(), ClientError> {
    let ids: Vec<ObjectId> = tombstones.iter().map(|tombstone| tombstone.id).collect();
    let (live, merged) = reader.live(&ids).await?;
    tombstones.retain(|tombstone| !live.contains(&tombstone.id));
    for tombstone in tombstones.iter_mut().filter(|tombstone| tombstone.hash().is_none()) {
        if let Some(merged) = merged.iter().find(|merged| merged.id == tombstone.id) {
            *tombstone = *merged;
        }
    }
    Ok(())
}

impl Chunk {
    /// An empty one, behind the rows up to an id.
    fn after(last_id: u64) -> Self {
        Self {
            pages: Vec::new(),
            tombstones: Vec::new(),
            extracted_at: DateTime::UNIX_EPOCH,
            page_count: 0,
            row_count: 0,
            ids: (last_id, last_id),
            disordered: false,
            next: None,
        }
    }

    /// Keeps the rows of a page that the filter admits.
    fn add(&mut self, page: Page, list: List, filter: &Filter, extracted_at: DateTime<Utc>) {
        self.page_count += 1;
        self.extracted_at = extracted_at;
        for id in page.ids() {
            self.disordered |= id.0 <= self.ids.1;
            self.ids.1 = self.ids.1.max(id.0);
        }
        match list {
            List::Archived => {
                let rows = page.rows().filter(|row| filter.admits(row.archived_at(), row.created_at()));
                self.tombstones
                    .extend(rows.flat_map(|row| Tombstone::archived_with_merged(row, row.property(0), extracted_at)));
            }
            List::Live => {
                self.row_count += u64::try_from(page.len()).unwrap_or(u64::MAX);
                self.pages.push(Kept { rows: filter.rows(&page), page, extracted_at });
            }
        }
    }

    fn is_full(&self, most_pages: u64) -> bool {
        let records: usize = self.pages.iter().map(|kept| kept.rows.len()).sum();
        let bytes: usize = self.pages.iter().map(|kept| kept.page.bytes()).sum();
        let next_page = self.pages.last().map_or(0, |kept| kept.page.len());
        self.page_count >= most_pages || records + next_page > CHUNK_RECORDS || bytes >= CHUNK_BYTES
    }
}
