//! Primary contacts and companies of tickets, and what is read of them.

use std::sync::Arc;

use crate::client::{Client, ClientError, ObjectId, ObjectType};
use crate::extraction::enrich::associations::AssociationIndex;
use crate::extraction::enrich::details::Details;
use crate::extraction::enrich::loader::{Announcement, DetailLoader};
use crate::extraction::plan::object::{COMPANY_PROPERTIES, CONTACT_PROPERTIES};
use crate::extraction::plan::privacy::{Privacy, Salt};
use crate::extraction::read::batch::{Accounted, BatchReader};
use crate::extraction::read::layout::Layout;
use crate::extraction::read::page::{Page, Row};
use crate::property::{Fit, Kind, encode_value};

/// The primary records of one object type.
#[derive(Debug)]
pub(crate) struct Primaries {
    object_type: ObjectType,
    /// Where this type stands among those whose associations are read; none: primaries are not wanted.
    pub(crate) association_index: Option<usize>,
    pick_primary: fn(&AssociationIndex, ObjectId) -> Option<ObjectId>,
    /// Those that may be read.
    properties: Vec<&'static str>,
    property_layout: PropertyLayout,
    encode: fn(&PropertyLayout, ObjectId, Option<Row<'_>>) -> Vec<u8>,
    pub(crate) loader: Arc<DetailLoader>,
}

/// Where a property's value stands, and how it is written.
#[derive(Debug)]
struct PropertyLayout {
    layout: Layout,
    salts: Vec<(&'static str, Salt)>,
}

impl Primaries {
    /// `{"id", "email", "name"}` of contacts.
    pub(crate) fn contacts(association_index: Option<usize>, privacy: &Privacy) -> Self {
        Self::new(
            ObjectType::CONTACTS,
            association_index,
            AssociationIndex::primary_contact,
            &CONTACT_PROPERTIES,
            privacy,
            encode_contact,
        )
    }

    /// `{"id", "name", "domain"}` of companies.
    pub(crate) fn companies(association_index: Option<usize>, privacy: &Privacy) -> Self {
        Self::new(
            ObjectType::COMPANIES,
            association_index,
            AssociationIndex::primary_company,
            &COMPANY_PROPERTIES,
            privacy,
            encode_company,
        )
    }

    fn new(
        object_type: ObjectType,
        association_index: Option<usize>,
        pick_primary: fn(&AssociationIndex, ObjectId) -> Option<ObjectId>,
        properties: &'static [&'static str],
        privacy: &Privacy,
        encode: fn(&PropertyLayout, ObjectId, Option<Row<'_>>) -> Vec<u8>,
    ) -> Self {
        let readable = properties.iter().copied().filter(|property| !privacy.drops(&object_type, property));
        let properties: Vec<&'static str> = readable.collect();
        let salt = |property: &&'static str| Some((*property, privacy.salt_of(&object_type, property)?));
        let salts = properties.iter().filter_map(salt).collect();
        let property_layout = PropertyLayout { layout: Layout::new(properties.iter().copied()), salts };
        Self {
            object_type,
            association_index,
            pick_primary,
            properties,
            property_layout,
            encode,
            loader: Arc::default(),
        }
    }

    /// The primary record of a ticket, given its associations by type.
    pub(crate) fn primary_of(&self, links: &[AssociationIndex], ticket: ObjectId) -> Option<ObjectId> {
        (self.pick_primary)(&links[self.association_index?], ticket)
    }

    /// The details of the primary records of these tickets; a record that HubSpot no longer has keeps its id and nothing
    /// else.
    ///
    /// # Errors
    /// Any of a batch read.
    pub(crate) async fn load(
        &self,
        client: &Client,
        tickets: impl Iterator<Item = ObjectId>,
        associations: &[AssociationIndex],
        announcement: Announcement,
    ) -> Result<Details, ClientError> {
        let wanted = tickets.filter_map(|ticket| self.primary_of(associations, ticket)).collect();
        self.loader.load(wanted, announcement, |ids| self.fetch(client, ids)).await
    }

