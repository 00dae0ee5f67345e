//! Details of primary contacts and companies, read a hundred at a time and kept in a bounded cache.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::try_join_all;

use super::page::{Layout, Page, Row};
use super::privacy::{Privacy, Salt};
use crate::client::{Client, ClientError, MAX_BATCH, ObjectId, ObjectType};
use crate::property::{Fit, Kind, encode_value};

/// Records kept of the younger half; with some 150 bytes each the cache stays below 8 MB.
const MAX_YOUNG: usize = 20_000;

/// What is read of a primary contact.
pub(super) const CONTACT_PROPERTIES: [&str; 3] = ["email", "firstname", "lastname"];
/// What is read of a primary company.
pub(super) const COMPANY_PROPERTIES: [&str; 2] = ["name", "domain"];

/// The primary records of one object type.
#[derive(Debug)]
pub(super) struct Primaries {
    object_type: ObjectType,
    /// Those that may be read.
    properties: Vec<&'static str>,
    shape: Shape,
    encode: fn(&Shape, ObjectId, Option<Row<'_>>) -> Vec<u8>,
    cache: Mutex<Cache>,
}

/// Where a property's value stands, and how it is written.
#[derive(Debug)]
struct Shape {
    layout: Layout,
    salts: Vec<(&'static str, Salt)>,
}

/// The encoded column of each record that a chunk needs.
pub(super) type Details = HashMap<ObjectId, Arc<[u8]>>;

/// Two generations: what was used since the last change of generations, and what was used in the one before.
#[derive(Debug, Default)]
struct Cache {
    young: Details,
    old: Details,
}

impl Primaries {
    /// `{"id", "email", "name"}` of contacts.
    pub(super) fn contacts(privacy: &Privacy) -> Self {
        Self::new(ObjectType::CONTACTS, &CONTACT_PROPERTIES, privacy, encode_contact)
    }

    /// `{"id", "name", "domain"}` of companies.
    pub(super) fn companies(privacy: &Privacy) -> Self {
        Self::new(ObjectType::COMPANIES, &COMPANY_PROPERTIES, privacy, encode_company)
    }

    fn new(
        object_type: ObjectType,
        properties: &'static [&'static str],
        privacy: &Privacy,
        encode: fn(&Shape, ObjectId, Option<Row<'_>>) -> Vec<u8>,
    ) -> Self {
        let readable = properties.iter().copied().filter(|property| !privacy.drops(&object_type, property));
        let properties: Vec<&'static str> = readable.collect();
        let salt = |property: &&'static str| Some((*property, privacy.salt_of(&object_type, property)?));
        let salts = properties.iter().filter_map(salt).collect();
        let shape = Shape { layout: Layout::new(properties.iter().copied()), salts };
        Self { object_type, properties, shape, encode, cache: Mutex::default() }
    }

    /// The details of these records; one that HubSpot no longer has keeps its id and nothing else.
    pub(super) async fn read(&self, client: &Client, mut ids: Vec<ObjectId>) -> Result<Details, ClientError> {
        ids.sort_unstable();
        ids.dedup();
        let mut details = Details::with_capacity(ids.len());
        ids.retain(|id| match self.cache().get(*id) {
            Some(known) => {
                details.insert(*id, known);
                false
            }
            None => true,
        });
        self.ask(client, &ids, &mut details).await?;
        // One that is gone is asked for once more: it may have been another question's answer.
        let missing: Vec<ObjectId> = ids.iter().filter(|id| !details.contains_key(id)).copied().collect();
        self.ask(client, &missing, &mut details).await?;
        let mut cache = self.cache();
        for id in ids {
            let known = details.entry(id).or_insert_with(|| (self.encode)(&self.shape, id, None).into());
            cache.insert(id, Arc::clone(known));
        }
        Ok(details)
    }

    /// Reads records into `details`; nothing when none of their properties may be read: HubSpot would send others.
    async fn ask(&self, client: &Client, ids: &[ObjectId], details: &mut Details) -> Result<(), ClientError> {
        if self.properties.is_empty() {
            return Ok(());
        }
        let read = |body| Page::read(body, &self.shape.layout);
        let batches = ids
            .chunks(MAX_BATCH)
            .map(|batch| client.batch_read_objects(&self.object_type, batch, &self.properties, read));
        for page in try_join_all(batches).await? {
            for row in page.rows() {
                details.insert(row.id(), (self.encode)(&self.shape, row.id(), Some(row)).into());
            }
        }
        Ok(())
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cache {
    fn get(&mut self, id: ObjectId) -> Option<Arc<[u8]>> {
        if let Some(known) = self.young.get(&id) {
            return Some(Arc::clone(known));
        }
        let known = self.old.remove(&id)?;
        self.insert(id, Arc::clone(&known));
        Some(known)
    }

    fn insert(&mut self, id: ObjectId, known: Arc<[u8]>) {
        if self.young.len() >= MAX_YOUNG {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(id, known);
    }
}

impl Shape {
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

fn encode_contact(shape: &Shape, id: ObjectId, row: Option<Row<'_>>) -> Vec<u8> {
    let mut out = format!(r#"{{"id":"{id}","email":"#).into_bytes();
    shape.push(row, "email", &mut out);
    out.extend_from_slice(b",\"name\":");
    let mut first = Vec::new();
    let mut last = Vec::new();
    let has_first = shape.push(row, "firstname", &mut first) == Fit::Value;
    let has_last = shape.push(row, "lastname", &mut last) == Fit::Value;
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

fn encode_company(shape: &Shape, id: ObjectId, row: Option<Row<'_>>) -> Vec<u8> {
    let mut out = format!(r#"{{"id":"{id}","name":"#).into_bytes();
    shape.push(row, "name", &mut out);
    out.extend_from_slice(b",\"domain\":");
    shape.push(row, "domain", &mut out);
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn a_contact_is_its_id_email_and_name() {
        let primaries = Primaries::contacts(&Privacy::default());
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
            let page = Page::read(Bytes::from(body), &primaries.shape.layout).expect("a page");
            let encoded = encode_contact(&primaries.shape, ObjectId(7), Some(page.row(0)));
            assert_eq!(String::from_utf8(encoded).expect("UTF-8"), expected);
        }
    }

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_used() {
        let mut cache = Cache::default();
        let value: Arc<[u8]> = Arc::from(&b"x"[..]);
        for id in 0..3 * MAX_YOUNG as u64 {
            cache.insert(ObjectId(id), Arc::clone(&value));
            assert!(cache.get(ObjectId(0)).is_some());
        }
        assert!(cache.young.len() + cache.old.len() <= 2 * MAX_YOUNG);
        assert!(cache.get(ObjectId(1)).is_none());
    }
}
