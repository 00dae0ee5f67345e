//! Catalogs as users, Meltano and time change them.

use serde_json::{Value, json};

/// The entry of a stream.
pub(crate) fn entry<'c>(catalog: &'c mut Value, stream: &str) -> &'c mut Value {
    let entries = catalog["streams"].as_array_mut().expect("streams");
    entries.iter_mut().find(|entry| entry["stream"] == stream).unwrap_or_else(|| panic!("no {stream} in the catalog"))
}

/// The metadata at a breadcrumb; an empty one is added where there is none.
pub(crate) fn metadata<'e>(entry: &'e mut Value, breadcrumb: &[&str]) -> &'e mut Value {
    let all = entry["metadata"].as_array_mut().expect("metadata");
    let at = all.iter().position(|one| one["breadcrumb"] == json!(breadcrumb)).unwrap_or_else(|| {
        all.push(json!({"breadcrumb": breadcrumb, "metadata": {}}));
        all.len() - 1
    });
    &mut all[at]["metadata"]
}

/// Selects or deselects a field, or with an empty name the stream itself.
pub(crate) fn select(catalog: &mut Value, stream: &str, field: &str, selected: bool) {
    let breadcrumb: &[&str] = if field.is_empty() { &[] } else { &["properties", field] };
    metadata(entry(catalog, stream), breadcrumb)["selected"] = selected.into();
}

/// The catalog with these streams selected and no others.
pub(crate) fn only(catalog: &Value, streams: &[&str]) -> Value {
    let mut catalog = catalog.clone();
    for entry in catalog["streams"].as_array_mut().expect("streams") {
        let selected = streams.iter().any(|stream| entry["stream"] == *stream);
        metadata(entry, &[])["selected"] = selected.into();
    }
    catalog
}

/// The catalog with `tickets` alone, and of its fields that can be deselected only these.
pub(crate) fn tickets_with(catalog: &Value, fields: &[&str]) -> Value {
    let mut catalog = only(catalog, &["tickets"]);
    for one in entry(&mut catalog, "tickets")["metadata"].as_array_mut().expect("metadata") {
        let Some(field) = one["breadcrumb"][1].as_str().map(str::to_owned) else { continue };
        one["metadata"]["selected"] = fields.contains(&field.as_str()).into();
    }
    catalog
}
