//! Looks up which records are in the portal already.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::identity::{KeyHash, deal_key, folded, key_beside};
use super::lookups::{self, FoundRecords, REQUESTS_AT_ONCE};
use super::placeholder::is_placeholder;
use super::plan::{MatchBy, StreamPlan};
use super::rejection::Rejection;
use super::resolved_line::ResolvedLine;
use super::write_context::WriteContext;
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
    /// It does not exist, and the key that it would be created with belongs to another record: it is created with this one.
    AbsentUnder(String),
    Found(StoredRecord),
    /// HubSpot does not say whether it exists.
    Unknown(Rejection),
}

/// The records found by the values of their key, by value.
#[derive(Debug, Default)]
pub(super) struct ByKey {
    pub(super) stored: HashMap<String, StoredRecord>,
    pub(super) failed: HashMap<String, Rejection>,
    /// The keys of new records whose usual key belongs to another record.
    other_keys: HashMap<String, String>,
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

    /// Whether a company has a domain, be it as one of a company that was merged into it. One without any may have had it.
    pub(super) fn has_domain(&self, domain: &str) -> bool {
        let own = self.text("domain").map(str::trim).filter(|own| !own.is_empty());
        let further = self.text("hs_additional_domains").unwrap_or_default();
        own.is_none_or(|own| bare_domain(own) == bare_domain(domain))
            || further.split(';').any(|one| bare_domain(one) == bare_domain(domain))
    }
}

