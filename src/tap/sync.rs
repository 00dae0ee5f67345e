//! A sync: everything is checked before the first message, then extraction and writing run side by side.

use std::io;
use std::time::{Duration, Instant};

use chrono::Utc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};

use super::cli::Arguments;
use super::drift;
use super::exit::TapError;
use super::lock::Lock;
use super::portal::{Session, Surveyed};
use super::progress::{Progress, report};
use crate::config::Config;
use crate::discovery::{STREAMS, discover_properties};
use crate::extraction::{
    Bounds, Cache, ExtractError, Plan, Privacy, Run, Stamp, SummaryHandle, extract_until, read_small_streams,
};
use crate::messages::encode_schema;
use crate::state::{Incoming, State, read};
use crate::stdout::write_all;

/// The stream of the definitions that drift shows in.
const PROPERTIES: &str = "ticket_properties";
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

/// A run that is ready, and what is to be written before it.
pub(super) struct Prepared {
    pub(super) run: Run,
    pub(super) preamble: Vec<u8>,
    /// Held until the run has ended.
    _lock: Option<Lock>,
}

/// Syncs what is selected.
pub(super) async fn run(arguments: &Arguments) -> Result<(), TapError> {
    let session = Session::open(arguments)?;
    let started = Instant::now();
    let Prepared { run, preamble, _lock } = prepare(&session, arguments).await?;
    if run.plan.schemas.is_empty() {
        tracing::warn!("no stream is selected; nothing to do");
        return Ok(());
    }
    tracing::info!("scan {} of portal {} begins", run.stamp.scan_id, run.stamp.tenant_id);
    let summary = SummaryHandle::default();
    let progress = Progress::start(&summary, &session.client);
    let (sink, mut ended) = write_all(preamble, io::stdout());
    let client = session.client.clone();
    let (stop, stopping) = watch::channel(None);
    let outcome = {
        let mut stopped = stopping.clone();
        let stopped = async move {
            // The sender outlives this.
            let _ = stopped.wait_for(Option::is_some).await;
        };
        let extraction = extract_until(client, run, &sink, &summary, stopped);
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
    let outcome = conclude(outcome, stop, ended).await;
    progress.stop();
    report(&summary.now(), &session.client.ledger().tally(), started.elapsed(), outcome.is_ok());
    outcome
}

/// Checks everything that can be wrong, reads what fits in memory, and encodes the SCHEMA messages.
pub(super) async fn prepare(session: &Session, arguments: &Arguments) -> Result<Prepared, TapError> {
    let config = &session.config;
    let incoming = read_state(arguments)?;
    let Surveyed { portal_id, catalog, access, mut properties } = session.survey(arguments).await?;
    let lock = match &config.lock_path {
        Some(folder) if arguments.test.is_none() => Some(Lock::take(folder, &portal_id)?),
        _ => None,
    };
    let streams = STREAMS.map(|stream| stream.name);
    let mut state = State::of(incoming, &portal_id, &streams)?;
    for stream in &arguments.full_refresh {
        if !streams.contains(&stream.as_str()) {
            return Err(TapError::UnknownStream { stream: stream.clone(), known: streams.join(", ") });
        }
        state.forget(stream);
    }
    let plan = Plan::new(&catalog, &session.associations, &access, &state, &privacy(config))?;
    for warning in &plan.warnings {
        tracing::warn!("{warning}");
    }
    if properties.is_none() && plan.reads_small(PROPERTIES) {
        let read = discover_properties(&session.client).await;
        properties = Some(read.map_err(|source| ExtractError::Stream { stream: PROPERTIES, source })?);
    }
    if let Some(definitions) = &properties {
        for sentence in drift::sentences(&catalog, &plan.ticket_properties(), definitions) {
            tracing::warn!("{sentence}");
        }
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
    Ok(Prepared { run: Run { plan, small, stamp, bounds: bounds(config), state, cache }, preamble, _lock: lock })
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

fn privacy(config: &Config) -> Privacy {
    let patterns = |setting: &Option<Vec<String>>| setting.clone().unwrap_or_default();
    Privacy::new(&patterns(&config.drop), &patterns(&config.hash), config.hash_salt.as_ref())
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
async fn conclude(
    outcome: Result<(), TapError>,
    stop: Option<Stop>,
    ended: oneshot::Receiver<io::Result<()>>,
) -> Result<(), TapError> {
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
    let mut interrupt = signal(SignalKind::interrupt()).map_err(TapError::Runtime)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(TapError::Runtime)?;
    let terminated = tokio::select! {
        _ = interrupt.recv() => false,
        _ = terminate.recv() => true,
    };
    let until = Instant::now() + STOP_PATIENCE;
    stop.send_replace(Some(Stop { terminated, until }));
    tokio::time::sleep_until(until.into()).await;
    Err(ExtractError::Stopped.into())
}
