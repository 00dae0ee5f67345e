//! Writing objects and properties, by the hundred, with every input accounted for.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use crate::client::objects::{MAX_BATCH, json as decode};
use crate::client::request::{Endpoint, Request};
use crate::client::response::Response;
use crate::client::{Client, ClientError, ObjectId, ObjectType, Property};

/// One input of a batch.
#[derive(Debug, Clone)]
pub struct ObjectInput<'i> {
    /// `objectWriteTraceId`: comes back with the result or the error, and lets good inputs through beside bad ones.
    pub write_trace_id: &'i str,
    /// The record's id, or the value of the id property; none for a new record.
    pub id: Option<&'i str>,
    /// Names and values, in HubSpot's text form.
    pub properties: &'i BTreeMap<String, String>,
    /// Associations of a new record.
    pub associations: &'i [InlineAssociation],
}

/// An association that is made together with its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineAssociation {
    /// The other record.
    pub to: ObjectId,
    /// `HUBSPOT_DEFINED` or `USER_DEFINED`.
    pub category: String,
    /// The type's id in the direction from the new record.
    pub type_id: u64,
}

/// A record as HubSpot has it.
#[derive(Debug, Clone, Deserialize)]
pub struct StoredObject {
    /// Its id.
    pub id: ObjectId,
    /// The values asked for or written; null: none.
    #[serde(default)]
    pub properties: BTreeMap<String, Option<String>>,
    /// Of an upsert: whether the record is new.
    #[serde(default)]
    pub new: Option<bool>,
    /// The input's trace id.
    #[serde(rename = "objectWriteTraceId", default)]
    pub write_trace_id: Option<String>,
}

/// Why an input of a batch was not written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct WriteError {
    /// HubSpot's words.
    pub message: String,
    /// `VALIDATION_ERROR`, `OBJECT_NOT_FOUND`, `CONFLICT`, …
    pub category: String,
    /// What it is about: `objectWriteTraceId`, `ids`, `fromObjectId`, … each with a list of texts.
    pub context: Map<String, Value>,
}

/// What a batch came to: inputs may be missing in both lists, and results stand in no order.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct BatchOutcome {
    /// What was written.
    pub results: Vec<StoredObject>,
    /// What was not.
    pub errors: Vec<WriteError>,
    /// The answer's id, which HubSpot's support asks for.
    #[serde(skip)]
    pub correlation_id: String,
}

/// What a batch read came to. What is in neither list is not in the portal.
#[derive(Debug, Clone, Default)]
pub struct ValuesRead {
    /// The records that are there.
    pub found: Vec<StoredObject>,
    /// The values of which HubSpot did not say whether they are there, to the last try, and why.
    pub failed: Vec<(String, WriteError)>,
}

/// The values that a batch read's answer leaves open.
#[derive(Debug, Default)]
struct Unanswered {
    /// HubSpot failed on them.
    failed: Vec<(String, Option<WriteError>)>,
    /// The answer leaves them out.
    silent: Vec<String>,
}

/// A property to define.
#[derive(Debug, Clone, Copy)]
pub struct NewProperty<'p> {
    /// The internal name.
    pub name: &'p str,
    /// The name that people see.
    pub label: &'p str,
    /// The group it is shown in.
    pub group: &'p str,
    /// What it is for.
    pub description: &'p str,
}

impl StoredObject {
    /// Whether it is the record that a batch read asked for by this value. A contact answers to its further addresses.
    fn answers(&self, id_property: Option<&str>, value: &str) -> bool {
        let Some(name) = id_property else { return self.id.to_string() == value };
        let same = |text: &str| text.trim().to_lowercase() == value.trim().to_lowercase();
        let text = |name: &str| self.properties.get(name).cloned().flatten().unwrap_or_default();
        same(&text(name)) || name == "email" && text("hs_additional_emails").split(';').any(same)
    }
}

impl BatchOutcome {
    /// Sorts the values of a batch read into those that are answered and those that are not.
    fn unanswered(&self, id_property: Option<&str>, asked: Vec<String>) -> Unanswered {
        let named = |error: &WriteError, value: &str| {
            error.named("ids").chain(error.named("id")).any(|id| id.trim().eq_ignore_ascii_case(value.trim()))
        };
        let nameless = self
            .errors
            .iter()
            .find(|error| !error.is_absence() && error.named("ids").chain(error.named("id")).next().is_none());
        // The id of a survivor of a merge stands for one that was asked for; which one, the answer does not tell.
        let merged = id_property.is_none()
            && self.results.iter().any(|object| !asked.iter().any(|value| object.answers(None, value)));
        let mut unanswered = Unanswered::default();
        for value in asked {
            if self.results.iter().any(|object| object.answers(id_property, &value)) {
                continue;
            }
            match self.errors.iter().find(|error| named(error, &value)).or(nameless) {
                Some(error) if error.is_absence() => {}
                Some(error) => unanswered.failed.push((value, Some(error.clone()))),
                None if merged => {}
                // Older answers list absent values without naming them.
                None if self.errors.iter().any(WriteError::is_absence) => {}
                None => unanswered.silent.push(value),
            }
        }
        unanswered
    }
}

