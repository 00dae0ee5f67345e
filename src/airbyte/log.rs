//! The log as LOG messages on stdout.

use std::fmt;
use std::io::{self, Write};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::json;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use super::message;

/// What is logged unless `RUST_LOG` says otherwise: libraries only when something is wrong.
const DEFAULT_FILTER: &str = "warn,tap_hubspot_tickets=info";
/// How long the end waits for a reader that does not read.
const PATIENCE: Duration = Duration::from_secs(5);

/// The way of log lines to stdout.
pub(super) struct Log {
    lines: mpsc::Sender<Part>,
    ended: mpsc::Receiver<()>,
}

enum Part {
    Line(Vec<u8>),
    End,
}

/// Starts logging.
pub(super) fn start() -> Log {
    let (lines, parts) = mpsc::channel();
    let (end, ended) = mpsc::channel();
    // A thread of its own: a blocked pipe must not hold up whoever logs.
    thread::spawn(move || {
        while let Ok(Part::Line(line)) = parts.recv() {
            // Whole lines, between those of the records. Nobody is left to be told of a closed stdout.
            let _ = io::stdout().write_all(&line);
        }
        let _ = io::stdout().flush();
        let _ = end.send(());
    });
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let writer = Lines(lines.clone());
    let log = tracing_subscriber::fmt().log_internal_errors(false);
    let _ = log.with_env_filter(filter).event_format(LogMessage).with_writer(writer).try_init();
    Log { lines, ended }
}

impl Log {
    /// Waits until what was logged is written.
    pub(super) fn finish(self) {
        if self.lines.send(Part::End).is_ok() {
            let _ = self.ended.recv_timeout(PATIENCE);
        }
    }
}

struct LogMessage;

impl<S, N> FormatEvent<S, N> for LogMessage
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut text = String::new();
        context.format_fields(Writer::new(&mut text), event)?;
        // Airbyte knows WARN and refuses WARNING.
        let level = match *event.metadata().level() {
            Level::ERROR => "ERROR",
            Level::WARN => "WARN",
            Level::INFO => "INFO",
            Level::DEBUG => "DEBUG",
            Level::TRACE => "TRACE",
        };
        let message = json!({"type": "LOG", "log": {"level": level, "message": text}});
        line.write_str(&String::from_utf8_lossy(&message::line(&message)))
    }
}

#[derive(Clone)]
struct Lines(mpsc::Sender<Part>);

impl<'w> MakeWriter<'w> for Lines {
    type Writer = Self;
    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // After the end nothing is logged.
        let _ = self.0.send(Part::Line(line.to_vec()));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
