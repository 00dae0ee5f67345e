//! Pages that were gathered, and what becomes of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::ranges::{Advance, IdSpan, Taken};
use super::reading::Held;
use super::{CHUNK_RECORDS, Filter};
use crate::client::{ClientError, ObjectId};
use crate::extraction::ExtractError;
use crate::extraction::batch::LiveCheck;
use crate::extraction::cache::Trust;
use crate::extraction::chunk::{Completed, Kept, Ready, Turn, Workshop};
use crate::extraction::list::Reader;
use crate::extraction::page::Row;
use crate::extraction::tombstone::Tombstone;
use crate::property::parse_instant_token;
use crate::state::List;

/// A chunk closes beyond this, so that large records do not fill the memory.
const CHUNK_KIB: usize = 6 << 10;

/// How the chunks of a pass are completed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    pub(super) live_follows: bool,
    pub(super) trust: Option<Trust>,
    pub(super) sweeping: bool,
    pub(super) turn: Turn,
}

/// Some pages of a list's ranges, and how far they bring them.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pages: Vec<Kept>,
    tombstones: Vec<Tombstone>,
    extracted_at: DateTime<Utc>,
    page_count: u64,
    /// Archived records of which the end came lately.
    ended_count: u64,
    /// The list did not keep the order of ids.
    disordered: bool,
    advances: Vec<Advance>,
}

/// A chunk, ready to be written, with rows of others that have waited for it.
pub(super) struct CompletedChunk {
    pub(super) ready: Ready,
    pub(super) tombstones: Option<Completed>,
    /// The rows, with the modified instants that they are written with.
    pub(super) written: Vec<(ObjectId, Option<DateTime<Utc>>)>,
    /// What is true once all rows of the chunk are written.
    pub(super) gain: Gain,
}

/// How far a chunk brings a pass.
pub(super) struct Gain {
    pub(super) page_count: u64,
    pub(super) ended_count: u64,
    pub(super) advances: Vec<Advance>,
    /// Rows that are not written yet.
    pub(super) left: usize,
}

/// Looks up what the records of a chunk need.
pub(super) async fn complete(
    workshop: &Arc<Workshop>,
    reader: &Reader,
    chunk: Chunk,
    list: List,
    order: Order,
) -> Result<CompletedChunk, ExtractError> {
    let Order { live_follows, trust, sweeping, turn } = order;
    let vanished = match (sweeping && list == List::Live, trust) {
        (true, Some(trust)) if trust.compares => vanished(workshop, &chunk, trust)?,
        _ => Vec::new(),
    };
    let Chunk { pages, mut tombstones, extracted_at, page_count, ended_count, advances, .. } = chunk;
    tombstones.extend(vanished);
    workshop.leave_out_gone(&mut tombstones, trust)?;
    // A row that a trusted cache has is not written again, so that a tombstone before it would stand.
    if !live_follows || trust.is_some_and(|trust| trust.compares) {
        leave_out_live(reader, &mut tombstones).await?;
    }
    let left = pages.iter().map(|kept| kept.rows.len()).sum();
    let ready = workshop.complete(pages, turn, trust).await?;
    let mut written: Vec<_> = ready.written().collect();
    written.extend(tombstones.iter().map(|tombstone| (tombstone.id, None)));
    let buried = (!tombstones.is_empty()).then(|| workshop.bury(&tombstones, extracted_at, trust)).transpose()?;
    let gain = Gain { page_count, ended_count, advances, left };
    Ok(CompletedChunk { ready, tombstones: buried, written, gain })
}

/// Tombstones of the rows that the cache has and the list, in whose spans of ids they lie, has not.
fn vanished(workshop: &Workshop, chunk: &Chunk, trust: Trust) -> Result<Vec<Tombstone>, ExtractError> {
    let Some(cache) = &workshop.cache else { return Ok(Vec::new()) };
    if chunk.disordered {
        return Err(ExtractError::Disordered);
    }
    let listed: BTreeSet<ObjectId> = chunk.pages.iter().flat_map(|kept| kept.page.ids()).copied().collect();
    let mut vanished = Vec::new();
    let spans = chunk.advances.iter().map(|advance| advance.span);
    for IdSpan { after, last, .. } in spans.filter(|span| span.after < span.last) {
        let held = cache.range(workshop.lead, after + 1..=last, trust)?;
        let gone = held.into_keys().filter(|id| !listed.contains(id));
        vanished.extend(gone.map(|id| Tombstone::vanished(id, chunk.extracted_at)));
    }
    Ok(vanished)
}

/// Leaves out tombstones of records that are live: one restored while the archive is read stands in both lists, and its
/// tombstone would stand until the record's next change. A tombstone that says nothing learns of a merge.
async fn leave_out_live(reader: &Reader, tombstones: &mut Vec<Tombstone>) -> Result<(), ClientError> {
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
    pub(super) fn add(
        &mut self,
        taken: Taken,
        list: List,
        filter: &Filter,
        ended_since: Option<DateTime<Utc>>,
        workshop: &Workshop,
    ) {
        let Taken { page, extracted_at, held, advance, disordered } = taken;
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
                self.pages.push(workshop.keep(page, rows, extracted_at, Some(held)));
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.page_count == 0
    }

    /// The memory that its pages count for.
    pub(super) fn held_kib(&self) -> usize {
        self.pages.iter().filter_map(|kept| kept.held.as_ref()).map(Held::kib).sum()
    }

    /// Whether it has so many pages, or its records fill a call.
    pub(super) fn is_full(&self, most_pages: u64) -> bool {
        let records: usize = self.pages.iter().map(|kept| kept.rows.len()).sum();
        let next_page = self.pages.last().map_or(0, |kept| kept.page.len());
        self.page_count >= most_pages || records + next_page > CHUNK_RECORDS || self.held_kib() >= CHUNK_KIB
    }
}
