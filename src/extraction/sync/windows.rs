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

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::client::{ClientError, ObjectId, SearchPage};
use crate::extraction::cache::CacheView;
use crate::extraction::emit::{Emitter, RecordMeta};
use crate::extraction::encode::block::BlockEncoder;
use crate::extraction::encode::block::RowEncoder;
use crate::extraction::enrich::enriched::FilteredPage;
use crate::extraction::error::ExtractError;
use crate::extraction::read::batch::Accounted;
use crate::extraction::read::list::ObjectReader;
use crate::extraction::read::page::Page;
use crate::extraction::read::window::{Searcher, WindowRows};
use crate::extraction::sync::chunk::{CHUNK_RECORDS, CHUNKS_IN_FLIGHT};
use crate::extraction::sync::filter::RowFilter;

/// Rows of one window, so that a run that is interrupted has not far to go back.
const WINDOW_ROWS: u64 = 10_000;

/// Reads changes of one object type.
pub(crate) struct WindowSync<'c> {
    pub(crate) encoder: &'c Arc<RowEncoder>,
    pub(crate) reader: &'c Arc<ObjectReader>,
    pub(crate) searcher: &'c Searcher,
    pub(crate) filter: &'c RowFilter,
    pub(crate) record_meta: RecordMeta,
    /// With a cache: how far it can be trusted.
    pub(crate) cache_view: Option<CacheView>,
}

/// A window that was read and written.
pub(crate) struct WindowResult {
    /// Its end.
    pub(crate) until: DateTime<Utc>,
    /// Records that the search counted in it.
    pub(crate) expected: u64,
    pub(crate) duplicates: u64,
    /// Records that the search counted and did not give.
    pub(crate) missing: u64,
    /// What was written, with the modified instants it was written with.
    pub(crate) written: Vec<(ObjectId, Option<DateTime<Utc>>)>,
}

impl WindowSync<'_> {
    /// Reads and writes the first window from `since` on, given the search of everything from there to `until`.
    pub(crate) async fn next_window(
        &self,
        since: DateTime<Utc>,
        until: DateTime<Utc>,
        rest: SearchPage,
        emitter: &mut Emitter<'_>,
    ) -> Result<WindowResult, ExtractError> {
        let (end, first) = self.fit(since.timestamp_millis(), until.timestamp_millis(), rest).await?;
        let rows = self.searcher.read(since.timestamp_millis()..end, first).await?;
        let WindowRows { expected, duplicates, missing, .. } = rows;
        let is_new = |(id, at): &(&ObjectId, &Option<DateTime<Utc>>)| !self.filter.is_known(**id, **at);
        let ids: Vec<ObjectId> = rows.found.iter().filter(is_new).map(|(id, _)| *id).collect();
        let written = self.write(&ids, emitter).await?;
        let end = DateTime::from_timestamp_millis(end).unwrap_or(until).min(until);
        Ok(WindowResult { until: end, expected, duplicates, missing, written })
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
    pub(crate) async fn write(
        &self,
        ids: &[ObjectId],
        emitter: &mut Emitter<'_>,
    ) -> Result<Vec<(ObjectId, Option<DateTime<Utc>>)>, ExtractError> {
        let chunks: Vec<Vec<ObjectId>> = ids.chunks(CHUNK_RECORDS).map(<[_]>::to_vec).collect();
        let mut completed = stream::iter(chunks)
            .map(|ids| {
                let (encoder, reader) = (Arc::clone(self.encoder), Arc::clone(self.reader));
                let (filter, cache_view) = (self.filter.clone(), self.cache_view);
                async move {
                    let work = async move { read_and_enrich(&encoder, &reader, &ids, &filter, cache_view).await };
                    tokio::spawn(work).await.map_err(|panic| ExtractError::Worker(panic.to_string()))?
                }
            })
            .buffered(CHUNKS_IN_FLIGHT);
        let mut all = Vec::new();
        let columns = self.encoder.columns();
        while let Some((page_count, mut ready)) = completed.try_next().await? {
            emitter.summary.update(self.encoder.enricher.parent_stream, |stream| stream.pages += page_count);
            all.extend(ready.written());
            while let Some(block) = ready.next() {
                emitter.write(block, self.encoder.enricher.parent_stream, columns, self.record_meta).await?;
            }
            emitter.report_unparsed(columns, &ready.unparsed_counts);
        }
        Ok(all)
    }
}

/// Reads records by id and looks up all that they need; also tells how many pages they were.
async fn read_and_enrich(
    encoder: &Arc<RowEncoder>,
    reader: &ObjectReader,
    ids: &[ObjectId],
    filter: &RowFilter,
    cache_view: Option<CacheView>,
) -> Result<(u64, BlockEncoder), ExtractError> {
    let announcement = encoder.enricher.announce();
    let Accounted { pages, open, .. } = reader.batch().read(ids).await?;
    reader.leave_unread(open)?;
    let extracted_at = reader.client.server_now();
    let keep = |page: Page| {
        let rows = filter.rows(&page);
        encoder.enricher.filtered_page(page, rows, extracted_at, None)
    };
    let kept: Vec<FilteredPage> = pages.into_iter().map(keep).collect();
    let page_count = u64::try_from(kept.len()).unwrap_or(u64::MAX);
    Ok((page_count, encoder.enrich(kept, announcement, cache_view).await?))
}
