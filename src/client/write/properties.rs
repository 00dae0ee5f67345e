//! Defining properties.

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::json;

use crate::client::malformed::decode_json;
use crate::client::request::{Endpoint, Request};
use crate::client::{Client, ClientError, ObjectType, Property};

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

impl Client {
    /// Asks whether the token may define properties: HubSpot looks at the scope before it refuses a definition without
    /// anything in it.
    ///
    /// # Errors
    /// [`ClientError::MissingScopes`] when it may not; any other.
    pub async fn may_create_property(&self, object_type: &ObjectType) -> Result<(), ClientError> {
        let request = Request::post_json(Endpoint::CreateProperty, self.paths.properties(object_type), b"{}".to_vec());
        match self.call(request, |body: Bytes| decode_json::<IgnoredAny>(body)).await {
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
        match self.call(request, |body: Bytes| decode_json::<Property>(body)).await {
            Ok(property) => Ok(Some(property)),
            Err(error) if error.status() == Some(409) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
