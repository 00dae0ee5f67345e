//! The command line, as Airbyte and PyAirbyte call a source.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Airbyte source for HubSpot tickets: reads a portal and writes Airbyte's messages to stdout.
#[derive(Debug, Parser)]
#[command(name = "source-hubspot-tickets", version)]
pub(super) struct SourceArguments {
    #[command(subcommand)]
    pub(super) command: Command,

    /// Accepted for Airbyte's sake; RUST_LOG sets what is logged
    #[arg(long, global = true, hide = true)]
    debug: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write the settings' schema
    Spec,
    /// Check the connection and what the token may read
    Check {
        /// Settings: a JSON file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Write the portal's catalog
    Discover {
        /// Settings: a JSON file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Write the records of the configured streams
    Read {
        /// Settings: a JSON file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Configured catalog: which streams and how
        #[arg(long, value_name = "FILE")]
        catalog: PathBuf,
        /// State messages of the last run, as a JSON array
        #[arg(long, value_name = "FILE")]
        state: Option<PathBuf>,
    },
}
