//! Windows of time, read by search: which records have a date in them, proved by the count.
//!
//! HubSpot's search sorts badly by date, lags behind changes, and gives no more than 10,000 rows by offset. So a window is
//! paged by ascending id, never by offset, and is whole only when as many ids were seen as the search counts afterwards.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::client::{Client, ClientError, ObjectId, ObjectType, SearchFilter, SearchPage};

/// A window with more rows is read in slices side by side.
const SLICE_ROWS: u64 = 2000;
/// Slices read at once: a search takes some 200 ms and five a second are allowed.
const SLICES_AT_ONCE: usize = 4;
/// Readings of a window before a shortfall stands. The waits between them double, since the index may catch up.
const READINGS: u32 = 3;
/// Ids lie below this; JSON numbers are exact up to it.
const MAX_ID: i64 = 1 << 53;

/// Searches one object type by one date property.
#[derive(Debug)]
pub(crate) struct Searcher {
    pub(crate) client: Arc<Client>,
    pub(crate) object_type: ObjectType,
    /// `hs_lastmodifieddate`, for contacts `lastmodifieddate`; or that of creation.
    pub(crate) property: &'static str,
}

/// What a window held.
#[derive(Debug, Default)]
pub(crate) struct WindowRows {
    /// Each record's modified instant as the index has it.
    pub(crate) found: BTreeMap<ObjectId, Option<DateTime<Utc>>>,
    /// Records that the search counted.
    pub(crate) expected: u64,
    /// Records that were found again.
    pub(crate) duplicates: u64,
    /// Records that the search counts and does not give, also when it is asked again.
    pub(crate) missing: u64,
}

/// Epoch milliseconds, the search's resolution; the end is not part of it.
type Millis = Range<i64>;

impl Searcher {
    /// The count of a window and its first page.
    pub(crate) async fn first(&self, window: &Range<DateTime<Utc>>) -> Result<SearchPage, ClientError> {
        self.count(&(window.start.timestamp_millis()..window.end.timestamp_millis())).await
    }

    /// The same, in the search's own resolution.
    pub(crate) async fn count(&self, window: &Millis) -> Result<SearchPage, ClientError> {
        self.page(window, 0).await
    }

