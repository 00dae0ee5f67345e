//! A run carried out, to its end: by itself, by a signal, or by a reader that is gone.

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::oneshot;
use tokio::time::{sleep_until, timeout_at};

use super::exit::TapError;
use super::stop::StopSignal;
use crate::client::Client;
use crate::extraction::{ExtractError, Run, Sink, SummaryHandle, extract_until};

/// How a writer ended.
pub type Written = oneshot::Receiver<io::Result<()>>;

/// Does a run's work; a panic in it is an error like any other, so that the report and the last line can tell of it.
///
/// # Errors
/// Those of the work, and [`TapError::Panicked`].
pub async fn unbroken<T>(work: impl Future<Output = Result<T, TapError>>) -> Result<T, TapError> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or(Err(TapError::Panicked))
}

/// Extracts a run into `sink`, until it ends, a signal comes, or the writer behind it cannot write any more. A stopped run
/// waits for a reader that does not read for `patience` at most.
///
/// # Errors
/// Everything that was written before the error stands. A signal wins over what it caused.
pub async fn carry_out(
    client: Arc<Client>,
    run: Run,
    summary: &SummaryHandle,
    sink: Sink,
    mut ended: Written,
    stop: &StopSignal,
    patience: Duration,
) -> Result<(), TapError> {
    let outcome = {
        let asked = async {
            let _ = stop.asked().await;
        };
        let extraction = extract_until(client, run, &sink, summary, asked);
        tokio::select! {
            biased;
            // The writer ends first only when it cannot write.
            result = &mut ended => Err(writer_error(result)),
            result = extraction => result.map_err(TapError::from),
            () = out_of_patience(stop, patience) => Err(ExtractError::Stopped.into()),
        }
    };
    drop(sink);
    match conclude(outcome, ended, stop, patience).await {
        Ok(()) => Ok(()),
        Err(error) => Err(stop.or(error).await),
    }
}

/// Waits for the writer to write what was yielded, for a stopped run only so long.
async fn conclude(
    outcome: Result<(), TapError>,
    mut ended: Written,
    stop: &StopSignal,
    patience: Duration,
) -> Result<(), TapError> {
    match (outcome, stop.now()) {
        (Err(error @ TapError::Output(_)), _) => Err(error),
        (Err(error), Some(stop)) => {
            let _ = timeout_at((stop.at + patience).into(), ended).await;
            Err(error)
        }
        (outcome, _) => tokio::select! {
            biased;
            written = &mut ended => match written {
                Ok(Ok(())) => outcome,
                written => Err(writer_error(written)),
            },
            () = out_of_patience(stop, patience) => Err(ExtractError::Stopped.into()),
        },
    }
}

/// Resolves when the process was asked to end and has waited long enough.
async fn out_of_patience(stop: &StopSignal, patience: Duration) {
    let asked = stop.asked().await;
    sleep_until((asked.at + patience).into()).await;
}

fn writer_error(ended: Result<io::Result<()>, oneshot::error::RecvError>) -> TapError {
    match ended {
        Ok(Err(error)) => TapError::Output(error),
        Ok(Ok(())) | Err(_) => TapError::Output(io::Error::other("the writer ended")),
    }
}
