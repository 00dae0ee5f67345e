//! The log on stderr: sentences for people, beside a progress bar when there is one; or JSON, a line an event.
//!
//! A log that cannot be written (a full disk, a closed pipe) is no reason to end a run: what it would say is lost, no more.

mod file;

use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::OnceLock;

use chrono::{SecondsFormat, Utc};
use clap::ValueEnum;
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use crate::session::TapError;

use file::LogFile;
pub use file::append_to;

/// What is logged unless `RUST_LOG` says otherwise: libraries only when something is wrong.
const DEFAULT_FILTER: &str = "warn,tap_hubspot_tickets=info";
/// The same with `--quiet`.
const QUIET_FILTER: &str = "warn";
/// Meltano names a file of Python's logging in this variable when it wants to read the log by machine; the file then
/// names the class [`STRUCTURED`].
const SDK_LOG_CONFIG: &str = "SINGER_SDK_LOG_CONFIG";
const STRUCTURED: &str = "StructuredFormatter";

static DISPLAY: OnceLock<ProgressBar> = OnceLock::new();
static STYLE: OnceLock<Style> = OnceLock::new();
thread_local! {
    /// Where this thread's log goes instead of stderr.
    static DIVERTED: RefCell<Option<LogFile>> = const { RefCell::new(None) };
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// `2026-11-21T18:00:00Z INFO sentence`.
    Text,
    /// As Meltano's SDK writes structured logs.
    Json,
}

/// Who reads the log, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// How it is written.
    pub format: LogFormat,
    /// People, on a terminal.
    pub terminal: bool,
    /// Warnings and errors alone.
    pub quiet: bool,
    /// The terminal also shows what others write: the messages, or the log of the target that reads them.
    pub shared: bool,
    colour: bool,
}

/// Starts logging; a second start changes nothing.
pub fn start(format: Option<LogFormat>, quiet: bool) {
    let terminal = io::stderr().is_terminal();
    let format = format.unwrap_or_else(asked_for);
    // <https://no-color.org>
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let shared = terminal && is_shown_or_piped(io::stdout());
    let style = *STYLE.get_or_init(|| Style { format, terminal, quiet, shared, colour });
    let default = if quiet { QUIET_FILTER } else { DEFAULT_FILTER };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    // What the subscriber says of its own troubles would end the process when stderr cannot be written.
    let log = tracing_subscriber::fmt().log_internal_errors(false);
    let _ = log.with_env_filter(filter).event_format(style).with_writer(Stderr).try_init();
}

/// Whether somebody shows or reads an output while it is written, unlike a file.
fn is_shown_or_piped(output: impl AsFd + IsTerminal) -> bool {
    let kind = output.as_fd().try_clone_to_owned().and_then(|output| File::from(output).metadata());
    output.is_terminal() || kind.is_ok_and(|output| output.file_type().is_fifo() || output.file_type().is_socket())
}

/// Who reads the log.
pub fn style() -> Style {
    let plain = Style { format: LogFormat::Text, terminal: false, quiet: false, shared: false, colour: false };
    let style = STYLE.get().copied().unwrap_or(plain);
    // A file is no terminal.
    if is_diverted() { Style { terminal: false, colour: false, ..style } } else { style }
}

/// Sends what this thread logs to a file, until the guard is gone.
pub fn divert(log: &Path) -> Diverted {
    DIVERTED.set(Some(LogFile::open(log)));
    Diverted
}

/// While it lives, this thread logs to a file.
#[derive(Debug)]
pub struct Diverted;

impl Diverted {
    /// Ends it; tells why lines are missing in the file, if any are.
    pub fn end(self) -> Option<io::Error> {
        DIVERTED.take().and_then(LogFile::failure)
    }
}

impl Drop for Diverted {
    fn drop(&mut self) {
        DIVERTED.set(None);
    }
}

fn is_diverted() -> bool {
    DIVERTED.with_borrow(Option::is_some)
}

/// Makes log lines step around a progress bar.
pub fn share_terminal_with(display: &ProgressBar) {
    let _ = DISPLAY.set(display.clone());
}

/// Writes a line to stderr as it is, around a progress bar.
pub fn pass_on(line: &[u8]) {
    let _ = match DISPLAY.get() {
        Some(display) => display.suspend(|| io::stderr().write_all(line)),
        None => io::stderr().write_all(line),
    };
}

