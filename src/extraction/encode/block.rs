//! Rows as blocks of encoded records, with what the row cache is to remember of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::vec;

use chrono::{DateTime, Utc};

use crate::client::{Buffer, Client, ObjectId, ObjectType};
use crate::extraction::cache::entry::{CacheEntry, CachedAssociation, CachedRow, hash};
use crate::extraction::cache::{Cache, CacheView};
use crate::extraction::encode::record::{Encoder, Relations, UnparsedCounts};
use crate::extraction::enrich::associations::{AssociationIndex, push_tombstone};
use crate::extraction::enrich::details::Details;
use crate::extraction::enrich::enriched::{EnrichedPages, FilteredPage, PageWithAssociations};
use crate::extraction::enrich::enricher::Enricher;
use crate::extraction::enrich::loader::Announcement;
use crate::extraction::enrich::primaries::Primaries;
use crate::extraction::error::ExtractError;
use crate::extraction::event::PageCounter;
use crate::extraction::plan::columns::{AssociationColumns, ObjectColumns};
use crate::extraction::plan::object::ObjectPlan;
use crate::extraction::read::layout::Layout;
use crate::extraction::read::list::ID_PROPERTY;
use crate::extraction::read::page::Row;
use crate::extraction::read::tombstone::{MERGED_IDS, Tombstone};
use crate::property::parse_instant_token;

/// Bytes of records that go to the writer at once.
const BLOCK_BYTES: usize = 256 << 10;

/// Enriches and encodes the rows of one object type; shared by the workers.
#[derive(Debug)]
pub(crate) struct RowEncoder {
    pub(crate) enricher: Enricher,
    encoder: Option<Encoder>,
    associations: Option<AssociationColumns>,
    include_archived: bool,
    pages: PageCounter,
}

/// One page's part of the output.
#[derive(Debug, Default)]
pub(crate) struct EncodedRows {
    pub(crate) bodies: Buffer,
    pub(crate) ends: Vec<usize>,
    pub(crate) tombstones: u64,
}

/// Some records of a page, written.
#[derive(Debug)]
pub(crate) struct EncodedBlock {
    pub(crate) objects: EncodedRows,
    pub(crate) associations: EncodedRows,
    /// What the row cache is to remember.
    pub(crate) cached: Vec<(ObjectId, CacheEntry)>,
    pub(crate) extracted_at: DateTime<Utc>,
    pub(crate) page_number: u64,
}

/// Pages that have all they need, to be encoded as they are written: so a page takes little until then.
pub(crate) struct BlockEncoder {
    rows: Arc<RowEncoder>,
    page: Option<PageWithAssociations>,
    /// Rows of the page that are encoded.
    row: usize,
    pages: vec::IntoIter<PageWithAssociations>,
    details: [Details; 2],
    known: BTreeMap<ObjectId, CachedRow>,
    /// Records that others are said to have been merged into, and that are live.
    live_merged_away: BTreeSet<ObjectId>,
    /// How often each property's value did not fit so far.
    pub(crate) unparsed_counts: UnparsedCounts,
}

/// What the records of a page have beside it.
struct RowRelations<'f> {
    links: &'f [AssociationIndex],
    primaries: &'f [Primaries; 2],
    details: &'f [Details; 2],
    live_merged_away: &'f BTreeSet<ObjectId>,
}

impl RowEncoder {
    pub(crate) fn new(
        client: Arc<Client>,
        plan: ObjectPlan,
        include_archived: bool,
        cache: Option<Arc<Cache>>,
        pages: PageCounter,
    ) -> Self {
        let layout = plan.columns.as_ref().filter(|_| include_archived).map(Encoder::layout_of);
        let merged_slot = layout.and_then(|layout| layout.slot(MERGED_IDS));
        let enricher = Enricher::new(client, &plan, merged_slot, cache, pages.clone());
        let (encoder, associations) = (plan.columns.map(Encoder::new), plan.associations);
        Self { enricher, encoder, associations, include_archived, pages }
    }