    /// Reads a window whose first page is known.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub(crate) async fn read(&self, window: Millis, first: SearchPage) -> Result<WindowRows, ClientError> {
        let width = window.end - window.start;
        let slices = i64::try_from(first.total.div_ceil(SLICE_ROWS)).unwrap_or(i64::MAX).clamp(1, 64).min(width);
        if slices <= 1 {
            return self.read_slice(window, Some(first)).await;
        }
        let edge = |index: i64| {
            window.start + i64::try_from(i128::from(width) * i128::from(index) / i128::from(slices)).expect("inside")
        };
        let mut rows = WindowRows::default();
        let mut read = stream::iter((0..slices).map(|index| self.read_slice(edge(index)..edge(index + 1), None)))
            .buffer_unordered(SLICES_AT_ONCE);
        while let Some(slice) = read.try_next().await? {
            rows.expected += slice.expected;
            rows.duplicates += slice.duplicates;
            rows.missing += slice.missing;
            rows.add(slice.found);
        }
        Ok(rows)
    }

    /// Reads a slice until every id of the count was seen, or a last time.
    async fn read_slice(&self, slice: Millis, first: Option<SearchPage>) -> Result<WindowRows, ClientError> {
        let mut rows = WindowRows::default();
        let mut first = match first {
            Some(first) => Some(first),
            None => Some(self.count(&slice).await?),
        };
        for reading in 0..READINGS {
            if reading > 0 {
                tokio::time::sleep(self.client.retry_delay().saturating_mul(1 << (reading - 1))).await;
            }
            let single = first.as_ref().filter(|page| page.is_complete()).map(|page| page.total);
            for piece in halved(&slice, reading) {
                self.page_through(&piece, first.take(), &mut rows).await?;
            }
            // A single page tells its own count; of several, rows may have come and gone meanwhile.
            rows.expected = match single {
                Some(total) => total,
                None => self.count(&slice).await?.total,
            };
            rows.missing = rows.expected.saturating_sub(u64::try_from(rows.found.len()).unwrap_or(u64::MAX));
            if rows.missing == 0 {
                break;
            }
        }
        Ok(rows)
    }

    /// Reads pages by ascending id; where the search does not keep that order, ranges of ids that fit a page.
    async fn page_through(
        &self,
        piece: &Millis,
        first: Option<SearchPage>,
        rows: &mut WindowRows,
    ) -> Result<(), ClientError> {
        let mut bound = 0;
        let mut page = match first {
            Some(first) => first,
            None => self.page(piece, bound).await?,
        };
        loop {
            let ids = page.found.iter().map(|found| found.id);
            if !ids.clone().map(|id| id.0).fold((true, bound), |(so_far, last), id| (so_far && id > last, id)).0 {
                tracing::info!("the search does not keep the order of ids; reading ranges of ids");
                return self.read_id_ranges(piece, rows).await;
            }
            // The total is a hint: a full page, or one that names the next one, has more behind it.
            let is_last = !page.has_more;
            let last = page.found.last().map(|found| found.id);
            rows.add(page.found.iter().map(|found| (found.id, found.updated_at)));
            match last {
                Some(last) if !is_last => bound = last.0,
                _ => return Ok(()),
            }
            page = self.page(piece, bound).await?;
        }
    }

    /// Reads ranges of ids, each halved until its rows fit one page, so that no order matters.
    async fn read_id_ranges(&self, piece: &Millis, rows: &mut WindowRows) -> Result<(), ClientError> {
        let mut ranges: Vec<Range<i64>> = std::iter::once(0..MAX_ID).collect();
        while let Some(range) = ranges.pop() {
            let mut criteria = self.inside(piece).to_vec();
            criteria.push(SearchFilter::by_id("GTE", range.start));
            criteria.push(SearchFilter::by_id("LT", range.end));
            let page = self.client.search_objects(&self.object_type, &criteria).await?;
            if page.is_complete() || range.end - range.start <= 1 {
                rows.add(page.found.iter().map(|found| (found.id, found.updated_at)));
            } else {
                let middle = range.start + (range.end - range.start) / 2;
                ranges.extend([range.start..middle, middle..range.end]);
            }
        }
        Ok(())
    }

    async fn page(&self, window: &Millis, after: u64) -> Result<SearchPage, ClientError> {
        let mut criteria = self.inside(window).to_vec();
        if after > 0 {
            criteria.push(SearchFilter::by_id("GT", i64::try_from(after).unwrap_or(MAX_ID)));
        }
        self.client.search_objects(&self.object_type, &criteria).await
    }

    fn inside(&self, window: &Millis) -> [SearchFilter<'static>; 2] {
        let criterion = |operator, value| SearchFilter { property: self.property, operator, value };
        [criterion("GTE", window.start), criterion("LT", window.end)]
    }
}

impl WindowRows {
    fn add(&mut self, found: impl IntoIterator<Item = (ObjectId, Option<DateTime<Utc>>)>) {
        for (id, updated_at) in found {
            match self.found.entry(id) {
                Entry::Vacant(entry) => drop(entry.insert(updated_at)),
                Entry::Occupied(mut known) => {
                    self.duplicates += 1;
                    known.insert(updated_at.max(*known.get()));
                }
            }
        }
    }
}

/// The slice in two to the power of `times` parts.
fn halved(slice: &Millis, times: u32) -> Vec<Millis> {
    let parts = (1_i64 << times).min(slice.end - slice.start).max(1);
    let width = (slice.end - slice.start) / parts;
    (0..parts)
        .map(|index| {
            let end = if index + 1 == parts { slice.end } else { slice.start + width * (index + 1) };
            slice.start + width * index..end
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_cover_the_slice_and_do_not_overlap() {
        for (slice, times, parts) in [(0..10, 0, 1), (0..10, 1, 2), (5..18, 2, 4), (7..8, 2, 1), (7..9, 2, 2)] {
            let halves = halved(&slice, times);
            assert_eq!(halves.len(), parts);
            assert_eq!((halves[0].start, halves[parts - 1].end), (slice.start, slice.end));
            assert!(halves.windows(2).all(|pair| pair[0].end == pair[1].start && !pair[0].is_empty()));
        }
    }
}
