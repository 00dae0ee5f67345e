//! Pages on their way from the list to the encoder.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::client::ObjectId;
use crate::extraction::cache::entry::CachedRow;
use crate::extraction::enrich::associations::AssociationIndex;
use crate::extraction::enrich::details::Details;
use crate::extraction::read::memory::MemoryPermit;
use crate::extraction::read::page::Page;

/// A page and those of its records that are to be written.
#[derive(Debug)]
pub(crate) struct FilteredPage {
    pub(crate) page: Page,
    pub(crate) rows: Vec<usize>,
    /// Which page of the run it is.
    pub(crate) number: u64,
    pub(crate) extracted_at: DateTime<Utc>,
    /// The memory it counts for.
    pub(crate) held: Option<MemoryPermit>,
}

/// A page with its associations, by type.
#[derive(Debug)]
pub(crate) struct PageWithAssociations {
    pub(crate) kept: FilteredPage,
    pub(crate) links: Arc<Vec<AssociationIndex>>,
}

/// Pages that have all they need.
#[derive(Debug)]
pub(crate) struct EnrichedPages {
    pub(crate) pages: Vec<PageWithAssociations>,
    /// Of contacts and companies.
    pub(crate) details: [Details; 2],
    /// What the row cache has of the rows, and of those that were merged into them.
    pub(crate) known: BTreeMap<ObjectId, CachedRow>,
    /// Records that others are said to have been merged into, and that are live.
    pub(crate) live_merged_away: BTreeSet<ObjectId>,
}

impl FilteredPage {
    pub(crate) fn ids(&self) -> impl Iterator<Item = ObjectId> {
        self.rows.iter().map(|row| self.page.ids()[*row])
    }
}

impl PageWithAssociations {
    pub(crate) fn ids(&self) -> impl Iterator<Item = ObjectId> {
        self.kept.ids()
    }
}
