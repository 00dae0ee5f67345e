//! How the records of one stream are written.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::definitions::{PropertyDefinitions, RecordValidator};
use super::field::{FieldMeaning, meaning};
use crate::client::ObjectType;
use crate::config::{StreamConfig, TargetConfig, UnknownFields};

/// What a new contact must have unless the config says otherwise: what the CRM service requires.
const CONTACT_REQUIRES: [&str; 4] = ["email", "firstname", "lastname", "phone"];

/// How a record is found in the portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MatchBy {
    /// By the value of a unique property: update, or create with it.
    UniqueProperty(String),
    /// By its id: update only.
    Id,
    /// A deal by its name among its contact's deals.
    DealName,
    /// A company by its domain; the unique property keeps one that is created from being created twice.
    CompanyDomain(String),
    /// Never changed once it is there; the unique property holds its delivery key.
    DeliveryKey(String),
    /// Always new.
    AlwaysCreate,
}

/// One stream.
#[derive(Debug)]
pub(super) struct StreamPlan {
    pub(super) stream: String,
    pub(super) object_type: ObjectType,
    pub(super) match_by: MatchBy,
    pub(super) key_properties: Vec<String>,
    pub(super) definitions: Arc<PropertyDefinitions>,
    pub(super) for_update: RecordValidator,
    pub(super) for_create: RecordValidator,
    /// Fields that refer to other records, at least one, in each new record.
    pub(super) required_references: Vec<String>,
    config: StreamConfig,
    unknown: UnknownFields,
    meanings: Mutex<HashMap<String, FieldMeaning>>,
}

/// The object type of a stream; none when the config leaves the stream out.
///
/// # Errors
/// When neither config nor name determines it.
pub(super) fn object_type_of(stream: &str, config: &TargetConfig) -> Result<Option<ObjectType>, String> {
    let named = match config.streams.get(stream) {
        Some(None) => return Ok(None),
        Some(Some(entry)) => entry.object_type.as_deref().unwrap_or(stream),
        None => stream,
    };
    let object_type = ObjectType::parse(named);
    if super::order::ORDER.contains(&object_type) {
        return Ok(Some(object_type));
    }
    Err(format!(
        "it is none of contacts, companies, deals and tickets; name its object_type under the setting streams, or set it \
         to null there to leave the stream out (streams: {{\"{stream}\": null}})"
    ))
}

impl StreamPlan {
    /// Decides how a stream is written.
    ///
    /// # Errors
    /// When its records could not be identified.
    pub(super) fn new(
        stream: &str,
        object_type: ObjectType,
        key_properties: Vec<String>,
        definitions: Arc<PropertyDefinitions>,
        config: &TargetConfig,
    ) -> Result<Self, String> {
        let entry = config.streams.get(stream).cloned().flatten().unwrap_or_default();
        let match_by = match_by(&object_type, &entry, &definitions, &key_properties, config)?;
        let required = match (&entry.required, object_type.as_str()) {
            (Some(required), _) => required.clone(),
            (None, "contacts") => CONTACT_REQUIRES.map(str::to_owned).to_vec(),
            (None, "deals") => vec!["dealname".to_owned()],
            (None, "tickets") => vec!["subject".to_owned()],
            (None, _) => vec!["name".to_owned()],
        };
        let (required, references): (Vec<String>, Vec<String>) =
            required.into_iter().partition(|name| definitions.by_name.contains_key(name));
        let refers = |name: &str| {
            let meaning = meaning(name, &object_type, &definitions, &entry, &key_properties, config.unknown_fields);
            matches!(meaning, FieldMeaning::Reference(_) | FieldMeaning::Associations)
        };
        if let Some(missing) = references.iter().find(|name| !refers(name)) {
            return Err(format!(
                "required: {missing} is neither a property of the portal nor a field that refers to another record"
            ));
        }
        let (for_update, for_create) = (definitions.rules(&[]), definitions.rules(&required));
        Ok(Self {
            stream: stream.to_owned(),
            object_type,
            match_by,
            key_properties,
            definitions,
            for_update,
            for_create,
            required_references: references,
            config: entry,
            unknown: config.unknown_fields,
            meanings: Mutex::default(),
        })
    }

