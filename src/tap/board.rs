//! What `--tenants` shows while it runs: on a terminal a table of the tenants under way, elsewhere a line now and then.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::overview::TenantOutcome;
use crate::client::Client;
use crate::extraction::SummaryHandle;
use crate::log;

/// How often the table is drawn.
const TABLE_INTERVAL: Duration = Duration::from_millis(300);
/// How often a line is written where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(60);
/// Rows of the table; terminals are seldom lower.
const MOST_ROWS: usize = 16;

/// The display of all tenants.
pub(super) struct Board {
    standing: Arc<Mutex<Standing>>,
    stop: mpsc::Sender<()>,
    drawn: JoinHandle<()>,
}

/// How far all tenants are.
struct Standing {
    all: usize,
    ended: BTreeMap<&'static str, usize>,
    under_way: BTreeMap<String, UnderWay>,
}

struct UnderWay {
    summary: SummaryHandle,
    client: Arc<Client>,
    begun: Instant,
}

/// While it lives, a tenant is shown as under way.
pub(super) struct Shown<'b> {
    board: &'b Board,
    tenant: String,
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        lock(&self.board.standing).under_way.remove(&self.tenant);
    }
}

impl Board {
    /// Begins to show; to who wants quiet, nothing.
    pub(super) fn start(all: usize) -> Self {
        let standing = Standing { all, ended: BTreeMap::new(), under_way: BTreeMap::new() };
        let standing = Arc::new(Mutex::new(standing));
        let (stop, stopped) = mpsc::channel();
        let told = Arc::clone(&standing);
        let drawn = thread::spawn(move || match (log::style().quiet, log::style().terminal) {
            (true, _) => {}
            (false, true) => draw(&told, &stopped),
            (false, false) => write_lines(&told, &stopped),
        });
        Self { standing, stop, drawn }
    }

    /// Shows a tenant.
    pub(super) fn begin(&self, tenant: &str, summary: &SummaryHandle, client: &Arc<Client>) -> Shown<'_> {
        let shown = UnderWay { summary: summary.clone(), client: Arc::clone(client), begun: Instant::now() };
        lock(&self.standing).under_way.insert(tenant.to_owned(), shown);
        Shown { board: self, tenant: tenant.to_owned() }
    }

    /// Counts a tenant that is through.
    pub(super) fn ended(&self, ended: &TenantOutcome) {
        *lock(&self.standing).ended.entry(ended.status()).or_default() += 1;
    }

    /// Stops showing.
    pub(super) fn stop(self) {
        drop(self.stop);
        // What it would say of a panic has been said.
        let _ = self.drawn.join();
    }
}

fn lock(standing: &Mutex<Standing>) -> MutexGuard<'_, Standing> {
    standing.lock().unwrap_or_else(PoisonError::into_inner)
}

fn draw(standing: &Mutex<Standing>, stopped: &mpsc::Receiver<()>) {
    // One bar of several lines: indicatif's group of bars breaks down when the terminal goes away.
    let bar = ProgressBar::no_length();
    bar.set_style(ProgressStyle::with_template("{msg}").expect("a valid template"));
    log::share_terminal_with(&bar);
    while stopped.recv_timeout(TABLE_INTERVAL) == Err(mpsc::RecvTimeoutError::Timeout) {
        bar.set_message(lock(standing).table());
    }
    bar.finish_and_clear();
}

fn write_lines(standing: &Mutex<Standing>, stopped: &mpsc::Receiver<()>) {
    while stopped.recv_timeout(LINE_INTERVAL) == Err(mpsc::RecvTimeoutError::Timeout) {
        let line = lock(standing).line();
        tracing::info!("{line}");
    }
}

impl Standing {
    fn line(&self) -> String {
        let ended: usize = self.ended.values().sum();
        let mut line = format!("{ended} of {} tenants are through, {} are under way", self.all, self.under_way.len());
        for (at, (status, count)) in self.ended.iter().enumerate() {
            let before = if at == 0 { "; " } else { ", " };
            write!(line, "{before}{count} {status}").expect("writing to a String does not fail");
        }
        line
    }

    fn table(&self) -> String {
        let width = self.under_way.keys().map(String::len).max().unwrap_or(0).max("tenant".len());
        let mut table = format!("{:width$}  {:>10}  {:>8}  {:>8}\n", "tenant", "records", "calls", "seconds");
        for (tenant, shown) in self.under_way.iter().take(MOST_ROWS) {
            let records: u64 = shown.summary.now().streams.iter().map(|(_, stream)| stream.records).sum();
            let calls = shown.client.call_stats().snapshot().total;
            let seconds = shown.begun.elapsed().as_secs();
            writeln!(table, "{tenant:width$}  {records:>10}  {calls:>8}  {seconds:>8}")
                .expect("writing to a String does not fail");
        }
        table + &self.line()
    }
}
