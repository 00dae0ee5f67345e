//! A page of objects: read once, kept as the tokens of the values that are wanted.

use std::collections::HashMap;

use bytes::Bytes;
use bytestring::ByteString;
use serde::de::DeserializeSeed;

use crate::client::{Buffer, MAX_BATCH, Malformed, ObjectId, PageCursor};
use crate::extraction::read::layout::Layout;
use crate::extraction::read::parse::{ARCHIVED_AT, AnswerSeed, CREATED_AT, FIXED, ParsedRows, UPDATED_AT};

/// Records of one answer. Names, nulls and what is not wanted are left behind, so that a page that waits takes little.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// Tokens of values, record by record, slot by slot; none for null.
    text: ByteString,
    /// Where each of them ends.
    ends: Vec<u32>,
    stride: usize,
    ids: Vec<ObjectId>,
    archived: Vec<bool>,
    /// The next page's cursor; none at the end.
    pub(crate) next: Option<PageCursor>,
    /// Records that the answer says there are none of.
    pub(crate) absent: Vec<ObjectId>,
    /// Records that came without the object of their values.
    pub(crate) bare: Vec<ObjectId>,
    /// The bytes of the answer.
    pub(crate) received: usize,
}

/// One record of a page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'p> {
    page: &'p Page,
    index: usize,
}

impl Page {
    /// Reads an answer of a list or a batch read.
    ///
    /// # Errors
    /// When it is not JSON, has no `results`, or a record has no id.
    pub(crate) fn read(body: Bytes, layout: &Layout) -> Result<Self, Malformed> {
        let text = String::from_utf8_lossy(&body);
        if u32::try_from(text.len()).is_err() {
            return Err(Malformed::new("it passes 4 GiB"));
        }
        let stride = layout.slots.len() + FIXED;
        let mut rows = ParsedRows {
            layout,
            base: text.as_ptr().addr(),
            ids: Vec::with_capacity(MAX_BATCH),
            archived: Vec::with_capacity(MAX_BATCH),
            spans: Vec::with_capacity(MAX_BATCH * stride),
            absent: Vec::new(),
            bare: Vec::new(),
        };
        let mut deserializer = serde_json::Deserializer::from_str(&text);
        let next = AnswerSeed(&mut rows)
            .deserialize(&mut deserializer)
            .and_then(|next| deserializer.end().map(|()| next))
            .map_err(|error| Malformed::json(&error))?;
        let ParsedRows { ids, archived, spans, absent, bare, .. } = rows;
        let tokens = spans.iter().map(|span| &text[span.begin as usize..][..span.length as usize]);
        let (text, ends) = concatenate(tokens.map(|token| if token == "null" { "" } else { token }));
        let (next, received) = (next.map(PageCursor), body.len());
        Ok(Self { text, ends, stride, ids, archived, next, absent, bare, received })
    }

    /// A page of some of the records.
    pub(crate) fn pick(&self, rows: &[usize]) -> Self {
        let (text, ends) =
            concatenate(rows.iter().flat_map(|row| (0..self.stride).map(|slot| self.row(*row).token(slot))));
        Self {
            text,
            ends,
            stride: self.stride,
            ids: rows.iter().map(|row| self.ids[*row]).collect(),
            archived: rows.iter().map(|row| self.archived[*row]).collect(),
            next: self.next.clone(),
            absent: self.absent.clone(),
            bare: self.bare.clone(),
            received: self.received,
        }
    }