    /// The columns of the records, when they are selected.
    pub(crate) fn columns(&self) -> Option<&ObjectColumns> {
        self.encoder.as_ref().map(Encoder::columns)
    }

    /// What a page keeps for the records.
    pub(crate) fn layout(&self) -> Layout {
        match &self.encoder {
            Some(encoder) => Layout::new(encoder.layout().by_slot()),
            None => Layout::new([ID_PROPERTY]),
        }
    }

    /// Looks up all that live records need.
    pub(crate) async fn enrich(
        self: &Arc<Self>,
        chunk: Vec<FilteredPage>,
        announcement: [Announcement; 2],
        cache_view: Option<CacheView>,
    ) -> Result<BlockEncoder, ExtractError> {
        let enriched = self.enricher.enrich(chunk, announcement, cache_view).await?;
        let unparsed_counts = self.encoder.as_ref().map(Encoder::zero_counts).unwrap_or_default();
        let EnrichedPages { pages, details, known, live_merged_away } = enriched;
        let pages = pages.into_iter();
        Ok(BlockEncoder {
            rows: Arc::clone(self),
            page: None,
            row: 0,
            pages,
            details,
            known,
            live_merged_away,
            unparsed_counts,
        })
    }

    /// Writes tombstones, and with a cache those of their associations.
    pub(crate) fn encode_tombstones(
        &self,
        tombstones: &[Tombstone],
        extracted_at: DateTime<Utc>,
        cache_view: Option<CacheView>,
    ) -> Result<EncodedBlock, ExtractError> {
        let known = self.enricher.known(tombstones.iter().map(|tombstone| tombstone.id), cache_view)?;
        let mut completed = EncodedBlock::at(extracted_at, self.pages.next());
        for tombstone in tombstones {
            self.encode_tombstone_with_associations(tombstone, known.get(&tombstone.id), &mut completed);
        }
        Ok(completed)
    }

    fn encode_tombstone_with_associations(
        &self,
        tombstone: &Tombstone,
        known: Option<&CachedRow>,
        completed: &mut EncodedBlock,
    ) {
        let EncodedBlock { objects, associations, cached, extracted_at, .. } = completed;
        if let Some(encoder) = &self.encoder {
            objects.push_tombstone(encoder, tombstone);
        }
        if let (Some(known), Some(columns)) = (known, self.associations) {
            for link in &known.links_to_remove(&[]) {
                associations.push_link_tombstone(tombstone.id, link, &self.enricher.types, columns, *extracted_at);
            }
        }
        cached.push((tombstone.id, CacheEntry::gone(tombstone.hash().unwrap_or(0), known)));
    }

    /// Appends a record and its associations, unless the target has them so.
    fn encode_row(
        &self,
        row: Row<'_>,
        found: &RowRelations<'_>,
        known: &BTreeMap<ObjectId, CachedRow>,
        unparsed_counts: &mut UnparsedCounts,
        completed: &mut EncodedBlock,
    ) {
        let known_row = known.get(&row.id());
        let EncodedBlock { objects, associations, cached, extracted_at, .. } = completed;
        let (object_begin, links_begin) = (objects.bodies.len(), associations.bodies.len());
        let ends_begin = associations.ends.len();
        if let Some(encoder) = &self.encoder {
            encoder.encode(row, found, unparsed_counts, &mut objects.bodies);
        }
        if let Some(columns) = self.associations {
            for (links, object_type) in found.links.iter().zip(&self.enricher.types) {
                links.push_records(row.id(), object_type, columns, &mut associations.bodies, &mut associations.ends);
            }
        }
        if self.enricher.cache.is_some() {
            let hash = hash([&objects.bodies[object_begin..], &associations.bodies[links_begin..]]);
            if known_row.is_some_and(|known| known.matches(hash)) {
                objects.bodies.truncate(object_begin);
                associations.bodies.truncate(links_begin);
                associations.ends.truncate(ends_begin);
                return;
            }
            let links = self.associations.iter().flat_map(|_| found.links.iter().enumerate());
            let links: Vec<CachedAssociation> =
                links.flat_map(|(index, links)| links.cached(row.id(), index)).collect();
            if let (Some(known), Some(columns)) = (known_row, self.associations) {
                for link in &known.links_to_remove(&links) {
                    associations.push_link_tombstone(row.id(), link, &self.enricher.types, columns, *extracted_at);
                }
            }
            cached.push((row.id(), CacheEntry::live(hash, links, known_row)));
        }
        let Some(encoder) = &self.encoder else { return };
        objects.ends.push(objects.bodies.len());
        if self.include_archived {
            for merged_id in
                encoder.merged(row).into_iter().filter(|merged_id| !found.live_merged_away.contains(merged_id))
            {
                let tombstone = Tombstone::merged(merged_id, row, completed.extracted_at);
                self.encode_tombstone_with_associations(&tombstone, known.get(&merged_id), completed);
            }
        }
    }
}

