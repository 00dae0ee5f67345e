//! From what a line says of other records to those records.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::future::{try_join, try_join_all};

use super::chunk::{Context, Link, Ready, shown};
use super::exit::TargetError;
use super::field::Mark;
use super::identity::{Token, folded};
use super::known::{Known, Named, mark_token};
use super::lookups;
use super::matching::{deal_name, deals_of_contacts};
use super::portal::DELIVERY_KEY;
use super::wanted::{Wanted, Wish};
use super::writing::Refusal;
use crate::client::{AssociationType, Client, ClientError, ObjectId, ObjectType, StoredObject};

/// What became of the references of a record.
#[derive(Debug)]
pub(super) enum Resolved {
    Ready(Ready),
    Refused(Box<Wanted>, Refusal),
}

/// Why a record is not found.
struct Absence {
    refusal: Refusal,
    /// What a later line may bring.
    awaited: Option<Vec<Token>>,
}

/// Records that could not be asked for, by the token of their mark.
type Failed = HashMap<Token, Refusal>;

/// Finds the records that others refer to. `last` says that no line comes any more that could bring one.
///
/// # Errors
/// What is about none of the records.
pub(super) async fn resolve(
    context: &Context,
    known: &mut Known,
    wanted: Vec<Wanted>,
    last: bool,
) -> Result<Vec<Resolved>, TargetError> {
    let mut failed = look_up(context, known, &wanted).await?;
    let mut contacts_of: Vec<Option<ObjectId>> = Vec::with_capacity(wanted.len());
    for one in &wanted {
        let contact = one.references.iter().find(|wish| wish.to == ObjectType::CONTACTS);
        contacts_of.push(contact.map_or(Ok(None), |wish| known.record(wish))?);
    }
    look_up_deals(context, known, &mut failed, &wanted, &contacts_of).await?;
    let mut resolved = Vec::with_capacity(wanted.len());
    for (one, contact) in wanted.into_iter().zip(contacts_of) {
        resolved.push(match links(known, &failed, &one, contact, last)? {
            Ok(links) => Resolved::Ready(Ready { wanted: one, links, contact, awaited: None, alone: false }),
            Err(Absence { awaited: Some(awaited), .. }) if !last => {
                Resolved::Ready(Ready { wanted: one, links: Vec::new(), contact, awaited: Some(awaited), alone: false })
            }
            Err(absence) => Resolved::Refused(Box::new(one), absence.refusal),
        });
    }
    Ok(resolved)
}

/// Asks for what is not known yet: records by id, address and domain, and the types of associations, all side by side.
async fn look_up(context: &Context, known: &mut Known, wanted: &[Wanted]) -> Result<Failed, TargetError> {
    let mut asked: BTreeMap<(ObjectType, Mark), BTreeSet<String>> = BTreeMap::new();
    let mut directions: BTreeSet<(ObjectType, ObjectType)> = BTreeSet::new();
    for (one, wish) in wanted.iter().flat_map(|one| one.references.iter().map(move |wish| (one, wish))) {
        if wish.mark != Mark::Name && known.record(wish)?.is_none() {
            asked.entry((wish.to.clone(), wish.mark)).or_default().insert(wish.value.clone());
        }
        if known.types(&one.plan.object_type, &wish.to).is_none() {
            directions.insert((one.plan.object_type.clone(), wish.to.clone()));
        }
    }
    let client = &context.client;
    let keyed = !known.lacks_company_key;
    let records = try_join_all(asked.iter().map(|((to, mark), values)| find(client, to, *mark, values, keyed)));
    let types = try_join_all(directions.iter().map(|(from, to)| client.list_association_types(from, to)));
    let (records, types) = try_join(records, types).await?;
    let mut failed = Failed::new();
    for (((to, mark), _), found) in asked.iter().zip(records) {
        known.lacks_company_key |= found.lacks_company_key;
        for (value, id) in found.records {
            known.learn(mark_token(to, *mark, &value), id)?;
        }
        failed.extend(found.failed.into_iter().map(|(value, refusal)| (mark_token(to, *mark, &value), refusal)));
    }
    for ((from, to), types) in directions.into_iter().zip(types) {
        known.learn_types(&from, &to, types);
    }
    Ok(failed)
}

/// Records by one mark.
#[derive(Debug, Default)]
struct Marked {
    /// Of a value that stands more than once the last one counts.
    records: Vec<(String, ObjectId)>,
    failed: HashMap<String, Refusal>,
    lacks_company_key: bool,
}

