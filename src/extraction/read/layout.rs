//! Which values of a record are kept.

use std::collections::HashMap;

/// Which values of a record are kept, and in which slot.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) slots: HashMap<Box<str>, usize>,
    /// The names in the order in which HubSpot sends them, for finding the next one without hashing.
    sorted: Vec<(Box<str>, usize)>,
}

impl Layout {
    /// Keeps these properties; a property's slot is its position here. Repeats share the first one's slot.
    pub(crate) fn new<'n>(properties: impl IntoIterator<Item = &'n str>) -> Self {
        let mut slots: HashMap<Box<str>, usize> = HashMap::new();
        for property in properties {
            let next = slots.len();
            slots.entry(Box::from(property)).or_insert(next);
        }
        let mut sorted: Vec<(Box<str>, usize)> = slots.iter().map(|(name, slot)| (name.clone(), *slot)).collect();
        sorted.sort_unstable();
        Self { slots, sorted }
    }

    /// The slot of a property.
    pub(crate) fn slot(&self, property: &str) -> Option<usize> {
        self.slots.get(property).copied()
    }

    /// The properties kept, by name.
    pub(crate) fn properties(&self) -> impl Iterator<Item = &str> {
        self.sorted.iter().map(|(name, _)| &**name)
    }

    /// The properties kept, by slot.
    pub(crate) fn by_slot(&self) -> Vec<&str> {
        let mut names: Vec<(usize, &str)> = self.sorted.iter().map(|(name, slot)| (*slot, &**name)).collect();
        names.sort_unstable();
        names.into_iter().map(|(_, name)| name).collect()
    }

    /// The slot of the property `name`, given how many names were found in order so far.
    pub(crate) fn find(&self, name: &str, found: &mut usize) -> Option<usize> {
        match self.sorted.get(*found) {
            Some((expected, slot)) if &**expected == name => {
                *found += 1;
                Some(*slot)
            }
            _ => self.slots.get(name).copied(),
        }
    }
}
