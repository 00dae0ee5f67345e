//! What all writes of a run share.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use super::breaker::Breaker;
use super::identity::KeyHash;
use super::record_index::AbsentKeys;
use crate::client::{Client, ObjectId, ObjectType};

/// What all writes share.
#[derive(Debug)]
pub(super) struct WriteContext {
    pub(super) client: Arc<Client>,
    /// Nothing is written.
    pub(super) dry: bool,
    /// Types whose unique property for delivery keys does not exist.
    pub(super) key_missing: HashSet<ObjectType>,
    /// Ids of records that a dry run would create.
    pub(super) next_placeholder: AtomicU64,
    /// What is known not to be in the portal.
    pub(super) absent_keys: AbsentKeys,
    pub(super) breaker: Breaker,
    /// Failures in a row that were put down to what was sent, since HubSpot took a record.
    pub(super) failed_alone: AtomicU32,
    /// A write failed for a reason that is about no record: nothing more is sent.
    pub(super) stopped: AtomicBool,
}

impl WriteContext {
    pub(super) fn is_key_missing(&self, object_type: &ObjectType) -> bool {
        self.key_missing.contains(object_type)
    }

    /// Whether none of these values can be in the portal, since it was empty and none of them was written.
    pub(super) fn are_absent(&self, object_type: &ObjectType, keys: &[KeyHash]) -> bool {
        self.absent_keys.are_absent(object_type, keys)
    }

    /// Notes the unique values of a record before it is written.
    pub(super) fn note_values(&self, object_type: &ObjectType, values: &[KeyHash]) {
        self.absent_keys.are_absent(object_type, values);
    }

    /// An id for a record that a dry run would create.
    pub(super) fn placeholder_id(&self) -> ObjectId {
        ObjectId(self.next_placeholder.fetch_sub(1, Ordering::Relaxed))
    }
}
