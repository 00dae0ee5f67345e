//! Writing objects by the hundred, with every input accounted for.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::outcome::BatchOutcome;
use crate::client::malformed::decode_json;
use crate::client::objects::MAX_BATCH;
use crate::client::request::{Endpoint, Request};
use crate::client::response::Response;
use crate::client::{Client, ClientError, ObjectId, ObjectType};

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
            Ok(BatchOutcome { correlation_id, ..decode_json::<BatchOutcome>(response.body)? })
        };
        self.call_with_response(request, outcome).await
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
