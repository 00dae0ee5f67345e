//! Resolves the references of a line to records in the portal.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::future::{try_join, try_join_all};

use super::desired::{AssociationRef, DesiredRecord};
use super::error::TargetError;
use super::field::LookupBy;
use super::identity::{KeyHash, folded};
use super::lookups;
use super::matching::{by_company_key, deal_name, deals_of_contacts};
use super::placeholder::shown;
use super::record_index::{DealByName, RecordIndex, lookup_key};
use super::rejection::Rejection;
use super::resolved_line::{AssociationLink, ResolvedLine};
use super::session::DELIVERY_KEY;
use super::write_context::WriteContext;
use crate::client::{AssociationType, Client, ClientError, ObjectId, ObjectType, StoredObject};

/// The result of resolving the references of a record.
#[derive(Debug)]
pub(super) enum Resolution {
    Resolved(ResolvedLine),
    Rejected(Box<DesiredRecord>, Rejection),
}

/// Why a record is not found.
struct MissingReference {
    rejection: Rejection,
    /// What a later line may bring.
    awaited: Option<Vec<KeyHash>>,
}

/// Records that could not be asked for, by the token of their mark.
type Failed = HashMap<KeyHash, Rejection>;

/// Finds the records that others refer to. `last`: the input has ended, so that no later line can create one.
///
/// # Errors
/// Errors that concern no single record.
pub(super) async fn resolve(
    context: &WriteContext,
    index: &mut RecordIndex,
    desired: Vec<DesiredRecord>,
    last: bool,
) -> Result<Vec<Resolution>, TargetError> {
    let mut failed = look_up(context, index, &desired).await?;
    let mut contacts_of: Vec<Vec<ObjectId>> = Vec::with_capacity(desired.len());
    for one in &desired {
        let mut contacts = BTreeSet::new();
        for reference in one.references.iter().filter(|reference| reference.to == ObjectType::CONTACTS) {
            contacts.extend(index.record(reference)?);
        }
        contacts_of.push(contacts.into_iter().collect());
    }
    look_up_deals(context, index, &mut failed, &desired, &contacts_of).await?;
    let mut resolved = Vec::with_capacity(desired.len());
    for (one, contacts) in desired.into_iter().zip(contacts_of) {
        resolved.push(match links(index, &failed, &one, &contacts, last)? {
            Ok(links) => {
                Resolution::Resolved(ResolvedLine { desired: one, links, contacts, awaited: None, alone: false })
            }
            Err(MissingReference { awaited: Some(awaited), .. }) if !last => Resolution::Resolved(ResolvedLine {
                desired: one,
                links: Vec::new(),
                contacts,
                awaited: Some(awaited),
                alone: false,
            }),
            Err(absence) => Resolution::Rejected(Box::new(one), absence.rejection),
        });
    }
    Ok(resolved)
}

/// Asks for what is not known yet: records by id, address and domain, and the types of associations, all side by side.
async fn look_up(
    context: &WriteContext,
    index: &mut RecordIndex,
    desired: &[DesiredRecord],
) -> Result<Failed, TargetError> {
    let mut asked: BTreeMap<(ObjectType, LookupBy), BTreeSet<String>> = BTreeMap::new();
    let mut directions: BTreeSet<(ObjectType, ObjectType)> = BTreeSet::new();
    for (one, reference) in desired.iter().flat_map(|one| one.references.iter().map(move |reference| (one, reference)))
    {
        if reference.lookup_by != LookupBy::Name && index.record(reference)?.is_none() {
            asked.entry((reference.to.clone(), reference.lookup_by)).or_default().insert(reference.value.clone());
        }
        if index.types(&one.plan.object_type, &reference.to).is_none() {
            directions.insert((one.plan.object_type.clone(), reference.to.clone()));
        }
    }
    let client = &context.client;
    let key_ensured = !index.company_key_missing;
    let records =
        try_join_all(asked.iter().map(|((to, lookup_by), values)| find(client, to, *lookup_by, values, key_ensured)));
    let types = try_join_all(directions.iter().map(|(from, to)| client.list_association_types(from, to)));
    let (records, types) = try_join(records, types).await?;
    let mut failed = Failed::new();
    for (((to, lookup_by), _), found) in asked.iter().zip(records) {
        index.company_key_missing |= found.company_key_missing;
        for (value, id) in found.records {
            index.learn(lookup_key(to, *lookup_by, &value), id)?;
        }
        failed
            .extend(found.failed.into_iter().map(|(value, rejection)| (lookup_key(to, *lookup_by, &value), rejection)));
    }
    for ((from, to), types) in directions.into_iter().zip(types) {
        index.learn_types(&from, &to, types);
    }
    Ok(failed)
}