    /// Reads records; nothing is asked for when none of their properties may be read: HubSpot would send others.
    async fn fetch(&self, client: &Client, ids: Vec<ObjectId>) -> Result<Details, ClientError> {
        let mut details = Details::default();
        if !self.properties.is_empty() {
            self.read(client, &ids, &mut details).await?;
        }
        for id in ids {
            if details.get(id).is_none() {
                details.insert(id, &(self.encode)(&self.property_layout, id, None));
            }
        }
        Ok(details)
    }

    async fn read(&self, client: &Client, ids: &[ObjectId], details: &mut Details) -> Result<(), ClientError> {
        let batches = BatchReader { client, object_type: &self.object_type, layout: &self.property_layout.layout };
        let Accounted { pages, open, .. } = batches.read(ids).await?;
        for row in pages.iter().flat_map(Page::rows) {
            details.insert(row.id(), &(self.encode)(&self.property_layout, row.id(), Some(row)));
        }
        if !open.is_empty() {
            tracing::warn!(
                "HubSpot says nothing about {} of {} that are primary ones of tickets; those tickets have their ids alone",
                open.len(),
                self.object_type
            );
        }
        Ok(())
    }
}

impl PropertyLayout {
    /// Appends a property's value.
    fn push(&self, row: Option<Row<'_>>, property: &str, out: &mut Vec<u8>) -> Fit {
        let slot = self.layout.slot(property);
        let token = row.zip(slot).map(|(row, slot)| row.property(slot)).unwrap_or_default();
        match self.salts.iter().find(|(hashed, _)| *hashed == property) {
            Some((_, salt)) => salt.push(token, out),
            None => encode_value(Kind::String, token, out),
        }
    }
}

fn encode_contact(property_layout: &PropertyLayout, id: ObjectId, row: Option<Row<'_>>) -> Vec<u8> {
    let mut out = format!(r#"{{"id":"{id}","email":"#).into_bytes();
    property_layout.push(row, "email", &mut out);
    out.extend_from_slice(b",\"name\":");
    let mut first = Vec::new();
    let mut last = Vec::new();
    let has_first = property_layout.push(row, "firstname", &mut first) == Fit::Value;
    let has_last = property_layout.push(row, "lastname", &mut last) == Fit::Value;
    match (has_first, has_last) {
        // Both are JSON strings: the one without its closing quote, the other without its opening one.
        (true, true) => {
            out.extend_from_slice(&first[..first.len() - 1]);
            out.push(b' ');
            out.extend_from_slice(&last[1..]);
        }
        (true, false) => out.extend_from_slice(&first),
        (false, _) => out.extend_from_slice(&last),
    }
    out.push(b'}');
    out
}

fn encode_company(property_layout: &PropertyLayout, id: ObjectId, row: Option<Row<'_>>) -> Vec<u8> {
    let mut out = format!(r#"{{"id":"{id}","name":"#).into_bytes();
    property_layout.push(row, "name", &mut out);
    out.extend_from_slice(b",\"domain\":");
    property_layout.push(row, "domain", &mut out);
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn a_contact_is_its_id_email_and_name() {
        let primaries = Primaries::contacts(None, &Privacy::default());
        for (properties, expected) in [
            (
                r#"{"email":"a@b.c","firstname":"Ada","lastname":"L\u00f6v"}"#,
                r#"{"id":"7","email":"a@b.c","name":"Ada L\u00f6v"}"#,
            ),
            (r#"{"email":null,"firstname":"Ada","lastname":""}"#, r#"{"id":"7","email":null,"name":"Ada"}"#),
            (r#"{"lastname":"Löv"}"#, r#"{"id":"7","email":null,"name":"Löv"}"#),
            ("{}", r#"{"id":"7","email":null,"name":null}"#),
        ] {
            let body = format!(r#"{{"results":[{{"id":"7","properties":{properties}}}]}}"#);
            let page = Page::read(Bytes::from(body), &primaries.property_layout.layout).expect("a page");
            let encoded = encode_contact(&primaries.property_layout, ObjectId(7), Some(page.row(0)));
            assert_eq!(String::from_utf8(encoded).expect("UTF-8"), expected);
        }
    }
}
