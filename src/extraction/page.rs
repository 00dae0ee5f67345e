//! A page of objects: read once, kept as the tokens of the values that are wanted.

use std::collections::HashMap;
use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::client::{Buffer, MAX_BATCH, Malformed, ObjectId, PageCursor};

/// Which values of a record are kept, and in which slot.
#[derive(Debug)]
pub(super) struct Layout {
    slots: HashMap<Box<str>, usize>,
    /// The names in the order in which HubSpot sends them, for finding the next one without hashing.
    sorted: Vec<(Box<str>, usize)>,
}

/// Slots before those of the properties.
const CREATED_AT: usize = 0;
const UPDATED_AT: usize = 1;
const ARCHIVED_AT: usize = 2;
const FIXED: usize = 3;

/// Records of one answer. Names, nulls and what is not wanted are left behind, so that a page that waits takes little.
#[derive(Debug)]
pub(super) struct Page {
    /// Tokens of values, record by record, slot by slot; none for null.
    text: ByteString,
    /// Where each of them ends.
    ends: Vec<u32>,
    stride: usize,
    ids: Vec<ObjectId>,
    archived: Vec<bool>,
    /// The next page's cursor; none at the end.
    pub(super) next: Option<PageCursor>,
    /// The bytes of the answer.
    pub(super) received: usize,
}

/// One record of a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'p> {
    page: &'p Page,
    index: usize,
}

/// Where a value's token stands in the answer; empty when it is absent.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    begin: u32,
    length: u32,
}

impl Layout {
    /// Keeps these properties; a property's slot is its position here. Repeats share the first one's slot.
    pub(super) fn new<'n>(properties: impl IntoIterator<Item = &'n str>) -> Self {
        let mut slots: HashMap<Box<str>, usize> = HashMap::new();
        for property in properties {
            let next = slots.len();
            slots.entry(Box::from(property)).or_insert(next);
        }
        let mut sorted: Vec<(Box<str>, usize)> = slots.iter().map(|(name, slot)| (name.clone(), *slot)).collect();
        sorted.sort_unstable();
        Self { slots, sorted }
    }

    /// The slot of a property.
    pub(super) fn slot(&self, property: &str) -> Option<usize> {
        self.slots.get(property).copied()
    }

    /// The properties kept, by name.
    pub(super) fn properties(&self) -> impl Iterator<Item = &str> {
        self.sorted.iter().map(|(name, _)| &**name)
    }

    /// The properties kept, by slot.
    pub(super) fn by_slot(&self) -> Vec<&str> {
        let mut names: Vec<(usize, &str)> = self.sorted.iter().map(|(name, slot)| (*slot, &**name)).collect();
        names.sort_unstable();
        names.into_iter().map(|(_, name)| name).collect()
    }

    /// The slot of the property `name`, given how many names were found in order so far.
    fn find(&self, name: &str, found: &mut usize) -> Option<usize> {
        match self.sorted.get(*found) {
            Some((expected, slot)) if &**expected == name => {
                *found += 1;
                Some(*slot)
            }
            _ => self.slots.get(name).copied(),
        }
    }
}

impl Page {
    /// Reads an answer of a list or a batch read.
    ///
    /// # Errors
    /// When it is not JSON, has no `results`, or a record has no id.
    pub(super) fn read(body: Bytes, layout: &Layout) -> Result<Self, Malformed> {
        let text = String::from_utf8_lossy(&body);
        if u32::try_from(text.len()).is_err() {
            return Err(Malformed::new("it passes 4 GiB"));
        }
        let stride = layout.slots.len() + FIXED;
        let mut rows = Rows {
            layout,
            base: text.as_ptr().addr(),
            ids: Vec::with_capacity(MAX_BATCH),
            archived: Vec::with_capacity(MAX_BATCH),
            spans: Vec::with_capacity(MAX_BATCH * stride),
        };
        let mut deserializer = serde_json::Deserializer::from_str(&text);
        let next = AnswerSeed(&mut rows)
            .deserialize(&mut deserializer)
            .and_then(|next| deserializer.end().map(|()| next))
            .map_err(|error| Malformed::json(&error))?;
        let Rows { ids, archived, spans, .. } = rows;
        let tokens = spans.iter().map(|span| &text[span.begin as usize..][..span.length as usize]);
        let (text, ends) = pack(tokens.map(|token| if token == "null" { "" } else { token }));
        Ok(Self { text, ends, stride, ids, archived, next: next.map(PageCursor), received: body.len() })
    }

    /// A page of some of the records.
    pub(super) fn pick(&self, rows: &[usize]) -> Self {
        let (text, ends) = pack(rows.iter().flat_map(|row| (0..self.stride).map(|slot| self.row(*row).token(slot))));
        Self {
            text,
            ends,
            stride: self.stride,
            ids: rows.iter().map(|row| self.ids[*row]).collect(),
            archived: rows.iter().map(|row| self.archived[*row]).collect(),
            next: self.next.clone(),
            received: self.received,
        }
    }

