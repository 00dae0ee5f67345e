//! Properties that HubSpot has refused to show: field-level permissions and sensitive data make a whole page fail.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

use super::error::ClientError;
use super::object_types::ObjectType;
use super::request::encode;

/// What is read in place of properties that are all refused; without any name HubSpot gives its default ones.
const ID_PROPERTY: &str = "hs_object_id";

/// The properties that were refused, with their object types.
#[derive(Debug, Default)]
pub(super) struct DeniedProperties(RwLock<BTreeSet<(ObjectType, String)>>);

impl DeniedProperties {
    /// Whether an error tells of properties that are to be left out from now on; each is said once.
    pub(super) fn learn(&self, object_type: &ObjectType, error: &ClientError) -> bool {
        let ClientError::DeniedProperties { properties, .. } = error else { return false };
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut is_new = false;
        for property in properties {
            if known.insert((object_type.clone(), property.clone())) {
                is_new = true;
                tracing::warn!("property {property} of {object_type} is left out: {error}");
            }
        }
        // A request that was under way with a name that is known by now is sent again, too.
        is_new || properties.iter().all(|property| property != ID_PROPERTY)
    }

    /// The properties of a type that were refused.
    pub(super) fn of(&self, object_type: &ObjectType) -> Vec<String> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().filter(|(of, _)| of == object_type).map(|(_, name)| name.clone()).collect()
    }

    /// Whether a property was refused.
    pub(super) fn has(&self, object_type: &ObjectType, property: &str) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().any(|(of, name)| of == object_type && name == property)
    }

    /// An encoded list of names without those that were refused.
    pub(super) fn without<'l>(&self, object_type: &ObjectType, list: &'l str) -> Cow<'l, str> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let refused: Vec<String> =
            known.iter().filter(|(of, _)| of == object_type).map(|(_, name)| encode(name)).collect();
        if refused.is_empty() {
            return list.into();
        }
        let kept: Vec<&str> = list.split(',').filter(|name| !refused.iter().any(|one| one == name)).collect();
        if kept.is_empty() { ID_PROPERTY.into() } else { kept.join(",").into() }
    }
}
