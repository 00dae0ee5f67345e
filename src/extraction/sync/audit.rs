//! What each part of a run expected and wrote: the stream `sync_audit`.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use crate::client::{Buffer, Client};
use crate::discovery::Field;
use crate::extraction::emit::Emitter;
use crate::extraction::encode::flat::push_record;
use crate::extraction::error::ExtractError;
use crate::extraction::event::{Extracted, Records};
use crate::extraction::summary::{Ending, PhaseKind, Reason, StreamSummary, SummaryHandle};
use crate::extraction::sync::windows::WindowResult;
use crate::property::format_instant;

/// A part of a run, while it is read.
#[derive(Debug)]
pub(crate) struct PhaseAudit {
    stream: &'static str,
    kind: PhaseKind,
    started_at: DateTime<Utc>,
    calls: u64,
    before: StreamSummary,
    pub(crate) expected: Option<u64>,
    pub(crate) duplicates: u64,
}

/// The parts of a run.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    rows: Vec<Map<String, Value>>,
}

impl PhaseAudit {
    /// Begins a part of a stream.
    pub(crate) fn begin(stream: &'static str, kind: PhaseKind, client: &Client, summary: &SummaryHandle) -> Self {
        let started_at = client.server_now();
        summary.begin_phase(stream, kind, started_at);
        Self {
            stream,
            kind,
            started_at,
            calls: client.call_stats().snapshot().total,
            before: summary.stream(stream),
            expected: None,
            duplicates: 0,
        }
    }

    /// Counts a window that was read.
    pub(crate) fn add(&mut self, window: &WindowResult) {
        self.expected = Some(self.expected.unwrap_or(0) + window.expected);
        self.duplicates += window.duplicates;
    }
}

impl Audit {
    /// Ends a part; `whole` when everything it is about was read, and if not why, or why it removes no row.
    pub(crate) fn end(
        &mut self,
        part: PhaseAudit,
        whole: bool,
        reason: Option<Reason>,
        client: &Client,
        summary: &SummaryHandle,
    ) {
        summary.end_phase(part.stream, part.kind, Ending { at: client.server_now(), whole, reason });
        let now = summary.stream(part.stream);
        let unparsed = |summary: &StreamSummary| summary.unparsed.values().sum::<u64>();
        let tombstones = now.tombstones - part.before.tombstones;
        let row = json!({
            "stream": part.stream,
            "part": part.kind.word(),
            "expected": part.expected,
            "written": now.records - part.before.records - tombstones,
            "archived": tombstones,
            "duplicates": part.duplicates,
            "unparsed": unparsed(&now) - unparsed(&part.before),
            "api_calls": client.call_stats().snapshot().total - part.calls,
            "whole": whole,
            "reason": reason.map(Reason::word),
            "started_at": format_instant(part.started_at),
            "finished_at": format_instant(client.server_now()),
        });
        tracing::info!("{} of {}: {row}", part.kind.word(), part.stream);
        if let Value::Object(row) = row {
            self.rows.push(row);
        }
    }

    /// Yields the stream, if it is selected.
    pub(crate) async fn write(
        &self,
        fields: Option<&Vec<&'static Field>>,
        client: &Arc<Client>,
        emitter: &Emitter<'_>,
    ) -> Result<(), ExtractError> {
        let Some(fields) = fields else { return Ok(()) };
        let extracted_at = client.server_now();
        let mut records = Records {
            stream: "sync_audit",
            bodies: Buffer::default(),
            ends: Vec::new(),
            tail: emitter.stamp.tail(extracted_at),
            version: extracted_at.timestamp_millis(),
            extracted_at,
        };
        for row in &self.rows {
            push_record(fields, row, &mut records.bodies);
            records.ends.push(records.bodies.len());
        }
        let count = self.rows.len() as u64;
        emitter.summary.update("sync_audit", |stream| stream.records += count);
        emitter.send(Extracted::Records(records)).await
    }
}
