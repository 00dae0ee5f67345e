//! The command line of `hubspot-sandbox`, for the program of this package and for programs that start it as a process of
//! their own.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Parser;
use clap::builder::{PossibleValue, PossibleValuesParser};
use tokio::signal::unix::{SignalKind, signal};

use crate::behaviours::BEHAVIOURS;
use crate::handle::Sandbox;
use crate::object_type::ObjectType;
use crate::options::{CursorStyle, Options, RateLimits};

/// A fake HubSpot portal on 127.0.0.1, with realistic data from a seed.
#[derive(Debug, Parser)]
#[command(name = "hubspot-sandbox", version)]
struct Arguments {
    /// Port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// File to write the URL to once it listens
    #[arg(long, value_name = "FILE")]
    url_file: Option<PathBuf>,
    /// Tickets at the start
    #[arg(long, default_value_t = 1_000)]
    tickets: usize,
    /// Contacts at the start [default: two for five tickets]
    #[arg(long)]
    contacts: Option<usize>,
    /// Companies at the start [default: three for 25 tickets]
    #[arg(long)]
    companies: Option<usize>,
    /// Deals at the start [default: three for 20 tickets]
    #[arg(long)]
    deals: Option<usize>,
    /// Records of another type at the start, such as notes=100 or cars=10; may be given several times
    #[arg(long, value_name = "TYPE=COUNT", value_parser = records_of)]
    objects: Vec<(String, usize)>,
    /// Custom ticket properties
    #[arg(long, default_value_t = 12)]
    custom_properties: usize,
    /// Pairs of merged tickets [default: 2]
    #[arg(long)]
    merged: Option<usize>,
    /// Make tickets when they are read, so that memory stays flat for millions
    #[arg(long)]
    virtual_tickets: bool,
    /// Seed of everything random
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Hub ID
    #[arg(long, default_value_t = 245_001_234)]
    portal_id: u64,
    /// Milliseconds added to every response
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// Seconds that the search index is behind
    #[arg(long, default_value_t = 0)]
    search_lag_secs: u64,
    /// Sort dates wrongly in search
    #[arg(long)]
    search_disorder: bool,
    /// No rate limits (the default is a Professional account's)
    #[arg(long)]
    unlimited: bool,
    /// Requests of the general pool in ten seconds
    #[arg(long, default_value_t = 190)]
    general_per_10s: u32,
    /// Searches in a second
    #[arg(long, default_value_t = 5)]
    search_per_second: u32,
    /// Association requests in ten seconds
    #[arg(long, default_value_t = 150)]
    associations_per_10s: u32,
    /// Requests a day
    #[arg(long, default_value_t = 625_000)]
    daily: u64,
    /// Access token
    #[arg(long)]
    token: Option<String>,
    /// Style of the list endpoint's cursor
    #[arg(long, default_value = "next-id", value_parser = ["next-id", "opaque"])]
    cursor: String,
    /// Add hostile property names and values
    #[arg(long)]
    hostile: bool,
    /// Send responses without compression
    #[arg(long)]
    no_gzip: bool,
    /// Turn on a scripted behaviour; may be given several times
    #[arg(long, value_name = "BEHAVIOUR", value_parser = behaviours())]
    behave: Vec<String>,
    /// Freeze the clock at this instant
    #[arg(long, value_name = "RFC3339")]
    frozen_clock: Option<DateTime<Utc>>,
}

/// A type that the sandbox knows, and how many records it has.
fn records_of(text: &str) -> Result<(String, usize), String> {
    let (name, count) = text.split_once('=').ok_or("a type, = and a number are needed")?;
    let kind = ObjectType::parse(name).filter(|kind| kind.is_other());
    let kind = kind.ok_or_else(|| {
        let known = ObjectType::ALL.into_iter().filter(|kind| kind.is_other()).map(ObjectType::plural);
        format!("the types are {}", known.collect::<Vec<_>>().join(", "))
    })?;
    let count = count.parse().map_err(|_| format!("{count:?} is no number of records"))?;
    Ok((kind.plural().to_owned(), count))
}

/// What `--behave` takes.
fn behaviours() -> PossibleValuesParser {
    BEHAVIOURS
        .iter()
        .map(|behaviour| PossibleValue::new(behaviour.name).help(behaviour.about))
        .collect::<Vec<_>>()
        .into()
}

impl Arguments {
    fn options(&self) -> Options {
        let sized = Options::with_tickets(self.tickets);
        let limits = RateLimits {
            general_per_10s: self.general_per_10s,
            search_per_second: self.search_per_second,
            associations_per_10s: self.associations_per_10s,
            daily: self.daily,
            ..RateLimits::default()
        };
        Options {
            seed: self.seed,
            portal_id: self.portal_id,
            contacts: self.contacts.unwrap_or(sized.contacts),
            companies: self.companies.unwrap_or(sized.companies),
            deals: self.deals.unwrap_or(sized.deals),
            objects: self.objects.clone(),
            merged: self.merged.unwrap_or(sized.merged),
            custom_properties: self.custom_properties,
            virtual_tickets: self.virtual_tickets,
            hostile: self.hostile,
            cursor: if self.cursor == "opaque" { CursorStyle::Opaque } else { CursorStyle::NextId },
            limits: (!self.unlimited).then_some(limits),
            latency: Duration::from_millis(self.latency_ms),
            search_lag: Duration::from_secs(self.search_lag_secs),
            search_disorder: self.search_disorder,
            access_token: self.token.clone().unwrap_or_else(|| sized.access_token.clone()),
            start_time: self.frozen_clock,
            gzip: !self.no_gzip,
            ..sized
        }
    }
}

/// Writes a file so that a reader never sees half of it.
fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    std::fs::write(&beside, text)?;
    std::fs::rename(&beside, path)
}

/// Parses the arguments, of which the first is the program's name, and serves a sandbox until a signal ends it.
///
/// Exits the process when the arguments ask for help or are wrong.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = Arguments::parse_from(arguments);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let served = runtime
        .map_err(|error| format!("no threads can be started: {error}"))
        .and_then(|runtime| runtime.block_on(serve(&arguments)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            // Where stderr is closed, the exit code alone reports the failure.
            let _ = writeln!(io::stderr(), "ERROR {why}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until a signal comes.
async fn serve(arguments: &Arguments) -> Result<(), String> {
    // Registered first, so that a signal right after the URL appears ends it in order.
    let signals = |kind| signal(kind).map_err(|error| format!("signals cannot be received: {error}"));
    let (mut terminate, mut interrupt) = (signals(SignalKind::terminate())?, signals(SignalKind::interrupt())?);
    let started = Sandbox::start_on(arguments.options(), arguments.port).await;
    let sandbox = started.map_err(|error| not_listening(arguments.port, &error))?;
    arguments.behave.iter().for_each(|name| sandbox.behave(name));
    let url = sandbox.url();
    let mut stdout = io::stdout();
    // A closed stdout is no failure: the URL file or the port tells the URL, too.
    let _ = writeln!(stdout, "listening on {url}").and_then(|()| stdout.flush());
    if let Some(path) = &arguments.url_file {
        let unwritten = |error| format!("--url-file {} cannot be written: {error}", path.display());
        write_whole(path, &url).map_err(unwritten)?;
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    sandbox.stop();
    Ok(())
}

fn not_listening(port: u16, error: &io::Error) -> String {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => "it is in use".to_owned(),
        _ => error.to_string(),
    };
    format!("cannot listen on port {port} of 127.0.0.1: {why}; choose another --port, or 0 for a free one")
}
