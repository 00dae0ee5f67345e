//! What a run shows while it goes on and when it ends: a bar on a terminal, METRIC lines elsewhere, a summary.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, Utc};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::client::{CallStatsSnapshot, Client};
use crate::extraction::{Summary, SummaryHandle};
use crate::log;

/// How often the bar moves.
const BAR_INTERVAL: Duration = Duration::from_millis(200);
/// How often a line is written instead, to a terminal that others write to as well.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// How often counters are told in the log, as Singer's SDKs do.
const METRIC_INTERVAL: Duration = Duration::from_secs(60);

/// How a run under way is shown.
#[derive(Clone)]
enum Display {
    /// On a terminal that shows nothing else.
    Bar(ProgressBar),
    /// On a terminal that shows the messages or a target's log, too, which would tear a bar to pieces.
    Lines(Option<u64>),
    /// In a log.
    Metrics,
}

/// The display of a run under way.
pub(super) struct ProgressView {
    display: Display,
    shown: Option<JoinHandle<()>>,
}

impl ProgressView {
    /// Begins to show; with the rows to come, how many are left and for how long.
    pub(super) fn start(summary: &SummaryHandle, client: &Arc<Client>, expected: Option<u64>) -> Self {
        let style = log::style();
        let for_people = style.terminal && !style.quiet && style.format == log::LogFormat::Text;
        let display = match (for_people, style.shared) {
            (false, _) => Display::Metrics,
            (true, true) => Display::Lines(expected),
            (true, false) => Display::Bar(bar(expected)),
        };
        let show = show(display.clone(), summary.clone(), Arc::clone(client));
        let shown = (!style.quiet).then(|| tokio::spawn(show));
        Self { display, shown }
    }

    /// Stops showing.
    pub(super) fn stop(self) {
        if let Some(shown) = self.shown {
            shown.abort();
        }
        if let Display::Bar(bar) = self.display {
            bar.finish_and_clear();
        }
    }
}

fn bar(expected: Option<u64>) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Some(expected) = expected {
        bar.set_length(expected);
    }
    let template = match expected {
        Some(_) => "{spinner} {elapsed} {wide_bar} {human_pos}/{human_len} records, {msg}, {eta} left",
        None => "{spinner} {elapsed} {human_pos} records, {msg}",
    };
    bar.set_style(ProgressStyle::with_template(template).expect("a valid template"));
    log::share_terminal_with(&bar);
    bar
}

async fn show(display: Display, summary: SummaryHandle, client: Arc<Client>) {
    let interval = match &display {
        Display::Bar(_) => BAR_INTERVAL,
        Display::Lines(_) => LINE_INTERVAL,
        Display::Metrics => METRIC_INTERVAL,
    };
    let started = Instant::now();
    let mut ticks = tokio::time::interval(interval);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let now = summary.now();
        match &display {
            Display::Bar(bar) => {
                bar.set_position(counted(&now));
                bar.set_message(pace(&now, &client, started));
                bar.tick();
            }
            Display::Lines(expected) => {
                let of = expected.map_or_else(String::new, |expected| format!(" of {}", HumanCount(expected)));
                tracing::info!("{}{of} records, {}", HumanCount(counted(&now)), pace(&now, &client, started));
            }
            Display::Metrics => tell_records(&now),
        }
    }
}

/// How fast a run goes.
fn pace(now: &Summary, client: &Client, started: Instant) -> String {
    let calls = client.call_stats().snapshot().total;
    let records: u64 = now.streams.iter().map(|(_, stream)| stream.records).sum();
    let seconds = started.elapsed().as_secs_f64().max(1.0);
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let (per_second, calls_per_10s) = (records as f64 / seconds, calls as f64 * 10.0 / seconds);
    let share = 100.0 * calls_per_10s / client.requests_per_10s();
    format!("{per_second:.0}/s, {calls} calls at {share:.0} % of the limit")
}

/// The records of streams whose rows can be counted before they are read.
fn counted(summary: &Summary) -> u64 {
    let counted = summary.streams.iter().filter(|(name, _)| !matches!(*name, "ticket_associations" | "sync_audit"));
    counted.map(|(_, stream)| stream.records).sum()
}

/// Tells what a run did: METRIC lines and sentences in a log, a table on a terminal, nothing to who wants quiet.
pub(super) fn report(summary: &Summary, tally: &CallStatsSnapshot, elapsed: Duration, succeeded: bool) {
    let style = log::style();
    if style.quiet {
        return;
    }
    let seconds = (elapsed.as_secs_f64() * 1000.0).round() / 1000.0;
    for (name, stream) in &summary.streams {
        for (property, count) in &stream.unparsed {
            tracing::info!("{name}: {count} values of {property} did not fit its type and stand in _unparsed");
        }
    }
    if style.terminal && style.format == log::LogFormat::Text {
        // Nobody reads it when stderr is closed.
        let _ = io::stderr().write_all(table(summary).as_bytes());
    } else {
        tell_metrics(summary, tally, seconds, succeeded);
        for (name, stream) in &summary.streams {
            let tombstones = if stream.tombstones > 0 {
                format!(", {} of them tombstones", stream.tombstones)
            } else {
                String::new()
            };
            let pages = if stream.pages > 0 { format!(", from {} pages", stream.pages) } else { String::new() };
            tracing::info!("{name}: {} records{tombstones}{pages}", stream.records);
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

/// Tells programs from when on a run can succeed.
pub(super) fn tell_resume_at(at: DateTime<Utc>) {
    log::metric("gauge", "resume_at", &json!(at.to_rfc3339_opts(SecondsFormat::Secs, true)), &json!({}));
}

fn table(summary: &Summary) -> String {
    let width = summary.streams.iter().map(|(name, _)| name.len()).max().unwrap_or(0).max("stream".len());
    let mut table = format!("{:width$}  {:>10}  {:>10}  {:>7}\n", "stream", "records", "tombstones", "pages");
    for (name, stream) in &summary.streams {
        writeln!(table, "{name:width$}  {:>10}  {:>10}  {:>7}", stream.records, stream.tombstones, stream.pages)
            .expect("writing to a String does not fail");
    }
    table
}

fn tell_metrics(summary: &Summary, tally: &CallStatsSnapshot, seconds: f64, succeeded: bool) {
    tell_records(summary);
    for (endpoint, count) in &tally.calls {
        log::metric("counter", "http_request_count", &json!(count), &json!({"endpoint": endpoint.label()}));
    }
    let status = if succeeded { "succeeded" } else { "failed" };
    log::metric("timer", "sync_duration", &json!(seconds), &json!({"status": status}));
}

fn tell_records(summary: &Summary) {
    for (name, stream) in &summary.streams {
        log::metric("counter", "record_count", &json!(stream.records), &json!({"stream": name}));
    }
}
