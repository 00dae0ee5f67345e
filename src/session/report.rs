//! The run report: how a run is going and how it ended, as a JSON file that is whole at every moment.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use tokio::task::JoinHandle;

use super::exit::TapError;
use super::portal::Session;
use crate::client::Client;
use crate::disk::replace_file;
use crate::extraction::{Phase, Reason, Run, StreamSummary, Summary, SummaryHandle};

/// How often the file is written while the run goes on.
const INTERVAL: Duration = Duration::from_secs(1);

/// The report of one run.
#[derive(Debug)]
pub struct Report {
    told: Arc<Told>,
    path: Option<PathBuf>,
    kept_current: Option<JoinHandle<()>>,
}

/// What a report tells of, as far as it is known.
#[derive(Debug)]
struct Told {
    client: Arc<Client>,
    summary: SummaryHandle,
    started_at: DateTime<Utc>,
    head: Mutex<Head>,
}

#[derive(Debug)]
struct Head {
    tenant: Option<String>,
    scan_id: Option<String>,
    status: &'static str,
    prepared_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    error: Option<Value>,
}

impl Report {
    /// Begins the report of a run that is being prepared, and keeps its file current. One that cannot be written is told in the
    /// log, and ends nothing.
    pub fn begin(session: &Session, summary: &SummaryHandle) -> Self {
        let config = &session.config;
        let head = Head {
            tenant: config.organization_id.clone(),
            scan_id: config.scan_id.clone(),
            status: "preparing",
            prepared_at: None,
            finished_at: None,
            error: None,
        };
        let told = Arc::new(Told {
            client: Arc::clone(&session.client),
            summary: summary.clone(),
            started_at: Utc::now(),
            head: Mutex::new(head),
        });
        let path = config.report_path.clone();
        let kept_current = path.as_ref().map(|path| {
            let failed = told.write(path).inspect_err(|error| warn(path, error)).is_err();
            tokio::spawn(keep_current(Arc::clone(&told), path.clone(), failed))
        });
        Self { told, path, kept_current }
    }

    /// Everything was checked: extraction begins.
    pub fn prepared(&self, run: &Run) {
        let mut head = self.told.head();
        head.tenant = Some(run.stamp.tenant_id.clone());
        head.scan_id = Some(run.stamp.scan_id.clone());
        head.status = "running";
        head.prepared_at = Some(Utc::now());
    }

    /// Ends the report and gives it; a file that cannot be written any more is told in the log.
    pub fn end(self, outcome: &Result<(), TapError>) -> Value {
        if let Some(kept_current) = self.kept_current {
            kept_current.abort();
        }
        {
            let mut head = self.told.head();
            head.finished_at = Some(Utc::now());
            head.status = match outcome {
                Ok(()) => "succeeded",
                Err(TapError::Interrupted | TapError::Terminated) => "stopped",
                Err(_) => "failed",
            };
            head.error = outcome.as_ref().err().map(|error| {
                json!({
                    "message": error.to_string(), "hint": error.hint(), "exit_code": error.exit_code(),
                    "resume_at": error.resume_at().map(instant),
                })
            });
        }
        if let Some(path) = &self.path
            && let Err(error) = self.told.write(path)
        {
            warn(path, &error);
        }
        self.told.value()
    }
}

/// Says that the file cannot be written; a report is no reason to end a run.
fn warn(path: &Path, error: &io::Error) {
    tracing::warn!(
        "the report {} (report_path) cannot be written: {error}; the run goes on without it",
        path.display()
    );
}

/// Writes the file again and again; says once that it cannot be written, unless that has been said.
async fn keep_current(told: Arc<Told>, path: PathBuf, mut failed: bool) {
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        if let Err(error) = told.write(&path)
            && !std::mem::replace(&mut failed, true)
        {
            warn(&path, &error);
        }
    }
}

impl Told {
    fn head(&self) -> MutexGuard<'_, Head> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(&self.value()).expect("a report is JSON");
        text.push(b'\n');
        replace_file(path, &text)
    }

    fn value(&self) -> Value {
        let summary = self.summary.now();
        let tally = self.client.call_stats().snapshot();
        let head = self.head();
        let calls: Map<String, Value> =
            tally.calls.iter().map(|(endpoint, count)| (endpoint.label().to_owned(), (*count).into())).collect();
        let sum =
            |count: fn(&StreamSummary) -> u64| summary.streams.iter().map(|(_, stream)| count(stream)).sum::<u64>();
        json!({
            "scan_id": head.scan_id,
            "tenant": head.tenant,
            "status": head.status,
            "version": env!("CARGO_PKG_VERSION"),
            "started_at": instant(self.started_at),
            "updated_at": instant(Utc::now()),
            "finished_at": head.finished_at.map(instant),
            "phases": phases(self.started_at, head.prepared_at, &summary.phases),
            "records": sum(|stream| stream.records),
            "pages": sum(|stream| stream.pages),
            "streams": streams(&summary),
            "calls": tally.total,
            "calls_by_endpoint": calls,
            "rate_limited": tally.rate_limited,
            "retries": tally.retries,
            "calls_left_today": tally.daily_remaining,
            "error": head.error,
        })
    }
}

fn phases(started_at: DateTime<Utc>, prepared_at: Option<DateTime<Utc>>, phases: &[Phase]) -> Vec<Value> {
    let prepared = json!({
        "phase": "prepare", "stream": null, "started_at": instant(started_at),
        "finished_at": prepared_at.map(instant), "whole": prepared_at.is_some(), "reason": null,
    });
    let of_run = phases.iter().map(|phase| {
        json!({
            "phase": phase.kind.word(), "stream": phase.stream, "started_at": instant(phase.started_at),
            "finished_at": phase.ended.map(|ending| instant(ending.at)),
            "whole": phase.ended.is_some_and(|ending| ending.whole),
            "reason": phase.ended.and_then(|ending| ending.reason).map(Reason::word),
        })
    });
    std::iter::once(prepared).chain(of_run).collect()
}

/// Each stream's counts, bookmark and cursor: what of its lists is left to read.
fn streams(summary: &Summary) -> Map<String, Value> {
    let bookmarks = summary.state.as_ref().map(|state| &state.value()["bookmarks"]);
    let stream = |(name, counts): &(&'static str, StreamSummary)| {
        let bookmark = bookmarks.map_or(&Value::Null, |bookmarks| &bookmarks[*name]);
        let pass = if bookmark["progress"].is_object() { &bookmark["progress"] } else { &bookmark["changes"] };
        let told = json!({
            "records": counts.records,
            "tombstones": counts.tombstones,
            "pages": counts.pages,
            "unparsed": counts.unparsed.values().sum::<u64>(),
            "bookmark": bookmark["replication_key_value"],
            "cursor": pass["parts"],
        });
        ((*name).to_owned(), told)
    };
    summary.streams.iter().map(stream).collect()
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
