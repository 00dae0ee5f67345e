//! The way out of extraction: records get their tail, and checkpoints their place.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::extraction::cache::Cache;
use crate::extraction::encode::block::{EncodedBlock, EncodedRows};
use crate::extraction::encode::record::UnparsedCounts;
use crate::extraction::encode::stamp::{ExtractionType, Stamp};
use crate::extraction::error::ExtractError;
use crate::extraction::event::{Extracted, PageCounter, Records, Sink};
use crate::extraction::plan::columns::ObjectColumns;
use crate::extraction::summary::SummaryHandle;
use crate::property::Kind;
use crate::state::State;

/// Where the records of a run go, and what they are stamped with.
#[derive(Debug)]
pub(crate) struct Emitter<'s> {
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
pub(crate) struct RecordMeta {
    /// `full`, `incremental` or `sweep`.
    pub(crate) extraction_type: ExtractionType,
    /// The streams' version.
    pub(crate) version: i64,
}

impl<'s> Emitter<'s> {
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
    pub(crate) fn generation(&self, stream: &str) -> Option<u64> {
        self.cache.as_ref()?.generation(stream)
    }

    pub(crate) async fn send(&self, extracted: Extracted) -> Result<(), ExtractError> {
        self.sink.send(extracted).await.map_err(|_| ExtractError::OutputClosed)
    }

    /// Yields the state as it is. Callers say why it is safe.
    pub(crate) async fn checkpoint(&self) -> Result<(), ExtractError> {
        if let Some(cache) = &self.cache {
            cache.commit()?;
        }
        self.summary.checkpoint(&self.state);
        self.send(Extracted::Checkpoint(self.state.clone())).await
    }

    /// Yields objects of a page and their associations.
    pub(crate) async fn write(
        &self,
        page: EncodedBlock,
        lead: &'static str,
        columns: Option<&ObjectColumns>,
        record_meta: RecordMeta,
    ) -> Result<(), ExtractError> {
        if let Some(cache) = &self.cache {
            for (id, entry) in page.cached {
                cache.put(lead, id, entry);
            }
        }
        let at = page.extracted_at;
        if let Some(columns) = columns {
            let extraction_type = columns.extraction_type.then_some(record_meta.extraction_type);
            let tail = self.stamp.object_tail(at, extraction_type, columns.page_number.then_some(page.page_number));
            self.write_records(columns.stream, page.objects, tail, at, record_meta.version).await?;
        }
        let tail = self.stamp.tail(at);
        self.write_records("ticket_associations", page.associations, tail, at, record_meta.version).await
    }

    async fn write_records(
        &self,
        stream: &'static str,
        encoded: EncodedRows,
        tail: Vec<u8>,
        extracted_at: DateTime<Utc>,
        version: i64,
    ) -> Result<(), ExtractError> {
        let EncodedRows { bodies, ends, tombstones } = encoded;
        if ends.is_empty() {
            return Ok(());
        }
        let count = u64::try_from(ends.len()).unwrap_or(u64::MAX);
        self.send(Extracted::Records(Records { stream, bodies, ends, tail, version, extracted_at })).await?;
        self.summary.update(stream, |stream| {
            stream.records += count;
            stream.tombstones += tombstones;
        });
        Ok(())
    }

    /// Counts values that did not fit; warns once per property per run.
    pub(crate) fn report_unparsed(&self, columns: Option<&ObjectColumns>, unparsed_counts: &UnparsedCounts) {
        let Some(columns) = columns else { return };
        for (column, count) in columns.properties.iter().zip(unparsed_counts).filter(|(_, count)| **count > 0) {
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
