//! How much a portal takes at once, as a client has learned from what it refused.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// Inputs of one association batch read.
/// <https://developers.hubspot.com/docs/api-reference/latest/crm/associations/associate-records/guide>
const MAX_INPUTS: usize = 1000;
/// Batches that succeed before larger ones are tried again.
const SUCCESSES_TO_GROW: u32 = 8;
/// Records of one page of a search, HubSpot's maximum.
/// <https://developers.hubspot.com/docs/api-reference/latest/crm/search-the-crm>
const MAX_SEARCH_PAGE: u32 = 200;
/// What a client has learned of a portal's association batch reads.
#[derive(Debug)]
pub(super) struct AssociationBatches {
    size: Mutex<BatchSize>,
    /// The portal says so of records without associations, so that silence means something else.
    excuses: AtomicBool,
}

/// How many inputs a batch may have.
#[derive(Debug)]
struct BatchSize {
    most: usize,
    successes: u32,
    /// A portal that takes no more, whatever is in the batch.
    is_final: bool,
}

/// The records that one search returns at most: HubSpot's maximum until the portal refuses it.
#[derive(Debug)]
pub(super) struct SearchPageSize(AtomicU32);

impl Default for SearchPageSize {
    fn default() -> Self {
        Self(AtomicU32::new(MAX_SEARCH_PAGE))
    }
}

impl SearchPageSize {
    /// The maximum until 2024; every portal takes it.
    pub(super) const SMALL: u32 = 100;

    /// The records to ask for.
    pub(super) fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// The portal has refused the maximum.
    pub(super) fn shrink(&self) {
        self.0.store(Self::SMALL, Ordering::Relaxed);
    }
}

impl Default for AssociationBatches {
    fn default() -> Self {
        let size = BatchSize { most: MAX_INPUTS, successes: 0, is_final: false };
        Self { size: Mutex::new(size), excuses: AtomicBool::new(false) }
    }
}

impl AssociationBatches {
    /// The inputs that a batch may have.
    pub(super) fn size(&self) -> usize {
        self.size.lock().unwrap_or_else(PoisonError::into_inner).most
    }

    /// Counts a batch that succeeded, and whether its answer excuses records without associations.
    pub(super) fn succeeded(&self, excuses: bool) {
        self.excuses.fetch_or(excuses, Ordering::Relaxed);
        let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        size.successes += 1;
        if !size.is_final && size.successes >= SUCCESSES_TO_GROW && size.most < MAX_INPUTS {
            (size.most, size.successes) = ((size.most * 2).min(MAX_INPUTS), 0);
        }
    }

    /// Makes further batches smaller; `is_final`: for as long as the client lives.
    pub(super) fn shrink(&self, to: usize, is_final: bool) {
        let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        (size.most, size.successes) = (size.most.min(to.max(1)), 0);
        size.is_final |= is_final;
    }

    /// Whether the portal has ever said that a record has no associations.
    pub(super) fn excuses_records(&self) -> bool {
        self.excuses.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_grow_again_unless_the_portal_takes_no_more() {
        let batches = AssociationBatches::default();
        batches.shrink(500, false);
        (0..SUCCESSES_TO_GROW).for_each(|_| batches.succeeded(false));
        assert_eq!(batches.size(), MAX_INPUTS);
        batches.shrink(100, true);
        (0..10 * SUCCESSES_TO_GROW).for_each(|_| batches.succeeded(false));
        assert_eq!(batches.size(), 100);
    }
}
