//! What became of many tenants: a table for people, JSON for programs.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::disk::replace_file;
use crate::session::TapError;

/// Names of tenants that an error shows.
const SHOWN: usize = 5;

/// A tenant that is through.
#[derive(Debug)]
pub(super) struct TenantOutcome {
    tenant: String,
    /// Its run report; none when it did not come to one.
    report: Option<Value>,
    status: &'static str,
    exit_code: u8,
    error: Option<String>,
    next_step: String,
    elapsed: Duration,
}

/// All tenants of a run.
#[derive(Debug)]
pub(super) struct Overview {
    path: PathBuf,
    /// That the file cannot be written has been said.
    warned: bool,
    all: usize,
    at_once: usize,
    started_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    ended: Vec<TenantOutcome>,
}

impl TenantOutcome {
    /// A tenant whose run came to an end.
    pub(super) fn of(tenant: &str, report: Option<Value>, outcome: Result<(), TapError>, elapsed: Duration) -> Self {
        let error = outcome.err();
        Self {
            tenant: tenant.to_owned(),
            report,
            status: match &error {
                None => "succeeded",
                Some(TapError::Interrupted | TapError::Terminated) => "stopped",
                Some(TapError::Locked { .. }) => "locked",
                Some(_) => "failed",
            },
            exit_code: error.as_ref().map_or(0, TapError::exit_code),
            next_step: match &error {
                None => "none".to_owned(),
                Some(TapError::Locked { holder, .. }) => format!("locked, run by another process: {holder}"),
                Some(error) => error.hint(),
            },
            error: error.map(|error| error.to_string()),
            elapsed,
        }
    }

    /// What became of it, in a word.
    pub(super) fn status(&self) -> &'static str {
        self.status
    }

    fn of_report(&self, key: &str) -> Value {
        self.report.as_ref().map_or(Value::Null, |report| report[key].clone())
    }

    fn json(&self) -> Value {
        json!({
            "name": self.tenant,
            "tenant": self.of_report("tenant"),
            "scan_id": self.of_report("scan_id"),
            "status": self.status,
            "exit_code": self.exit_code,
            "records": self.of_report("records"),
            "calls": self.of_report("calls"),
            "rate_limited": self.of_report("rate_limited"),
            "calls_left_today": self.of_report("calls_left_today"),
            "seconds": (self.elapsed.as_secs_f64() * 1000.0).round() / 1000.0,
            "error": self.error,
            "next_step": self.next_step,
        })
    }
}

impl Overview {
    /// The tenants of a run that begins, and the file that tells of them.
    pub(super) fn new(path: PathBuf, all: usize, at_once: usize) -> Self {
        let started_at = Utc::now();
        Self { path, warned: false, all, at_once, started_at, finished_at: None, ended: Vec::with_capacity(all) }
    }

    pub(super) fn add(&mut self, ended: TenantOutcome) {
        match &ended.error {
            None => tracing::info!("{}: {}", ended.tenant, ended.status),
            // It is being run, which is all that is wanted.
            Some(_) if ended.status == "locked" => tracing::info!("{}: {}", ended.tenant, ended.next_step),
            Some(error) => tracing::error!("{}: {}: {error}", ended.tenant, ended.status),
        }
        self.ended.push(ended);
    }

    pub(super) fn finish(&mut self) {
        self.ended.sort_by(|one, other| one.tenant.cmp(&other.tenant));
        self.finished_at = Some(Utc::now());
    }

    fn count(&self, status: &str) -> usize {
        self.ended.iter().filter(|ended| ended.status == status).count()
    }

    /// Writes the report of all tenants, whole. That it cannot be written is said once, and ends nothing.
    pub(super) fn write(&mut self) {
        let instant = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let report = json!({
            "started_at": instant(self.started_at),
            "finished_at": self.finished_at.map(instant),
            "at_once": self.at_once,
            "tenants": self.all,
            "succeeded": self.count("succeeded"),
            "failed": self.count("failed"),
            "locked": self.count("locked"),
            // As it was called before.
            "skipped": self.count("locked"),
            "stopped": self.count("stopped"),
            "ended": self.ended.iter().map(TenantOutcome::json).collect::<Vec<_>>(),
        });
        let text = format!("{report:#}\n");
        if let Err(error) = replace_file(&self.path, text.as_bytes())
            && !std::mem::replace(&mut self.warned, true)
        {
            tracing::warn!("the report {} cannot be written: {error}; the run goes on without it", self.path.display());
        }
    }

    /// A line for each tenant.
    pub(super) fn table(&self) -> String {
        let width = self.ended.iter().map(|ended| ended.tenant.len()).max().unwrap_or(0).max("tenant".len());
        let mut table = format!(
            "{:width$}  {:12}  {:9}  {:>9}  {:>7}  {:>10}  {:>8}  next step\n",
            "tenant", "portal", "status", "records", "calls", "quota left", "seconds"
        );
        for ended in &self.ended {
            let cell = |key| match ended.of_report(key) {
                Value::Null => "-".to_owned(),
                Value::String(text) => text,
                other => other.to_string(),
            };
            writeln!(
                table,
                "{:width$}  {:12}  {:9}  {:>9}  {:>7}  {:>10}  {:>8.1}  {}",
                ended.tenant,
                cell("tenant"),
                ended.status,
                cell("records"),
                cell("calls"),
                cell("calls_left_today"),
                ended.elapsed.as_secs_f64(),
                ended.next_step,
            )
            .expect("writing to a String does not fail");
        }
        table
    }

    /// An error that names who failed.
    pub(super) fn outcome(&self) -> Result<(), TapError> {
        let failed: Vec<&str> =
            self.ended.iter().filter(|ended| ended.status == "failed").map(|ended| ended.tenant.as_str()).collect();
        if failed.is_empty() {
            return Ok(());
        }
        let mut names = failed.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
        if failed.len() > SHOWN {
            names.push_str(", …");
        }
        Err(TapError::TenantsFailed { failed: failed.len(), all: self.all, names })
    }
}
