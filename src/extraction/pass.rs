//! A pass over the portal's tickets: the archive first, then the live list, in chunks, with checkpoints.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use futures_util::{Stream, TryStreamExt, stream};
use tokio::sync::mpsc;

use super::chunk::{Completed, Encoded, Kept, Workshop};
use super::encoder::Misfits;
use super::page::{Layout, Page};
use super::plan::Plan;
use super::small::next_version;
use super::stamp::Stamp;
use super::summary::SummaryHandle;
use super::tombstone::Tombstone;
use super::{Bounds, ExtractError, Records, Sink, Yield, send};
use crate::client::{Client, ClientError, ListRequest, Malformed, ObjectId, ObjectType, PageCursor, encode_properties};
use crate::property::parse_instant_token;
use crate::state::{Bookmark, List, Part, Progress, State};

/// Tickets whose associations are read in one call, HubSpot's maximum.
const CHUNK_TICKETS: usize = 1000;
/// A chunk closes beyond this, so that large tickets do not fill the memory.
const CHUNK_BYTES: usize = 16 << 20;
/// Chunks that are completed side by side while the next pages come.
const CHUNKS_IN_FLIGHT: usize = 3;
/// Longer lists of property names do not fit a URL: connectors in wide use send 15,000 characters and more, 16 KB is
/// where the edge answers 414.
const MAX_URL_PROPERTIES: usize = 15_000;
/// Objects of one batch read, HubSpot's maximum.
const BATCH: usize = 100;
/// The archive's pages are read for their ids; naming one property keeps the default ones out.
const ARCHIVE_PROPERTIES: &str = "hs_object_id";

/// Everything a pass needs.
struct Pass<'s> {
    workshop: Arc<Workshop>,
    reader: Arc<Reader>,
    stamp: Stamp,
    bounds: Bounds,
    /// Only rows modified at or after this are written.
    since: Option<DateTime<Utc>>,
    extraction_type: Option<&'static str>,
    page_numbers: bool,
    version: i64,
    streams: Vec<(&'static str, Bookmark)>,
    state: State,
    sink: &'s Sink,
    summary: &'s SummaryHandle,
    pages_written: u64,
    pages_since_checkpoint: u64,
}

/// Reads pages of one list.
#[derive(Debug)]
struct Reader {
    client: Arc<Client>,
    layout: Layout,
    properties: String,
    page_size: u32,
    /// The properties' names do not fit a URL: the list gives ids, a batch read the records.
    wide: AtomicBool,
}

/// Some pages, and where the list goes on behind them.
struct Chunk {
    pages: Vec<Kept>,
    tombstones: Vec<Tombstone>,
    extracted_at: DateTime<Utc>,
    page_count: u64,
    next: Option<PageCursor>,
}

/// A chunk, written.
struct CompletedChunk {
    pages: Vec<Completed>,
    misfits: Misfits,
    page_count: u64,
    next: Option<PageCursor>,
}

/// Reads all tickets that the plan and the state call for.
pub(super) async fn run(
    client: Arc<Client>,
    plan: Plan,
    stamp: Stamp,
    bounds: Bounds,
    state: State,
    sink: &Sink,
    summary: &SummaryHandle,
) -> Result<(), ExtractError> {
    let start = Start::decide(&plan, &bounds, &state, client.server_now());
    let full = start.progress.since.is_none() && start.full;
    let columns = plan.tickets.as_ref();
    let extraction_type = if full { "full" } else { "incremental" };
    let extraction_type = columns.is_some_and(|columns| columns.extraction_type).then_some(extraction_type);
    let page_numbers = columns.is_some_and(|columns| columns.page_number);
    let workshop = Arc::new(Workshop::new(Arc::clone(&client), plan, bounds.include_archived));
    let reader = Arc::new(Reader::new(client, &workshop, bounds.page_size));
    for (name, _) in &start.streams {
        summary.update(name, |_| ());
    }
    let mut pass = Pass {
        workshop,
        reader,
        stamp,
        since: start.progress.since.max(bounds.since),
        bounds,
        extraction_type,
        page_numbers,
        version: start.version,
        streams: start.streams,
        state,
        sink,
        summary,
        pages_written: 0,
        pages_since_checkpoint: 0,
    };
    let mut progress = start.progress;
    while let Some(part) = progress.parts.first().cloned() {
        pass.read_part(part, &mut progress).await?;
    }
    pass.finish(&progress, start.full, start.whole_types).await
}

