//! `--tenants DIR`: many portals in one process, each with a config, state, output command and log of its own.
//!
//! A tenant is a folder with a `config.json`. A bounded number run at once, each on a thread of its own; who has waited
//! longest comes first, and no tenant's failure stops another.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use super::cli::Arguments;
use super::overview::{Ended, Overview};
use super::progress::{report as tell, tell_resume_at};
use super::sync::write;
use crate::catalog::Catalog;
use crate::config::ConfigSource;
use crate::extraction::SummaryHandle;
use crate::log;
use crate::session::{Assignment, Prepared, Report, Session, TapError, prepare, replace_file, stop_asked};
use crate::state::{Incoming, read};

/// A report younger than this says that another process runs the tenant; reports are written every second.
const ABANDONED_AFTER: Duration = Duration::from_secs(15);

/// How long the watcher of signals may take to tell of one.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// A tenant that is to be run.
#[derive(Debug)]
struct Tenant {
    name: String,
    folder: PathBuf,
    /// When its last run was heard of.
    last: Option<SystemTime>,
}

/// Runs all tenants of a folder.
pub(super) fn run(folder: &Path, arguments: &Arguments) -> Result<(), TapError> {
    let tenants = find(folder)?;
    let overview_path = arguments.report.clone().unwrap_or_else(|| folder.join("report.json"));
    let mut overview = Overview::new(tenants.len(), arguments.at_once);
    overview.write(&overview_path)?;
    let queue = Mutex::new(VecDeque::from(tenants));
    // Once the process is asked to stop, those that run stop by themselves, and the rest is not begun.
    let stopping = Arc::new(AtomicBool::new(false));
    let take = || match stopping.load(Ordering::Acquire) {
        true => None,
        false => queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front(),
    };
    let (sender, ended) = mpsc::channel();
    let stop = watch_for_stop(&stopping)?;
    thread::scope(|scope| {
        for _ in 0..arguments.at_once.max(1) {
            let sender = sender.clone();
            let (take, stopping) = (&take, &stopping);
            scope.spawn(move || {
                while let Some(tenant) = take() {
                    let done = run_one(&tenant, &arguments.output);
                    stopping.fetch_or(done.was_stopped(), Ordering::AcqRel);
                    if sender.send(done).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        while let Ok(done) = ended.recv() {
            overview.add(done);
            if let Err(error) = overview.write(&overview_path) {
                tracing::warn!("{error}");
            }
        }
    });
    overview.finish();
    overview.write(&overview_path)?;
    if !log::style().quiet {
        io::stdout().write_all(overview.table().as_bytes()).map_err(TapError::Output)?;
    }
    // Tenants may have seen the signal before its watcher told of it.
    let patience = if overview.was_stopped() { STOP_PATIENCE } else { Duration::ZERO };
    match stop.recv_timeout(patience) {
        Ok(signal) => Err(signal),
        Err(_) => overview.outcome(),
    }
}

/// The tenants of a folder, who has waited longest first; those that never ran are first of all.
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

/// Sets `stopping` when a signal asks the process to stop, and gives the signal.
fn watch_for_stop(stopping: &Arc<AtomicBool>) -> Result<mpsc::Receiver<TapError>, TapError> {
    let (sender, stop) = mpsc::channel();
    let stopping = Arc::clone(stopping);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(TapError::Runtime)?;
    thread::spawn(move || {
        if let Ok(signal) = runtime.block_on(stop_asked()) {
            stopping.store(true, Ordering::Release);
            // Nobody listens once all tenants are through.
            let _ = sender.send(signal);
        }
    });
    Ok(stop)
}

/// Runs one tenant to its end, however that comes.
fn run_one(tenant: &Tenant, command: &str) -> Ended {
    let started = Instant::now();
    if is_running(&tenant.folder) {
        return Ended::skipped(&tenant.name, "another process runs it");
    }
    let log = OpenOptions::new().create(true).append(true).open(tenant.folder.join("tap.log"));
    let log = match log {
        Ok(log) => log,
        Err(source) => {
            let error = TapError::Tenants { folder: tenant.folder.clone(), source };
            return Ended::of(&tenant.name, None, Err(error), started.elapsed());
        }
    };
    let _guard = log::divert(log);
    let mut report = None;
    let attempt = catch_unwind(AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(TapError::Runtime)?;
        let outcome = runtime.block_on(sync(tenant, command, &mut report));
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
    Ended::of(&tenant.name, report, outcome, started.elapsed())
}

/// Whether a report says that the tenant is being run, and was written just now.
fn is_running(folder: &Path) -> bool {
    let path = folder.join("report.json");
    let report = fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    let age = fs::metadata(&path).and_then(|report| report.modified()).ok().and_then(|at| at.elapsed().ok());
    report.is_some_and(|report| report["finished_at"].is_null()) && age.is_some_and(|age| age < ABANDONED_AFTER)
}

async fn sync(tenant: &Tenant, command: &str, told: &mut Option<Value>) -> Result<(), TapError> {
    let folder = &tenant.folder;
    let mut session = Session::open_in(&[ConfigSource::File(folder.join("config.json"))], folder)?;
    session.config.report_path.get_or_insert_with(|| folder.join("report.json"));
    let summary = SummaryHandle::default();
    let report = Report::begin(&session, &summary)?;
    let started = Instant::now();
    let outcome = load(tenant, command, &session, &summary, &report).await;
    tell(&summary.now(), &session.client.ledger().tally(), started.elapsed(), outcome.is_ok());
    *told = Some(report.end(&outcome));
    outcome
}

/// Reads the portal into the output command, and keeps the state that it prints.
async fn load(
    tenant: &Tenant,
    command: &str,
    session: &Session,
    summary: &SummaryHandle,
    report: &Report,
) -> Result<(), TapError> {
    let file = |name| tenant.folder.join(name);
    let catalog = match file("catalog.json") {
        path if path.exists() => Some(Catalog::read(&path)?),
        _ => None,
    };
    let state = match read(&file("state.json"))? {
        Incoming::State(state) => Some(state),
        Incoming::Nothing(_) => None,
    };
    let Prepared { run, lock: _lock } =
        prepare(session, Assignment { catalog, state, ..Assignment::default() }).await?;
    report.prepared(&run);
    let mut child = start_output(tenant, command).map_err(TapError::Output)?;
    let input = child.stdin.take().expect("a pipe was asked for");
    let written = write(session, run, summary, input).await;
    // The writer closed the pipe, so the command comes to its end.
    let ended = child.wait().map_err(TapError::Output)?;
    keep_last_state(&file("state.json")).map_err(TapError::Output)?;
    if ended.success() {
        return written;
    }
    // A reader that left is why nothing could be written any more.
    let said = fs::read_to_string(file("output.log")).unwrap_or_default();
    let said = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    match written {
        Ok(()) | Err(TapError::Output(_)) => {
            Err(TapError::Output(io::Error::other(format!("the output command ended with {ended}: {said}"))))
        }
        written => written,
    }
}

/// Starts a tenant's output command: its stdout is added to the state, its stderr to a log.
fn start_output(tenant: &Tenant, command: &str) -> io::Result<Child> {
    let own = fs::read_to_string(tenant.folder.join("output")).ok();
    let add = |name| OpenOptions::new().create(true).append(true).open(tenant.folder.join(name));
    Command::new("sh")
        .args(["-c", own.as_deref().unwrap_or(command).trim()])
        .current_dir(&tenant.folder)
        .stdin(Stdio::piped())
        .stdout(add("state.json")?)
        .stderr(add("output.log")?)
        .spawn()
}

/// Leaves of the states that were printed the last whole one, which is the one that counts.
fn keep_last_state(path: &Path) -> io::Result<()> {
    let text = fs::read_to_string(path)?;
    let is_state = |line: &&str| serde_json::from_str::<Value>(line).is_ok_and(|value| value.is_object());
    let Some(last) = text.lines().rev().find(is_state) else { return Ok(()) };
    if last.len() + 1 < text.len() {
        replace_file(path, format!("{last}\n").as_bytes())?;
    }
    File::open(path).map(drop)
}
