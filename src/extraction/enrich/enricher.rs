//! What the records of some pages need beside their own values: associations, and the details of their primaries.
//!
//! A chunk asks for as many primaries as fill requests. Rows that want the rest wait for the next chunk's, so that hardly a
//! request for details goes out half empty.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use futures_util::future::{try_join, try_join_all};

use crate::client::{Client, ClientError, MAX_BATCH, ObjectId, ObjectType};
use crate::extraction::cache::entry::CachedRow;
use crate::extraction::cache::{Cache, CacheView};
use crate::extraction::enrich::associations::AssociationIndex;
use crate::extraction::enrich::enriched::{EnrichedPages, FilteredPage, PageWithAssociations};
use crate::extraction::enrich::primaries::{Claim, Primaries};
use crate::extraction::error::ExtractError;
use crate::extraction::event::PageCounter;
use crate::extraction::plan::object::ObjectPlan;
use crate::extraction::read::batch::LiveCheck;
use crate::extraction::read::memory::MemoryPermit;
use crate::extraction::read::page::Page;
use crate::extraction::read::tombstone::{Tombstone, merged_away_ids};

/// What the rows of a chunk that wait may take.
const MAX_WAITING_BYTES: usize = 1 << 20;
/// Of how many rows one may wait.
const WAITING_OF: usize = 2;
/// Rows of a chunk of which some may wait. Smaller ones are so small because somebody wants states often.
const MIN_ROWS: usize = 2 * MAX_BATCH;
/// Chunks that a row may wait for.
const MAX_WAITED_CHUNKS: u64 = 4;

/// All that enriching a chunk needs; shared by the workers.
#[derive(Debug)]
pub(crate) struct Enricher {
    client: Arc<Client>,
    /// The stream that pages are counted for.
    pub(crate) parent_stream: &'static str,
    object_type: ObjectType,
    pub(crate) types: Vec<ObjectType>,
    /// The slot of the ids that were merged into a record; none: tombstones of those are not written.
    merged_slot: Option<usize>,
    pub(crate) cache: Option<Arc<Cache>>,
    /// Contacts and companies.
    pub(crate) primaries: [Primaries; 2],
    pages: PageCounter,
    /// Rows that wait for their primaries.
    waiting: Mutex<Vec<PageWithAssociations>>,
}

/// A chunk's place among those that are completed side by side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    pub(crate) place: u64,
    /// Whether rows of it may wait for a later one.
    pub(crate) may_wait: bool,
}

impl Enricher {
    pub(crate) fn new(
        client: Arc<Client>,
        plan: &ObjectPlan,
        merged_slot: Option<usize>,
        cache: Option<Arc<Cache>>,
        pages: PageCounter,
    ) -> Self {
        let columns = plan.columns.as_ref();
        let primaries = [
            Primaries::contacts(columns.and_then(|columns| columns.primary_contact), &plan.privacy),
            Primaries::companies(columns.and_then(|columns| columns.primary_company), &plan.privacy),
        ];
        Self {
            client,
            parent_stream: plan.streams()[0],
            object_type: plan.object_type.clone(),
            types: plan.types.clone(),
            merged_slot,
            cache,
            primaries,
            pages,
            waiting: Mutex::default(),
        }
    }

    /// A page that was read, with the rows of it that are to be written.
    pub(crate) fn filtered_page(
        &self,
        page: Page,
        rows: Vec<usize>,
        extracted_at: DateTime<Utc>,
        held: Option<MemoryPermit>,
    ) -> FilteredPage {
        FilteredPage { page, rows, number: self.pages.next(), extracted_at, held }
    }

    /// Looks up all that live records need, of those that do not wait; with them come rows that have waited.
    pub(crate) async fn enrich(
        &self,
        chunk: Vec<FilteredPage>,
        turn: Turn,
        cache_view: Option<CacheView>,
    ) -> Result<EnrichedPages, ExtractError> {
        let links = Arc::new(self.links(&chunk).await?);
        let place = turn.place;
        let mut pages = self.waited(place);
        pages.extend(chunk.into_iter().map(|kept| PageWithAssociations { kept, links: Arc::clone(&links), place }));
        let [contact, company] = &self.primaries;
        let [contacts, companies] = self.claim(&mut pages, turn);
        let details = try_join(contact.read(&self.client, contacts), company.read(&self.client, companies)).await?;
        let merged_away: Vec<ObjectId> = self.merged_away(&pages).collect::<BTreeSet<_>>().into_iter().collect();
        // A ticket says of another one that it was merged away; that one itself may say otherwise.
        let live_merged_away = LiveCheck::of(&self.client, &self.object_type, &merged_away).await?.kept;
        let ids = pages.iter().flat_map(PageWithAssociations::ids);
        let known = self.known(ids.chain(merged_away), cache_view)?;
        Ok(EnrichedPages { pages, details: details.into(), known, live_merged_away })
    }

