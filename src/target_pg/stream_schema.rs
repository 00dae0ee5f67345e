//! What a SCHEMA message says of a stream.

use serde_json::{Map, Value};

use super::column::{METADATA, Source};
use super::copy_text::Unstorable;
use super::settings::Settings;
use super::sql_type::{Declared, Kinds};
use super::table_name::{TableName, fault};

/// Columns that a table of Postgres has at most.
/// <https://www.postgresql.org/docs/current/limits.html>
const MAX_COLUMNS: usize = 1_600;
/// Bytes that a row has at most: a page without its header and the row's own.
const MAX_ROW_BYTES: usize = 8_160;
/// A row's header, without the bits that mark nulls.
const ROW_HEADER_BYTES: usize = 24;

/// A stream's table as the stream declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SingerSchema {
    pub(super) stream: String,
    pub(super) table: TableName,
    /// The columns in their order, those that the program adds behind.
    pub(super) properties: Vec<SchemaProperty>,
    pub(super) keys: Vec<String>,
}

/// A column as the stream declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SchemaProperty {
    pub(super) name: String,
    pub(super) declared: Declared,
    pub(super) source: Source,
}

impl SingerSchema {
    /// Reads what a SCHEMA message carries.
    ///
    /// # Errors
    /// A sentence that says which table cannot be, or why.
    pub(super) fn read(
        stream: &str,
        schema: &Map<String, Value>,
        key_properties: &[String],
        settings: &Settings,
    ) -> Result<Self, String> {
        let Some(Value::Object(declared)) = schema.get("properties") else {
            return Err("its schema has no properties".to_owned());
        };
        let base16 = settings.interpret_content_encoding;
        let mut properties: Vec<SchemaProperty> = declared
            .iter()
            .map(|(name, schema)| SchemaProperty {
                name: name.clone(),
                declared: Declared::of_schema(schema, base16),
                source: Source::Property,
            })
            .collect();
        with_metadata(&mut properties, settings.add_record_metadata);
        let mut keys = key_properties.to_vec();
        // The order of a key's columns is that of the table, as meltanolabs' target-postgres has it.
        let place = |key: &String| properties.iter().position(|property| property.name == *key);
        if let Some(missing) = keys.iter().find(|key| place(key).is_none()) {
            return Err(format!("the key property {missing:?} is none of the schema's properties"));
        }
        keys.sort_by_key(|key| place(key));
        keys.dedup();
        let table = TableName::of_stream(stream, &settings.default_target_schema);
        let read = Self { stream: stream.to_owned(), table, properties, keys };
        read.refuse_bad_names()?;
        read.refuse_too_many_columns()?;
        Ok(read)
    }

    fn refuse_bad_names(&self) -> Result<(), String> {
        if let Some(fault) = fault(&self.table.table) {
            return Err(format!("its table {fault}"));
        }
        if let Some(fault) = self.table.schema.as_deref().and_then(fault) {
            return Err(format!("its schema {fault}"));
        }
        match self.properties.iter().find_map(|property| fault(&property.name)) {
            None => Ok(()),
            Some(fault) => Err(format!("a column {fault}; leave it out in the tap's catalog, or rename it there")),
        }
    }

    fn refuse_too_many_columns(&self) -> Result<(), String> {
        let columns = self.properties.len();
        match columns > MAX_COLUMNS {
            false if columns == 0 => Err("its schema has no property, and so its table no column".to_owned()),
            false => Ok(()),
            true => Err(format!(
                "its table would have {columns} columns with those of target-pg, Postgres takes {MAX_COLUMNS}; \
                 select fewer properties in the tap's catalog"
            )),
        }
    }

    /// A warning when rows with a value in every column cannot be stored.
    pub(super) fn width_warning(&self) -> Option<String> {
        let columns = self.properties.len();
        let values: usize = self.properties.iter().map(|property| property.declared.sql_type.least_bytes()).sum();
        let bytes = ROW_HEADER_BYTES + columns.div_ceil(8) + values;
        let Self { stream, .. } = self;
        (bytes > MAX_ROW_BYTES).then(|| {
            format!(
                "stream {stream:?} has {columns} columns: a row of long values in all of them takes {bytes} bytes, \
                 Postgres stores {MAX_ROW_BYTES} in one; rows with fewer values fit, others will end the run"
            )
        })
    }
}

/// Adds the program's own columns, or takes those of the same name away.
fn with_metadata(properties: &mut Vec<SchemaProperty>, add: bool) {
    if !add {
        properties.retain(|property| !METADATA.iter().any(|(name, ..)| *name == property.name));
        return;
    }
    for (name, source, sql_type) in METADATA {
        let kinds = if source == Source::Property { Kinds::STRING } else { Kinds::ANY };
        let ours = SchemaProperty { name: name.to_owned(), declared: Declared { sql_type, kinds }, source };
        match properties.iter_mut().find(|property| property.name == name) {
            Some(theirs) => *theirs = ours,
            None => properties.push(ours),
        }
    }
}

/// What becomes of characters that Postgres cannot store, by the settings.
pub(super) fn unstorable(settings: &Settings) -> Unstorable {
    Unstorable { sanitize: settings.sanitize_null_text_characters, replaced: 0 }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(schema: Value, keys: &[&str]) -> Result<SingerSchema, String> {
        let settings: Settings = serde_json::from_value(json!({})).expect("settings");
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        SingerSchema::read("s", schema.as_object().expect("an object"), &keys, &settings)
    }

    fn wide(columns: usize, of: &str) -> Value {
        let properties: Map<String, Value> = (0..columns).map(|at| (format!("c{at}"), json!({"type": of}))).collect();
        json!({"properties": properties})
    }

    #[test]
    fn the_columns_of_the_program_stand_behind_unless_the_stream_has_them() {
        let schema = json!({"properties": {"id": {"type": "string"}, "_sdc_sequence": {"type": "string"}}});
        let names: Vec<String> =
            read(schema, &["id"]).expect("a schema").properties.into_iter().map(|property| property.name).collect();
        assert_eq!(names.len(), 8);
        assert_eq!(names[..3], ["id", "_sdc_sequence", "_sdc_extracted_at"]);
    }

    #[test]
    fn keys_stand_in_the_order_of_the_columns() {
        let schema = json!({"properties": {"a": {}, "b": {}, "c": {}}});
        assert_eq!(read(schema.clone(), &["c", "a", "c"]).expect("a schema").keys, ["a", "c"]);
        assert!(read(schema, &["d"]).expect_err("no d").contains("\"d\""));
    }

    #[test]
    fn a_table_that_postgres_cannot_have_is_refused_before_its_first_row() {
        assert!(read(wide(1_593, "boolean"), &[]).is_ok());
        assert!(read(wide(1_594, "boolean"), &[]).expect_err("too wide").contains("1601 columns"));
        assert!(read(json!({"properties": {"x".repeat(64): {}}}), &[]).is_err());
        assert!(read(json!({}), &[]).is_err());
    }

    #[test]
    fn a_table_whose_full_rows_do_not_fit_is_warned_of() {
        assert_eq!(read(wide(400, "string"), &[]).expect("a schema").width_warning(), None);
        let warning = read(wide(460, "string"), &[]).expect("a schema").width_warning();
        assert!(warning.expect("a warning").contains("467 columns"));
    }
}
