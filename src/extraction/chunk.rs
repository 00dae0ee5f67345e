//! Some pages of objects that are completed together: their associations, the details of their primaries; and their records
//! as they are written.
//!
//! A chunk asks for as many primaries as fill requests. Rows that want the rest wait for the next chunk's, so that hardly a
//! request for details goes out half empty.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec;

use chrono::{DateTime, Utc};
use futures_util::future::{try_join, try_join_all};

use super::batch::LiveCheck;
use super::cache::{Cache, CachedLink, Entry, Known, Trust, hash};
use super::encoder::{Encoder, Misfits, Related};
use super::layout::Layout;
use super::links::{Links, push_tombstone};
use super::list::ID_PROPERTY;
use super::output::PageCounter;
use super::page::{Page, Row};
use super::pass::Held;
use super::plan::{AssociationColumns, ObjectColumns, ObjectPlan};
use super::primaries::{Claim, Details, Primaries};
use super::tombstone::Tombstone;
use super::{ExtractError, encoder};
use crate::client::{Buffer, Client, ClientError, MAX_BATCH, ObjectId, ObjectType};
use crate::property::parse_instant_token;

/// Bytes of records that go to the writer at once.
const BLOCK_BYTES: usize = 256 << 10;
/// What the rows of a chunk that wait may take.
const MAX_WAITING_BYTES: usize = 1 << 20;
/// Of how many rows one may wait.
const WAITING_OF: usize = 2;
/// Rows of a chunk of which some may wait. Smaller ones are so small because somebody wants states often.
const MIN_ROWS: usize = 2 * MAX_BATCH;
/// Chunks that a row may wait for.
const MAX_WAITED_CHUNKS: u64 = 4;

/// All that completing a chunk needs; shared by the workers.
#[derive(Debug)]
pub(super) struct Workshop {
    client: Arc<Client>,
    /// The stream that pages are counted for.
    pub(super) lead: &'static str,
    object_type: ObjectType,
    encoder: Option<Encoder>,
    associations: Option<AssociationColumns>,
    pub(super) types: Vec<ObjectType>,
    include_archived: bool,
    pub(super) cache: Option<Arc<Cache>>,
    /// Contacts and companies.
    primaries: [Primaries; 2],
    pages: PageCounter,
    /// Rows that wait for their primaries.
    waiting: Mutex<Vec<Linked>>,
}

/// A page and those of its records that are to be written.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) page: Page,
    pub(super) rows: Vec<usize>,
    /// Which page of the run it is.
    number: u64,
    extracted_at: DateTime<Utc>,
    /// The memory it counts for.
    pub(super) held: Option<Held>,
}

/// One page's part of the output.
#[derive(Debug, Default)]
pub(super) struct Encoded {
    pub(super) bodies: Buffer,
    pub(super) ends: Vec<usize>,
    pub(super) tombstones: u64,
}

/// Some records of a page, written.
#[derive(Debug)]
pub(super) struct Completed {
    pub(super) objects: Encoded,
    pub(super) associations: Encoded,
    /// What the row cache is to remember.
    pub(super) cached: Vec<(ObjectId, Entry)>,
    pub(super) extracted_at: DateTime<Utc>,
    pub(super) page_number: u64,
}

/// A chunk's place among those that are completed side by side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    pub(super) place: u64,
    /// Whether rows of it may wait for a later one.
    pub(super) may_wait: bool,
}

/// A page with its associations, by type.
#[derive(Debug)]
struct Linked {
    kept: Kept,
    links: Arc<Vec<Links>>,
    /// That of its chunk.
    place: u64,
}

/// Pages that have all they need, to be encoded as they are written: so a page takes little until then.
pub(super) struct Ready {
    workshop: Arc<Workshop>,
    page: Option<Linked>,
    /// Rows of the page that are encoded.
    row: usize,
    pages: vec::IntoIter<Linked>,
    details: [Details; 2],
    known: BTreeMap<ObjectId, Known>,
    /// Records that others are said to have been merged into, and that are live.
    live_losers: BTreeSet<ObjectId>,
    /// How often each property's value did not fit so far.
    pub(super) misfits: Misfits,
}

/// What the records of a page have beside it.
struct Found<'f> {
    links: &'f [Links],
    primaries: &'f [Primaries; 2],
    details: &'f [Details; 2],
    live_losers: &'f BTreeSet<ObjectId>,
}

