//! Airbyte's catalogs: the one discovered, and the configured one that comes back, as the engine's.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::catalog::{
    Catalog, CatalogEntry, CatalogError, HUBSPOT_OBJECT_TYPE, HUBSPOT_PORTAL, HUBSPOT_PROPERTY, HUBSPOT_TYPE, Metadata,
};
use crate::discovery::{STREAMS, StreamSet};

/// What marks a row that is gone; beside the columns of the Singer face, where targets know it without a schema.
const DELETED_AT: &str = "_sdc_deleted_at";
/// A column that grows from run to run, where rows have no modified date.
const EXTRACTED_AT: &str = "_extracted_at";

/// A configured catalog.
#[derive(Debug, Deserialize)]
pub(super) struct Configured {
    streams: Vec<ConfiguredStream>,
}

/// A stream and how it is to be read. What else stands there is about the destination.
#[derive(Debug, Deserialize)]
struct ConfiguredStream {
    stream: Stream,
    #[serde(default)]
    sync_mode: SyncMode,
}

#[derive(Debug, Deserialize)]
struct Stream {
    name: String,
    #[serde(default)]
    namespace: Option<String>,
    json_schema: Value,
}

/// Whether a stream is read from where it stood.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SyncMode {
    #[default]
    FullRefresh,
    Incremental,
}

/// The CATALOG message of a portal: all streams that the token may read, with the columns that are selected by default.
pub(super) fn message(catalog: &Catalog) -> Value {
    let denied = |entry: &&CatalogEntry| entry.keyword(&[], crate::catalog::MISSING_SCOPE).is_none();
    let streams: Vec<Value> = catalog.streams.iter().filter(denied).map(stream).collect();
    json!({"type": "CATALOG", "catalog": {"streams": streams}})
}

fn stream(entry: &CatalogEntry) -> Value {
    // Rows of associations have no modified date; they follow their tickets.
    let follows = entry.stream == "ticket_associations";
    let cursor = entry.replication_key.as_deref().or(follows.then_some(EXTRACTED_AT));
    let mut stream = json!({
        "name": entry.stream,
        "json_schema": json_schema(entry),
        "supported_sync_modes": ["full_refresh"],
        "source_defined_primary_key": entry.key_properties.iter().map(|key| [key]).collect::<Vec<_>>(),
        "is_resumable": cursor.is_some(),
    });
    if let Some(cursor) = cursor {
        stream["supported_sync_modes"] = json!(["full_refresh", "incremental"]);
        stream["source_defined_cursor"] = true.into();
        stream["default_cursor_field"] = json!([cursor]);
    }
    stream
}

/// The columns that are selected when the stream is. What the engine has to know of them again stands in the schema,
/// which Airbyte gives back as it is.
fn json_schema(entry: &CatalogEntry) -> Value {
    let mut selecting = entry.clone();
    for metadata in selecting.metadata.iter_mut().filter(|metadata| metadata.breadcrumb.is_empty()) {
        metadata.metadata.insert("selected".to_owned(), true.into());
    }
    let selection = selecting.selection();
    let columns = |schema: &Value, path: &[&str]| {
        let mut columns = Map::new();
        for (name, column) in schema["properties"].as_object().into_iter().flatten() {
            let path: Vec<&str> = path.iter().copied().chain([name.as_str()]).collect();
            if selection.field_selected(&path) {
                let breadcrumb: Vec<&str> = path.iter().flat_map(|name| ["properties", name]).collect();
                columns.insert(name.clone(), typed(column, entry, &breadcrumb, name));
            }
        }
        columns
    };
    let mut properties = columns(&entry.schema, &[]);
    if let Some(nested) = properties.get_mut("properties").filter(|nested| nested["properties"].is_object()) {
        nested["properties"] = columns(&entry.schema["properties"]["properties"], &["properties"]).into();
    }
    let is_standard = STREAMS.iter().any(|stream| stream.name == entry.stream && stream.object_type.is_some());
    let object_type = entry.keyword(&[], HUBSPOT_OBJECT_TYPE);
    if is_standard || object_type.is_some() || entry.stream == "ticket_associations" {
        properties.insert(DELETED_AT.to_owned(), instant());
    }
    let mut schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "additionalProperties": true,
        "properties": properties,
    });
    if let Some(portal) = entry.keyword(&[], HUBSPOT_PORTAL) {
        schema[HUBSPOT_PORTAL] = portal.clone();
    }
    if let Some(object_type) = object_type {
        schema[HUBSPOT_OBJECT_TYPE] = object_type.clone();
    }
    schema
}

