//! Pages that were gathered, and what becomes of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::client::{ClientError, ObjectId};
use crate::extraction::cache::CacheView;
use crate::extraction::encode::block::RowEncoder;
use crate::extraction::encode::block::{BlockEncoder, EncodedBlock};
use crate::extraction::enrich::enriched::FilteredPage;
use crate::extraction::enrich::loader::Announcement;
use crate::extraction::error::ExtractError;
use crate::extraction::read::batch::LiveCheck;
use crate::extraction::read::id_range::{RangeCursor, RangePage};
use crate::extraction::read::list::ObjectReader;
use crate::extraction::read::memory::MemoryPermit;
use crate::extraction::read::page::Row;
use crate::extraction::read::span::IdSpan;
use crate::extraction::read::tombstone::Tombstone;
use crate::extraction::sync::filter::RowFilter;
use crate::property::parse_instant_token;
use crate::state::List;

/// Records whose associations are read in one call, HubSpot's maximum.
pub(crate) const CHUNK_RECORDS: usize = 1000;
/// Chunks that are completed side by side while the next pages come.
pub(crate) const CHUNKS_IN_FLIGHT: usize = 3;
/// A chunk closes beyond this, so that large records do not fill the memory.
pub(crate) const CHUNK_KIB: usize = 6 << 10;

/// How the chunks of a pass are completed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EnrichOptions {
    pub(crate) live_follows: bool,
    pub(crate) cache_view: Option<CacheView>,
    pub(crate) sweeping: bool,
}

/// Some pages of a list's ranges, and how far they bring them.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pages: Vec<FilteredPage>,
    tombstones: Vec<Tombstone>,
    extracted_at: DateTime<Utc>,
    page_count: u64,
    /// Archived records of which the end came lately.
    ended_count: u64,
    /// The list did not keep the order of ids.
    disordered: bool,
    advances: Vec<RangeCursor>,
}

/// A chunk, with all that its rows need, ready to be written.
pub(crate) struct EnrichedChunk {
    pub(crate) ready: BlockEncoder,
    pub(crate) tombstones: Option<EncodedBlock>,
    /// The rows, with the modified instants that they are written with.
    pub(crate) written: Vec<(ObjectId, Option<DateTime<Utc>>)>,
    /// What is true once all rows of the chunk are written.
    pub(crate) gain: PendingProgress,
}

/// How far a chunk brings a pass.
pub(crate) struct PendingProgress {
    pub(crate) page_count: u64,
    pub(crate) ended_count: u64,
    pub(crate) advances: Vec<RangeCursor>,
}

/// Looks up what the records of a chunk need.
pub(crate) async fn enrich_chunk(
    encoder: &Arc<RowEncoder>,
    reader: &ObjectReader,
    chunk: Chunk,
    list: List,
    options: EnrichOptions,
    announcement: [Announcement; 2],
) -> Result<EnrichedChunk, ExtractError> {
    let EnrichOptions { live_follows, cache_view, sweeping } = options;
    let vanished = match (sweeping && list == List::Live, cache_view) {
        (true, Some(cache_view)) if cache_view.diffing => rows_missing_from_list(encoder, &chunk, cache_view)?,
        _ => Vec::new(),
    };
    let Chunk { pages, mut tombstones, extracted_at, page_count, ended_count, advances, .. } = chunk;
    tombstones.extend(vanished);
    encoder.enricher.skip_known_tombstones(&mut tombstones, cache_view)?;
    // A row that a trusted cache has is not written again, so that a tombstone before it would stand.
    if !live_follows || cache_view.is_some_and(|cache_view| cache_view.diffing) {
        drop_live_tombstones(reader, &mut tombstones).await?;
    }
    let ready = encoder.enrich(pages, announcement, cache_view).await?;
    let mut written: Vec<_> = ready.written().collect();
    written.extend(tombstones.iter().map(|tombstone| (tombstone.id, None)));
    let tombstone_block = (!tombstones.is_empty())
        .then(|| encoder.encode_tombstones(&tombstones, extracted_at, cache_view))
        .transpose()?;
    let gain = PendingProgress { page_count, ended_count, advances };
    Ok(EnrichedChunk { ready, tombstones: tombstone_block, written, gain })
}

