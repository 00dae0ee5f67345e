//! Singer messages, and the tables that a target makes of them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// A record's values as written: no digit goes through a float.
pub(crate) type Row = BTreeMap<String, Box<RawValue>>;

/// One line of a tap's output.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Message {
    /// `SCHEMA`, `RECORD`, `STATE` or `ACTIVATE_VERSION`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) stream: Option<String>,
    pub(crate) schema: Option<Value>,
    pub(crate) key_properties: Option<Vec<String>>,
    pub(crate) record: Option<Row>,
    pub(crate) version: Option<i64>,
    /// A STATE's value.
    pub(crate) value: Option<Value>,
}

/// Reads whole lines; what follows the last newline, as of a tap that was killed, is left out as targets get no more
/// of it than of any other half line.
pub(crate) fn parse(stdout: &[u8]) -> Vec<Message> {
    let whole = stdout.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let text = std::str::from_utf8(&stdout[..whole]).expect("UTF-8 on stdout");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("no Singer message: {error}: {line}")))
        .collect()
}

/// What an upserting target holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tables {
    pub(crate) tables: BTreeMap<String, Table>,
    /// The last STATE's value.
    pub(crate) state: Option<Value>,
}

/// One stream in a target.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    /// The last SCHEMA's.
    pub(crate) schema: Value,
    pub(crate) key_properties: Vec<String>,
    /// By the JSON of the key's values.
    pub(crate) rows: BTreeMap<Vec<String>, Held>,
}

/// One row in a target.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held {
    pub(crate) row: Row,
    pub(crate) version: Option<i64>,
    /// Marked as deleted, by a tombstone or by an ACTIVATE_VERSION.
    pub(crate) deleted: bool,
}

impl Tables {
    /// Takes the messages in as targets do: a record replaces the columns of its stream's SCHEMA in the row of its key
    /// and leaves other columns alone; ACTIVATE_VERSION marks all rows of older versions as deleted.
    pub(crate) fn load<'a>(&mut self, messages: impl IntoIterator<Item = &'a Message>) {
        for message in messages {
            match message.kind.as_str() {
                "SCHEMA" => self.define(message),
                "RECORD" => self.upsert(message),
                "ACTIVATE_VERSION" => self.activate(message),
                "STATE" => self.state.clone_from(&message.value),
                other => panic!("targets know no message of type {other}"),
            }
        }
    }

    /// A stream's table; panics when no SCHEMA of it came.
    pub(crate) fn table(&self, stream: &str) -> &Table {
        self.tables.get(stream).unwrap_or_else(|| panic!("no SCHEMA of {stream}"))
    }

    fn defined(&mut self, message: &Message) -> &mut Table {
        let stream = message.stream.as_deref().expect("a stream");
        self.tables.get_mut(stream).unwrap_or_else(|| panic!("{} of {stream} before its SCHEMA", message.kind))
    }

    fn define(&mut self, message: &Message) {
        let table = self.tables.entry(message.stream.clone().expect("a stream")).or_default();
        table.schema = message.schema.clone().expect("a schema");
        table.key_properties = message.key_properties.clone().expect("key_properties");
    }

    fn upsert(&mut self, message: &Message) {
        let table = self.defined(message);
        let record = message.record.as_ref().expect("a record");
        let key = |name: &String| record.get(name).unwrap_or_else(|| panic!("no {name} in a record")).get().to_owned();
        let held = table.rows.entry(table.key_properties.iter().map(key).collect()).or_default();
        let columns = table.schema["properties"].as_object().expect("properties");
        for column in columns.keys() {
            match record.get(column) {
                Some(value) => held.row.insert(column.clone(), value.clone()),
                None => held.row.remove(column),
            };
        }
        held.version = message.version;
        held.deleted = record.get("_sdc_deleted_at").is_some_and(|at| at.get() != "null");
    }

    fn activate(&mut self, message: &Message) {
        let version = message.version.expect("a version");
        for held in self.defined(message).rows.values_mut() {
            held.deleted |= held.version.is_none_or(|of_row| of_row < version);
        }
    }
}

/// The tables that one run's output makes.
pub(crate) fn fold(messages: &[Message]) -> Tables {
    let mut tables = Tables::default();
    tables.load(messages);
    tables
}

/// The messages of a kind and stream.
pub(crate) fn of<'m>(messages: &'m [Message], kind: &str, stream: &str) -> Vec<&'m Message> {
    messages.iter().filter(|message| message.kind == kind && message.stream.as_deref() == Some(stream)).collect()
}

/// The records of a stream as JSON, in their order.
pub(crate) fn records(messages: &[Message], stream: &str) -> Vec<Value> {
    let record = |message: &Message| serde_json::to_value(message.record.as_ref()?).ok();
    of(messages, "RECORD", stream).into_iter().map(|message| record(message).expect("a record")).collect()
}

/// The values of the STATE messages, in their order.
pub(crate) fn states(messages: &[Message]) -> Vec<Value> {
    messages.iter().filter(|message| message.kind == "STATE").map(|one| one.value.clone().expect("a value")).collect()
}

/// The columns of a stream's SCHEMA; none when there is no SCHEMA.
pub(crate) fn columns(messages: &[Message], stream: &str) -> Vec<String> {
    let schema = of(messages, "SCHEMA", stream).pop().and_then(|message| message.schema.as_ref());
    schema
        .and_then(|schema| schema["properties"].as_object())
        .into_iter()
        .flatten()
        .map(|(name, _)| name.clone())
        .collect()
}

/// The versions of a stream that are activated.
pub(crate) fn activated(messages: &[Message], stream: &str) -> Vec<i64> {
    of(messages, "ACTIVATE_VERSION", stream).iter().filter_map(|one| one.version).collect()
}
