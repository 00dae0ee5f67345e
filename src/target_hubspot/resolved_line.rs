//! Lines whose references are looked up.

use super::desired::DesiredRecord;
use super::identity::KeyHash;
use crate::client::{ObjectId, ObjectType};

/// A line whose references are looked up.
#[derive(Debug)]
pub(super) struct ResolvedLine {
    pub(super) desired: DesiredRecord,
    pub(super) links: Vec<AssociationLink>,
    /// The contacts that the line names, ascending: a deal is one of theirs.
    pub(super) contacts: Vec<ObjectId>,
    /// What the line refers to and what a later line may bring.
    pub(super) awaited: Option<Vec<KeyHash>>,
    /// It is written by itself: together with other lines of its record it was refused.
    pub(super) alone: bool,
}

/// Another record and the way to be associated with it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AssociationLink {
    pub(super) to: ObjectType,
    pub(super) id: ObjectId,
    pub(super) category: String,
    pub(super) type_id: u64,
}