    /// Whether a field holds the delivery key itself: the stream's settings or its only key name the property.
    pub(super) fn gives_delivery_key(&self, property: &str) -> bool {
        let configured = self.config.properties.values().flatten().any(|name| name == property);
        configured || matches!(self.key_properties.as_slice(), [key] if key == property)
    }

    /// Whether a record is known by the delivery and its line alone.
    pub(super) fn is_keyed_by_line(&self) -> bool {
        match &self.match_by {
            MatchBy::DeliveryKey(name) => self.key_properties.is_empty() && !self.gives_delivery_key(name),
            _ => false,
        }
    }

    /// The property whose value identifies a record, where a field of the record holds it.
    pub(super) fn key_property(&self) -> Option<&str> {
        match &self.match_by {
            MatchBy::UniqueProperty(property) => Some(property),
            MatchBy::DealName => Some("dealname"),
            MatchBy::CompanyDomain(_) | MatchBy::DeliveryKey(_) | MatchBy::Id | MatchBy::AlwaysCreate => None,
        }
    }

    /// Whether a new record is made with a key that no second writer can use.
    pub(super) fn created_with(&self) -> Option<&str> {
        match &self.match_by {
            MatchBy::CompanyDomain(property) | MatchBy::DeliveryKey(property) => Some(property),
            MatchBy::DealName => Some(super::session::DELIVERY_KEY),
            MatchBy::UniqueProperty(_) | MatchBy::Id | MatchBy::AlwaysCreate => None,
        }
    }

    /// What a field means.
    pub(super) fn meaning(&self, field: &str) -> FieldMeaning {
        let mut meanings = self.meanings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = meanings.get(field) {
            return known.clone();
        }
        let Self { object_type, definitions, config, key_properties, .. } = self;
        let found = match self.created_with() {
            // The portal need not have it yet.
            Some(property) if property == field && !config.properties.contains_key(field) => {
                FieldMeaning::Property(field.to_owned())
            }
            Some(property) if config.properties.get(field).and_then(Option::as_deref) == Some(property) => {
                FieldMeaning::Property(property.to_owned())
            }
            _ => meaning(field, object_type, definitions, config, key_properties, self.unknown),
        };
        meanings.insert(field.to_owned(), found.clone());
        found
    }
}

fn match_by(
    object_type: &ObjectType,
    entry: &StreamConfig,
    definitions: &PropertyDefinitions,
    key_properties: &[String],
    config: &TargetConfig,
) -> Result<MatchBy, String> {
    if *object_type == ObjectType::TICKETS {
        if entry.id_property.is_some() {
            return Err("id_property: tickets are never updated; their key is set by ticket_key".to_owned());
        }
        let Some(property) = config.ticket_key() else { return Ok(MatchBy::AlwaysCreate) };
        if key_properties.is_empty() && config.delivery_id.is_none() {
            return Err(
                "its tickets could be created twice: it has no key_properties, so set delivery_id to a name of \
                 this delivery, or ticket_key to \"none\" to accept doubles"
                    .to_owned(),
            );
        }
        return Ok(MatchBy::DeliveryKey(property.to_owned()));
    }
    match (entry.id_property.as_deref(), object_type.as_str()) {
        (Some("hs_object_id"), _) => Ok(MatchBy::Id),
        (Some(name), _) => match definitions.by_name.get(name) {
            Some(definition) if definition.unique => Ok(MatchBy::UniqueProperty(name.to_owned())),
            Some(_) => Err(format!("id_property: the values of the property {name} are not unique in the portal")),
            None => Err(format!("id_property: the portal has no property {name}")),
        },
        (None, "contacts") => Ok(MatchBy::UniqueProperty("email".to_owned())),
        (None, "deals") => Ok(MatchBy::DealName),
        (None, _) => Ok(MatchBy::CompanyDomain(super::session::DELIVERY_KEY.to_owned())),
    }
}
