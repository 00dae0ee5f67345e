//! A delivery from stdin to its end.

use std::io;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::timeout_at;

use super::cli::TargetArguments;
use super::delivery::Delivery;
use super::error::TargetError;
use super::input::{InputError, Line};
use super::lines::lines;
use super::session::TargetSession;
use crate::session::{Stop, StopSignal};

/// A line is delivered this long after it was read at the latest: a slow source must not hold back what it sent.
const MAX_LINGER: Duration = Duration::from_secs(1);

/// Delivers stdin.
pub(super) async fn run(arguments: &TargetArguments) -> Result<(), TargetError> {
    let stop = StopSignal::listen().map_err(TargetError::Runtime)?;
    let session = tokio::select! {
        biased;
        stop = stop.asked() => Err(stopped(stop)),
        session = TargetSession::open(arguments) => session,
    };
    let session = session.inspect_err(|_| {
        tracing::info!("nothing was delivered: the run ended before the first line");
    })?;
    tracing::info!("delivery to portal {} begins", session.portal_id);
    let started = Instant::now();
    let mut delivery = Delivery::new(session, arguments.dry_run)?;
    let outcome = tokio::select! {
        biased;
        stop = stop.asked() => Err(stopped(stop)),
        result = read_and_deliver(&mut delivery, lines(io::stdin(), arguments.format())) => result,
    };
    let outcome = match outcome {
        Err(TargetError::Output(error)) => Err(stop.behind(&error).await.map_or(TargetError::Output(error), stopped)),
        outcome => outcome,
    };
    delivery.close(started.elapsed());
    outcome.map_err(|error| delivery.recounted(error))
}

async fn read_and_deliver(
    delivery: &mut Delivery,
    mut input: mpsc::Receiver<Result<Line, InputError>>,
) -> Result<(), TargetError> {
    // When the first line that is not delivered yet was read.
    let mut since: Option<tokio::time::Instant> = None;
    loop {
        let deadline = since.map(|since| since + MAX_LINGER);
        let next = match deadline {
            None => input.recv().await,
            Some(deadline) => match timeout_at(deadline, input.recv()).await {
                Ok(next) => next,
                Err(_) => {
                    since = None;
                    delivery.deliver().await?;
                    continue;
                }
            },
        };
        let accepted = match next {
            None => return delivery.finish().await,
            Some(Ok(line)) => delivery.accept(line).await,
            Some(Err(error)) => Err(error.into()),
        };
        if let Err(error) = accepted {
            // Lines before a bad one are delivered all the same.
            delivery.deliver().await?;
            return Err(error);
        }
        if !delivery.is_empty() {
            since = since.or_else(|| Some(tokio::time::Instant::now()));
        }
        let late = deadline.is_some_and(|deadline| deadline <= tokio::time::Instant::now());
        if delivery.is_full() || late && !delivery.is_empty() {
            since = None;
            delivery.deliver().await?;
        }
    }
}

/// How a run ends by a signal.
fn stopped(stop: Stop) -> TargetError {
    if stop.terminated { TargetError::Terminated } else { TargetError::Interrupted }
}
