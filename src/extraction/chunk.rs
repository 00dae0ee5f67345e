//! Some pages of objects that are completed together: their associations, the details of their primaries, their bytes.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::future::{OptionFuture, join, try_join_all};

use super::encoder::{Encoder, Misfits, Related};
use super::links::Links;
use super::list::ID_PROPERTY;
use super::page::{Layout, Page, Row};
use super::plan::{AssociationColumns, ObjectColumns, ObjectPlan};
use super::primaries::{Details, Primaries};
use super::tombstone::Tombstone;
use super::{ExtractError, encoder};
use crate::client::{Client, ClientError, ObjectId, ObjectType};

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
    contacts: Primaries,
    companies: Primaries,
}

/// A page and those of its records that are to be written.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) page: Page,
    pub(super) rows: Vec<usize>,
    pub(super) extracted_at: DateTime<Utc>,
}

/// One page's part of the output.
#[derive(Debug, Default)]
pub(super) struct Encoded {
    pub(super) bodies: Vec<u8>,
    pub(super) ends: Vec<usize>,
    pub(super) tombstones: u64,
}

/// A page, written.
#[derive(Debug)]
pub(super) struct Completed {
    pub(super) objects: Encoded,
    pub(super) associations: Encoded,
    pub(super) extracted_at: DateTime<Utc>,
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
    pub(super) fn new(client: Arc<Client>, plan: ObjectPlan, include_archived: bool) -> Self {
        Self {
            client,
            lead: plan.streams()[0],
            object_type: plan.object_type,
            encoder: plan.columns.map(Encoder::new),
            associations: plan.associations,
            types: plan.types,
            include_archived,
            contacts: Primaries::contacts(),
            companies: Primaries::companies(),
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

    /// Completes live records.
    pub(super) async fn complete(&self, chunk: Vec<Kept>) -> Result<(Vec<Completed>, Misfits), ExtractError> {
        let ids: Vec<ObjectId> =
            chunk.iter().flat_map(|kept| kept.rows.iter().map(|row| kept.page.ids()[*row])).collect();
        let found = self.find(&ids).await?;
        let mut misfits = self.encoder.as_ref().map(Encoder::no_misfits).unwrap_or_default();
        let completed = chunk.iter().map(|kept| self.encode(kept, &found, &mut misfits)).collect();
        Ok((completed, misfits))
    }

    /// Writes tombstones; they need nothing more.
    pub(super) fn bury(&self, tombstones: &[Tombstone], extracted_at: DateTime<Utc>) -> Completed {
        let mut objects = Encoded::default();
        if let Some(encoder) = &self.encoder {
            for tombstone in tombstones {
                objects.push_tombstone(encoder, tombstone);
            }
        }
        Completed { objects, associations: Encoded::default(), extracted_at }
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

    fn encode(&self, kept: &Kept, found: &Found, misfits: &mut Misfits) -> Completed {
        let mut objects = Encoded::default();
        if let Some(encoder) = &self.encoder {
            // What HubSpot sent is a good guess of what it becomes.
            objects.bodies.reserve(kept.page.bytes());
            for row in kept.rows.iter().map(|row| kept.page.row(*row)) {
                encoder.encode(row, found, misfits, &mut objects.bodies);
                objects.ends.push(objects.bodies.len());
                if self.include_archived {
                    objects.push_merged(encoder, row, kept.extracted_at);
                }
            }
        }
        let mut associations = Encoded::default();
        if let Some(columns) = self.associations {
            for ticket in kept.rows.iter().map(|row| kept.page.ids()[*row]) {
                for (links, object_type) in found.links.iter().zip(&self.types) {
                    let Encoded { bodies, ends, .. } = &mut associations;
                    links.push_records(ticket, object_type, columns, bodies, ends);
                }
            }
        }
        Completed { objects, associations, extracted_at: kept.extracted_at }
    }
}

impl Encoded {
    /// Tombstones of the records that were merged into this one.
    fn push_merged(&mut self, encoder: &Encoder, row: Row<'_>, extracted_at: DateTime<Utc>) {
        for loser in encoder.merged(row) {
            self.push_tombstone(encoder, &Tombstone::merged(loser, row, extracted_at));
        }
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
