//! How a run ends: the errors by consequence.

use std::io;

use thiserror::Error;

use super::input::InputError;
use crate::client::ClientError;
use crate::config::ConfigError;
use crate::discovery::DiscoveryError;
use crate::exit::{DEFECT, INTERRUPTED, OUTPUT, REFUSED, REJECTED, TERMINATED, USAGE, of_client};

/// Why a run ended before its end.
#[derive(Debug, Error)]
pub(super) enum TargetError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    #[error("{0}; what came before it is delivered")]
    Input(#[from] InputError),
    #[error("stream {stream:?}: {reason}")]
    Stream { stream: String, reason: String },
    #[error("{rejected} records are rejected, {allowed} are allowed (max_rejects); the first: {first}")]
    TooManyRejects { rejected: u64, allowed: u64, first: String },
    #[error("rejects_path: {0}")]
    Rejects(#[source] io::Error),
    #[error("STATE messages cannot be written to stdout: {0}; what was delivered before stays delivered")]
    Output(#[source] io::Error),
    #[error("the runtime cannot be started: {0}")]
    Runtime(#[source] io::Error),
    #[error("the program broke down; the lines on stderr that begin with \"thread\" say where")]
    Panicked,
    #[error("stopped by SIGINT; deliver again from the last STATE that was written")]
    Interrupted,
    #[error("stopped by SIGTERM; deliver again from the last STATE that was written")]
    Terminated,
}

impl TargetError {
    /// The exit code by consequence.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Input(_) | Self::Stream { .. } => USAGE,
            Self::Discovery(DiscoveryError::OtherPortal { .. }) => REFUSED,
            Self::Discovery(DiscoveryError::Client(error) | DiscoveryError::UnknownPortal { source: error, .. })
            | Self::Client(error) => of_client(error),
            Self::TooManyRejects { .. } => REJECTED,
            Self::Rejects(_) | Self::Output(_) => OUTPUT,
            Self::Runtime(_) | Self::Panicked => DEFECT,
            Self::Interrupted => INTERRUPTED,
            Self::Terminated => TERMINATED,
        }
    }
}