/// Records by one mark.
#[derive(Debug, Default)]
struct RecordsByValue {
    /// The last one counts where a value occurs more than once.
    records: Vec<(String, ObjectId)>,
    failed: HashMap<String, Rejection>,
    company_key_missing: bool,
}

async fn find(
    client: &Client,
    to: &ObjectType,
    lookup_by: LookupBy,
    values: &BTreeSet<String>,
    key_ensured: bool,
) -> Result<RecordsByValue, ClientError> {
    match lookup_by {
        LookupBy::Id => by_id(client, to, values).await,
        LookupBy::Email => {
            let names = ["email", "hs_additional_emails"];
            let answers = lookups::read(client, to, Some("email"), values, &names).await?;
            let mut records = Vec::new();
            for object in &answers.found {
                let texts = names.iter().filter_map(|name| text(object, name));
                let addresses: Vec<String> =
                    texts.flat_map(|text| text.split(';').map(folded).collect::<Vec<_>>()).collect();
                records.extend(addresses.into_iter().map(|address| (address, object.id)));
            }
            Ok(RecordsByValue { records, failed: answers.failed, ..RecordsByValue::default() })
        }
        LookupBy::Domain => by_domain(client, to, values, key_ensured).await,
        LookupBy::Name => Ok(RecordsByValue::default()),
    }
}

fn text(object: &StoredObject, name: &str) -> Option<String> {
    object.properties.get(name).cloned().flatten()
}

async fn by_id(client: &Client, to: &ObjectType, values: &BTreeSet<String>) -> Result<RecordsByValue, ClientError> {
    let answers = lookups::read(client, to, None, values, &["hs_object_id"]).await?;
    let ids: BTreeSet<String> = answers.found.iter().map(|object| object.id.to_string()).collect();
    // An id that was not asked for is the survivor of a merge; of which record, only a read of a single id shows.
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
    Ok(RecordsByValue { records, failed: answers.failed, ..RecordsByValue::default() })
}

