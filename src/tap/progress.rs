//! What a run shows while it goes on and when it ends: a bar on a terminal, METRIC lines, a summary.

use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::client::{Client, Tally};
use crate::extraction::{Summary, SummaryHandle};
use crate::log;

/// How often the bar moves.
const BAR_INTERVAL: Duration = Duration::from_millis(200);
/// How often counters are told in the log, as Singer's SDKs do.
const METRIC_INTERVAL: Duration = Duration::from_secs(60);

/// The display of a run under way.
pub(super) struct Progress {
    bar: ProgressBar,
    shown: JoinHandle<()>,
}

impl Progress {
    /// Begins to show.
    pub(super) fn start(summary: &SummaryHandle, client: &Arc<Client>) -> Self {
        // Hidden unless stderr is a terminal.
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(ProgressStyle::with_template("{spinner} {elapsed} {msg}").expect("a valid template"));
        log::share_terminal_with(&bar);
        let shown = tokio::spawn(show(bar.clone(), summary.clone(), Arc::clone(client)));
        Self { bar, shown }
    }

    /// Stops showing.
    pub(super) fn stop(self) {
        self.shown.abort();
        self.bar.finish_and_clear();
    }
}

async fn show(bar: ProgressBar, summary: SummaryHandle, client: Arc<Client>) {
    let mut told = Instant::now();
    let mut ticks = tokio::time::interval(if bar.is_hidden() { METRIC_INTERVAL } else { BAR_INTERVAL });
    let started = Instant::now();
    loop {
        ticks.tick().await;
        let now = summary.now();
        let calls = client.ledger().tally().total;
        let (records, pages) = now
            .streams
            .iter()
            .fold((0, 0), |(records, pages), (_, stream)| (records + stream.records, pages + stream.pages));
        #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
        let rate = calls as f64 * 10.0 / started.elapsed().as_secs_f64().max(1.0);
        bar.set_message(format!("{records} records, {pages} pages, {calls} calls, {rate:.1} calls per 10 s"));
        bar.tick();
        if told.elapsed() >= METRIC_INTERVAL {
            told = Instant::now();
            tell_records(&now);
        }
    }
}

/// Tells what a run did: METRIC lines for programs, sentences for people.
pub(super) fn report(summary: &Summary, tally: &Tally, elapsed: Duration, succeeded: bool) {
    tell_records(summary);
    for (endpoint, count) in &tally.calls {
        metric("counter", "http_request_count", json!(count), json!({"endpoint": endpoint.label()}));
    }
    let status = if succeeded { "succeeded" } else { "failed" };
    let seconds = (elapsed.as_secs_f64() * 1000.0).round() / 1000.0;
    metric("timer", "sync_duration", json!(seconds), json!({"status": status}));
    for (name, stream) in &summary.streams {
        let tombstones =
            if stream.tombstones > 0 { format!(", {} of them tombstones", stream.tombstones) } else { String::new() };
        let pages = if stream.pages > 0 { format!(", from {} pages", stream.pages) } else { String::new() };
        tracing::info!("{name}: {} records{tombstones}{pages}", stream.records);
        for (property, count) in &stream.unparsed {
            tracing::info!("{name}: {count} values of {property} did not fit its type and stand in _unparsed");
        }
    }
    let by_endpoint: Vec<String> =
        tally.calls.iter().map(|(endpoint, count)| format!("{} {count}", endpoint.label())).collect();
    let quota = tally.daily_remaining.map_or_else(String::new, |left| format!("; {left} calls left today"));
    tracing::info!(
        "{} calls ({}), {} repeated, {} rate limited, in {seconds} s{quota}",
        tally.total,
        by_endpoint.join(", "),
        tally.retries,
        tally.rate_limited,
    );
}

fn tell_records(summary: &Summary) {
    for (name, stream) in &summary.streams {
        metric("counter", "record_count", json!(stream.records), json!({"stream": name}));
    }
}

/// A METRIC line as the Singer specification has it.
fn metric(kind: &str, name: &str, value: serde_json::Value, tags: serde_json::Value) {
    tracing::info!("METRIC: {}", json!({"type": kind, "metric": name, "value": value, "tags": tags}));
}
