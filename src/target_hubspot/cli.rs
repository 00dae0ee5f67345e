//! The command line, as Singer targets have it.

use std::io::{self, Write};

use clap::Parser;

use super::lines::InputFormat;
use super::physical_lines::PlainStream;
use crate::about::AboutFormat;
use crate::exit;

/// Singer target for HubSpot: reads SCHEMA, RECORD and STATE messages from stdin and writes contacts, companies, deals
/// and tickets with their associations. STATE goes to stdout once everything before it is in HubSpot.
#[derive(Debug, Parser)]
#[command(name = "target-hubspot", disable_version_flag = true)]
pub(super) struct TargetArguments {
    /// Settings: a JSON file, or ENV for environment variables and .env; may be repeated, a later one wins
    #[arg(long, short, value_name = "FILE|ENV")]
    pub(super) config: Vec<String>,

    /// Print what would be created, changed and rejected, and write nothing
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Take plain records of this stream instead of Singer messages: one JSON object a line, or CSV with --csv
    #[arg(long, value_name = "NAME")]
    pub(super) stream: Option<String>,

    /// Field of --stream that tells its records apart; may be repeated
    #[arg(long, value_name = "FIELD", requires = "stream", value_delimiter = ',')]
    pub(super) key: Vec<String>,

    /// Take a CSV file with a header
    #[arg(long, requires = "stream")]
    pub(super) csv: bool,

    /// What separates the columns of --csv, where the header does not show it
    #[arg(long, value_name = "CHAR|tab", requires = "csv", value_parser = delimiter)]
    pub(super) delimiter: Option<u8>,

    /// Check the connection, what the token may do and what the config names, and end as a run would
    #[arg(long)]
    pub(super) test: bool,

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

impl TargetArguments {
    /// The form that stdin has.
    pub(super) fn format(&self) -> InputFormat {
        let Some(name) = &self.stream else { return InputFormat::Singer };
        let stream = PlainStream { name: name.clone(), key_properties: self.key.clone() };
        match self.csv {
            true => InputFormat::Table(stream, self.delimiter),
            false => InputFormat::Records(stream),
        }
    }
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        [one] if one.is_ascii() && !one.is_ascii_alphanumeric() && *one != b'"' => Ok(*one),
        _ => Err("it must be one character such as , or ; or the word tab".to_owned()),
    }
}

/// Writes the help that was asked for, or what is wrong with the arguments; returns the exit code.
pub(super) fn report(error: &clap::Error) -> u8 {
    if !error.use_stderr() {
        // Help goes to stdout; a closed stdout is no error.
        let _ = error.print();
        return 0;
    }
    let text = error.render().to_string();
    // Missing arguments are on lines of their own.
    let cause: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    let cause = cause.join(" ").trim_start_matches("error: ").to_owned();
    // The last line of stderr is what orchestrators show.
    let _ = writeln!(io::stderr(), "ERROR {cause}; see --help");
    exit::USAGE
}
