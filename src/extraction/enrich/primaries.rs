//! Details of primary contacts and companies, read a hundred at a time and kept in a bounded cache.
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::client::{Client, ClientError, MAX_BATCH, ObjectId, ObjectType};
use crate::extraction::enrich::associations::AssociationIndex;
use crate::extraction::plan::object::{COMPANY_PROPERTIES, CONTACT_PROPERTIES};
use crate::extraction::plan::privacy::{Privacy, Salt};
use crate::extraction::read::batch::{Accounted, BatchReader};
use crate::extraction::read::layout::Layout;
use crate::extraction::read::page::{Page, Row};
use crate::property::{Fit, Kind, encode_value};

/// Records kept of the younger half.
const MAX_YOUNG: usize = 28_000;
/// What they may take, so that the cache of a type stays below 6 MB.
const MAX_YOUNG_BYTES: usize = 2 << 20;
/// By how much they grow at once.
const STEP_BYTES: usize = 128 << 10;

/// The primary records of one object type.
#[derive(Debug)]
pub(crate) struct Primaries {
    object_type: ObjectType,
    /// Where this type stands among those whose associations are read; none: primaries are not wanted.
    pub(crate) of_type: Option<usize>,
    choose: fn(&AssociationIndex, ObjectId) -> Option<ObjectId>,
    /// Those that may be read.
    properties: Vec<&'static str>,
    shape: Shape,
    encode: fn(&Shape, ObjectId, Option<Row<'_>>) -> Vec<u8>,
    cache: Mutex<Cache>,
    /// Records that are being asked for.
    asked: watch::Sender<HashSet<ObjectId>>,
}

/// Records that are being asked for; when this is dropped they are no more, whatever came of it.
struct Asking<'p> {
    primaries: &'p Primaries,
    ids: Vec<ObjectId>,
}

/// Where a property's value stands, and how it is written.
#[derive(Debug)]
struct Shape {
    layout: Layout,
    salts: Vec<(&'static str, Salt)>,
}

/// Encoded columns by record, one behind another in one buffer.
#[derive(Debug, Default)]
pub(crate) struct Details {
    text: Vec<u8>,
    places: HashMap<ObjectId, Range<u32>>,
}

/// What a chunk has of the details that it wants, and what not yet.
#[derive(Debug, Default)]
pub(crate) struct Claim {
    details: Details,
    /// Records to be asked for.
    wanted: Vec<ObjectId>,
    /// Records that another chunk is asking for.
    awaited: Vec<ObjectId>,
    /// Records that would fill no request.
    later: HashSet<ObjectId>,
}

/// Two generations: what was used since the last change of generations, and what was used in the one before.
#[derive(Debug, Default)]
struct Cache {
    young: Details,
    old: Details,
}

impl Primaries {
    /// `{"id", "email", "name"}` of contacts.
    pub(crate) fn contacts(of_type: Option<usize>, privacy: &Privacy) -> Self {
        Self::new(
            ObjectType::CONTACTS,
            of_type,
            AssociationIndex::primary_contact,
            &CONTACT_PROPERTIES,
            privacy,
            encode_contact,
        )
    }

    /// `{"id", "name", "domain"}` of companies.
    pub(crate) fn companies(of_type: Option<usize>, privacy: &Privacy) -> Self {
        Self::new(
            ObjectType::COMPANIES,
            of_type,
            AssociationIndex::primary_company,
            &COMPANY_PROPERTIES,
            privacy,
            encode_company,
        )
    }

    fn new(
        object_type: ObjectType,
        of_type: Option<usize>,
        choose: fn(&AssociationIndex, ObjectId) -> Option<ObjectId>,
        properties: &'static [&'static str],
        privacy: &Privacy,
        encode: fn(&Shape, ObjectId, Option<Row<'_>>) -> Vec<u8>,
    ) -> Self {
        let readable = properties.iter().copied().filter(|property| !privacy.drops(&object_type, property));
        let properties: Vec<&'static str> = readable.collect();
        let salt = |property: &&'static str| Some((*property, privacy.salt_of(&object_type, property)?));
        let salts = properties.iter().filter_map(salt).collect();
        let shape = Shape { layout: Layout::new(properties.iter().copied()), salts };
        Self {
            object_type,
            of_type,
            choose,
            properties,
            shape,
            encode,
            cache: Mutex::default(),
            asked: watch::Sender::default(),
        }
    }

    /// The primary record of a ticket, given its associations by type.
    pub(crate) fn of(&self, links: &[AssociationIndex], ticket: ObjectId) -> Option<ObjectId> {
        (self.choose)(&links[self.of_type?], ticket)
    }

    /// What is known of these records, and which are to be asked for: all others, or as many as fill requests.
    pub(crate) fn claim(&self, ids: impl Iterator<Item = ObjectId>, whole: bool) -> Claim {
        // What is not asked for fills no request.
        let whole = whole || self.properties.is_empty();
        let (mut cache, asked) = (self.cache(), self.asked.borrow());
        let mut claim = Claim::default();
        let mut seen = HashSet::new();
        for id in ids.filter(|id| seen.insert(*id)) {
            if cache.copy(id, &mut claim.details) {
                continue;
            }
            if asked.contains(&id) {
                claim.awaited.push(id);
            } else {
                claim.wanted.push(id);
            }
        }
        if !whole {
            let full = claim.wanted.len() / MAX_BATCH * MAX_BATCH;
            claim.later.extend(claim.wanted.drain(full..));
        }
        claim
    }

