//! The way out of extraction: records get their tail, and checkpoints their place.
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::extraction::cache::Cache;
use crate::extraction::encode::block::{Completed, Encoded};
use crate::extraction::encode::record::Misfits;
use crate::extraction::encode::stamp::Stamp;
use crate::extraction::error::ExtractError;
use crate::extraction::event::{PageCounter, Records, Sink, Yield};
use crate::extraction::plan::columns::ObjectColumns;
use crate::extraction::summary::SummaryHandle;
use crate::property::Kind;
use crate::state::State;

/// Where the records of a run go, and what they are stamped with.
#[derive(Debug)]
pub(crate) struct Output<'s> {
    pub(crate) stamp: &'s Stamp,
    pub(crate) sink: &'s Sink,
    pub(crate) summary: &'s SummaryHandle,
    pub(crate) state: State,
    /// Whether `sync_audit` is selected.
    pub(crate) audited: bool,
    pub(crate) cache: Option<Arc<Cache>>,
    /// Whether the cache holds every row that the target has of the stream being read.
    pub(crate) cache_complete: bool,
    /// Pages read in this run.
    pub(crate) pages: PageCounter,
}

/// What the records of one reading have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// `full`, `incremental` or `sweep`.
    pub(crate) extraction_type: &'static str,
    /// The streams' version.
    pub(crate) version: i64,
}

impl<'s> Output<'s> {
    pub(crate) fn new(
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
    pub(crate) fn filling(&self, stream: &str) -> Option<u64> {
        self.cache.as_ref()?.filling(stream)
    }

    pub(crate) async fn send(&self, yielded: Yield) -> Result<(), ExtractError> {
        self.sink.send(yielded).await.map_err(|_| ExtractError::OutputClosed)
    }

    /// Yields the state as it is. Callers say why it is safe.
    pub(crate) async fn checkpoint(&self) -> Result<(), ExtractError> {
        if let Some(cache) = &self.cache {
            cache.commit()?;
        }
        self.summary.checkpoint(&self.state);
        self.send(Yield::Checkpoint(self.state.clone())).await
    }

    /// Yields objects of a page and their associations.
    pub(crate) async fn write(
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
    pub(crate) fn count_misfits(&self, columns: Option<&ObjectColumns>, misfits: &Misfits) {
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
