//! The command line, as Singer targets have it.

use std::io::{self, Write};

use clap::Parser;

use crate::about::AboutFormat;
use crate::config::ConfigSource;
use crate::exit;
use crate::log::LogFormat;

/// Singer target for Postgres: loads SCHEMA, RECORD and STATE messages from stdin into tables.
#[derive(Debug, Parser)]
#[command(name = "target-pg", disable_version_flag = true)]
pub(super) struct TargetPgArguments {
    /// Settings: a JSON file, or ENV for environment variables and .env; may be repeated, a later one wins
    #[arg(long, short, value_name = "FILE|ENV")]
    pub(super) config: Vec<String>,

    /// URL of the database; wins over the settings. Without both, the PG* variables of libpq say where it is
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,

    /// Check the connection and the rights, create the schema when it is missing, and end
    #[arg(long)]
    pub(super) test: bool,

    /// Log warnings and errors alone
    #[arg(long, short)]
    pub(super) quiet: bool,

    /// Form of the log on stderr; JSON also when Meltano asks for structured logs
    #[arg(long, value_enum)]
    pub(super) log_format: Option<LogFormat>,

    /// Describe the target and its settings and end
    #[arg(long)]
    pub(super) about: bool,

    /// Form of --about
    #[arg(long, value_enum, default_value_t = AboutFormat::Text)]
    pub(super) format: AboutFormat,

    /// Write the version and end
    #[arg(long, short = 'V')]
    pub(super) version: bool,
}

impl TargetPgArguments {
    /// Where the settings come from.
    pub(super) fn sources(&self) -> Vec<ConfigSource> {
        self.config.iter().map(|source| source.as_str().into()).collect()
    }
}

/// Writes the help that was asked for, or what is wrong with the arguments; returns the exit code.
pub(super) fn report(error: &clap::Error) -> u8 {
    if !error.use_stderr() {
        // Help goes to stdout; if that is closed there is nobody to tell.
        let _ = error.print();
        return 0;
    }
    let text = error.render().to_string();
    let cause = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    // The last line of stderr is what orchestrators show.
    let _ = writeln!(io::stderr(), "ERROR {cause}; see --help");
    exit::USAGE
}
