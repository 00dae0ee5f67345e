//! A run that is ready.

use crate::client::ClientError;
use crate::extraction::cache::Cache;
use crate::extraction::encode::stamp::Stamp;
use crate::extraction::plan::Plan;
use crate::extraction::plan::bounds::Bounds;
use crate::extraction::sync::side_streams::KeptStream;
use crate::extraction::sync::small_streams::SmallRecords;
use crate::state::State;

/// A run that is ready: what it reads, as whom, from where on.
#[derive(Debug)]
pub struct Run {
    /// What is selected.
    pub plan: Plan,
    /// The small streams, read already.
    pub small: Vec<SmallRecords>,
    /// Streams of which not everything was read.
    pub kept: Vec<KeptStream>,
    /// Why HubSpot does not tell which portal it is, if it may tell later.
    pub portal_failure: Option<ClientError>,
    /// Whose run it is.
    pub stamp: Stamp,
    /// What bounds it.
    pub bounds: Bounds,
    /// Where it goes on.
    pub state: State,
    /// What the target has, row by row.
    pub cache: Option<Cache>,
}
