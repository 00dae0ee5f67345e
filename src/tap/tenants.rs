//! `--tenants DIR`: many portals in one process, each with a config, state, output command and log of its own.
//!
//! A tenant is a folder with a `config.json`. A bounded number run at once, each on a thread of its own; the least recently
//! run comes first, and no tenant's failure stops another.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Instant, SystemTime};

use serde_json::Value;

use super::board::Board;
use super::cli::TapArguments;
use super::output::OutputCommand;
use super::overview::{Overview, TenantOutcome};
use super::progress::{report as tell, tell_resume_at};
use super::state_file::StateFile;
use super::sync::is_empty;
use crate::catalog::Catalog;
use crate::config::ConfigSource;
use crate::extraction::SummaryHandle;
use crate::log;
use crate::session::{Assignment, Lock, Prepared, Report, Session, StopSignal, TapError, prepare, unbroken};
use crate::state::{Incoming, read};

/// What takes a tenant's messages unless the command line or a file of the tenant says otherwise.
const DEFAULT_OUTPUT: &str = "target-postgres --config target.json";

/// A tenant that is to be run.
#[derive(Debug)]
struct Tenant {
    name: String,
    folder: PathBuf,
    /// When its last run was heard of.
    last: Option<SystemTime>,
}

/// Runs all tenants of a folder.
pub(super) fn run(folder: &Path, arguments: &TapArguments, stop: &StopSignal) -> Result<(), TapError> {
    let tenants = find(folder)?;
    let overview_path = arguments.report.clone().unwrap_or_else(|| folder.join("report.json"));
    let mut overview = Overview::new(overview_path, tenants.len(), arguments.at_once);
    overview.write();
    let board = Board::start(tenants.len());
    let queue = Mutex::new(VecDeque::from(tenants));
    // Once the process is asked to stop, those that run stop by themselves, and the rest is not begun.
    let take = || match stop.now() {
        Some(_) => None,
        None => queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front(),
    };
    let (sender, ended) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..arguments.at_once.max(1) {
            let sender = sender.clone();
            let (take, board) = (&take, &board);
            scope.spawn(move || {
                while let Some(tenant) = take() {
                    let done = run_one(&tenant, arguments.output.as_deref(), board, stop);
                    if sender.send(done).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        while let Ok(done) = ended.recv() {
            board.ended(&done);
            overview.add(done);
            overview.write();
        }
    });
    board.stop();
    overview.finish();
    overview.write();
    if !log::style().quiet
        && let Err(error) = io::stdout().write_all(overview.table().as_bytes())
    {
        tracing::warn!("the table of all tenants cannot be written to stdout: {error}");
    }
    match stop.now() {
        Some(stop) => Err(stop.error()),
        None => overview.outcome(),
    }
}

/// The tenants of a folder, the least recently run first; those that never ran are first of all.
fn find(folder: &Path) -> Result<Vec<Tenant>, TapError> {
    let unreadable = |source| TapError::Tenants { folder: folder.to_owned(), source };
    let mut tenants = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let folder = entry.map_err(unreadable)?.path();
        if folder.join("config.json").is_file() {
            let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let last = fs::metadata(folder.join("report.json")).and_then(|report| report.modified()).ok();
            tenants.push(Tenant { name, folder, last });
        }
    }
    if tenants.is_empty() {
        return Err(unreadable(io::Error::new(io::ErrorKind::NotFound, "no folder in it holds a config.json")));
    }
    tenants.sort_by(|one, other| (one.last, &one.name).cmp(&(other.last, &other.name)));
    Ok(tenants)
}

/// Runs one tenant to its end, however that comes.
fn run_one(tenant: &Tenant, command: Option<&str>, board: &Board, stop: &StopSignal) -> TenantOutcome {
    let started = Instant::now();
    let lock = match Lock::of_tenant(&tenant.folder, &tenant.name) {
        Ok(lock) => lock,
        Err(error) => return TenantOutcome::of(&tenant.name, None, Err(error), started.elapsed()),
    };
    let path = tenant.folder.join("tap.log");
    let log = log::divert(&path);
    let mut report = None;
    let attempt = catch_unwind(AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(TapError::Runtime)?;
        let outcome = runtime.block_on(sync(tenant, command, board, &mut report, stop));
        runtime.shutdown_background();
        outcome
    }));
    let outcome = attempt.unwrap_or(Err(TapError::Panicked));
    if let Err(error) = &outcome {
        if let Some(at) = error.resume_at() {
            tell_resume_at(at);
        }
        log::tell(error);
    }
    if let Some(error) = log.end() {
        tracing::warn!("{}: {} cannot be written: {error}; lines are missing in it", tenant.name, path.display());
    }
    drop(lock);
    TenantOutcome::of(&tenant.name, report, outcome, started.elapsed())
}

async fn sync(
    tenant: &Tenant,
    command: Option<&str>,
    board: &Board,
    told: &mut Option<Value>,
    stop: &StopSignal,
) -> Result<(), TapError> {
    let folder = &tenant.folder;
    let mut session = Session::open_in(&[ConfigSource::File(folder.join("config.json"))], folder)?;
    session.config.report_path.get_or_insert_with(|| folder.join("report.json"));
    let summary = SummaryHandle::default();
    let _shown = board.begin(&tenant.name, &summary, &session.client);
    let report = Report::begin(&session, &summary);
    let started = Instant::now();
    let outcome = unbroken(load(tenant, command, &session, &summary, &report, stop)).await;
    tell(&summary.now(), &session.client.call_stats().snapshot(), started.elapsed(), outcome.is_ok());
    *told = Some(report.end(&outcome));
    outcome
}

/// Reads the portal into the output command, and keeps the state that it prints.
async fn load(
    tenant: &Tenant,
    command: Option<&str>,
    session: &Session,
    summary: &SummaryHandle,
    report: &Report,
    stop: &StopSignal,
) -> Result<(), TapError> {
    let file = |name| tenant.folder.join(name);
    let catalog = match file("catalog.json") {
        path if path.exists() => Some(Catalog::read(&path)?),
        _ => None,
    };
    // Before the state is read: another run may be about to replace it.
    let state_file = stop.unless_asked(StateFile::take(&file("state.json"))).await?;
    let state = match read(&file("state.json"))? {
        Incoming::State(state) => Some(state),
        Incoming::Nothing(_) => None,
    };
    let assignment = Assignment { catalog, state, ..Assignment::default() };
    let Prepared { run, lock: _lock } = stop.unless_asked(prepare(session, assignment)).await?;
    report.prepared(&run);
    if is_empty(&run.plan) {
        return Ok(());
    }
    let own = fs::read_to_string(file("output")).ok();
    let command = own.as_deref().or(command).unwrap_or(DEFAULT_OUTPUT).trim().to_owned();
    let output = OutputCommand {
        command,
        folder: Some(tenant.folder.clone()),
        state: Some(state_file),
        log: Some(file("output.log")),
    };
    output.load(session, run, summary, stop).await
}
