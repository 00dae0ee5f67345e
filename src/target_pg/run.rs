//! A run from stdin to its end.

use std::io::{self, Write};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::address::Address;
use super::assembly::{Assembly, QUEUE, Work};
use super::cli::TargetPgArguments;
use super::connection::PgConnection;
use super::exit::LoadError;
use super::input::blocks;
use super::loader::Loader;
use super::settings::Settings;

/// How long a run that is asked to stop takes to load what it has read.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// The settings and the database that they name.
///
/// # Errors
/// When they cannot be used.
pub(super) fn configured(arguments: &TargetPgArguments) -> Result<(Settings, Address), LoadError> {
    let (settings, warnings) = Settings::load(&arguments.sources())?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let address = Address::find(arguments.url.as_deref(), &settings, &variable)?;
    Ok((settings, address))
}

/// Loads stdin.
///
/// # Errors
/// What ended it early. What was committed before stays, and its STATE is on stdout.
pub(super) async fn run(arguments: &TargetPgArguments) -> Result<(), LoadError> {
    let mut signals = Signals::listen()?;
    let (settings, address) = configured(arguments)?;
    let connection = tokio::select! {
        stopped = signals.next() => return Err(stopped),
        connection = PgConnection::open(address) => connection?,
    };
    tracing::info!("loading into {}", connection.place());
    let begun = Instant::now();
    let mut loader = Loader::new(connection, settings.hard_delete);
    let stop = Arc::new(AtomicBool::new(false));
    let works = start_assembly(settings, stop.clone());
    let outcome = load_until_stopped(&mut loader, works, &mut signals, &stop).await;
    loader.summary.report(begun.elapsed(), outcome.is_ok());
    outcome
}

/// Reads stdin and puts batches together in a thread of its own.
fn start_assembly(settings: Settings, stop: Arc<AtomicBool>) -> mpsc::Receiver<Work> {
    let (sender, works) = mpsc::channel(QUEUE);
    thread::spawn(move || Assembly::new(settings, sender).run(&blocks(io::stdin()), &stop));
    works
}

async fn load_until_stopped(
    loader: &mut Loader,
    works: mpsc::Receiver<Work>,
    signals: &mut Signals,
    stop: &AtomicBool,
) -> Result<(), LoadError> {
    let mut loading = pin!(load_all(loader, works));
    let stopped = tokio::select! {
        outcome = &mut loading => return outcome,
        stopped = signals.next() => stopped,
    };
    stop.store(true, Ordering::Relaxed);
    if let Ok(Err(error)) = tokio::time::timeout(STOP_PATIENCE, loading).await {
        tracing::warn!("while stopping: {error}");
    }
    Err(stopped)
}

/// Carries out works until there are no more; a STATE goes to stdout once everything before it is committed.
async fn load_all(loader: &mut Loader, mut works: mpsc::Receiver<Work>) -> Result<(), LoadError> {
    while let Some(work) = works.recv().await {
        if let Some(state) = loader.carry_out(work).await? {
            let mut stdout = io::stdout().lock();
            writeln!(stdout, "{state}").and_then(|()| stdout.flush()).map_err(LoadError::Output)?;
        }
    }
    Ok(())
}

/// That the process is asked to stop.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> Result<Self, LoadError> {
        let listen = |kind| signal(kind).map_err(LoadError::Runtime);
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for one, and gives how a run ends by it.
    async fn next(&mut self) -> LoadError {
        tokio::select! {
            _ = self.interrupt.recv() => LoadError::Interrupted,
            _ = self.terminate.recv() => LoadError::Terminated,
        }
    }
}
