//! Beside meltanolabs' target-postgres: the same tables, and either program goes on in the other's.

use serde_json::{Value, json};

use crate::support::delivery::state;
use crate::support::loader::{Loader, SCHEMA, definitions, schema, table};
use crate::support::postgres::Database;

/// Properties of every type that meltanolabs' target-postgres tells apart.
fn properties() -> Value {
    json!({
        "id": {"type": "integer"},
        "text": {"type": ["string", "null"], "maxLength": 5_000_000},
        "mail": {"type": ["string", "null"], "format": "email"},
        "number": {"type": ["null", "number"], "multipleOf": 0.01},
        "small": {"type": ["integer", "null"], "minimum": 0, "maximum": 9},
        "middle": {"type": ["integer", "null"], "minimum": 0, "maximum": 99_999},
        "large": {"type": ["integer", "null"]},
        "yes": {"type": ["boolean", "null"]},
        "instant": {"type": ["string", "null"], "format": "date-time"},
        "instant_of_any": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]},
        "day": {"type": ["string", "null"], "format": "date"},
        "time_of_day": {"type": ["string", "null"], "format": "time"},
        "object": {"type": ["object", "null"]},
        "list": {"type": ["array", "null"]},
        "texts": {"type": ["array", "null"], "items": {"type": ["string", "null"]}},
        "integers": {"type": ["array", "null"], "items": {"type": "integer"}},
        "numbers": {"type": ["array", "null"], "items": {"type": "number"}},
        "booleans": {"type": ["array", "null"], "items": {"type": "boolean"}},
        "objects": {"type": ["array", "null"], "items": {"type": "object"}},
        "anythings": {"type": ["array", "null"], "items": {}},
        "anything": {},
        "text_or_integer": {"type": ["string", "integer", "null"]},
        "text_or_object": {"type": ["string", "object", "array", "null"]},
        "integer_or_number": {"type": ["integer", "number", "null"]},
        "Name with .:;(%$\\üé and a very long tail, sixty-one": {"type": ["string", "null"]},
    })
}

/// Values that both programs store, in JSON text: numbers keep their digits.
const VALUES: [&str; 46] = [
    r#""text": "plain ünï 😀 \u2028 \u0007 \\N \t\r\n\" \\. ''""#,
    r#""text": """#,
    r#""mail": "ann@x.example""#,
    r#""number": 12345678901234567890.1234567890"#,
    r#""number": 9007199254740993"#,
    r#""number": 1e3"#,
    r#""number": 1.10"#,
    r#""number": -0"#,
    r#""number": 1.5e-3"#,
    r#""number": 1e400"#,
    r#""small": 5"#,
    r#""middle": 70000"#,
    r#""large": -9223372036854775808"#,
    r#""yes": true"#,
    r#""yes": false"#,
    r#""instant": "2024-01-02T03:04:05Z""#,
    r#""instant": "2024-01-02T03:04:05.123456789Z""#,
    r#""instant": "2024-01-02T03:04:05.1+02:00""#,
    r#""instant": "2024-01-02""#,
    r#""instant": "2024-01-02 03:04""#,
    r#""instant": "0001-01-01T00:00:00Z""#,
    r#""instant": "9999-12-31T23:59:59.999999Z""#,
    r#""instant_of_any": "2024-01-02T03:04:05-05:30""#,
    r#""day": "2024-02-29""#,
    r#""time_of_day": "03:04:05.123456""#,
    r#""time_of_day": "03:04""#,
    r#""object": {}"#,
    r#""object": {"a": [1, 1.10, null, true, {"b": "ü\n\""}], "b": 12345678901234567890.10}"#,
    r#""list": [1, "x", null]"#,
    r#""list": []"#,
    r#""texts": ["a", "b,c", "d\"e", "f\\g", "{}", "", "NULL", "ü\n", null]"#,
    r#""texts": []"#,
    r#""integers": [1, 2, null]"#,
    r#""numbers": [1.10, 20000000000000000000.5]"#,
    r#""booleans": [true, false]"#,
    r#""objects": [{"a": "\"x\\"}, {}]"#,
    r#""anythings": [1, "x", {"a": null}, [1]]"#,
    r#""anything": "text""#,
    r#""anything": 1.10"#,
    r#""anything": true"#,
    r#""anything": {"a": [1, 2.50], "b": null}"#,
    r#""text_or_integer": 5"#,
    r#""text_or_object": "x""#,
    r#""text_or_object": {"a": 1}"#,
    r#""integer_or_number": 1.5"#,
    r#""Name with .:;(%$\\üé and a very long tail, sixty-one": "v""#,
];

