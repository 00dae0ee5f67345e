//! Which records are in the portal already.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::chunk::{Context, Ready, is_fake};
use super::plan::{Match, StreamPlan};
use crate::client::{Client, ClientError, MAX_BATCH, ObjectId, ObjectType, StoredObject};

/// A record that is there.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) id: ObjectId,
    pub(super) properties: BTreeMap<String, Option<String>>,
}

impl From<StoredObject> for Stored {
    fn from(object: StoredObject) -> Self {
        Self { id: object.id, properties: object.properties }
    }
}

/// Looks for each record of a chunk; the answer is in its order.
///
/// # Errors
/// Any [`ClientError`].
pub(super) async fn find(
    context: &Context,
    plan: &StreamPlan,
    chunk: &[&Ready],
) -> Result<Vec<Option<Stored>>, ClientError> {
    let keys: Vec<&str> = chunk.iter().map(|ready| ready.wanted.key.as_deref().unwrap_or_default()).collect();
    let mut names: BTreeSet<&str> =
        chunk.iter().flat_map(|ready| ready.wanted.properties.keys()).map(String::as_str).collect();
    let client = &context.client;
    let found = match &plan.matched {
        Match::Never => return Ok(vec![None; chunk.len()]),
        Match::Once(_) if context.lacks_key(&plan.object_type) => return Ok(vec![None; chunk.len()]),
        Match::Unique(_) if context.is_new(&plan.object_type, &keys) => return Ok(vec![None; chunk.len()]),
        Match::Once(property) => by_value(client, plan, property, &keys, &BTreeSet::from([property.as_str()])).await?,
        Match::Unique(property) => {
            names.insert(property);
            if property == "email" {
                names.insert("hs_additional_emails");
            }
            by_value(client, plan, property, &keys, &names).await?
        }
        Match::Id => by_id(client, &plan.object_type, &keys, &names).await?,
        Match::Domain(property) => {
            names.extend(["domain", property]);
            let known = match context.lacks_key(&plan.object_type) {
                true => HashMap::new(),
                false => by_value(client, plan, property, &keys, &names).await?,
            };
            by_domain(client, known, &keys, &names).await?
        }
        Match::DealName => return deals(client, chunk, &names).await,
    };
    Ok(keys.into_iter().map(|key| found.get(key).cloned()).collect())
}

fn folded(text: &str) -> String {
    text.trim().to_lowercase()
}

async fn by_value(
    client: &Client,
    plan: &StreamPlan,
    property: &str,
    keys: &[&str],
    names: &BTreeSet<&str>,
) -> Result<HashMap<String, Stored>, ClientError> {
    let values: BTreeSet<&str> = keys.iter().copied().collect();
    let values: Vec<String> = values.into_iter().map(str::to_owned).collect();
    let names: Vec<&str> = names.iter().copied().collect();
    let stored = client.batch_read_values(&plan.object_type, Some(property), &values, &names).await?;
    let mut found = HashMap::new();
    for object in stored {
        let text = |name: &str| object.properties.get(name).cloned().flatten();
        // A contact is found by any of its addresses.
        let further = text("hs_additional_emails").filter(|_| property == "email");
        let further = further.iter().flat_map(|text| text.split(';')).map(folded).collect::<Vec<_>>();
        let stored = Stored { id: object.id, properties: object.properties.clone() };
        for value in text(property).map(|value| folded(&value)).into_iter().chain(further) {
            found.entry(value).or_insert_with(|| stored.clone());
        }
    }
    Ok(found)
}