    /// Whether rows wait for their primaries.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting().is_empty()
    }

    /// Leaves out tombstones that the target has.
    pub(crate) fn skip_known_tombstones(
        &self,
        tombstones: &mut Vec<Tombstone>,
        cache_view: Option<CacheView>,
    ) -> Result<(), ExtractError> {
        let known = self.known(tombstones.iter().map(|tombstone| tombstone.id), cache_view)?;
        tombstones
            .retain(|tombstone| known.get(&tombstone.id).is_none_or(|known| !known.is_tombstoned(tombstone.hash())));
        Ok(())
    }

    /// The records that were merged into those of a chunk.
    fn merged_away<'c>(&'c self, pages: &'c [PageWithAssociations]) -> impl Iterator<Item = ObjectId> + 'c {
        let rows =
            pages.iter().flat_map(|PageWithAssociations { kept, .. }| kept.rows.iter().map(|row| kept.page.row(*row)));
        rows.flat_map(|row| self.merged_slot.into_iter().flat_map(move |slot| merged_away_ids(row, slot)))
    }

    /// What the cache knows of these records.
    pub(crate) fn known(
        &self,
        ids: impl Iterator<Item = ObjectId>,
        cache_view: Option<CacheView>,
    ) -> Result<BTreeMap<ObjectId, CachedRow>, ExtractError> {
        match (&self.cache, cache_view) {
            (Some(cache), Some(cache_view)) => Ok(cache.get(self.parent_stream, ids, cache_view)?),
            _ => Ok(BTreeMap::new()),
        }
    }

    /// The associations of a chunk's rows, by type.
    async fn links(&self, chunk: &[FilteredPage]) -> Result<Vec<AssociationIndex>, ClientError> {
        let ids: Vec<ObjectId> = chunk.iter().flat_map(FilteredPage::ids).collect();
        let ids = &ids;
        try_join_all(self.types.iter().map(|object_type| async move {
            if ids.is_empty() {
                return Ok(AssociationIndex::new(Default::default()));
            }
            self.client.batch_read_associations(&self.object_type, object_type, ids).await.map(AssociationIndex::new)
        }))
        .await
    }

    /// The rows that have waited for the chunk at a place.
    fn waited(&self, place: u64) -> Vec<PageWithAssociations> {
        self.waiting().extract_if(.., |linked| linked.place < place).collect()
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<PageWithAssociations>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims the primaries of these rows, and lets rows wait for those that are to come later.
    fn claim(&self, pages: &mut Vec<PageWithAssociations>, turn: Turn) -> [Claim; 2] {
        let claims = self.primaries.each_ref().map(|primaries| {
            let wanted =
                || pages.iter().flat_map(|linked| linked.ids().filter_map(|id| primaries.of(&linked.links, id)));
            let claim = primaries.claim(wanted(), !turn.may_wait);
            let waits = |linked: &PageWithAssociations, row: usize| {
                claim.defers(primaries.of(&linked.links, linked.kept.page.ids()[row]))
            };
            if claim.is_whole() || may_wait(pages, turn, waits) { claim } else { primaries.claim(wanted(), true) }
        });
        for linked in pages.iter_mut() {
            let waits = |row: &usize| {
                let id = linked.kept.page.ids()[*row];
                self.primaries
                    .iter()
                    .zip(&claims)
                    .any(|(primaries, claim)| claim.defers(primaries.of(&linked.links, id)))
            };
            let (waiting, rows): (Vec<usize>, Vec<usize>) = linked.kept.rows.iter().partition(|row| waits(row));
            if !waiting.is_empty() {
                self.waiting().push(linked.pick(&waiting));
                linked.kept.rows = rows;
            }
        }
        // An earlier chunk may write the rows that this one leaves to others, and its place is done with then.
        pages.retain(|linked| !linked.kept.rows.is_empty());
        claims
    }
}

/// Whether the rows of which `waits` is true may wait: they are few and small, and none has waited long.
fn may_wait(pages: &[PageWithAssociations], turn: Turn, waits: impl Fn(&PageWithAssociations, usize) -> bool) -> bool {
    let (mut rows, mut waiting, mut bytes) = (0, 0, 0);
    for linked in pages {
        let FilteredPage { page, rows: all, .. } = &linked.kept;
        let count = all.iter().filter(|row| waits(linked, **row)).count();
        if count > 0 && linked.place + MAX_WAITED_CHUNKS <= turn.place {
            return false;
        }
        rows += all.len();
        waiting += count;
        bytes += page.bytes() / page.len().max(1) * count;
    }
    rows >= MIN_ROWS && waiting * WAITING_OF <= rows && bytes <= MAX_WAITING_BYTES
}

impl Turn {
    /// Of a chunk that has nothing to do with others.
    pub(crate) const ALONE: Self = Self { place: 0, may_wait: false };
}
