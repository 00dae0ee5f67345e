//! The command line, as Singer taps have it.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{CommandFactory, Parser, ValueEnum};
use clap_complete::Shell;

use crate::about::AboutFormat;
use crate::catalog::Catalog;
use crate::config::ConfigSource;
use crate::exit;
use crate::log::LogFormat;
use crate::session::{Assignment, Session, TapError};
use crate::state::{Incoming, read};

/// Singer tap for HubSpot tickets: reads a portal and writes SCHEMA, RECORD and STATE messages to stdout.
#[derive(Debug, Parser)]
#[command(name = "tap-hubspot-tickets", disable_version_flag = true)]
pub(super) struct TapArguments {
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

    /// Tell how many rows, calls and minutes the run would take, and end
    #[arg(long)]
    pub(super) plan: bool,

    /// Run every tenant that has a folder with a config.json in this one, side by side
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "catalog", "state", "discover", "test", "plan"])]
    pub(super) tenants: Option<PathBuf>,

    /// Program with its arguments, or line for the shell, that takes the messages and prints states, each of which --state
    /// keeps at once; with --tenants it runs in the tenant's folder, where a file named output wins, and without either it is
    /// target-postgres --config target.json
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["discover", "test", "plan"])]
    pub(super) output: Option<String>,

    /// With --tenants: how many run at once
    #[arg(long, value_name = "NUMBER", default_value_t = 8, requires = "tenants")]
    pub(super) at_once: usize,

    /// With --tenants: the JSON file that tells of all tenants; without it, DIR/report.json
    #[arg(long, value_name = "FILE", requires = "tenants")]
    pub(super) report: Option<PathBuf>,

    /// Write the completions of a shell and end
    #[arg(long, value_name = "SHELL")]
    pub(super) completions: Option<Shell>,

    /// Write the man page and end
    #[arg(long)]
    pub(super) man: bool,

    /// Log warnings and errors alone: no progress, no summary
    #[arg(long, short)]
    pub(super) quiet: bool,

    /// Form of the log on stderr; JSON also when Meltano asks for structured logs
    #[arg(long, value_enum)]
    pub(super) log_format: Option<LogFormat>,

    /// Describe the tap and its settings and end
    #[arg(long)]
    pub(super) about: bool,

    /// Form of --about and --plan
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

impl TapArguments {
    /// The config and the client made of it.
    pub(super) fn session(&self) -> Result<Session, TapError> {
        let sources: Vec<ConfigSource> = self.config.iter().map(|source| source.as_str().into()).collect();
        match self.test {
            Some(TestMode::Connection) => Session::open_to_look(&sources),
            _ => Session::open(&sources),
        }
    }

    /// The catalog and the state, read.
    pub(super) fn assignment(&self) -> Result<Assignment, TapError> {
        let state = match &self.state {
            None => None,
            Some(file) => match read(file)? {
                Incoming::State(state) => Some(state),
                Incoming::Nothing(reason) => {
                    tracing::info!("no state in {} ({reason}): this is a first run", file.display());
                    None
                }
            },
        };
        let catalog = match self.catalog.as_ref().or(self.properties.as_ref()) {
            Some(file) => Some(Catalog::read(file)?),
            None => None,
        };
        let shares = self.test.is_some() || self.plan;
        Ok(Assignment { catalog, state, forget: self.full_refresh.clone(), shares })
    }
}

/// Writes the completions of a shell.
pub(super) fn write_completions(shell: Shell) -> Result<(), TapError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut TapArguments::command(), env!("CARGO_PKG_NAME"), &mut script);
    io::stdout().write_all(&script).map_err(TapError::Output)
}

/// Writes the man page.
pub(super) fn write_man() -> Result<(), TapError> {
    let mut page = Vec::new();
    let command = TapArguments::command().version(env!("CARGO_PKG_VERSION"));
    clap_mangen::Man::new(command).render(&mut page).map_err(TapError::Output)?;
    io::stdout().write_all(&page).map_err(TapError::Output)
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
