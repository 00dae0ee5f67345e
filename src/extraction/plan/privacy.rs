//! Personal data that a target is not to have: properties that are never read, and values that are written as hashes.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use wildmatch::WildMatch;

use crate::catalog::{Catalog, CatalogEntry, HUBSPOT_PROPERTY};
use crate::client::ObjectType;
use crate::discovery::{Stream, StreamSet, is_property};
use crate::property::{Fit, Kind, push_hashed};

/// The rules of one run.
#[derive(Debug, Clone, Default)]
pub struct Privacy {
    drop: Vec<Rule>,
    hash: Vec<Rule>,
    salt: Option<Arc<SecretString>>,
}

/// A pattern over property names, of one object type or of all.
#[derive(Debug, Clone)]
struct Rule {
    object_type: Option<ObjectType>,
    pattern: WildMatch,
}

/// What turns values into hashes; none of its parts is shown by Debug.
#[derive(Debug, Clone)]
pub(crate) struct Salt(Arc<SecretString>);

impl Privacy {
    /// The rules of the settings `drop`, `hash` and `hash_salt`.
    pub fn new(drop: &[String], hash: &[String], salt: Option<&SecretString>) -> Self {
        let rules = |patterns: &[String]| patterns.iter().map(|pattern| Rule::new(pattern)).collect();
        Self { drop: rules(drop), hash: rules(hash), salt: salt.cloned().map(Arc::new) }
    }

    /// Makes of a catalog what a run under these rules writes: properties that are never read are gone from its schemas,
    /// and those whose values are hashed are text.
    pub fn apply(&self, catalog: &mut Catalog) {
        let streams = StreamSet::of_catalog(catalog);
        for entry in &mut catalog.streams {
            if let Some(definition) = streams.find(&entry.stream)
                && let Some(object_type) = &definition.object_type
            {
                self.apply_to(definition, object_type, entry);
            }
        }
    }

    fn apply_to(&self, definition: &Stream, object_type: &ObjectType, entry: &mut CatalogEntry) {
        let one_column = entry.schema["properties"]["properties"]["properties"].is_object();
        let pointer = if one_column { "/properties/properties/properties" } else { "/properties" };
        let mut schema = entry.schema.take();
        if let Some(columns) = schema.pointer_mut(pointer).and_then(Value::as_object_mut) {
            columns.retain(|name, column| {
                if !(one_column || is_property(definition, name)) {
                    return true;
                }
                let breadcrumb = ["properties", "properties", "properties", name.as_str()];
                let breadcrumb = if one_column { &breadcrumb[..] } else { &breadcrumb[2..] };
                let property = entry.keyword(breadcrumb, HUBSPOT_PROPERTY).and_then(Value::as_str).unwrap_or(name);
                if self.salt_of(object_type, property).is_some() {
                    *column = Kind::String.schema();
                }
                !self.drops(object_type, property)
            });
        }
        entry.schema = schema;
    }

    /// Whether a property is never to be read.
    pub(crate) fn drops(&self, object_type: &ObjectType, property: &str) -> bool {
        self.drop.iter().any(|rule| rule.matches(object_type, property))
    }

    /// What a property's values are hashed with; none: they are written as they are.
    pub(crate) fn salt_of(&self, object_type: &ObjectType, property: &str) -> Option<Salt> {
        let hashes = self.hash.iter().any(|rule| rule.matches(object_type, property));
        hashes.then(|| Salt(self.salt.clone().unwrap_or_default()))
    }
}

impl Rule {
    fn new(text: &str) -> Self {
        match text.split_once('.') {
            Some((object_type, pattern)) => {
                Self { object_type: Some(ObjectType::parse(object_type)), pattern: WildMatch::new(pattern) }
            }
            None => Self { object_type: None, pattern: WildMatch::new(text) },
        }
    }

    fn matches(&self, object_type: &ObjectType, property: &str) -> bool {
        self.object_type.as_ref().is_none_or(|of| of == object_type) && self.pattern.matches(property)
    }
}

impl Salt {
    /// Appends the hash of the value whose JSON token is `token`, or null for none.
    pub(crate) fn push(&self, token: &str, out: &mut Vec<u8>) -> Fit {
        push_hashed(self.0.expose_secret().as_bytes(), token, out)
    }
}

/// The salt is no part of what a column is.
impl PartialEq for Salt {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Salt {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_about_one_object_type_or_all() {
        let rules = |patterns: &[&str]| patterns.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        let privacy = Privacy::new(&rules(&["contacts.email", "hs_*_secret"]), &rules(&["ticket.subject"]), None);
        assert!(privacy.drops(&ObjectType::CONTACTS, "email"));
        assert!(!privacy.drops(&ObjectType::TICKETS, "email"));
        assert!(privacy.drops(&ObjectType::DEALS, "hs_x_secret"));
        assert!(!privacy.drops(&ObjectType::DEALS, "hs_x_secrets"));
        assert!(privacy.salt_of(&ObjectType::TICKETS, "subject").is_some());
        assert!(privacy.salt_of(&ObjectType::CONTACTS, "subject").is_none());
    }
}