    /// Reads the answer that holds one record alone.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn read_one(body: &Bytes, layout: &Layout) -> Result<Self, Malformed> {
        Self::read(Bytes::from([b"{\"results\":[", &**body, b"]}"].concat()), layout)
    }

    /// The number of records.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// The ids, in the order of the records.
    pub(crate) fn ids(&self) -> &[ObjectId] {
        &self.ids
    }

    /// The records.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.ids.len()).map(|index| self.row(index))
    }

    /// One record.
    pub(crate) fn row(&self, index: usize) -> Row<'_> {
        Row { page: self, index }
    }

    /// Leaves out records by their id.
    pub(crate) fn retain(&mut self, keep: impl Fn(ObjectId) -> bool) {
        let kept: Vec<usize> = (0..self.len()).filter(|index| keep(self.ids[*index])).collect();
        if kept.len() < self.len() {
            *self = self.pick(&kept);
        }
    }

    /// One page of the records of several, in the order of `ids`; all of the same layout. It has no next page.
    pub(crate) fn gather(pages: &[Self], ids: &[ObjectId]) -> Option<Self> {
        let stride = pages.first()?.stride;
        let places: HashMap<ObjectId, usize> = ids.iter().enumerate().map(|(place, id)| (*id, place)).collect();
        let mut rows: Vec<Row<'_>> = pages.iter().flat_map(Self::rows).collect();
        rows.sort_by_key(|row| places.get(&row.id()).copied().unwrap_or(usize::MAX));
        rows.dedup_by_key(|row| row.id());
        let (text, ends) = concatenate(rows.iter().flat_map(|row| (0..stride).map(|slot| row.token(slot))));
        Some(Self {
            text,
            ends,
            stride,
            ids: rows.iter().map(|row| row.id()).collect(),
            archived: rows.iter().map(|row| row.archived()).collect(),
            next: None,
            absent: Vec::new(),
            bare: Vec::new(),
            received: pages.iter().map(|page| page.received).sum(),
        })
    }

    /// An empty page.
    pub(crate) fn empty(layout: &Layout) -> Self {
        let (text, ends) = concatenate(std::iter::empty());
        let stride = layout.slots.len() + FIXED;
        Self {
            text,
            ends,
            stride,
            ids: vec![],
            archived: vec![],
            next: None,
            absent: vec![],
            bare: vec![],
            received: 0,
        }
    }

    /// The bytes that the page holds.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len() + self.ends.len() * size_of::<u32>()
    }
}

/// Puts tokens one behind another; returns them, and where each ends.
fn concatenate<'t>(tokens: impl Iterator<Item = &'t str> + Clone) -> (ByteString, Vec<u32>) {
    let (count, length) = tokens.clone().fold((0, 0), |(count, length), token| (count + 1, length + token.len()));
    let (mut text, mut ends) = (Buffer::with_capacity(length), Vec::with_capacity(count));
    for token in tokens {
        text.extend_from_slice(token.as_bytes());
        ends.push(u32::try_from(text.len()).expect("less than the answer, whose length was checked"));
    }
    (ByteString::try_from(Bytes::from_owner(text)).expect("it was text before"), ends)
}

impl<'p> Row<'p> {
    pub(crate) fn id(self) -> ObjectId {
        self.page.ids[self.index]
    }

    pub(crate) fn archived(self) -> bool {
        self.page.archived[self.index]
    }

    /// The JSON token of `createdAt`; empty when absent or null, like all tokens here.
    pub(crate) fn created_at(self) -> &'p str {
        self.token(CREATED_AT)
    }

    pub(crate) fn updated_at(self) -> &'p str {
        self.token(UPDATED_AT)
    }

    pub(crate) fn archived_at(self) -> &'p str {
        self.token(ARCHIVED_AT)
    }

    /// The JSON token of the property in a slot of the layout.
    pub(crate) fn property(self, slot: usize) -> &'p str {
        self.token(FIXED + slot)
    }

    fn token(self, slot: usize) -> &'p str {
        let index = self.index * self.page.stride + slot;
        let begin = if index == 0 { 0 } else { self.page.ends[index - 1] };
        &self.page.text[begin as usize..self.page.ends[index] as usize]
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
    fn fields_that_no_row_depends_on_may_be_null_or_of_another_type() {
        let body = r#"{"results":[{"id":"1","properties":null,"archived":null,"createdAt":5},{"id":2,"archived":"no"},
            {"id":"3","properties":"none"},{"id":"4","properties":{}}],"paging":{"next":{"after":3}},"errors":[{"category":"OBJECT_NOT_FOUND","context":{"ids":["7",8]}},null,
            {"category":"INTERNAL_ERROR","context":{"ids":["9"]}}]}"#;
        let page = Page::read(Bytes::from(body), &Layout::new(["a"])).expect("a page");
        assert_eq!(page.ids(), [1, 2, 3, 4].map(ObjectId));
        assert_eq!(page.bare, [1, 2, 3].map(ObjectId));
        assert_eq!(page.absent, [ObjectId(7), ObjectId(8)]);
        assert_eq!(page.next, Some(PageCursor("3".to_owned())));
        assert_eq!(page.row(0).property(0), "");
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
