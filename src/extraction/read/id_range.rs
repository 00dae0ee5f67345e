//! One of the ranges of ids in which a list is read, and what a page brings it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};

use crate::client::{ObjectId, PageCursor};
use crate::extraction::read::memory::MemoryPermit;
use crate::extraction::read::page::Page;
use crate::extraction::read::prefetch::PrefetchTasks;
use crate::extraction::read::span::{IdSpan, NO_END, is_at_or_past};
use crate::state::ListPart;

/// A range of ids of a list, and how far it is read.
#[derive(Debug)]
pub(crate) struct IdRange {
    pub(crate) number: u64,
    /// What is not written yet.
    pub(crate) unwritten: ListPart,
    /// Where the next page begins, and the greatest id before it.
    pub(crate) cursor: Option<PageCursor>,
    pub(crate) last_id: u64,
    /// Rows an id, as of the latest page: ids are handed out faster in some years than in others.
    pub(crate) density: Option<f64>,
    /// First id that belongs to the next range.
    pub(crate) end: Arc<AtomicU64>,
    /// What the first page of the next range has, where its cursor was a guess.
    pub(crate) beyond: Vec<ObjectId>,
    pub(crate) is_begun: bool,
    pub(crate) is_read: bool,
}

/// A page that is the next of its range, without the rows that belong to another one.
#[derive(Debug)]
pub(crate) struct RangePage {
    pub(crate) page: Page,
    pub(crate) extracted_at: DateTime<Utc>,
    pub(crate) held: MemoryPermit,
    pub(crate) advance: RangeCursor,
    /// The page does not keep the order of ids.
    pub(crate) disordered: bool,
}

/// How far a page brings its range.
#[derive(Debug)]
pub(crate) struct RangeCursor {
    pub(crate) range: u64,
    pub(crate) cursor: Option<PageCursor>,
    pub(crate) last_id: u64,
    pub(crate) is_end: bool,
    pub(crate) span: IdSpan,
}

impl IdRange {
    /// What is left of a list, as the state has it.
    pub(crate) fn of(number: u64, part: ListPart) -> Self {
        let last_id = part.last_id.unwrap_or(0);
        Self {
            number,
            cursor: part.after.clone().map(PageCursor),
            last_id,
            density: None,
            end: Arc::new(AtomicU64::new(part.until.unwrap_or(NO_END))),
            beyond: Vec::new(),
            unwritten: part,
            is_begun: false,
            is_read: false,
        }
    }

    /// The first id that belongs to the next range.
    pub(crate) fn end(&self) -> u64 {
        self.end.load(Ordering::Relaxed)
    }

    /// Begins to read what is left, unless that has been done or there is nothing.
    pub(crate) fn begin(&mut self, readers: &mut PrefetchTasks) -> bool {
        let begins = !self.is_begun && !self.is_read;
        if begins {
            self.is_begun = true;
            readers.read(self.number, self.cursor.clone(), Arc::clone(&self.end));
        }
        begins
    }

    /// Whether a page can be the next of a range among others: its ids ascend behind those before it, and it leads behind
    /// them, at least to the range's end.
    pub(crate) fn continues_range(&self, page: &Page) -> bool {
        let mut last_id = self.last_id;
        let ascends = page.ids().iter().all(|id| id.0 > std::mem::replace(&mut last_id, id.0));
        let leads = match &page.next {
            Some(next) => next.0.parse().is_ok_and(|next: u64| next > last_id),
            None => self.end() == NO_END || last_id >= self.end(),
        };
        ascends && leads
    }

    /// Whether a page that reaches into the next range shows no row that the first page of that one left out. What only
    /// the first page has may have been archived since.
    pub(crate) fn agrees_with_next(&self, page: &Page) -> bool {
        let Some(greatest) = self.beyond.last() else { return true };
        let end = self.end();
        page.ids().iter().filter(|id| id.0 >= end && *id <= greatest).all(|id| self.beyond.contains(id))
    }

    /// Whether a page leads to the id behind its last one.
    pub(crate) fn is_as_documented(&self, page: &Page) -> bool {
        let next = page.ids().last().map(|id| (id.0 + 1).to_string());
        page.len() > 1 && self.continues_range(page) && page.next.as_ref().map(|next| &next.0) == next.as_ref()
    }

    /// Takes the rows of a page up to the range's end.
    pub(crate) fn take(&mut self, mut page: Page, extracted_at: DateTime<Utc>, held: MemoryPermit) -> RangePage {
        let (begin, end) = (self.last_id, self.end());
        let mut disordered = false;
        for id in page.ids() {
            disordered |= id.0 <= self.last_id;
            self.last_id = self.last_id.max(id.0);
        }
        self.is_read = page.next.as_ref().is_none_or(|next| is_at_or_past(next, end));
        if let (Some(first), Some(last)) = (page.ids().first(), page.ids().last()) {
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let density = page.len() as f64 / last.0.abs_diff(first.0).max(1) as f64;
            self.density = Some(density);
        }
        if end != NO_END && self.last_id >= end {
            // Who goes on behind this range's end has to read the page again, for the rows that are left out here.
            page.retain(|id| id.0 < end);
            self.last_id = begin;
        } else {
            self.cursor.clone_from(&page.next);
        }
        let to = match (self.is_read, end) {
            (true, NO_END) => NO_END,
            (true, end) => end - 1,
            (false, _) => self.last_id,
        };
        let (cursor, last_id) = (self.cursor.clone(), self.last_id);
        let span = IdSpan { after: begin, last: to, rows: u64::try_from(page.len()).unwrap_or(u64::MAX) };
        let advance = RangeCursor { range: self.number, cursor, last_id, is_end: self.is_read, span };
        RangePage { page, extracted_at, held, advance, disordered }
    }

