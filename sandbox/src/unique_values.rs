//! Which record has a value of a property whose values are unique.

use std::collections::HashMap;

use crate::object_type::ObjectType;
use crate::property_definitions::PropertyDefinitions;
use crate::property_values::{PropertySlot, PropertyValues};
use crate::record::CrmRecord;

/// Values in lower case and trimmed, as HubSpot compares them, of live records alone.
#[derive(Debug, Default)]
pub(crate) struct UniqueValues {
    holders: HashMap<(ObjectType, PropertySlot), HashMap<String, u64>>,
}

pub(crate) fn folded(value: &str) -> String {
    value.trim().to_lowercase()
}

/// The unique values of a record: a contact's further addresses count as addresses.
fn values_of(
    kind: ObjectType,
    properties: &PropertyDefinitions,
    values: &PropertyValues,
) -> Vec<(PropertySlot, String)> {
    let mut found = Vec::new();
    for (slot, def) in properties.iter(false).filter(|(_, def)| def.has_unique_value) {
        let Some(text) = values.text(slot).filter(|text| !text.is_empty()) else { continue };
        if def.name == "hs_additional_emails" && kind == ObjectType::Contacts {
            let email = properties.slot("email").unwrap_or(slot);
            found.extend(text.split(';').map(|one| (email, folded(one))));
        } else {
            found.push((slot, folded(&text)));
        }
    }
    found
}

impl UniqueValues {
    pub(crate) fn holder(&self, kind: ObjectType, slot: PropertySlot, value: &str) -> Option<u64> {
        self.holders.get(&(kind, slot))?.get(&folded(value)).copied()
    }

    /// Indexes the values that a record has now; the first record with a value keeps it.
    pub(crate) fn put(
        &mut self,
        kind: ObjectType,
        properties: &PropertyDefinitions,
        old: Option<&CrmRecord>,
        new: &CrmRecord,
    ) {
        if let Some(old) = old {
            self.remove(kind, properties, old);
        }
        if new.is_live() {
            for (slot, value) in values_of(kind, properties, &new.values) {
                self.holders.entry((kind, slot)).or_default().entry(value).or_insert(new.id);
            }
        }
    }

    pub(crate) fn remove(&mut self, kind: ObjectType, properties: &PropertyDefinitions, old: &CrmRecord) {
        for (slot, value) in values_of(kind, properties, &old.values) {
            if let Some(values) = self.holders.get_mut(&(kind, slot))
                && values.get(&value) == Some(&old.id)
            {
                values.remove(&value);
            }
        }
    }
}
