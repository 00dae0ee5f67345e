//! What is sent for each record: nothing, what changes, or all of it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use super::breaker::Breaker;
use super::desired::DesiredRecord;
use super::groups::RecordGroup;
use super::identity::KeyHash;
use super::matching::StoredRecord;
use super::plan::{MatchBy, StreamPlan};
use super::value::is_same;
use super::writing::{Operation, PendingInput};
use crate::client::{Client, InlineAssociation, ObjectId, ObjectType};

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
    pub(super) absent_keys: super::record_index::AbsentKeys,
    pub(super) breaker: Breaker,
    /// Failures in a row that were put down to what was sent, since HubSpot took a record.
    pub(super) failed_alone: AtomicU32,
    /// A write failed for a reason that is about no record: nothing more is sent.
    pub(super) stopped: AtomicBool,
}

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

/// How a record in the portal was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WriteAction {
    Created,
    Updated,
    Unchanged,
}

impl WriteAction {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
        }
    }
}

/// A value before and after.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) property: String,
    pub(super) old: Option<String>,
    pub(super) new: String,
}

/// A record that is in the portal.
#[derive(Debug)]
pub(super) struct WrittenRecord {
    pub(super) id: ObjectId,
    pub(super) action: WriteAction,
    /// Values that HubSpot kept in place of those that were sent.
    pub(super) kept: Vec<Change>,
    /// Values that were sent and that HubSpot's response leaves out, by property.
    pub(super) unconfirmed: BTreeMap<String, String>,
}

impl WrittenRecord {
    pub(super) fn new(id: ObjectId, action: WriteAction) -> Self {
        Self { id, action, kept: Vec::new(), unconfirmed: BTreeMap::new() }
    }
}

/// What has to be sent for a record.
#[derive(Debug)]
pub(super) enum WriteStep {
    Nothing(ObjectId),
    Update(PendingInput),
    Create(PendingInput),
}

/// Whether an id is the placeholder of a record that a dry run would create.
pub(super) fn is_placeholder(id: ObjectId) -> bool {
    id.0 > u64::MAX / 2
}

/// An id for people.
pub(super) fn shown(id: ObjectId) -> String {
    if is_placeholder(id) { "(new)".to_owned() } else { id.to_string() }
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

/// How a new record of a stream is sent.
pub(super) fn create_operation(plan: &StreamPlan) -> Operation<'_> {
    match &plan.match_by {
        MatchBy::UniqueProperty(property) | MatchBy::CompanyDomain(property) | MatchBy::DeliveryKey(property) => {
            Operation::Upsert(property)
        }
        MatchBy::Id | MatchBy::DealName | MatchBy::AlwaysCreate => Operation::Create,
    }
}

/// What is to be sent for a record, and what that changes. `at` is its place among those that are sent.
pub(super) fn step(context: &WriteContext, group: &RecordGroup, at: usize) -> (WriteStep, Vec<Change>) {
    match (&group.stored, &group.plan.match_by) {
        (Some(stored), MatchBy::DeliveryKey(_)) => (WriteStep::Nothing(stored.id), Vec::new()),
        (Some(stored), _) => update(group, stored, at),
        (None, _) => create(context, group, at),
    }
}

fn update(group: &RecordGroup, stored: &StoredRecord, at: usize) -> (WriteStep, Vec<Change>) {
    let plan = &group.plan;
    let mut changes = Vec::new();
    for (name, new) in &group.properties {
        let old = stored.properties.get(name).cloned().flatten();
        if !is_same(plan.definitions.by_name.get(name), old.as_deref(), new)
            && !is_secondary_email(plan, name, stored, new)
        {
            changes.push(Change { property: name.clone(), old, new: new.clone() });
        }
    }
    if changes.is_empty() {
        return (WriteStep::Nothing(stored.id), changes);
    }
    let properties = changes.iter().map(|change| (change.property.clone(), change.new.clone())).collect();
    (
        WriteStep::Update(PendingInput {
            at,
            id: Some(stored.id.to_string()),
            properties,
            associations: Vec::new(),
            failed: 0,
        }),
        changes,
    )
}

/// A contact that was found by a further address keeps its first one.
fn is_secondary_email(plan: &StreamPlan, name: &str, stored: &StoredRecord, new: &str) -> bool {
    let further = stored.properties.get("hs_additional_emails").cloned().flatten();
    plan.match_by == MatchBy::UniqueProperty(name.to_owned())
        && name == "email"
        && further.is_some_and(|further| further.split(';').any(|one| one.trim().eq_ignore_ascii_case(new.trim())))
}

fn create(context: &WriteContext, group: &RecordGroup, at: usize) -> (WriteStep, Vec<Change>) {
    let plan = &group.plan;
    let mut properties: BTreeMap<String, String> = group.properties.clone();
    properties.retain(|_, value| !value.is_empty());
    plan.definitions.set_first_stage(&plan.object_type, &mut properties);
    let new = |(name, new): (&String, &String)| Change { property: name.clone(), old: None, new: new.clone() };
    let changes = properties.iter().map(new).collect();
    let creation_key = group.creation_key();
    if let Some(property) = plan.created_with().filter(|_| !context.is_key_missing(&plan.object_type)) {
        properties.extend(creation_key.clone().map(|key| (property.to_owned(), key)));
    }
    let id = match create_operation(plan) {
        Operation::Upsert(_) => creation_key.or_else(|| group.lines[0].desired.key.clone()),
        _ => None,
    };
    let inline = matches!(create_operation(plan), Operation::Create);
    let associations = group.links.iter().filter(|_| inline).map(|link| InlineAssociation {
        to: link.id,
        category: link.category.clone(),
        type_id: link.type_id,
    });
    (WriteStep::Create(PendingInput { at, id, properties, associations: associations.collect(), failed: 0 }), changes)
}
