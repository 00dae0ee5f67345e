//! Which records are in the portal already.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::chunk::{Context, Ready, is_fake};
use super::identity::{deal_key, folded};
use super::lookups::{self, Answers, REQUESTS_AT_ONCE};
use super::plan::{Match, StreamPlan};
use super::writing::Refusal;
use crate::client::{Associations, Client, ClientError, MAX_BATCH, ObjectId, ObjectType, StoredObject};

/// Contacts whose deals are asked for in one call.
const CONTACTS_AT_ONCE: usize = 500;

/// A record that is there.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) id: ObjectId,
    pub(super) properties: BTreeMap<String, Option<String>>,
}

/// What a look for a record came to.
#[derive(Debug, Clone)]
pub(super) enum Found {
    Absent,
    Stored(Stored),
    /// HubSpot does not say whether it is there.
    Unsure(Refusal),
}

/// What a look for the values that records are found by came to.
#[derive(Debug, Default)]
struct ByKey {
    stored: HashMap<String, Stored>,
    failed: HashMap<String, Refusal>,
}

impl From<StoredObject> for Stored {
    fn from(object: StoredObject) -> Self {
        Self { id: object.id, properties: object.properties }
    }
}

impl Stored {
    fn text(&self, name: &str) -> Option<&str> {
        self.properties.get(name)?.as_deref()
    }
}

impl ByKey {
    fn get(&self, key: &str) -> Found {
        match (self.stored.get(key), self.failed.get(key)) {
            (Some(stored), _) => Found::Stored(stored.clone()),
            (None, Some(refusal)) => Found::Unsure(refusal.clone()),
            (None, None) => Found::Absent,
        }
    }
}

/// Looks for records of one stream; the answer is in their order.
///
/// # Errors
/// What is about none of the records.
pub(super) async fn find(context: &Context, plan: &StreamPlan, ready: &[&Ready]) -> Result<Vec<Found>, ClientError> {
    if plan.matched == Match::DealName {
        let names = names_of(ready);
        return deals(&context.client, ready, &names).await;
    }
    let found: Vec<Vec<Found>> = stream::iter(ready.chunks(MAX_BATCH))
        .map(async |chunk: &[&Ready]| find_chunk(context, plan, chunk).await)
        .buffered(REQUESTS_AT_ONCE)
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}

/// Looks for deals by the key that they were created with.
///
/// # Errors
/// What is about none of the records.
pub(super) async fn find_created(
    context: &Context,
    plan: &StreamPlan,
    ready: &[&Ready],
) -> Result<Vec<Found>, ClientError> {
    let Some(property) = plan.created_with().filter(|_| !context.lacks_key(&plan.object_type)) else {
        return Ok(vec![Found::Absent; ready.len()]);
    };
    let keys: Vec<String> = ready.iter().map(|one| one.creation_key(plan).unwrap_or_default()).collect();
    let found = by_value(&context.client, plan, property, keys.iter().cloned().collect(), names_of(ready)).await?;
    Ok(keys.iter().map(|key| found.get(&folded(key))).collect())
}

fn names_of(ready: &[&Ready]) -> BTreeSet<String> {
    ready.iter().flat_map(|one| one.wanted.properties.keys()).cloned().collect()
}

