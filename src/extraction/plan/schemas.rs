//! SCHEMA messages: what the records of a stream look like.

use serde_json::{Map, Value, json};

use crate::discovery::{Field, Role, Stream, follows_properties};
use crate::extraction::plan::columns::ObjectColumns;
use crate::property::Kind;

/// A stream's SCHEMA message.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamSchema {
    /// The stream.
    pub stream: &'static str,
    /// The JSON Schema of a record.
    pub schema: Value,
    /// The columns that identify a row.
    pub key_properties: &'static [&'static str],
    /// The column that bookmarks bound.
    pub replication_key: Option<&'static str>,
}

pub(crate) fn object_schema(
    definition: &'static Stream,
    fields: &[&'static Field],
    columns: &ObjectColumns,
) -> StreamSchema {
    let property_columns = || columns.properties.iter().map(|one| (one.column.clone(), one.kind.schema()));
    let mut schema = Map::new();
    let mut properties_written = false;
    for field in fields {
        if follows_properties(field.name) && !std::mem::replace(&mut properties_written, true) {
            if columns.one_column {
                let mut nested = Kind::Object.schema();
                nested["properties"] = property_columns().collect::<Map<_, _>>().into();
                schema.insert("properties".to_owned(), nested);
            } else {
                schema.extend(property_columns());
            }
            schema.extend(columns.associated.iter().map(|(_, column)| (column.clone(), Kind::Ids.schema())));
        }
        schema.insert(field.name.to_owned(), field_schema(field));
    }
    stream_schema(definition, schema)
}

pub(crate) fn field_schema(field: &Field) -> Value {
    let mut schema = field.kind.schema();
    if field.role == Role::Key {
        schema["type"] = json!(["string"]);
    }
    schema
}

pub(crate) fn stream_schema(definition: &'static Stream, properties: Map<String, Value>) -> StreamSchema {
    StreamSchema {
        stream: definition.name,
        schema: json!({"properties": properties, "type": "object"}),
        key_properties: definition.key_properties,
        replication_key: definition.replication_key,
    }
}
