//! How a run ends: the errors by consequence.

use std::io;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use thiserror::Error;

use crate::catalog::CatalogError;
use crate::client::ClientError;
use crate::config::ConfigError;
use crate::discovery::DiscoveryError;
use crate::exit::{
    DEFECT, INCOMPLETE, INTERRUPTED, LOCKED, OUTPUT, QUOTA, REFUSED, TENANTS, TERMINATED, UNAVAILABLE, USAGE, of_client,
};
use crate::extraction::{ExtractError, PlanError};
use crate::property::format_instant;
use crate::state::StateError;

/// Who can do something about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consequence {
    /// The user: a setting, the token or a scope is wrong.
    Fix,
    /// Time: it passes.
    Later,
    /// Who maintains the tap.
    Defect,
}

/// Why a run ended before its end.
#[derive(Debug, Error)]
pub enum TapError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The catalog is wrong.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The state is wrong.
    #[error(transparent)]
    State(#[from] StateError),
    /// The catalog cannot be carried out.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The portal cannot be described.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// HubSpot did not give what was asked for.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Extraction ended before its end.
    #[error(transparent)]
    Extract(#[from] ExtractError),
    /// A stream that is none of this tap's is to be read again.
    #[error("--full-refresh names the stream {stream:?}, which this tap does not have; it has {known}")]
    UnknownStream {
        /// What was named.
        stream: String,
        /// What there is.
        known: String,
    },
    /// Nobody took the messages.
    #[error("messages cannot be written to stdout: {0}; the last STATE that arrived is safe to go on from")]
    Output(#[source] io::Error),
    /// Another run of the portal is under way.
    #[error("another run of portal {portal_id} is under way: {holder} holds {path}; run again when it has ended", path = path.display())]
    Locked {
        /// The portal.
        portal_id: String,
        /// The lock's file.
        path: PathBuf,
        /// Who holds it.
        holder: String,
    },
    /// The folder of locks cannot be used.
    #[error("lock_path cannot be used: {path}: {reason}", path = path.display())]
    LockUnusable {
        /// The lock's file.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// The run report cannot be written where the settings say.
    #[error("report_path {path} cannot be written: {source}", path = path.display())]
    Report {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The folder of many tenants, or of one of them, cannot be used.
    #[error("the tenants' folder {folder} cannot be used: {source}", folder = folder.display())]
    Tenants {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Some of many tenants failed.
    #[error("{failed} of {all} tenants failed: {names}; the table and the report say why")]
    TenantsFailed {
        /// How many failed.
        failed: usize,
        /// Of how many.
        all: usize,
        /// Some of their names.
        names: String,
    },
    /// A tenant's thread panicked, which is a defect.
    #[error("the run of this tenant broke down; its log says where")]
    Panicked,
    /// The process lacks what it needs to run.
    #[error("the runtime cannot be started: {0}")]
    Runtime(#[source] io::Error),
    /// SIGINT came.
    #[error("stopped by SIGINT; the last STATE written is safe to go on from")]
    Interrupted,
    /// SIGTERM came.
    #[error("stopped by SIGTERM; the last STATE written is safe to go on from")]
    Terminated,
}

impl TapError {
    /// The exit code by consequence.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::Catalog(_)
            | Self::State(_)
            | Self::UnknownStream { .. }
            | Self::Report { .. }
            | Self::Tenants { .. }
            | Self::LockUnusable { .. } => USAGE,
            Self::Locked { .. } => LOCKED,
            Self::Plan(PlanError::Catalog(_)) => USAGE,
            Self::Plan(PlanError::MissingScope { .. }) | Self::Discovery(DiscoveryError::OtherPortal { .. }) => REFUSED,
            Self::Discovery(DiscoveryError::Client(error))
            | Self::Client(error)
            | Self::Extract(ExtractError::Client(error) | ExtractError::Stream { source: error, .. }) => {
                of_client(error)
            }
            Self::Extract(
                ExtractError::Shortfall { .. } | ExtractError::Contradiction { .. } | ExtractError::Unread { .. },
            ) => INCOMPLETE,
            Self::Extract(ExtractError::Cache(_)) => USAGE,
            Self::Extract(ExtractError::Disordered) => UNAVAILABLE,
            Self::Extract(ExtractError::OutputClosed) | Self::Output(_) => OUTPUT,
            // A run that is asked to stop says by whom instead.
            Self::Extract(ExtractError::Worker(_) | ExtractError::Stopped) | Self::Runtime(_) | Self::Panicked => {
                DEFECT
            }
            Self::TenantsFailed { .. } => TENANTS,
            Self::Interrupted => INTERRUPTED,
            Self::Terminated => TERMINATED,
        }
    }

    /// Who can do something about it, and when.
    pub fn consequence(&self) -> Consequence {
        match self.exit_code() {
            USAGE | REFUSED => Consequence::Fix,
            DEFECT => Consequence::Defect,
            _ => Consequence::Later,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match (self.exit_code(), self.resume_at()) {
            (_, Some(at)) => format!("run again with the last state from {} on", format_instant(at)),
            (USAGE, _) => "fix what the message names, then run again".to_owned(),
            (REFUSED, _) => "fix the token, or add the scope named, then run again".to_owned(),
            (QUOTA, _) => "run again with the last state after midnight in the portal's time zone".to_owned(),
            (OUTPUT, _) => "look at the target, then run again with its last state".to_owned(),
            (LOCKED, _) => "let the other run end, then run again".to_owned(),
            (TENANTS, _) => "do what the table says of each, then run again".to_owned(),
            (DEFECT, _) => "this is a defect of the tap: report it".to_owned(),
            _ => "run again later with the last state".to_owned(),
        }
    }

    /// From when on a run of the same portal can succeed, where the error is one of time and that is known.
    pub fn resume_at(&self) -> Option<DateTime<Utc>> {
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
    pub fn is_quiet(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
