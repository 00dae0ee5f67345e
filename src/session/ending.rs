//! A run carried out, to its end: by itself, by a signal, or by a reader that is gone.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};

use super::exit::TapError;
use crate::client::Client;
use crate::extraction::{ExtractError, Run, Sink, SummaryHandle, extract_until};

/// How long a stopped run waits for a reader that does not read.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// That the process was asked to end.
#[derive(Debug, Clone, Copy)]
struct Stop {
    /// By SIGTERM, not SIGINT.
    terminated: bool,
    /// Until when it waits for its reader.
    until: Instant,
}

/// How a writer ended.
pub type Written = oneshot::Receiver<io::Result<()>>;

/// Extracts a run into `sink`, until it ends, a signal comes, or the writer behind it cannot write any more.
///
/// # Errors
/// Everything that was written before the error stands.
pub async fn carry_out(
    client: Arc<Client>,
    run: Run,
    summary: &SummaryHandle,
    sink: Sink,
    mut ended: Written,
) -> Result<(), TapError> {
    let (stop, stopping) = watch::channel(None);
    let outcome = {
        let mut stopped = stopping.clone();
        let stopped = async move {
            // The sender outlives this.
            let _ = stopped.wait_for(Option::is_some).await;
        };
        let extraction = extract_until(client, run, &sink, summary, stopped);
        let unread = stop_signal(&stop);
        tokio::select! {
            biased;
            // The writer ends first only when it cannot write.
            result = &mut ended => Err(writer_error(result)),
            result = extraction => result.map_err(TapError::from),
            result = unread => result,
        }
    };
    drop(sink);
    let stop = *stopping.borrow();
    conclude(outcome, stop, ended).await
}

/// Waits for the writer to write what was yielded, for a stopped run only so long.
async fn conclude(outcome: Result<(), TapError>, stop: Option<Stop>, ended: Written) -> Result<(), TapError> {
    match outcome {
        Err(error @ (TapError::Output(_) | TapError::Runtime(_))) => Err(error),
        Err(error @ TapError::Extract(ExtractError::Stopped)) => {
            let Some(Stop { terminated, until }) = stop else { return Err(error) };
            let _ = tokio::time::timeout_at(until.into(), ended).await;
            Err(if terminated { TapError::Terminated } else { TapError::Interrupted })
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

/// Tells `stop` when the process is asked to end, and comes to an end itself once that has taken too long.
async fn stop_signal(stop: &watch::Sender<Option<Stop>>) -> Result<(), TapError> {
    let terminated = matches!(stop_asked().await?, TapError::Terminated);
    let until = Instant::now() + STOP_PATIENCE;
    stop.send_replace(Some(Stop { terminated, until }));
    tokio::time::sleep_until(until.into()).await;
    Err(ExtractError::Stopped.into())
}

/// Resolves when the process is asked to stop, with how a run ends by that.
///
/// # Errors
/// When signals cannot be waited for.
pub async fn stop_asked() -> Result<TapError, TapError> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(TapError::Runtime)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(TapError::Runtime)?;
    Ok(tokio::select! {
        _ = interrupt.recv() => TapError::Interrupted,
        _ = terminate.recv() => TapError::Terminated,
    })
}