async fn find(
    client: &Client,
    to: &ObjectType,
    mark: Mark,
    values: &BTreeSet<String>,
    keyed: bool,
) -> Result<Marked, ClientError> {
    match mark {
        Mark::Id => by_id(client, to, values).await,
        Mark::Email => {
            let names = ["email", "hs_additional_emails"];
            let answers = lookups::read(client, to, Some("email"), values, &names).await?;
            let mut records = Vec::new();
            for object in &answers.found {
                let texts = names.iter().filter_map(|name| text(object, name));
                let addresses: Vec<String> =
                    texts.flat_map(|text| text.split(';').map(folded).collect::<Vec<_>>()).collect();
                records.extend(addresses.into_iter().map(|address| (address, object.id)));
            }
            Ok(Marked { records, failed: answers.failed, ..Marked::default() })
        }
        Mark::Domain => by_domain(client, to, values, keyed).await,
        Mark::Name => Ok(Marked::default()),
    }
}

fn text(object: &StoredObject, name: &str) -> Option<String> {
    object.properties.get(name).cloned().flatten()
}

async fn by_id(client: &Client, to: &ObjectType, values: &BTreeSet<String>) -> Result<Marked, ClientError> {
    let answers = lookups::read(client, to, None, values, &["hs_object_id"]).await?;
    let ids: BTreeSet<String> = answers.found.iter().map(|object| object.id.to_string()).collect();
    // An id that was not asked for is the survivor of a merge; whose, only a question for one tells.
    let merged = ids.iter().any(|id| !values.contains(id));
    let mut records = Vec::new();
    for value in values {
        let Ok(id) = value.parse().map(ObjectId) else { continue };
        if ids.contains(value) {
            records.push((value.clone(), id));
        } else if merged
            && !answers.failed.contains_key(value)
            && let Some(survivor) = client.get_object(to, id, "hs_object_id").await?
        {
            records.push((value.clone(), survivor.id));
        }
    }
    Ok(Marked { records, failed: answers.failed, ..Marked::default() })
}

/// Companies by domain. What this target created is found by its key at once; the search's index lags.
async fn by_domain(
    client: &Client,
    to: &ObjectType,
    values: &BTreeSet<String>,
    keyed: bool,
) -> Result<Marked, ClientError> {
    let mut marked = Marked::default();
    if keyed {
        match lookups::read(client, to, Some(DELIVERY_KEY), values, &[DELIVERY_KEY]).await {
            Ok(answers) => {
                let of = |object: &StoredObject| Some((folded(&text(object, DELIVERY_KEY)?), object.id));
                marked.records = answers.found.iter().filter_map(of).collect();
                marked.failed = answers.failed;
            }
            Err(ClientError::Refused { .. }) => marked.lacks_company_key = true,
            Err(error) => return Err(error),
        }
    }
    let found: BTreeSet<&String> = marked.records.iter().map(|(value, _)| value).collect();
    let others: BTreeSet<String> = values.iter().filter(|value| !found.contains(value)).cloned().collect();
    let mut stored = lookups::search(client, to, "domain", &others, &["domain"]).await?;
    // The oldest of several counts.
    stored.reverse();
    for object in stored {
        marked.records.extend(text(&object, "domain").map(|domain| (folded(&domain), object.id)));
    }
    marked.failed.retain(|value, _| !marked.records.iter().any(|(known, _)| known == value));
    Ok(marked)
}

/// Asks for the deals of the contacts of those who name a deal.
async fn look_up_deals(
    context: &Context,
    known: &mut Known,
    failed: &mut Failed,
    wanted: &[Wanted],
    contacts_of: &[Option<ObjectId>],
) -> Result<(), TargetError> {
    let mut contacts = BTreeSet::new();
    for (one, contact) in wanted.iter().zip(contacts_of) {
        let Some(contact) = contact else { continue };
        for wish in one.references.iter().filter(|wish| wish.mark == Mark::Name) {
            if known.deal(*contact, &wish.value)?.is_none() {
                contacts.insert(*contact);
            }
        }
    }
    let found = deals_of_contacts(&context.client, &contacts, &BTreeSet::new()).await?;
    for (contact, deals) in found.by_contact {
        // The oldest of several deals of one name is learned last.
        for deal in deals.iter().rev() {
            known.learn(Token::of_deal(contact, deal_name(deal).unwrap_or_default()), deal.id)?;
        }
    }
    failed.extend(
        found.failed.into_iter().map(|(contact, refusal)| (Token::of_id(&ObjectType::CONTACTS, contact), refusal)),
    );
    Ok(())
}

