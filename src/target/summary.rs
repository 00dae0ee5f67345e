//! What a run did, for people and for programs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::chunk::How;
use crate::client::Tally;

/// Counts of one stream.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) created: u64,
    pub(super) updated: u64,
    pub(super) unchanged: u64,
    pub(super) associated: u64,
    pub(super) rejected: u64,
    /// Lines that a later line of the same record was joined with.
    pub(super) joined: u64,
    /// Deleted records, which the target never deletes.
    pub(super) archived: u64,
}

/// Counts of a run.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) streams: BTreeMap<String, Counts>,
    pub(super) activate_versions: u64,
    pub(super) left_out: u64,
    /// The first rejection, in words.
    pub(super) first_rejection: Option<String>,
}

impl Summary {
    pub(super) fn of(&mut self, stream: &str) -> &mut Counts {
        self.streams.entry(stream.to_owned()).or_default()
    }

    pub(super) fn count(&mut self, stream: &str, how: How) {
        let counts = self.of(stream);
        match how {
            How::Created => counts.created += 1,
            How::Updated => counts.updated += 1,
            How::Unchanged => counts.unchanged += 1,
        }
    }

    pub(super) fn rejected(&self) -> u64 {
        self.streams.values().map(|counts| counts.rejected).sum()
    }

    /// Tells all of it in the log.
    pub(super) fn report(&self, tally: &Tally, elapsed: Duration, dry: bool) {
        for (stream, counts) in &self.streams {
            let Counts { created, updated, unchanged, associated, rejected, joined, archived } = *counts;
            let would = if dry { "would be " } else { "" };
            let mut line = format!(
                "{stream}: {would}{created} created, {updated} updated, {unchanged} unchanged, {associated} associated, \
                 {rejected} rejected"
            );
            for (count, what) in [(joined, "joined with a later line"), (archived, "deleted ones ignored")] {
                if count > 0 {
                    line.push_str(&format!(", {count} {what}"));
                }
            }
            tracing::info!("{line}");
            let records = created + updated + unchanged + rejected + joined + archived;
            let metric =
                json!({"type": "counter", "metric": "record_count", "value": records, "tags": {"stream": stream}});
            tracing::info!("METRIC: {metric}");
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
