//! The log on stderr: `2026-11-21T18:00:00Z INFO sentence`, beside a progress bar when there is one.

use std::fmt;
use std::io::{self, Write};
use std::sync::OnceLock;

use chrono::{SecondsFormat, Utc};
use indicatif::ProgressBar;
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

/// What is logged unless `RUST_LOG` says otherwise: libraries only when something is wrong.
const DEFAULT_FILTER: &str = "warn,tap_hubspot_tickets=info";

static BAR: OnceLock<ProgressBar> = OnceLock::new();

/// Starts logging; a second start changes nothing.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let _ = tracing_subscriber::fmt().with_env_filter(filter).event_format(Line).with_writer(Stderr).try_init();
}

/// Makes log lines step around a progress bar.
pub fn share_terminal_with(bar: &ProgressBar) {
    let _ = BAR.set(bar.clone());
}

struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let now = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
        write!(line, "{now} {} ", event.metadata().level())?;
        context.format_fields(line.by_ref(), event)?;
        writeln!(line)
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
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match BAR.get() {
            Some(bar) => bar.suspend(|| io::stderr().write(line)),
            None => io::stderr().write(line),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
