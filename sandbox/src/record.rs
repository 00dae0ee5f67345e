//! One CRM record, stored as JSON fragments, so that writing it is copying bytes.

use crate::clock::Millis;
use crate::object_type::ObjectType;
use crate::property_history::{ChangeSource, PropertyHistory, PropertyVersion, most_versions};
use crate::property_values::{PropertySlot, PropertyValues};

/// Whether a record is live, archived or merged into another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordState {
    Live,
    Archived {
        at: Millis,
    },
    /// Gone from every list; reads by this id answer with the surviving record.
    Merged {
        into: u64,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct CrmRecord {
    pub(crate) id: u64,
    pub(crate) created: Millis,
    pub(crate) updated: Millis,
    pub(crate) state: RecordState,
    pub(crate) values: PropertyValues,
    pub(crate) history: PropertyHistory,
}

impl CrmRecord {
    pub(crate) fn is_live(&self) -> bool {
        self.state == RecordState::Live
    }

    pub(crate) fn header(&self) -> RecordHeader {
        let Self { id, created, updated, state, .. } = self;
        RecordHeader { id: *id, created: *created, updated: *updated, state: *state }
    }

    pub(crate) fn archived_at(&self) -> Option<Millis> {
        match self.state {
            RecordState::Archived { at } => Some(at),
            _ => None,
        }
    }
}

/// The id, times and state of a record, without its values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordHeader {
    pub(crate) id: u64,
    pub(crate) created: Millis,
    pub(crate) updated: Millis,
    pub(crate) state: RecordState,
}

impl CrmRecord {
    /// The versions of a property, newest first.
    pub(crate) fn versions(&self, kind: ObjectType, slot: PropertySlot) -> Vec<PropertyVersion> {
        match self.history.written(slot) {
            Some(versions) => versions.iter().take(most_versions(kind)).cloned().collect(),
            None => self.first_version(slot).into_iter().collect(),
        }
    }

    /// Sets a value and keeps its version. A value that is there already makes no version.
    pub(crate) fn set_value(
        &mut self,
        kind: ObjectType,
        slot: PropertySlot,
        value: &[u8],
        at: Millis,
        source: ChangeSource,
    ) {
        if self.values.get(slot) == Some(value) {
            return;
        }
        let mut versions = self.versions(kind, slot);
        versions.insert(0, PropertyVersion { value: value.to_vec(), at, source });
        versions.truncate(most_versions(kind));
        self.history.set(slot, versions);
        self.values.set(slot, Some(value));
    }

    /// The version of a value that the record has had from its beginning.
    fn first_version(&self, slot: PropertySlot) -> Option<PropertyVersion> {
        let value = self.values.get(slot)?.to_vec();
        Some(PropertyVersion { value, at: self.created, source: ChangeSource::Integration })
    }
}
