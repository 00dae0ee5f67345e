//! A sync: everything is checked before the first message, then extraction and writing run side by side.

use std::io::{self, Write};
use std::time::Instant;

use super::cli::Arguments;
use super::progress::{Progress, report as tell};
use crate::extraction::{Plan, Run, SummaryHandle};
use crate::log;
use crate::messages::{encode, encode_schema};
use crate::session::{Prepared, Report, Session, TapError, carry_out, prepare};
use crate::stdout::write_all;

/// Syncs what is selected.
pub(super) async fn run(arguments: &Arguments) -> Result<(), TapError> {
    let session = arguments.session()?;
    let summary = SummaryHandle::default();
    let report = Report::begin(&session, &summary)?;
    let outcome = sync(&session, arguments, &summary, &report).await;
    report.end(&outcome);
    outcome
}

async fn sync(
    session: &Session,
    arguments: &Arguments,
    summary: &SummaryHandle,
    report: &Report,
) -> Result<(), TapError> {
    let started = Instant::now();
    let Prepared { run, lock: _lock } = prepare(session, arguments.assignment()?).await?;
    report.prepared(&run);
    if run.plan.schemas.is_empty() {
        tracing::warn!("no stream is selected; nothing to do");
        return Ok(());
    }
    tracing::info!("scan {} of portal {} begins", run.stamp.scan_id, run.stamp.tenant_id);
    let progress = Progress::start(summary, &session.client, expected(session, &run).await);
    let outcome = write(session, run, summary, io::stdout()).await;
    progress.stop();
    tell(&summary.now(), &session.client.ledger().tally(), started.elapsed(), outcome.is_ok());
    outcome
}

/// Extracts a run and writes its messages, until it ends, a signal comes or nobody reads any more.
pub(super) async fn write(
    session: &Session,
    run: Run,
    summary: &SummaryHandle,
    out: impl Write + Send + 'static,
) -> Result<(), TapError> {
    let (sink, ended) = write_all(preamble(&run.plan)?, encode, out);
    carry_out(session.client.clone(), run, summary, sink, ended).await
}

/// The rows to come, counted only for people who wait.
async fn expected(session: &Session, run: &Run) -> Option<u64> {
    if !log::style().terminal || log::style().quiet {
        return None;
    }
    let rows = run.expected_rows(&session.client).await.ok()?;
    Some(rows.into_iter().map(|(_, rows)| rows).sum())
}

/// The SCHEMA messages.
pub(super) fn preamble(plan: &Plan) -> Result<Vec<u8>, TapError> {
    let mut preamble = Vec::new();
    for schema in &plan.schemas {
        encode_schema(schema, &mut preamble).map_err(TapError::Output)?;
    }
    Ok(preamble)
}