/// A record for each value, from this id on, with what a message says of it.
fn records(first: usize) -> Vec<Value> {
    let record = |(at, value): (usize, &&str)| {
        let text = format!(
            r#"{{"type":"RECORD","stream":"x-types","record":{{"id":{},{value}}},"version":7,"time_extracted":"2026-11-21T16:51:05.035934+00:00"}}"#,
            first + at
        );
        Value::String(text)
    };
    VALUES.iter().enumerate().map(record).collect()
}

/// Messages, of which those that are strings stand for their own text.
fn text(messages: &[Value]) -> String {
    let line = |message: &Value| message.as_str().map_or_else(|| message.to_string(), str::to_owned);
    messages.iter().map(|message| line(message) + "\n").collect()
}

/// meltanolabs' program stores a null of an object or a list as the JSON value null.
fn with_sql_nulls(mut rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    let columns = ["object", "list", "text_or_object"];
    for value in rows.iter_mut().flatten() {
        if columns.iter().any(|column| *value == format!("{column}=null")) {
            *value = value.replace("=null", "=NULL");
        }
    }
    rows.sort();
    rows
}

fn load_by_both(loader: (&Loader, &Loader), messages: &[Value]) {
    let text = text(messages);
    loader.0.load_text(&text).succeeded();
    loader.1.load_text_by_meltanolabs(&text).succeeded();
}

/// One database with a loader of each program, ours into [`SCHEMA`], meltanolabs' into `theirs`.
fn both(database: &Database) -> (Loader, Loader) {
    let (ours, mut theirs) = (Loader::of(database), Loader::of(database));
    theirs.set("default_target_schema", json!("theirs"));
    (ours, theirs)
}

#[test]
fn tables_types_and_values_are_those_of_meltanolabs_target_postgres() {
    let database = Database::create();
    let (ours, theirs) = both(&database);
    let mut messages = vec![schema("x-types", properties(), &["id"])];
    messages.extend(records(0));
    // Two more ways in which tables are made: without a key, and with one of several columns in another order.
    messages.push(schema("keyless", json!({"a": {"type": "string"}}), &[]));
    messages.push(schema("empty", json!({"b": {"type": "integer"}, "a": {"type": "string"}, "c": {}}), &["a", "b"]));
    messages.push(json!({"type": "RECORD", "stream": "keyless", "record": {"a": "x"}}));
    messages.push(json!({"type": "RECORD", "stream": "keyless", "record": {"a": "x"}}));
    messages.push(state(json!({"done": true})));
    load_by_both((&ours, &theirs), &messages);
    assert_eq!(definitions(&database, SCHEMA), definitions(&database, "theirs"));
    for name in ["types", "keyless"] {
        assert_eq!(table(&database, SCHEMA, name), with_sql_nulls(table(&database, "theirs", name)), "{name}");
    }
    assert_eq!(table(&database, SCHEMA, "types").len(), VALUES.len());
}

#[test]
fn a_null_is_never_the_json_value_null() {
    let database = Database::create();
    let (ours, _) = both(&database);
    let properties =
        json!({"o": {"type": ["object", "null"]}, "l": {"type": "array"}, "a": {"type": "array", "items": {}}});
    let record = json!({"type": "RECORD", "stream": "s", "record": {"o": null, "a": [null]}});
    ours.load(&[schema("s", properties, &[]), record]).succeeded();
    let count = "select count(*) from loaded.s where o is null and l is null and a[1] is null";
    assert_eq!(database.number(count), 1);
}

