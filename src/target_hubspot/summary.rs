//! What a run did, for people and for programs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::write_step::WriteAction;
use crate::client::CallStatsSnapshot;
use crate::log;

/// Counts of one stream.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) created: u64,
    pub(super) updated: u64,
    pub(super) unchanged: u64,
    pub(super) associated: u64,
    pub(super) rejected: u64,
    /// Lines that were merged with a later line of the same record.
    pub(super) deduplicated: u64,
    /// Deleted records, which the target never deletes.
    pub(super) archived: u64,
}

/// Counts of a run.
#[derive(Debug, Default)]
pub(super) struct DeliverySummary {
    pub(super) streams: BTreeMap<String, Counts>,
    /// Lines of records that were read, whether or not they have an outcome yet.
    pub(super) read: u64,
    pub(super) activate_versions: u64,
    pub(super) left_out: u64,
    /// The message of the first rejection.
    pub(super) first_rejection: Option<String>,
    /// By stream and field: lines written whose field could refer to a record and is empty.
    pub(super) empty_references: BTreeMap<(String, String), u64>,
    /// Lines that are still deferred when the run ends.
    pub(super) deferred: u64,
}

impl Counts {
    pub(super) fn count_of(&mut self, action: WriteAction) -> &mut u64 {
        match action {
            WriteAction::Created => &mut self.created,
            WriteAction::Updated => &mut self.updated,
            WriteAction::Unchanged => &mut self.unchanged,
        }
    }

    fn records(&self) -> u64 {
        let Self { created, updated, unchanged, rejected, deduplicated, archived, associated: _ } = *self;
        created + updated + unchanged + rejected + deduplicated + archived
    }
}

impl DeliverySummary {
    pub(super) fn of(&mut self, stream: &str) -> &mut Counts {
        self.streams.entry(stream.to_owned()).or_default()
    }

    pub(super) fn count(&mut self, stream: &str, action: WriteAction) {
        *self.of(stream).count_of(action) += 1;
    }

    /// Lines of records so far.
    pub(super) fn records(&self) -> u64 {
        self.streams.values().map(Counts::records).sum()
    }

    pub(super) fn rejected(&self) -> u64 {
        self.streams.values().map(|counts| counts.rejected).sum()
    }

    /// Logs all counts.
    pub(super) fn report(&self, tally: &CallStatsSnapshot, elapsed: Duration, dry: bool) {
        for (stream, counts) in &self.streams {
            let Counts { created, updated, unchanged, associated, rejected, deduplicated, archived } = *counts;
            let would = if dry { "would be " } else { "" };
            let mut line = format!(
                "{stream}: {would}{created} created, {updated} updated, {unchanged} unchanged, {associated} associated, \
                 {rejected} rejected"
            );
            for (count, what) in [(deduplicated, "joined with a later line"), (archived, "deleted ones ignored")] {
                if count > 0 {
                    line.push_str(&format!(", {count} {what}"));
                }
            }
            tracing::info!("{line}");
            let records = counts.records();
            log::metric("counter", "record_count", &records.into(), &json!({"stream": stream}));
        }
        for ((stream, field), lines) in &self.empty_references {
            tracing::warn!(
                "{stream}: {lines} records have no {field} and are written without it; name {field} under required of the \
                 stream to reject such new records"
            );
        }
        if self.deferred > 0 {
            tracing::warn!(
                "{} lines are not delivered: what they refer to had not come when the run ended; deliver again from the \
                 last STATE",
                self.deferred
            );
        }
        if self.activate_versions > 0 {
            tracing::info!("{} ACTIVATE_VERSION messages ignored: this target never deletes", self.activate_versions);
        }
        if self.left_out > 0 {
            tracing::info!("{} records of streams that the config leaves out", self.left_out);
        }
        let calls: Vec<String> =
            tally.calls.iter().map(|(endpoint, count)| format!("{} {count}", endpoint.label())).collect();
        tracing::info!(
            "{} calls ({}), {} retried, {} rate limited, in {:.3} s",
            tally.total,
            calls.join(", "),
            tally.retries,
            tally.rate_limited,
            elapsed.as_secs_f64(),
        );
    }
}
