//! Some pages of objects that are completed together: their associations, the details of their primaries, their bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::future::{OptionFuture, join, try_join_all};

use super::cache::{Cache, CachedLink, Entry, Known, Trust, hash};
use super::encoder::{Encoder, Misfits, Related};
use super::links::{Links, push_tombstone};
use super::list::ID_PROPERTY;
use super::page::{Layout, Page, Row};
use super::pass::Held;
use super::plan::{AssociationColumns, ObjectColumns, ObjectPlan};
use super::primaries::{Details, Primaries};
use super::tombstone::Tombstone;
use super::{ExtractError, encoder};
use crate::client::{Buffer, Client, ClientError, ObjectId, ObjectType};

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
    contacts: Primaries,
    companies: Primaries,
}

/// A page and those of its records that are to be written.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) page: Page,
    pub(super) rows: Vec<usize>,
    pub(super) extracted_at: DateTime<Utc>,
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

/// A page, written.
#[derive(Debug)]
pub(super) struct Completed {
    pub(super) objects: Encoded,
    pub(super) associations: Encoded,
    /// What the row cache is to remember.
    pub(super) cached: Vec<(ObjectId, Entry)>,
    pub(super) extracted_at: DateTime<Utc>,
    /// The memory it counts for, until it is written.
    _held: Option<Held>,
}

/// The associations of a chunk's records, by type, and their primaries.
struct Found {
    links: Vec<Links>,
    contacts: Details,
    companies: Details,
    contact_type: Option<usize>,
    company_type: Option<usize>,
}

impl Workshop {
    pub(super) fn new(
        client: Arc<Client>,
        plan: ObjectPlan,
        include_archived: bool,
        cache: Option<Arc<Cache>>,
    ) -> Self {
        Self {
            client,
            lead: plan.streams()[0],
            object_type: plan.object_type,
            encoder: plan.columns.map(Encoder::new),
            associations: plan.associations,
            types: plan.types,
            include_archived,
            cache,
            contacts: Primaries::contacts(&plan.privacy),
            companies: Primaries::companies(&plan.privacy),
        }
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

    /// Completes live records; those that the target has as they are, by the cache, are left out.
    pub(super) async fn complete(
        &self,
        chunk: Vec<Kept>,
        trust: Option<Trust>,
    ) -> Result<(Vec<Completed>, Misfits), ExtractError> {
        let ids: Vec<ObjectId> =
            chunk.iter().flat_map(|kept| kept.rows.iter().map(|row| kept.page.ids()[*row])).collect();
        let found = self.find(&ids).await?;
        let known = self.known(ids.iter().copied().chain(self.losers(&chunk)), trust)?;
        let mut misfits = self.encoder.as_ref().map(Encoder::no_misfits).unwrap_or_default();
        // Each page goes as it is encoded, so that a chunk is never in the memory twice.
        let completed = chunk.into_iter().map(|kept| self.encode(kept, &found, &known, &mut misfits)).collect();
        Ok((completed, misfits))
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
        let mut completed = Completed::at(extracted_at, None);
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
    fn losers<'c>(&'c self, chunk: &'c [Kept]) -> impl Iterator<Item = ObjectId> + 'c {
        let encoder = self.encoder.as_ref().filter(|_| self.include_archived);
        let rows = chunk.iter().flat_map(|kept| kept.rows.iter().map(|row| kept.page.row(*row)));
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

    async fn find(&self, ids: &[ObjectId]) -> Result<Found, ClientError> {
        let reads = self.types.iter().map(|object_type| async move {
            if ids.is_empty() {
                return Ok(Links::new(Default::default()));
            }
            self.client.batch_read_associations(&self.object_type, object_type, ids).await.map(Links::new)
        });
        let links = try_join_all(reads).await?;
        let columns = self.columns();
        let contact_type = columns.and_then(|columns| columns.primary_contact);
        let company_type = columns.and_then(|columns| columns.primary_company);
        let contacts = OptionFuture::from(contact_type.map(|index| {
            let wanted = ids.iter().filter_map(|id| links[index].primary_contact(*id)).collect();
            self.contacts.read(&self.client, wanted)
        }));
        let companies = OptionFuture::from(company_type.map(|index| {
            let wanted = ids.iter().filter_map(|id| links[index].primary_company(*id)).collect();
            self.companies.read(&self.client, wanted)
        }));
        let (contacts, companies) = join(contacts, companies).await;
        Ok(Found {
            contacts: contacts.transpose()?.unwrap_or_default(),
            companies: companies.transpose()?.unwrap_or_default(),
            links,
            contact_type,
            company_type,
        })
    }

    fn encode(&self, kept: Kept, found: &Found, known: &BTreeMap<ObjectId, Known>, misfits: &mut Misfits) -> Completed {
        let mut completed = Completed::at(kept.extracted_at, kept.held);
        if self.encoder.is_some() {
            // What HubSpot sent is a good guess of what it becomes.
            completed.objects.bodies = Buffer::with_capacity(kept.page.bytes());
        }
        for row in kept.rows.iter().map(|row| kept.page.row(*row)) {
            self.encode_row(row, found, known, misfits, &mut completed);
        }
        completed
    }

    /// Appends a record and its associations, unless the target has them so.
    fn encode_row(
        &self,
        row: Row<'_>,
        found: &Found,
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
            for loser in encoder.merged(row) {
                let tombstone = Tombstone::merged(loser, row, completed.extracted_at);
                self.bury_one(&tombstone, known.get(&loser), completed);
            }
        }
    }
}

impl Completed {
    fn at(extracted_at: DateTime<Utc>, held: Option<Held>) -> Self {
        let (objects, associations) = (Encoded::default(), Encoded::default());
        Self { objects, associations, cached: Vec::new(), extracted_at, _held: held }
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

impl Related for Found {
    fn push_ids(&self, index: usize, ticket: ObjectId, out: &mut Vec<u8>) {
        self.links[index].push_ids(ticket, out);
    }

    fn primary(&self, index: usize, ticket: ObjectId) -> Option<&[u8]> {
        let links = &self.links[index];
        let details = if self.contact_type == Some(index) {
            self.contacts.get(&links.primary_contact(ticket)?)
        } else if self.company_type == Some(index) {
            self.companies.get(&links.primary_company(ticket)?)
        } else {
            None
        };
        details.map(AsRef::as_ref)
    }
}