    /// Gets what a claim lacks; a record that HubSpot no longer has keeps its id and nothing else.
    pub(crate) async fn read(&self, client: &Client, claim: Claim) -> Result<Details, ClientError> {
        let Claim { mut details, wanted, awaited, .. } = claim;
        self.ask_all(client, wanted, &mut details).await?;
        let are_told = |asked: &HashSet<ObjectId>| !awaited.iter().any(|id| asked.contains(id));
        // No error: the sender lives as long as this.
        let _ = self.asked.subscribe().wait_for(are_told).await;
        let missing = {
            let mut cache = self.cache();
            awaited.into_iter().filter(|id| !cache.copy(*id, &mut details)).collect()
        };
        self.ask_all(client, missing, &mut details).await?;
        Ok(details)
    }

    /// Asks for records, and remembers them.
    async fn ask_all(&self, client: &Client, ids: Vec<ObjectId>, details: &mut Details) -> Result<(), ClientError> {
        if ids.is_empty() {
            return Ok(());
        }
        self.asked.send_modify(|asked| asked.extend(&ids));
        let asking = Asking { primaries: self, ids };
        self.ask(client, &asking.ids, details).await?;
        let mut cache = self.cache();
        for id in &asking.ids {
            if details.get(*id).is_none() {
                details.insert(*id, &(self.encode)(&self.shape, *id, None));
            }
            cache.insert(*id, details.get(*id).unwrap_or_default());
        }
        Ok(())
    }

    /// Reads records into `details`; nothing when none of their properties may be read: HubSpot would send others.
    async fn ask(&self, client: &Client, ids: &[ObjectId], details: &mut Details) -> Result<(), ClientError> {
        if self.properties.is_empty() {
            return Ok(());
        }
        let batches = BatchReader { client, object_type: &self.object_type, layout: &self.shape.layout };
        let Accounted { pages, open, .. } = batches.read(ids).await?;
        for row in pages.iter().flat_map(Page::rows) {
            details.insert(row.id(), &(self.encode)(&self.shape, row.id(), Some(row)));
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

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.primaries.asked.send_modify(|asked| {
            for id in &self.ids {
                asked.remove(id);
            }
        });
    }
}

impl Claim {
    /// Whether nothing of it is to come later.
    pub(crate) fn is_whole(&self) -> bool {
        self.later.is_empty()
    }

    /// Whether a record's details are to come later.
    pub(crate) fn defers(&self, id: Option<ObjectId>) -> bool {
        id.is_some_and(|id| self.later.contains(&id))
    }
}

impl Details {
    /// The encoded column of a record.
    pub(crate) fn get(&self, id: ObjectId) -> Option<&[u8]> {
        let Range { start, end } = self.places.get(&id)?;
        Some(&self.text[*start as usize..*end as usize])
    }

    fn insert(&mut self, id: ObjectId, text: &[u8]) {
        let end = |details: &Self| u32::try_from(details.text.len()).expect("generations and chunks are bounded");
        let start = end(self);
        if self.text.len() + text.len() > self.text.capacity() {
            // By steps: what doubling leaves unused would be as much again.
            self.text.reserve_exact(text.len().max(STEP_BYTES));
        }
        self.text.extend_from_slice(text);
        self.places.insert(id, start..end(self));
    }

    fn len(&self) -> usize {
        self.places.len()
    }
}

impl Cache {
    /// Copies what is known of a record into `details`; returns whether something is.
    fn copy(&mut self, id: ObjectId, details: &mut Details) -> bool {
        if let Some(known) = self.young.get(id) {
            details.insert(id, known);
            return true;
        }
        let Some(known) = self.old.get(id).map(<[u8]>::to_vec) else { return false };
        self.insert(id, &known);
        details.insert(id, &known);
        true
    }

    fn insert(&mut self, id: ObjectId, known: &[u8]) {
        if self.young.len() >= MAX_YOUNG || self.young.text.len() >= MAX_YOUNG_BYTES {
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
            let page = Page::read(Bytes::from(body), &primaries.shape.layout).expect("a page");
            let encoded = encode_contact(&primaries.shape, ObjectId(7), Some(page.row(0)));
            assert_eq!(String::from_utf8(encoded).expect("UTF-8"), expected);
        }
    }

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_used() {
        let mut cache = Cache::default();
        let is_known = |cache: &mut Cache, id| cache.copy(ObjectId(id), &mut Details::default());
        for id in 0..3 * MAX_YOUNG as u64 {
            cache.insert(ObjectId(id), b"x");
            assert!(is_known(&mut cache, 0));
        }
        assert!(cache.young.len() + cache.old.len() <= 2 * MAX_YOUNG);
        assert!(!is_known(&mut cache, 1));
        for id in 0..300 {
            cache.insert(ObjectId(id), &[b'x'; 64 << 10]);
            assert!(cache.young.text.len() + cache.old.text.len() <= 2 * (MAX_YOUNG_BYTES + (64 << 10)));
        }
    }
}
