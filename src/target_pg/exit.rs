//! How a run ends: the errors by consequence.

use std::io;

use thiserror::Error;

use super::input::LineError;
use crate::config::ConfigError;
use crate::exit::{DEFECT, INTERRUPTED, OUTPUT, REFUSED, REJECTED, TERMINATED, UNAVAILABLE, USAGE};

/// Why a run ended before its end.
#[derive(Debug, Error)]
pub(super) enum LoadError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The settings do not say how to reach a database.
    #[error("{reason}")]
    Address { reason: String },
    #[error("{0}; what came before it is loaded, and the last STATE on stdout is safe to go on from")]
    Input(#[from] LineError),
    /// A stream cannot be loaded into its table, whatever its rows.
    #[error("stream {stream:?}: {reason}")]
    Stream { stream: String, reason: String },
    /// Postgres does not take a row.
    #[error("stream {stream:?}, line {line}, {row}: Postgres refuses it: {reason}; nothing of its batch is loaded")]
    Row { stream: String, line: u64, row: String, reason: String },
    #[error("Postgres refuses: {reason}")]
    Denied { reason: String },
    #[error("Postgres has no room: {reason}; nothing of the batch is loaded: make room, then run again")]
    Full { reason: String },
    #[error("{place} cannot be reached: {reason}; run again later from the last STATE on stdout")]
    Unavailable { place: String, reason: String },
    #[error("Postgres: {reason}")]
    Server { reason: String },
    #[error("stdout cannot be written to: {0}")]
    Output(#[source] io::Error),
    #[error("the program cannot be set up: {0}")]
    Runtime(#[source] io::Error),
    #[error("stopped by SIGINT; the last STATE on stdout is safe to go on from")]
    Interrupted,
    #[error("stopped by SIGTERM; the last STATE on stdout is safe to go on from")]
    Terminated,
}

impl LoadError {
    /// The exit code by consequence.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Address { .. } | Self::Input(_) | Self::Stream { .. } | Self::Server { .. } => {
                USAGE
            }
            Self::Denied { .. } => REFUSED,
            Self::Row { .. } => REJECTED,
            Self::Unavailable { .. } => UNAVAILABLE,
            Self::Full { .. } | Self::Output(_) => OUTPUT,
            Self::Runtime(_) => DEFECT,
            Self::Interrupted => INTERRUPTED,
            Self::Terminated => TERMINATED,
        }
    }

    /// A reader that left knows why.
    pub(super) fn is_quiet(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
