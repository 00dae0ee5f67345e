//! The catalog of a portal, in the shape that Meltano's SDK gives one.

use serde_json::{Map, Value, json};

use super::choices::{Choices, kind_of};
use super::{Field, Obstacle, Portal, Role, Stream, association_column, follows_properties};
use crate::catalog::{
    Catalog, CatalogEntry, HUBSPOT_OBJECT_TYPE, HUBSPOT_PORTAL, HUBSPOT_PROPERTY, HUBSPOT_SENSITIVITY, HUBSPOT_TYPE,
    MISSING_SCOPE, Metadata,
};
use crate::client::{ObjectType, Property};
use crate::property::{Kind, column_name};

/// Builds an entry field by field.
struct EntryBuilder<'s> {
    stream: &'s Stream,
    properties: Map<String, Value>,
    metadata: Vec<Metadata>,
}

/// Makes the catalog of a portal.
pub fn build_catalog(portal: &Portal, choices: &Choices) -> Catalog {
    let streams = portal
        .streams
        .iter()
        .filter(|stream| stream.name != "ticket_associations" || !choices.associations.is_empty())
        .map(|stream| build_entry(stream, portal, choices))
        .collect();
    Catalog { streams }
}

fn build_entry(stream: &Stream, portal: &Portal, choices: &Choices) -> CatalogEntry {
    let mut entry = EntryBuilder { stream, properties: Map::new(), metadata: Vec::new() };
    let mut properties_added = stream.object_type.is_none();
    for field in stream.fields {
        if follows_properties(field.name) && !std::mem::replace(&mut properties_added, true) {
            entry.add_properties(portal.properties_of(stream.name), choices);
            entry.add_associations(portal, choices);
        }
        match field.name {
            "primary_contact" => entry.add_primary(field, &ObjectType::CONTACTS, portal, choices),
            "primary_company" => entry.add_primary(field, &ObjectType::COMPANIES, portal, choices),
            _ => entry.add_field(field),
        }
    }
    let portal_id = portal.account.as_ref().map(|account| account.portal_id.to_string());
    let missing_scope = portal.access.missing_for_stream(stream.name);
    let selected = choices.selects(stream) && (missing_scope.is_none() || choices.names(stream));
    entry.finish(portal_id, selected, missing_scope)
}

