//! What a run knows of other records, so that it asks once.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use super::field::Mark;
use super::wanted::Wish;
use crate::client::{AssociationType, ObjectId, ObjectType};

/// Records remembered; then the memory begins anew. 100,000 are some 20 MB.
const MAX_RECORDS: usize = 100_000;

/// Records by their marks.
#[derive(Debug, Default)]
pub(super) struct Known {
    records: HashMap<(ObjectType, Mark, String), ObjectId>,
    /// Deals by contact and name.
    deals: HashMap<(ObjectId, String), ObjectId>,
    types: HashMap<(ObjectType, ObjectType), Vec<AssociationType>>,
}

impl Known {
    pub(super) fn record(&self, wish: &Wish) -> Option<ObjectId> {
        self.records.get(&(wish.to.clone(), wish.mark, wish.value.clone())).copied()
    }

    pub(super) fn learn(&mut self, object_type: &ObjectType, mark: Mark, value: &str, id: ObjectId) {
        if self.records.len() >= MAX_RECORDS {
            self.records.clear();
        }
        self.records.insert((object_type.clone(), mark, value.to_owned()), id);
    }

    pub(super) fn deal(&self, contact: ObjectId, name: &str) -> Option<ObjectId> {
        self.deals.get(&(contact, name.to_owned())).copied()
    }

    pub(super) fn learn_deal(&mut self, contact: ObjectId, name: &str, id: ObjectId) {
        if self.deals.len() >= MAX_RECORDS {
            self.deals.clear();
        }
        self.deals.insert((contact, name.to_owned()), id);
    }

    pub(super) fn types(&self, from: &ObjectType, to: &ObjectType) -> Option<&[AssociationType]> {
        self.types.get(&(from.clone(), to.clone())).map(Vec::as_slice)
    }

    pub(super) fn learn_types(&mut self, from: &ObjectType, to: &ObjectType, types: Vec<AssociationType>) {
        self.types.insert((from.clone(), to.clone()), types);
    }
}

/// Bits of the filter of keys written; a power of two. 8 MB tell a million keys apart with few mistakes.
const FILTER_BITS: usize = 1 << 26;

/// Which records cannot be in the portal: it had none of the type when the run began, and the run has not written one
/// with that key. Looking for them would cost as many calls as writing them.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    filters: HashMap<ObjectType, Mutex<Vec<u64>>>,
}

impl Fresh {
    /// Remembers that the portal has no record of a type.
    pub(super) fn is_empty_of(&mut self, object_type: &ObjectType) {
        self.filters.insert(object_type.clone(), Mutex::new(vec![0; FILTER_BITS / 64]));
    }

    /// Whether none of the keys can be there; from now on all of them can. A doubt says no, and costs a call.
    pub(super) fn is_new(&self, object_type: &ObjectType, keys: &[&str]) -> bool {
        let Some(filter) = self.filters.get(object_type) else { return false };
        let mut filter = filter.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all_new = true;
        for key in keys {
            let mut known = true;
            for seed in 0..4_u8 {
                let mut hasher = DefaultHasher::new();
                (seed, key).hash(&mut hasher);
                let bit = usize::try_from(hasher.finish() % FILTER_BITS as u64).unwrap_or(0);
                known &= filter[bit / 64] >> (bit % 64) & 1 == 1;
                filter[bit / 64] |= 1 << (bit % 64);
            }
            all_new &= !known;
        }
        all_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_new_once() {
        let mut fresh = Fresh::default();
        assert!(!fresh.is_new(&ObjectType::CONTACTS, &["a"]), "nothing is known of the portal");
        fresh.is_empty_of(&ObjectType::CONTACTS);
        assert!(fresh.is_new(&ObjectType::CONTACTS, &["a", "b"]));
        assert!(!fresh.is_new(&ObjectType::CONTACTS, &["b", "c"]));
        assert!(!fresh.is_new(&ObjectType::CONTACTS, &["c"]), "it was asked for with b and may have been written");
    }
}
