//! The ranges of ids in which a list is read side by side.
//!
//! A list ascends by id, and its cursor is documented as the id of the next record: any id is a cursor. So a list can be
//! read in several places at once, as many as it takes to use the budget:
//!
//! ```text
//!   ids ──▶   │ written ▒▒▒│░ gathered ░│   to be read   │▒▒▒░░│      │▒▒▒▒░│     no end ──▶
//!             └──────────── one range ─────────────────────┴── guess ────┴── guess
//! ```
//!
//! A cursor that HubSpot did not give is a guess, and no guess is believed: the first are held against a page that is
//! known, each range begins only with a first page that is sound, what that page has is held against the last page of the
//! range before it, and one that is not as it must be ends all reading side by side.
//! <https://developers.hubspot.com/docs/guides/api/crm/using-object-apis>

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::client::PageCursor;
use crate::extraction::error::ExtractError;
use crate::extraction::read::cuts::{UnreadSpan, missing_readers, widest_cut};
use crate::extraction::read::id_range::{IdRange, RangeCursor, RangePage};
use crate::extraction::read::list::ObjectReader;
use crate::extraction::read::memory::MemoryPermit;
use crate::extraction::read::page::Page;
use crate::extraction::read::prefetch::{PrefetchEvent, PrefetchTasks};
use crate::extraction::read::span::NO_END;
use crate::state::{List, ListPart};

/// Ranges that a pass opens at most.
const MAX_OPENED: usize = 64;
/// Pages before a guess is worth its proof.
const PAGES_BEFORE_PROOF: u64 = 2;
/// How long the budget's use is looked at.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(100);

/// The ranges of one list that are not written yet.
#[derive(Debug)]
pub(crate) struct Ranges {
    reader: Arc<ObjectReader>,
    list: List,
    readers: PrefetchTasks,
    /// In the order of their ids.
    ranges: Vec<IdRange>,
    /// Ranges whose first page has not come: number, first id.
    guesses: Vec<(u64, u64)>,
    cursor_support: CursorSupport,
    pages: u64,
    /// Ranges opened, and the number of the next one.
    opened: usize,
    next_number: u64,
    /// The budget's unused time when it was looked at last, and when that was.
    last_sample: (Duration, Instant),
    /// What was read behind this id is read again.
    rewound_to: Option<u64>,
}

/// Whether ids may be used as cursors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CursorSupport {
    Unknown,
    Probing,
    /// They may; about the greatest id.
    Supported(u64),
    Unsupported,
}

impl Ranges {
    /// Goes on with what is left of a list.
    pub(crate) fn begin(reader: &Arc<ObjectReader>, list: List, parts: impl Iterator<Item = ListPart>) -> Self {
        let readers = PrefetchTasks::new(Arc::clone(reader), list);
        let mut ranges: Vec<IdRange> = (0..).zip(parts).map(|(number, part)| IdRange::of(number, part)).collect();
        ranges.sort_by_key(|range| range.last_id);
        let (opened, next_number) = (ranges.len(), ranges.len() as u64);
        let last_sample = (reader.client.idle_time(), Instant::now());
        let (reader, guesses, cursor_support) = (Arc::clone(reader), Vec::new(), CursorSupport::Unknown);
        let rewound_to = None;
        let mut ranges = Self {
            reader,
            list,
            readers,
            ranges,
            guesses,
            cursor_support,
            pages: 0,
            opened,
            next_number,
            last_sample,
            rewound_to,
        };
        // The others begin when it is known that their cursors are good.
        ranges.begin_waiting();
        ranges
    }

    /// Whether all pages have been taken.
    pub(crate) fn are_read(&self) -> bool {
        self.ranges.iter().all(|range| range.is_read)
    }

    /// What is not written yet.
    pub(crate) fn parts(&self) -> impl Iterator<Item = ListPart> {
        self.ranges.iter().map(|range| range.unwritten.clone())
    }

    /// Whether what is held leaves no room for one more page.
    pub(crate) fn would_exceed_budget(&self, held_kib: usize) -> bool {
        self.readers.would_exceed_budget(held_kib)
    }