impl WriteError {
    /// Whether it says that a record is not there, and nothing else.
    pub fn is_absence(&self) -> bool {
        let category = self.category.to_ascii_uppercase();
        category.contains("NOT_FOUND") || category.is_empty() && self.message.to_lowercase().contains("not found")
    }

    /// Whether the same input may be taken when it is sent again.
    pub fn is_transient(&self) -> bool {
        ["INTERNAL_ERROR", "RATE_LIMITS", "TIMEOUT", "SERVICE_UNAVAILABLE", "LOCKED"]
            .contains(&self.category.to_ascii_uppercase().as_str())
    }

    /// The texts of one member of the context.
    pub fn named(&self, member: &str) -> impl Iterator<Item = &str> {
        self.context.get(member).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }
}

impl Client {
    /// Creates up to 100 objects. Not idempotent: an error after which the outcome is unknown says so in
    /// [`ClientError::is_unknown_outcome`].
    ///
    /// # Errors
    /// Any [`ClientError`]; [`ClientError::Refused`] when HubSpot refused the whole batch.
    pub async fn batch_create_objects(
        &self,
        object_type: &ObjectType,
        inputs: &[ObjectInput<'_>],
    ) -> Result<BatchOutcome, ClientError> {
        self.batch_write(Endpoint::BatchCreate, "create", object_type, None, inputs).await
    }

    /// Changes up to 100 objects by id. A record that was merged away is missing in the outcome.
    ///
    /// # Errors
    /// As [`Client::batch_create_objects`].
    pub async fn batch_update_objects(
        &self,
        object_type: &ObjectType,
        inputs: &[ObjectInput<'_>],
    ) -> Result<BatchOutcome, ClientError> {
        self.batch_write(Endpoint::BatchUpdate, "update", object_type, None, inputs).await
    }

    /// Creates or changes up to 100 objects by the value of a unique property.
    ///
    /// # Errors
    /// As [`Client::batch_create_objects`].
    pub async fn batch_upsert_objects(
        &self,
        object_type: &ObjectType,
        id_property: &str,
        inputs: &[ObjectInput<'_>],
    ) -> Result<BatchOutcome, ClientError> {
        self.batch_write(Endpoint::BatchUpsert, "upsert", object_type, Some(id_property), inputs).await
    }

    async fn batch_write(
        &self,
        endpoint: Endpoint,
        operation: &str,
        object_type: &ObjectType,
        id_property: Option<&str>,
        inputs: &[ObjectInput<'_>],
    ) -> Result<BatchOutcome, ClientError> {
        debug_assert!(inputs.len() <= MAX_BATCH, "HubSpot takes at most 100 inputs");
        let inputs: Vec<Value> = inputs.iter().map(|input| encoded(input, id_property)).collect();
        let url = format!("{}/batch/{operation}", self.paths.objects(object_type));
        let request = Request::post_json(endpoint, url, json!({ "inputs": inputs }).to_string().into_bytes());
        let outcome = |response: Response| {
            let correlation_id = response.correlation_id.unwrap_or_default();
            Ok(BatchOutcome { correlation_id, ..decode::<BatchOutcome>(response.body)? })
        };
        self.call_with_response(request, outcome).await
    }

    /// Up to 100 live objects by id, or by the values of a unique property. Those that HubSpot says are not there are
    /// missing; one that was merged away answers with the record that it was merged into. Values that HubSpot fails on
    /// are asked for again.
    ///
    /// # Errors
    /// Any [`ClientError`]; [`ClientError::Refused`] when the property is not unique.
    pub async fn batch_read_values(
        &self,
        object_type: &ObjectType,
        id_property: Option<&str>,
        values: &[String],
        properties: &[&str],
    ) -> Result<ValuesRead, ClientError> {
        debug_assert!(values.len() <= MAX_BATCH, "HubSpot reads at most 100 objects at once");
        let url = format!("{}/batch/read?archived=false", self.paths.objects(object_type));
        let mut read = ValuesRead::default();
        let mut asked: Vec<String> = values.to_vec();
        let mut silent_once = false;
        for attempt in 0.. {
            let inputs: Vec<_> = asked.iter().map(|id| json!({"id": id})).collect();
            let mut body = json!({"inputs": inputs, "properties": properties, "propertiesWithHistory": []});
            if let Some(id_property) = id_property {
                body["idProperty"] = id_property.into();
            }
            let request = Request::post_json(Endpoint::BatchRead, url.clone(), body.to_string().into_bytes());
            let outcome = self.call(request, |body: Bytes| decode::<BatchOutcome>(body)).await?;
            let mut unanswered = outcome.unanswered(id_property, asked);
            read.found.extend(outcome.results);
            if !silent_once {
                silent_once = true;
                unanswered.failed.extend(unanswered.silent.drain(..).map(|value| (value, None)));
            }
            if attempt >= self.retry.attempts {
                read.failed =
                    unanswered.failed.into_iter().filter_map(|(value, error)| Some((value, error?))).collect();
                break;
            }
            if unanswered.failed.is_empty() {
                break;
            }
            if unanswered.failed.iter().any(|(_, error)| error.is_some()) {
                self.pause(attempt + 1).await;
            }
            asked = unanswered.failed.into_iter().map(|(value, _)| value).collect();
        }
        read.found.sort_by_key(|object| object.id);
        read.found.dedup_by_key(|object| object.id);
        Ok(read)
    }

    /// One live object by id, also by the id of one that was merged away; none when there is none.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn get_object(
        &self,
        object_type: &ObjectType,
        id: ObjectId,
        properties: &str,
    ) -> Result<Option<StoredObject>, ClientError> {
        let url = format!("{}/{id}?archived=false&properties={properties}", self.paths.objects(object_type));
        match self.call(Request::get(Endpoint::Get, url), |body: Bytes| decode::<StoredObject>(body)).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The live objects whose property has one of up to 100 values, as the search index has them: it lags behind.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn search_values(
        &self,
        object_type: &ObjectType,
        property: &str,
        values: &[String],
        properties: &[&str],
    ) -> Result<Vec<StoredObject>, ClientError> {
        // IN compares texts in lower case.
        let values: Vec<String> = values.iter().map(|value| value.to_lowercase()).collect();
        let filter = json!({"propertyName": property, "operator": "IN", "values": values});
        let mut found: Vec<StoredObject> = Vec::new();
        loop {
            // The specification calls all five required.
            let body = json!({
                "after": found.len().to_string(),
                "filterGroups": [{"filters": [filter]}],
                "limit": 200,
                "properties": properties,
                "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
            });
            let url = format!("{}/search", self.paths.objects(object_type));
            let request = Request::post_json(Endpoint::Search, url, body.to_string().into_bytes());
            let page = self.call(request, |body: Bytes| decode::<BatchOutcome>(body)).await?.results;
            let last = page.len() < 200;
            found.extend(page);
            if last || found.len() >= 9_800 {
                return Ok(found);
            }
        }
    }

    /// Asks whether the token may define properties: HubSpot looks at the scope before it refuses a definition without
    /// anything in it.
    ///
    /// # Errors
    /// [`ClientError::MissingScopes`] when it may not; any other.
    pub async fn may_create_property(&self, object_type: &ObjectType) -> Result<(), ClientError> {
        let request = Request::post_json(Endpoint::CreateProperty, self.paths.properties(object_type), b"{}".to_vec());
        match self.call(request, |body: Bytes| decode::<IgnoredAny>(body)).await {
            Ok(_) | Err(ClientError::Refused { status: 400, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Defines a text property whose values are unique; one of that name that is there already is no error.
    ///
    /// # Errors
    /// Any [`ClientError`]; [`ClientError::MissingScopes`] when the token may not.
    pub async fn create_unique_property(
        &self,
        object_type: &ObjectType,
        new: NewProperty<'_>,
    ) -> Result<Option<Property>, ClientError> {
        let body = json!({
            "name": new.name,
            "label": new.label,
            "groupName": new.group,
            "description": new.description,
            "type": "string",
            "fieldType": "text",
            "hasUniqueValue": true,
            "hidden": false,
            "formField": false,
        });
        let url = self.paths.properties(object_type);
        let request = Request::post_json(Endpoint::CreateProperty, url, body.to_string().into_bytes());
        match self.call(request, |body: Bytes| decode::<Property>(body)).await {
            Ok(property) => Ok(Some(property)),
            Err(error) if error.status() == Some(409) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn encoded(input: &ObjectInput<'_>, id_property: Option<&str>) -> Value {
    let mut body = json!({"properties": input.properties, "objectWriteTraceId": input.write_trace_id});
    if let Some(id) = input.id {
        body["id"] = id.into();
    }
    if let Some(id_property) = id_property {
        body["idProperty"] = id_property.into();
    }
    if !input.associations.is_empty() {
        let associations = input.associations.iter().map(|one| {
            let types = json!([{"associationCategory": one.category, "associationTypeId": one.type_id}]);
            json!({"to": {"id": one.to.to_string()}, "types": types})
        });
        body["associations"] = associations.collect();
    }
    body
}
