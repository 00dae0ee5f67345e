//! Input that cannot be loaded: what came before stays, and the last line of stderr says where it is wrong.

use serde_json::json;

use crate::support::delivery::{lines, record, state};
use crate::support::loader::{Loader, schema, states};
use crate::support::postgres::Database;

/// Three good lines and a fourth.
fn before(fourth: &str) -> String {
    let good = [
        schema("s", json!({"id": {"type": "integer"}, "v": {"type": ["string", "null"]}}), &["id"]),
        record("s", json!({"id": 1, "v": "x"})),
        state(json!({"at": 1})),
    ];
    format!("{}{fourth}", lines(&good))
}

#[test]
fn a_bad_line_is_named_and_what_came_before_it_is_committed() {
    for (line, says) in [
        ("{\"type\":\"RECORD\",\"stream\":\"s\",\"rec", &["line 4", "not JSON"][..]),
        ("not JSON\n", &["line 4", "not JSON"]),
        ("[]\n", &["line 4"]),
        ("\u{feff}{}\n", &["line 4", "not JSON"]),
        (r#"{"type":"RECORD","stream":"other","record":{}}"#, &["line 4", "\"other\"", "before its SCHEMA"]),
        (r#"{"type":"ACTIVATE_VERSION","stream":"other","version":1}"#, &["line 4", "\"other\"", "before its SCHEMA"]),
        (r#"{"type":"RECORD","stream":"s","record":{"v":"x"}}"#, &["line 4", "\"s\"", "\"id\"", "lacks its key"]),
        (r#"{"type":"RECORD","stream":"s","record":{"id":null}}"#, &["line 4", "\"s\"", "\"id\"", "null"]),
        (
            r#"{"type":"RECORD","stream":"s","record":{"id":"one"}}"#,
            &["line 4", "\"s\"", "\"id\"", "a string", "integer"],
        ),
        (r#"{"type":"RECORD","stream":"s","record":{"id":1.5}}"#, &["line 4", "\"s\"", "\"id\"", "integer"]),
        (
            r#"{"type":"RECORD","stream":"s","record":{"id":9223372036854775808}}"#,
            &["line 4", "\"id\"", "range of bigint"],
        ),
        (
            r#"{"type":"RECORD","stream":"s","record":{"id":2,"v":{"a":1}}}"#,
            &["line 4", "\"v\"", "an object", "string"],
        ),
        (r#"{"type":"RECORD","stream":"s","record":{"id":2},"time_extracted":"soon"}"#, &["line 4", "time_extracted"]),
        (r#"{"type":"RECORD","stream":"s","record":[1]}"#, &["line 4", "object"]),
        (r#"{"type":"RECORD","record":{}}"#, &["line 4", "stream"]),
        (r#"{"type":"LOG","stream":"s"}"#, &["line 4", "\"LOG\""]),
        (r#"{"type":"STATE"}"#, &["line 4", "value"]),
        (r#"{"type":"SCHEMA","stream":"s"}"#, &["line 4", "schema"]),
        (r#"{"type":"SCHEMA","stream":"t","schema":{}}"#, &["line 4", "\"t\"", "properties"]),
        (
            r#"{"type":"SCHEMA","stream":"t","schema":{"properties":{"a":{}}},"key_properties":["b"]}"#,
            &["line 4", "\"t\"", "\"b\""],
        ),
    ] {
        let database = Database::create();
        let finished = Loader::of(&database).load_text(before(line));
        assert_eq!(finished.code, Some(2), "{line}: {}", finished.stderr);
        for says in says {
            assert!(finished.last_line().contains(says), "{line}: {says}: {}", finished.last_line());
        }
        assert_eq!(states(&finished), [json!({"at": 1})], "{line}");
        assert_eq!(database.number("select count(*) from loaded.s"), 1, "{line}");
    }
}

#[test]
fn a_line_that_is_not_utf8_is_named() {
    let database = Database::create();
    let mut text = before("").into_bytes();
    text.extend_from_slice(b"{\"type\":\"STATE\",\"value\":\"\xff\"}\n");
    let finished = Loader::of(&database).load_text(text);
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    assert!(finished.last_line().contains("line 4"), "{}", finished.stderr);
}

#[test]
fn blank_lines_crlf_and_a_missing_last_newline_are_no_fault() {
    let database = Database::create();
    let text = before("{\"type\":\"RECORD\",\"stream\":\"s\",\"record\":{\"id\":2}}").replace('\n', "\r\n\r\n");
    let finished = Loader::of(&database).load_text(text).succeeded();
    assert_eq!(states(&finished), [json!({"at": 1})]);
    assert_eq!(database.number("select count(*) from loaded.s"), 2);
}

#[test]
fn a_property_without_a_schema_is_left_out_with_one_warning() {
    let database = Database::create();
    let more = [record("s", json!({"id": 2, "extra": 1})), record("s", json!({"id": 3, "extra": 2}))];
    let finished = Loader::of(&database).load_text(before(&lines(&more))).succeeded();
    assert_eq!(finished.said("\"extra\""), 1, "{}", finished.stderr);
    assert_eq!(database.number("select count(*) from loaded.s"), 3);
}