#[test]
fn either_program_goes_on_in_the_others_tables() {
    for ours_first in [true, false] {
        let database = Database::create();
        let (ours, theirs) = (Loader::of(&database), Loader::of(&database));
        let load = |is_ours: bool, messages: &[Value]| match is_ours {
            true => ours.load_text(text(messages)).succeeded(),
            false => theirs.load_text_by_meltanolabs(&text(messages)).succeeded(),
        };
        let mut first = vec![schema("x-types", properties(), &["id"])];
        first.extend(records(0));
        load(ours_first, &first);
        let before = with_sql_nulls(table(&database, SCHEMA, "types"));
        // A new column, old rows again, and some more.
        let mut wider = properties();
        wider["added"] = json!({"type": ["number", "null"]});
        let mut second = vec![schema("x-types", wider, &["id"])];
        second.extend(records(20));
        load(!ours_first, &second);
        let after = with_sql_nulls(table(&database, SCHEMA, "types"));
        assert_eq!(after.len(), VALUES.len() + 20);
        let untouched =
            |row: &&Vec<String>| row[0].strip_prefix("id=").is_some_and(|id| id.parse().is_ok_and(|id: u32| id < 20));
        let without_added =
            |row: &Vec<String>| row.iter().filter(|value| *value != "added=NULL").cloned().collect::<Vec<_>>();
        let kept: Vec<_> = after.iter().filter(untouched).map(without_added).collect();
        assert_eq!(kept, before.iter().filter(untouched).cloned().collect::<Vec<_>>(), "ours first: {ours_first}");
        // And the first program takes the table as the second one left it.
        load(ours_first, &second);
        assert_eq!(with_sql_nulls(table(&database, SCHEMA, "types")), after, "ours first: {ours_first}");
    }
}

#[test]
fn versions_and_deletions_are_those_of_meltanolabs_target_postgres() {
    for hard_delete in [false, true] {
        let database = Database::create();
        let (mut ours, mut theirs) = both(&database);
        ours.set("hard_delete", json!(hard_delete));
        theirs.set("hard_delete", json!(hard_delete));
        let record = |id: u32, version: Option<i64>, deleted_at: Option<&str>| {
            json!({"type": "RECORD", "stream": "s", "version": version,
                "record": {"id": id, "_sdc_deleted_at": deleted_at}})
        };
        let first = [
            schema("s", json!({"id": {"type": "integer"}}), &["id"]),
            record(1, Some(1), None),
            record(2, Some(1), Some("2024-01-02T03:04:05Z")),
            record(3, Some(1), None),
            record(4, None, None),
        ];
        load_by_both((&ours, &theirs), &first);
        assert_eq!(table(&database, SCHEMA, "s"), table(&database, "theirs", "s"));
        let second = [
            schema("s", json!({"id": {"type": "integer"}}), &["id"]),
            record(3, Some(2), None),
            record(5, Some(2), None),
            json!({"type": "ACTIVATE_VERSION", "stream": "s", "version": 2}),
            record(6, Some(1), None),
            state(json!({"done": true})),
        ];
        load_by_both((&ours, &theirs), &second);
        let live =
            |schema: &str| database.rows(&format!("select id, _sdc_deleted_at is null from {schema}.s order by id"));
        assert_eq!(live(SCHEMA), live("theirs"));
        let expected = if hard_delete { 3 } else { 6 };
        assert_eq!(database.number("select count(*) from loaded.s"), expected);
        assert_eq!(database.number("select count(*) from loaded.s where _sdc_deleted_at is null"), 3);
    }
}

#[test]
fn settings_of_meltanolabs_decide_schemas_tables_and_metadata_alike() {
    let database = Database::create();
    database.rows("create schema ours; create schema theirs; create schema sales");
    let (mut ours, mut theirs) = both(&database);
    for loader in [&mut ours, &mut theirs] {
        loader.set("add_record_metadata", json!(false)).set("activate_version", json!(false));
    }
    let messages = |stream: &str| {
        [
            schema(stream, json!({"id": {"type": "string"}, "_sdc_deleted_at": {"type": "string"}}), &["id"]),
            json!({"type": "RECORD", "stream": stream, "record": {"id": "1", "_sdc_deleted_at": "x"}}),
        ]
    };
    load_by_both((&ours, &theirs), &messages("a-b-c-d"));
    assert_eq!(definitions(&database, SCHEMA), definitions(&database, "theirs"));
    assert_eq!(table(&database, SCHEMA, "d"), [["id=1"]]);
    // Without a schema of its own a stream names one.
    ours.set("default_target_schema", json!(""));
    ours.load(&messages("sales-orders")).succeeded();
    ours.load(&messages("plain")).succeeded();
    assert_eq!(table(&database, "sales", "orders"), [["id=1"]]);
    assert_eq!(table(&database, "public", "plain"), [["id=1"]]);
}
