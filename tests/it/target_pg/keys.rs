//! Which row of a key stays.

use serde_json::{Value, json};

use crate::support::delivery::{lines, record};
use crate::support::loader::{Loader, schema, table};
use crate::support::postgres::Database;

fn plain(database: &Database) -> Loader {
    let mut loader = Loader::of(database);
    loader.set("add_record_metadata", json!(false)).set("activate_version", json!(false));
    loader
}

fn row(record_of: Value) -> Value {
    record("s", record_of)
}

#[test]
fn the_last_row_of_a_key_wins_within_a_batch_and_between_batches() {
    for batch_size_rows in [1, 2, 100] {
        let database = Database::create();
        let mut loader = plain(&database);
        loader.set("batch_size_rows", json!(batch_size_rows));
        let properties = json!({"b": {"type": "string"}, "n": {"type": "number"}, "v": {"type": ["string", "null"]}});
        loader
            .load(&[
                schema("s", properties, &["n", "b"]),
                row(json!({"n": 1, "b": "x", "v": "first"})),
                row(json!({"n": 1, "b": "y", "v": "other"})),
                row(json!({"n": 1.0, "b": "x", "v": "second"})),
                row(json!({"n": 2, "b": "x", "v": "kept"})),
                row(json!({"n": 1, "b": "x"})),
            ])
            .succeeded();
        let rows: Vec<String> = table(&database, "loaded", "s").into_iter().map(|row| row.concat()).collect();
        assert_eq!(rows, ["b=xn=1v=NULL", "b=xn=2v=kept", "b=yn=1v=other"], "{batch_size_rows}");
    }
}

#[test]
fn one_key_however_it_is_written_is_one_row() {
    let decimal = json!({"type": "string", "format": "x-singer.decimal"});
    let base16 = json!({"type": "string", "contentEncoding": "base16"});
    for (key, ways) in [
        (json!({"type": "number"}), &["1e30", "10E29", "1000000000000000000000000000000"][..]),
        (json!({"type": "number"}), &["12345678901234567891", "1.2345678901234567891e19"]),
        (json!({"type": "integer"}), &["1000", "1e3", "1000.0"]),
        (decimal, &["\"12\"", "\"012\"", "\"12.0\""]),
        (base16, &["\"0xABC\"", "\"0abc\""]),
    ] {
        let database = Database::create();
        let mut loader = plain(&database);
        loader.set("interpret_content_encoding", json!(true));
        let schema = schema("s", json!({"k": key, "v": {"type": "integer"}}), &["k"]);
        let rows = ways.iter().enumerate().map(|(at, way)| {
            format!("{{\"type\":\"RECORD\",\"stream\":\"s\",\"record\":{{\"k\":{way},\"v\":{at}}}}}\n")
        });
        loader.load_text(lines(&[schema]) + &rows.collect::<String>()).succeeded();
        assert_eq!(database.number("select count(*) from loaded.s"), 1, "{ways:?}");
        assert_eq!(database.number("select v from loaded.s") as usize, ways.len() - 1, "{ways:?}");
    }
}

#[test]
fn keys_that_only_postgres_can_compare_are_compared_by_it() {
    let database = Database::create();
    let loader = plain(&database);
    let properties = json!({"k": {"type": "object"}, "v": {"type": "integer"}});
    let messages = [
        schema("s", properties, &["k"]),
        row(json!({"k": {"a": 1, "b": 2}, "v": 1})),
        row(json!({"k": {"b": 2, "a": 1.0}, "v": 2})),
    ];
    loader.load(&messages).succeeded();
    assert_eq!(database.number("select v from loaded.s"), 2);
}

#[test]
fn a_stream_without_a_key_is_appended_to() {
    let database = Database::create();
    let loader = plain(&database);
    let messages = [
        schema("s", json!({"v": {"type": "integer"}}), &[]),
        row(json!({"v": 1})),
        row(json!({"v": 1})),
        row(json!({"v": 2})),
    ];
    loader.load(&messages).succeeded();
    loader.load(&messages).succeeded();
    assert_eq!(database.number("select count(*) from loaded.s"), 6);
}

#[test]
fn a_table_without_an_index_on_the_key_is_written_to_all_the_same() {
    let database = Database::create();
    let loader = plain(&database);
    let properties = json!({"k": {"type": "integer"}, "v": {"type": "integer"}});
    let append = |v: u32| [schema("s", properties.clone(), &[]), row(json!({"k": 1, "v": v}))];
    loader.load(&append(1)).succeeded();
    loader.load(&append(2)).succeeded();
    let keyed = [
        schema("s", properties.clone(), &["k"]),
        row(json!({"k": 1, "v": 3})),
        row(json!({"k": 2, "v": 4})),
        row(json!({"k": 2, "v": 5})),
    ];
    loader.load(&keyed).succeeded();
    let rows: Vec<String> = table(&database, "loaded", "s").into_iter().map(|row| row.concat()).collect();
    assert_eq!(rows, ["k=1v=3", "k=1v=3", "k=2v=5"]);
}

#[test]
fn columns_that_the_schema_does_not_have_keep_their_values() {
    let database = Database::create();
    let loader = plain(&database);
    let both = json!({"id": {"type": "integer"}, "a": {"type": "string"}, "b": {"type": "string"}});
    loader.load(&[schema("s", both, &["id"]), row(json!({"id": 1, "a": "a", "b": "b"}))]).succeeded();
    let one = json!({"id": {"type": "integer"}, "a": {"type": "string"}});
    loader.load(&[schema("s", one, &["id"]), row(json!({"id": 1}))]).succeeded();
    assert_eq!(
        table(&database, "loaded", "s"),
        [["a=NULL", "b=b", "id=1"].map(str::to_owned).to_vec()].map(|mut row| {
            row.rotate_right(1);
            row
        })
    );
}

#[test]
fn a_table_of_keys_alone_is_loaded() {
    let database = Database::create();
    let loader = plain(&database);
    let messages =
        [schema("s", json!({"id": {"type": "integer"}}), &["id"]), row(json!({"id": 1})), row(json!({"id": 2}))];
    loader.load(&messages).succeeded();
    loader.load(&messages).succeeded();
    assert_eq!(database.number("select count(*) from loaded.s"), 2);
}
