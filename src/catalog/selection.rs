//! Which streams and fields a catalog selects.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::CatalogEntry;

/// The selection of one entry, by the rules of Meltano's SDK: `unsupported` never, `automatic` always; otherwise
/// `selected`, else `selected-by-default`, else the parent's; a parent that is not selected deselects its children.
#[derive(Debug)]
pub struct Selection<'c> {
    stream_selected: bool,
    metadata: HashMap<&'c [String], &'c Map<String, Value>>,
}

impl<'c> Selection<'c> {
    pub(super) fn new(entry: &'c CatalogEntry) -> Self {
        let metadata: HashMap<&[String], &Map<String, Value>> =
            entry.metadata.iter().map(|one| (one.breadcrumb.as_slice(), &one.metadata)).collect();
        let none: &[String] = &[];
        let stream_selected = match metadata.get(none) {
            Some(stream) if stream.get("inclusion").is_some_and(|inclusion| inclusion == "unsupported") => false,
            Some(stream) => flag(stream.get("selected"))
                .or_else(|| flag(entry.selected.as_ref()))
                .or_else(|| flag(stream.get("selected-by-default")))
                .unwrap_or(false),
            // An entry without any metadata is selected whole.
            None => flag(entry.selected.as_ref()).unwrap_or(true),
        };
        Self { stream_selected, metadata }
    }

    /// Whether the stream is to be synced.
    pub fn stream_selected(&self) -> bool {
        self.stream_selected
    }

    /// Whether a field is to be read, given the path of names to it (`["subject"]`, or `["properties", "subject"]`
    /// for a field inside the column `properties`).
    pub fn field_selected(&self, path: &[&str]) -> bool {
        let mut breadcrumb = Vec::with_capacity(path.len() * 2);
        let mut selected = self.stream_selected;
        for name in path {
            breadcrumb.push("properties".to_owned());
            breadcrumb.push((*name).to_owned());
            if !selected {
                return false;
            }
            let Some(metadata) = self.metadata.get(breadcrumb.as_slice()) else { continue };
            selected = match metadata.get("inclusion").and_then(Value::as_str) {
                Some("unsupported") => false,
                Some("automatic") => true,
                _ => flag(metadata.get("selected"))
                    .or_else(|| flag(metadata.get("selected-by-default")))
                    .unwrap_or(selected),
            };
        }
        selected
    }
}

/// A boolean as catalogs write it: JSON's own, or the Singer specification's `"true"` and `"false"`.
fn flag(value: Option<&Value>) -> Option<bool> {
    match value? {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(stream: Value, field: Value) -> CatalogEntry {
        let mut metadata = vec![json!({"breadcrumb": [], "metadata": stream})];
        if !field.is_null() {
            metadata.push(json!({"breadcrumb": ["properties", "subject"], "metadata": field}));
        }
        serde_json::from_value(json!({"stream": "tickets", "schema": {"properties": {}}, "metadata": metadata}))
            .expect("an entry")
    }

    #[test]
    fn fields_follow_the_sdk_rules() {
        let on = json!({"selected": true});
        for (field, selected) in [
            (json!(null), true),
            (json!({}), true),
            (json!({"inclusion": "available"}), true),
            (json!({"selected": false}), false),
            (json!({"selected": "false"}), false),
            (json!({"selected-by-default": false}), false),
            (json!({"selected-by-default": false, "selected": true}), true),
            (json!({"inclusion": "automatic", "selected": false}), true),
            (json!({"inclusion": "unsupported", "selected": true}), false),
        ] {
            let entry = entry(on.clone(), field.clone());
            assert_eq!(entry.selection().field_selected(&["subject"]), selected, "{field}");
        }
    }

    #[test]
    fn streams_follow_the_sdk_rules() {
        for (stream, selected) in [
            (json!({}), false),
            (json!({"inclusion": "available"}), false),
            (json!({"selected-by-default": true}), true),
            (json!({"selected-by-default": true, "selected": false}), false),
            (json!({"selected": "true"}), true),
            (json!({"selected": true, "inclusion": "unsupported"}), false),
        ] {
            let entry = entry(stream.clone(), json!({"inclusion": "automatic", "selected": true}));
            assert_eq!(entry.selection().stream_selected(), selected, "{stream}");
            assert_eq!(entry.selection().field_selected(&["subject"]), selected, "{stream}");
        }
    }

    #[test]
    fn an_entry_without_metadata_is_selected() {
        let entry: CatalogEntry =
            serde_json::from_value(json!({"stream": "tickets", "schema": {"properties": {}}, "metadata": []}))
                .expect("an entry");
        assert!(entry.selection().stream_selected());
        assert!(entry.selection().field_selected(&["anything"]));
    }
}
