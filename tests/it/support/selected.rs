//! What the tables must hold of whatever was selected: the portal's truth in the columns and types of a stream's SCHEMA.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::cell::{Cell, Fidelity, Kind};
use super::messages;
use super::tables::{OF_THE_RUN, Row};
use super::truth::{Truth, ends, primary_company, primary_contact};
use super::values;

/// The streams whose rows are objects.
pub(crate) const OBJECTS: [&str; 4] = ["tickets", "contacts", "companies", "deals"];

/// A stream of objects as it must be.
struct Objects<'t> {
    truth: &'t Truth,
    stream: &'t str,
    columns: BTreeMap<&'t str, Kind>,
    /// The property of each column that has one.
    properties: BTreeMap<&'t str, &'t str>,
    contacts: BTreeMap<&'t str, &'t Value>,
    companies: BTreeMap<&'t str, &'t Value>,
}

/// What differs between the portal and the tables that a target holds, in the streams that it holds; `but` names
/// tickets that are not compared. Rows marked as deleted count as gone.
pub(crate) fn differences(
    truth: &Truth,
    catalog: &Value,
    tables: &messages::Tables,
    but: &BTreeSet<u64>,
    removed_too: bool,
) -> Vec<String> {
    let mut found = Vec::new();
    for stream in OBJECTS {
        let Some(table) = tables.tables.get(stream) else { continue };
        let but = if stream == "tickets" { but } else { &BTreeSet::new() };
        let objects = Objects::new(truth, catalog, stream, &table.schema);
        found.extend(objects.differences(table, but).into_iter().map(|one| format!("{stream}: {one}")));
    }
    if let Some(table) = tables.tables.get("ticket_associations") {
        let types = association_types(catalog);
        found.extend(association_differences(truth, &types, table, but, removed_too));
    }
    found
}

/// The object types whose associations a catalog offers.
fn association_types(catalog: &Value) -> Vec<String> {
    let streams = catalog["streams"].as_array().expect("streams");
    let tickets = streams.iter().find(|stream| stream["stream"] == "tickets").expect("tickets");
    let columns = tickets["schema"]["properties"].as_object().expect("columns").keys();
    columns.filter_map(|column| column.strip_prefix("associated_").map(str::to_owned)).collect()
}

impl<'t> Objects<'t> {
    fn new(truth: &'t Truth, catalog: &'t Value, stream: &'t str, schema: &'t Value) -> Self {
        let columns = schema["properties"].as_object().expect("columns");
        let columns = columns.iter().map(|(column, schema)| (column.as_str(), kind_of_schema(schema))).collect();
        let mut entries = catalog["streams"].as_array().expect("streams").iter();
        let entry = entries.find(|entry| entry["stream"] == stream).expect("the stream");
        let metadata = entry["metadata"].as_array().expect("metadata").iter();
        let properties = metadata
            .filter_map(|one| Some((one["breadcrumb"][1].as_str()?, one["metadata"]["hubspot-property"].as_str()?)))
            .collect();
        let (contacts, companies) = (truth.by_id("contacts"), truth.by_id("companies"));
        Self { truth, stream, columns, properties, contacts, companies }
    }

    fn differences(&self, table: &messages::Table, but: &BTreeSet<u64>) -> Vec<String> {
        let mut held: BTreeMap<u64, &messages::Held> = BTreeMap::new();
        for (key, row) in &table.rows {
            held.insert(number(key[0].trim_matches('"')), row);
        }
        let mut found = Vec::new();
        let records = self.truth.list(self.stream);
        let by_id: BTreeMap<&str, &Value> = records.iter().map(|one| (id(one), one)).collect();
        for record in records {
            let number = number(id(record));
            let held = held.remove(&number);
            if but.contains(&number) {
                continue;
            }
            if is_live(record) {
                match held {
                    None => found.push(format!("{number} is missing")),
                    Some(row) if row.deleted => found.push(format!("{number} is live and marked as deleted")),
                    Some(row) => found.extend(self.cells(number, &row.row, &self.live_row(record))),
                }
            } else {
                found.extend(self.tombstone_differences(number, record, &by_id, held));
            }
        }
        let strays = held.iter().filter(|(id, row)| !row.deleted && !but.contains(id));
        found.extend(strays.map(|(id, _)| format!("{id} is not in the portal")));
        found
    }

    /// An archived record, or one that was merged into a record that can still be read, has its tombstone.
    fn tombstone_differences(
        &self,
        number: u64,
        record: &Value,
        by_id: &BTreeMap<&str, &Value>,
        held: Option<&messages::Held>,
    ) -> Vec<String> {
        let mut survivor = Some(record);
        while let Some(into) = survivor.and_then(|one| one["merged_into"].as_str()) {
            survivor = by_id.get(into).copied();
        }
        let Some(survivor) = survivor else {
            // The record that named it is gone for good.
            return held
                .filter(|row| !row.deleted)
                .map(|_| format!("{number} is not in the portal"))
                .into_iter()
                .collect();
        };
        let Some(held) = held else { return vec![format!("{number} has no tombstone")] };
        if !held.deleted {
            return vec![format!("{number} is not marked as deleted: {record}", record = record["merged_into"])];
        }
        let mut expected = Row::new();
        expected.insert("id".to_owned(), Cell::text(id(record)));
        expected.insert("archived".to_owned(), Cell::Boolean(true));
        if let Some(at) = record["archived_at"].as_str() {
            expected.insert("archived_at".to_owned(), Cell::instant(at));
        }
        if !record["merged_into"].is_null() {
            expected.insert("merged_into".to_owned(), Cell::text(id(survivor)));
        }
        self.cells(number, &held.row, &self.with_tenant(expected))
    }

