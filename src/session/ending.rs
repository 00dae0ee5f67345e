//! How a run ends: by itself, by a signal, or by a reader that is gone.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::exit::TapError;

/// How long a stopped run waits for a reader that does not read.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Waits for the writer to write what was yielded, for a stopped run only so long.
///
/// # Errors
/// The outcome's, or the writer's.
pub async fn conclude(outcome: Result<(), TapError>, ended: oneshot::Receiver<io::Result<()>>) -> Result<(), TapError> {
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

/// Why the writer ended before it was to.
pub fn writer_error(ended: Result<io::Result<()>, oneshot::error::RecvError>) -> TapError {
    match ended {
        Ok(Err(error)) => TapError::Output(error),
        Ok(Ok(())) | Err(_) => TapError::Output(io::Error::other("the writer ended")),
    }
}

/// Resolves when the process is asked to stop.
///
/// # Errors
/// When signals cannot be waited for.
pub async fn stop_signal() -> Result<TapError, TapError> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(TapError::Runtime)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(TapError::Runtime)?;
    Ok(tokio::select! {
        _ = interrupt.recv() => TapError::Interrupted,
        _ = terminate.recv() => TapError::Terminated,
    })
}
