//! Details of primary contacts and companies, read a hundred at a time and kept in a bounded cache.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::try_join_all;

use super::page::{Layout, Page, Row};
use crate::client::{Client, ClientError, MAX_BATCH, ObjectId, ObjectType};
use crate::property::{Fit, Kind, encode_value};

/// Records kept of the younger half; with some 150 bytes each the cache stays below 8 MB.
const MAX_YOUNG: usize = 20_000;

/// The primary records of one object type.
#[derive(Debug)]
pub(super) struct Primaries {
    object_type: ObjectType,
    properties: &'static [&'static str],
    layout: Layout,
    encode: fn(&Layout, ObjectId, Option<Row<'_>>) -> Vec<u8>,
    cache: Mutex<Cache>,
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
    pub(super) fn contacts() -> Self {
        Self::new(ObjectType::CONTACTS, &["email", "firstname", "lastname"], encode_contact)
    }

    /// `{"id", "name", "domain"}` of companies.
    pub(super) fn companies() -> Self {
        Self::new(ObjectType::COMPANIES, &["name", "domain"], encode_company)
    }

    fn new(
        object_type: ObjectType,
        properties: &'static [&'static str],
        encode: fn(&Layout, ObjectId, Option<Row<'_>>) -> Vec<u8>,
    ) -> Self {
        let layout = Layout::new(properties.iter().copied());
        Self { object_type, properties, layout, encode, cache: Mutex::default() }
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
        let batches = ids.chunks(MAX_BATCH).map(|batch| {
            client.batch_read_objects(&self.object_type, batch, self.properties, |body| Page::read(body, &self.layout))
        });
        for page in try_join_all(batches).await? {
            for row in page.rows() {
                details.insert(row.id(), (self.encode)(&self.layout, row.id(), Some(row)).into());
            }
        }
        let mut cache = self.cache();
        for id in ids {
            let known = details.entry(id).or_insert_with(|| (self.encode)(&self.layout, id, None).into());
            cache.insert(id, Arc::clone(known));
        }
        Ok(details)
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

fn encode_contact(layout: &Layout, id: ObjectId, row: Option<Row<'_>>) -> Vec<u8> {
    let token = |name: &str| row.and_then(|row| layout.slot(name).map(|slot| row.property(slot))).unwrap_or_default();
    let mut out = format!(r#"{{"id":"{id}","email":"#).into_bytes();
    encode_value(Kind::String, token("email"), &mut out);
    out.extend_from_slice(b",\"name\":");
    let mut first = Vec::new();
    let mut last = Vec::new();
    let has_first = encode_value(Kind::String, token("firstname"), &mut first) == Fit::Value;
    let has_last = encode_value(Kind::String, token("lastname"), &mut last) == Fit::Value;
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

fn encode_company(layout: &Layout, id: ObjectId, row: Option<Row<'_>>) -> Vec<u8> {
    let token = |name: &str| row.and_then(|row| layout.slot(name).map(|slot| row.property(slot))).unwrap_or_default();
    let mut out = format!(r#"{{"id":"{id}","name":"#).into_bytes();
    encode_value(Kind::String, token("name"), &mut out);
    out.extend_from_slice(b",\"domain\":");
    encode_value(Kind::String, token("domain"), &mut out);
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn a_contact_is_its_id_email_and_name() {
        let primaries = Primaries::contacts();
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
            let page = Page::read(Bytes::from(body), &primaries.layout).expect("a page");
            let encoded = encode_contact(&primaries.layout, ObjectId(7), Some(page.row(0)));
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
