//! `read`: the configured streams, with their states, statuses and estimates.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::catalog::Configured;
use super::message::{self, Descriptor};
use super::outgoing::Outgoing;
use super::state;
use crate::config::ConfigError;
use crate::extraction::{Run, SummaryHandle};
use crate::session::{Assignment, Prepared, Report, Session, StopSignal, TapError, carry_out, prepare, unbroken};
use crate::stdout::write_all;

/// How long a stopped run waits for a reader that does not read.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Reads what the configured catalog asks for.
pub(super) async fn run(
    config: &Path,
    catalog: &Path,
    state: Option<&Path>,
    stop: &StopSignal,
) -> Result<(), TapError> {
    let session = Session::open(&[config.into()])?;
    let configured = Configured::read(catalog)?;
    let state = match state {
        Some(path) => state::read(path)?,
        None => None,
    };
    let rotation = Rotation::watch(&session, config);
    let summary = SummaryHandle::default();
    let report = Report::begin(&session, &summary);
    let outcome = unbroken(read(&session, &configured, state, &summary, &report, stop)).await;
    report.end(&outcome);
    // The old token is worth nothing any more, so the new one is told of however the run ended.
    rotation.end().await.and(outcome)
}

async fn read(
    session: &Session,
    configured: &Configured,
    state: Option<serde_json::Map<String, serde_json::Value>>,
    summary: &SummaryHandle,
    report: &Report,
    stop: &StopSignal,
) -> Result<(), TapError> {
    let assignment = Assignment { catalog: Some(configured.catalog()), state, ..Assignment::default() };
    let Prepared { mut run, lock: _lock } = stop.unless_asked(prepare(session, assignment)).await?;
    for stream in configured.whole() {
        run.plan.force_full_table(stream);
    }
    // Airbyte's warehouses make numeric(38,9) of every number, PyAirbyte doubles before that; what these cannot hold ends
    // the read, or is another number.
    run.plan.limit_numeric_precision();
    report.prepared(&run);
    let descriptors =
        configured.streams().map(|(name, namespace)| Descriptor { name, namespace: namespace.map(str::to_owned) });
    // A stream that is left out has no rows, which a destination must not take for all of them.
    let read: Vec<&str> = run.plan.streams().collect();
    let left_out = configured.streams().map(|(name, _)| name).filter(|name| !read.contains(name));
    let kept: Vec<&str> = run.kept.iter().map(|kept| kept.stream).chain(left_out).collect();
    let outgoing = Arc::new(Mutex::new(Outgoing::new(descriptors.collect(), &kept)));
    if run.plan.schemas.is_empty() {
        tracing::warn!(
            "no stream is selected, so nothing is read; enable one in the connection (PyAirbyte: select_streams)"
        );
    }
    let estimates = stop.unless_asked(async { Ok(estimates(session, &run).await) }).await?;
    tracing::info!("scan {} of portal {} begins", run.stamp.scan_id, run.stamp.tenant_id);
    let preamble = lock(&outgoing).preamble(&estimates);
    let encoder = Arc::clone(&outgoing);
    let encode = move |yielded, lines: &mut Vec<u8>| {
        lock(&encoder).encode(&yielded, lines);
        Ok(())
    };
    let (sink, ended) = write_all(preamble, encode, io::stdout());
    let outcome = carry_out(session.client.clone(), run, summary, sink, ended, stop, STOP_PATIENCE).await;
    for (name, counts) in summary.now().streams {
        tracing::info!("{name}: {} records, {} of them tombstones", counts.records, counts.tombstones);
    }
    // What is kept decides how the run ends, and says nothing of the other streams.
    let is_read = match &outcome {
        Ok(()) => true,
        Err(TapError::Extract(error)) => error.comes_last(),
        Err(_) => false,
    };
    let mut stdout = io::stdout().lock();
    let told = io::Write::write_all(&mut stdout, &lock(&outgoing).finish(is_read));
    outcome.and(told.map_err(TapError::Output))
}

/// How many rows each stream is expected to have.
async fn estimates(session: &Session, run: &Run) -> Vec<(&'static str, u64)> {
    run.expected_rows(&session.client).await.unwrap_or_else(|error| {
        tracing::warn!("the rows to come cannot be counted: {error}");
        Vec::new()
    })
}

fn lock(outgoing: &Mutex<Outgoing>) -> std::sync::MutexGuard<'_, Outgoing> {
    outgoing.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells Airbyte of refresh tokens that HubSpot hands out in place of the config's.
pub(super) struct Rotation {
    stop: oneshot::Sender<()>,
    told: JoinHandle<Result<(), TapError>>,
}

impl Rotation {
    /// Begins to watch.
    pub(super) fn watch(session: &Session, config: &Path) -> Self {
        let (stop, stopped) = oneshot::channel();
        let told = tokio::spawn(tell(session.client.rotations(), config.to_owned(), stopped));
        Self { stop, told }
    }

    /// Ends once all that came has been told.
    pub(super) async fn end(self) -> Result<(), TapError> {
        let _ = self.stop.send(());
        self.told.await.unwrap_or(Ok(()))
    }
}

async fn tell(
    rotations: Option<watch::Receiver<Option<SecretString>>>,
    config: PathBuf,
    mut stopped: oneshot::Receiver<()>,
) -> Result<(), TapError> {
    let Some(mut rotations) = rotations else { return Ok(()) };
    loop {
        tokio::select! {
            biased;
            changed = rotations.changed() => if changed.is_err() { return Ok(()) },
            _ = &mut stopped => return Ok(()),
        }
        let rotated = rotations.borrow_and_update().clone();
        if let Some(rotated) = rotated {
            let config = with_token(&config, &rotated)?;
            message::write(&message::control(&config)).map_err(TapError::Output)?;
        }
    }
}

/// The config as it was given, with another refresh token.
fn with_token(
    path: &Path,
    refresh_token: &SecretString,
) -> Result<serde_json::Map<String, serde_json::Value>, ConfigError> {
    let unusable = |reason: String| ConfigError::Unreadable { path: path.to_owned(), reason };
    let text = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
    let mut config: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&text).map_err(|_| unusable("it is not a JSON object".to_owned()))?;
    config.insert("refresh_token".to_owned(), refresh_token.expose_secret().into());
    Ok(config)
}
