//! Looks up which records are in the portal already.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::identity::{deal_key, folded};
use super::lookups::{self, FoundRecords, REQUESTS_AT_ONCE};
use super::plan::{MatchBy, StreamPlan};
use super::write_step::{ResolvedLine, WriteContext, is_placeholder};
use super::writing::Rejection;
use crate::client::{Associations, Client, ClientError, MAX_BATCH, ObjectId, ObjectType, StoredObject};

/// Contacts whose deals are asked for in one call.
const CONTACTS_AT_ONCE: usize = 500;

/// A record in the portal.
#[derive(Debug, Clone)]
pub(super) struct StoredRecord {
    pub(super) id: ObjectId,
    pub(super) properties: BTreeMap<String, Option<String>>,
}

/// The result of looking for a record.
#[derive(Debug, Clone)]
pub(super) enum Lookup {
    Absent,
    Found(StoredRecord),
    /// HubSpot does not say whether it exists.
    Unknown(Rejection),
}

/// The records found by the values of their key, by value.
#[derive(Debug, Default)]
struct ByKey {
    stored: HashMap<String, StoredRecord>,
    failed: HashMap<String, Rejection>,
}

impl From<StoredObject> for StoredRecord {
    fn from(object: StoredObject) -> Self {
        Self { id: object.id, properties: object.properties }
    }
}

impl StoredRecord {
    fn text(&self, name: &str) -> Option<&str> {
        self.properties.get(name)?.as_deref()
    }
}

impl ByKey {
    fn get(&self, key: &str) -> Lookup {
        match (self.stored.get(key), self.failed.get(key)) {
            (Some(stored), _) => Lookup::Found(stored.clone()),
            (None, Some(rejection)) => Lookup::Unknown(rejection.clone()),
            (None, None) => Lookup::Absent,
        }
    }
}

/// Looks for records of one stream; the results are in their order.
///
/// # Errors
/// Errors that concern no single record.
pub(super) async fn find(
    context: &WriteContext,
    plan: &StreamPlan,
    ready: &[&ResolvedLine],
) -> Result<Vec<Lookup>, ClientError> {
    if plan.match_by == MatchBy::DealName {
        let names = names_of(ready);
        return deals(&context.client, ready, &names).await;
    }
    let found: Vec<Vec<Lookup>> = stream::iter(ready.chunks(MAX_BATCH))
        .map(async |chunk: &[&ResolvedLine]| find_chunk(context, plan, chunk).await)
        .buffered(REQUESTS_AT_ONCE)
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}

/// Looks for deals by the key that they were created with.
///
/// # Errors
/// Errors that concern no single record.
pub(super) async fn find_created(
    context: &WriteContext,
    plan: &StreamPlan,
    ready: &[&ResolvedLine],
) -> Result<Vec<Lookup>, ClientError> {
    let Some(property) = plan.created_with().filter(|_| !context.is_key_missing(&plan.object_type)) else {
        return Ok(vec![Lookup::Absent; ready.len()]);
    };
    let keys: Vec<String> = ready.iter().map(|one| one.creation_key(plan).unwrap_or_default()).collect();
    let found = by_value(&context.client, plan, property, keys.iter().cloned().collect(), names_of(ready)).await?;
    Ok(keys.iter().map(|key| found.get(&folded(key))).collect())
}

fn names_of(ready: &[&ResolvedLine]) -> BTreeSet<String> {
    ready.iter().flat_map(|one| one.desired.properties.keys()).cloned().collect()
}

