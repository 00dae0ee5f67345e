//! Associations of records that are in the portal.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use futures_util::future::try_join_all;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::breaker::kind_of;
use super::chunk::{Link, is_fake};
use super::exit::TargetError;
use super::lookups::REQUESTS_AT_ONCE;
use super::writing::{Refusal, is_about_inputs};
use crate::client::{Client, ClientError, MAX_ASSOCIATIONS, NewAssociation, ObjectId, ObjectType};

/// How often associations are sent that HubSpot fails on.
const MAX_TRIES: u32 = 4;
/// A refused batch with fewer associations says nothing of the others.
const LEAST_PROBED: usize = 100;
/// Associations of a refused batch that tell whether the reason is common to all: as many as stop a run of records.
const PROBES: usize = 9;

/// A record and the associations that it is to have.
#[derive(Debug)]
pub(super) struct Unlinked<'l> {
    pub(super) id: ObjectId,
    pub(super) links: &'l [Link],
    /// Some of them may be there: the record is not new, or they were sent with it.
    pub(super) may_have: bool,
}

/// What became of associations.
#[derive(Debug, Default)]
pub(super) struct Linked {
    /// How many were made of each record, by the record's place.
    pub(super) made: BTreeMap<usize, u64>,
    /// The records that some of theirs are missing of, likewise.
    pub(super) refused: BTreeMap<usize, Refusal>,
}

impl Linked {
    /// Adds what became of other associations.
    pub(super) fn add(&mut self, other: Self) {
        for (place, made) in other.made {
            *self.made.entry(place).or_default() += made;
        }
        self.refused.extend(other.refused);
    }
}

/// The associations to make between two types, and the place of the record that wants each.
type Wanted = BTreeMap<NewAssociation, usize>;

/// Makes the associations that records of one type want and do not have. Making one again would change nothing; asking
/// what is there first leaves the portal's history alone.
///
/// # Errors
/// What is about none of the records.
pub(super) async fn link(
    client: &Client,
    from: &ObjectType,
    records: Vec<(usize, Unlinked<'_>)>,
) -> Result<Linked, TargetError> {
    let records = records.as_slice();
    let of_types = try_join_all(targets(records).into_iter().map(|to| link_to(client, from, to, records))).await?;
    let mut linked = Linked::default();
    for of_type in of_types {
        linked.add(of_type);
    }
    Ok(linked)
}

fn targets<'l>(records: &[(usize, Unlinked<'l>)]) -> BTreeSet<&'l ObjectType> {
    records.iter().flat_map(|(_, one)| one.links).map(|link| &link.to).collect()
}