/// Tombstones of the rows that the cache has and the list, in whose spans of ids they lie, has not.
fn rows_missing_from_list(
    encoder: &RowEncoder,
    chunk: &Chunk,
    cache_view: CacheView,
) -> Result<Vec<Tombstone>, ExtractError> {
    let Some(cache) = &encoder.enricher.cache else { return Ok(Vec::new()) };
    if chunk.disordered {
        return Err(ExtractError::Disordered);
    }
    let listed: BTreeSet<ObjectId> = chunk.pages.iter().flat_map(|kept| kept.page.ids()).copied().collect();
    let mut vanished = Vec::new();
    let spans = chunk.advances.iter().map(|advance| advance.span);
    for IdSpan { after, last, .. } in spans.filter(|span| span.after < span.last) {
        let held = cache.range(encoder.enricher.parent_stream, after + 1..=last, cache_view)?;
        let gone = held.into_keys().filter(|id| !listed.contains(id));
        vanished.extend(gone.map(|id| Tombstone::vanished(id, chunk.extracted_at)));
    }
    Ok(vanished)
}

/// Leaves out tombstones of records that are live: one restored while the archive is read stands in both lists, and its
/// tombstone would stand until the record's next change. A tombstone that says nothing learns of a merge.
async fn drop_live_tombstones(reader: &ObjectReader, tombstones: &mut Vec<Tombstone>) -> Result<(), ClientError> {
    let ids: Vec<ObjectId> = tombstones.iter().map(|tombstone| tombstone.id).collect();
    let LiveCheck { kept, merged } = LiveCheck::of(&reader.client, &reader.object_type, &ids).await?;
    tombstones.retain(|tombstone| !kept.contains(&tombstone.id));
    for tombstone in tombstones.iter_mut().filter(|tombstone| tombstone.hash().is_none()) {
        if let Some(merged) = merged.iter().find(|merged| merged.id == tombstone.id) {
            *tombstone = *merged;
        }
    }
    Ok(())
}

impl Chunk {
    /// Keeps the rows of a page that the filter admits.
    pub(crate) fn add(
        &mut self,
        taken: RangePage,
        list: List,
        filter: &RowFilter,
        ended_since: Option<DateTime<Utc>>,
        encoder: &RowEncoder,
    ) {
        let RangePage { page, extracted_at, held, advance, disordered } = taken;
        self.page_count += 1;
        self.extracted_at = extracted_at;
        self.disordered |= disordered;
        self.advances.push(advance);
        match list {
            List::Archived => {
                let rows = page.rows().filter(|row| filter.admits(row.archived_at(), row.created_at()));
                let is_late = |row: &Row<'_>| {
                    ended_since.is_none_or(|since| parse_instant_token(row.archived_at()).is_none_or(|at| at >= since))
                };
                self.ended_count += page.rows().filter(is_late).count() as u64;
                self.tombstones
                    .extend(rows.flat_map(|row| Tombstone::archived_with_merged(row, row.property(0), extracted_at)));
            }
            List::Live => {
                let rows = filter.rows(&page);
                self.pages.push(encoder.enricher.filtered_page(page, rows, extracted_at, Some(held)));
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.page_count == 0
    }

    /// The memory that its pages count for.
    pub(crate) fn held_kib(&self) -> usize {
        self.pages.iter().filter_map(|kept| kept.held.as_ref()).map(MemoryPermit::kib).sum()
    }

    /// Whether it has so many pages, or its records fill a call.
    pub(crate) fn is_full(&self, most_pages: u64) -> bool {
        let records = self.pages.iter().map(|kept| kept.rows.len()).sum();
        let next_page = self.pages.last().map_or(0, |kept| kept.page.len());
        ChunkSize { pages: self.page_count, records, next_page, held_kib: self.held_kib() }.is_full(most_pages)
    }
}

/// What decides when a chunk closes.
#[derive(Debug, Clone, Copy)]
struct ChunkSize {
    pages: u64,
    records: usize,
    /// Records that the next page may bring.
    next_page: usize,
    held_kib: usize,
}

impl ChunkSize {
    fn is_full(self, most_pages: u64) -> bool {
        let Self { pages, records, next_page, held_kib } = self;
        pages >= most_pages || records + next_page > CHUNK_RECORDS || held_kib >= CHUNK_KIB
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_closes_with_its_pages_with_a_full_call_or_with_its_memory() {
        for (pages, records, next_page, held_kib, expected) in [
            (0, 0, 0, 0, false),
            (9, 900, 100, 0, false),
            (10, 1000, 100, 0, true),
            (9, 901, 100, 0, true),
            (5, 1000, 0, 0, false),
            (10, 3, 1, 0, true),
            (1, 100, 100, CHUNK_KIB - 1, false),
            (1, 100, 100, CHUNK_KIB, true),
        ] {
            let size = ChunkSize { pages, records, next_page, held_kib };
            assert_eq!(size.is_full(10), expected, "{size:?}");
        }
    }
}
