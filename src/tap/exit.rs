//! How a run ends: the errors by consequence, and the exit codes.

use std::io;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use thiserror::Error;

use crate::catalog::CatalogError;
use crate::client::ClientError;
use crate::config::ConfigError;
use crate::discovery::DiscoveryError;
use crate::extraction::{ExtractError, PlanError};
use crate::state::StateError;

/// A setting, catalog, state or argument is wrong: fix it, then run again.
pub(super) const USAGE: u8 = 2;
/// HubSpot refuses the token, a scope or the portal: fix it in HubSpot, then run again.
const REFUSED: u8 = 3;
/// HubSpot could not be reached or kept failing: run again later with the last state.
const UNAVAILABLE: u8 = 4;
/// HubSpot's search counts records that it does not give: run again later with the last state.
const INCOMPLETE: u8 = 5;
/// The daily quota is used up, or what is left of it is kept for other apps: run again after midnight in the portal's time
/// zone.
const QUOTA: u8 = 6;
/// Nobody took the messages (closed pipe, full disk): look at the target, then run again with its last state.
const OUTPUT: u8 = 7;
/// Another run of the same portal is under way: let it end.
const LOCKED: u8 = 8;
/// A defect of the tap.
const DEFECT: u8 = 70;
/// SIGINT, as shells count it.
const INTERRUPTED: u8 = 130;
/// SIGTERM, as shells count it.
const TERMINATED: u8 = 143;

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
    #[error("another run of portal {portal_id} is under way: {holder} holds {path}; run again when it has ended", path = path.display())]
    Locked { portal_id: String, path: PathBuf, holder: String },
    #[error("lock_path cannot be used: {path}: {reason}", path = path.display())]
    LockUnusable { path: PathBuf, reason: io::Error },
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
            Self::LockUnusable { .. } => USAGE,
            Self::Locked { .. } => LOCKED,
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
            // A run that is asked to stop says by whom instead.
            Self::Extract(ExtractError::Worker(_) | ExtractError::Stopped) | Self::Runtime(_) => DEFECT,
            Self::Interrupted => INTERRUPTED,
            Self::Terminated => TERMINATED,
        }
    }

    /// From when on a run of the same portal can succeed, where the error is one of time and that is known.
    pub(super) fn resume_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Discovery(DiscoveryError::Client(error))
            | Self::Client(error)
            | Self::Extract(ExtractError::Client(error) | ExtractError::Stream { source: error, .. }) => {
                error.resume_at()
            }
            _ => None,
        }
    }

    /// A reader that left knows why; a shell pipeline shows its error, not ours.
    pub(super) fn is_quiet(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

fn of_client(error: &ClientError) -> u8 {
    match error {
        ClientError::Setup { .. } | ClientError::TokenCache { .. } => USAGE,
        ClientError::Unauthorized { .. } | ClientError::MissingScopes { .. } | ClientError::Refused { .. } => REFUSED,
        ClientError::DailyLimit { .. } | ClientError::DailyReserve { .. } => QUOTA,
        ClientError::Migrating { .. }
        | ClientError::Failing { .. }
        | ClientError::Unreachable { .. }
        | ClientError::Malformed { .. } => UNAVAILABLE,
    }
}