/// The associations that [`link`] would make of each record.
///
/// # Errors
/// Any [`ClientError`].
pub(super) async fn would_link(
    client: &Client,
    from: &ObjectType,
    records: &[(usize, Unlinked<'_>)],
) -> Result<BTreeMap<usize, Vec<Link>>, ClientError> {
    let mut would: BTreeMap<usize, Vec<Link>> = BTreeMap::new();
    for to in targets(records) {
        for (one, place) in missing(client, from, to, records).await? {
            let NewAssociation { to: id, category, type_id, .. } = one;
            would.entry(place).or_default().push(Link { to: to.clone(), id, category, type_id });
        }
    }
    Ok(would)
}

async fn link_to(
    client: &Client,
    from: &ObjectType,
    to: &ObjectType,
    records: &[(usize, Unlinked<'_>)],
) -> Result<Linked, TargetError> {
    let missing = missing(client, from, to, records).await?;
    let inputs: Vec<NewAssociation> = missing.keys().cloned().collect();
    let outcomes: Vec<Made> = stream::iter(inputs.chunks(MAX_ASSOCIATIONS))
        .map(async |inputs: &[NewAssociation]| make(client, from, to, inputs.to_vec()).await)
        .buffer_unordered(REQUESTS_AT_ONCE)
        .try_collect()
        .await?;
    let mut linked = Linked::default();
    for (one, outcome) in outcomes.into_iter().flatten() {
        match outcome {
            Ok(()) => *linked.made.entry(missing[&one]).or_default() += 1,
            Err(refusal) => drop(linked.refused.insert(missing[&one], refusal)),
        }
    }
    Ok(linked)
}

/// Which of the wanted associations are not there.
async fn missing(
    client: &Client,
    from: &ObjectType,
    to: &ObjectType,
    records: &[(usize, Unlinked<'_>)],
) -> Result<Wanted, ClientError> {
    let mut wanted = Wanted::new();
    let mut asked: BTreeSet<ObjectId> = BTreeSet::new();
    for (place, one) in records {
        for link in one.links.iter().filter(|link| link.to == *to) {
            let (category, type_id) = (link.category.clone(), link.type_id);
            wanted.insert(NewAssociation { from: one.id, to: link.id, category, type_id }, *place);
            if one.may_have && !is_fake(one.id) {
                asked.insert(one.id);
            }
        }
    }
    for there in there(client, from, to, asked).await? {
        wanted.remove(&there);
    }
    Ok(wanted)
}

async fn there(
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
    let mut there = HashSet::new();
    for found in found {
        there.extend(found.links.iter().map(|link| {
            let of_type = &found.types[usize::try_from(link.association_type).expect("an index")];
            let (category, type_id) = (of_type.category.clone(), of_type.type_id);
            NewAssociation { from: link.from, to: link.to, category, type_id }
        }));
    }
    Ok(there)
}

/// What became of each association.
type Made = Vec<(NewAssociation, Result<(), Refusal>)>;

/// Makes associations; a batch that is refused as a whole is halved until the bad one stands alone.
async fn make(
    client: &Client,
    from: &ObjectType,
    to: &ObjectType,
    inputs: Vec<NewAssociation>,
) -> Result<Made, TargetError> {
    let mut made = Vec::with_capacity(inputs.len());
    let mut left_out = Vec::new();
    let mut waiting = vec![(inputs, 0)];
    let mut is_probed = false;
    while let Some((mut batch, tries)) = waiting.pop() {
        let outcome = match client.batch_create_associations(from, to, &batch).await {
            Ok(outcome) => outcome,
            Err(error) => {
                let Some(reason) = is_about_inputs(&error) else { return Err(error.into()) };
                if !std::mem::replace(&mut is_probed, true) && batch.len() >= LEAST_PROBED {
                    probe(client, from, to, &batch).await?;
                }
                if batch.len() == 1 {
                    made.extend(batch.into_iter().map(|one| {
                        let refusal = unassociated(to, &one, Refusal::of(reason));
                        (one, Err(refusal))
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
                made.push((one, Ok(())));
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
                    let refusal = unassociated(to, &one, Refusal::of_error(error, &outcome.correlation_id));
                    made.push((one, Err(refusal)));
                }
                None => left_out.push(one),
            }
        }
        if !again.is_empty() {
            client.pause(tries + 1).await;
            waiting.push((again, tries + 1));
        }
    }
    // What the answers leave out may have been made.
    let there = there(client, from, to, left_out.iter().map(|one| one.from).collect()).await?;
    made.extend(left_out.into_iter().map(|one| {
        let outcome = match there.contains(&one) {
            true => Ok(()),
            false => Err(unassociated(to, &one, Refusal::new("HubSpot dropped the association without a reason"))),
        };
        (one, outcome)
    }));
    Ok(made)
}

/// Makes some associations of a refused batch alone, far apart from each other.
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
                Some(reason) => reasons.push(Refusal::of(reason).reason),
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
fn unassociated(to: &ObjectType, one: &NewAssociation, refusal: Refusal) -> Refusal {
    let reason = format!("it is written, but not associated with {to} {}: {}", one.to, refusal.reason);
    Refusal { reason, ..refusal }
}
