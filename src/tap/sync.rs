//! A sync: everything is checked before the first message, then extraction and writing run side by side.

use std::io;
use std::time::{Duration, Instant};

use chrono::Utc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::cli::Arguments;
use super::exit::TapError;
use super::portal::{Session, Surveyed};
use super::progress::{Progress, report};
use crate::config::Config;
use crate::discovery::STREAMS;
use crate::extraction::{Bounds, Cache, ExtractError, Plan, Run, Stamp, SummaryHandle, extract, read_small_streams};
use crate::messages::encode_schema;
use crate::state::{Incoming, State, read};
use crate::stdout::write_all;

/// How long a stopped run waits for a reader that does not read.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Syncs what is selected.
pub(super) async fn run(arguments: &Arguments) -> Result<(), TapError> {
    let session = Session::open(arguments)?;
    let started = Instant::now();
    let (run, preamble) = prepare(&session, arguments).await?;
    if run.plan.schemas.is_empty() {
        tracing::warn!("no stream is selected; nothing to do");
        return Ok(());
    }
    tracing::info!("scan {} of portal {} begins", run.stamp.scan_id, run.stamp.tenant_id);
    let summary = SummaryHandle::default();
    let progress = Progress::start(&summary, &session.client);
    let (sink, mut ended) = write_all(preamble, io::stdout());
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

/// Checks everything that can be wrong, reads what fits in memory, and encodes the SCHEMA messages.
pub(super) async fn prepare(session: &Session, arguments: &Arguments) -> Result<(Run, Vec<u8>), TapError> {
    let config = &session.config;
    let incoming = read_state(arguments)?;
    let Surveyed { portal_id, catalog, access, properties } = session.survey(arguments).await?;
    let streams = STREAMS.map(|stream| stream.name);
    let mut state = State::of(incoming, &portal_id, &streams)?;
    for stream in &arguments.full_refresh {
        if !streams.contains(&stream.as_str()) {
            return Err(TapError::UnknownStream { stream: stream.clone(), known: streams.join(", ") });
        }
        state.forget(stream);
    }
    let plan = Plan::new(&catalog, &session.associations, &access, &state)?;
    for warning in &plan.warnings {
        tracing::warn!("{warning}");
    }
    let small = read_small_streams(&session.client, &plan, properties).await?;
    let mut preamble = Vec::new();
    for schema in &plan.schemas {
        encode_schema(schema, &mut preamble).map_err(TapError::Output)?;
    }
    let scan_id = config
        .scan_id
        .clone()
        .unwrap_or_else(|| format!("scan-{portal_id}-{}", Utc::now().format("%Y%m%dT%H%M%S%3fZ")));
    let portal = portal_id.parse().expect("HubSpot's ids are numbers");
    let stamp = Stamp { tenant_id: portal_id, scan_id };
    let cache = match &config.cache_path {
        Some(path) => Some(Cache::open(path, portal).map_err(ExtractError::from)?),
        None => None,
    };
    Ok((Run { plan, small, stamp, bounds: bounds(config), state, cache }, preamble))
}

fn bounds(config: &Config) -> Bounds {
    Bounds {
        page_size: config.page_size,
        checkpoint_every_pages: config.checkpoint_every_pages,
        lookback: config.lookback(),
        since: config.start_date,
        until: config.end_date,
        created_after: config.created_after,
        include_archived: config.include_archived,
        archive_hours: config.archive_hours,
        sweep_hours: config.sweep_hours(),
        sweep_time: Duration::from_secs_f64(config.sweep_minutes * 60.0),
    }
}

fn read_state(arguments: &Arguments) -> Result<Option<serde_json::Map<String, serde_json::Value>>, TapError> {
    let Some(file) = &arguments.state else { return Ok(None) };
    match read(file)? {
        Incoming::State(state) => Ok(Some(state)),
        Incoming::Nothing(reason) => {
            tracing::info!("no state in {} ({reason}): this is a first run", file.display());
            Ok(None)
        }
    }
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
