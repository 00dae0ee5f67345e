//! What is sent for each record: nothing, what changes, or all of it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::breaker::Breaker;
use super::groups::Group;
use super::identity::Token;
use super::matching::Stored;
use super::plan::{Match, StreamPlan};
use super::value::is_same;
use super::wanted::Wanted;
use super::writing::{Operation, Pending};
use crate::client::{Client, InlineAssociation, ObjectId, ObjectType};

/// What all writes share.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) client: Arc<Client>,
    /// Nothing is written.
    pub(super) dry: bool,
    /// Types whose unique property for delivery keys does not exist.
    pub(super) keyless: HashSet<ObjectType>,
    /// Ids of records that a dry run would create.
    pub(super) next_fake: AtomicU64,
    /// What is known not to be in the portal.
    pub(super) fresh: super::known::Fresh,
    pub(super) breaker: Breaker,
    /// A write failed for a reason that is about no record: nothing more is sent.
    pub(super) stopped: AtomicBool,
}

/// A line whose references are looked up.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) wanted: Wanted,
    pub(super) links: Vec<Link>,
    /// The contact that a deal belongs to: the first that the line names.
    pub(super) contact: Option<ObjectId>,
    /// What the line refers to and what a later line may bring.
    pub(super) awaited: Option<Vec<Token>>,
    /// It is written by itself: together with other lines of its record it was refused.
    pub(super) alone: bool,
}

/// Another record and the way to be associated with it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Link {
    pub(super) to: ObjectType,
    pub(super) id: ObjectId,
    pub(super) category: String,
    pub(super) type_id: u64,
}

/// What became of a record in the portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Created,
    Updated,
    Unchanged,
}

impl How {
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
pub(super) struct Written {
    pub(super) id: ObjectId,
    pub(super) how: How,
    /// Values that HubSpot has in place of those that were sent.
    pub(super) kept: Vec<Change>,
    /// Values that were sent and that HubSpot's answer leaves out, by property.
    pub(super) untold: BTreeMap<String, String>,
}

impl Written {
    pub(super) fn new(id: ObjectId, how: How) -> Self {
        Self { id, how, kept: Vec::new(), untold: BTreeMap::new() }
    }
}

/// What has to be sent for a record.
#[derive(Debug)]
pub(super) enum Step {
    Nothing(ObjectId),
    Update(Pending),
    Create(Pending),
}

/// Whether an id stands for a record that a dry run would create.
pub(super) fn is_fake(id: ObjectId) -> bool {
    id.0 > u64::MAX / 2
}

/// An id for people.
pub(super) fn shown(id: ObjectId) -> String {
    if is_fake(id) { "(new)".to_owned() } else { id.to_string() }
}

impl Context {
    pub(super) fn lacks_key(&self, object_type: &ObjectType) -> bool {
        self.keyless.contains(object_type)
    }

    /// Whether none of these can be in the portal, since it was empty and none of them was written.
    pub(super) fn is_new(&self, object_type: &ObjectType, keys: &[&str]) -> bool {
        self.fresh.is_new(object_type, keys)
    }

    /// An id for a record that a dry run would create.
    pub(super) fn fake_id(&self) -> ObjectId {
        ObjectId(self.next_fake.fetch_sub(1, Ordering::Relaxed))
    }
}

/// How a new record of a stream is sent.
pub(super) fn creation(plan: &StreamPlan) -> Operation<'_> {
    match &plan.matched {
        Match::Unique(property) | Match::Domain(property) | Match::Once(property) => Operation::Upsert(property),
        Match::Id | Match::DealName | Match::Never => Operation::Create,
    }
}

/// What is to be sent for a record, and what that changes. `at` is its place among those that are sent.
pub(super) fn step(context: &Context, group: &Group, at: usize) -> (Step, Vec<Change>) {
    match (&group.stored, &group.plan.matched) {
        (Some(stored), Match::Once(_)) => (Step::Nothing(stored.id), Vec::new()),
        (Some(stored), _) => update(group, stored, at),
        (None, _) => create(context, group, at),
    }
}

fn update(group: &Group, stored: &Stored, at: usize) -> (Step, Vec<Change>) {
    let plan = &group.plan;
    let mut changes = Vec::new();
    for (name, new) in &group.properties {
        let old = stored.properties.get(name).cloned().flatten();
        if !is_same(plan.definitions.by_name.get(name), old.as_deref(), new)
            && !is_further_address(plan, name, stored, new)
        {
            changes.push(Change { property: name.clone(), old, new: new.clone() });
        }
    }
    if changes.is_empty() {
        return (Step::Nothing(stored.id), changes);
    }
    let properties = changes.iter().map(|change| (change.property.clone(), change.new.clone())).collect();
    (
        Step::Update(Pending { at, id: Some(stored.id.to_string()), properties, associations: Vec::new(), failed: 0 }),
        changes,
    )
}

/// A contact that was found by a further address keeps its first one.
fn is_further_address(plan: &StreamPlan, name: &str, stored: &Stored, new: &str) -> bool {
    let further = stored.properties.get("hs_additional_emails").cloned().flatten();
    plan.matched == Match::Unique(name.to_owned())
        && name == "email"
        && further.is_some_and(|further| further.split(';').any(|one| one.trim().eq_ignore_ascii_case(new.trim())))
}

fn create(context: &Context, group: &Group, at: usize) -> (Step, Vec<Change>) {
    let plan = &group.plan;
    let mut properties: BTreeMap<String, String> = group.properties.clone();
    properties.retain(|_, value| !value.is_empty());
    plan.definitions.set_first_stage(&plan.object_type, &mut properties);
    let new = |(name, new): (&String, &String)| Change { property: name.clone(), old: None, new: new.clone() };
    let changes = properties.iter().map(new).collect();
    let first = &group.lines[0];
    let mut id = None;
    if let Operation::Upsert(_) = creation(plan) {
        id = first.wanted.key.clone();
    }
    if let Some(property) = plan.created_with().filter(|_| !context.lacks_key(&plan.object_type)) {
        properties.extend(first.creation_key(plan).map(|key| (property.to_owned(), key)));
    }
    let inline = matches!(creation(plan), Operation::Create);
    let associations = group.links.iter().filter(|_| inline).map(|link| InlineAssociation {
        to: link.id,
        category: link.category.clone(),
        type_id: link.type_id,
    });
    (Step::Create(Pending { at, id, properties, associations: associations.collect(), failed: 0 }), changes)
}
