//! What a dry run would have written: later lines are held against it as those of a run are against the portal.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use super::identity::KeyHash;
use super::resolved_line::AssociationLink;
use super::spill_map::SpillMap;
use crate::client::{ObjectId, ObjectType};

/// In place of an id: the record that has the value in the portal would have given it up.
const NOBODY: ObjectId = ObjectId(0);
/// Bytes of the length in front of a record's properties in the file.
const LENGTH_BYTES: u64 = 8;

/// A record's properties; null: none.
pub(super) type StoredProperties = BTreeMap<String, Option<String>>;

/// Records that would have been created or changed. What does not fit into memory is in temporary files.
#[derive(Debug, Default)]
pub(super) struct ForeseenRecords {
    /// Ids by the hashes that records are found by.
    ids: SpillMap,
    /// Where a record's properties begin in the file, by the hash of its id.
    places: SpillMap,
    /// Created with the first record.
    file: Option<File>,
    length: u64,
}

/// Who would have a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueHolder {
    /// Whoever has it in the portal.
    AsInPortal,
    Nobody,
    Record(ObjectId),
}

impl ForeseenRecords {
    /// The record that would be found by a hash.
    ///
    /// # Errors
    /// When the temporary file cannot be read.
    pub(super) fn holder(&self, hash: KeyHash) -> io::Result<ValueHolder> {
        Ok(match self.ids.get(hash)? {
            None => ValueHolder::AsInPortal,
            Some(NOBODY) => ValueHolder::Nobody,
            Some(id) => ValueHolder::Record(id),
        })
    }

    /// Notes that a record would no longer be found by a hash.
    ///
    /// # Errors
    /// When the temporary file cannot be written.
    pub(super) fn free(&mut self, hash: KeyHash) -> io::Result<()> {
        self.ids.insert(hash, NOBODY)
    }

    /// Notes that a record would be found by a hash.
    ///
    /// # Errors
    /// When the temporary file cannot be written.
    pub(super) fn find_by(&mut self, hash: KeyHash, id: ObjectId) -> io::Result<()> {
        self.ids.insert(hash, id)
    }

    /// The properties that a record would have; none where it would not be changed.
    ///
    /// # Errors
    /// When the temporary file cannot be read.
    pub(super) fn properties(&self, object_type: &ObjectType, id: ObjectId) -> io::Result<Option<StoredProperties>> {
        let place = self.places.get(KeyHash::of_id(object_type, id))?;
        let (Some(ObjectId(place)), Some(file)) = (place, &self.file) else { return Ok(None) };
        let mut length = [0; size_of::<u64>()];
        file.read_exact_at(&mut length, place)?;
        let mut text = vec![0; usize::try_from(u64::from_be_bytes(length)).map_err(io::Error::other)?];
        file.read_exact_at(&mut text, place + LENGTH_BYTES)?;
        Ok(Some(serde_json::from_slice(&text)?))
    }

    /// Notes the properties that a record would have.
    ///
    /// # Errors
    /// When the temporary file cannot be written.
    pub(super) fn set(
        &mut self,
        object_type: &ObjectType,
        id: ObjectId,
        properties: &StoredProperties,
    ) -> io::Result<()> {
        if self.file.is_none() {
            self.file = Some(tempfile::tempfile()?);
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let text = serde_json::to_vec(properties)?;
        file.write_all(&(text.len() as u64).to_be_bytes())?;
        file.write_all(&text)?;
        self.places.insert(KeyHash::of_id(object_type, id), ObjectId(self.length))?;
        self.length += LENGTH_BYTES + text.len() as u64;
        Ok(())
    }

    /// Notes an association that would be made; false where it would be there already.
    ///
    /// # Errors
    /// When the temporary file cannot be used.
    pub(super) fn associate(&mut self, from: &ObjectType, id: ObjectId, link: &AssociationLink) -> io::Result<bool> {
        let AssociationLink { to, id: other, category, type_id } = link;
        let (id, other, type_id) = (id.to_string(), other.to_string(), type_id.to_string());
        let hash = KeyHash::of(&["association", from.as_str(), &id, to.as_str(), &other, category, &type_id]);
        let is_new = self.ids.get(hash)?.is_none();
        self.ids.insert(hash, NOBODY)?;
        Ok(is_new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_properties_and_holders_count() {
        let mut foreseen = ForeseenRecords::default();
        let contacts = &ObjectType::CONTACTS;
        let phone = |phone: &str| StoredProperties::from([("phone".to_owned(), Some(phone.to_owned()))]);
        assert_eq!(foreseen.properties(contacts, ObjectId(5)).expect("a file"), None);
        for (id, number) in [(5, "1"), (6, "2"), (5, "3")] {
            foreseen.set(contacts, ObjectId(id), &phone(number)).expect("a file");
        }
        assert_eq!(foreseen.properties(contacts, ObjectId(5)).expect("a file"), Some(phone("3")));
        assert_eq!(foreseen.properties(contacts, ObjectId(6)).expect("a file"), Some(phone("2")));
        let email = KeyHash::of_value(contacts, "email", "a@x.example");
        assert_eq!(foreseen.holder(email).expect("memory"), ValueHolder::AsInPortal);
        foreseen.find_by(email, ObjectId(5)).expect("memory");
        assert_eq!(foreseen.holder(email).expect("memory"), ValueHolder::Record(ObjectId(5)));
        foreseen.free(email).expect("memory");
        assert_eq!(foreseen.holder(email).expect("memory"), ValueHolder::Nobody);
    }
}
