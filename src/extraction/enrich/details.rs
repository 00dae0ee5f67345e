//! The details of records, encoded, and a bounded cache of them.

use std::collections::HashMap;
use std::ops::Range;

use crate::client::ObjectId;

/// Records kept of the younger half.
const MAX_YOUNG: usize = 28_000;

/// What they may take, so that the cache of a type stays below 6 MB.
const MAX_YOUNG_BYTES: usize = 2 << 20;

/// By how much they grow at once.
const STEP_BYTES: usize = 128 << 10;

/// Encoded columns by record, one behind another in one buffer.
#[derive(Debug, Default)]
pub(crate) struct Details {
    text: Vec<u8>,
    places: HashMap<ObjectId, Range<u32>>,
}

/// Two generations: what was used since the last change of generations, and what was used in the one before.
#[derive(Debug, Default)]
pub(crate) struct DetailCache {
    young: Details,
    old: Details,
}

impl Details {
    /// The encoded column of a record.
    pub(crate) fn get(&self, id: ObjectId) -> Option<&[u8]> {
        let Range { start, end } = self.places.get(&id)?;
        Some(&self.text[*start as usize..*end as usize])
    }

    pub(crate) fn insert(&mut self, id: ObjectId, text: &[u8]) {
        let end = |details: &Self| u32::try_from(details.text.len()).expect("generations and chunks are bounded");
        let start = end(self);
        if self.text.len() + text.len() > self.text.capacity() {
            // By steps: what doubling leaves unused would be as much again.
            self.text.reserve_exact(text.len().max(STEP_BYTES));
        }
        self.text.extend_from_slice(text);
        self.places.insert(id, start..end(self));
    }

    fn len(&self) -> usize {
        self.places.len()
    }
}

impl DetailCache {
    /// Copies what is known of a record into `details`; returns whether something is.
    pub(crate) fn copy(&mut self, id: ObjectId, details: &mut Details) -> bool {
        if let Some(known) = self.young.get(id) {
            details.insert(id, known);
            return true;
        }
        let Some(known) = self.old.get(id).map(<[u8]>::to_vec) else { return false };
        self.insert(id, &known);
        details.insert(id, &known);
        true
    }

    pub(crate) fn insert(&mut self, id: ObjectId, known: &[u8]) {
        if self.young.len() >= MAX_YOUNG || self.young.text.len() >= MAX_YOUNG_BYTES {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(id, known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_used() {
        let mut cache = DetailCache::default();
        let is_known = |cache: &mut DetailCache, id| cache.copy(ObjectId(id), &mut Details::default());
        for id in 0..3 * MAX_YOUNG as u64 {
            cache.insert(ObjectId(id), b"x");
            assert!(is_known(&mut cache, 0));
        }
        assert!(cache.young.len() + cache.old.len() <= 2 * MAX_YOUNG);
        assert!(!is_known(&mut cache, 1));
        for id in 0..300 {
            cache.insert(ObjectId(id), &[b'x'; 64 << 10]);
            assert!(cache.young.text.len() + cache.old.text.len() <= 2 * (MAX_YOUNG_BYTES + (64 << 10)));
        }
    }
}