    /// The next page of any range. Nothing is lost when this is dropped before it is ready.
    pub(crate) async fn next(&mut self) -> Result<RangePage, ExtractError> {
        loop {
            let taken = match self.readers.next().await? {
                PrefetchEvent::Page { range, page, extracted_at, held } => self.take(range, page, extracted_at, held),
                PrefetchEvent::Failed { range, error }
                    if self.may_refuse(range) && error.status().is_some_and(is_refusal) =>
                {
                    self.fall_back_to_sequential("it refuses a cursor");
                    None
                }
                PrefetchEvent::Failed { error, .. } => return Err(error.into()),
                PrefetchEvent::Probed(Some(greatest)) => {
                    self.cursor_support = CursorSupport::Supported(greatest);
                    None
                }
                PrefetchEvent::Probed(None) => {
                    self.fall_back_to_sequential("the rest of a page is another one");
                    None
                }
            };
            self.open_ranges();
            if let Some(taken) = taken {
                return Ok(taken);
            }
        }
    }

    /// Notes that a page, and all that were taken before it, have been written; whether it counts: what was read of a
    /// closed range is read again.
    pub(crate) fn written(&mut self, advance: RangeCursor) -> bool {
        let Some(index) = self.ranges.iter().position(|range| range.number == advance.range) else { return false };
        let range = &mut self.ranges[index];
        // A range that lost its end goes on behind what was its last page.
        if advance.is_end && range.is_read {
            self.ranges.remove(index);
            return true;
        }
        range.unwritten.after = advance.cursor.map(|PageCursor(cursor)| cursor);
        range.unwritten.last_id = Some(advance.last_id);
        true
    }

    /// The id behind which everything is read again, once after that was decided.
    pub(crate) fn rewound_to(&mut self) -> Option<u64> {
        self.rewound_to.take()
    }

    fn take(&mut self, number: u64, page: Page, extracted_at: DateTime<Utc>, held: MemoryPermit) -> Option<RangePage> {
        if self.is_guess(number) && !self.open(number, &page) {
            return None;
        }
        // The page of a closed range, or one behind the end of its range.
        let index = self.ranges.iter().position(|range| range.number == number && !range.is_read)?;
        let are_several = self.ranges.len() > 1;
        if are_several && !self.ranges[index].continues_range(&page) {
            self.fall_back_to_sequential("a page is not the one that its cursor names");
            return None;
        }
        if !self.ranges[index].agrees_with_next(&page) {
            self.fall_back_to_sequential("a page left out a row behind its cursor");
            return None;
        }
        self.pages += 1;
        let mut is_refused = false;
        if self.cursor_support == CursorSupport::Unknown && (are_several || self.wants_ranges()) {
            is_refused = !self.ranges[index].is_as_documented(&page);
            if !is_refused {
                self.cursor_support = CursorSupport::Probing;
                self.readers.probe(page.ids());
            }
        }
        let taken = self.ranges[index].take(page, extracted_at, held);
        self.ranges[index].begin(&mut self.readers);
        if is_refused {
            self.fall_back_to_sequential("a page does not lead to the id behind its last one");
        }
        Some(taken)
    }

    /// Lets the range of a guess begin, if its first page is what it must be.
    fn open(&mut self, number: u64, page: &Page) -> bool {
        let index = self.guesses.iter().position(|(guess, _)| *guess == number).expect("a guess");
        let (_, first_id) = self.guesses.swap_remove(index);
        let parent = self.ranges.iter().position(|range| range.last_id < first_id && first_id < range.end());
        let Some(parent) = parent.filter(|parent| !self.ranges[*parent].is_read) else {
            // The range before it was faster.
            return false;
        };
        let mut range =
            IdRange::of(number, ListPart { list: self.list, after: None, last_id: Some(first_id - 1), until: None });
        let parent_end = self.ranges[parent].end();
        if parent_end == NO_END && page.len() == 0 && page.next.is_none() {
            // Nothing depends on it: the range before it has no end.
            self.cursor_support = CursorSupport::Supported(first_id - 1);
            return false;
        }
        if page.len() == 0 || !range.continues_range(page) {
            self.fall_back_to_sequential("a page is not the one that its cursor names");
            return false;
        }
        range.end = Arc::new(AtomicU64::new(parent_end));
        range.beyond = std::mem::replace(&mut self.ranges[parent].beyond, page.ids().to_vec());
        range.unwritten.after = Some(first_id.to_string());
        range.unwritten.until = Some(parent_end).filter(|end| *end != NO_END);
        self.ranges[parent].end.store(first_id, Ordering::Relaxed);
        self.ranges[parent].unwritten.until = Some(first_id);
        self.ranges.insert(parent + 1, range);
        true
    }

