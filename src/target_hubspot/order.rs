//! The order in which object types are written.

use crate::client::ObjectType;

/// The order in which types are written: a record refers to those of types before its own.
pub(super) const ORDER: [ObjectType; 4] =
    [ObjectType::COMPANIES, ObjectType::CONTACTS, ObjectType::DEALS, ObjectType::TICKETS];

/// The place of a type in [`ORDER`].
pub(super) fn rank(object_type: &ObjectType) -> usize {
    ORDER.iter().position(|one| one == object_type).unwrap_or(usize::MAX)
}
