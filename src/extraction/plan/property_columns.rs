//! The property columns that a catalog selects.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::catalog::{CatalogEntry, HUBSPOT_PROPERTY, HUBSPOT_TYPE};
use crate::client::ObjectType;
use crate::discovery::{Stream, is_property};
use crate::extraction::plan::columns::PropertyColumn;
use crate::extraction::plan::privacy::Privacy;
use crate::property::{Kind, column_name};
use crate::state::Bookmark;

/// Whether a column is in the catalog's schema and selected.
pub(crate) fn has_field(entry: &CatalogEntry, name: &str) -> bool {
    entry.schema["properties"].get(name).is_some() && entry.selection().field_selected(&[name])
}

/// The kind that a catalog asks for in a column.
fn kind_of(entry: &CatalogEntry, breadcrumb: &[&str], schema: &Value) -> Kind {
    match Kind::of_schema(schema) {
        // Only ids are text without being so in HubSpot.
        Kind::String if entry.keyword(breadcrumb, HUBSPOT_TYPE).is_some_and(|one| one == "number") => Kind::Id,
        kind => kind,
    }
}

/// The selected property columns, and whether they go into one column.
pub(crate) fn property_columns(
    definition: &Stream,
    object_type: &ObjectType,
    entry: &CatalogEntry,
    bookmark: Option<&Bookmark>,
    privacy: &Privacy,
) -> (Vec<PropertyColumn>, bool) {
    let remembered: BTreeMap<&str, Kind> = bookmark
        .iter()
        .flat_map(|bookmark| &bookmark.types)
        .filter_map(|(kind, columns)| Some((Kind::of_remembered(kind)?, columns)))
        .flat_map(|(kind, columns)| columns.iter().map(move |column| (column.as_str(), kind)))
        .collect();
    let selection = entry.selection();
    let nested = entry.schema["properties"]["properties"]["properties"].as_object();
    if nested.is_some() && !has_field(entry, "properties") {
        return (Vec::new(), false);
    }
    let one_column = nested.is_some();
    let candidates = nested.or_else(|| entry.schema["properties"].as_object());
    let mut columns = Vec::new();
    for (name, schema) in candidates.into_iter().flatten() {
        let path: &[&str] = if one_column { &["properties", name] } else { &[name] };
        if !(one_column || is_property(definition, name)) || !selection.field_selected(path) {
            continue;
        }
        let breadcrumb: Vec<&str> = path.iter().flat_map(|name| ["properties", name]).collect();
        let property = entry.keyword(&breadcrumb, HUBSPOT_PROPERTY).and_then(Value::as_str).unwrap_or(name);
        if privacy.drops(object_type, property) {
            continue;
        }
        let salt = privacy.salt_of(object_type, property);
        // A property that the user added to the catalog by hand gets a safe column, too.
        let column = if one_column || property != name { name.clone() } else { column_name(name).into_owned() };
        // What was sent before as none of the remembered types was text.
        let was_text =
            || bookmark.is_some_and(|bookmark| bookmark.selected.as_ref().is_some_and(|before| before.has(&column)));
        let kind = match remembered.get(column.as_str()) {
            // Whatever it was: what comes out of a hash is text.
            _ if salt.is_some() => Kind::String,
            Some(kind) => *kind,
            None => match kind_of(entry, &breadcrumb, schema) {
                kind if kind.remembered().is_some() && was_text() => Kind::String,
                kind => kind,
            },
        };
        columns.push(PropertyColumn { property: property.to_owned(), column, kind, salt });
    }
    (columns, one_column)
}