    /// Reads the rest in one sequence, from the first place on that was not read.
    fn fall_back_to_sequential(&mut self, reason: &str) {
        let are_several = self.ranges.len() + self.guesses.len() > 1;
        self.cursor_support = CursorSupport::Unsupported;
        if !are_several {
            tracing::debug!("the list does not take ids for cursors: {reason}");
            return;
        }
        tracing::info!(
            "the list is read in one sequence from here on, since it does not take ids for cursors: {reason}"
        );
        self.guesses.clear();
        self.ranges.truncate(1);
        self.readers.stop();
        if let Some(range) = self.ranges.first_mut() {
            range.make_open_ended();
            self.rewound_to = Some(range.last_id);
        }
        self.begin_waiting();
    }

    /// Opens as many ranges as it takes to use the budget.
    fn open_ranges(&mut self) {
        let CursorSupport::Supported(greatest) = self.cursor_support else { return };
        if self.readers_count() == 0 {
            self.begin_waiting();
        }
        for _ in 0..self.missing_readers() {
            if self.begin_waiting() {
                continue;
            }
            let Some(first_id) = self.middle_of_largest(greatest).filter(|_| self.opened < MAX_OPENED) else { return };
            let number = self.next_number;
            (self.next_number, self.opened) = (number + 1, self.opened + 1);
            tracing::debug!("reading from id {first_id} on, too: {} requests in flight", self.readers_count() + 1);
            self.guesses.push((number, first_id));
            self.readers.try_page(number, PageCursor(first_id.to_string()));
        }
    }

    /// Begins to read a range that is not read yet, if there is one.
    fn begin_waiting(&mut self) -> bool {
        let Self { ranges, readers, .. } = self;
        ranges.iter_mut().any(|range| range.begin(readers))
    }

    fn readers_count(&self) -> usize {
        self.ranges.iter().filter(|range| range.is_begun && !range.is_read).count() + self.guesses.len()
    }

    /// Whether one sequence is too slow for what is left, as far as that is known.
    fn wants_ranges(&mut self) -> bool {
        self.pages >= PAGES_BEFORE_PROOF && self.missing_readers() > 0
    }

    /// How many more requests in flight the budget has room for.
    fn missing_readers(&mut self) -> usize {
        let (unused_before, at) = self.last_sample;
        let (unused, elapsed) = (self.reader.client.idle_time(), at.elapsed());
        if elapsed < SAMPLE_INTERVAL {
            return 0;
        }
        self.last_sample = (unused, Instant::now());
        let part = unused.saturating_sub(unused_before).div_duration_f64(elapsed);
        match self.readers.is_idle() {
            true => missing_readers(self.readers_count(), part, self.readers.max_in_flight()),
            false => 0,
        }
    }

    /// Where the range with most pages left would be cut in two; none when it is not worth it.
    fn middle_of_largest(&self, greatest: u64) -> Option<u64> {
        let densest = self.ranges.iter().filter_map(|range| range.density).fold(0.0, f64::max);
        let spans = self.ranges.iter().filter(|range| !range.is_read).map(|range| UnreadSpan {
            from: range.last_id + 1,
            end: range.end().min(greatest.saturating_add(1)),
            pages_an_id: range.density.unwrap_or(densest) / f64::from(self.reader.page_size),
        });
        widest_cut(spans, self.guesses.iter().map(|(_, first_id)| *first_id).collect())
    }

    fn is_guess(&self, number: u64) -> bool {
        self.guesses.iter().any(|(guess, _)| *guess == number)
    }

    /// Whether a range begins at a cursor that need not be understood.
    fn may_refuse(&self, number: u64) -> bool {
        self.is_guess(number) || self.ranges.len() > 1
    }
}

/// Whether a status says that the request, a cursor that was guessed, is not understood.
fn is_refusal(status: u16) -> bool {
    (400..500).contains(&status) && !matches!(status, 401 | 403 | 408 | 423 | 429)
}