async fn find_chunk(
    context: &WriteContext,
    plan: &StreamPlan,
    chunk: &[&ResolvedLine],
) -> Result<Vec<Lookup>, ClientError> {
    let absent = vec![Lookup::Absent; chunk.len()];
    let keys: Vec<&str> = chunk.iter().map(|one| one.desired.key.as_deref().unwrap_or_default()).collect();
    let (client, of) = (&context.client, &plan.object_type);
    let values: BTreeSet<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    let mut names = names_of(chunk);
    let found = match &plan.match_by {
        MatchBy::AlwaysCreate => return Ok(absent),
        MatchBy::DeliveryKey(_) if context.is_key_missing(of) => return Ok(absent),
        MatchBy::UniqueProperty(_) | MatchBy::DeliveryKey(_) if context.are_absent(of, &keys) => return Ok(absent),
        MatchBy::DeliveryKey(property) => {
            let earlier = chunk.iter().filter_map(|one| one.desired.earlier_key.clone());
            let values = values.into_iter().chain(earlier).collect();
            let found = by_value(client, plan, property, values, BTreeSet::from([property.clone()])).await?;
            let of_one = |one: &&ResolvedLine| {
                let key = folded(one.desired.key.as_deref().unwrap_or_default());
                match (found.get(&key), &one.desired.earlier_key) {
                    (Lookup::Absent, Some(earlier)) => found.get(&folded(earlier)),
                    (found, _) => found,
                }
            };
            return Ok(chunk.iter().map(of_one).collect());
        }
        MatchBy::UniqueProperty(property) => {
            names.insert(property.clone());
            if property == "email" {
                names.insert("hs_additional_emails".to_owned());
            }
            by_value(client, plan, property, values, names).await?
        }
        MatchBy::Id => by_id(client, of, &values, &names).await?,
        MatchBy::CompanyDomain(property) => {
            names.extend(["domain".to_owned(), property.clone()]);
            let known = match context.is_key_missing(of) {
                true => ByKey::default(),
                false => by_value(client, plan, property, values.clone(), names.clone()).await?,
            };
            by_domain(client, known, values, &names).await?
        }
        MatchBy::DealName => return deals(client, chunk, &names).await,
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
    let FoundRecords { found, failed } =
        lookups::read(client, &plan.object_type, Some(property), &values, &names).await?;
    let mut by_key =
        ByKey { failed: failed.into_iter().map(|(value, why)| (folded(&value), why)).collect(), ..ByKey::default() };
    for object in found {
        let stored = StoredRecord::from(object);
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
    let FoundRecords { found, failed } = lookups::read(client, object_type, None, ids, &listed).await?;
    let mut stored: HashMap<String, StoredRecord> =
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
        let stored = StoredRecord::from(object);
        if let Some(domain) = stored.text("domain").map(folded) {
            known.stored.entry(domain).or_insert(stored);
        }
    }
    Ok(known)
}

/// Deals by name among those of their contact; of several the oldest.
async fn deals(client: &Client, ready: &[&ResolvedLine], names: &BTreeSet<String>) -> Result<Vec<Lookup>, ClientError> {
    let contacts: BTreeSet<ObjectId> = ready.iter().filter_map(|one| one.contact).collect();
    let found = deals_of_contacts(client, &contacts, names).await?;
    let of_one = |one: &&ResolvedLine| {
        let Some(contact) = one.contact else { return Lookup::Absent };
        if let Some(rejection) = found.failed.get(&contact) {
            return Lookup::Unknown(rejection.clone());
        }
        let deals = found.by_contact.get(&contact).map(Vec::as_slice).unwrap_or_default();
        let deal = deals.iter().find(|deal| deal_name(deal) == one.desired.key.as_deref());
        deal.map_or(Lookup::Absent, |deal| Lookup::Found(deal.clone()))
    };
    Ok(ready.iter().map(of_one).collect())
}

/// The name that a deal is found by.
pub(super) fn deal_name(deal: &StoredRecord) -> Option<&str> {
    deal.text("dealname").map(str::trim)
}

/// The deals of contacts.
#[derive(Debug, Default)]
pub(super) struct DealsOfContacts {
    /// Ascending by id.
    pub(super) by_contact: HashMap<ObjectId, Vec<StoredRecord>>,
    /// Contacts of which HubSpot did not give all deals.
    pub(super) failed: HashMap<ObjectId, Rejection>,
}

/// Reads the deals of contacts. Both questions go to HubSpot's strongly consistent paths.
///
/// # Errors
/// Errors that concern no single contact.
pub(super) async fn deals_of_contacts(
    client: &Client,
    contacts: &BTreeSet<ObjectId>,
    names: &BTreeSet<String>,
) -> Result<DealsOfContacts, ClientError> {
    // A contact that only a dry run knows has no deals.
    let contacts: Vec<ObjectId> = contacts.iter().copied().filter(|contact| !is_placeholder(*contact)).collect();
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
    let FoundRecords { found, failed } = lookups::read(client, deal, None, &ids, &names).await?;
    let stored: HashMap<ObjectId, StoredRecord> = found.into_iter().map(|object| (object.id, object.into())).collect();
    let mut deals = DealsOfContacts::default();
    for contact in read.iter().flat_map(|read| &read.refused) {
        let reason = format!("HubSpot refuses to say which deals contact {contact} has");
        deals.failed.insert(*contact, Rejection::new(reason));
    }
    for (contact, deal) in pairs {
        if let Some(deal) = stored.get(&deal) {
            deals.by_contact.entry(contact).or_default().push(deal.clone());
        } else if let Some(rejection) = failed.get(&deal.to_string()) {
            deals.failed.insert(contact, rejection.clone());
        }
    }
    Ok(deals)
}

impl ResolvedLine {
    /// The value of the property that the record is created with.
    pub(super) fn creation_key(&self, plan: &StreamPlan) -> Option<String> {
        let key = self.desired.key.as_deref()?;
        match &plan.match_by {
            MatchBy::DealName => Some(deal_key(self.contact?, key)),
            MatchBy::CompanyDomain(_) | MatchBy::DeliveryKey(_) => Some(key.to_owned()),
            MatchBy::UniqueProperty(_) | MatchBy::Id | MatchBy::AlwaysCreate => None,
        }
    }
}
