//! Changing records and associations, as users and integrations do.

use crate::handle::{Sandbox, type_named};
use crate::property_history::ChangeSource;

impl Sandbox {
    /// Creates a record and returns its id.
    pub fn create(&self, object_type: &str, properties: &[(&str, &str)]) -> u64 {
        self.change(|portal, now| portal.create(type_named(object_type), properties, ChangeSource::User, now))
    }

    /// Changes values as a user would. `createdate` and the modified date may be given too.
    pub fn update(&self, object_type: &str, id: u64, properties: &[(&str, &str)]) {
        self.change(|portal, now| portal.update(type_named(object_type), id, properties, ChangeSource::User, now));
    }

    /// Changes the values of many records in one millisecond, as a bulk edit does.
    pub fn update_many(&self, object_type: &str, ids: &[u64], properties: &[(&str, &str)]) {
        let kind = type_named(object_type);
        self.change(|portal, now| {
            ids.iter().try_for_each(|id| portal.update(kind, *id, properties, ChangeSource::BulkAction, now))
        });
    }

    /// Changes values without moving the modified date, as a calculated property's change does.
    pub fn update_silently(&self, object_type: &str, id: u64, properties: &[(&str, &str)]) {
        self.change(|portal, now| {
            portal.update(type_named(object_type), id, properties, ChangeSource::Calculated, now)
        });
    }

    /// Sets a value to a JSON string exactly as it is sent, quotes and escapes included, such as
    /// `"\ud800"`.
    pub fn set_raw_value(&self, object_type: &str, id: u64, name: &str, json: &str) {
        self.change(|portal, now| portal.set_raw(type_named(object_type), id, name, json, now));
    }

    /// Moves a record to the recycle bin; the modified date stays.
    pub fn archive(&self, object_type: &str, id: u64) {
        self.change(|portal, now| portal.archive(type_named(object_type), id, now));
    }

    /// Takes a record out of the recycle bin, moving the modified date if `bump`.
    pub fn restore(&self, object_type: &str, id: u64, bump: bool) {
        self.change(|portal, now| portal.restore(type_named(object_type), id, bump, now));
    }

    /// Merges two live records; the winner keeps its id, which is returned.
    pub fn merge(&self, object_type: &str, winner: u64, loser: u64) -> u64 {
        self.change(|portal, now| portal.merge(type_named(object_type), winner, loser, false, now))
    }

    /// Merges two live records into a new one and returns its id; both old ids vanish.
    pub fn merge_into_new(&self, object_type: &str, winner: u64, loser: u64) -> u64 {
        self.change(|portal, now| portal.merge(type_named(object_type), winner, loser, true, now))
    }

    /// Deletes permanently: the record is in no list, live or archived.
    pub fn delete_forever(&self, object_type: &str, id: u64) {
        self.change(|portal, now| portal.delete_forever(type_named(object_type), id, now));
    }

    /// Associates two records without moving modified dates. Type id 0 is the unlabelled type alone;
    /// with a label the type is one of the portal's own, defined when it is new (the opposite
    /// direction takes the next id).
    pub fn associate(&self, from_type: &str, from: u64, to_type: &str, to: u64, type_id: u32, label: Option<&str>) {
        let ends = ((type_named(from_type), from), (type_named(to_type), to));
        self.change(|portal, _| portal.associate(ends.0, ends.1, type_id, label));
    }

    /// Removes every association type between two records, without moving modified dates.
    pub fn dissociate(&self, from_type: &str, from: u64, to_type: &str, to: u64) {
        let ends = ((type_named(from_type), from), (type_named(to_type), to));
        self.change(|portal, _| {
            portal.dissociate(ends.0, ends.1);
            Ok(())
        });
    }

    /// Moves a record's modified date to now.
    pub fn touch(&self, object_type: &str, id: u64) {
        self.change(|portal, now| portal.touch(type_named(object_type), id, now));
    }
}
