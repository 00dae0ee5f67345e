//! How a run ends: the errors by consequence.

use std::io;

use thiserror::Error;

use crate::catalog::CatalogError;
use crate::client::ClientError;
use crate::config::ConfigError;
use crate::discovery::DiscoveryError;
use crate::exit::{DEFECT, INCOMPLETE, INTERRUPTED, OUTPUT, REFUSED, TERMINATED, UNAVAILABLE, USAGE, of_client};
use crate::extraction::{ExtractError, PlanError};
use crate::state::StateError;

/// Why a run ended before its end.
#[derive(Debug, Error)]
pub(super) enum TapError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Extract(#[from] ExtractError),
    #[error("--full-refresh names the stream {stream:?}, which this tap does not have; it has {known}")]
    UnknownStream { stream: String, known: String },
    #[error("messages cannot be written to stdout: {0}; the last STATE that arrived is safe to go on from")]
    Output(#[source] io::Error),
    #[error("the runtime cannot be started: {0}")]
    Runtime(#[source] io::Error),
    #[error("stopped by SIGINT; the last STATE written is safe to go on from")]
    Interrupted,
    #[error("stopped by SIGTERM; the last STATE written is safe to go on from")]
    Terminated,
}

impl TapError {
    /// The exit code by consequence.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Catalog(_) | Self::State(_) | Self::UnknownStream { .. } => USAGE,
            Self::Plan(PlanError::Catalog(_)) => USAGE,
            Self::Plan(PlanError::MissingScope { .. }) | Self::Discovery(DiscoveryError::OtherPortal { .. }) => REFUSED,
            Self::Discovery(DiscoveryError::Client(error))
            | Self::Client(error)
            | Self::Extract(ExtractError::Client(error) | ExtractError::Stream { source: error, .. }) => {
                of_client(error)
            }
            Self::Extract(ExtractError::Shortfall { .. }) => INCOMPLETE,
            Self::Extract(ExtractError::Cache(_)) => USAGE,
            Self::Extract(ExtractError::Disordered) => UNAVAILABLE,
            Self::Extract(ExtractError::OutputClosed) | Self::Output(_) => OUTPUT,
            Self::Extract(ExtractError::Worker(_)) | Self::Runtime(_) => DEFECT,
            Self::Interrupted => INTERRUPTED,
            Self::Terminated => TERMINATED,
        }
    }

    /// A reader that left knows why; a shell pipeline shows its error, not ours.
    pub(super) fn is_quiet(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
