//! A sync: everything is checked before the first message, then extraction and writing run side by side.

use std::io;
use std::time::Instant;

use super::cli::Arguments;
use super::progress::{Progress, report};
use crate::extraction::{Plan, SummaryHandle, extract};
use crate::messages::{encode, encode_schema};
use crate::session::{TapError, conclude, prepare, stop_signal, writer_error};
use crate::stdout::write_all;

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
