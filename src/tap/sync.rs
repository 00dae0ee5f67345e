//! A sync: everything is checked before the first message, then extraction and writing run side by side.

use std::io;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::cli::Arguments;
use super::progress::{Progress, report};
use crate::extraction::{Plan, SummaryHandle, extract};
use crate::messages::{encode, encode_schema};
use crate::session::{TapError, prepare};
use crate::stdout::write_all;

/// How long a stopped run waits for a reader that does not read.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Syncs what is selected.
pub(super) async fn run(arguments: &Arguments) -> Result<(), TapError> {
    let session = arguments.session()?;
    let started = Instant::now();
    let run = prepare(&session, arguments.assignment()?).await?;
    if run.plan.schemas.is_empty() {
        tracing::warn!("no stream is selected; nothing to do");
        return Ok(());
    }
    tracing::info!("scan {} of portal {} begins", run.stamp.scan_id, run.stamp.tenant_id);
    let summary = SummaryHandle::default();
    let progress = Progress::start(&summary, &session.client);
    let (sink, mut ended) = write_all(preamble(&run.plan)?, encode, io::stdout());
    let client = session.client.clone();
    let outcome = {
        let extraction = extract(client, run, &sink, &summary);
        let stopped = stop_signal();
        tokio::select! {
            biased;
            stop = stopped => Err(stop?),
            // The writer ends first only when it cannot write.
            result = &mut ended => Err(writer_error(result)),
            result = extraction => result.map_err(TapError::from),
        }
    };
    drop(sink);
    let outcome = conclude(outcome, ended).await;
    progress.stop();
    report(&summary.now(), &session.client.ledger().tally(), started.elapsed(), outcome.is_ok());
    outcome
}

/// The SCHEMA messages.
pub(super) fn preamble(plan: &Plan) -> Result<Vec<u8>, TapError> {
    let mut preamble = Vec::new();
    for schema in &plan.schemas {
        encode_schema(schema, &mut preamble).map_err(TapError::Output)?;
    }
    Ok(preamble)
}

/// Waits for the writer to write what was yielded, for a stopped run only so long.
async fn conclude(outcome: Result<(), TapError>, ended: oneshot::Receiver<io::Result<()>>) -> Result<(), TapError> {
    match outcome {
        Err(error @ (TapError::Output(_) | TapError::Runtime(_))) => Err(error),
        Err(error @ (TapError::Interrupted | TapError::Terminated)) => {
            let _ = tokio::time::timeout(STOP_PATIENCE, ended).await;
            Err(error)
        }
        outcome => match ended.await {
            Ok(Ok(())) => outcome,
            written => Err(writer_error(written)),
        },
    }
}

fn writer_error(ended: Result<io::Result<()>, oneshot::error::RecvError>) -> TapError {
    match ended {
        Ok(Err(error)) => TapError::Output(error),
        Ok(Ok(())) | Err(_) => TapError::Output(io::Error::other("the writer ended")),
    }
}

/// Resolves when the process is asked to stop.
async fn stop_signal() -> Result<TapError, TapError> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(TapError::Runtime)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(TapError::Runtime)?;
    Ok(tokio::select! {
        _ = interrupt.recv() => TapError::Interrupted,
        _ = terminate.recv() => TapError::Terminated,
    })
}
