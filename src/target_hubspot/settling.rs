//! From HubSpot's answers to what became of each record.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::Ordering;

use super::chunk::{Change, Context, How, Written, creation, shown};
use super::exit::TargetError;
use super::groups::Group;
use super::lookups;
use super::matching::{Found, Stored, find, find_created};
use super::plan::{Match, StreamPlan};
use super::value::is_same;
use super::writing::{Operation, Pending, Refusal, Sent, Verdict, holder, send};
use crate::client::ObjectId;

/// How often creations of unknown outcome are looked for and, where nothing is found, sent again.
const ROUNDS: u32 = 4;

/// Records of one stream that are sent together, each with its place among the groups.
#[derive(Debug)]
pub(super) struct Batch<'g> {
    pub(super) plan: &'g StreamPlan,
    pub(super) creates: bool,
    pub(super) inputs: Vec<Pending>,
}

/// What became of the record at a place.
pub(super) type Settled = (usize, Result<Written, Refusal>);

/// Sends a batch and settles what became of each of its records.
///
/// # Errors
/// What is about none of the records; from then on nothing is sent.
pub(super) async fn deliver(
    context: &Context,
    groups: &[Group],
    batch: Batch<'_>,
) -> Result<Vec<Settled>, TargetError> {
    if context.stopped.load(Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    let Batch { plan, creates, inputs } = batch;
    let settling = Settling { context, plan, groups };
    let settled = match creates {
        true => settling.create(inputs).await,
        false => settling.update(inputs).await,
    };
    let settled = match settled {
        Ok(mut settled) => settling.read_untold(&mut settled).await.map(|()| settled),
        Err(error) => Err(error),
    };
    if settled.is_err() {
        context.stopped.store(true, Ordering::Relaxed);
    }
    settled
}

struct Settling<'s> {
    context: &'s Context,
    plan: &'s StreamPlan,
    groups: &'s [Group],
}

