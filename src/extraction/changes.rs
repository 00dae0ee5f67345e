//! What changed: windows of the modified date by search, their records by batch read.
//!
//! ```text
//!          since                      the bookmark        until = HubSpot's clock
//!   ─────────┼───── lookback ─────────────┼──────────────────┼───▶ time
//!            │  window  │  window  │  window  │    window    │
//! ```
//!
//! Each window is closed: its end lies in the past. The bookmark moves to the end of each window that was found whole; the
//! next run reads `lookback` again, since the index may learn of a change later.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::ExtractError;
use super::batch::Accounted;
use super::cache::Trust;
use super::chunk::{Kept, Ready, Turn, Workshop};
use super::list::Reader;
use super::output::{Output, Reading};
use super::page::Page;
use super::pass::{CHUNK_RECORDS, CHUNKS_IN_FLIGHT, Filter};
use super::window::{Searcher, WindowRows};
use crate::client::{ClientError, ObjectId, SearchPage};

/// Rows of one window, so that a run that is interrupted has not far to go back.
const WINDOW_ROWS: u64 = 10_000;

/// Reads changes of one object type.
pub(super) struct Changes<'c> {
    pub(super) workshop: &'c Arc<Workshop>,
    pub(super) reader: &'c Arc<Reader>,
    pub(super) searcher: &'c Searcher,
    pub(super) filter: &'c Filter,
    pub(super) reading: Reading,
    /// With a cache: how far it can be trusted.
    pub(super) trust: Option<Trust>,
}

/// A window that was read and written.
pub(super) struct Window {
    /// Its end.
    pub(super) until: DateTime<Utc>,
    /// Records that the search counted in it.
    pub(super) expected: u64,
    pub(super) duplicates: u64,
    /// Records that the search counted and did not give.
    pub(super) missing: u64,
    /// What was written, with the modified instants it was written with.
    pub(super) written: Vec<(ObjectId, Option<DateTime<Utc>>)>,
}

impl Changes<'_> {
    /// Reads and writes the first window from `since` on, given the search of everything from there to `until`.
    pub(super) async fn next_window(
        &self,
        since: DateTime<Utc>,
        until: DateTime<Utc>,
        rest: SearchPage,
        output: &mut Output<'_>,
    ) -> Result<Window, ExtractError> {
        let (end, first) = self.fit(since.timestamp_millis(), until.timestamp_millis(), rest).await?;
        let rows = self.searcher.read(since.timestamp_millis()..end, first).await?;
        let WindowRows { expected, duplicates, missing, .. } = rows;
        let is_new = |(id, at): &(&ObjectId, &Option<DateTime<Utc>>)| !self.filter.is_known(**id, **at);
        let ids: Vec<ObjectId> = rows.found.iter().filter(is_new).map(|(id, _)| *id).collect();
        let written = self.write(&ids, output).await?;
        let end = DateTime::from_timestamp_millis(end).unwrap_or(until).min(until);
        Ok(Window { until: end, expected, duplicates, missing, written })
    }

    /// The end of a window that is not too large, guessed from the mean density, and its search.
    async fn fit(&self, since: i64, until: i64, rest: SearchPage) -> Result<(i64, SearchPage), ClientError> {
        let (mut end, mut search) = (until, rest);
        while search.total > WINDOW_ROWS && end - since > 1 {
            let width = i128::from(end - since) * i128::from(WINDOW_ROWS) * 4 / 5 / i128::from(search.total);
            end = since + i64::try_from(width).expect("smaller than before").max(1);
            search = self.searcher.count(&(since..end)).await?;
        }
        Ok((end, search))
    }

    /// Reads records by id and writes those that the filter admits; tells which it wrote.
    pub(super) async fn write(
        &self,
        ids: &[ObjectId],
        output: &mut Output<'_>,
    ) -> Result<Vec<(ObjectId, Option<DateTime<Utc>>)>, ExtractError> {
        let chunks: Vec<Vec<ObjectId>> = ids.chunks(CHUNK_RECORDS).map(<[_]>::to_vec).collect();
        let mut completed = stream::iter(chunks)
            .map(|ids| {
                let (workshop, reader) = (Arc::clone(self.workshop), Arc::clone(self.reader));
                let (filter, trust) = (self.filter.clone(), self.trust);
                async move {
                    let work = async move { complete(&workshop, &reader, &ids, &filter, trust).await };
                    tokio::spawn(work).await.map_err(|panic| ExtractError::Worker(panic.to_string()))?
                }
            })
            .buffered(CHUNKS_IN_FLIGHT);
        let mut all = Vec::new();
        let columns = self.workshop.columns();
        while let Some((page_count, mut ready)) = completed.try_next().await? {
            output.summary.update(self.workshop.lead, |stream| stream.pages += page_count);
            all.extend(ready.written());
            while let Some(block) = ready.next() {
                output.write(block, self.workshop.lead, columns, self.reading).await?;
            }
            output.count_misfits(columns, &ready.misfits);
        }
        Ok(all)
    }
}

/// Reads records by id and looks up all that they need; also tells how many pages they were.
async fn complete(
    workshop: &Arc<Workshop>,
    reader: &Reader,
    ids: &[ObjectId],
    filter: &Filter,
    trust: Option<Trust>,
) -> Result<(u64, Ready), ExtractError> {
    let Accounted { pages, open, .. } = reader.batch().read(ids).await?;
    reader.leave_unread(open)?;
    let extracted_at = reader.client.server_now();
    let keep = |page: Page| {
        let rows = filter.rows(&page);
        workshop.keep(page, rows, extracted_at, None)
    };
    let kept: Vec<Kept> = pages.into_iter().map(keep).collect();
    let page_count = u64::try_from(kept.len()).unwrap_or(u64::MAX);
    Ok((page_count, workshop.complete(kept, Turn::ALONE, trust).await?))
}

/// The time that the next run reads again, and how many of its rows the state may name.
pub(super) struct Lookback {
    pub(super) time: Range<DateTime<Utc>>,
    pub(super) most_rows: usize,
}

impl Lookback {
    /// The same from another instant on.
    pub(super) fn from(self, start: DateTime<Utc>) -> Self {
        Self { time: start..self.time.end, ..self }
    }
}

/// Keeps the rows that the next run will find again in its lookback, or none if they are too many to keep. What was
/// written without a modified instant, such as a tombstone, is known no more.
pub(super) fn keep_recent(
    recent: &mut BTreeMap<u64, i64>,
    written: &[(ObjectId, Option<DateTime<Utc>>)],
    lookback: &Lookback,
) {
    for (id, at) in written {
        match at.filter(|at| lookback.time.contains(at)) {
            Some(at) => drop(recent.insert(id.0, at.timestamp_millis())),
            None => drop(recent.remove(&id.0)),
        }
    }
    recent.retain(|_, at| *at >= lookback.time.start.timestamp_millis());
    if recent.len() > lookback.most_rows {
        recent.clear();
    }
}
