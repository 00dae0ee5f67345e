//! What a portal's properties have become since the catalog was made or the columns were first sent.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Catalog, HUBSPOT_PROPERTY};
use crate::discovery::{Definitions, is_selected_by_default, kind_of};
use crate::property::Kind;

/// The stream whose properties are compared.
const STREAM: &str = "tickets";
/// Names shown of a long list.
const SHOWN: usize = 10;

/// The differences in a sentence each; `columns` are the properties that are read, with the types of their columns.
pub(super) fn sentences(catalog: &Catalog, columns: &[(&str, Kind)], definitions: &Definitions) -> Vec<String> {
    let Definitions { properties: definitions, is_whole } = definitions;
    let defined: BTreeMap<&str, Kind> = definitions.iter().map(|one| (one.name.as_str(), kind_of(one))).collect();
    let mut sentences = Vec::new();
    let gone: Vec<&str> = columns.iter().map(|(name, _)| *name).filter(|name| !defined.contains_key(name)).collect();
    // What is missing in a part is not gone.
    if *is_whole && !gone.is_empty() {
        sentences.push(format!(
            "properties of {STREAM} that the catalog has and the portal has not (archived, renamed, or not for this token): {}; their columns are null",
            list(&gone)
        ));
    }
    for (name, kind) in columns {
        match defined.get(name) {
            Some(now) if !is_same(*now, *kind) => sentences.push(format!(
                "property {name} of {STREAM} is a {} now, and its column stays a {}: what does not fit stands in _unparsed",
                word(*now),
                word(*kind)
            )),
            _ => {}
        }
    }
    let known = known(catalog);
    // What nobody gets unless it is asked for is missing in no catalog.
    let offered = definitions.iter().filter(|one| is_selected_by_default(one) && !one.is_sensitive());
    let new: BTreeSet<&str> = offered.map(|one| one.name.as_str()).filter(|name| !known.contains(name)).collect();
    let new: Vec<&str> = new.into_iter().collect();
    if !new.is_empty() {
        sentences.push(format!(
            "properties of {STREAM} that the portal has and the catalog has not are not read: {}; discover again to add them",
            list(&new)
        ));
    }
    sentences
}

/// Whether a column of a kind holds what a property of another kind has; ids are text since a release, and stay numbers in
/// columns that were numbers before.
fn is_same(property: Kind, column: Kind) -> bool {
    property == column || property == Kind::Id && matches!(column, Kind::Number | Kind::String)
}

/// The properties that the catalog has, selected or not.
fn known(catalog: &Catalog) -> Vec<&str> {
    let Some(entry) = catalog.entry(STREAM) else { return Vec::new() };
    let names = entry.metadata.iter().filter_map(|one| one.metadata.get(HUBSPOT_PROPERTY)?.as_str());
    let nested = entry.schema["properties"]["properties"]["properties"].as_object();
    let columns = nested.or_else(|| entry.schema["properties"].as_object()).into_iter().flatten();
    names.chain(columns.map(|(name, _)| name.as_str())).collect()
}

fn word(kind: Kind) -> &'static str {
    kind.remembered().unwrap_or("text")
}

fn list(names: &[&str]) -> String {
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{shown} and {more} more"),
        _ => shown,
    }
}
