//! How a run ends: the errors by consequence.

use std::io;

use thiserror::Error;

use super::input::InputError;
use crate::client::ClientError;
use crate::config::ConfigError;
use crate::discovery::DiscoveryError;
use crate::exit::{DEFECT, INTERRUPTED, OUTPUT, REFUSED, REJECTED, TERMINATED, USAGE, of_client};
use crate::session::TapError;

/// Why a run ended before its end.
#[derive(Debug, Error)]
pub(super) enum TargetError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    #[error("{0}{rest}", rest = .0.delivered_before())]
    Input(#[from] InputError),
    #[error("stream {stream:?}: {reason}")]
    Stream { stream: String, reason: String },
    #[error(
        "the token lacks what a run needs: add these scopes to the private app, service key or OAuth app: {}",
        scopes.join(", ")
    )]
    Lacking { scopes: Vec<String> },
    #[error("the config does not fit the portal: {}", faults.join("; "))]
    Mapping { faults: Vec<String> },
    #[error("{rejected} of {all} records are rejected, {allowed} are allowed (max_rejects); the first: {first}")]
    TooManyRejects { rejected: u64, all: u64, allowed: String, first: String },
    #[error(
        "HubSpot refuses every {what} for one reason, so that the run stops; what it took before is \
         delivered: {reason}"
    )]
    RefusesAll { what: String, reason: String },
    #[error("rejects_path: {0}")]
    Rejects(#[source] io::Error),
    #[error("results_path: {0}")]
    Results(#[source] io::Error),
    #[error("a temporary file cannot be used (TMPDIR names the folder): {0}")]
    Spill(#[from] io::Error),
    #[error(transparent)]
    Lock(#[from] TapError),
    #[error("STATE messages cannot be written to stdout: {0}; what was delivered before stays delivered")]
    Output(#[source] io::Error),
    #[error("the runtime cannot be started: {0}")]
    Runtime(#[source] io::Error),
    #[error("the program panicked; the lines on stderr that begin with \"thread\" say where")]
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
            Self::Config(_) | Self::Input(_) | Self::Stream { .. } | Self::Mapping { .. } => USAGE,
            Self::Discovery(DiscoveryError::OtherPortal { .. }) | Self::Lacking { .. } => REFUSED,
            Self::Discovery(DiscoveryError::Client(error) | DiscoveryError::UnknownPortal { source: error, .. })
            | Self::Client(error) => of_client(error),
            Self::TooManyRejects { .. } | Self::RefusesAll { .. } => REJECTED,
            Self::Lock(error) => error.exit_code(),
            Self::Rejects(_) | Self::Results(_) | Self::Spill(_) | Self::Output(_) => OUTPUT,
            Self::Runtime(_) | Self::Panicked => DEFECT,
            Self::Interrupted => INTERRUPTED,
            Self::Terminated => TERMINATED,
        }
    }
}
