//! From what a line says of other records to those records.

use std::collections::{BTreeMap, BTreeSet};

use super::chunk::{Context, Link, Ready};
use super::field::Mark;
use super::known::Known;
use super::matching::{deal_name, deals_of_contacts};
use super::wanted::{Wanted, Wish};
use super::writing::Refusal;
use crate::client::{AssociationType, Client, ClientError, MAX_BATCH, ObjectId, ObjectType};

/// Contacts whose deals are asked for at once.
const CONTACTS_AT_ONCE: usize = 100;

/// Finds the records that others refer to. Those that refer to what is not there are refused before anything of them is
/// written.
///
/// # Errors
/// What is about none of the records.
pub(super) async fn resolve(
    context: &Context,
    known: &mut Known,
    wanted: Vec<Wanted>,
) -> Result<(Vec<Ready>, Vec<(Wanted, Refusal)>), ClientError> {
    look_up(context, known, &wanted).await?;
    let mut contacts_of: Vec<Option<ObjectId>> = Vec::with_capacity(wanted.len());
    for one in &wanted {
        let contact = one.references.iter().find(|wish| wish.to == ObjectType::CONTACTS);
        contacts_of.push(contact.and_then(|wish| known.record(wish)));
    }
    look_up_deals(context, known, &wanted, &contacts_of).await?;
    let (mut ready, mut refused) = (Vec::new(), Vec::new());
    for (one, contact) in wanted.into_iter().zip(contacts_of) {
        match links(known, &one, contact) {
            Ok(links) => ready.push(Ready { wanted: one, links }),
            Err(reason) => refused.push((one, Refusal::new(reason))),
        }
    }
    Ok((ready, refused))
}

/// Asks for what is not known yet: records by id, address and domain, and the types of associations.
async fn look_up(context: &Context, known: &mut Known, wanted: &[Wanted]) -> Result<(), ClientError> {
    let mut asked: BTreeMap<(&ObjectType, Mark), BTreeSet<&str>> = BTreeMap::new();
    let mut directions: BTreeSet<(&ObjectType, &ObjectType)> = BTreeSet::new();
    for (one, wish) in wanted.iter().flat_map(|one| one.references.iter().map(move |wish| (one, wish))) {
        if known.record(wish).is_none() && wish.mark != Mark::Name {
            asked.entry((&wish.to, wish.mark)).or_default().insert(&wish.value);
        }
        if known.types(&one.plan.object_type, &wish.to).is_none() {
            directions.insert((&one.plan.object_type, &wish.to));
        }
    }
    for ((to, mark), values) in asked {
        let values: Vec<String> = values.into_iter().map(str::to_owned).collect();
        for values in values.chunks(MAX_BATCH) {
            for (value, id) in find(&context.client, to, mark, values).await? {
                known.learn(to, mark, &value, id);
            }
        }
    }
    for (from, to) in directions {
        let types = context.client.list_association_types(from, to).await?;
        known.learn_types(from, to, types);
    }
    Ok(())
}

async fn find(
    client: &Client,
    to: &ObjectType,
    mark: Mark,
    values: &[String],
) -> Result<Vec<(String, ObjectId)>, ClientError> {
    let mut found = Vec::new();
    match mark {
        Mark::Id => {
            let stored = client.batch_read_values(to, None, values, &["hs_object_id"]).await?;
            let ids: BTreeSet<String> = stored.iter().map(|object| object.id.to_string()).collect();
            // An id that was not asked for is the survivor of a merge; whose, only a question for one tells.
            let merged = ids.iter().any(|id| !values.contains(id));
            for value in values {
                let Ok(id) = value.parse().map(ObjectId) else { continue };
                if ids.contains(value) {
                    found.push((value.clone(), id));
                } else if merged && let Some(survivor) = client.get_object(to, id, "hs_object_id").await? {
                    found.push((value.clone(), survivor.id));
                }
            }
        }
        Mark::Email => {
            let names = ["email", "hs_additional_emails"];
            for object in client.batch_read_values(to, Some("email"), values, &names).await? {
                let texts = names.iter().filter_map(|name| object.properties.get(*name)?.clone());
                let addresses: Vec<String> =
                    texts.flat_map(|text| text.split(';').map(str::to_lowercase).collect::<Vec<_>>()).collect();
                found.extend(addresses.into_iter().map(|address| (address, object.id)));
            }
        }
        Mark::Domain => {
            let mut stored = client.search_values(to, "domain", values, &["domain"]).await?;
            // The oldest of several is learned last.
            stored.sort_by_key(|object| std::cmp::Reverse(object.id));
            for object in stored {
                let domain = object.properties.get("domain").cloned().flatten();
                found.extend(domain.map(|domain| (domain.to_lowercase(), object.id)));
            }
        }
        Mark::Name => {}
    }
    Ok(found)
}

