//! The versions that a record's properties had, as `propertiesWithHistory` gives them: the newest first, and no more than
//! HubSpot keeps.

use crate::clock::{Millis, write_instant};
use crate::object_type::ObjectType;
use crate::property_values::{PropertySlot, json_text};

/// The user who changes records in the sandbox's name.
const USER: u64 = 40_000_001;

/// Who or what changed a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeSource {
    /// A user, one record at a time.
    User,
    /// A user, many records at once.
    BulkAction,
    /// An app, through the API.
    Integration,
    /// HubSpot, by a formula. The record's modified date stays.
    Calculated,
    /// A merge of two records.
    Merge,
}

/// One version of a property's value.
#[derive(Clone, Debug)]
pub(crate) struct PropertyVersion {
    /// The value as the record held it: a JSON string.
    pub(crate) value: Vec<u8>,
    pub(crate) at: Millis,
    pub(crate) source: ChangeSource,
}

/// The versions of the properties that were written since the portal was made, newest first. The versions of any other
/// property follow from its value.
#[derive(Clone, Debug, Default)]
pub(crate) struct PropertyHistory(Vec<(PropertySlot, Vec<PropertyVersion>)>);

/// How many versions of a property HubSpot keeps: 45 of a contact's, 20 of any other object's.
/// <https://knowledge.hubspot.com/properties/property-history>
pub(crate) fn most_versions(kind: ObjectType) -> usize {
    if kind == ObjectType::Contacts { 45 } else { 20 }
}

impl ChangeSource {
    /// Whether such a change moves the record's modified date.
    pub(crate) fn moves_modified_date(self) -> bool {
        self != Self::Calculated
    }

    /// `sourceType`, `sourceId` and `sourceLabel`, and whether a user is named.
    fn parts(self) -> (&'static str, String, Option<&'static str>, bool) {
        match self {
            Self::User => ("CRM_UI", format!("userId:{USER}"), None, true),
            Self::BulkAction => ("CRM_UI_BULK_ACTION", format!("userId:{USER}"), None, true),
            Self::Integration => ("INTEGRATION", "1730001".to_owned(), Some("Support app"), false),
            Self::Calculated => ("CALCULATED", "CalculatedPropertyComputer".to_owned(), None, false),
            Self::Merge => ("MERGE_OBJECTS", format!("userId:{USER}"), None, true),
        }
    }
}

impl PropertyVersion {
    /// Writes it as an entry of `propertiesWithHistory`.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let (source_type, source_id, label, has_user) = self.source.parts();
        out.extend_from_slice(b"{\"value\":");
        out.extend_from_slice(&self.value);
        out.extend_from_slice(b",\"timestamp\":\"");
        write_instant(out, self.at);
        out.extend_from_slice(format!("\",\"sourceType\":\"{source_type}\",\"sourceId\":\"{source_id}\"").as_bytes());
        if let Some(label) = label {
            out.extend_from_slice(b",\"sourceLabel\":");
            out.extend(json_text(label));
        }
        if has_user {
            out.extend_from_slice(format!(",\"updatedByUserId\":{USER}").as_bytes());
        }
        out.push(b'}');
    }
}

impl PropertyHistory {
    pub(crate) fn written(&self, slot: PropertySlot) -> Option<&[PropertyVersion]> {
        self.0.iter().find(|(of, _)| *of == slot).map(|(_, versions)| versions.as_slice())
    }

    pub(crate) fn set(&mut self, slot: PropertySlot, versions: Vec<PropertyVersion>) {
        self.0.retain(|(of, _)| *of != slot);
        self.0.push((slot, versions));
    }
}