async fn find_chunk(context: &Context, plan: &StreamPlan, chunk: &[&Ready]) -> Result<Vec<Found>, ClientError> {
    let absent = vec![Found::Absent; chunk.len()];
    let keys: Vec<&str> = chunk.iter().map(|one| one.wanted.key.as_deref().unwrap_or_default()).collect();
    let (client, of) = (&context.client, &plan.object_type);
    let values: BTreeSet<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    let mut names = names_of(chunk);
    let found = match &plan.matched {
        Match::Never => return Ok(absent),
        Match::Once(_) if context.lacks_key(of) => return Ok(absent),
        Match::Unique(_) | Match::Once(_) if context.is_new(of, &keys) => return Ok(absent),
        Match::Once(property) => {
            let earlier = chunk.iter().filter_map(|one| one.wanted.earlier_key.clone());
            let values = values.into_iter().chain(earlier).collect();
            let found = by_value(client, plan, property, values, BTreeSet::from([property.clone()])).await?;
            let of_one = |one: &&Ready| {
                let key = folded(one.wanted.key.as_deref().unwrap_or_default());
                match (found.get(&key), &one.wanted.earlier_key) {
                    (Found::Absent, Some(earlier)) => found.get(&folded(earlier)),
                    (found, _) => found,
                }
            };
            return Ok(chunk.iter().map(of_one).collect());
        }
        Match::Unique(property) => {
            names.insert(property.clone());
            if property == "email" {
                names.insert("hs_additional_emails".to_owned());
            }
            by_value(client, plan, property, values, names).await?
        }
        Match::Id => by_id(client, of, &values, &names).await?,
        Match::Domain(property) => {
            names.extend(["domain".to_owned(), property.clone()]);
            let known = match context.lacks_key(of) {
                true => ByKey::default(),
                false => by_value(client, plan, property, values.clone(), names.clone()).await?,
            };
            by_domain(client, known, values, &names).await?
        }
        Match::DealName => return deals(client, chunk, &names).await,
    };
    Ok(keys.into_iter().map(|key| found.get(key)).collect())
}

async fn by_value(
    client: &Client,
    plan: &StreamPlan,
    property: &str,
    values: BTreeSet<String>,
    mut names: BTreeSet<String>,
) -> Result<ByKey, ClientError> {
    names.insert(property.to_owned());
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let Answers { found, failed } = lookups::read(client, &plan.object_type, Some(property), &values, &names).await?;
    let mut by_key =
        ByKey { failed: failed.into_iter().map(|(value, why)| (folded(&value), why)).collect(), ..ByKey::default() };
    for object in found {
        let stored = Stored::from(object);
        // A contact is found by any of its addresses.
        let further = stored.text("hs_additional_emails").filter(|_| property == "email").unwrap_or_default();
        let values = stored.text(property).into_iter().chain(further.split(';')).map(folded);
        for value in values.filter(|value| !value.is_empty()).collect::<Vec<_>>() {
            by_key.stored.entry(value).or_insert_with(|| stored.clone());
        }
    }
    Ok(by_key)
}

/// By id; the id of a record that was merged away leads to the one that it was merged into.
async fn by_id(
    client: &Client,
    object_type: &ObjectType,
    ids: &BTreeSet<String>,
    names: &BTreeSet<String>,
) -> Result<ByKey, ClientError> {
    let listed: Vec<&str> = names.iter().map(String::as_str).collect();
    let Answers { found, failed } = lookups::read(client, object_type, None, ids, &listed).await?;
    let mut stored: HashMap<String, Stored> =
        found.into_iter().map(|object| (object.id.to_string(), object.into())).collect();
    let foreign = stored.keys().any(|id| !ids.contains(id));
    for key in ids.iter().filter(|id| foreign && !failed.contains_key(*id)) {
        if let (false, Ok(id)) = (stored.contains_key(key), key.parse())
            && let Some(object) = client.get_object(object_type, ObjectId(id), &listed.join(",")).await?
        {
            stored.insert(key.clone(), object.into());
        }
    }
    Ok(ByKey { stored, failed })
}

/// Companies by domain, through the search, whose index lags: what was created under its key is found by that.
async fn by_domain(
    client: &Client,
    mut known: ByKey,
    domains: BTreeSet<String>,
    names: &BTreeSet<String>,
) -> Result<ByKey, ClientError> {
    let open = |domain: &String| !known.stored.contains_key(domain) && !known.failed.contains_key(domain);
    let unknown: BTreeSet<String> = domains.into_iter().filter(open).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for object in lookups::search(client, &ObjectType::COMPANIES, "domain", &unknown, &names).await? {
        let stored = Stored::from(object);
        if let Some(domain) = stored.text("domain").map(folded) {
            known.stored.entry(domain).or_insert(stored);
        }
    }
    Ok(known)
}

