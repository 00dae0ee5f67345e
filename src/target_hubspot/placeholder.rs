//! Ids of records that a dry run would create.

use crate::client::ObjectId;

/// Whether an id is the placeholder of a record that a dry run would create.
pub(super) fn is_placeholder(id: ObjectId) -> bool {
    id.0 > u64::MAX / 2
}

/// An id for people.
pub(super) fn shown(id: ObjectId) -> String {
    if is_placeholder(id) { "(new)".to_owned() } else { id.to_string() }
}