/// Companies by domain. What this target created is found by its key at once; the search's index lags.
async fn by_domain(
    client: &Client,
    to: &ObjectType,
    values: &BTreeSet<String>,
    key_ensured: bool,
) -> Result<RecordsByValue, ClientError> {
    let mut marked = RecordsByValue::default();
    if key_ensured {
        match by_company_key(client, DELIVERY_KEY, values, &BTreeSet::new()).await {
            Ok(known) => {
                marked.records = known.stored.into_iter().map(|(domain, company)| (domain, company.id)).collect();
                marked.failed = known.failed;
            }
            Err(ClientError::Refused { .. }) => marked.company_key_missing = true,
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
    marked.failed.retain(|value, _| !marked.records.iter().any(|(index, _)| index == value));
    Ok(marked)
}

/// Reads the deals of the contacts of records that refer to a deal by name.
async fn look_up_deals(
    context: &WriteContext,
    index: &mut RecordIndex,
    failed: &mut Failed,
    desired: &[DesiredRecord],
    contacts_of: &[Vec<ObjectId>],
) -> Result<(), TargetError> {
    let mut contacts = BTreeSet::new();
    for (one, of_line) in desired.iter().zip(contacts_of) {
        for reference in one.references.iter().filter(|reference| reference.lookup_by == LookupBy::Name) {
            for contact in of_line {
                if index.deal(*contact, &reference.value)?.is_none() {
                    contacts.insert(*contact);
                }
            }
        }
    }
    let found = deals_of_contacts(&context.client, &contacts, &BTreeSet::new()).await?;
    for (contact, deals) in found.by_contact {
        // The oldest of several deals of one name is learned last.
        for deal in deals.iter().rev() {
            index.learn(KeyHash::of_deal(contact, deal_name(deal).unwrap_or_default()), deal.id)?;
        }
    }
    failed.extend(
        found
            .failed
            .into_iter()
            .map(|(contact, rejection)| (KeyHash::of_id(&ObjectType::CONTACTS, contact), rejection)),
    );
    Ok(())
}

type Links = Result<Vec<AssociationLink>, MissingReference>;

fn links(
    index: &RecordIndex,
    failed: &Failed,
    desired: &DesiredRecord,
    contacts: &[ObjectId],
    last: bool,
) -> Result<Links, TargetError> {
    let mut links = Vec::with_capacity(desired.references.len());
    let mut missing: Option<MissingReference> = None;
    for reference in &desired.references {
        let id = match reference.lookup_by {
            LookupBy::Name => named_deal(index, failed, desired, reference, contacts, last)?,
            _ => index.record(reference)?.ok_or_else(|| absent(failed, reference)),
        };
        let id = match id {
            Ok(id) => id,
            Err(MissingReference { rejection, awaited: Some(awaited) }) => {
                let first = missing.get_or_insert(MissingReference { rejection, awaited: Some(Vec::new()) });
                first.awaited.get_or_insert_default().extend(awaited);
                continue;
            }
            Err(absence) => return Ok(Err(absence)),
        };
        let types = index.types(&desired.plan.object_type, &reference.to).unwrap_or_default();
        let Some(chosen) = chosen(types, reference.label.as_deref()) else {
            return Ok(Err(MissingReference {
                rejection: Rejection::new(unlabelled(desired, reference, types)),
                awaited: None,
            }));
        };
        let AssociationType { category, type_id, .. } = chosen;
        links.push(AssociationLink { to: reference.to.clone(), id, category: category.clone(), type_id: *type_id });
    }
    links.sort();
    links.dedup();
    Ok(missing.map_or(Ok(links), Err))
}

/// A record that is not there by id, address or domain. An id is HubSpot's: no later line brings it.
fn absent(failed: &Failed, reference: &AssociationRef) -> MissingReference {
    let token = lookup_key(&reference.to, reference.lookup_by, &reference.value);
    if let Some(rejection) = failed.get(&token) {
        return MissingReference { rejection: rejection.clone(), awaited: None };
    }
    let AssociationRef { to, value, .. } = reference;
    let reason = match reference.lookup_by {
        LookupBy::Id => format!("the portal has no {to} with the id {value}"),
        LookupBy::Email => format!("no contact has the address {value}"),
        _ => format!("no company has the domain {value}"),
    };
    let awaited = (reference.lookup_by != LookupBy::Id).then(|| vec![token]);
    MissingReference { rejection: Rejection::new(reason), awaited }
}

/// A deal by its name: among those of the record's contacts the oldest, or the only one of this delivery that has the name.
fn named_deal(
    index: &RecordIndex,
    failed: &Failed,
    desired: &DesiredRecord,
    reference: &AssociationRef,
    contacts: &[ObjectId],
    last: bool,
) -> Result<Result<ObjectId, MissingReference>, TargetError> {
    let name = &reference.value;
    let awaiting = |reason: String, awaited: Vec<KeyHash>| {
        Err(MissingReference { rejection: Rejection::new(reason), awaited: Some(awaited) })
    };
    if !contacts.is_empty() {
        let mut oldest: Option<ObjectId> = None;
        for contact in contacts {
            oldest = oldest.into_iter().chain(index.deal(*contact, name)?).min();
        }
        let of_contact = |contact: &ObjectId| failed.get(&KeyHash::of_id(&ObjectType::CONTACTS, *contact));
        if let Some(rejection) = contacts.iter().find_map(of_contact) {
            return Ok(Err(MissingReference { rejection: rejection.clone(), awaited: None }));
        }
        if let Some(id) = oldest {
            return Ok(Ok(id));
        }
        let named: Vec<String> = contacts.iter().map(|contact| shown(*contact)).collect();
        let reason = format!("contact {} has no deal with the name {name:?}", named.join(" or "));
        return Ok(awaiting(reason, contacts.iter().map(|contact| KeyHash::of_deal(*contact, name)).collect()));
    }
    if desired.references.iter().any(|reference| reference.to == ObjectType::CONTACTS) {
        return Ok(awaiting(format!("the contact that the deal {name:?} belongs to is not there"), Vec::new()));
    }
    // Which deals have the name is known when the last line was read.
    Ok(match index.deal_named(name)? {
        DealByName::One(id) if last => Ok(id),
        DealByName::Ambiguous if last => Err(MissingReference {
            rejection: Rejection::new(format!(
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
        (Some(desired), Some(label)) => label.trim().eq_ignore_ascii_case(desired.trim()),
        (None, None) => one.category == "HUBSPOT_DEFINED",
        _ => false,
    })
}

fn unlabelled(desired: &DesiredRecord, reference: &AssociationRef, types: &[AssociationType]) -> String {
    let labels: Vec<&str> = types.iter().filter_map(|one| one.label.as_deref()).collect();
    let (from, to) = (&desired.plan.object_type, &reference.to);
    match &reference.label {
        Some(label) => format!(
            "the portal has no association label {label:?} from {from} to {to}; it has {}",
            if labels.is_empty() { "none".to_owned() } else { labels.join(", ") }
        ),
        None => format!("the portal has no plain association from {from} to {to}"),
    }
}
