//! Up to a hundred records of one stream: found, compared, and written where they differ.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::try_join;

use super::matching::{Stored, find};
use super::plan::{Match, StreamPlan};
use super::value::is_same;
use super::wanted::Wanted;
use super::writing::{Operation, Pending, Refusal, Sent, Verdict, send};
use crate::client::{Client, ClientError, InlineAssociation, ObjectId, ObjectType};

/// How often creations of unknown outcome are looked for and, where nothing is found, sent again.
const ROUNDS: u32 = 4;

/// What all chunks share.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) client: Arc<Client>,
    /// Nothing is written.
    pub(super) dry: bool,
    /// Types whose unique property for delivery keys does not exist, as it may be in a dry run.
    pub(super) keyless: HashSet<ObjectType>,
    /// Ids of records that a dry run would create.
    pub(super) next_fake: AtomicU64,
    /// What is known not to be in the portal.
    pub(super) fresh: super::known::Fresh,
}

/// A record whose references are records.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) wanted: Wanted,
    pub(super) links: Vec<Link>,
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

/// A value before and after.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) property: String,
    pub(super) old: Option<String>,
    pub(super) new: String,
}

/// A record that is in the portal as wanted.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) ready: Ready,
    pub(super) id: ObjectId,
    pub(super) how: How,
    /// Its associations were made with it.
    pub(super) linked: bool,
    pub(super) changes: Vec<Change>,
}

/// What a record came to.
#[derive(Debug)]
pub(super) enum Settled {
    Done(Done),
    Refused(Box<Ready>, Refusal),
}

/// Whether an id stands for a record that a dry run would create.
pub(super) fn is_fake(id: ObjectId) -> bool {
    id.0 > u64::MAX / 2
}

impl Context {
    pub(super) fn lacks_key(&self, object_type: &ObjectType) -> bool {
        self.keyless.contains(object_type)
    }

    /// Whether none of these can be in the portal, since it was empty and none of them was written.
    pub(super) fn is_new(&self, object_type: &ObjectType, keys: &[&str]) -> bool {
        self.fresh.is_new(object_type, keys)
    }
}

impl Ready {
    /// The contact that a deal belongs to.
    pub(super) fn contact(&self) -> Option<ObjectId> {
        self.links.iter().find(|link| link.to == ObjectType::CONTACTS).map(|link| link.id)
    }
}

/// One record on its way through the chunk.
struct Slot {
    ready: Ready,
    changes: Vec<Change>,
    settled: Option<Result<(ObjectId, How, bool), Refusal>>,
}

/// Brings the portal to what the records want.
///
/// # Errors
/// What is about none of the records.
pub(super) async fn deliver(
    context: &Context,
    plan: &StreamPlan,
    chunk: Vec<Ready>,
) -> Result<Vec<Settled>, ClientError> {
    let found = find(context, plan, &chunk.iter().collect::<Vec<_>>()).await?;
    let mut slots: Vec<Slot> =
        chunk.into_iter().map(|ready| Slot { ready, changes: Vec::new(), settled: None }).collect();
    let (mut updates, mut creates) = (Vec::new(), Vec::new());
    for (at, (slot, found)) in slots.iter_mut().zip(found).enumerate() {
        match (found, &plan.matched) {
            (Some(stored), Match::Once(_)) => slot.settled = Some(Ok((stored.id, How::Unchanged, false))),
            (Some(stored), _) => updates.extend(update(plan, slot, at, &stored)),
            (None, Match::Id) => {
                let (id, of) = (slot.ready.wanted.key.as_deref().unwrap_or_default(), &plan.object_type);
                slot.settled =
                    Some(Err(Refusal::new(format!("hs_object_id: the portal has no {of} with the id {id}"))));
            }
            (None, _) => creates.extend(create(plan, slot, at)),
        }
    }
    if context.dry {
        for (pending, how) in
            updates.iter().map(|one| (one, How::Updated)).chain(creates.iter().map(|one| (one, How::Created)))
        {
            let id = match (&pending.id, how) {
                (Some(id), How::Updated) => id.parse().map(ObjectId).unwrap_or(ObjectId(0)),
                _ => ObjectId(context.next_fake.fetch_sub(1, Ordering::Relaxed)),
            };
            slots[pending.at].settled = Some(Ok((id, how, false)));
        }
    } else {
        let operation = operation(plan);
        let both = try_join(
            send_some(context, plan, Operation::Update, updates),
            send_some(context, plan, operation, creates),
        );
        let (updated, created) = both.await?;
        settle_updates(context, plan, &mut slots, updated).await?;
        settle_creates(context, plan, &mut slots, created).await?;
    }
    Ok(slots.into_iter().map(settled).collect())
}

