//! Sends a batch and turns HubSpot's responses into the outcome of each record.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::Ordering;

use super::error::TargetError;
use super::groups::RecordGroup;
use super::identity::key_beside;
use super::lookups;
use super::matching::{Lookup, StoredRecord, deal_name, find, find_created, names_of};
use super::placeholder::shown;
use super::plan::{MatchBy, StreamPlan};
use super::rejection::Rejection;
use super::value::is_same;
use super::write_context::WriteContext;
use super::write_step::{Change, WriteAction, WrittenRecord, create_operation};
use super::writing::{BatchResult, InputOutcome, Operation, PendingInput, failed_alone, holder, send};
use crate::client::ObjectId;

/// How often creations of unknown outcome are looked for and, where nothing is found, sent again.
const ROUNDS: u32 = 4;

/// Records of one stream that are sent together, each with its place among the groups.
#[derive(Debug)]
pub(super) struct WriteBatch<'g> {
    pub(super) plan: &'g StreamPlan,
    pub(super) creates: bool,
    pub(super) inputs: Vec<PendingInput>,
}

/// A record's place among the groups, and its outcome.
pub(super) type RecordOutcome = (usize, Result<WrittenRecord, Rejection>);

/// Sends a batch and determines the outcome of each of its records.
///
/// # Errors
/// Errors that concern no single record; from then on nothing is sent.
pub(super) async fn deliver(
    context: &WriteContext,
    groups: &[RecordGroup],
    batch: WriteBatch<'_>,
) -> Result<Vec<RecordOutcome>, TargetError> {
    if context.stopped.load(Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    let WriteBatch { plan, creates, inputs } = batch;
    let settling = BatchWriter { context, plan, groups };
    let settled = match creates {
        true => settling.create(inputs).await,
        false => settling.update(inputs).await,
    };
    let settled = match settled {
        Ok(mut settled) => settling.read_unconfirmed(&mut settled).await.map(|()| settled),
        Err(error) => Err(error),
    };
    if settled.is_err() {
        context.stopped.store(true, Ordering::Relaxed);
    }
    settled
}

struct BatchWriter<'s> {
    context: &'s WriteContext,
    plan: &'s StreamPlan,
    groups: &'s [RecordGroup],
}