/// Tells why a run failed: its cause is the last line, which orchestrators show; on a terminal the hint stands below.
pub fn tell(error: &TapError) {
    let style = style();
    if style.format == LogFormat::Json {
        tracing::error!(exception = exception(error), "{error}");
        return;
    }
    tracing::error!("{error}");
    if style.terminal {
        let (begin, end) = if style.colour { ("\x1b[33m", "\x1b[0m") } else { ("", "") };
        // Nobody reads it when stderr is closed.
        let _ = writeln!(io::stderr(), "{begin}hint: {}{end}", error.hint());
    }
}

/// A METRIC as the Singer specification has it, or with a structured log as that has it.
pub fn metric(kind: &str, name: &str, value: &Value, tags: &Value) {
    let metric = json!({"type": kind, "metric": name, "value": value, "tags": tags});
    match style().format {
        LogFormat::Text => tracing::info!("METRIC: {metric}"),
        LogFormat::Json => tracing::info!(metric_info = metric.to_string(), "METRIC"),
    }
}

fn asked_for() -> LogFormat {
    let config = std::env::var_os(SDK_LOG_CONFIG).and_then(|path| std::fs::read_to_string(path).ok());
    match config.is_some_and(|config| config.contains(STRUCTURED)) {
        true => LogFormat::Json,
        false => LogFormat::Text,
    }
}

fn exception(error: &TapError) -> String {
    json!({"type": "TapError", "module": "tap_hubspot_tickets", "message": error.to_string(), "notes": [error.hint()]})
        .to_string()
}

impl<S, N> FormatEvent<S, N> for Style
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let level = *event.metadata().level();
        if self.format == LogFormat::Json {
            return writeln!(line, "{}", structured(event));
        }
        let Self { terminal, colour: coloured, .. } = style();
        let (begin, end) = match colour(level) {
            begin if coloured && !begin.is_empty() => (begin, "\x1b[0m"),
            _ => ("", ""),
        };
        if !terminal || level > Level::INFO {
            write!(line, "{} ", Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true))?;
        }
        write!(line, "{begin}{level} ")?;
        context.format_fields(line.by_ref(), event)?;
        writeln!(line, "{end}")
    }
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        _ => "",
    }
}

/// An event as Meltano's SDK writes it with its `StructuredFormatter`.
fn structured(event: &Event<'_>) -> Value {
    let mut fields = Fields::default();
    event.record(&mut fields);
    let level = match *event.metadata().level() {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG | Level::TRACE => "debug",
    };
    #[expect(clippy::cast_precision_loss, reason = "microseconds of this century are exact")]
    let seconds = Utc::now().timestamp_micros() as f64 / 1e6;
    let mut written = json!({
        "level": level,
        "pid": std::process::id(),
        "logger_name": event.metadata().target().replace("::", "."),
        "ts": seconds,
        "thread_name": std::thread::current().name(),
        "app_name": env!("CARGO_PKG_NAME"),
        "stream_name": null,
        "message": fields.message,
        "extra": fields.extra,
    });
    for (key, value) in fields.nested {
        if key == "metric_info" {
            written["stream_name"] = value["tags"]["stream"].clone();
        }
        written[key] = value;
    }
    written
}

/// The fields of an event.
#[derive(Default)]
struct Fields {
    message: String,
    /// Fields that hold JSON.
    nested: Vec<(&'static str, Value)>,
    extra: Map<String, Value>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.extra.insert(field.name().to_owned(), format!("{value:?}").into());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match (field.name(), serde_json::from_str(value)) {
            (name @ ("metric_info" | "exception"), Ok(nested)) => self.nested.push((name, nested)),
            (name, _) => drop(self.extra.insert(name.to_owned(), value.into())),
        }
    }
}

struct Stderr;

impl<'w> MakeWriter<'w> for Stderr {
    type Writer = Self;
    fn make_writer(&'w self) -> Self {
        Self
    }
}

impl Write for Stderr {
    /// Never fails: whoever logs cannot do anything about it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let diverted = DIVERTED.with_borrow_mut(|log| log.as_mut().map(|log| log.add(line)));
        if diverted.is_none() {
            pass_on(line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