impl BlockEncoder {
    /// The rows, with the modified instants that they are written with.
    pub(crate) fn written(&self) -> impl Iterator<Item = (ObjectId, Option<DateTime<Utc>>)> {
        let rows = self
            .pages
            .as_slice()
            .iter()
            .flat_map(|PageWithAssociations { kept, .. }| kept.rows.iter().map(|row| kept.page.row(*row)));
        rows.map(|row| (row.id(), parse_instant_token(row.updated_at())))
    }

    /// Encodes the next records, about as many as [`BLOCK_BYTES`] hold, without those that the target has by the cache.
    pub(crate) fn next(&mut self) -> Option<EncodedBlock> {
        let Self { rows, details, known, live_merged_away, unparsed_counts, .. } = self;
        while self.page.as_ref().is_none_or(|page| self.row == page.kept.rows.len()) {
            (self.page, self.row) = (Some(self.pages.next()?), 0);
        }
        let PageWithAssociations { kept, links, .. } = self.page.as_ref()?;
        let found = RowRelations { links, primaries: &rows.enricher.primaries, details, live_merged_away };
        let mut completed = EncodedBlock::at(kept.extracted_at, kept.number);
        if rows.encoder.is_some() {
            // What HubSpot sent is a good guess of what it becomes; the last record goes beyond the bound.
            completed.objects.bodies = Buffer::with_capacity(kept.page.received.min(BLOCK_BYTES + BLOCK_BYTES / 4));
        }
        for row in &kept.rows[self.row..] {
            rows.encode_row(kept.page.row(*row), &found, known, unparsed_counts, &mut completed);
            self.row += 1;
            if completed.objects.bodies.len() + completed.associations.bodies.len() >= BLOCK_BYTES {
                break;
            }
        }
        Some(completed)
    }
}

impl EncodedBlock {
    fn at(extracted_at: DateTime<Utc>, page_number: u64) -> Self {
        let (objects, associations) = (EncodedRows::default(), EncodedRows::default());
        Self { objects, associations, cached: Vec::new(), extracted_at, page_number }
    }
}

impl EncodedRows {
    fn push_link_tombstone(
        &mut self,
        ticket: ObjectId,
        link: &CachedAssociation,
        types: &[ObjectType],
        columns: AssociationColumns,
        deleted_at: DateTime<Utc>,
    ) {
        push_tombstone(ticket, link, types, columns, deleted_at, &mut self.bodies);
        self.ends.push(self.bodies.len());
        self.tombstones += 1;
    }

    fn push_tombstone(&mut self, encoder: &Encoder, tombstone: &Tombstone) {
        encoder.encode_tombstone(tombstone, &mut self.bodies);
        self.ends.push(self.bodies.len());
        self.tombstones += 1;
    }
}

impl Relations for RowRelations<'_> {
    fn push_ids(&self, index: usize, ticket: ObjectId, out: &mut Vec<u8>) {
        self.links[index].push_ids(ticket, out);
    }

    fn primary(&self, index: usize, ticket: ObjectId) -> Option<&[u8]> {
        let of_type = |(primaries, _): &(&Primaries, &Details)| primaries.association_index == Some(index);
        let (primaries, details) = self.primaries.iter().zip(self.details).find(of_type)?;
        details.get(primaries.primary_of(self.links, ticket)?)
    }
}
