//! A run's messages in Singer's form, and their way into a writer.

use std::io::Write;
use std::time::Duration;

use crate::extraction::{Plan, Run, SummaryHandle};
use crate::messages::{encode, encode_schema};
use crate::session::{Session, StopSignal, TapError, carry_out};
use crate::stdout::write_all;

/// Extracts a run and writes its messages, until it ends, a signal comes or nobody reads any more.
pub(super) async fn write(
    session: &Session,
    run: Run,
    summary: &SummaryHandle,
    out: impl Write + Send + 'static,
    stop: &StopSignal,
    patience: Duration,
) -> Result<(), TapError> {
    let (sink, ended) = write_all(preamble(&run.plan)?, encode, out);
    carry_out(session.client.clone(), run, summary, sink, ended, stop, patience).await
}

/// The SCHEMA messages.
pub(super) fn preamble(plan: &Plan) -> Result<Vec<u8>, TapError> {
    let mut preamble = Vec::new();
    for schema in &plan.schemas {
        encode_schema(schema, &mut preamble).map_err(TapError::Output)?;
    }
    Ok(preamble)
}