    fn with_tenant(&self, mut row: Row) -> Row {
        row.insert("_tenant_id".to_owned(), Cell::text(self.truth.portal_id()));
        row
    }

    fn live_row(&self, record: &Value) -> Row {
        let mut row = Row::new();
        let mut unparsed = Map::new();
        for (column, kind) in &self.columns {
            let cell = match *column {
                "id" => Cell::text(id(record)),
                "created_at" | "updated_at" => Cell::instant(record[*column].as_str().expect("an instant")),
                "archived" => Cell::Boolean(false),
                "primary_contact" => primary_contact(record, &self.contacts),
                "primary_company" => primary_company(record, &self.companies),
                column => match (column.strip_prefix("associated_"), self.properties.get(column)) {
                    (Some(object_type), _) => {
                        Cell::Json(ends(record, object_type).iter().map(|end| end["id"].clone()).collect())
                    }
                    (None, Some(property)) => match values::cell(*kind, &record["properties"][property]) {
                        Ok(cell) => cell,
                        Err(raw) => {
                            unparsed.insert((*property).to_owned(), Value::String(raw));
                            Cell::Null
                        }
                    },
                    (None, None) => continue,
                },
            };
            row.insert((*column).to_owned(), cell);
        }
        if !unparsed.is_empty() && self.columns.contains_key("_unparsed") {
            row.insert("_unparsed".to_owned(), Cell::Json(Value::Object(unparsed)));
        }
        self.with_tenant(row)
    }

    fn cells(&self, number: u64, held: &messages::Row, expected: &Row) -> Vec<String> {
        let wrong = |(column, kind): (&&str, &Kind)| {
            let token = held.get(*column).map_or("null", |value| value.get());
            let cell = Cell::from_json(*kind, token).unwrap_or_else(Cell::Text);
            if OF_THE_RUN.iter().any(|(name, _)| name == column) {
                return (cell == Cell::Null && *column != "_page_number" && *column != "_extraction_type")
                    .then(|| format!("{number}, {column}: null"));
            }
            let expected = expected.get(*column).unwrap_or(&Cell::Null);
            (!cell.matches(expected, Fidelity::Exact))
                .then(|| format!("{number}, {column}: {cell:?} instead of {expected:?}"))
        };
        self.columns.iter().filter_map(wrong).collect()
    }
}

fn association_differences(
    truth: &Truth,
    types: &[String],
    table: &messages::Table,
    but: &BTreeSet<u64>,
    removed_too: bool,
) -> Vec<String> {
    let mut expected: BTreeMap<Vec<String>, Value> = BTreeMap::new();
    for ticket in truth.list("tickets").iter().filter(|ticket| is_live(ticket)) {
        for object_type in types {
            for end in ends(ticket, object_type) {
                for one in end["types"].as_array().expect("types") {
                    let key = [
                        id(ticket),
                        object_type,
                        end["id"].as_str().expect("an id"),
                        one["category"].as_str().expect("a category"),
                        &one["type_id"].to_string(),
                    ];
                    expected.insert(key.map(|part| format!("\"{part}\"")).to_vec(), one["label"].clone());
                }
            }
        }
    }
    let skipped = |key: &Vec<String>| but.contains(&number(key[0].trim_matches('"')));
    let mut found = Vec::new();
    for (key, held) in table.rows.iter().filter(|(key, held)| !held.deleted && !skipped(key)) {
        match expected.remove(key) {
            Some(label) => {
                let of_row =
                    held.row.get("label").map_or(Value::Null, |raw| serde_json::from_str(raw.get()).expect("JSON"));
                if of_row != label {
                    found.push(format!("ticket_associations: {key:?} has the label {of_row} instead of {label}"));
                }
            }
            None if removed_too => found.push(format!("ticket_associations: {key:?} is not in the portal")),
            None => {}
        }
    }
    expected.retain(|key, _| !skipped(key));
    found.extend(expected.keys().map(|key| format!("ticket_associations: {key:?} is missing")));
    found
}

/// The type of a SCHEMA's column.
fn kind_of_schema(schema: &Value) -> Kind {
    let has = |name: &str| match &schema["type"] {
        Value::String(one) => one == name,
        Value::Array(many) => many.iter().any(|one| one == name),
        _ => false,
    };
    match schema["format"].as_str() {
        Some("date-time") => Kind::Instant,
        Some("date") => Kind::Date,
        _ if has("number") => Kind::Number,
        _ if has("boolean") => Kind::Boolean,
        _ if has("object") || has("array") => Kind::Json,
        _ => Kind::Text,
    }
}

fn is_live(record: &Value) -> bool {
    record["archived"] == false && record["merged_into"].is_null()
}

fn id(record: &Value) -> &str {
    record["id"].as_str().expect("an id")
}

fn number(id: &str) -> u64 {
    id.parse().expect("a number")
}
