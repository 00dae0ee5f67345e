//! The command line, as Singer taps have it.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::about::AboutFormat;
use crate::exit;

/// Singer tap for HubSpot tickets: reads a portal and writes SCHEMA, RECORD and STATE messages to stdout.
#[derive(Debug, Parser)]
#[command(name = "tap-hubspot-tickets", disable_version_flag = true)]
pub(super) struct Arguments {
    /// Settings: a JSON file, or ENV for environment variables and .env; may be repeated, a later one wins
    #[arg(long, short, value_name = "FILE|ENV")]
    pub(super) config: Vec<String>,

    /// State of the last run: where to go on
    #[arg(long, short, value_name = "FILE")]
    pub(super) state: Option<PathBuf>,

    /// Catalog: which streams and columns; without one, all that are selected by default
    #[arg(long, value_name = "FILE")]
    pub(super) catalog: Option<PathBuf>,

    /// Same as --catalog
    #[arg(long, short, value_name = "FILE")]
    pub(super) properties: Option<PathBuf>,

    /// Read a stream again from its beginning, whatever the state says; may be repeated
    #[arg(long, value_name = "STREAM")]
    pub(super) full_refresh: Vec<String>,

    /// Write the portal's catalog and end
    #[arg(long, short)]
    pub(super) discover: bool,

    /// With --discover: leave the portal's id out, so that many portals can share the catalog
    #[arg(long)]
    pub(super) portable: bool,

    /// Check the connection and what the token may read; or write the SCHEMA messages, or one record a stream
    #[arg(long, value_name = "WHAT", num_args = 0..=1, require_equals = true, default_missing_value = "connection")]
    pub(super) test: Option<TestMode>,

    /// Describe the tap and its settings and end
    #[arg(long)]
    pub(super) about: bool,

    /// Form of --about
    #[arg(long, value_enum, default_value_t = AboutFormat::Text)]
    pub(super) format: AboutFormat,

    /// Write the version and end
    #[arg(long, short = 'V')]
    pub(super) version: bool,
}

/// What `--test` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum TestMode {
    /// Report the portal, the streams' scopes and the quota.
    Connection,
    /// Write the SCHEMA messages.
    Schema,
    /// Write the SCHEMA messages and a record of each stream that has one.
    Records,
}

impl Arguments {
    /// The catalog file, by either name.
    pub(super) fn catalog_file(&self) -> Option<&PathBuf> {
        self.catalog.as_ref().or(self.properties.as_ref())
    }
}

/// Writes the help that was asked for, or what is wrong with the arguments; returns the exit code.
pub(super) fn report(error: &clap::Error) -> u8 {
    if !error.use_stderr() {
        // Help goes to stdout; if that is closed there is nobody to tell.
        let _ = error.print();
        return 0;
    }
    // The last line of stderr is what orchestrators show, so it must be the cause, not the usage.
    let text = error.render().to_string();
    let cause = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    let mut stderr = io::stderr();
    let _ =
        writeln!(stderr, "{}\nERROR {cause}; see --help", text.lines().skip(1).collect::<Vec<_>>().join("\n").trim());
    exit::USAGE
}
