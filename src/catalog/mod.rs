//! The Singer catalog: its shape as Meltano's SDK writes it, and how it is read back.

mod selection;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

pub use selection::Selection;

/// Metadata key under which a column's HubSpot property stands.
pub const HUBSPOT_PROPERTY: &str = "hubspot-property";
/// Metadata key of a column whose type is not that of its HubSpot property: the property's `type`.
pub const HUBSPOT_TYPE: &str = "hubspot-type";
/// Metadata key of a column whose property HubSpot marks as sensitive: how much.
pub const HUBSPOT_SENSITIVITY: &str = "hubspot-data-sensitivity";
/// Metadata key that stamps a stream with the portal it was discovered from.
pub const HUBSPOT_PORTAL: &str = "hubspot-portal-id";
/// Metadata key of a stream of objects that not every portal has: the object type in paths.
pub const HUBSPOT_OBJECT_TYPE: &str = "hubspot-object-type";
/// Metadata key that names the scope which the token lacked at discovery.
pub const MISSING_SCOPE: &str = "hubspot-missing-scope";

/// A catalog: `{"streams": […]}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Catalog {
    /// One entry a stream.
    pub streams: Vec<CatalogEntry>,
}

/// A stream of the catalog, its keys in the order in which the SDK writes them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CatalogEntry {
    /// The stream's id, equal to its name.
    #[serde(default)]
    pub tap_stream_id: String,
    /// The field a bookmark is kept of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication_key: Option<String>,
    /// `INCREMENTAL` or `FULL_TABLE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication_method: Option<String>,
    /// The fields that identify a row.
    #[serde(default)]
    pub key_properties: Vec<String>,
    /// JSON Schema of a record.
    pub schema: Value,
    /// The stream's name.
    #[serde(default)]
    pub stream: String,
    /// What is known of the stream and each field, and whether it is selected.
    #[serde(default)]
    pub metadata: Vec<Metadata>,
    /// Selection as old taps and Meltano write it on the entry itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selected: Option<Value>,
}

/// Metadata of a stream (empty breadcrumb) or of a field (`["properties", NAME]`, nested fields likewise).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// The path into the schema.
    pub breadcrumb: Vec<String>,
    /// Its keywords.
    pub metadata: Map<String, Value>,
}

/// Why a catalog cannot be used.
#[derive(Debug, Error)]
pub enum CatalogError {
    /// The file cannot be read or does not hold a catalog.
    #[error("catalog {path} cannot be used: {reason}; make one with --discover", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A selected stream that this tap does not have.
    #[error("catalog selects the stream {stream:?}, which this tap does not have; it has {known}")]
    UnknownStream {
        /// The stream.
        stream: String,
        /// All streams there are.
        known: String,
    },
    /// A catalog that was discovered from another portal.
    #[error(
        "catalog was discovered from portal {found}, but the token belongs to portal {expected}; discover again, or use --discover --portable for a catalog that many portals share"
    )]
    OtherPortal {
        /// The portal in the catalog.
        found: String,
        /// The token's portal.
        expected: String,
    },
    /// A replication method that is no replication method.
    #[error("catalog asks for the replication method {method:?} of {stream}; it can be INCREMENTAL or FULL_TABLE")]
    UnknownMethod {
        /// The stream.
        stream: String,
        /// What stands there.
        method: String,
    },
}

impl Catalog {
    /// Reads a catalog file.
    ///
    /// # Errors
    /// When it cannot be read or has another shape.
    pub fn read(path: &Path) -> Result<Self, CatalogError> {
        let unusable = |reason: String| CatalogError::Unreadable { path: path.to_owned(), reason };
        let text = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
        Self::parse(&text).map_err(unusable)
    }

    /// Reads the text of a catalog file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let mut catalog: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        for entry in &mut catalog.streams {
            if entry.stream.is_empty() {
                entry.stream.clone_from(&entry.tap_stream_id);
            }
            if entry.stream.is_empty() {
                return Err("a stream has neither stream nor tap_stream_id".to_owned());
            }
            if !entry.schema["properties"].is_object() {
                return Err(format!("the schema of {} has no properties", entry.stream));
            }
        }
        Ok(catalog)
    }

    /// The entry of a stream.
    pub fn entry(&self, stream: &str) -> Option<&CatalogEntry> {
        self.streams.iter().find(|entry| entry.stream == stream || entry.tap_stream_id == stream)
    }

    /// Whether a stream is there and selected.
    pub fn selects(&self, stream: &str) -> bool {
        self.entry(stream).is_some_and(|entry| entry.selection().stream_selected())
    }

    /// Whether a field of a stream is there and selected.
    pub fn selects_field(&self, stream: &str, field: &str) -> bool {
        self.entry(stream).is_some_and(|entry| {
            entry.schema["properties"].get(field).is_some() && entry.selection().field_selected(&[field])
        })
    }

    /// The portal that the catalog was discovered from, where it says so.
    pub fn portal(&self) -> Option<String> {
        self.streams.iter().find_map(CatalogEntry::stamp)
    }

    /// Removes what ties the catalog to its portal.
    pub fn make_portable(&mut self) {
        for entry in &mut self.streams {
            if let Some(metadata) = entry.metadata.iter_mut().find(|metadata| metadata.breadcrumb.is_empty()) {
                metadata.metadata.shift_remove(HUBSPOT_PORTAL);
            }
        }
    }

    /// Refuses selected streams that are not among `known`, and a catalog stamped with another portal.
    ///
    /// # Errors
    /// As described.
    pub fn check(&self, known: &[&str], portal: &str) -> Result<(), CatalogError> {
        for entry in &self.streams {
            if let Some(found) = entry.stamp().filter(|found| found != portal) {
                return Err(CatalogError::OtherPortal { found, expected: portal.to_owned() });
            }
            if !known.contains(&entry.stream.as_str()) && entry.selection().stream_selected() {
                return Err(CatalogError::UnknownStream { stream: entry.stream.clone(), known: known.join(", ") });
            }
        }
        Ok(())
    }
}

impl CatalogEntry {
    /// How this entry selects its fields.
    pub fn selection(&self) -> Selection<'_> {
        Selection::new(self)
    }

    /// Whether the stream is to be read whole on each run: the entry's `replication_method`, else the metadata's.
    ///
    /// # Errors
    /// For a method that is neither INCREMENTAL nor FULL_TABLE.
    pub fn full_table(&self) -> Result<bool, CatalogError> {
        let in_metadata = || self.keyword(&[], "replication-method")?.as_str();
        match self.replication_method.as_deref().or_else(in_metadata) {
            None | Some("INCREMENTAL") => Ok(false),
            Some("FULL_TABLE") => Ok(true),
            Some(other) => Err(CatalogError::UnknownMethod { stream: self.stream.clone(), method: other.to_owned() }),
        }
    }

    /// A keyword of the metadata at a breadcrumb.
    pub fn keyword(&self, breadcrumb: &[&str], keyword: &str) -> Option<&Value> {
        self.metadata.iter().find(|metadata| metadata.breadcrumb == breadcrumb)?.metadata.get(keyword)
    }

    fn stamp(&self) -> Option<String> {
        match self.keyword(&[], HUBSPOT_PORTAL)? {
            Value::String(id) => Some(id.clone()),
            other => Some(other.to_string()),
        }
    }
}