impl BatchWriter<'_> {
    async fn update(&self, inputs: Vec<PendingInput>) -> Result<Vec<RecordOutcome>, TargetError> {
        let (context, of) = (self.context, &self.plan.object_type);
        let sent = send(context, of, Operation::Update, inputs).await?;
        let mut settled = Vec::with_capacity(sent.outcomes.len());
        for (pending, input_outcome) in sent.outcomes {
            let result = match input_outcome {
                InputOutcome::Written { id, properties, .. } => {
                    Ok(self.written(id, WriteAction::Updated, &pending, &properties))
                }
                InputOutcome::Rejected(rejection) => Err(self.explained(&pending, rejection).await?),
                // It was merged away between the lookup and the write.
                InputOutcome::Missing | InputOutcome::Conflict(_) | InputOutcome::Unknown => {
                    let id = pending.id.as_deref().and_then(|id| id.parse().ok()).map_or(ObjectId(0), ObjectId);
                    let survivor = context.client.get_object(of, id, "hs_object_id").await?;
                    match survivor.filter(|survivor| survivor.id != id) {
                        Some(survivor) => self.update_one(survivor.id, &pending).await?,
                        None => Err(Rejection::new("HubSpot's answer leaves this record out")),
                    }
                }
            };
            settled.push((pending.at, result));
        }
        Ok(settled)
    }

    /// Updates another record than the one that was sent for: the survivor of a merge, or the holder of the key.
    async fn update_one(
        &self,
        id: ObjectId,
        pending: &PendingInput,
    ) -> Result<Result<WrittenRecord, Rejection>, TargetError> {
        let mut again = PendingInput { id: Some(id.to_string()), associations: Vec::new(), ..pending.clone() };
        if let MatchBy::UniqueProperty(property) = &self.plan.match_by {
            // The record has it already, be it as a further address.
            again.properties.remove(property);
        }
        if again.properties.is_empty() {
            return Ok(Ok(WrittenRecord::new(id, WriteAction::Unchanged)));
        }
        let sent = send(self.context, &self.plan.object_type, Operation::Update, vec![again]).await?;
        Ok(match sent.outcomes.into_iter().next() {
            Some((again, InputOutcome::Written { id, properties, .. })) => {
                Ok(self.written(id, WriteAction::Updated, &again, &properties))
            }
            Some((again, InputOutcome::Rejected(rejection))) => Err(self.explained(&again, rejection).await?),
            _ => Err(Rejection::new("HubSpot's answer leaves this record out")),
        })
    }

    async fn create(&self, inputs: Vec<PendingInput>) -> Result<Vec<RecordOutcome>, TargetError> {
        let (context, plan) = (self.context, self.plan);
        let mut settled = Vec::with_capacity(inputs.len());
        let operation = create_operation(plan);
        let mut size = inputs.len();
        let mut sent = send(context, &plan.object_type, operation, inputs).await?;
        for round in 0.. {
            let (mut unknown, mut refused) = (Vec::new(), Vec::new());
            for (pending, input_outcome) in std::mem::take(&mut sent.outcomes) {
                let result = match input_outcome {
                    InputOutcome::Written { id, new, properties } => {
                        let action = if new == Some(false) { WriteAction::Updated } else { WriteAction::Created };
                        Ok(self.written(id, action, &pending, &properties))
                    }
                    InputOutcome::Rejected(rejection) => {
                        refused.push((pending, rejection));
                        continue;
                    }
                    InputOutcome::Conflict(id) => self.resolve_conflict(id, &pending).await?,
                    InputOutcome::Unknown | InputOutcome::Missing => {
                        unknown.push(pending);
                        continue;
                    }
                };
                settled.push((pending.at, result));
            }
            let renamed = self.resolve_rejected(refused, &mut settled).await?;
            if unknown.is_empty() && renamed.is_empty() {
                return Ok(settled);
            }
            if round >= ROUNDS && size == 1 {
                let reason = match sent.unknown.take() {
                    Some(error) => failed_alone(context, &plan.object_type, operation, error).await?,
                    None => Rejection::new("HubSpot's answers leave this record out"),
                };
                let left = unknown.into_iter().chain(renamed);
                settled.extend(left.map(|pending| (pending.at, Err(reason.clone()))));
                return Ok(settled);
            }
            let mut again = self.find_unknown(unknown, &mut settled).await?;
            again.extend(renamed);
            // What HubSpot fails on may be about one of the records: each round sends fewer of them together.
            size = size.div_ceil(2);
            sent = BatchResult::default();
            for part in again.chunks(size) {
                let one = send(context, &plan.object_type, operation, part.to_vec()).await?;
                sent.outcomes.extend(one.outcomes);
                sent.unknown = sent.unknown.or(one.unknown);
            }
        }
        Ok(settled)
    }

    /// An existing ticket is never changed.
    async fn resolve_conflict(
        &self,
        id: ObjectId,
        pending: &PendingInput,
    ) -> Result<Result<WrittenRecord, Rejection>, TargetError> {
        match &self.plan.match_by {
            MatchBy::DeliveryKey(_) => Ok(Ok(WrittenRecord::new(id, WriteAction::Unchanged))),
            _ => self.update_one(id, pending).await,
        }
    }

    /// Looks for records that may have been created, and returns those that were not.
    async fn find_unknown(
        &self,
        unknown: Vec<PendingInput>,
        settled: &mut Vec<RecordOutcome>,
    ) -> Result<Vec<PendingInput>, TargetError> {
        let (context, plan) = (self.context, self.plan);
        let ready: Vec<_> = unknown.iter().map(|pending| &self.groups[pending.at].lines[0]).collect();
        let mut found = find(context, plan, &ready).await?;
        if plan.match_by == MatchBy::DealName {
            let created = self.find_by_key(&unknown).await?;
            for ((found, created), pending) in found.iter_mut().zip(created).zip(&unknown) {
                if matches!(found, Lookup::Absent) && self.is_named_as(&created, pending) {
                    *found = created;
                }
            }
        }
        let mut again = Vec::new();
        for (pending, found) in unknown.into_iter().zip(found) {
            let result = match found {
                Lookup::Found(stored) => Ok(WrittenRecord::new(stored.id, WriteAction::Created)),
                Lookup::Unknown(rejection) => Err(rejection),
                Lookup::Absent | Lookup::AbsentUnder(_) => {
                    again.push(pending);
                    continue;
                }
            };
            settled.push((pending.at, result));
        }
        Ok(again)
    }

    /// Looks for deals by the key that they are created with.
    async fn find_by_key(&self, pending: &[PendingInput]) -> Result<Vec<Lookup>, TargetError> {
        let property = self.plan.created_with().unwrap_or_default();
        let key = |one: &PendingInput| one.properties.get(property).cloned().unwrap_or_default();
        let keys: Vec<String> = pending.iter().map(key).collect();
        let ready: Vec<_> = pending.iter().map(|pending| &self.groups[pending.at].lines[0]).collect();
        Ok(find_created(self.context, self.plan, &keys, names_of(&ready)).await?)
    }

    /// Whether a deal that was found by its key still has the name that the line gives.
    fn is_named_as(&self, found: &Lookup, pending: &PendingInput) -> bool {
        let key = self.groups[pending.at].lines[0].desired.key.as_deref();
        matches!(found, Lookup::Found(deal) if deal_name(deal) == key)
    }

    /// Of deals that are refused, those that another writer created in the meantime are updated. Returns those whose key
    /// a deal has that was renamed since, with another key.
    async fn resolve_rejected(
        &self,
        refused: Vec<(PendingInput, Rejection)>,
        settled: &mut Vec<RecordOutcome>,
    ) -> Result<Vec<PendingInput>, TargetError> {
        let mut found = vec![Lookup::Absent; refused.len()];
        if self.plan.match_by == MatchBy::DealName && !refused.is_empty() {
            let pending: Vec<PendingInput> = refused.iter().map(|(pending, _)| pending.clone()).collect();
            found = self.find_by_key(&pending).await?;
        }
        let mut renamed = Vec::new();
        for ((mut pending, rejection), found) in refused.into_iter().zip(found) {
            let is_this = self.is_named_as(&found, &pending);
            let key = self.plan.created_with().and_then(|property| pending.properties.get_mut(property));
            let result = match (found, key) {
                (Lookup::Found(stored), _) if is_this => self.update_found(&stored, &pending).await?,
                (Lookup::Found(stored), Some(key)) => {
                    *key = key_beside(key, stored.id);
                    renamed.push(pending);
                    continue;
                }
                _ => Err(self.explained(&pending, rejection).await?),
            };
            settled.push((pending.at, result));
        }
        Ok(renamed)
    }

    /// Writes what differs to a deal that another writer created.
    async fn update_found(
        &self,
        stored: &StoredRecord,
        pending: &PendingInput,
    ) -> Result<Result<WrittenRecord, Rejection>, TargetError> {
        let same = |name: &str, new: &str| {
            let old = stored.properties.get(name).and_then(Option::as_deref);
            is_same(self.plan.definitions.by_name.get(name), old, new)
        };
        let mut differing = pending.clone();
        differing.properties.retain(|name, new| !same(name, new));
        // A stage that the line does not name is only for new deals.
        let desired = &self.groups[pending.at].properties;
        differing.properties.retain(|name, _| desired.contains_key(name));
        self.update_one(stored.id, &differing).await
    }

    fn written(
        &self,
        id: ObjectId,
        action: WriteAction,
        pending: &PendingInput,
        returned: &BTreeMap<String, Option<String>>,
    ) -> WrittenRecord {
        let mut written = WrittenRecord::new(id, action);
        for (name, sent) in &pending.properties {
            match returned.get(name) {
                Some(now) => written.kept.extend(self.kept(pending.at, name, sent, now.as_deref())),
                // HubSpot may leave out what has no value.
                None if sent.is_empty() => {}
                None => drop(written.unconfirmed.insert(name.clone(), sent.clone())),
            }
        }
        written
    }

    /// What HubSpot has in place of a value that was sent.
    fn kept(&self, at: usize, name: &str, sent: &str, now: Option<&str>) -> Option<Change> {
        let definition = self.plan.definitions.by_name.get(name);
        let stored = self.groups[at].stored.as_ref();
        let old = stored.and_then(|stored| stored.properties.get(name)).and_then(Option::as_deref);
        // What is neither the old value nor the new one is a form of the new one that HubSpot prefers.
        let was_kept = is_same(definition, now, old.unwrap_or_default());
        let was_taken = is_same(definition, now, sent.trim()) || sent.trim() == now.unwrap_or_default().trim();
        (was_kept && !was_taken).then(|| Change {
            property: name.to_owned(),
            old: now.map(str::to_owned),
            new: sent.to_owned(),
        })
    }

    /// Reads back the values that responses leave out.
    async fn read_unconfirmed(&self, settled: &mut [RecordOutcome]) -> Result<(), TargetError> {
        let unconfirmed =
            settled.iter().filter_map(|(_, result)| result.as_ref().ok()).filter(|one| !one.unconfirmed.is_empty());
        let (mut ids, mut names) = (BTreeSet::new(), BTreeSet::new());
        for one in unconfirmed {
            ids.insert(one.id.to_string());
            names.extend(one.unconfirmed.keys().cloned());
        }
        if ids.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let found = lookups::read(&self.context.client, &self.plan.object_type, None, &ids, &names).await?.found;
        let now: HashMap<ObjectId, _> = found.into_iter().map(|object| (object.id, object.properties)).collect();
        for (at, result) in settled {
            let Ok(written) = result else { continue };
            let Some(now) = now.get(&written.id) else { continue };
            for (name, sent) in std::mem::take(&mut written.unconfirmed) {
                let now = now.get(&name).and_then(Option::as_deref);
                written.kept.extend(self.kept(*at, &name, &sent, now));
            }
        }
        Ok(())
    }

    /// A rejection that names both records where two have one unique value.
    async fn explained(&self, pending: &PendingInput, rejection: Rejection) -> Result<Rejection, TargetError> {
        let Some((holder, property)) = holder(&rejection.reason) else { return Ok(rejection) };
        let of = &self.plan.object_type;
        let key = self.groups[pending.at].lines[0].desired.key.clone().unwrap_or_default();
        let found_by = match &self.plan.match_by {
            MatchBy::UniqueProperty(name) => name.as_str(),
            MatchBy::CompanyDomain(_) => "domain",
            _ => "hs_object_id",
        };
        let theirs = self.context.client.get_object(of, holder, found_by).await?;
        let theirs = theirs.and_then(|stored| stored.properties.get(found_by).cloned().flatten()).unwrap_or_default();
        let value = pending.properties.get(&property).cloned().unwrap_or_default();
        let reason = format!(
            "{property} {value:?} belongs to {of} {} ({found_by} {theirs:?}), which is not the record that this line is \
             about ({found_by} {key:?}); HubSpot says: {}",
            shown(holder),
            rejection.reason
        );
        Ok(Rejection { reason, ..rejection })
    }
}
