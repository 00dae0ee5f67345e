//! Columns that come, and columns whose type changes.

use serde_json::{Value, json};

use crate::support::delivery::record;
use crate::support::loader::{Loader, schema, table};
use crate::support::postgres::Database;

fn plain(database: &Database) -> Loader {
    let mut loader = Loader::of(database);
    loader.set("add_record_metadata", json!(false)).set("activate_version", json!(false));
    loader
}

/// A stream with an id and a property `v`.
fn messages(of: Value, value: Value) -> [Value; 2] {
    let id = value.to_string();
    [schema("s", json!({"id": {"type": "string"}, "v": of}), &["id"]), record("s", json!({"id": id, "v": value}))]
}

#[test]
fn a_new_column_is_added_in_the_middle_of_a_run_and_in_a_later_one() {
    let database = Database::create();
    let loader = plain(&database);
    let properties = |names: &[&str]| -> Value {
        names
            .iter()
            .map(|name| ((*name).to_owned(), json!({"type": ["string", "null"]})))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    loader
        .load(&[
            schema("s", properties(&["id"]), &["id"]),
            record("s", json!({"id": "1"})),
            schema("s", properties(&["id", "a"]), &["id"]),
            record("s", json!({"id": "2", "a": "x"})),
        ])
        .succeeded();
    loader
        .load(&[schema("s", properties(&["b%\"", "id"]), &["id"]), record("s", json!({"id": "3", "b%\"": "y"}))])
        .succeeded();
    let rows: Vec<String> = table(&database, "loaded", "s").into_iter().map(|row| row.join(" ")).collect();
    assert_eq!(rows, [r#"id=1 a=NULL b%"=NULL"#, r#"id=2 a=x b%"=NULL"#, r#"id=3 a=NULL b%"=y"#]);
}

#[test]
fn a_type_that_changed_is_widened_where_nothing_is_lost() {
    let of = |name: &str| json!({"type": [name, "null"]});
    let list = |name: &str| json!({"type": "array", "items": {"type": name}});
    for (first, value, second, later, kind, expected) in [
        (of("integer"), json!(7), of("number"), json!(1.5), "numeric", ["1.5", "7"]),
        (
            json!({"type": "integer", "minimum": 0, "maximum": 9}),
            json!(7),
            of("integer"),
            json!(3_000_000_000_u64),
            "bigint",
            ["3000000000", "7"],
        ),
        (of("integer"), json!(7), of("string"), json!("x"), "text", ["7", "x"]),
        (of("boolean"), json!(true), of("string"), json!("x"), "text", ["true", "x"]),
        (of("object"), json!({"a": 1}), of("string"), json!("x"), "text", ["x", r#"{"a": 1}"#]),
        (list("string"), json!(["a"]), of("string"), json!("x"), "text", ["x", r#"["a"]"#]),
        (list("integer"), json!([1]), list("number"), json!([1.5]), "ARRAY", ["{1.5}", "{1}"]),
        (of("integer"), json!(7), of("object"), json!({"a": 1}), "jsonb", ["7", r#"{"a": 1}"#]),
        (
            json!({"type": "string", "format": "date"}),
            json!("2024-01-02"),
            json!({"type": "string", "format": "date-time"}),
            json!("2024-01-02T03:04:05Z"),
            "timestamp without time zone",
            ["2024-01-02 00:00:00", "2024-01-02 03:04:05"],
        ),
        // Text takes any type.
        (of("string"), json!("x"), of("integer"), json!(7), "text", ["7", "x"]),
        (of("number"), json!(1.5), of("integer"), json!(7), "numeric", ["1.5", "7"]),
    ] {
        let database = Database::create();
        let loader = plain(&database);
        loader.load(&messages(first.clone(), value)).succeeded();
        loader.load(&messages(second.clone(), later)).succeeded();
        let columns = database.columns("loaded", "s");
        assert_eq!(columns[1], ("v".to_owned(), kind.to_owned()), "{first} to {second}");
        let mut values: Vec<_> = table(&database, "loaded", "s").into_iter().map(|row| row[1].clone()).collect();
        values.sort();
        let mut expected = expected.map(|value| format!("v={value}"));
        expected.sort();
        assert_eq!(values, expected, "{first} to {second}");
    }
}

#[test]
fn a_type_that_does_not_fit_is_a_sentence_with_stream_column_and_both_types() {
    let database = Database::create();
    let loader = plain(&database);
    loader.load(&messages(json!({"type": "boolean"}), json!(true))).succeeded();
    let finished = loader.load(&messages(json!({"type": "number"}), json!(1)));
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    for says in ["\"s\"", "\"v\"", "boolean", "numeric"] {
        assert!(finished.last_line().contains(says), "{}", finished.stderr);
    }
    assert_eq!(database.number("select count(*) from loaded.s"), 1);
}

#[test]
fn a_column_that_a_view_keeps_from_being_widened_is_told_with_the_view() {
    let database = Database::create();
    let loader = plain(&database);
    loader.load(&messages(json!({"type": "integer"}), json!(1))).succeeded();
    database.rows("create view loaded.report as select v from loaded.s");
    let finished = loader.load(&messages(json!({"type": "number"}), json!(1.5)));
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    for says in ["\"s\"", "view", "loaded.report", "\"v\""] {
        assert!(finished.last_line().contains(says), "{}", finished.stderr);
    }
    assert_eq!(database.rows("select v from loaded.s"), [[Some("1".to_owned())]]);
}

#[test]
fn columns_of_others_that_round_are_widened() {
    let database = Database::create();
    database.rows("create schema loaded; create table loaded.s (id text primary key, v numeric(6, 1)); insert into loaded.s values ('1', 2.5)");
    let loader = plain(&database);
    loader.load(&messages(json!({"type": "number"}), json!(1.23456))).succeeded();
    assert_eq!(
        database.rows("select v from loaded.s order by v"),
        [[Some("1.23456".to_owned())], [Some("2.5".to_owned())]]
    );
}

#[test]
fn a_table_that_postgres_cannot_have_is_told_before_the_first_row() {
    let database = Database::create();
    let loader = Loader::of(&database);
    let wide = |columns: usize| -> Value {
        (0..columns)
            .map(|at| (format!("c{at}"), json!({"type": ["string", "null"]})))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let finished = loader.load(&[schema("wide", wide(1_594), &[])]);
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    assert!(finished.last_line().contains("\"wide\"") && finished.last_line().contains("1600"), "{}", finished.stderr);
    let finished = loader.load(&[schema("full", wide(1_593), &[]), record("full", json!({"c0": "x"}))]).succeeded();
    assert_eq!(finished.said("8160"), 1, "{}", finished.stderr);
    let long = "x".repeat(64);
    let finished = loader.load(&[schema("s", json!({long.clone(): {}}), &[])]);
    assert!(finished.last_line().contains(&long) && finished.last_line().contains("63"), "{}", finished.stderr);
}
