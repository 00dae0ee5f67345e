//! How a run ends: the errors by consequence.

use std::io;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use thiserror::Error;

use crate::catalog::CatalogError;
use crate::client::ClientError;
use crate::config::ConfigError;
use crate::discovery::DiscoveryError;
use crate::disk::is_full;
use crate::exit::{
    DEFECT, INCOMPLETE, INTERRUPTED, LOCKED, OUTPUT, QUOTA, REFUSED, TENANTS, TERMINATED, UNAVAILABLE, USAGE,
    of_client, of_file,
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
    /// The connection was tested, and what is read by default lacks something.
    #[error("the token cannot read everything that is read by default: {problems}")]
    MissingAccess {
        /// Each with what to do about it.
        problems: String,
    },
    /// A stream that is none of this tap's is to be read again.
    #[error("--full-refresh names the stream {stream:?}, which this tap does not have; it has {known}")]
    UnknownStream {
        /// What was named.
        stream: String,
        /// What there is.
        known: String,
    },
    /// Stdout was closed or not writable.
    #[error("{}; the last STATE that arrived is safe to go on from", unwritten(.0))]
    Output(#[source] io::Error),
    /// The command that takes the messages failed.
    #[error("the output command ended with {ended}: {said}; the last STATE that it printed is safe to go on from")]
    OutputCommand {
        /// How it ended.
        ended: String,
        /// What it said last.
        said: String,
    },
    /// The command that takes the messages does not even start.
    #[error(
        "the output command cannot be started: {0}; its program has to be on the PATH, and pipes, redirections and \
         variables in it need a shell (sh)"
    )]
    OutputUnstarted(#[source] io::Error),
    /// A file beside the messages that a run cannot do without.
    #[error("{path} cannot be used: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another run of the same is under way.
    #[error("another run of {of} is under way: {holder} holds {path}; run again when it has ended", path = path.display())]
    Locked {
        /// What is run: a portal, a tenant.
        of: String,
        /// The lock's file.
        path: PathBuf,
        /// Who holds it.
        holder: String,
    },
    /// A lock's file cannot be used.
    #[error("lock_path cannot be used: {path}: {reason}", path = path.display())]
    LockUnusable {
        /// The lock's file.
        path: PathBuf,
        /// Why.
        reason: io::Error,
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
    /// A part of the program panicked, which is a defect.
    #[error("the program panicked; the lines on stderr that begin with \"thread\" say where")]
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
            | Self::OutputUnstarted(_) => USAGE,
            Self::Tenants { source: error, .. }
            | Self::File { source: error, .. }
            | Self::LockUnusable { reason: error, .. } => of_file(error),
            Self::Locked { .. } => LOCKED,
            Self::Plan(PlanError::Catalog(_)) => USAGE,
            Self::Plan(PlanError::MissingScope { .. } | PlanError::NothingReadable { .. })
            | Self::MissingAccess { .. }
            | Self::Discovery(DiscoveryError::OtherPortal { .. }) => REFUSED,
            Self::Discovery(DiscoveryError::Client(error) | DiscoveryError::UnknownPortal { source: error, .. })
            | Self::Client(error)
            | Self::Extract(
                ExtractError::Client(error)
                | ExtractError::Stream { source: error, .. }
                | ExtractError::Kept { source: error, .. }
                | ExtractError::UntoldPortal { source: error },
            ) => of_client(error),
            Self::Extract(
                ExtractError::Shortfall { .. }
                | ExtractError::Contradiction { .. }
                | ExtractError::Fall { .. }
                | ExtractError::Unread { .. },
            ) => INCOMPLETE,
            Self::Extract(ExtractError::Cache(error)) => {
                if error.is_full() {
                    OUTPUT
                } else {
                    USAGE
                }
            }
            Self::Extract(ExtractError::Disordered) => UNAVAILABLE,
            Self::Extract(ExtractError::OutputClosed) | Self::Output(_) | Self::OutputCommand { .. } => OUTPUT,
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
            (OUTPUT, _) if self.is_of_disk() => "make room on the disk, then run again with the last state".to_owned(),
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
            | Self::Extract(
                ExtractError::Client(error)
                | ExtractError::Stream { source: error, .. }
                | ExtractError::Kept { source: error, .. }
                | ExtractError::UntoldPortal { source: error },
            ) => error.resume_at(),
            _ => None,
        }
    }

    /// Whether a disk is full, and no reader to blame.
    fn is_of_disk(&self) -> bool {
        match self {
            Self::Output(error) => is_full(error.kind()),
            Self::OutputCommand { .. } | Self::Extract(ExtractError::OutputClosed) => false,
            _ => self.exit_code() == OUTPUT,
        }
    }
}

/// Why messages cannot be written.
fn unwritten(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::BrokenPipe => {
            "the reader of stdout (the target) ended before everything was written, and its own log says why".to_owned()
        }
        _ => format!("messages cannot be written to stdout: {error}"),
    }
}