    /// The number of records.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// The ids, in the order of the records.
    pub(super) fn ids(&self) -> &[ObjectId] {
        &self.ids
    }

    /// The records.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.ids.len()).map(|index| self.row(index))
    }

    /// One record.
    pub(super) fn row(&self, index: usize) -> Row<'_> {
        Row { page: self, index }
    }

    /// Leaves out records by their id.
    pub(super) fn retain(&mut self, keep: impl Fn(ObjectId) -> bool) {
        let kept: Vec<usize> = (0..self.len()).filter(|index| keep(self.ids[*index])).collect();
        if kept.len() < self.len() {
            *self = self.pick(&kept);
        }
    }

    /// Puts the records into the order of `ids`, behind those that are not among them.
    pub(super) fn arrange(&mut self, ids: &[ObjectId]) {
        let places: HashMap<ObjectId, usize> = ids.iter().enumerate().map(|(place, id)| (*id, place + 1)).collect();
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by_key(|index| places.get(&self.ids[*index]));
        *self = self.pick(&order);
    }

    /// The bytes that the page holds.
    pub(super) fn bytes(&self) -> usize {
        self.text.len() + self.ends.len() * size_of::<u32>()
    }
}

/// Puts tokens one behind another; returns them, and where each ends.
fn pack<'t>(tokens: impl Iterator<Item = &'t str> + Clone) -> (ByteString, Vec<u32>) {
    let (count, length) = tokens.clone().fold((0, 0), |(count, length), token| (count + 1, length + token.len()));
    let (mut text, mut ends) = (Buffer::with_capacity(length), Vec::with_capacity(count));
    for token in tokens {
        text.extend_from_slice(token.as_bytes());
        ends.push(u32::try_from(text.len()).expect("less than the answer, whose length was checked"));
    }
    (ByteString::try_from(Bytes::from_owner(text)).expect("it was text before"), ends)
}

impl<'p> Row<'p> {
    pub(super) fn id(self) -> ObjectId {
        self.page.ids[self.index]
    }

    pub(super) fn archived(self) -> bool {
        self.page.archived[self.index]
    }

    /// The JSON token of `createdAt`; empty when absent or null, like all tokens here.
    pub(super) fn created_at(self) -> &'p str {
        self.token(CREATED_AT)
    }

    pub(super) fn updated_at(self) -> &'p str {
        self.token(UPDATED_AT)
    }

    pub(super) fn archived_at(self) -> &'p str {
        self.token(ARCHIVED_AT)
    }

    /// The JSON token of the property in a slot of the layout.
    pub(super) fn property(self, slot: usize) -> &'p str {
        self.token(FIXED + slot)
    }

    fn token(self, slot: usize) -> &'p str {
        let index = self.index * self.page.stride + slot;
        let begin = if index == 0 { 0 } else { self.page.ends[index - 1] };
        &self.page.text[begin as usize..self.page.ends[index] as usize]
    }
}

/// The records found so far.
struct Rows<'l> {
    layout: &'l Layout,
    base: usize,
    ids: Vec<ObjectId>,
    archived: Vec<bool>,
    spans: Vec<Span>,
}

impl Rows<'_> {
    fn span(&self, value: &RawValue) -> Span {
        let begin = value.get().as_ptr().addr() - self.base;
        // The text was checked to be below 4 GiB.
        #[expect(clippy::cast_possible_truncation, reason = "checked when the page was read")]
        Span { begin: begin as u32, length: value.get().len() as u32 }
    }
}

struct AnswerSeed<'r, 'l>(&'r mut Rows<'l>);

#[derive(serde::Deserialize)]
struct Paging {
    next: Option<Next>,
}

#[derive(serde::Deserialize)]
struct Next {
    after: Option<String>,
}