    /// Goes on to the list's end.
    pub(crate) fn make_open_ended(&mut self) {
        self.unwritten.until = None;
        self.beyond.clear();
        self.is_begun = false;
        self.is_read &= self.end() == NO_END;
        self.end = Arc::new(AtomicU64::new(NO_END));
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::FutureExt;
    use serde_json::json;

    use super::*;
    use crate::extraction::read::layout::Layout;
    use crate::extraction::read::memory::MemoryBudget;
    use crate::state::List;

    fn held() -> MemoryPermit {
        MemoryBudget::new().acquire().now_or_never().expect("free memory")
    }

    fn page(ids: &[u64], next: Option<&str>) -> Page {
        let results: Vec<_> = ids.iter().map(|id| json!({"id": id.to_string(), "properties": {}})).collect();
        let paging = next.map(|after| json!({"next": {"after": after}}));
        let body = json!({"results": results, "paging": paging}).to_string();
        Page::read(Bytes::from(body), &Layout::new(["subject"])).expect("a page")
    }

    fn range(last_id: u64, until: Option<u64>) -> IdRange {
        IdRange::of(0, ListPart { list: List::Live, after: None, last_id: Some(last_id), until })
    }

    #[test]
    fn a_page_continues_a_range_where_it_ascends_and_leads_on_or_ends_it() {
        // Greatest id before, end, ids, cursor; whether the page continues the range.
        for (last_id, until, ids, next, continues) in [
            (0, None, &[1, 2][..], Some("3"), true),
            (0, None, &[1, 2], Some("2"), false),
            (0, None, &[1, 2], Some("opaque"), false),
            (0, None, &[2, 1], Some("3"), false),
            (2, None, &[2, 3], Some("4"), false),
            (0, None, &[1, 2], None, true),
            (0, None, &[], None, true),
            (0, Some(9), &[1, 2], None, false),
            (0, Some(9), &[8, 10], None, true),
            (0, Some(9), &[8, 10], Some("11"), true),
        ] {
            let found = range(last_id, until).continues_range(&page(ids, next));
            assert_eq!(found, continues, "{last_id} {until:?} {ids:?} {next:?}");
        }
    }

    #[test]
    fn a_cursor_is_as_documented_where_it_is_the_id_behind_the_last_one() {
        for (ids, next, documented) in [
            (&[1, 2][..], Some("3"), true),
            (&[1, 2], Some("4"), false),
            (&[1], Some("2"), false),
            (&[1, 2], None, false),
        ] {
            assert_eq!(range(0, None).is_as_documented(&page(ids, next)), documented, "{ids:?} {next:?}");
        }
    }

    #[test]
    fn a_range_takes_the_rows_before_its_end_and_no_others() {
        // End, ids, cursor; rows taken, greatest id, whether the range is read, the last id of the span.
        for (until, ids, next, rows, last_id, is_read, last) in [
            (None, &[1, 2][..], Some("3"), 2, 2, false, 2),
            (None, &[1, 2], None, 2, 2, true, NO_END),
            (Some(9), &[1, 2], Some("3"), 2, 2, false, 2),
            (Some(9), &[7, 8], Some("9"), 2, 8, true, 8),
            (Some(9), &[8, 9, 10], Some("11"), 1, 0, true, 8),
        ] {
            let mut range = range(0, until);
            let taken = range.take(page(ids, next), DateTime::UNIX_EPOCH, held());
            let found = (taken.page.len(), range.last_id, range.is_read, taken.advance.span.last);
            assert_eq!(found, (rows, last_id, is_read, last), "{until:?} {ids:?} {next:?}");
        }
    }

    #[test]
    fn a_row_that_the_next_range_left_out_is_seen_where_a_page_reaches_so_far() {
        // Ids of the page that reaches beyond the end, 9; whether it agrees with 11, 13 and 15 as the next range's first.
        for (ids, agrees) in [
            (&[7, 8][..], true),
            (&[8, 11, 13], true),
            (&[8, 13], true),
            (&[8, 10, 11], false),
            (&[9], false),
            (&[8, 11, 14, 15], false),
            (&[11, 13, 15, 16], true),
        ] {
            let mut range = range(0, Some(9));
            assert!(range.agrees_with_next(&page(ids, None)), "{ids:?} without a guess");
            range.beyond = [11, 13, 15].map(ObjectId).to_vec();
            assert_eq!(range.agrees_with_next(&page(ids, None)), agrees, "{ids:?}");
        }
    }

    #[test]
    fn a_page_out_of_order_is_told() {
        assert!(range(0, None).take(page(&[2, 1], None), DateTime::UNIX_EPOCH, held()).disordered);
        assert!(!range(0, None).take(page(&[1, 2], None), DateTime::UNIX_EPOCH, held()).disordered);
    }
}
