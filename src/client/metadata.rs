//! Property definitions, pipelines and owners.

use std::collections::HashSet;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::malformed::{Malformed, decode_json};
use super::paging::Paging;
use super::request::{Endpoint, Request, encode};
use super::{Client, ClientError, ObjectType, lenient};

/// Owners a page: 500 is accepted and not documented.
const OWNERS_PER_PAGE: u32 = 500;
/// What HubSpot documents.
const OWNERS_PER_SMALL_PAGE: u32 = 100;
/// The sensitivity of properties that every token may see.
const PLAIN: &str = "non_sensitive";
/// Those that take scopes of their own.
const SENSITIVE: [&str; 2] = ["sensitive", "highly_sensitive"];

/// A property definition, as it came: HubSpot adds fields every release. Only its name must be there.
/// <https://developers.hubspot.com/docs/api-reference/latest/crm/properties/guide>
#[derive(Debug, Clone, Deserialize)]
pub struct Property {
    /// The internal name.
    #[serde(deserialize_with = "lenient::key")]
    pub name: String,
    /// `string`, `number`, `bool`, `enumeration`, `date`, `datetime`, …: what the values are.
    #[serde(rename = "type", default, deserialize_with = "lenient::text")]
    pub hubspot_type: String,
    /// How the value is entered or computed.
    #[serde(rename = "fieldType", default, deserialize_with = "lenient::text")]
    pub field_type: String,
    /// The name shown to people.
    #[serde(default, deserialize_with = "lenient::text")]
    pub label: String,
    /// `non_sensitive`, `sensitive` or `highly_sensitive`.
    #[serde(rename = "dataSensitivity", default, deserialize_with = "lenient::optional_text")]
    pub data_sensitivity: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A pipeline with its stages.
#[derive(Debug, Clone, Deserialize)]
pub struct Pipeline {
    /// The id, which tickets hold in `hs_pipeline`.
    #[serde(deserialize_with = "lenient::key")]
    pub id: String,
    /// The stages, which tickets hold in `hs_pipeline_stage`.
    #[serde(skip)]
    pub stages: Vec<Stage>,
    /// Everything else; `stages` where it is no list.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A stage of a pipeline.
#[derive(Debug, Clone, Deserialize)]
pub struct Stage {
    /// The id, unique in its pipeline.
    #[serde(deserialize_with = "lenient::key")]
    pub id: String,
    /// `ticketState`, `isClosed`, … as text; null where there is none.
    #[serde(default)]
    pub metadata: Value,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A user or queue that owns tickets; `hubspot_owner_id` is its `id`, not its `userId`.
#[derive(Debug, Clone, Deserialize)]
pub struct Owner {
    /// The id.
    #[serde(deserialize_with = "lenient::key")]
    pub id: String,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The type of a custom object.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectSchema {
    /// `2-1234567`: the one name that paths always know.
    #[serde(deserialize_with = "lenient::key")]
    pub object_type_id: String,
    /// `p123_cars`.
    #[serde(deserialize_with = "lenient::key")]
    pub fully_qualified_name: String,
    /// `cars`.
    #[serde(default, deserialize_with = "lenient::text")]
    pub name: String,
}

#[derive(Deserialize)]
struct Results {
    results: Vec<Value>,
    paging: Option<Paging>,
}

/// The definitions in a properties answer.
///
/// # Errors
/// When it is none.
pub fn decode_properties(body: Bytes) -> Result<Vec<Property>, Malformed> {
    let answer: Results = decode_json(body)?;
    Ok(rows(answer.results, "property definitions"))
}

/// The rows of an answer; those without a key belong in no table, and are left out with a warning.
fn rows<T: DeserializeOwned>(results: Vec<Value>, what: &str) -> Vec<T> {
    let count = results.len();
    let rows: Vec<T> = results.into_iter().filter_map(|row| serde_json::from_value(row).ok()).collect();
    if rows.len() < count {
        tracing::warn!(
            "{} of {count} {what} that HubSpot gives have no name or id, and are left out",
            count - rows.len()
        );
    }
    rows
}

impl Property {
    /// Whether reading its values takes a scope of its own; a level of an unknown name counts as one.
    pub fn is_sensitive(&self) -> bool {
        self.data_sensitivity.as_deref().is_some_and(|level| !level.eq_ignore_ascii_case(PLAIN))
    }

    /// A level of sensitivity that is none of HubSpot's, as far as this program knows.
    pub fn unknown_level(&self) -> Option<&str> {
        self.data_sensitivity.as_deref().filter(|level| self.is_sensitive() && !SENSITIVE.contains(level))
    }
}

impl Pipeline {
    pub(crate) fn with_stages(mut self) -> Self {
        if let Some(Value::Array(stages)) = self.other.get_mut("stages").map(Value::take) {
            self.other.shift_remove("stages");
            self.stages = rows(stages, "stages of a pipeline");
        } else {
            self.other.entry("stages").or_insert(Value::Null);
        }
        self
    }

