//! Values stay what they are, or are refused.

use serde_json::{Value, json};

use crate::support::delivery::{lines, record, state};
use crate::support::loader::{Loader, schema, states, table};
use crate::support::postgres::Database;

fn plain(database: &Database) -> Loader {
    let mut loader = Loader::of(database);
    loader.set("add_record_metadata", json!(false)).set("activate_version", json!(false));
    loader
}

#[test]
fn instants_are_utc_whatever_the_time_zone_of_server_and_user() {
    let database = Database::create();
    let name = database.parts()[4].to_owned();
    database.rows(&format!(
        "alter database {name} set timezone = 'America/New_York'; alter database {name} set datestyle = 'German, DMY'"
    ));
    let mut loader = Loader::of(&database);
    loader.set("sqlalchemy_url", json!(database.url()));
    let at = json!({"type": "string", "format": "date-time"});
    let messages = [
        schema("s", json!({"a": at, "b": at, "d": {"type": "string", "format": "date"}}), &[]),
        json!({"type": "RECORD", "stream": "s", "time_extracted": "2024-05-06T07:08:09+00:00",
            "record": {"a": "2024-01-02T03:04:05Z", "b": "2024-07-02T03:04:05+02:00", "d": "2024-01-02"}}),
    ];
    loader.load(&messages).succeeded();
    let wanted = "select count(*) from loaded.s where a = timestamp '2024-01-02 03:04:05' and b = timestamp '2024-07-02 01:04:05' \
                  and d = date '2024-01-02' and _sdc_extracted_at = timestamp '2024-05-06 07:08:09' \
                  and _sdc_received_at between (now() at time zone 'UTC') - interval '10 minutes' and (now() at time zone 'UTC')";
    assert_eq!(database.number(wanted), 1);
}

#[test]
fn infinity_and_dates_out_of_range_are_errors_with_their_line_and_column() {
    let database = Database::create();
    let loader = plain(&database);
    for (format, value) in [
        ("date-time", "infinity"),
        ("date-time", "-infinity"),
        ("date-time", "0000-01-01T00:00:00Z"),
        ("date-time", "10000-01-01T00:00:00Z"),
        ("date-time", "2024-13-01T00:00:00Z"),
        ("date-time", "now"),
        ("date-time", ""),
        ("date-time", "1700000000000"),
        ("date", "infinity"),
        ("date", "2023-02-29"),
        ("date", "2024-01-02T00:00:00Z"),
        ("time", "25:00:00"),
    ] {
        let of = json!({"type": "string", "format": format});
        let finished = loader.load(&[schema("s", json!({"v": of}), &[]), record("s", json!({"v": value}))]);
        assert_eq!(finished.code, Some(2), "{value}: {}", finished.stderr);
        for says in ["line 2", "\"s\"", "\"v\"", value] {
            assert!(finished.last_line().contains(says), "{value}: {}", finished.stderr);
        }
        database.rows("drop schema loaded cascade");
    }
}

/// What JSON can say and Postgres cannot store, in a text, a list, an object and as a name within one.
const UNSTORABLE: [&str; 6] = [
    r#"{"t": "a\u0000b"}"#,
    r#"{"t": "a\ud800b"}"#,
    r#"{"l": ["x", "a\u0000b"]}"#,
    r#"{"o": {"deep": [{"er": "a\u0000b"}]}}"#,
    r#"{"o": {"deep\u0000": 1}}"#,
    r#"{"o": {"half": "\udc00"}}"#,
];

fn unstorable(record: &str) -> String {
    let properties =
        json!({"t": {"type": "string"}, "l": {"type": "array", "items": {"type": "string"}}, "o": {"type": "object"}});
    format!("{}{{\"type\":\"RECORD\",\"stream\":\"s\",\"record\":{record}}}\n", lines(&[schema("s", properties, &[])]))
}

#[test]
fn what_postgres_cannot_store_is_refused_by_name_unless_the_settings_say_otherwise() {
    for record in UNSTORABLE {
        let database = Database::create();
        let mut loader = plain(&database);
        let finished = loader.load_text(unstorable(record));
        assert_eq!(finished.code, Some(2), "{record}: {}", finished.stderr);
        let column = &record[2..3];
        for says in ["line 2", "\"s\"", &format!("\"{column}\""), "sanitize_null_text_characters"] {
            assert!(finished.last_line().contains(says), "{record}: {}", finished.stderr);
        }
        loader.set("sanitize_null_text_characters", json!(true));
        let finished = loader.load_text(unstorable(record)).succeeded();
        assert_eq!(finished.said("1 characters"), 1, "nothing is replaced in silence: {}", finished.stderr);
        let rows = table(&database, "loaded", "s").concat().concat();
        assert!(rows.contains('\u{FFFD}'), "{record}: {rows}");
    }
}

#[test]
fn texts_of_ten_megabytes_load() {
    let database = Database::create();
    let loader = plain(&database);
    let (text, properties) = ("x\n".repeat(5 << 20), json!({"t": {"type": "string"}, "o": {"type": "object"}}));
    let finished = loader.load(&[
        schema("s", properties, &[]),
        record("s", json!({"t": text, "o": {"t": text}})),
        record("s", json!({"t": "small"})),
        state(json!(1)),
    ]);
    assert_eq!(states(&finished.succeeded()), [json!(1)]);
    assert_eq!(database.number("select max(length(t)) from loaded.s"), 10 << 20);
    assert_eq!(database.number("select max(length(o ->> 't')) from loaded.s"), 10 << 20);
}

#[test]
fn every_digit_of_a_number_stays() {
    let database = Database::create();
    let loader = plain(&database);
    let numbers = [
        "123456789012345678901234567890.123456789012345678901234567890",
        "0.1",
        "1.10",
        "-0.00",
        "1e-30",
        "9007199254740993",
    ];
    let text = lines(&[schema(
        "s",
        json!({"n": {"type": "number"}, "o": {"type": "object"}, "a": {"type": "array", "items": {"type": "number"}}}),
        &[],
    )]);
    let records = numbers.map(|number| {
        format!("{{\"type\":\"RECORD\",\"stream\":\"s\",\"record\":{{\"n\":{number},\"o\":{{\"n\":{number}}},\"a\":[{number}]}}}}\n")
    });
    loader.load_text(text + &records.concat()).succeeded();
    for number in numbers {
        let same = format!(
            "select count(*) from loaded.s where n::text = ({number}::numeric)::text and a[1]::text = n::text and (o -> 'n')::text = n::text"
        );
        assert_eq!(database.number(&same), 1, "{number}");
    }
}

#[test]
fn lists_of_lists_and_lists_of_objects_load() {
    let database = Database::create();
    let loader = plain(&database);
    let list = |of: Value| json!({"type": "array", "items": of});
    let properties = json!({"a": list(list(json!({"type": "string"}))), "b": list(json!({"type": "object"}))});
    let value: Value = serde_json::from_str(r#"{"a": [["x", "\"y\\"], []], "b": [{"k": "\n\"{}"}]}"#).expect("JSON");
    loader.load(&[schema("s", properties, &[]), record("s", value)]).succeeded();
    let same =
        r#"select count(*) from loaded.s where a[1] = '["x", "\"y\\"]' and a[2] = '[]' and b[1] = '{"k": "\n\"{}"}'"#;
    assert_eq!(database.number(same), 1);
}