impl Workshop {
    pub(super) fn new(
        client: Arc<Client>,
        plan: ObjectPlan,
        include_archived: bool,
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
            lead: plan.streams()[0],
            object_type: plan.object_type,
            encoder: plan.columns.map(Encoder::new),
            associations: plan.associations,
            types: plan.types,
            include_archived,
            cache,
            primaries,
            pages,
            waiting: Mutex::default(),
        }
    }

    /// A page that was read, with the rows of it that are to be written.
    pub(super) fn keep(&self, page: Page, rows: Vec<usize>, extracted_at: DateTime<Utc>, held: Option<Held>) -> Kept {
        Kept { page, rows, number: self.pages.next(), extracted_at, held }
    }

    /// The columns of the records, when they are selected.
    pub(super) fn columns(&self) -> Option<&ObjectColumns> {
        self.encoder.as_ref().map(Encoder::columns)
    }

    /// What a page keeps for the records.
    pub(super) fn layout(&self) -> Layout {
        match &self.encoder {
            Some(encoder) => Layout::new(encoder.layout().by_slot()),
            None => Layout::new([ID_PROPERTY]),
        }
    }

    /// Looks up all that live records need, of those that do not wait; with them come rows that have waited.
    pub(super) async fn complete(
        self: &Arc<Self>,
        chunk: Vec<Kept>,
        turn: Turn,
        trust: Option<Trust>,
    ) -> Result<Ready, ExtractError> {
        let links = Arc::new(self.links(&chunk).await?);
        let place = turn.place;
        let mut pages = self.waited(place);
        pages.extend(chunk.into_iter().map(|kept| Linked { kept, links: Arc::clone(&links), place }));
        let [contact, company] = &self.primaries;
        let [contacts, companies] = self.claim(&mut pages, turn);
        let details = try_join(contact.read(&self.client, contacts), company.read(&self.client, companies)).await?;
        let losers: Vec<ObjectId> = self.losers(&pages).collect::<BTreeSet<_>>().into_iter().collect();
        // A ticket says of another one that it was merged away; that one itself may say otherwise.
        let live_losers = LiveCheck::of(&self.client, &self.object_type, &losers).await?.kept;
        let ids = pages.iter().flat_map(Linked::ids);
        let known = self.known(ids.chain(losers), trust)?;
        let misfits = self.encoder.as_ref().map(Encoder::no_misfits).unwrap_or_default();
        Ok(Ready {
            workshop: Arc::clone(self),
            page: None,
            row: 0,
            pages: pages.into_iter(),
            details: details.into(),
            known,
            live_losers,
            misfits,
        })
    }

    /// Whether rows wait for their primaries.
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting().is_empty()
    }

    /// Leaves out tombstones that the target has.
    pub(super) fn leave_out_gone(
        &self,
        tombstones: &mut Vec<Tombstone>,
        trust: Option<Trust>,
    ) -> Result<(), ExtractError> {
        let known = self.known(tombstones.iter().map(|tombstone| tombstone.id), trust)?;
        tombstones.retain(|tombstone| known.get(&tombstone.id).is_none_or(|known| !known.is_gone(tombstone.hash())));
        Ok(())
    }

    /// Writes tombstones, and with a cache those of their associations.
    pub(super) fn bury(
        &self,
        tombstones: &[Tombstone],
        extracted_at: DateTime<Utc>,
        trust: Option<Trust>,
    ) -> Result<Completed, ExtractError> {
        let known = self.known(tombstones.iter().map(|tombstone| tombstone.id), trust)?;
        let mut completed = Completed::at(extracted_at, self.pages.next());
        for tombstone in tombstones {
            self.bury_one(tombstone, known.get(&tombstone.id), &mut completed);
        }
        Ok(completed)
    }

    fn bury_one(&self, tombstone: &Tombstone, known: Option<&Known>, completed: &mut Completed) {
        let Completed { objects, associations, cached, extracted_at, .. } = completed;
        if let Some(encoder) = &self.encoder {
            objects.push_tombstone(encoder, tombstone);
        }
        if let (Some(known), Some(columns)) = (known, self.associations) {
            for link in &known.to_remove(&[]) {
                associations.push_link_tombstone(tombstone.id, link, &self.types, columns, *extracted_at);
            }
        }
        cached.push((tombstone.id, Entry::gone(tombstone.hash().unwrap_or(0), known)));
    }

    /// The records that were merged into those of a chunk.
    fn losers<'c>(&'c self, pages: &'c [Linked]) -> impl Iterator<Item = ObjectId> + 'c {
        let encoder = self.encoder.as_ref().filter(|_| self.include_archived);
        let rows = pages.iter().flat_map(|Linked { kept, .. }| kept.rows.iter().map(|row| kept.page.row(*row)));
        rows.flat_map(move |row| encoder.map(|encoder| encoder.merged(row)).unwrap_or_default())
    }

    /// What the cache knows of these records.
    fn known(
        &self,
        ids: impl Iterator<Item = ObjectId>,
        trust: Option<Trust>,
    ) -> Result<BTreeMap<ObjectId, Known>, ExtractError> {
        match (&self.cache, trust) {
            (Some(cache), Some(trust)) => Ok(cache.get(self.lead, ids, trust)?),
            _ => Ok(BTreeMap::new()),
        }
    }

    /// The associations of a chunk's rows, by type.
    async fn links(&self, chunk: &[Kept]) -> Result<Vec<Links>, ClientError> {
        let ids: Vec<ObjectId> = chunk.iter().flat_map(Kept::ids).collect();
        let ids = &ids;
        try_join_all(self.types.iter().map(|object_type| async move {
            if ids.is_empty() {
                return Ok(Links::new(Default::default()));
            }
            self.client.batch_read_associations(&self.object_type, object_type, ids).await.map(Links::new)
        }))
        .await
    }

    /// The rows that have waited for the chunk at a place.
    fn waited(&self, place: u64) -> Vec<Linked> {
        self.waiting().extract_if(.., |linked| linked.place < place).collect()
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Linked>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims the primaries of these rows, and lets rows wait for those that are to come later.
    fn claim(&self, pages: &mut [Linked], turn: Turn) -> [Claim; 2] {
        let claims = self.primaries.each_ref().map(|primaries| {
            let wanted =
                || pages.iter().flat_map(|linked| linked.ids().filter_map(|id| primaries.of(&linked.links, id)));
            let claim = primaries.claim(wanted(), !turn.may_wait);
            let waits =
                |linked: &Linked, row: usize| claim.defers(primaries.of(&linked.links, linked.kept.page.ids()[row]));
            if claim.is_whole() || may_wait(pages, turn, waits) { claim } else { primaries.claim(wanted(), true) }
        });
        for linked in pages {
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
        claims
    }

    /// Appends a record and its associations, unless the target has them so.
    fn encode_row(
        &self,
        row: Row<'_>,
        found: &Found<'_>,
        known: &BTreeMap<ObjectId, Known>,
        misfits: &mut Misfits,
        completed: &mut Completed,
    ) {
        let known_row = known.get(&row.id());
        let Completed { objects, associations, cached, extracted_at, .. } = completed;
        let (object_begin, links_begin) = (objects.bodies.len(), associations.bodies.len());
        let ends_begin = associations.ends.len();
        if let Some(encoder) = &self.encoder {
            encoder.encode(row, found, misfits, &mut objects.bodies);
        }
        if let Some(columns) = self.associations {
            for (links, object_type) in found.links.iter().zip(&self.types) {
                links.push_records(row.id(), object_type, columns, &mut associations.bodies, &mut associations.ends);
            }
        }
        if self.cache.is_some() {
            let hash = hash([&objects.bodies[object_begin..], &associations.bodies[links_begin..]]);
            if known_row.is_some_and(|known| known.has(hash)) {
                objects.bodies.truncate(object_begin);
                associations.bodies.truncate(links_begin);
                associations.ends.truncate(ends_begin);
                return;
            }
            let links = self.associations.iter().flat_map(|_| found.links.iter().enumerate());
            let links: Vec<CachedLink> = links.flat_map(|(index, links)| links.cached(row.id(), index)).collect();
            if let (Some(known), Some(columns)) = (known_row, self.associations) {
                for link in &known.to_remove(&links) {
                    associations.push_link_tombstone(row.id(), link, &self.types, columns, *extracted_at);
                }
            }
            cached.push((row.id(), Entry::live(hash, links, known_row)));
        }
        let Some(encoder) = &self.encoder else { return };
        objects.ends.push(objects.bodies.len());
        if self.include_archived {
            for loser in encoder.merged(row).into_iter().filter(|loser| !found.live_losers.contains(loser)) {
                let tombstone = Tombstone::merged(loser, row, completed.extracted_at);
                self.bury_one(&tombstone, known.get(&loser), completed);
            }
        }
    }
}

/// Whether the rows of which `waits` is true may wait: they are few and small, and none has waited long.
fn may_wait(pages: &[Linked], turn: Turn, waits: impl Fn(&Linked, usize) -> bool) -> bool {
    let (mut rows, mut waiting, mut bytes) = (0, 0, 0);
    for linked in pages {
        let Kept { page, rows: all, .. } = &linked.kept;
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
    pub(super) const ALONE: Self = Self { place: 0, may_wait: false };
}

impl Kept {
    fn ids(&self) -> impl Iterator<Item = ObjectId> {
        self.rows.iter().map(|row| self.page.ids()[*row])
    }
}

impl Linked {
    fn ids(&self) -> impl Iterator<Item = ObjectId> {
        self.kept.ids()
    }

    /// The same for some rows of the page alone.
    fn pick(&self, rows: &[usize]) -> Self {
        let Kept { page, number, extracted_at, .. } = &self.kept;
        let (page, rows) = (page.pick(rows), (0..rows.len()).collect());
        let kept = Kept { page, rows, number: *number, extracted_at: *extracted_at, held: None };
        Self { kept, links: Arc::clone(&self.links), place: self.place }
    }
}

impl Ready {
    /// The rows, with the modified instants that they are written with.
    pub(super) fn written(&self) -> impl Iterator<Item = (ObjectId, Option<DateTime<Utc>>)> {
        let rows = self
            .pages
            .as_slice()
            .iter()
            .flat_map(|Linked { kept, .. }| kept.rows.iter().map(|row| kept.page.row(*row)));
        rows.map(|row| (row.id(), parse_instant_token(row.updated_at())))
    }

    /// How many rows of the chunk at which place they are.
    pub(super) fn places(&self) -> Vec<(u64, usize)> {
        self.pages.as_slice().iter().map(|linked| (linked.place, linked.kept.rows.len())).collect()
    }

    /// Encodes the next records, about as many as [`BLOCK_BYTES`] hold, without those that the target has by the cache.
    pub(super) fn next(&mut self) -> Option<Completed> {
        let Self { workshop, details, known, live_losers, misfits, .. } = self;
        while self.page.as_ref().is_none_or(|page| self.row == page.kept.rows.len()) {
            (self.page, self.row) = (Some(self.pages.next()?), 0);
        }
        let Linked { kept, links, .. } = self.page.as_ref()?;
        let found = Found { links, primaries: &workshop.primaries, details, live_losers };
        let mut completed = Completed::at(kept.extracted_at, kept.number);
        if workshop.encoder.is_some() {
            // What HubSpot sent is a good guess of what it becomes; the last record goes beyond the bound.
            completed.objects.bodies = Buffer::with_capacity(kept.page.received.min(BLOCK_BYTES + BLOCK_BYTES / 4));
        }
        for row in &kept.rows[self.row..] {
            workshop.encode_row(kept.page.row(*row), &found, known, misfits, &mut completed);
            self.row += 1;
            if completed.objects.bodies.len() + completed.associations.bodies.len() >= BLOCK_BYTES {
                break;
            }
        }
        Some(completed)
    }
}

impl Completed {
    fn at(extracted_at: DateTime<Utc>, page_number: u64) -> Self {
        let (objects, associations) = (Encoded::default(), Encoded::default());
        Self { objects, associations, cached: Vec::new(), extracted_at, page_number }
    }
}

impl Encoded {
    fn push_link_tombstone(
        &mut self,
        ticket: ObjectId,
        link: &CachedLink,
        types: &[ObjectType],
        columns: AssociationColumns,
        deleted_at: DateTime<Utc>,
    ) {
        push_tombstone(ticket, link, types, columns, deleted_at, &mut self.bodies);
        self.ends.push(self.bodies.len());
        self.tombstones += 1;
    }

    fn push_tombstone(&mut self, encoder: &encoder::Encoder, tombstone: &Tombstone) {
        encoder.encode_tombstone(tombstone, &mut self.bodies);
        self.ends.push(self.bodies.len());
        self.tombstones += 1;
    }
}

impl Related for Found<'_> {
    fn push_ids(&self, index: usize, ticket: ObjectId, out: &mut Vec<u8>) {
        self.links[index].push_ids(ticket, out);
    }

    fn primary(&self, index: usize, ticket: ObjectId) -> Option<&[u8]> {
        let of_type = |(primaries, _): &(&Primaries, &Details)| primaries.of_type == Some(index);
        let (primaries, details) = self.primaries.iter().zip(self.details).find(of_type)?;
        details.get(primaries.of(self.links, ticket)?)
    }
}
