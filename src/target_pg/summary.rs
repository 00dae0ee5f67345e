//! What a run did, for people and for programs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::batch::Batch;
use super::load::LoadOutcome;
use crate::log;

/// Counts of a run.
#[derive(Debug, Default)]
pub(super) struct LoadSummary {
    /// Records by stream.
    records: BTreeMap<String, u64>,
    batches: u64,
    deactivated: u64,
    /// The time that the database took.
    loading: Duration,
}

impl LoadSummary {
    /// Counts a batch that is committed.
    pub(super) fn count(&mut self, batch: &Batch, loaded: &LoadOutcome, elapsed: Duration) {
        for rows in &batch.streams {
            *self.records.entry(rows.plan.stream.clone()).or_default() += rows.records;
        }
        self.batches += 1;
        self.deactivated += loaded.deactivated;
        self.loading += elapsed;
    }

    /// Tells all of it in the log.
    pub(super) fn report(&self, elapsed: Duration, succeeded: bool) {
        for (stream, records) in &self.records {
            tracing::info!("{stream}: {records} records loaded");
            log::metric("counter", "record_count", &(*records).into(), &json!({"stream": stream}));
        }
        if self.deactivated > 0 {
            tracing::info!("{} rows of earlier versions marked as deleted, or deleted", self.deactivated);
        }
        let records: u64 = self.records.values().sum();
        let (loading, seconds) = (self.loading.as_secs_f64(), elapsed.as_secs_f64());
        tracing::info!("{records} records in {} batches, {loading:.3} s of {seconds:.3} s in Postgres", self.batches);
        log::metric("timer", "batch_processing_time", &loading.into(), &json!({"batches": self.batches}));
        let status = if succeeded { "succeeded" } else { "failed" };
        log::metric("timer", "sync_duration", &seconds.into(), &json!({"status": status}));
    }
}