/// By id; the id of a record that was merged away leads to the one that it was merged into.
async fn by_id(
    client: &Client,
    object_type: &ObjectType,
    keys: &[&str],
    names: &BTreeSet<&str>,
) -> Result<HashMap<String, Stored>, ClientError> {
    let ids: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    let listed: Vec<&str> = names.iter().copied().collect();
    let stored = client.batch_read_values(object_type, None, &ids, &listed).await?;
    let mut found: HashMap<String, Stored> =
        stored.into_iter().map(|object| (object.id.to_string(), object.into())).collect();
    let foreign = found.keys().any(|id| !keys.contains(&id.as_str()));
    for key in keys.iter().filter(|_| foreign) {
        if let (false, Ok(id)) = (found.contains_key(*key), key.parse())
            && let Some(object) = client.get_object(object_type, ObjectId(id), &listed.join(",")).await?
        {
            found.insert((*key).to_owned(), object.into());
        }
    }
    Ok(found)
}

/// Companies by domain, through the search, whose index lags: what was created under its key is found by that.
async fn by_domain(
    client: &Client,
    mut found: HashMap<String, Stored>,
    keys: &[&str],
    names: &BTreeSet<&str>,
) -> Result<HashMap<String, Stored>, ClientError> {
    let unknown: BTreeSet<&str> = keys.iter().copied().filter(|key| !found.contains_key(*key)).collect();
    if unknown.is_empty() {
        return Ok(found);
    }
    let unknown: Vec<String> = unknown.into_iter().map(str::to_owned).collect();
    let names: Vec<&str> = names.iter().copied().collect();
    let mut stored = client.search_values(&ObjectType::COMPANIES, "domain", &unknown, &names).await?;
    stored.sort_by_key(|object| object.id);
    for object in stored {
        if let Some(domain) = object.properties.get("domain").cloned().flatten() {
            found.entry(folded(&domain)).or_insert_with(|| object.into());
        }
    }
    Ok(found)
}

/// Deals by name among those of their contact; of several the oldest.
async fn deals(client: &Client, chunk: &[&Ready], names: &BTreeSet<&str>) -> Result<Vec<Option<Stored>>, ClientError> {
    let contacts: BTreeSet<ObjectId> = chunk.iter().filter_map(|ready| ready.contact()).collect();
    let by_contact = deals_of_contacts(client, &contacts, names).await?;
    let found = chunk.iter().map(|ready| {
        let deals = by_contact.get(&ready.contact()?)?;
        let name = ready.wanted.key.as_deref()?.trim();
        deals.iter().find(|deal| deal_name(deal) == Some(name)).cloned()
    });
    Ok(found.collect())
}

pub(super) fn deal_name(deal: &Stored) -> Option<&str> {
    deal.properties.get("dealname")?.as_deref().map(str::trim)
}

/// The deals of contacts, ascending by id. Both questions go to HubSpot's strongly consistent paths.
pub(super) async fn deals_of_contacts(
    client: &Client,
    contacts: &BTreeSet<ObjectId>,
    names: &BTreeSet<&str>,
) -> Result<HashMap<ObjectId, Vec<Stored>>, ClientError> {
    // A contact that only a dry run knows has no deals.
    let contacts: Vec<ObjectId> = contacts.iter().copied().filter(|contact| !is_fake(*contact)).collect();
    if contacts.is_empty() {
        return Ok(HashMap::new());
    }
    let links = client.batch_read_associations(&ObjectType::CONTACTS, &ObjectType::DEALS, &contacts).await?.links;
    let ids: BTreeSet<ObjectId> = links.iter().map(|link| link.to).collect();
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let mut names: Vec<&str> = names.iter().copied().collect();
    names.push("dealname");
    let mut deals: HashMap<ObjectId, Stored> = HashMap::new();
    for ids in ids.chunks(MAX_BATCH) {
        let stored = client.batch_read_values(&ObjectType::DEALS, None, ids, &names).await?;
        deals.extend(stored.into_iter().map(|object| (object.id, object.into())));
    }
    let mut found: HashMap<ObjectId, Vec<Stored>> = HashMap::new();
    let pairs: BTreeSet<(ObjectId, ObjectId)> = links.into_iter().map(|link| (link.from, link.to)).collect();
    for (contact, deal) in pairs {
        if let Some(deal) = deals.get(&deal) {
            found.entry(contact).or_default().push(deal.clone());
        }
    }
    Ok(found)
}