type Links = Result<Vec<Link>, Absence>;

fn links(
    known: &Known,
    failed: &Failed,
    wanted: &Wanted,
    contact: Option<ObjectId>,
    last: bool,
) -> Result<Links, TargetError> {
    let mut links = Vec::with_capacity(wanted.references.len());
    let mut missing: Option<Absence> = None;
    for wish in &wanted.references {
        let id = match wish.mark {
            Mark::Name => named_deal(known, failed, wanted, wish, contact, last)?,
            _ => known.record(wish)?.ok_or_else(|| absent(failed, wish)),
        };
        let id = match id {
            Ok(id) => id,
            Err(Absence { refusal, awaited: Some(awaited) }) => {
                let first = missing.get_or_insert(Absence { refusal, awaited: Some(Vec::new()) });
                first.awaited.get_or_insert_default().extend(awaited);
                continue;
            }
            Err(absence) => return Ok(Err(absence)),
        };
        let types = known.types(&wanted.plan.object_type, &wish.to).unwrap_or_default();
        let Some(chosen) = chosen(types, wish.label.as_deref()) else {
            return Ok(Err(Absence { refusal: Refusal::new(unlabelled(wanted, wish, types)), awaited: None }));
        };
        let AssociationType { category, type_id, .. } = chosen;
        links.push(Link { to: wish.to.clone(), id, category: category.clone(), type_id: *type_id });
    }
    links.sort();
    links.dedup();
    Ok(missing.map_or(Ok(links), Err))
}

/// A record that is not there by id, address or domain. An id is HubSpot's: no later line brings it.
fn absent(failed: &Failed, wish: &Wish) -> Absence {
    let token = mark_token(&wish.to, wish.mark, &wish.value);
    if let Some(refusal) = failed.get(&token) {
        return Absence { refusal: refusal.clone(), awaited: None };
    }
    let Wish { to, value, .. } = wish;
    let reason = match wish.mark {
        Mark::Id => format!("the portal has no {to} with the id {value}"),
        Mark::Email => format!("no contact has the address {value}"),
        _ => format!("no company has the domain {value}"),
    };
    let awaited = (wish.mark != Mark::Id).then(|| vec![token]);
    Absence { refusal: Refusal::new(reason), awaited }
}

/// A deal by its name: among those of the record's contact, or the only one of this delivery that has the name.
fn named_deal(
    known: &Known,
    failed: &Failed,
    wanted: &Wanted,
    wish: &Wish,
    contact: Option<ObjectId>,
    last: bool,
) -> Result<Result<ObjectId, Absence>, TargetError> {
    let name = &wish.value;
    let awaiting =
        |reason: String, awaited: Vec<Token>| Err(Absence { refusal: Refusal::new(reason), awaited: Some(awaited) });
    if let Some(contact) = contact {
        if let Some(id) = known.deal(contact, name)? {
            return Ok(Ok(id));
        }
        if let Some(refusal) = failed.get(&Token::of_id(&ObjectType::CONTACTS, contact)) {
            return Ok(Err(Absence { refusal: refusal.clone(), awaited: None }));
        }
        let reason = format!("contact {} has no deal with the name {name:?}", shown(contact));
        return Ok(awaiting(reason, vec![Token::of_deal(contact, name)]));
    }
    if wanted.references.iter().any(|wish| wish.to == ObjectType::CONTACTS) {
        return Ok(awaiting(format!("the contact that the deal {name:?} belongs to is not there"), Vec::new()));
    }
    // Which deals have the name is known when the last line was read.
    Ok(match known.deal_named(name)? {
        Named::One(id) if last => Ok(id),
        Named::Several if last => Err(Absence {
            refusal: Refusal::new(format!(
                "several deals of this delivery have the name {name:?}: name the contact too, by contactId or contactEmail"
            )),
            awaited: None,
        }),
        _ => awaiting(
            format!("a deal by name ({name:?}) needs the contact that it belongs to: contactId or contactEmail"),
            Vec::new(),
        ),
    })
}

fn chosen<'t>(types: &'t [AssociationType], label: Option<&str>) -> Option<&'t AssociationType> {
    types.iter().find(|one| match (label, &one.label) {
        (Some(wanted), Some(label)) => label.trim().eq_ignore_ascii_case(wanted.trim()),
        (None, None) => one.category == "HUBSPOT_DEFINED",
        _ => false,
    })
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