impl ByKey {
    fn get(&self, key: &str) -> Lookup {
        match (self.stored.get(key), self.failed.get(key)) {
            (Some(stored), _) => Lookup::Found(stored.clone()),
            (None, Some(rejection)) => Lookup::Unknown(rejection.clone()),
            (None, None) => self.other_keys.get(key).map_or(Lookup::Absent, |other| Lookup::AbsentUnder(other.clone())),
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
        let mut found = deals(&context.client, ready, &names).await?;
        if context.dry {
            // A run is told of them when HubSpot refuses to create a second one.
            let keys: Vec<String> = ready.iter().map(|one| one.creation_key(plan).unwrap_or_default()).collect();
            let created = find_created(context, plan, &keys, names).await?;
            for ((found, created), one) in found.iter_mut().zip(created).zip(ready) {
                let is_this = |deal: &StoredRecord| deal_name(deal) == one.desired.key.as_deref();
                if matches!((&found, &created), (Lookup::Absent, Lookup::Found(deal)) if is_this(deal)) {
                    *found = created;
                }
            }
        }
        return Ok(found);
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
    keys: &[String],
    names: BTreeSet<String>,
) -> Result<Vec<Lookup>, ClientError> {
    let Some(property) = plan.created_with().filter(|_| !context.is_key_missing(&plan.object_type)) else {
        return Ok(vec![Lookup::Absent; keys.len()]);
    };
    let values: BTreeSet<String> = keys.iter().filter(|key| !key.is_empty()).cloned().collect();
    let names = names.into_iter().chain(["dealname".to_owned()]).collect();
    let found = by_value(&context.client, &plan.object_type, property, values, names).await?;
    Ok(keys.iter().map(|key| found.get(&folded(key))).collect())
}

pub(super) fn names_of(ready: &[&ResolvedLine]) -> BTreeSet<String> {
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
        MatchBy::UniqueProperty(property) | MatchBy::DeliveryKey(property)
            if context.are_absent(of, &hashes_of(of, property, &keys)) =>
        {
            return Ok(absent);
        }
        MatchBy::DeliveryKey(property) => {
            let earlier = chunk.iter().filter_map(|one| one.desired.earlier_key.clone());
            let values = values.into_iter().chain(earlier).collect();
            let found = by_value(client, of, property, values, BTreeSet::from([property.clone()])).await?;
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
            by_value(client, of, property, values, names).await?
        }
        MatchBy::Id => by_id(client, of, &values, &names).await?,
        MatchBy::CompanyDomain(property) => {
            names.extend(["domain".to_owned(), property.clone()]);
            let known = match context.is_key_missing(of) {
                true => ByKey::default(),
                false => by_company_key(client, property, &values, &names).await?,
            };
            by_domain(client, known, values, &names).await?
        }
        MatchBy::DealName => return deals(client, chunk, &names).await,
    };
    Ok(keys.into_iter().map(|key| found.get(key)).collect())
}

fn hashes_of(object_type: &ObjectType, property: &str, values: &[&str]) -> Vec<KeyHash> {
    values.iter().map(|value| KeyHash::of_value(object_type, property, &folded(value))).collect()
}

/// Companies, by the domains that they have now, among those that this target created. A company that has a domain's key
/// and another domain by now is another company: the one of the domain has the next key.
///
/// # Errors
/// Errors that concern no single company.
pub(super) async fn by_company_key(
    client: &Client,
    property: &str,
    domains: &BTreeSet<String>,
    names: &BTreeSet<String>,
) -> Result<ByKey, ClientError> {
    let further = ["domain", "hs_additional_domains"].map(str::to_owned);
    let names: BTreeSet<String> = names.iter().cloned().chain(further).collect();
    let mut known = ByKey::default();
    let mut asked: Vec<(String, String)> = domains.iter().map(|domain| (domain.clone(), domain.clone())).collect();
    while !asked.is_empty() {
        let keys = asked.iter().map(|(_, key)| key.clone()).collect();
        let read = by_value(client, &ObjectType::COMPANIES, property, keys, names.clone()).await?;
        for (domain, key) in std::mem::take(&mut asked) {
            match read.get(&folded(&key)) {
                Lookup::Found(company) if company.has_domain(&domain) => {
                    known.stored.insert(domain, company);
                }
                Lookup::Found(other) => {
                    let next = key_beside(&key, other.id);
                    known.other_keys.insert(domain.clone(), next.clone());
                    asked.push((domain, next));
                }
                Lookup::Unknown(rejection) => drop(known.failed.insert(domain, rejection)),
                Lookup::Absent | Lookup::AbsentUnder(_) => {}
            }
        }
    }
    Ok(known)
}

/// A domain as HubSpot keeps it: without what stands around it in the address of a page.
fn bare_domain(text: &str) -> String {
    let text = folded(text);
    let text = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(&text);
    text.strip_prefix("www.").unwrap_or(text).trim_end_matches('/').to_owned()
}

async fn by_value(
    client: &Client,
    object_type: &ObjectType,
    property: &str,
    values: BTreeSet<String>,
    mut names: BTreeSet<String>,
) -> Result<ByKey, ClientError> {
    names.insert(property.to_owned());
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let FoundRecords { found, failed } = lookups::read(client, object_type, Some(property), &values, &names).await?;
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
    Ok(ByKey { stored, failed, ..ByKey::default() })
}

/// Companies by id, with their domains.
///
/// # Errors
/// Errors that concern no single company.
pub(super) async fn companies_by_id(
    client: &Client,
    ids: &BTreeSet<String>,
    names: BTreeSet<String>,
) -> Result<HashMap<String, StoredRecord>, ClientError> {
    let names = names.into_iter().chain(["domain", "hs_additional_domains"].map(str::to_owned)).collect();
    Ok(by_id(client, &ObjectType::COMPANIES, ids, &names).await?.stored)
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

/// Deals by name among those of all contacts that the line names: the one that most of them have, of several the oldest.
async fn deals(client: &Client, ready: &[&ResolvedLine], names: &BTreeSet<String>) -> Result<Vec<Lookup>, ClientError> {
    let contacts: BTreeSet<ObjectId> = ready.iter().flat_map(|one| &one.contacts).copied().collect();
    let found = deals_of_contacts(client, &contacts, names).await?;
    let of_one = |one: &&ResolvedLine| {
        if let Some(rejection) = one.contacts.iter().find_map(|contact| found.failed.get(contact)) {
            return Lookup::Unknown(rejection.clone());
        }
        let mut named: BTreeMap<ObjectId, (usize, &StoredRecord)> = BTreeMap::new();
        for deal in one.contacts.iter().filter_map(|contact| found.by_contact.get(contact)).flatten() {
            if deal_name(deal) == one.desired.key.as_deref() {
                named.entry(deal.id).or_insert((0, deal)).0 += 1;
            }
        }
        let chosen = named.values().rev().max_by_key(|(contacts, _)| *contacts);
        chosen.map_or(Lookup::Absent, |(_, deal)| Lookup::Found((*deal).clone()))
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
            MatchBy::DealName => Some(deal_key(*self.contacts.first()?, key)),
            MatchBy::CompanyDomain(_) | MatchBy::DeliveryKey(_) => Some(key.to_owned()),
            MatchBy::UniqueProperty(_) | MatchBy::Id | MatchBy::AlwaysCreate => None,
        }
    }
}
