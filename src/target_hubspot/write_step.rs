//! What is sent for each record: nothing, what changes, or all of it.

use std::collections::BTreeMap;

use super::groups::RecordGroup;
use super::matching::StoredRecord;
use super::plan::{MatchBy, StreamPlan};
use super::value::is_same;
use super::write_context::WriteContext;
use super::writing::{Operation, PendingInput};
use crate::client::{InlineAssociation, ObjectId};

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

/// A record of a wave that is in the portal.
#[derive(Debug)]
pub(super) struct WrittenGroup {
    /// Its place in the wave.
    pub(super) at: usize,
    pub(super) group: RecordGroup,
    pub(super) written: WrittenRecord,
    pub(super) changes: Vec<Change>,
}

/// What has to be sent for a record.
#[derive(Debug)]
pub(super) enum WriteStep {
    Nothing(ObjectId),
    Update(PendingInput),
    Create(PendingInput),
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
