//! Property definitions, pipelines and owners.

use std::collections::HashSet;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::objects::{Paging, json};
use super::request::{Endpoint, Request, encode};
use super::{Client, ClientError, Malformed, ObjectType};

/// Owners a page; 500 is accepted.
const OWNERS_PER_PAGE: u32 = 500;

/// A property definition, as it came: HubSpot adds fields every release.
/// <https://developers.hubspot.com/docs/api-reference/latest/crm/properties/guide>
#[derive(Debug, Clone, Deserialize)]
pub struct Property {
    /// The internal name.
    pub name: String,
    /// `string`, `number`, `bool`, `enumeration`, `date`, `datetime`, …: what the values are.
    #[serde(rename = "type", default)]
    pub hubspot_type: String,
    /// How the value is entered or computed.
    #[serde(rename = "fieldType", default)]
    pub field_type: String,
    /// The name shown to people.
    #[serde(default)]
    pub label: String,
    /// `non_sensitive`, `sensitive` or `highly_sensitive`.
    #[serde(rename = "dataSensitivity", default)]
    pub data_sensitivity: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A pipeline with its stages.
#[derive(Debug, Clone, Deserialize)]
pub struct Pipeline {
    /// The id, which tickets hold in `hs_pipeline`.
    pub id: String,
    /// The stages, which tickets hold in `hs_pipeline_stage`.
    #[serde(default)]
    pub stages: Vec<Stage>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A stage of a pipeline.
#[derive(Debug, Clone, Deserialize)]
pub struct Stage {
    /// The id, unique in its pipeline.
    pub id: String,
    /// `ticketState`, `isClosed`, … as text.
    #[serde(default)]
    pub metadata: Map<String, Value>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A user or queue that owns tickets; `hubspot_owner_id` is its `id`, not its `userId`.
#[derive(Debug, Clone, Deserialize)]
pub struct Owner {
    /// The id.
    pub id: String,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

#[derive(Deserialize)]
struct Results<T> {
    results: Vec<T>,
    paging: Option<Paging>,
}

/// The definitions in a properties answer.
///
/// # Errors
/// When it is none.
pub fn decode_properties(body: Bytes) -> Result<Vec<Property>, Malformed> {
    let answer: Results<Property> = json(body)?;
    Ok(answer.results)
}

impl Client {
    /// All live property definitions of a type with one sensitivity (`non_sensitive`, `sensitive`,
    /// `highly_sensitive`).
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn list_properties(
        &self,
        object_type: &ObjectType,
        sensitivity: &str,
    ) -> Result<Vec<Property>, ClientError> {
        let url = format!("{}?archived=false&dataSensitivity={sensitivity}", self.paths.properties(object_type));
        let read = |body: Bytes| {
            let properties = decode_properties(body)?;
            let is_other = |one: &Property| one.data_sensitivity.as_deref().is_some_and(|level| level != sensitivity);
            // Taken for the truth, another list's answer would drop columns.
            if properties.iter().any(is_other) || (sensitivity == "non_sensitive" && properties.is_empty()) {
                return Err(Malformed::new(format!("it does not list the {sensitivity} properties")));
            }
            Ok(properties)
        };
        self.call(Request::get(Endpoint::Properties, url), read).await
    }

    /// All pipelines of a type.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn list_pipelines(&self, object_type: &ObjectType) -> Result<Vec<Pipeline>, ClientError> {
        let url = self.paths.pipelines(object_type);
        let answer = self.call(Request::get(Endpoint::Pipelines, url), json::<Results<Pipeline>>).await?;
        Ok(answer.results)
    }

    /// All owners, those that exist or the archived ones.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn list_owners(&self, archived: bool) -> Result<Vec<Owner>, ClientError> {
        let mut owners = Vec::new();
        let mut after: Option<String> = None;
        let mut cursors = HashSet::new();
        loop {
            let mut url = format!("{}?limit={OWNERS_PER_PAGE}&archived={archived}", self.paths.owners());
            if let Some(cursor) = &after {
                url.push_str("&after=");
                url.push_str(&encode(cursor));
            }
            let page = self
                .call(Request::get(Endpoint::Owners, url), |body: Bytes| {
                    let page: Results<Owner> = json(body)?;
                    let next = page.paging.as_ref().and_then(Paging::after);
                    let is_other =
                        |one: &Owner| one.other.get("archived").is_some_and(|of_owner| *of_owner != archived);
                    if next.is_some_and(|next| cursors.contains(&next)) {
                        Err(Malformed::new("its cursor leads back"))
                    } else if page.results.iter().any(is_other) {
                        Err(Malformed::new("it mixes owners that exist and archived ones"))
                    } else {
                        Ok(page)
                    }
                })
                .await?;
            owners.extend(page.results);
            after = page.paging.and_then(|paging| paging.after());
            match &after {
                Some(cursor) => drop(cursors.insert(cursor.clone())),
                None => return Ok(owners),
            }
        }
    }

    /// Asks for one owner, to see whether the token may.
    ///
    /// # Errors
    /// [`ClientError::MissingScopes`] when it may not; any other.
    pub async fn probe_owners(&self) -> Result<(), ClientError> {
        let url = format!("{}?limit=1", self.paths.owners());
        self.call(Request::get(Endpoint::Owners, url), json::<Results<Owner>>).await.map(drop)
    }
}
