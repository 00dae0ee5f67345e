//! A delivery from stdin to its end.

use std::io;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::cli::Arguments;
use super::delivery::Delivery;
use super::exit::TargetError;
use super::input::{InputError, Line, lines};
use super::portal::Session;
use crate::session::{Stop, StopSignal};

/// What has been read is delivered when no line comes for this long: a slow source must not hold back what it sent.
const IDLE: Duration = Duration::from_secs(1);

/// Delivers stdin.
pub(super) async fn run(arguments: &Arguments) -> Result<(), TargetError> {
    let stop = StopSignal::listen().map_err(TargetError::Runtime)?;
    let session = tokio::select! {
        biased;
        stop = stop.asked() => return Err(stopped(stop)),
        session = Session::open(arguments) => session?,
    };
    let client = session.client.clone();
    tracing::info!("delivery to portal {} begins", session.portal_id);
    let started = Instant::now();
    let mut delivery = Delivery::new(session, arguments.dry_run)?;
    let outcome = tokio::select! {
        biased;
        stop = stop.asked() => Err(stopped(stop)),
        result = read_and_deliver(&mut delivery, lines(io::stdin())) => result,
    };
    let outcome = match outcome {
        Err(TargetError::Output(error)) => Err(stop.behind(&error).await.map_or(TargetError::Output(error), stopped)),
        outcome => outcome,
    };
    delivery.summary().report(&client.ledger().tally(), started.elapsed(), arguments.dry_run);
    outcome
}

async fn read_and_deliver(
    delivery: &mut Delivery,
    mut input: mpsc::Receiver<Result<Line, InputError>>,
) -> Result<(), TargetError> {
    loop {
        let next = match delivery.is_empty() {
            true => input.recv().await,
            false => match timeout(IDLE, input.recv()).await {
                Ok(next) => next,
                Err(_) => {
                    delivery.deliver().await?;
                    continue;
                }
            },
        };
        let taken = match next {
            None => return delivery.deliver().await,
            Some(Ok(line)) => delivery.take(line).await,
            Some(Err(error)) => Err(error.into()),
        };
        if let Err(error) = taken {
            // What came before a bad line is delivered all the same.
            delivery.deliver().await?;
            return Err(error);
        }
        if delivery.is_full() {
            delivery.deliver().await?;
        }
    }
}

/// How a run ends by a signal.
fn stopped(stop: Stop) -> TargetError {
    if stop.terminated { TargetError::Terminated } else { TargetError::Interrupted }
}
