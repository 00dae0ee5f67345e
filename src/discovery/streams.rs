//! The streams and their own columns.

use crate::client::ObjectType;
use crate::property::Kind;

/// A stream.
#[derive(Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its name, in `[a-z0-9_]`: targets read `-` as a schema's end.
    pub name: &'static str,
    /// The columns that identify a row.
    pub key_properties: &'static [&'static str],
    /// The column that bookmarks bound.
    pub replication_key: Option<&'static str>,
    /// Whether it is synced unless the catalog says otherwise.
    pub selected_by_default: bool,
    /// The type of the objects that its rows are; none where they are no objects with properties.
    pub object_type: Option<ObjectType>,
    /// Its columns, in the order in which records carry them; an object's properties come after `merged_into`.
    pub fields: &'static [Field],
}

/// A column of ours.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    /// The column's name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Whether it can be deselected.
    pub role: Role,
}

/// Whether a column can be deselected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Part of the key: always there, never null.
    Key,
    /// Always there.
    Automatic,
    /// Up to the catalog.
    Available,
}

const fn key(name: &'static str) -> Field {
    Field { name, kind: Kind::String, role: Role::Key }
}

const fn automatic(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, role: Role::Automatic }
}

const fn available(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, role: Role::Available }
}

const TENANT: Field = automatic("_tenant_id", Kind::String);
const SCAN: Field = automatic("_scan_id", Kind::String);
const EXTRACTED: Field = automatic("_extracted_at", Kind::DateTime);

/// All streams, in the order in which they are read: the small ones first, so that a ticket's owner and stage are there
/// when the ticket comes.
pub static STREAMS: [Stream; 10] = [
    Stream {
        name: "owners",
        key_properties: &["id"],
        replication_key: None,
        selected_by_default: true,
        object_type: None,
        fields: &[
            key("id"),
            available("email", Kind::String),
            available("type", Kind::String),
            available("first_name", Kind::String),
            available("last_name", Kind::String),
            available("user_id", Kind::String),
            available("user_id_including_inactive", Kind::String),
            available("teams", Kind::Array),
            available("archived", Kind::Boolean),
            available("created_at", Kind::DateTime),
            available("updated_at", Kind::DateTime),
            TENANT,
            SCAN,
            EXTRACTED,
        ],
    },
    Stream {
        name: "ticket_pipelines",
        key_properties: &["id"],
        replication_key: None,
        selected_by_default: true,
        object_type: None,
        fields: &[
            key("id"),
            available("label", Kind::String),
            available("display_order", Kind::Number),
            available("archived", Kind::Boolean),
            available("archived_at", Kind::DateTime),
            available("created_at", Kind::DateTime),
            available("updated_at", Kind::DateTime),
            TENANT,
            SCAN,
            EXTRACTED,
        ],
    },
    Stream {
        name: "ticket_pipeline_stages",
        key_properties: &["pipeline_id", "id"],
        replication_key: None,
        selected_by_default: true,
        object_type: None,
        fields: &[
            key("pipeline_id"),
            key("id"),
            available("label", Kind::String),
            available("display_order", Kind::Number),
            available("ticket_state", Kind::String),
            available("is_closed", Kind::Boolean),
            available("metadata", Kind::Object),
            available("write_permissions", Kind::String),
            available("archived", Kind::Boolean),
            available("archived_at", Kind::DateTime),
            available("created_at", Kind::DateTime),
            available("updated_at", Kind::DateTime),
            TENANT,
            SCAN,
            EXTRACTED,
        ],
    },
    Stream {
        name: "ticket_properties",
        key_properties: &["name"],
        replication_key: None,
        selected_by_default: true,
        object_type: None,
        fields: &[
            key("name"),
            available("column_name", Kind::String),
            available("label", Kind::String),
            available("type", Kind::String),
            available("field_type", Kind::String),
            available("description", Kind::String),
            available("group_name", Kind::String),
            available("options", Kind::Array),
            available("display_order", Kind::Number),
            available("calculated", Kind::Boolean),
            available("calculation_formula", Kind::String),
            available("external_options", Kind::Boolean),
            available("referenced_object_type", Kind::String),
            available("has_unique_value", Kind::Boolean),
            available("hidden", Kind::Boolean),
            available("hubspot_defined", Kind::Boolean),
            available("form_field", Kind::Boolean),
            available("data_sensitivity", Kind::String),
            available("modification_metadata", Kind::Object),
            available("archived", Kind::Boolean),
            available("created_at", Kind::DateTime),
            available("updated_at", Kind::DateTime),
            TENANT,
            SCAN,
            EXTRACTED,
        ],
    },
    Stream {
        name: "tickets",
        key_properties: &["id"],
        replication_key: Some("updated_at"),
        selected_by_default: true,
        object_type: Some(ObjectType::TICKETS),
        fields: &[
            key("id"),
            available("created_at", Kind::DateTime),
            automatic("updated_at", Kind::DateTime),
            available("archived", Kind::Boolean),
            available("archived_at", Kind::DateTime),
            available("merged_into", Kind::String),
            available("primary_contact", Kind::Object),
            available("primary_company", Kind::Object),
            available("_unparsed", Kind::Object),
            TENANT,
            SCAN,
            EXTRACTED,
            available("_extraction_type", Kind::String),
            available("_page_number", Kind::Number),
        ],
    },
    Stream {
        name: "ticket_associations",
        key_properties: &["ticket_id", "to_object_type", "to_object_id", "category", "type_id"],
        replication_key: None,
        selected_by_default: true,
        object_type: None,
        fields: &[
            key("ticket_id"),
            key("to_object_type"),
            key("to_object_id"),
            key("category"),
            key("type_id"),
            available("label", Kind::String),
            TENANT,
            SCAN,
            EXTRACTED,
        ],
    },
    object_stream("contacts", ObjectType::CONTACTS),
    object_stream("companies", ObjectType::COMPANIES),
    object_stream("deals", ObjectType::DEALS),
    Stream {
        name: "sync_audit",
        key_properties: &["_scan_id", "stream", "part"],
        replication_key: None,
        selected_by_default: false,
        object_type: None,
        fields: &[
            key("stream"),
            key("part"),
            available("expected", Kind::Number),
            available("written", Kind::Number),
            available("archived", Kind::Number),
            available("duplicates", Kind::Number),
            available("unparsed", Kind::Number),
            available("api_calls", Kind::Number),
            available("whole", Kind::Boolean),
            available("reason", Kind::String),
            available("started_at", Kind::DateTime),
            available("finished_at", Kind::DateTime),
            TENANT,
            key("_scan_id"),
            EXTRACTED,
        ],
    },
];