/// A column with Airbyte's own mark of its type, and the name and type of its property where those are others.
fn typed(column: &Value, entry: &CatalogEntry, breadcrumb: &[&str], name: &str) -> Value {
    let mut column = column.clone();
    if column["format"] == "date-time" {
        column["airbyte_type"] = "timestamp_with_timezone".into();
    }
    if let Some(property) = entry.keyword(breadcrumb, HUBSPOT_PROPERTY).filter(|property| *property != name) {
        column[HUBSPOT_PROPERTY] = property.clone();
    }
    if let Some(hubspot_type) = entry.keyword(breadcrumb, HUBSPOT_TYPE) {
        column[HUBSPOT_TYPE] = hubspot_type.clone();
    }
    column
}

fn instant() -> Value {
    json!({"type": ["string", "null"], "format": "date-time", "airbyte_type": "timestamp_with_timezone"})
}

impl Configured {
    /// Reads a configured catalog.
    ///
    /// # Errors
    /// When it cannot be read, has another shape, or names a stream that there is not.
    pub(super) fn read(path: &Path) -> Result<Self, CatalogError> {
        let unusable = |reason: String| CatalogError::Unreadable { path: path.to_owned(), reason };
        let text = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
        let configured: Self = serde_json::from_slice(&text).map_err(|error| unusable(error.to_string()))?;
        let known = StreamSet::of_catalog(&configured.catalog()).names();
        for ConfiguredStream { stream, .. } in &configured.streams {
            if !known.contains(&stream.name.as_str()) {
                return Err(CatalogError::UnknownStream { stream: stream.name.clone(), known: known.join(", ") });
            }
            if !stream.json_schema["properties"].is_object() {
                return Err(unusable(format!("the json_schema of {} has no properties", stream.name)));
            }
        }
        Ok(configured)
    }

    /// The same as a catalog of the engine: what is in a schema is selected.
    pub(super) fn catalog(&self) -> Catalog {
        Catalog { streams: self.streams.iter().map(|configured| entry(&configured.stream)).collect() }
    }

    /// The streams that are to be read, with their namespaces, in the order in which they are read.
    pub(super) fn streams(&self) -> impl Iterator<Item = (&'static str, Option<&str>)> + '_ {
        let known: Vec<_> = StreamSet::of_catalog(&self.catalog()).iter().collect();
        known.into_iter().filter_map(|known| {
            let configured = self.streams.iter().find(|configured| configured.stream.name == known.name)?;
            Some((known.name, configured.stream.namespace.as_deref().filter(|namespace| !namespace.is_empty())))
        })
    }

    /// The streams that are to be read from their beginning on each run.
    pub(super) fn whole(&self) -> impl Iterator<Item = &str> {
        let whole = self.streams.iter().filter(|configured| configured.sync_mode == SyncMode::FullRefresh);
        whole.map(|configured| configured.stream.name.as_str())
    }
}

/// What [`typed`] added to a column, as metadata.
fn keywords(breadcrumb: &[&str], column: &Value) -> Option<Metadata> {
    let keywords: Map<String, Value> = [HUBSPOT_PROPERTY, HUBSPOT_TYPE]
        .into_iter()
        .filter_map(|keyword| Some((keyword.to_owned(), column.get(keyword)?.clone())))
        .collect();
    let breadcrumb = breadcrumb.iter().map(|one| (*one).to_owned()).collect();
    (!keywords.is_empty()).then_some(Metadata { breadcrumb, metadata: keywords })
}

fn entry(stream: &Stream) -> CatalogEntry {
    let mut of_stream = Map::new();
    of_stream.insert("selected".to_owned(), true.into());
    for keyword in [HUBSPOT_PORTAL, HUBSPOT_OBJECT_TYPE] {
        if let Some(value) = stream.json_schema.get(keyword) {
            of_stream.insert(keyword.to_owned(), value.clone());
        }
    }
    let mut metadata = vec![Metadata { breadcrumb: Vec::new(), metadata: of_stream }];
    let mut schema = stream.json_schema.clone();
    if let Some(columns) = schema["properties"].as_object_mut() {
        // Added by this face; it is no property of HubSpot's.
        columns.shift_remove(DELETED_AT);
        metadata.extend(columns.iter().filter_map(|(name, column)| keywords(&["properties", name], column)));
        let nested = columns.get("properties").and_then(|one| one["properties"].as_object()).into_iter().flatten();
        let of_nested = |name| ["properties", "properties", "properties", name];
        metadata.extend(nested.filter_map(|(name, column)| keywords(&of_nested(name.as_str()), column)));
    }
    CatalogEntry {
        tap_stream_id: stream.name.clone(),
        stream: stream.name.clone(),
        schema,
        metadata,
        ..CatalogEntry::default()
    }
}