    /// Whether HubSpot has told its stages at all.
    pub fn tells_stages(&self) -> bool {
        !self.other.contains_key("stages")
    }
}

impl Client {
    /// All live property definitions of a type that are asked for by one sensitivity (`non_sensitive`, `sensitive`,
    /// `highly_sensitive`). Where HubSpot does not know the parameter, they are of any.
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
            let mut properties = decode_properties(body)?;
            if sensitivity == PLAIN && properties.iter().all(Property::is_sensitive) {
                // What has no plain one under the known name has them under a new one.
                let unknown = properties.iter_mut().filter(|one| one.unknown_level().is_some());
                unknown.for_each(|property| property.data_sensitivity = None);
            }
            // Taken for the truth, the answer to another question would drop columns.
            if sensitivity == PLAIN && properties.iter().all(Property::is_sensitive) {
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
        let answer = self.call(Request::get(Endpoint::Pipelines, url), decode_json::<Results>).await?;
        let pipelines: Vec<Pipeline> = rows(answer.results, "pipelines");
        Ok(pipelines.into_iter().map(Pipeline::with_stages).collect())
    }

    /// The types of all custom objects that the portal has now.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn list_schemas(&self) -> Result<Vec<ObjectSchema>, ClientError> {
        let url = format!("{}?archived=false", self.paths.schemas());
        let answer = self.call(Request::get(Endpoint::Schemas, url), decode_json::<Results>).await?;
        Ok(rows(answer.results, "schemas of custom objects"))
    }

    /// All owners, those that exist or the archived ones; HubSpot has mixed the two in either list.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn list_owners(&self, archived: bool) -> Result<Vec<Owner>, ClientError> {
        let mut limit = OWNERS_PER_PAGE;
        let mut owners = Vec::new();
        let mut after: Option<String> = None;
        let mut cursors = HashSet::new();
        loop {
            let mut url = format!("{}?limit={limit}&archived={archived}", self.paths.owners());
            if let Some(cursor) = &after {
                url.push_str("&after=");
                url.push_str(&encode(cursor));
            }
            let read = |body: Bytes| {
                let page: Results = decode_json(body)?;
                let next = page.paging.as_ref().and_then(Paging::after);
                match next.is_some_and(|next| cursors.contains(&next)) {
                    true => Err(Malformed::new("its cursor leads back")),
                    false => Ok(page),
                }
            };
            let page = match self.call(Request::get(Endpoint::Owners, url), read).await {
                Err(ClientError::Refused { .. }) if limit > OWNERS_PER_SMALL_PAGE => {
                    limit = OWNERS_PER_SMALL_PAGE;
                    continue;
                }
                answer => answer?,
            };
            owners.extend(rows(page.results, "owners"));
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
        self.call(Request::get(Endpoint::Owners, url), decode_json::<Results>).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn properties(results: &Value) -> Vec<Property> {
        decode_properties(json!({ "results": results }).to_string().into()).expect("an answer")
    }

    #[test]
    fn a_definition_needs_its_name_alone() {
        let odd = json!([
            {"name": "a", "type": null, "fieldType": 7, "label": null, "options": null, "dataSensitivity": null},
            {"name": "b", "type": ["x"], "label": {}, "dataSensitivity": "top_secret"},
            {"name": null, "type": "string"},
            {"label": "no name"},
            null,
        ]);
        let found = properties(&odd);
        assert_eq!(found.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(found.iter().map(Property::is_sensitive).collect::<Vec<_>>(), [false, true]);
        assert_eq!((found[0].hubspot_type.as_str(), found[0].field_type.as_str()), ("", "7"));
    }

    #[test]
    fn stages_that_are_not_told_are_not_none() {
        for (stages, told, count) in [
            (json!([{"id": "1", "metadata": null}, {"id": 2}, {"label": "no id"}]), true, 2),
            (json!([]), true, 0),
            (json!(null), false, 0),
            (json!("none"), false, 0),
        ] {
            let pipelines: Vec<Pipeline> = rows(vec![json!({"id": 7, "stages": stages})], "pipelines");
            let pipeline = pipelines[0].clone().with_stages();
            assert_eq!((pipeline.id.as_str(), pipeline.tells_stages(), pipeline.stages.len()), ("7", told, count));
        }
        let pipelines: Vec<Pipeline> = rows(vec![json!({"id": "7"})], "pipelines");
        assert!(!pipelines[0].clone().with_stages().tells_stages());
    }
}
