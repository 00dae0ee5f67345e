//! A sync: everything is checked before the first message, then extraction and writing run side by side.

use std::io;
use std::time::{Duration, Instant};

use super::cli::TapArguments;
use super::output::OutputCommand;
use super::progress::{ProgressView, report as tell};
use super::singer::write;
use super::state_file::StateFile;
use crate::extraction::{Plan, Run, SummaryHandle};
use crate::log;
use crate::session::{Prepared, Report, Session, StopSignal, TapError, prepare, unbroken};

/// How long a stopped run waits for a reader that does not read.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Syncs what is selected.
pub(super) async fn run(arguments: &TapArguments, stop: &StopSignal) -> Result<(), TapError> {
    let session = arguments.session()?;
    let summary = SummaryHandle::default();
    let report = Report::begin(&session, &summary);
    let outcome = unbroken(sync(&session, arguments, &summary, &report, stop)).await;
    report.end(&outcome);
    outcome
}

async fn sync(
    session: &Session,
    arguments: &TapArguments,
    summary: &SummaryHandle,
    report: &Report,
    stop: &StopSignal,
) -> Result<(), TapError> {
    let started = Instant::now();
    let output = match &arguments.output {
        Some(command) => {
            let state = match &arguments.state {
                // Before the state is read: another run may be about to replace it.
                Some(path) => Some(stop.unless_asked(StateFile::take(path)).await?),
                None => None,
            };
            Some(OutputCommand { command: command.clone(), folder: None, state, log: None })
        }
        None => None,
    };
    let Prepared { run, lock: _lock } = stop.unless_asked(prepare(session, arguments.assignment()?)).await?;
    report.prepared(&run);
    if is_empty(&run.plan) {
        return Ok(());
    }
    tracing::info!("scan {} of portal {} begins", run.stamp.scan_id, run.stamp.tenant_id);
    let expected = stop.unless_asked(async { Ok(expected(session, &run).await) }).await?;
    let progress = ProgressView::start(summary, &session.client, expected);
    let outcome = match &output {
        None => write(session, run, summary, io::stdout(), stop, STOP_PATIENCE).await,
        Some(output) => output.load(session, run, summary, stop).await,
    };
    progress.stop();
    tell(&summary.now(), &session.client.call_stats().snapshot(), started.elapsed(), outcome.is_ok());
    outcome
}

/// Whether nothing is selected, which is said.
pub(super) fn is_empty(plan: &Plan) -> bool {
    if plan.schemas.is_empty() {
        tracing::warn!(
            "no stream is selected, so nothing is read; in the catalog set \"selected\": true in the metadata of a stream \
             whose breadcrumb is [], or run without a catalog"
        );
    }
    plan.schemas.is_empty()
}

/// The rows to come, counted only for people who wait.
async fn expected(session: &Session, run: &Run) -> Option<u64> {
    if !log::style().terminal || log::style().quiet {
        return None;
    }
    let rows = run.expected_rows(&session.client).await.ok()?;
    Some(rows.into_iter().map(|(_, rows)| rows).sum())
}
