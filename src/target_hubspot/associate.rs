//! Associations of records that are in the portal.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use futures_util::future::try_join_all;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::breaker::kind_of;
use super::error::TargetError;
use super::groups::RecordGroup;
use super::lookups::REQUESTS_AT_ONCE;
use super::placeholder::is_placeholder;
use super::rejection::{MAX_FAILED_ALONE, Rejection, is_about_inputs, may_be_about_inputs};
use super::resolved_line::AssociationLink;
use super::write_step::{WriteAction, WrittenRecord, create_operation};
use super::writing::Operation;
use crate::client::{Client, ClientError, MAX_ASSOCIATIONS, NewAssociation, ObjectId, ObjectType};

/// How often associations are sent that HubSpot fails on.
const MAX_TRIES: u32 = 4;
/// A refused batch with fewer associations is not probed.
const MIN_PROBED: usize = 100;
/// Associations of a refused batch that are sent alone, to see whether the reason is common to all: as
/// many as stop a run of records.
const PROBES: usize = 9;

/// A record and the associations that it is to have.
#[derive(Debug)]
pub(super) struct PendingAssociations<'l> {
    pub(super) id: ObjectId,
    pub(super) links: &'l [AssociationLink],
    /// Some of them may be there: the record is not new, or they were sent with it.
    pub(super) may_have: bool,
}

/// The outcomes of associations.
#[derive(Debug, Default)]
pub(super) struct AssociationOutcomes {
    /// How many were created for each record, by the record's place.
    pub(super) created: BTreeMap<usize, u64>,
    /// The associations that records lack, by the record's place, and why.
    pub(super) refused: BTreeMap<usize, Vec<(AssociationLink, Rejection)>>,
}

impl AssociationOutcomes {
    /// Adds the outcomes of other associations.
    pub(super) fn add(&mut self, other: Self) {
        for (place, created) in other.created {
            *self.created.entry(place).or_default() += created;
        }
        for (place, refused) in other.refused {
            self.refused.entry(place).or_default().extend(refused);
        }
    }
}

/// The associations to create between two types, and the place of the record that each belongs to.
type MissingAssociations = BTreeMap<NewAssociation, usize>;

/// Creates the associations that records of one type lack. Creating one again would change nothing; reading
/// the existing ones first leaves the portal's history alone.
///
/// # Errors
/// Errors that concern no single record.
pub(super) async fn associate(
    client: &Client,
    from: &ObjectType,
    records: Vec<(usize, PendingAssociations<'_>)>,
) -> Result<AssociationOutcomes, TargetError> {
    let records = records.as_slice();
    let of_types =
        try_join_all(targets(records).into_iter().map(|to| associate_type(client, from, to, records))).await?;
    let mut associated_outcomes = AssociationOutcomes::default();
    for of_type in of_types {
        associated_outcomes.add(of_type);
    }
    Ok(associated_outcomes)
}

fn targets<'l>(records: &[(usize, PendingAssociations<'l>)]) -> BTreeSet<&'l ObjectType> {
    records.iter().flat_map(|(_, one)| one.links).map(|link| &link.to).collect()
}