impl EntryBuilder<'_> {
    fn add_field(&mut self, field: &Field) {
        let mut schema = field.kind.schema();
        if field.role == Role::Key {
            schema["type"] = json!(["string"]);
        }
        let inclusion = if field.role == Role::Available { "available" } else { "automatic" };
        self.add(field.name, schema, json!({"inclusion": inclusion}));
    }

    fn add_properties(&mut self, properties: &[Property], choices: &Choices) {
        let stream = self.stream.name;
        if !choices.one_column {
            for property in properties {
                let metadata = property_metadata(stream, property, choices);
                self.add(&column_name(&property.name), property_schema(property), metadata);
            }
            return;
        }
        let nested: Map<String, Value> =
            properties.iter().map(|property| (property.name.clone(), property_schema(property))).collect();
        let mut schema = Kind::Object.schema();
        schema["properties"] = Value::Object(nested);
        self.add("properties", schema, json!({"inclusion": "available"}));
        for property in properties {
            let breadcrumb = ["properties", "properties", "properties", &property.name].map(str::to_owned).to_vec();
            let Value::Object(metadata) = property_metadata(stream, property, choices) else { continue };
            self.metadata.push(Metadata { breadcrumb, metadata });
        }
    }

    fn add_associations(&mut self, portal: &Portal, choices: &Choices) {
        for object_type in self.stream.associated_types(&choices.associations) {
            let missing = match self.stream.name {
                "tickets" => missing_scope(&object_type, portal),
                name => portal.access.missing_for_column(name, &object_type),
            };
            let mut metadata = association_metadata(missing);
            // What is there for tickets costs as much again for each further type.
            let is_offered_only = self.stream.is_further() && object_type != ObjectType::TICKETS;
            if is_offered_only && !choices.associations_chosen {
                metadata["selected-by-default"] = false.into();
            }
            self.add(&association_column(&object_type), Kind::Ids.schema(), metadata);
        }
    }

    fn add_primary(&mut self, field: &Field, object_type: &ObjectType, portal: &Portal, choices: &Choices) {
        if choices.associations.contains(object_type) {
            let metadata = association_metadata(missing_scope(object_type, portal));
            self.add(field.name, field.kind.schema(), metadata);
        }
    }

    fn add(&mut self, name: &str, schema: Value, metadata: Value) {
        self.properties.insert(name.to_owned(), schema);
        let Value::Object(metadata) = metadata else { return };
        self.metadata.push(Metadata { breadcrumb: vec!["properties".to_owned(), name.to_owned()], metadata });
    }

    fn finish(mut self, portal_id: Option<String>, selected: bool, missing_scope: Option<&str>) -> CatalogEntry {
        let mut metadata = Map::new();
        metadata.insert("inclusion".to_owned(), "available".into());
        metadata.insert("selected".to_owned(), selected.into());
        metadata.insert("selected-by-default".to_owned(), selected.into());
        metadata.insert("table-key-properties".to_owned(), json!(self.stream.key_properties));
        if let Some(key) = self.stream.replication_key {
            metadata.insert("replication-key".to_owned(), key.into());
            metadata.insert("valid-replication-keys".to_owned(), json!([key]));
        }
        if let Some(portal_id) = portal_id {
            metadata.insert(HUBSPOT_PORTAL.to_owned(), portal_id.into());
        }
        if let Some(object_type) = self.stream.object_type.as_ref().filter(|_| self.stream.is_further()) {
            metadata.insert(HUBSPOT_OBJECT_TYPE.to_owned(), object_type.as_str().into());
        }
        if let Some(scope) = missing_scope {
            metadata.insert(MISSING_SCOPE.to_owned(), scope.into());
        }
        self.metadata.push(Metadata { breadcrumb: Vec::new(), metadata });
        let method = if self.stream.replication_key.is_some() { "INCREMENTAL" } else { "FULL_TABLE" };
        CatalogEntry {
            tap_stream_id: self.stream.name.to_owned(),
            replication_key: self.stream.replication_key.map(str::to_owned),
            replication_method: Some(method.to_owned()),
            key_properties: self.stream.key_properties.iter().map(|key| (*key).to_owned()).collect(),
            schema: json!({
                "properties": self.properties,
                "type": "object",
                "required": self.stream.key_properties,
                "$schema": "https://json-schema.org/draft/2020-12/schema",
            }),
            stream: self.stream.name.to_owned(),
            metadata: self.metadata,
            selected: None,
        }
    }
}

fn property_schema(property: &Property) -> Value {
    let mut schema = kind_of(property).schema();
    if !property.label.is_empty() {
        schema["description"] = property.label.as_str().into();
    }
    schema
}

fn property_metadata(stream: &str, property: &Property, choices: &Choices) -> Value {
    let inclusion = if choices.is_unsupported(stream, property) { "unsupported" } else { "available" };
    let selected = choices.selects_property(stream, property);
    let mut metadata =
        json!({"inclusion": inclusion, "selected-by-default": selected, HUBSPOT_PROPERTY: property.name});
    if kind_of(property) == Kind::Id {
        metadata[HUBSPOT_TYPE] = property.hubspot_type.as_str().into();
    }
    if property.is_sensitive() {
        metadata[HUBSPOT_SENSITIVITY] = property.data_sensitivity.as_deref().into();
    }
    metadata
}

/// What associations of tickets with a type lack; a type that the portal does not know lacks itself.
fn missing_scope<'p>(object_type: &ObjectType, portal: &'p Portal) -> Option<&'p str> {
    portal.access.obstacle(object_type).map(|obstacle| match obstacle {
        Obstacle::Scope(scope) => scope.as_str(),
        Obstacle::UnknownType(_) => "object type unknown to the portal",
    })
}

fn association_metadata(missing_scope: Option<&str>) -> Value {
    match missing_scope {
        None => json!({"inclusion": "available"}),
        Some(scope) => json!({"inclusion": "available", "selected-by-default": false, MISSING_SCOPE: scope}),
    }
}