/// The columns of other objects than tickets.
const OBJECT_FIELDS: &[Field] = &[
    key("id"),
    available("created_at", Kind::DateTime),
    automatic("updated_at", Kind::DateTime),
    available("archived", Kind::Boolean),
    available("archived_at", Kind::DateTime),
    available("merged_into", Kind::String),
    available("_unparsed", Kind::Object),
    TENANT,
    SCAN,
    EXTRACTED,
    available("_extraction_type", Kind::String),
    available("_page_number", Kind::Number),
];

pub(super) const fn object_stream(name: &'static str, object_type: ObjectType) -> Stream {
    Stream {
        name,
        key_properties: &["id"],
        replication_key: Some("updated_at"),
        selected_by_default: false,
        object_type: Some(object_type),
        fields: OBJECT_FIELDS,
    }
}

impl Stream {
    /// Whether it is the stream of an object type that not every catalog has.
    pub fn is_further(&self) -> bool {
        !STREAMS.iter().any(|known| known.name == self.name)
    }

    /// The object types whose ids its records may carry, `associations` being those that the settings name: tickets those,
    /// contacts their deals, and other types their tickets and those.
    pub fn associated_types(&self, associations: &[ObjectType]) -> Vec<ObjectType> {
        let Some(object_type) = self.object_type.as_ref().filter(|_| !associations.is_empty()) else {
            return Vec::new();
        };
        match self.name {
            "tickets" => associations.to_vec(),
            "contacts" => vec![ObjectType::DEALS],
            "companies" | "deals" => Vec::new(),
            _ => {
                let tickets = [ObjectType::TICKETS];
                let others = associations.iter().filter(|one| **one != ObjectType::TICKETS && *one != object_type);
                tickets.iter().chain(others).cloned().collect()
            }
        }
    }
}

/// The definition of a stream that every portal has.
///
/// # Panics
/// For a name that is no stream's.
#[cfg(test)]
pub fn stream(name: &str) -> &'static Stream {
    STREAMS.iter().find(|stream| stream.name == name).expect("a stream of this tap")
}

/// The first column behind an object's properties.
pub fn follows_properties(name: &str) -> bool {
    matches!(name, "primary_contact" | "primary_company" | "_unparsed" | "_tenant_id")
}

/// The column of a ticket that holds the ids of associated records of a type: `associated_contacts`,
/// `associated_0_18`.
pub fn association_column(object_type: &ObjectType) -> String {
    let plain: String = object_type
        .as_str()
        .chars()
        .map(|character| if character.is_ascii_alphanumeric() { character.to_ascii_lowercase() } else { '_' })
        .take(40)
        .collect();
    format!("associated_{plain}")
}

/// Whether a column of an object stream is a property of HubSpot's.
pub(crate) fn is_property(definition: &Stream, column: &str) -> bool {
    let is_own = definition.fields.iter().any(|field| field.name == column);
    !is_own && !column.starts_with("associated_")
}