/// Deals by name among those of their contact; of several the oldest.
async fn deals(client: &Client, ready: &[&Ready], names: &BTreeSet<String>) -> Result<Vec<Found>, ClientError> {
    let contacts: BTreeSet<ObjectId> = ready.iter().filter_map(|one| one.contact).collect();
    let found = deals_of_contacts(client, &contacts, names).await?;
    let of_one = |one: &&Ready| {
        let Some(contact) = one.contact else { return Found::Absent };
        if let Some(refusal) = found.failed.get(&contact) {
            return Found::Unsure(refusal.clone());
        }
        let deals = found.by_contact.get(&contact).map(Vec::as_slice).unwrap_or_default();
        let deal = deals.iter().find(|deal| deal_name(deal) == one.wanted.key.as_deref());
        deal.map_or(Found::Absent, |deal| Found::Stored(deal.clone()))
    };
    Ok(ready.iter().map(of_one).collect())
}

/// The name that a deal is found by.
pub(super) fn deal_name(deal: &Stored) -> Option<&str> {
    deal.text("dealname").map(str::trim)
}

/// The deals of contacts.
#[derive(Debug, Default)]
pub(super) struct DealsOfContacts {
    /// Ascending by id.
    pub(super) by_contact: HashMap<ObjectId, Vec<Stored>>,
    /// Contacts of which HubSpot did not give all deals.
    pub(super) failed: HashMap<ObjectId, Refusal>,
}

/// Reads the deals of contacts. Both questions go to HubSpot's strongly consistent paths.
///
/// # Errors
/// What is about none of the contacts.
pub(super) async fn deals_of_contacts(
    client: &Client,
    contacts: &BTreeSet<ObjectId>,
    names: &BTreeSet<String>,
) -> Result<DealsOfContacts, ClientError> {
    // A contact that only a dry run knows has no deals.
    let contacts: Vec<ObjectId> = contacts.iter().copied().filter(|contact| !is_fake(*contact)).collect();
    let (contact, deal) = (&ObjectType::CONTACTS, &ObjectType::DEALS);
    let read: Vec<Associations> = stream::iter(contacts.chunks(CONTACTS_AT_ONCE))
        .map(async |contacts: &[ObjectId]| client.batch_read_associations(contact, deal, contacts).await)
        .buffer_unordered(REQUESTS_AT_ONCE)
        .try_collect()
        .await?;
    let pairs: BTreeSet<(ObjectId, ObjectId)> =
        read.iter().flat_map(|read| &read.links).map(|link| (link.from, link.to)).collect();
    let ids: BTreeSet<String> = pairs.iter().map(|(_, deal)| deal.to_string()).collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.push("dealname");
    let Answers { found, failed } = lookups::read(client, deal, None, &ids, &names).await?;
    let stored: HashMap<ObjectId, Stored> = found.into_iter().map(|object| (object.id, object.into())).collect();
    let mut deals = DealsOfContacts::default();
    for contact in read.iter().flat_map(|read| &read.refused) {
        let reason = format!("HubSpot refuses to say which deals contact {contact} has");
        deals.failed.insert(*contact, Refusal::new(reason));
    }
    for (contact, deal) in pairs {
        if let Some(deal) = stored.get(&deal) {
            deals.by_contact.entry(contact).or_default().push(deal.clone());
        } else if let Some(refusal) = failed.get(&deal.to_string()) {
            deals.failed.insert(contact, refusal.clone());
        }
    }
    Ok(deals)
}

impl Ready {
    /// The value of the property that the record is created with.
    pub(super) fn creation_key(&self, plan: &StreamPlan) -> Option<String> {
        let key = self.wanted.key.as_deref()?;
        match &plan.matched {
            Match::DealName => Some(deal_key(self.contact?, key)),
            Match::Domain(_) | Match::Once(_) => Some(key.to_owned()),
            Match::Unique(_) | Match::Id | Match::Never => None,
        }
    }
}