/// Asks for the deals of the contacts of those who name a deal.
async fn look_up_deals(
    context: &Context,
    known: &mut Known,
    wanted: &[Wanted],
    contacts_of: &[Option<ObjectId>],
) -> Result<(), ClientError> {
    let mut contacts = BTreeSet::new();
    for (one, contact) in wanted.iter().zip(contacts_of) {
        let Some(contact) = contact else { continue };
        let mut names = one.references.iter().filter(|wish| wish.mark == Mark::Name);
        if names.any(|wish| known.deal(*contact, &wish.value).is_none()) {
            contacts.insert(*contact);
        }
    }
    let contacts: Vec<ObjectId> = contacts.into_iter().collect();
    for contacts in contacts.chunks(CONTACTS_AT_ONCE) {
        let contacts = contacts.iter().copied().collect();
        for (contact, deals) in deals_of_contacts(&context.client, &contacts, &BTreeSet::new()).await? {
            for deal in deals.iter().rev() {
                known.learn_deal(contact, deal_name(deal).unwrap_or_default(), deal.id);
            }
        }
    }
    Ok(())
}

fn links(known: &Known, wanted: &Wanted, contact: Option<ObjectId>) -> Result<Vec<Link>, String> {
    let mut links = Vec::with_capacity(wanted.references.len());
    for wish in &wanted.references {
        let id = match wish.mark {
            Mark::Name => {
                let named = contact.and_then(|contact| known.deal(contact, &wish.value));
                named.or_else(|| known.record(wish).filter(|_| contact.is_none()))
            }
            _ => known.record(wish),
        };
        let id = id.ok_or_else(|| missing(wish, contact))?;
        let types = known.types(&wanted.plan.object_type, &wish.to).unwrap_or_default();
        let chosen = chosen(types, wish.label.as_deref()).ok_or_else(|| unlabelled(wanted, wish, types))?;
        let AssociationType { category, type_id, .. } = chosen;
        links.push(Link { to: wish.to.clone(), id, category: category.clone(), type_id: *type_id });
    }
    links.sort();
    links.dedup();
    Ok(links)
}

fn chosen<'t>(types: &'t [AssociationType], label: Option<&str>) -> Option<&'t AssociationType> {
    types.iter().find(|one| match (label, &one.label) {
        (Some(wanted), Some(label)) => label.trim().eq_ignore_ascii_case(wanted.trim()),
        (None, None) => one.category == "HUBSPOT_DEFINED",
        _ => false,
    })
}

fn missing(wish: &Wish, contact: Option<ObjectId>) -> String {
    let Wish { to, value, .. } = wish;
    match wish.mark {
        Mark::Id => format!("the portal has no {to} with the id {value}"),
        Mark::Email => format!("no contact has the address {value}"),
        Mark::Domain => format!("no company has the domain {value}"),
        Mark::Name => match contact {
            Some(contact) => format!("contact {contact} has no deal with the name {value:?}"),
            None => {
                format!("a deal by name ({value:?}) needs the contact that it belongs to: contactId or contactEmail")
            }
        },
    }
}

fn unlabelled(wanted: &Wanted, wish: &Wish, types: &[AssociationType]) -> String {
    let labels: Vec<&str> = types.iter().filter_map(|one| one.label.as_deref()).collect();
    let (from, to) = (&wanted.plan.object_type, &wish.to);
    match &wish.label {
        Some(label) => format!(
            "the portal has no association label {label:?} from {from} to {to}; it has {}",
            if labels.is_empty() { "none".to_owned() } else { labels.join(", ") }
        ),
        None => format!("the portal has no plain association from {from} to {to}"),
    }
}
