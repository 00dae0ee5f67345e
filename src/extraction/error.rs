//! Why a run ended before its end, or read less than everything.

use chrono::{DateTime, Utc};
use thiserror::Error;

use crate::client::{ClientError, ObjectType};
use crate::extraction::cache::error::CacheError;

/// Why a run ended before its end.
#[derive(Debug, Error)]
pub enum ExtractError {
    /// HubSpot did not give what was asked for.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A selected stream that the token may not read.
    #[error("the stream {stream} cannot be read: {source}")]
    Stream {
        /// The stream.
        stream: &'static str,
        /// Why.
        #[source]
        source: ClientError,
    },
    /// A side stream that was not read, while all else was.
    #[error("all else was read, but {stream} was not, and its table stays as it is: {source}")]
    Kept {
        /// The stream.
        stream: &'static str,
        /// Why.
        #[source]
        source: ClientError,
    },
    /// Everything was read, of a portal that HubSpot did not name.
    #[error("all was read, but HubSpot does not tell of which portal: {source}")]
    UntoldPortal {
        /// Why.
        #[source]
        source: ClientError,
    },
    /// The search counts records that it does not give.
    #[error(
        "the search counts {expected} {object_type} modified between {from} and {to}, but gives {seen} also when read again; what it gives was written, and the bookmark stays: run again later"
    )]
    Shortfall {
        /// Of which type.
        object_type: ObjectType,
        /// The beginning of the window.
        from: DateTime<Utc>,
        /// Its end.
        to: DateTime<Utc>,
        /// Records counted.
        expected: u64,
        /// Records seen.
        seen: u64,
    },
    /// The search and the list contradict each other.
    #[error(
        "the search counts more {object_type} than the list has, too many to look at one by one; no row was removed: run again later"
    )]
    Contradiction {
        /// Of which type.
        object_type: ObjectType,
    },
    /// A list is shorter than it was, nothing explains it, and the search does not answer.
    #[error(
        "HubSpot shows {listed} {object_type} where there were {known} (unexplained_fall), and its search does not answer; no row is removed, and the next run reads them again"
    )]
    Fall {
        /// Of which type.
        object_type: ObjectType,
        /// Rows of the list.
        listed: u64,
        /// Rows of the last list.
        known: u64,
    },
    /// Records exist that no answer gives.
    #[error(
        "HubSpot says nothing about {count} {object_type} that exist; the state names them, and the next run asks for them again"
    )]
    Unread {
        /// Of which type.
        object_type: ObjectType,
        /// How many.
        count: usize,
    },
    /// The row cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The list does not give records by ascending id, which a sweep with a cache needs.
    #[error("the list does not keep the order of ids")]
    Disordered,
    /// The caller asked for an end.
    #[error("stopped")]
    Stopped,
    /// Nobody takes the records any more; the writer knows why.
    #[error("the output was closed")]
    OutputClosed,
    /// A worker panicked, which is a defect.
    #[error("a worker failed: {0}")]
    Worker(String),
}

impl ExtractError {
    /// Whether everything was read that could be, and the error tells of the rest.
    pub fn comes_last(&self) -> bool {
        matches!(self, Self::Kept { .. } | Self::UntoldPortal { .. })
    }

    /// Whether other objects may still be read.
    pub(crate) fn concerns_one_object(&self) -> bool {
        match self {
            Self::Shortfall { .. }
            | Self::Contradiction { .. }
            | Self::Fall { .. }
            | Self::Unread { .. }
            | Self::Disordered => true,
            Self::Client(error) => !error.ends_all() && !matches!(error, ClientError::Unreachable { .. }),
            _ => false,
        }
    }
}
