//! The association types that a selection needs.

use crate::catalog::Catalog;
use crate::client::ObjectType;
use crate::discovery::association_column;
use crate::extraction::plan::property_columns::has_field;

/// What the config says of association types.
#[derive(Debug, Clone, Default)]
pub struct AssociationSettings {
    /// The types.
    pub types: Vec<ObjectType>,
    /// Whether the user named them, so that a missing scope is an error.
    pub chosen: bool,
}

/// The association types that a catalog's selection needs.
pub fn wanted_associations(catalog: &Catalog, types: &[ObjectType]) -> Vec<ObjectType> {
    let whole = catalog.entry("ticket_associations").is_some_and(|entry| entry.selection().stream_selected());
    let tickets = catalog.entry("tickets").filter(|entry| entry.selection().stream_selected());
    types
        .iter()
        .filter(|object_type| {
            whole
                || tickets.is_some_and(|entry| {
                    has_field(entry, &association_column(object_type))
                        || primary_column(object_type).is_some_and(|column| has_field(entry, column))
                })
        })
        .cloned()
        .collect()
}

fn primary_column(object_type: &ObjectType) -> Option<&'static str> {
    match object_type.as_str() {
        "contacts" => Some("primary_contact"),
        "companies" => Some("primary_company"),
        _ => None,
    }
}