async fn send_some(
    context: &Context,
    plan: &StreamPlan,
    operation: Operation<'_>,
    inputs: Vec<Pending>,
) -> Result<Sent, ClientError> {
    if inputs.is_empty() {
        return Ok(Sent::default());
    }
    send(&context.client, &plan.object_type, operation, inputs).await
}

fn settled(slot: Slot) -> Settled {
    let Slot { ready, changes, settled } = slot;
    match settled {
        Some(Ok((id, how, linked))) => Settled::Done(Done { ready, id, how, linked, changes }),
        Some(Err(refusal)) => Settled::Refused(Box::new(ready), refusal),
        None => Settled::Refused(Box::new(ready), Refusal::new("HubSpot's answers leave this record out")),
    }
}

fn operation(plan: &StreamPlan) -> Operation<'_> {
    match &plan.matched {
        Match::Unique(property) | Match::Domain(property) | Match::Once(property) => Operation::Upsert(property),
        Match::Id | Match::DealName | Match::Never => Operation::Create,
    }
}

/// The properties that differ; none: nothing is sent.
fn update(plan: &StreamPlan, slot: &mut Slot, at: usize, stored: &Stored) -> Option<Pending> {
    let mut properties = BTreeMap::new();
    for (name, new) in &slot.ready.wanted.properties {
        let old = stored.properties.get(name).cloned().flatten();
        if !is_same(plan.definitions.by_name.get(name), old.as_deref(), new)
            && !is_further_address(plan, name, stored, new)
        {
            slot.changes.push(Change { property: name.clone(), old, new: new.clone() });
            properties.insert(name.clone(), new.clone());
        }
    }
    if properties.is_empty() {
        slot.settled = Some(Ok((stored.id, How::Unchanged, false)));
        return None;
    }
    Some(Pending { at, id: Some(stored.id.to_string()), properties, associations: Vec::new() })
}

/// A contact that was found by a further address keeps its first one.
fn is_further_address(plan: &StreamPlan, name: &str, stored: &Stored, new: &str) -> bool {
    let further = stored.properties.get("hs_additional_emails").cloned().flatten();
    plan.matched == Match::Unique(name.to_owned())
        && name == "email"
        && further.is_some_and(|further| further.split(';').any(|one| one.eq_ignore_ascii_case(new.trim())))
}

/// What a new record is sent with; none when it lacks what is required.
fn create(plan: &StreamPlan, slot: &mut Slot, at: usize) -> Option<Pending> {
    let wanted = &slot.ready.wanted;
    let mut properties = wanted.properties.clone();
    properties.retain(|_, value| !value.is_empty());
    if let Some(faults) = plan.for_create.faults(&properties) {
        slot.settled = Some(Err(Refusal::new(format!("a new record needs more: {faults}"))));
        return None;
    }
    plan.definitions.set_first_stage(&plan.object_type, &mut properties);
    slot.changes =
        properties.iter().map(|(name, new)| Change { property: name.clone(), old: None, new: new.clone() }).collect();
    let mut id = None;
    if let Operation::Upsert(property) = operation(plan) {
        id = wanted.key.clone();
        if !matches!(plan.matched, Match::Unique(_)) {
            properties.insert(property.to_owned(), wanted.key.clone().unwrap_or_default());
        }
    }
    let inline = matches!(operation(plan), Operation::Create);
    let associations = slot.ready.links.iter().filter(|_| inline).map(|link| InlineAssociation {
        to: link.id,
        category: link.category.clone(),
        type_id: link.type_id,
    });
    Some(Pending { at, id, properties, associations: associations.collect() })
}

