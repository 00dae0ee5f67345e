//! The way out of extraction: records get their tail, and checkpoints their place.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};

use super::cache::Cache;
use super::chunk::{Completed, Encoded};
use super::encoder::Misfits;
use super::plan::ObjectColumns;
use super::stamp::Stamp;
use super::summary::SummaryHandle;
use super::{ExtractError, Records, Sink, Yield};
use crate::property::Kind;
use crate::state::State;

/// Where the records of a run go, and what they are stamped with.
#[derive(Debug)]
pub(super) struct Output<'s> {
    pub(super) stamp: &'s Stamp,
    pub(super) sink: &'s Sink,
    pub(super) summary: &'s SummaryHandle,
    pub(super) state: State,
    /// Whether `sync_audit` is selected.
    pub(super) audited: bool,
    pub(super) cache: Option<Arc<Cache>>,
    /// Whether the cache holds every row that the target has of the stream being read.
    pub(super) cache_complete: bool,
    /// Pages read in this run.
    pub(super) pages: PageCounter,
}

/// Numbers the pages of a run, from one on.
#[derive(Debug, Clone, Default)]
pub(super) struct PageCounter(Arc<AtomicU64>);

/// What the records of one reading have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// `full`, `incremental` or `sweep`.
    pub(super) extraction_type: &'static str,
    /// The streams' version.
    pub(super) version: i64,
}

impl PageCounter {
    pub(super) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl<'s> Output<'s> {
    pub(super) fn new(
        stamp: &'s Stamp,
        sink: &'s Sink,
        summary: &'s SummaryHandle,
        state: State,
        audited: bool,
        cache: Option<Arc<Cache>>,
    ) -> Self {
        Self { stamp, sink, summary, state, audited, cache, cache_complete: false, pages: PageCounter::default() }
    }

    /// Which filling of the row cache the entries of a stream belong to.
    pub(super) fn filling(&self, stream: &str) -> Option<u64> {
        self.cache.as_ref()?.filling(stream)
    }

    pub(super) async fn send(&self, yielded: Yield) -> Result<(), ExtractError> {
        self.sink.send(yielded).await.map_err(|_| ExtractError::OutputClosed)
    }

    /// Yields the state as it is. Callers say why it is safe.
    pub(super) async fn checkpoint(&self) -> Result<(), ExtractError> {
        if let Some(cache) = &self.cache {
            cache.commit()?;
        }
        self.summary.checkpoint(&self.state);
        self.send(Yield::Checkpoint(self.state.clone())).await
    }

    /// Yields objects of a page and their associations.
    pub(super) async fn write(
        &self,
        page: Completed,
        lead: &'static str,
        columns: Option<&ObjectColumns>,
        reading: Reading,
    ) -> Result<(), ExtractError> {
        if let Some(cache) = &self.cache {
            for (id, entry) in page.cached {
                cache.put(lead, id, entry);
            }
        }
        let at = page.extracted_at;
        if let Some(columns) = columns {
            let extraction_type = columns.extraction_type.then_some(reading.extraction_type);
            let tail = self.stamp.object_tail(at, extraction_type, columns.page_number.then_some(page.page_number));
            self.write_records(columns.stream, page.objects, tail, at, reading.version).await?;
        }
        let tail = self.stamp.tail(at);
        self.write_records("ticket_associations", page.associations, tail, at, reading.version).await
    }

    async fn write_records(
        &self,
        stream: &'static str,
        encoded: Encoded,
        tail: Vec<u8>,
        extracted_at: DateTime<Utc>,
        version: i64,
    ) -> Result<(), ExtractError> {
        let Encoded { bodies, ends, tombstones } = encoded;
        if ends.is_empty() {
            return Ok(());
        }
        let count = u64::try_from(ends.len()).unwrap_or(u64::MAX);
        self.send(Yield::Records(Records { stream, bodies, ends, tail, version, extracted_at })).await?;
        self.summary.update(stream, |stream| {
            stream.records += count;
            stream.tombstones += tombstones;
        });
        Ok(())
    }

    /// Counts values that did not fit; each property is said once a run.
    pub(super) fn count_misfits(&self, columns: Option<&ObjectColumns>, misfits: &Misfits) {
        let Some(columns) = columns else { return };
        for (column, count) in columns.properties.iter().zip(misfits).filter(|(_, count)| **count > 0) {
            self.summary.update(columns.stream, |stream| {
                let known = stream.unparsed.entry(column.property.clone()).or_insert_with(|| {
                    tracing::warn!(
                        "property {} of {} holds values that {}; their text stands in _unparsed",
                        column.property,
                        columns.stream,
                        match column.kind {
                            Kind::Decimal => "a double and numeric(38,9) cannot hold exactly, or no numbers".to_owned(),
                            kind => format!("are no {}", kind.remembered().unwrap_or("text")),
                        }
                    );
                    0
                });
                *known += count;
            });
        }
    }
}
