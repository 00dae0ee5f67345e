//! The records that a run has read or written, so that each is looked up once.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::{Mutex, PoisonError};

use super::desired::AssociationRef;
use super::field::LookupBy;
use super::identity::KeyHash;
use super::spill_map::SpillMap;
use crate::client::{AssociationType, ObjectId, ObjectType};

/// In place of an id: several records have the name.
const SEVERAL: ObjectId = ObjectId(0);

/// Ids of records by the values that lines refer to them by.
#[derive(Debug, Default)]
pub(super) struct RecordIndex {
    records: SpillMap,
    types: HashMap<(ObjectType, ObjectType), Vec<AssociationType>>,
    /// The portal has no unique property that holds the domains of companies.
    pub(super) company_key_missing: bool,
}

/// The deals of this run that have a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DealByName {
    None,
    One(ObjectId),
    Ambiguous,
}

/// The hash of a value that a record is referred to by.
pub(super) fn lookup_key(object_type: &ObjectType, lookup_by: LookupBy, value: &str) -> KeyHash {
    let lookup_by = match lookup_by {
        LookupBy::Id => "hs_object_id",
        LookupBy::Email => "email",
        LookupBy::Domain => "domain",
        LookupBy::Name => "dealname",
    };
    KeyHash::of_value(object_type, lookup_by, value)
}

impl RecordIndex {
    pub(super) fn record(&self, reference: &AssociationRef) -> io::Result<Option<ObjectId>> {
        self.records.get(lookup_key(&reference.to, reference.lookup_by, &reference.value))
    }

    /// A company that this run wrote or referred to, by a domain that it has or had.
    pub(super) fn company(&self, domain: &str) -> io::Result<Option<ObjectId>> {
        self.records.get(lookup_key(&ObjectType::COMPANIES, LookupBy::Domain, domain))
    }

    /// A contact's deal by its name.
    pub(super) fn deal(&self, contact: ObjectId, name: &str) -> io::Result<Option<ObjectId>> {
        self.records.get(KeyHash::of_deal(contact, name))
    }

    /// Adds a record under one of the values that it is referred to by.
    pub(super) fn learn(&mut self, token: KeyHash, id: ObjectId) -> io::Result<()> {
        self.records.insert(token, id)
    }

    /// A deal of this run by its name, whatever its contact.
    pub(super) fn deal_named(&self, name: &str) -> io::Result<DealByName> {
        Ok(match self.records.get(lookup_key(&ObjectType::DEALS, LookupBy::Name, name))? {
            None => DealByName::None,
            Some(SEVERAL) => DealByName::Ambiguous,
            Some(id) => DealByName::One(id),
        })
    }

    /// Remembers that a deal of this run has a name; a name that two deals have refers to neither.
    pub(super) fn learn_deal_name(&mut self, name: &str, id: ObjectId) -> io::Result<()> {
        let id = match self.deal_named(name)? {
            DealByName::One(index) if index != id => SEVERAL,
            DealByName::Ambiguous => SEVERAL,
            _ => id,
        };
        self.learn(lookup_key(&ObjectType::DEALS, LookupBy::Name, name), id)
    }

    pub(super) fn types(&self, from: &ObjectType, to: &ObjectType) -> Option<&[AssociationType]> {
        self.types.get(&(from.clone(), to.clone())).map(Vec::as_slice)
    }

    pub(super) fn learn_types(&mut self, from: &ObjectType, to: &ObjectType, types: Vec<AssociationType>) {
        self.types.insert((from.clone(), to.clone()), types);
    }
}

/// Bits of a filter; a power of two. 8 MB tell a million keys apart with few mistakes.
const FILTER_BITS: usize = 1 << 26;

/// A set of fixed size that may report members that were never inserted.
#[derive(Debug, Default)]
pub(super) struct BloomFilter {
    /// Empty until something is put in.
    bits: Vec<u64>,
}

impl BloomFilter {
    /// Whether the key may be in it.
    pub(super) fn holds(&self, key: impl Hash) -> bool {
        !self.bits.is_empty() && Self::places(&key).iter().all(|bit| self.bits[bit / 64] >> (bit % 64) & 1 == 1)
    }

    pub(super) fn insert(&mut self, key: impl Hash) {
        if self.bits.is_empty() {
            self.bits = vec![0; FILTER_BITS / 64];
        }
        for bit in Self::places(&key) {
            self.bits[bit / 64] |= 1 << (bit % 64);
        }
    }

    fn places(key: &impl Hash) -> [usize; 4] {
        std::array::from_fn(|seed| {
            let mut hasher = DefaultHasher::new();
            (seed, key).hash(&mut hasher);
            usize::try_from(hasher.finish() % FILTER_BITS as u64).unwrap_or(0)
        })
    }
}

/// Which records cannot be in the portal: it had none of the type when the run began, and the run has not written one
/// with that key. Looking for them would cost as many calls as writing them.
#[derive(Debug, Default)]
pub(super) struct AbsentKeys {
    filters: HashMap<ObjectType, Mutex<BloomFilter>>,
}

impl AbsentKeys {
    /// Remembers that the portal has no record of a type.
    pub(super) fn add_empty_type(&mut self, object_type: &ObjectType) {
        self.filters.insert(object_type.clone(), Mutex::default());
    }

    /// Whether none of the values can be in the portal; from now on all of them can. Each is the hash of a unique property
    /// and its value. A false negative costs one call; there are no false positives.
    pub(super) fn are_absent(&self, object_type: &ObjectType, keys: &[KeyHash]) -> bool {
        let Some(filter) = self.filters.get(object_type) else { return false };
        let mut filter = filter.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all_new = true;
        for key in keys {
            all_new &= !filter.holds(key);
            filter.insert(key);
        }
        all_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_new_once() {
        let mut absent = AbsentKeys::default();
        let [a, b, c] = ["a", "b", "c"].map(|value| KeyHash::of_value(&ObjectType::CONTACTS, "email", value));
        assert!(!absent.are_absent(&ObjectType::CONTACTS, &[a]), "nothing is known of the portal");
        absent.add_empty_type(&ObjectType::CONTACTS);
        assert!(absent.are_absent(&ObjectType::CONTACTS, &[a, b]));
        assert!(!absent.are_absent(&ObjectType::CONTACTS, &[b, c]));
        assert!(!absent.are_absent(&ObjectType::CONTACTS, &[c]), "it was asked for with b and may have been written");
    }

    #[test]
    fn a_value_of_another_property_is_another_key() {
        let mut absent = AbsentKeys::default();
        absent.add_empty_type(&ObjectType::CONTACTS);
        let of = |property: &str| KeyHash::of_value(&ObjectType::CONTACTS, property, "7");
        assert!(absent.are_absent(&ObjectType::CONTACTS, &[of("customer_no")]));
        assert!(absent.are_absent(&ObjectType::CONTACTS, &[of("supplier_no")]));
    }

    #[test]
    fn a_name_that_two_deals_have_means_neither() {
        let mut index = RecordIndex::default();
        index.learn_deal_name("plan", ObjectId(5)).expect("memory");
        index.learn_deal_name("plan", ObjectId(5)).expect("memory");
        assert_eq!(index.deal_named("plan").expect("memory"), DealByName::One(ObjectId(5)));
        index.learn_deal_name("plan", ObjectId(6)).expect("memory");
        assert_eq!(index.deal_named("plan").expect("memory"), DealByName::Ambiguous);
    }
}