/// How a pass begins.
struct Start {
    progress: Progress,
    full: bool,
    version: i64,
    streams: Vec<(&'static str, Bookmark)>,
    /// Whether all association types of earlier rows are read again.
    whole_types: bool,
}

impl Start {
    /// Goes on with an interrupted pass; otherwise reads what changed since the bookmark, or everything when a stream
    /// has none, its selection grew or the catalog says FULL_TABLE.
    fn decide(plan: &Plan, bounds: &Bounds, state: &State, now: DateTime<Utc>) -> Self {
        let names =
            ["tickets", "ticket_associations"].into_iter().filter(|name| plan.streams().any(|one| one == *name));
        let known: Vec<(&'static str, Option<Bookmark>)> = names.map(|name| (name, state.bookmark(name))).collect();
        let covered = known.iter().all(|(name, bookmark)| {
            let before = bookmark.as_ref().and_then(|bookmark| bookmark.selected.clone());
            before.is_some_and(|before| before.covers(&plan.selected(name)))
        });
        let whole_types = known.iter().all(|(name, bookmark)| {
            let before = bookmark.as_ref().and_then(|bookmark| bookmark.selected.clone()).unwrap_or_default();
            *name != "ticket_associations" || plan.selected(name).covers(&before)
        });
        let agreed = agreement(&known).filter(|_| covered);
        let full_table = plan.tickets.as_ref().is_some_and(|columns| columns.full_table);
        let newest = known.iter().filter_map(|(_, bookmark)| bookmark.as_ref()?.version).max();
        let (progress, full, version) = match agreed {
            Some(Agreed { progress: Some(progress), version, .. }) => {
                let full = progress.since.is_none();
                (progress, full, version)
            }
            Some(Agreed { bookmark: Some(bookmark), version, .. }) if !full_table => {
                (Progress::new(Some(bookmark - bounds.lookback), bounds, now), false, version)
            }
            _ => (Progress::new(None, bounds, now), true, next_version(newest, now)),
        };
        if !covered && newest.is_some() {
            tracing::info!("the selection grew since the last run: everything is read again");
        }
        let streams = known
            .into_iter()
            .map(|(name, bookmark)| {
                let mut bookmark = bookmark.unwrap_or_default();
                bookmark.replication_key = Some("updated_at".to_owned());
                bookmark.version = Some(version);
                if whole_types || name == "tickets" {
                    bookmark.selected = Some(plan.selected(name));
                }
                if let (Some(columns), "tickets") = (&plan.tickets, name) {
                    columns.remember(&mut bookmark);
                }
                if full {
                    bookmark.replication_key_value = progress.until;
                }
                (name, bookmark)
            })
            .collect();
        Self { progress, full, version, streams, whole_types }
    }
}

/// What the bookmarks of all selected streams say, where they say the same.
struct Agreed {
    progress: Option<Progress>,
    bookmark: Option<DateTime<Utc>>,
    version: i64,
}

fn agreement(known: &[(&'static str, Option<Bookmark>)]) -> Option<Agreed> {
    let first = known.first()?.1.as_ref()?;
    let same = known.iter().all(|(_, bookmark)| {
        bookmark.as_ref().is_some_and(|one| {
            one.progress == first.progress
                && one.replication_key_value == first.replication_key_value
                && one.version == first.version
        })
    });
    let version = first.version.filter(|_| same)?;
    Some(Agreed { progress: first.progress.clone(), bookmark: first.replication_key_value, version })
}

impl Progress {
    fn new(since: Option<DateTime<Utc>>, bounds: &Bounds, now: DateTime<Utc>) -> Self {
        let until = bounds.until.map_or(now, |end| end.min(now));
        let part = |list| Part { list, after: None };
        let parts = match bounds.include_archived {
            // Live wins: a ticket that is restored in between is written last.
            true => vec![part(List::Archived), part(List::Live)],
            false => vec![part(List::Live)],
        };
        Self { since, until: Some(until), parts }
    }
}

impl Pass<'_> {
    /// Reads the first part of the progress to its end.
    async fn read_part(&mut self, part: Part, progress: &mut Progress) -> Result<(), ExtractError> {
        let chunks = self.chunks(part);
        let workshop = Arc::clone(&self.workshop);
        // A pass over all rows writes every live ticket after the tombstones.
        let live_follows = self.since.is_none();
        let completed = chunks
            .map_ok(move |chunk| {
                let workshop = Arc::clone(&workshop);
                async move {
                    let worker = tokio::spawn(async move { complete(&workshop, chunk, live_follows).await });
                    worker.await.map_err(|panic| ExtractError::Worker(panic.to_string()))?
                }
            })
            .try_buffered(CHUNKS_IN_FLIGHT);
        let mut completed = std::pin::pin!(completed);
        let parts_left = progress.parts.len();
        while let Some(chunk) = completed.try_next().await? {
            match &chunk.next {
                Some(PageCursor(cursor)) => progress.parts[0].after = Some(cursor.clone()),
                None => drop(progress.parts.remove(0)),
            }
            self.write(chunk, progress).await?;
        }
        match progress.parts.len() < parts_left {
            true => Ok(()),
            // Only a page without a next one ends a list; a reader that is gone does not.
            false => Err(ExtractError::Worker("the reader of a list ended before the list".to_owned())),
        }
    }

    /// The pages of a part, in chunks that close when their associations fill one call. A task of its own reads them:
    /// while the output is blocked, a request in flight still comes to its end.
    fn chunks(&self, part: Part) -> impl Stream<Item = Result<Chunk, ExtractError>> + use<> {
        let most_pages = if self.workshop.types.is_empty() || part.list == List::Archived {
            1
        } else {
            u64::from(self.bounds.checkpoint_every_pages)
        };
        let reader = Arc::clone(&self.reader);
        let window = (self.since, self.bounds.until);
        let (to_pass, chunks) = mpsc::channel(1);
        tokio::spawn(async move {
            if let Err(error) = reader.read_chunks(part, window, most_pages, &to_pass).await {
                // The pass is gone when nobody takes the error.
                let _ = to_pass.send(Err(error.into())).await;
            }
        });
        stream::unfold(chunks, |mut chunks| async move { chunks.recv().await.map(|chunk| (chunk, chunks)) })
    }

    async fn write(&mut self, chunk: CompletedChunk, progress: &Progress) -> Result<(), ExtractError> {
        for page in chunk.pages {
            self.pages_written += 1;
            let number = self.page_numbers.then_some(self.pages_written);
            let tickets = self.stamp.ticket_tail(page.extracted_at, self.extraction_type, number);
            self.write_records("tickets", page.tickets, tickets, page.extracted_at).await?;
            let associations = self.stamp.tail(page.extracted_at);
            self.write_records("ticket_associations", page.associations, associations, page.extracted_at).await?;
        }
        let lead = self.streams[0].0;
        self.summary.update(lead, |stream| stream.pages += chunk.page_count);
        self.count_misfits(&chunk.misfits);
        self.pages_since_checkpoint += chunk.page_count;
        if self.pages_since_checkpoint >= u64::from(self.bounds.checkpoint_every_pages) {
            self.pages_since_checkpoint = 0;
            // Safe: all pages before the cursors of `progress` were yielded above, in this order.
            self.checkpoint(Some(progress)).await?;
        }
        Ok(())
    }

    async fn write_records(
        &self,
        stream: &'static str,
        encoded: Encoded,
        tail: Vec<u8>,
        extracted_at: DateTime<Utc>,
    ) -> Result<(), ExtractError> {
        let Encoded { bodies, ends, tombstones } = encoded;
        if ends.is_empty() {
            return Ok(());
        }
        let count = u64::try_from(ends.len()).unwrap_or(u64::MAX);
        let records = Records { stream, bodies, ends, tail, version: self.version, extracted_at };
        send(self.sink, Yield::Records(records)).await?;
        self.summary.update(stream, |stream| {
            stream.records += count;
            stream.tombstones += tombstones;
        });
        Ok(())
    }

    fn count_misfits(&self, misfits: &Misfits) {
        let Some(encoder) = &self.workshop.encoder else { return };
        for (column, count) in encoder.columns().properties.iter().zip(misfits).filter(|(_, count)| **count > 0) {
            self.summary.update("tickets", |stream| {
                let known = stream.unparsed.entry(column.property.clone()).or_insert_with(|| {
                    tracing::warn!(
                        "property {} holds values that are no {}; their text stands in _unparsed",
                        column.property,
                        column.kind.remembered().unwrap_or("text")
                    );
                    0
                });
                *known += count;
            });
        }
    }

    async fn checkpoint(&mut self, progress: Option<&Progress>) -> Result<(), ExtractError> {
        for (name, bookmark) in &mut self.streams {
            bookmark.progress = progress.cloned();
            self.state.set(name, bookmark);
        }
        send(self.sink, Yield::Checkpoint(self.state.clone())).await
    }

    /// Ends the pass: what was read up to its beginning is whole.
    async fn finish(mut self, progress: &Progress, full: bool, whole_types: bool) -> Result<(), ExtractError> {
        for (_, bookmark) in &mut self.streams {
            bookmark.replication_key_value = progress.until.max(bookmark.replication_key_value);
        }
        if full && self.bounds.until.is_none() {
            for (name, _) in self.streams.iter().filter(|(name, _)| *name == "tickets" || whole_types) {
                send(self.sink, Yield::ActivateVersion { stream: name, version: self.version }).await?;
            }
        }
        // Safe: both lists were yielded to their ends.
        self.checkpoint(None).await
    }
}

async fn complete(workshop: &Workshop, chunk: Chunk, live_follows: bool) -> Result<CompletedChunk, ExtractError> {
    let Chunk { pages, mut tombstones, extracted_at, page_count, next } = chunk;
    if !live_follows {
        tombstones = without_live(workshop, tombstones).await?;
    }
    let (mut completed, misfits) = workshop.complete(pages).await?;
    if !tombstones.is_empty() {
        completed.push(workshop.bury(&tombstones, extracted_at));
    }
    Ok(CompletedChunk { pages: completed, misfits, page_count, next })
}

/// Leaves out tombstones of tickets that are live: one restored while the archive is read stands in both lists, and its
/// tombstone would stand until the ticket's next change.
async fn without_live(workshop: &Workshop, mut tombstones: Vec<Tombstone>) -> Result<Vec<Tombstone>, ClientError> {
    let layout = Layout::new([]);
    let mut live = Vec::new();
    for batch in tombstones.chunks(BATCH) {
        let ids: Vec<ObjectId> = batch.iter().map(|tombstone| tombstone.id).collect();
        let page = workshop
            .client
            .batch_read_objects(&ObjectType::TICKETS, &ids, &[ARCHIVE_PROPERTIES], |body| Page::read(body, &layout))
            .await?;
        live.extend(page.rows().filter(|row| !row.archived()).map(|row| row.id()));
    }
    tombstones.retain(|tombstone| !live.contains(&tombstone.id));
    Ok(tombstones)
}

impl Chunk {
    fn new() -> Self {
        Self {
            pages: Vec::new(),
            tombstones: Vec::new(),
            extracted_at: DateTime::UNIX_EPOCH,
            page_count: 0,
            next: None,
        }
    }

    /// Keeps the rows of a page that lie in the pass's time.
    fn add(
        &mut self,
        page: Page,
        list: List,
        (since, until): (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
        extracted_at: DateTime<Utc>,
    ) {
        self.page_count += 1;
        self.extracted_at = extracted_at;
        // A row whose instant cannot be read is kept: it may be new.
        let inside = |token: &str| {
            let at = parse_instant_token(token);
            since.zip(at).is_none_or(|(since, at)| at >= since) && until.zip(at).is_none_or(|(until, at)| at < until)
        };
        match list {
            List::Archived => {
                let rows = page.rows().filter(|row| inside(row.archived_at()));
                self.tombstones.extend(rows.map(|row| Tombstone::archived(row, extracted_at)));
            }
            List::Live => {
                let rows = (0..page.len()).filter(|index| inside(page.row(*index).updated_at())).collect();
                self.pages.push(Kept { page, rows, extracted_at });
            }
        }
    }

    fn is_full(&self, most_pages: u64) -> bool {
        let tickets: usize = self.pages.iter().map(|kept| kept.rows.len()).sum();
        let bytes: usize = self.pages.iter().map(|kept| kept.page.bytes()).sum();
        let next_page = self.pages.last().map_or(0, |kept| kept.page.len());
        self.page_count >= most_pages || tickets + next_page > CHUNK_TICKETS || bytes >= CHUNK_BYTES
    }
}

impl Reader {
    fn new(client: Arc<Client>, workshop: &Workshop, page_size: u32) -> Self {
        let layout = match &workshop.encoder {
            Some(encoder) => Layout::new(encoder.layout().by_slot()),
            None => Layout::new([ARCHIVE_PROPERTIES]),
        };
        let properties = encode_properties(layout.properties());
        let wide = AtomicBool::new(properties.len() > MAX_URL_PROPERTIES);
        Self { client, layout, properties, page_size, wide }
    }

    /// Reads a list from the part's cursor to its end, or until nobody takes the chunks.
    async fn read_chunks(
        &self,
        part: Part,
        window: (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
        most_pages: u64,
        to_pass: &mpsc::Sender<Result<Chunk, ExtractError>>,
    ) -> Result<(), ClientError> {
        let mut cursor = part.after.map(PageCursor);
        loop {
            let mut chunk = Chunk::new();
            while !chunk.is_full(most_pages) {
                let page = self.read(part.list, cursor.as_ref()).await?;
                cursor.clone_from(&page.next);
                chunk.add(page, part.list, window, self.client.server_now());
                if cursor.is_none() {
                    break;
                }
            }
            chunk.next.clone_from(&cursor);
            if to_pass.send(Ok(chunk)).await.is_err() || cursor.is_none() {
                return Ok(());
            }
        }
    }

    async fn read(&self, list: List, after: Option<&PageCursor>) -> Result<Page, ClientError> {
        if list == List::Archived {
            return self.list(true, after, ARCHIVE_PROPERTIES, &Layout::new([])).await;
        }
        if !self.wide.load(Ordering::Relaxed) {
            match self.list(false, after, &self.properties, &self.layout).await {
                Err(error) if error.status() == Some(414) => {
                    tracing::info!("the properties' names are too long for HubSpot's list; reading ids, then records");
                    self.wide.store(true, Ordering::Relaxed);
                }
                answer => return answer,
            }
        }
        let listed = self.list(false, after, ARCHIVE_PROPERTIES, &Layout::new([])).await?;
        let mut page = self.batch_read(listed.ids()).await?;
        page.next = listed.next;
        Ok(page)
    }

    async fn batch_read(&self, ids: &[ObjectId]) -> Result<Page, ClientError> {
        let properties: Vec<&str> = self.layout.properties().collect();
        let mut page = self
            .client
            .batch_read_objects(&ObjectType::TICKETS, ids, &properties, |body| Page::read(body, &self.layout))
            .await?;
        // A merged ticket answers with its winner, which the list has on its own page.
        page.retain(|id| ids.contains(&id));
        Ok(page)
    }

    /// A page of a list. One that does not go on is asked for again: it can only come from a cache between.
    async fn list(
        &self,
        archived: bool,
        after: Option<&PageCursor>,
        properties: &str,
        layout: &Layout,
    ) -> Result<Page, ClientError> {
        let object_type = &ObjectType::TICKETS;
        let request = ListRequest { object_type, archived, after, limit: self.page_size, properties };
        self.client
            .list_objects(request, |body| {
                let page = Page::read(body, layout)?;
                match (&page.next, after) {
                    (Some(next), Some(after)) if !goes_on(after, next) => {
                        Err(Malformed::new(format!("the page after {} leads back to {}", after.0, next.0)))
                    }
                    _ => Ok(page),
                }
            })
            .await
    }
}

/// Whether a cursor lies behind another one; of cursors that are no numbers, whether it is another one.
fn goes_on(from: &PageCursor, to: &PageCursor) -> bool {
    match (from.0.parse::<u64>(), to.0.parse::<u64>()) {
        (Ok(from), Ok(to)) => to > from,
        _ => from != to,
    }
}
