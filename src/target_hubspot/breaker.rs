//! Stops a run when HubSpot refuses every record for one reason.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::client::ObjectType;

/// Batches in a row, each refused as a whole for one reason, after which a run stops.
const BATCHES: u32 = 3;
/// A refused batch with fewer records does not stop the run.
pub(super) const MIN_RECORDS: usize = 20;

/// An object type and what is done to its records.
type Write = (ObjectType, &'static str);

/// Counts batches of which HubSpot took no record, by object type and operation.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    refused: Mutex<HashMap<Write, RefusedBatches>>,
}

/// Batches in a row that were refused for one reason.
#[derive(Debug, Default)]
struct RefusedBatches {
    reason: String,
    batches: u32,
}

impl Breaker {
    /// Counts a batch of which HubSpot took no record, for one reason; true once a run has to stop.
    pub(super) fn refused(&self, object_type: &ObjectType, operation: &'static str, reason: &str) -> bool {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let row = refused.entry((object_type.clone(), operation)).or_default();
        let reason = kind_of(reason);
        if row.reason != reason {
            *row = RefusedBatches { reason, batches: 0 };
        }
        row.batches += 1;
        row.batches >= BATCHES
    }

    /// Counts a record that HubSpot took.
    pub(super) fn accepted(&self, object_type: &ObjectType, operation: &'static str) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.remove(&(object_type.clone(), operation));
    }
}

/// A reason without what differs from record to record: digits and quoted text.
pub(super) fn kind_of(reason: &str) -> String {
    let mut kind = String::with_capacity(reason.len());
    for (at, part) in reason.split(['"', '\'']).enumerate() {
        if at % 2 == 0 {
            let words = part.split_whitespace().filter(|word| !word.contains(['@', '=']));
            kind.extend(words.flat_map(|word| word.chars().filter(|one| !one.is_numeric()).chain([' '])));
        }
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_batches_refused_for_one_reason_stop_a_run() {
        let breaker = Breaker::default();
        let contacts = &ObjectType::CONTACTS;
        assert!(!breaker.refused(contacts, "creation", "limit of 1000 contacts reached"));
        assert!(!breaker.refused(contacts, "creation", "limit of 2000 contacts reached"));
        assert!(!breaker.refused(&ObjectType::DEALS, "creation", "limit of 2000 contacts reached"));
        breaker.accepted(contacts, "creation");
        assert!(!breaker.refused(contacts, "creation", "limit of 1000 contacts reached"));
        assert!(!breaker.refused(contacts, "creation", "something else"));
        assert!(!breaker.refused(contacts, "creation", "limit of 1000 contacts reached"));
        assert!(!breaker.refused(contacts, "creation", "limit of 1000 contacts reached"));
        assert!(breaker.refused(contacts, "creation", "limit of 1000 contacts reached"));
    }

    #[test]
    fn a_reason_is_of_one_kind_whatever_its_values() {
        assert_eq!(kind_of("Property \"a\" of 17 is bad"), kind_of("Property \"bb\" of 18 is bad"));
        assert_ne!(kind_of("Property values were not valid"), kind_of("Contact limit reached"));
    }
}