async fn settle_updates(
    context: &Context,
    plan: &StreamPlan,
    slots: &mut [Slot],
    sent: Sent,
) -> Result<(), ClientError> {
    for (pending, verdict) in sent.verdicts {
        let settled = match verdict {
            Verdict::Written { id, .. } => Ok((id, How::Updated, false)),
            Verdict::Refused(refusal) => Err(refusal),
            // It was merged away between the question and the write.
            Verdict::LeftOut | Verdict::Held(_) | Verdict::Unknown => {
                let id = pending.id.as_deref().and_then(|id| id.parse().ok()).unwrap_or_default();
                let survivor = context.client.get_object(&plan.object_type, ObjectId(id), "hs_object_id").await?;
                match survivor.filter(|survivor| survivor.id != ObjectId(id)) {
                    Some(survivor) => update_one(context, plan, survivor.id, &pending).await?,
                    None => Err(Refusal::new("HubSpot's answer leaves this record out")),
                }
            }
        };
        slots[pending.at].settled = Some(settled);
    }
    Ok(())
}

/// Writes to a record that turned out to be the right one.
async fn update_one(
    context: &Context,
    plan: &StreamPlan,
    id: ObjectId,
    pending: &Pending,
) -> Result<Result<(ObjectId, How, bool), Refusal>, ClientError> {
    let mut again = Pending { id: Some(id.to_string()), associations: Vec::new(), ..pending.clone() };
    if let Match::Unique(property) = &plan.matched {
        // The record has it already, be it as a further address.
        again.properties.remove(property);
    }
    if again.properties.is_empty() {
        return Ok(Ok((id, How::Unchanged, false)));
    }
    let sent = send(&context.client, &plan.object_type, Operation::Update, vec![again]).await?;
    Ok(match sent.verdicts.into_iter().next() {
        Some((_, Verdict::Written { id, .. })) => Ok((id, How::Updated, false)),
        Some((_, Verdict::Refused(refusal))) => Err(refusal),
        _ => Err(Refusal::new("HubSpot's answer leaves this record out")),
    })
}

async fn settle_creates(
    context: &Context,
    plan: &StreamPlan,
    slots: &mut [Slot],
    mut sent: Sent,
) -> Result<(), ClientError> {
    let inline = matches!(operation(plan), Operation::Create);
    for round in 0.. {
        let mut unknown = Vec::new();
        for (pending, verdict) in std::mem::take(&mut sent.verdicts) {
            let settled = match verdict {
                Verdict::Written { id, new } => {
                    Ok((id, if new == Some(false) { How::Updated } else { How::Created }, inline))
                }
                Verdict::Refused(refusal) => Err(refusal),
                // A ticket that is there is never changed.
                Verdict::Held(id) if matches!(plan.matched, Match::Once(_)) => Ok((id, How::Unchanged, false)),
                Verdict::Held(id) => update_one(context, plan, id, &pending).await?,
                Verdict::Unknown | Verdict::LeftOut => {
                    unknown.push(pending);
                    continue;
                }
            };
            slots[pending.at].settled = Some(settled);
        }
        if unknown.is_empty() {
            return Ok(());
        }
        if round == ROUNDS {
            if let Some(error) = sent.unknown.take() {
                return Err(error);
            }
            return Ok(());
        }
        // What may have been created is looked for before it is sent again.
        let looked_for: Vec<&Ready> = unknown.iter().map(|pending| &slots[pending.at].ready).collect();
        let found = find(context, plan, &looked_for).await?;
        let mut again = Vec::new();
        for (pending, found) in unknown.into_iter().zip(found) {
            match found {
                Some(stored) => slots[pending.at].settled = Some(Ok((stored.id, How::Created, inline))),
                None => again.push(pending),
            }
        }
        sent = send_some(context, plan, operation(plan), again).await?;
    }
    Ok(())
}