/// The associations that [`associate`] would make of each record.
///
/// # Errors
/// Any [`ClientError`].
pub(super) async fn preview_associations(
    client: &Client,
    from: &ObjectType,
    records: &[(usize, PendingAssociations<'_>)],
) -> Result<BTreeMap<usize, Vec<AssociationLink>>, ClientError> {
    let mut would: BTreeMap<usize, Vec<AssociationLink>> = BTreeMap::new();
    for to in targets(records) {
        for (one, place) in missing(client, from, to, records).await? {
            let NewAssociation { to: id, category, type_id, .. } = one;
            would.entry(place).or_default().push(AssociationLink { to: to.clone(), id, category, type_id });
        }
    }
    Ok(would)
}

async fn associate_type(
    client: &Client,
    from: &ObjectType,
    to: &ObjectType,
    records: &[(usize, PendingAssociations<'_>)],
) -> Result<AssociationOutcomes, TargetError> {
    let missing = missing(client, from, to, records).await?;
    let inputs: Vec<NewAssociation> = missing.keys().cloned().collect();
    let outcomes: Vec<CreateOutcomes> = stream::iter(inputs.chunks(MAX_ASSOCIATIONS))
        .map(async |inputs: &[NewAssociation]| create(client, from, to, inputs.to_vec()).await)
        .buffer_unordered(REQUESTS_AT_ONCE)
        .try_collect()
        .await?;
    let mut associated_outcomes = AssociationOutcomes::default();
    for (one, outcome) in outcomes.into_iter().flatten() {
        match outcome {
            Ok(()) => *associated_outcomes.created.entry(missing[&one]).or_default() += 1,
            Err(rejection) => {
                let place = missing[&one];
                let NewAssociation { to: id, category, type_id, .. } = one;
                let link = AssociationLink { to: to.clone(), id, category, type_id };
                associated_outcomes.refused.entry(place).or_default().push((link, rejection));
            }
        }
    }
    Ok(associated_outcomes)
}

/// Which of the wanted associations are not existing.
async fn missing(
    client: &Client,
    from: &ObjectType,
    to: &ObjectType,
    records: &[(usize, PendingAssociations<'_>)],
) -> Result<MissingAssociations, ClientError> {
    let mut wanted = MissingAssociations::new();
    let mut asked: BTreeSet<ObjectId> = BTreeSet::new();
    for (place, one) in records {
        for link in one.links.iter().filter(|link| link.to == *to) {
            let (category, type_id) = (link.category.clone(), link.type_id);
            wanted.insert(NewAssociation { from: one.id, to: link.id, category, type_id }, *place);
            if one.may_have && !is_placeholder(one.id) {
                asked.insert(one.id);
            }
        }
    }
    for one in existing(client, from, to, asked).await? {
        wanted.remove(&one);
    }
    Ok(wanted)
}

async fn existing(
    client: &Client,
    from: &ObjectType,
    to: &ObjectType,
    ids: BTreeSet<ObjectId>,
) -> Result<HashSet<NewAssociation>, ClientError> {
    let ids: Vec<ObjectId> = ids.into_iter().collect();
    let found: Vec<_> = stream::iter(ids.chunks(MAX_ASSOCIATIONS))
        .map(async |ids: &[ObjectId]| client.batch_read_associations(from, to, ids).await)
        .buffer_unordered(REQUESTS_AT_ONCE)
        .try_collect()
        .await?;
    let mut existing = HashSet::new();
    for found in found {
        existing.extend(found.links.iter().map(|link| {
            let of_type = &found.types[usize::try_from(link.association_type).expect("an index")];
            let (category, type_id) = (of_type.category.clone(), of_type.type_id);
            NewAssociation { from: link.from, to: link.to, category, type_id }
        }));
    }
    Ok(existing)
}

/// The outcome of each association.
type CreateOutcomes = Vec<(NewAssociation, Result<(), Rejection>)>;

/// Creates associations; a batch that is refused as a whole is halved until the bad one is alone.
async fn create(
    client: &Client,
    from: &ObjectType,
    to: &ObjectType,
    inputs: Vec<NewAssociation>,
) -> Result<CreateOutcomes, TargetError> {
    let mut created = Vec::with_capacity(inputs.len());
    let mut left_out = Vec::new();
    let mut waiting = vec![(inputs, 0)];
    let (mut is_probed, mut is_failing) = (false, false);
    let mut alone = 0;
    while let Some((mut batch, tries)) = waiting.pop() {
        let outcome = match client.batch_create_associations(from, to, &batch).await {
            Ok(outcome) => outcome,
            Err(error) => {
                if may_be_about_inputs(&error) {
                    if !is_failing && !answers_without_inputs(client, from, to).await {
                        return Err(error.into());
                    }
                    is_failing = true;
                    if batch.len() > 1 {
                        let second = batch.split_off(batch.len() / 2);
                        waiting.extend([(second, tries), (batch, tries)]);
                        continue;
                    }
                    alone += 1;
                    if alone > MAX_FAILED_ALONE {
                        return Err(error.into());
                    }
                    let reason = format!("HubSpot fails on it whenever it is sent: {error}");
                    let of_one = |one: NewAssociation| {
                        let rejection = unassociated(to, &one, Rejection::new(reason.as_str()));
                        (one, Err(rejection))
                    };
                    created.extend(batch.into_iter().map(of_one));
                    continue;
                }
                let Some(reason) = is_about_inputs(&error) else { return Err(error.into()) };
                if !std::mem::replace(&mut is_probed, true) && batch.len() >= MIN_PROBED {
                    probe(client, from, to, &batch).await?;
                }
                if batch.len() == 1 {
                    created.extend(batch.into_iter().map(|one| {
                        let rejection = unassociated(to, &one, Rejection::of(reason));
                        (one, Err(rejection))
                    }));
                } else {
                    let second = batch.split_off(batch.len() / 2);
                    waiting.extend([(second, tries), (batch, tries)]);
                }
                continue;
            }
        };
        let done: HashSet<(ObjectId, ObjectId)> =
            outcome.done.iter().flat_map(|(one, other)| [(*one, *other), (*other, *one)]).collect();
        let mut again = Vec::new();
        for one in batch {
            if done.contains(&(one.from, one.to)) {
                created.push((one, Ok(())));
                continue;
            }
            let names = |id: ObjectId, text: &str| text.parse() == Ok(id.0);
            let error = outcome.errors.iter().find(|error| {
                error.named("fromObjectId").any(|text| names(one.from, text))
                    && error.named("toObjectId").any(|text| names(one.to, text))
            });
            let nameless = || outcome.errors.iter().find(|error| error.named("fromObjectId").next().is_none());
            match error.or_else(nameless) {
                Some(error) if error.is_transient() && tries < MAX_TRIES => again.push(one),
                Some(error) => {
                    let rejection = unassociated(to, &one, Rejection::of_error(error, &outcome.correlation_id));
                    created.push((one, Err(rejection)));
                }
                None => left_out.push(one),
            }
        }
        if !again.is_empty() {
            client.pause(tries + 1).await;
            waiting.push((again, tries + 1));
        }
    }
    // What the answers leave out may have been created.
    let existing = existing(client, from, to, left_out.iter().map(|one| one.from).collect()).await?;
    created.extend(left_out.into_iter().map(|one| {
        let outcome = match existing.contains(&one) {
            true => Ok(()),
            false => Err(unassociated(to, &one, Rejection::new("HubSpot dropped the association without a reason"))),
        };
        (one, outcome)
    }));
    Ok(created)
}

/// Whether HubSpot takes requests for such associations as long as they hold none.
async fn answers_without_inputs(client: &Client, from: &ObjectType, to: &ObjectType) -> bool {
    match client.batch_create_associations(from, to, &[]).await {
        Ok(_) => true,
        Err(error) => is_about_inputs(&error).is_some(),
    }
}

/// Creates some associations of a refused batch alone, far apart from each other.
///
/// # Errors
/// When HubSpot refuses each of them for one reason, which then is about none of them.
async fn probe(
    client: &Client,
    from: &ObjectType,
    to: &ObjectType,
    batch: &[NewAssociation],
) -> Result<(), TargetError> {
    let mut reasons: Vec<String> = Vec::new();
    for one in batch.iter().step_by(batch.len() / PROBES).take(PROBES) {
        match client.batch_create_associations(from, to, std::slice::from_ref(one)).await {
            Ok(_) => return Ok(()),
            Err(error) => match is_about_inputs(&error) {
                Some(reason) => reasons.push(Rejection::of(reason).reason),
                None => return Err(error.into()),
            },
        }
    }
    let kind = kind_of(&reasons[0]);
    match reasons.iter().all(|reason| kind_of(reason) == kind) {
        true => Err(TargetError::RefusesAll {
            what: format!("association of {from} with {to}"),
            reason: reasons.swap_remove(0),
        }),
        false => Ok(()),
    }
}

/// Why a record that is written lacks one of its associations.
fn unassociated(to: &ObjectType, one: &NewAssociation, rejection: Rejection) -> Rejection {
    let reason = format!("it is written, but not associated with {to} {}: {}", one.to, rejection.reason);
    Rejection { reason, ..rejection }
}

pub(super) fn pending_associations<'g>(group: &'g RecordGroup, written: &WrittenRecord) -> PendingAssociations<'g> {
    let may_have = written.action != WriteAction::Created || is_created_with_links(group, written);
    PendingAssociations { id: written.id, links: &group.links, may_have }
}

/// Whether the associations were sent together with the new record.
pub(super) fn is_created_with_links(group: &RecordGroup, written: &WrittenRecord) -> bool {
    written.action == WriteAction::Created && matches!(create_operation(&group.plan), Operation::Create)
}