impl Settling<'_> {
    async fn update(&self, inputs: Vec<Pending>) -> Result<Vec<Settled>, TargetError> {
        let (context, of) = (self.context, &self.plan.object_type);
        let sent = send(context, of, Operation::Update, inputs).await?;
        let mut settled = Vec::with_capacity(sent.verdicts.len());
        for (pending, verdict) in sent.verdicts {
            let result = match verdict {
                Verdict::Written { id, properties, .. } => Ok(self.written(id, How::Updated, &pending, &properties)),
                Verdict::Refused(refusal) => Err(self.explained(&pending, refusal).await?),
                // It was merged away between the question and the write.
                Verdict::LeftOut | Verdict::Held(_) | Verdict::Unknown => {
                    let id = pending.id.as_deref().and_then(|id| id.parse().ok()).map_or(ObjectId(0), ObjectId);
                    let survivor = context.client.get_object(of, id, "hs_object_id").await?;
                    match survivor.filter(|survivor| survivor.id != id) {
                        Some(survivor) => self.update_one(survivor.id, &pending).await?,
                        None => Err(Refusal::new("HubSpot's answer leaves this record out")),
                    }
                }
            };
            settled.push((pending.at, result));
        }
        Ok(settled)
    }

    /// Writes to a record that turned out to be the right one.
    async fn update_one(&self, id: ObjectId, pending: &Pending) -> Result<Result<Written, Refusal>, TargetError> {
        let mut again = Pending { id: Some(id.to_string()), associations: Vec::new(), ..pending.clone() };
        if let Match::Unique(property) = &self.plan.matched {
            // The record has it already, be it as a further address.
            again.properties.remove(property);
        }
        if again.properties.is_empty() {
            return Ok(Ok(Written::new(id, How::Unchanged)));
        }
        let sent = send(self.context, &self.plan.object_type, Operation::Update, vec![again]).await?;
        Ok(match sent.verdicts.into_iter().next() {
            Some((again, Verdict::Written { id, properties, .. })) => {
                Ok(self.written(id, How::Updated, &again, &properties))
            }
            Some((again, Verdict::Refused(refusal))) => Err(self.explained(&again, refusal).await?),
            _ => Err(Refusal::new("HubSpot's answer leaves this record out")),
        })
    }

    async fn create(&self, inputs: Vec<Pending>) -> Result<Vec<Settled>, TargetError> {
        let (context, plan) = (self.context, self.plan);
        let mut settled = Vec::with_capacity(inputs.len());
        let mut sent = send(context, &plan.object_type, creation(plan), inputs).await?;
        for round in 0.. {
            let (mut unknown, mut refused) = (Vec::new(), Vec::new());
            for (pending, verdict) in std::mem::take(&mut sent.verdicts) {
                let result = match verdict {
                    Verdict::Written { id, new, properties } => {
                        let how = if new == Some(false) { How::Updated } else { How::Created };
                        Ok(self.written(id, how, &pending, &properties))
                    }
                    Verdict::Refused(refusal) => {
                        refused.push((pending, refusal));
                        continue;
                    }
                    Verdict::Held(id) => self.settle_holder(id, &pending).await?,
                    Verdict::Unknown | Verdict::LeftOut => {
                        unknown.push(pending);
                        continue;
                    }
                };
                settled.push((pending.at, result));
            }
            self.settle_refused(refused, &mut settled).await?;
            if unknown.is_empty() {
                return Ok(settled);
            }
            if round == ROUNDS {
                if let Some(error) = sent.unknown.take() {
                    return Err(error.into());
                }
                let left_out = || Err(Refusal::new("HubSpot's answers leave this record out"));
                settled.extend(unknown.into_iter().map(|pending| (pending.at, left_out())));
                return Ok(settled);
            }
            sent = self.look_for(unknown, &mut settled).await?;
        }
        Ok(settled)
    }

    /// A ticket that is there is never changed.
    async fn settle_holder(&self, id: ObjectId, pending: &Pending) -> Result<Result<Written, Refusal>, TargetError> {
        match &self.plan.matched {
            Match::Once(_) => Ok(Ok(Written::new(id, How::Unchanged))),
            _ => self.update_one(id, pending).await,
        }
    }

    /// Looks for records that may have been created, and sends those again that were not.
    async fn look_for(&self, unknown: Vec<Pending>, settled: &mut Vec<Settled>) -> Result<Sent, TargetError> {
        let (context, plan) = (self.context, self.plan);
        let ready: Vec<_> = unknown.iter().map(|pending| &self.groups[pending.at].lines[0]).collect();
        let mut found = find(context, plan, &ready).await?;
        if plan.matched == Match::DealName {
            let created = find_created(context, plan, &ready).await?;
            for (found, created) in found.iter_mut().zip(created) {
                if matches!(found, Found::Absent) {
                    *found = created;
                }
            }
        }
        let mut again = Vec::new();
        for (pending, found) in unknown.into_iter().zip(found) {
            let result = match found {
                Found::Stored(stored) => Ok(Written::new(stored.id, How::Created)),
                Found::Unsure(refusal) => Err(refusal),
                Found::Absent => {
                    again.push(pending);
                    continue;
                }
            };
            settled.push((pending.at, result));
        }
        if again.is_empty() {
            return Ok(Sent::default());
        }
        send(context, &plan.object_type, creation(plan), again).await
    }

    /// Of deals that are refused, those that another writer created in the meantime are updated.
    async fn settle_refused(
        &self,
        refused: Vec<(Pending, Refusal)>,
        settled: &mut Vec<Settled>,
    ) -> Result<(), TargetError> {
        let mut found = vec![Found::Absent; refused.len()];
        if self.plan.matched == Match::DealName && !refused.is_empty() {
            let ready: Vec<_> = refused.iter().map(|(pending, _)| &self.groups[pending.at].lines[0]).collect();
            found = find_created(self.context, self.plan, &ready).await?;
        }
        for ((pending, refusal), found) in refused.into_iter().zip(found) {
            let result = match found {
                Found::Stored(stored) => self.update_found(&stored, &pending).await?,
                _ => Err(self.explained(&pending, refusal).await?),
            };
            settled.push((pending.at, result));
        }
        Ok(())
    }

    /// Writes what differs to a deal that another writer created.
    async fn update_found(&self, stored: &Stored, pending: &Pending) -> Result<Result<Written, Refusal>, TargetError> {
        let same = |name: &str, new: &str| {
            let old = stored.properties.get(name).and_then(Option::as_deref);
            is_same(self.plan.definitions.by_name.get(name), old, new)
        };
        let mut differing = pending.clone();
        differing.properties.retain(|name, new| !same(name, new));
        // A stage that the line does not name is only for new deals.
        let wanted = &self.groups[pending.at].properties;
        differing.properties.retain(|name, _| wanted.contains_key(name));
        self.update_one(stored.id, &differing).await
    }

    fn written(
        &self,
        id: ObjectId,
        how: How,
        pending: &Pending,
        answered: &BTreeMap<String, Option<String>>,
    ) -> Written {
        let mut written = Written::new(id, how);
        for (name, sent) in &pending.properties {
            match answered.get(name) {
                Some(now) => written.kept.extend(self.kept(pending.at, name, sent, now.as_deref())),
                // HubSpot may leave out what has no value.
                None if sent.is_empty() => {}
                None => drop(written.untold.insert(name.clone(), sent.clone())),
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

    /// Reads the values back that answers leave out.
    async fn read_untold(&self, settled: &mut [Settled]) -> Result<(), TargetError> {
        let untold = settled.iter().filter_map(|(_, result)| result.as_ref().ok()).filter(|one| !one.untold.is_empty());
        let (mut ids, mut names) = (BTreeSet::new(), BTreeSet::new());
        for one in untold {
            ids.insert(one.id.to_string());
            names.extend(one.untold.keys().cloned());
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
            for (name, sent) in std::mem::take(&mut written.untold) {
                let now = now.get(&name).and_then(Option::as_deref);
                written.kept.extend(self.kept(*at, &name, &sent, now));
            }
        }
        Ok(())
    }

    /// A refusal that names both records where they want one unique value.
    async fn explained(&self, pending: &Pending, refusal: Refusal) -> Result<Refusal, TargetError> {
        let Some((holder, property)) = holder(&refusal.reason) else { return Ok(refusal) };
        let of = &self.plan.object_type;
        let key = self.groups[pending.at].lines[0].wanted.key.clone().unwrap_or_default();
        let found_by = match &self.plan.matched {
            Match::Unique(name) => name.as_str(),
            Match::Domain(_) => "domain",
            _ => "hs_object_id",
        };
        let theirs = self.context.client.get_object(of, holder, found_by).await?;
        let theirs = theirs.and_then(|stored| stored.properties.get(found_by).cloned().flatten()).unwrap_or_default();
        let value = pending.properties.get(&property).cloned().unwrap_or_default();
        let reason = format!(
            "{property} {value:?} belongs to {of} {} ({found_by} {theirs:?}), which is not the record that this line is \
             about ({found_by} {key:?}); HubSpot says: {}",
            shown(holder),
            refusal.reason
        );
        Ok(Refusal { reason, ..refusal })
    }
}
