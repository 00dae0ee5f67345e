//! The validation rules that a portal's admins set on properties.

use bytes::Bytes;
use serde::Deserialize;

use super::malformed::decode_json;
use super::request::{Endpoint, Request};
use super::{Client, ClientError, ObjectType};

/// The first API version in which the rules hold for writes through the API.
const FIRST_VERSION: &str = "2026-09";

/// A property and its rules.
/// <https://developers.hubspot.com/docs/api-reference/latest/crm/property-validations/guide>
#[derive(Debug, Clone, Deserialize)]
pub struct PropertyValidation {
    /// The property's name.
    #[serde(rename = "propertyName")]
    pub property: String,
    /// What its values must keep to.
    #[serde(rename = "propertyValidationRules", default)]
    pub rules: Vec<ValidationRule>,
}

/// One rule.
#[derive(Debug, Clone, Deserialize)]
pub struct ValidationRule {
    /// `MIN_LENGTH`, `ALPHANUMERIC`, `REGEX`, …
    #[serde(rename = "ruleType")]
    pub rule_type: String,
    /// What the rule compares with; their number and form depend on the type.
    #[serde(rename = "ruleArguments", default)]
    pub arguments: Vec<String>,
}

impl Client {
    /// Whether the configured API version applies such rules to writes.
    pub fn has_property_validations(&self) -> bool {
        self.paths.date().is_some_and(|date| date >= FIRST_VERSION)
    }

    /// The rules of all properties of a type that have some.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn list_property_validations(
        &self,
        object_type: &ObjectType,
    ) -> Result<Vec<PropertyValidation>, ClientError> {
        #[derive(Deserialize)]
        struct Listed {
            results: Vec<PropertyValidation>,
        }
        let url = self.paths.property_validations(object_type);
        let request = Request::get(Endpoint::PropertyValidations, url);
        Ok(self.call(request, |body: Bytes| decode_json::<Listed>(body)).await?.results)
    }
}