impl<'de> DeserializeSeed<'de> for AnswerSeed<'_, '_> {
    type Value = Option<String>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for AnswerSeed<'_, '_> {
    type Value = Option<String>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with results")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut next = None;
        let mut has_results = false;
        while let Some(key) = map.next_key_seed(Name)? {
            match key {
                Known::Results => {
                    map.next_value_seed(ResultsSeed(self.0))?;
                    has_results = true;
                }
                Known::Paging => {
                    let paging: Option<Paging> = map.next_value()?;
                    next = paging.and_then(|paging| paging.next).and_then(|next| next.after);
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if has_results { Ok(next) } else { Err(A::Error::missing_field("results")) }
    }
}

struct ResultsSeed<'r, 'l>(&'r mut Rows<'l>);

impl<'de> DeserializeSeed<'de> for ResultsSeed<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ResultsSeed<'_, '_> {
    type Value = ();
    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of records")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(RecordSeed(self.0))?.is_some() {}
        Ok(())
    }
}

struct RecordSeed<'r, 'l>(&'r mut Rows<'l>);

impl<'de> DeserializeSeed<'de> for RecordSeed<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RecordSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let rows = self.0;
        let first = rows.spans.len();
        rows.spans.resize(first + FIXED + rows.layout.slots.len(), Span::default());
        let (mut id, mut archived) = (None, false);
        while let Some(key) = map.next_key_seed(Name)? {
            let fixed = match key {
                Known::Id => {
                    id = Some(map.next_value::<ObjectId>()?);
                    continue;
                }
                Known::Archived => {
                    archived = map.next_value::<Option<bool>>()?.unwrap_or(false);
                    continue;
                }
                Known::Properties => {
                    map.next_value_seed(PropertiesSeed { rows, first: first + FIXED })?;
                    continue;
                }
                Known::CreatedAt => CREATED_AT,
                Known::UpdatedAt => UPDATED_AT,
                Known::ArchivedAt => ARCHIVED_AT,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let value: &'de RawValue = map.next_value()?;
            rows.spans[first + fixed] = rows.span(value);
        }
        rows.ids.push(id.ok_or_else(|| A::Error::missing_field("id"))?);
        rows.archived.push(archived);
        Ok(())
    }
}

struct PropertiesSeed<'r, 'l> {
    rows: &'r mut Rows<'l>,
    first: usize,
}

impl<'de> DeserializeSeed<'de> for PropertiesSeed<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for PropertiesSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of properties")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut found = 0;
        while let Some(slot) = map.next_key_seed(PropertyName { layout: self.rows.layout, found: &mut found })? {
            let value: &'de RawValue = map.next_value()?;
            if let Some(slot) = slot {
                self.rows.spans[self.first + slot] = self.rows.span(value);
            }
        }
        Ok(())
    }
}

/// Finds a property's slot from its name, without keeping the name.
struct PropertyName<'l, 'f> {
    layout: &'l Layout,
    found: &'f mut usize,
}

impl<'de> DeserializeSeed<'de> for PropertyName<'_, '_> {
    type Value = Option<usize>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for PropertyName<'_, '_> {
    type Value = Option<usize>;
    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a property's name")
    }
    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.layout.find(name, self.found))
    }
}

/// The keys of an answer and a record that mean something here.
enum Known {
    Archived,
    ArchivedAt,
    CreatedAt,
    Id,
    Paging,
    Properties,
    Results,
    UpdatedAt,
    Other,
}

struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Known;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Known, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Known;
    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }
    fn visit_str<E: Error>(self, key: &str) -> Result<Known, E> {
        Ok(match key {
            "archived" => Known::Archived,
            "archivedAt" => Known::ArchivedAt,
            "createdAt" => Known::CreatedAt,
            "id" => Known::Id,
            "paging" => Known::Paging,
            "properties" => Known::Properties,
            "results" => Known::Results,
            "updatedAt" => Known::UpdatedAt,
            _ => Known::Other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{"results":[
        {"id":"12","properties":{"a":"1","createdate":"x","b":null,"c":"é\ud800"},"createdAt":"2026-01-01T00:00:00Z",
         "updatedAt":"2026-01-02T00:00:00.5Z","archived":false,"url":"u"},
        {"archived":true,"archivedAt":"2026-01-03T00:00:00Z","properties":{"c":"3","a":"2"},"id":"13"}],
        "paging":{"next":{"after":"14","link":"l"}},"total":9}"#;

    #[test]
    fn values_are_found_in_any_order() {
        let layout = Layout::new(["c", "a", "b", "a", "zz"]);
        let page = Page::read(Bytes::from(ANSWER), &layout).expect("a page");
        assert_eq!(page.next, Some(PageCursor("14".to_owned())));
        assert_eq!(page.ids(), [ObjectId(12), ObjectId(13)]);
        let property = |index: usize, name: &str| page.row(index).property(layout.slot(name).expect("a slot"));
        assert_eq!((property(0, "a"), property(0, "b"), property(0, "c")), ("\"1\"", "", "\"é\\ud800\""));
        assert_eq!((property(1, "a"), property(1, "b"), property(1, "c")), ("\"2\"", "", "\"3\""));
        assert_eq!(property(0, "zz"), "");
        assert_eq!(page.row(0).updated_at(), "\"2026-01-02T00:00:00.5Z\"");
        assert_eq!((page.row(0).archived(), page.row(1).archived()), (false, true));
        assert_eq!((page.row(0).archived_at(), page.row(1).created_at()), ("", ""));
    }

    #[test]
    fn answers_of_another_shape_are_refused() {
        for body in ["", "<html>", "{}", "[]", r#"{"results":5}"#, r#"{"results":[{}]}"#, r#"{"results":[]} x"#] {
            assert!(Page::read(Bytes::from(body), &Layout::new([])).is_err(), "{body}");
        }
        assert_eq!(
            Page::read(Bytes::from(r#"{"results":[],"paging":null}"#), &Layout::new([])).expect("a page").len(),
            0
        );
    }
}
