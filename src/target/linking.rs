//! Associations of records that are in the portal.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::chunk::{Done, How};
use super::writing::{Refusal, is_about_inputs};
use crate::client::{AssociationOutcome, Client, ClientError, MAX_ASSOCIATIONS, NewAssociation, ObjectId, ObjectType};

/// What became of associations.
#[derive(Debug, Default)]
pub(super) struct Linked {
    /// Those made, one for each pair and type.
    pub(super) made: Vec<NewAssociation>,
    /// The records that some of theirs are missing of, by their place in what was given.
    pub(super) refused: BTreeMap<usize, Refusal>,
}

/// Makes the associations that records of one type want and do not have. Making one again would change nothing; asking
/// what is there first leaves the portal's history alone.
///
/// # Errors
/// What is about none of the records.
pub(super) async fn link(client: &Client, from: &ObjectType, done: &[Done]) -> Result<Linked, ClientError> {
    let mut linked = Linked::default();
    let targets: BTreeSet<&ObjectType> =
        done.iter().filter(|one| !one.linked).flat_map(|one| &one.ready.links).map(|link| &link.to).collect();
    for to in targets {
        let mut wanted: BTreeMap<NewAssociation, usize> = BTreeMap::new();
        let mut old: BTreeSet<ObjectId> = BTreeSet::new();
        for (index, one) in done.iter().enumerate().filter(|(_, one)| !one.linked) {
            for link in one.ready.links.iter().filter(|link| link.to == *to) {
                let (category, type_id) = (link.category.clone(), link.type_id);
                wanted.insert(NewAssociation { from: one.id, to: link.id, category, type_id }, index);
                if one.how != How::Created {
                    old.insert(one.id);
                }
            }
        }
        if !old.is_empty() {
            for there in there(client, from, to, &old).await? {
                wanted.remove(&there);
            }
        }
        let inputs: Vec<NewAssociation> = wanted.keys().cloned().collect();
        for inputs in inputs.chunks(MAX_ASSOCIATIONS) {
            make(client, (from, to), inputs.to_vec(), &wanted, &mut linked).await?;
        }
    }
    Ok(linked)
}

async fn there(
    client: &Client,
    from: &ObjectType,
    to: &ObjectType,
    ids: &BTreeSet<ObjectId>,
) -> Result<Vec<NewAssociation>, ClientError> {
    let ids: Vec<ObjectId> = ids.iter().copied().collect();
    let found = client.batch_read_associations(from, to, &ids).await?;
    let there = found.links.iter().map(|link| {
        let of_type = &found.types[usize::try_from(link.association_type).expect("an index")];
        NewAssociation { from: link.from, to: link.to, category: of_type.category.clone(), type_id: of_type.type_id }
    });
    Ok(there.collect())
}

/// Makes associations; a batch that is refused as a whole is halved until the bad one stands alone.
async fn make(
    client: &Client,
    (from, to): (&ObjectType, &ObjectType),
    inputs: Vec<NewAssociation>,
    owners: &BTreeMap<NewAssociation, usize>,
    linked: &mut Linked,
) -> Result<(), ClientError> {
    let mut waiting = vec![inputs];
    while let Some(mut batch) = waiting.pop() {
        match client.batch_create_associations(from, to, &batch).await {
            Ok(outcome) => settle(batch, &outcome, owners, linked),
            Err(error) => match is_about_inputs(&error) {
                Some(reason) if batch.len() == 1 => {
                    linked.refused.extend(batch.iter().map(|one| (owners[one], Refusal::of(reason))));
                }
                Some(_) => {
                    let second = batch.split_off(batch.len() / 2);
                    waiting.extend([second, batch]);
                }
                None => return Err(error),
            },
        }
    }
    Ok(())
}

fn settle(
    batch: Vec<NewAssociation>,
    outcome: &AssociationOutcome,
    owners: &BTreeMap<NewAssociation, usize>,
    linked: &mut Linked,
) {
    let done: HashMap<(ObjectId, ObjectId), ()> =
        outcome.done.iter().flat_map(|(one, other)| [((*one, *other), ()), ((*other, *one), ())]).collect();
    for one in batch {
        if done.contains_key(&(one.from, one.to)) {
            linked.made.push(one);
            continue;
        }
        let names = |id: ObjectId, text: &str| text.parse() == Ok(id.0);
        let error = outcome.errors.iter().find(|error| {
            error.named("fromObjectId").any(|text| names(one.from, text))
                && error.named("toObjectId").any(|text| names(one.to, text))
        });
        let refusal = match error.or(outcome.errors.first()) {
            Some(error) => Refusal {
                category: error.category.clone(),
                ..Refusal::new(format!("it is written, but not associated with {}: {}", one.to, error.message))
            },
            None => Refusal::new(format!("it is written, but HubSpot's answer leaves out {}", one.to)),
        };
        linked.refused.insert(owners[&one], refusal);
    }
}
