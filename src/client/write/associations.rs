//! Writing associations, and the types that a portal knows.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::outcome::WriteError;
use crate::client::associations::AssociationType;
use crate::client::malformed::decode_json;
use crate::client::request::{Endpoint, Request};
use crate::client::response::Response;
use crate::client::{Client, ClientError, ObjectId, ObjectType};

/// Inputs of one batch of new associations; HubSpot takes 2,000, and half of them are sent again when one is refused.
/// <https://developers.hubspot.com/docs/api-reference/latest/crm/associations/associate-records/guide>
pub const MAX_ASSOCIATIONS: usize = 1_000;

/// An association to create; creating an existing one changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NewAssociation {
    /// The one end.
    pub from: ObjectId,
    /// The other.
    pub to: ObjectId,
    /// `HUBSPOT_DEFINED` or `USER_DEFINED`.
    pub category: String,
    /// The type's id in this direction.
    pub type_id: u64,
}

/// What a batch came to.
#[derive(Debug, Default)]
pub struct AssociationOutcome {
    /// The pairs that are associated now.
    pub done: Vec<(ObjectId, ObjectId)>,
    /// Why others are not.
    pub errors: Vec<WriteError>,
    /// The answer's id, which HubSpot's support asks for.
    pub correlation_id: String,
}

impl Client {
    /// Makes associations between records of two types.
    ///
    /// # Errors
    /// Any [`ClientError`]; [`ClientError::Refused`] when HubSpot refused the whole batch.
    pub async fn batch_create_associations(
        &self,
        from: &ObjectType,
        to: &ObjectType,
        inputs: &[NewAssociation],
    ) -> Result<AssociationOutcome, ClientError> {
        #[derive(Deserialize)]
        struct Pairs {
            #[serde(default)]
            results: Vec<Pair>,
            #[serde(default)]
            errors: Vec<WriteError>,
        }
        #[derive(Deserialize)]
        struct Pair {
            #[serde(rename = "fromObjectId")]
            from: ObjectId,
            #[serde(rename = "toObjectId")]
            to: ObjectId,
        }
        debug_assert!(inputs.len() <= MAX_ASSOCIATIONS, "the batch's limit");
        let inputs: Vec<Value> = inputs
            .iter()
            .map(|one| {
                json!({
                    "from": {"id": one.from.to_string()},
                    "to": {"id": one.to.to_string()},
                    "types": [{"associationCategory": one.category, "associationTypeId": one.type_id}],
                })
            })
            .collect();
        let url = format!("{}/batch/create", self.paths.associations(from, to));
        let body = json!({ "inputs": inputs }).to_string().into_bytes();
        let request = Request::post_json(Endpoint::CreateAssociations, url, body);
        let outcome = |response: Response| {
            let Pairs { results, errors } = decode_json::<Pairs>(response.body)?;
            let done = results.into_iter().map(|pair| (pair.from, pair.to)).collect();
            Ok(AssociationOutcome { done, errors, correlation_id: response.correlation_id.unwrap_or_default() })
        };
        self.call_with_response(request, outcome).await
    }

    /// The association types from one object type to another: HubSpot's own and the portal's labels.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn list_association_types(
        &self,
        from: &ObjectType,
        to: &ObjectType,
    ) -> Result<Vec<AssociationType>, ClientError> {
        #[derive(Deserialize)]
        struct Labels {
            results: Vec<Label>,
        }
        #[derive(Deserialize)]
        struct Label {
            category: String,
            #[serde(rename = "typeId")]
            type_id: u64,
            label: Option<String>,
        }
        let url = format!("{}/labels", self.paths.associations(from, to));
        let labels =
            self.call(Request::get(Endpoint::AssociationTypes, url), |body: Bytes| decode_json::<Labels>(body));
        let of = |Label { category, type_id, label }| AssociationType { category, type_id, label };
        Ok(labels.await?.results.into_iter().map(of).collect())
    }
}
