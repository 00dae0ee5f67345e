//! What a run knows of other records, so that it asks once.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::{Mutex, PoisonError};

use super::field::Mark;
use super::identity::Token;
use super::memory::Memory;
use super::wanted::Wish;
use crate::client::{AssociationType, ObjectId, ObjectType};

/// In place of an id: several records have the name.
const SEVERAL: ObjectId = ObjectId(0);

/// Records by their marks.
#[derive(Debug, Default)]
pub(super) struct Known {
    records: Memory,
    types: HashMap<(ObjectType, ObjectType), Vec<AssociationType>>,
    /// The portal has no unique property that holds the domains of companies.
    pub(super) lacks_company_key: bool,
}

/// A record that a name alone stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    None,
    One(ObjectId),
    Several,
}

/// The token of a record's mark.
pub(super) fn mark_token(object_type: &ObjectType, mark: Mark, value: &str) -> Token {
    let mark = match mark {
        Mark::Id => "hs_object_id",
        Mark::Email => "email",
        Mark::Domain => "domain",
        Mark::Name => "dealname",
    };
    Token::of_value(object_type, mark, value)
}

impl Known {
    pub(super) fn record(&self, wish: &Wish) -> io::Result<Option<ObjectId>> {
        self.records.get(mark_token(&wish.to, wish.mark, &wish.value))
    }

    /// A contact's deal by its name.
    pub(super) fn deal(&self, contact: ObjectId, name: &str) -> io::Result<Option<ObjectId>> {
        self.records.get(Token::of_deal(contact, name))
    }

    /// Remembers a record by one of its marks.
    pub(super) fn learn(&mut self, token: Token, id: ObjectId) -> io::Result<()> {
        self.records.insert(token, id)
    }

    /// A deal of this run by its name, whatever its contact.
    pub(super) fn deal_named(&self, name: &str) -> io::Result<Named> {
        Ok(match self.records.get(mark_token(&ObjectType::DEALS, Mark::Name, name))? {
            None => Named::None,
            Some(SEVERAL) => Named::Several,
            Some(id) => Named::One(id),
        })
    }

    /// Remembers that a deal of this run has a name; of two deals with one name neither is meant by it.
    pub(super) fn learn_deal_name(&mut self, name: &str, id: ObjectId) -> io::Result<()> {
        let id = match self.deal_named(name)? {
            Named::One(known) if known != id => SEVERAL,
            Named::Several => SEVERAL,
            _ => id,
        };
        self.learn(mark_token(&ObjectType::DEALS, Mark::Name, name), id)
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

/// A set that may hold more than was put in, in memory of one size.
#[derive(Debug, Default)]
pub(super) struct Filter {
    /// Empty until something is put in.
    bits: Vec<u64>,
}

impl Filter {
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
pub(super) struct Fresh {
    filters: HashMap<ObjectType, Mutex<Filter>>,
}

impl Fresh {
    /// Remembers that the portal has no record of a type.
    pub(super) fn is_empty_of(&mut self, object_type: &ObjectType) {
        self.filters.insert(object_type.clone(), Mutex::default());
    }

    /// Whether none of the keys can be there; from now on all of them can. A doubt says no, and costs a call.
    pub(super) fn is_new(&self, object_type: &ObjectType, keys: &[&str]) -> bool {
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
        let mut fresh = Fresh::default();
        assert!(!fresh.is_new(&ObjectType::CONTACTS, &["a"]), "nothing is known of the portal");
        fresh.is_empty_of(&ObjectType::CONTACTS);
        assert!(fresh.is_new(&ObjectType::CONTACTS, &["a", "b"]));
        assert!(!fresh.is_new(&ObjectType::CONTACTS, &["b", "c"]));
        assert!(!fresh.is_new(&ObjectType::CONTACTS, &["c"]), "it was asked for with b and may have been written");
    }

    #[test]
    fn a_name_that_two_deals_have_means_neither() {
        let mut known = Known::default();
        known.learn_deal_name("plan", ObjectId(5)).expect("memory");
        known.learn_deal_name("plan", ObjectId(5)).expect("memory");
        assert_eq!(known.deal_named("plan").expect("memory"), Named::One(ObjectId(5)));
        known.learn_deal_name("plan", ObjectId(6)).expect("memory");
        assert_eq!(known.deal_named("plan").expect("memory"), Named::Several);
    }
}
