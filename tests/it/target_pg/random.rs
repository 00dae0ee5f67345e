//! Whatever the schema and the records are, the table holds what the last record of each key says.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

use crate::support::cell::{Cell, Fidelity, Kind};
use crate::support::delivery::{lines, record, state};
use crate::support::loader::{Loader, schema, states};
use crate::support::postgres::Database;

/// A type of a property, how its values compare, and a strategy for them.
#[derive(Debug, Clone, Copy)]
enum Type {
    Text,
    Number,
    Integer,
    Boolean,
    Instant,
    Date,
    Object,
    Texts,
}

const TYPES: [Type; 8] =
    [Type::Text, Type::Number, Type::Integer, Type::Boolean, Type::Instant, Type::Date, Type::Object, Type::Texts];

impl Type {
    fn schema(self) -> Value {
        match self {
            Self::Text => json!({"type": ["string", "null"]}),
            Self::Number => json!({"type": ["number", "null"]}),
            Self::Integer => json!({"type": ["integer", "null"]}),
            Self::Boolean => json!({"type": ["boolean", "null"]}),
            Self::Instant => json!({"type": ["string", "null"], "format": "date-time"}),
            Self::Date => json!({"type": ["string", "null"], "format": "date"}),
            Self::Object => json!({"type": ["object", "null"]}),
            Self::Texts => json!({"type": ["array", "null"], "items": {"type": ["string", "null"]}}),
        }
    }

    fn kind(self) -> Kind {
        match self {
            Self::Text => Kind::Text,
            Self::Number | Self::Integer => Kind::Number,
            Self::Boolean => Kind::Boolean,
            Self::Instant => Kind::Instant,
            Self::Date => Kind::Date,
            Self::Object | Self::Texts => Kind::Json,
        }
    }

    /// The JSON texts of its values.
    fn tokens(self) -> BoxedStrategy<String> {
        // Everything but NUL, which Postgres cannot store.
        let text = || "[^\\x00]{0,12}|[\\\\\"\t\n\r{},N.']{0,8}".prop_map(|text| json!(text));
        let value = match self {
            Self::Text => text().prop_map(|text| text.to_string()).boxed(),
            Self::Number => "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,20})?(e-?[1-9])?".boxed(),
            Self::Integer => any::<i64>().prop_map(|number| number.to_string()).boxed(),
            Self::Boolean => any::<bool>().prop_map(|boolean| boolean.to_string()).boxed(),
            Self::Instant => {
                "\"[12][0-9]{3}-0[1-9]-[12][0-8]T[01][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?Z\"".boxed()
            }
            Self::Date => "\"[12][0-9]{3}-1[0-2]-[12][0-8]\"".boxed(),
            Self::Object => prop::collection::btree_map("[^\\x00]{0,5}", text(), 0..4)
                .prop_map(|object| serde_json::to_string(&object).expect("JSON"))
                .boxed(),
            Self::Texts => prop::collection::vec(prop_oneof![text(), Just(Value::Null)], 0..4)
                .prop_map(|list| Value::from(list).to_string())
                .boxed(),
        };
        prop_oneof![1 => Just("null".to_owned()), 6 => value].boxed()
    }
}

/// The types of some columns, and rows of a key and the JSON text of each column.
fn loads() -> impl Strategy<Value = (Vec<Type>, Vec<(u8, Vec<String>)>)> {
    prop::collection::vec(prop::sample::select(&TYPES[..]), 1..8).prop_flat_map(|types| {
        let row = (0_u8..20, types.iter().map(|one| one.tokens()).collect::<Vec<_>>());
        (Just(types), prop::collection::vec(row, 0..40))
    })
}

fn name(at: usize) -> String {
    format!("Column {at} \"%\\")
}

fn messages(types: &[Type], rows: &[(u8, Vec<String>)]) -> String {
    let mut properties: Map<String, Value> =
        types.iter().enumerate().map(|(at, one)| (name(at), one.schema())).collect();
    properties.insert("id".to_owned(), json!({"type": "integer"}));
    let mut text = lines(&[schema("s", properties.into(), &["id"])]);
    for (id, tokens) in rows {
        let fields: String =
            tokens.iter().enumerate().map(|(at, token)| format!(",{}:{token}", json!(name(at)))).collect();
        let line = lines(&[record("s", json!("RECORD"))]);
        text.push_str(&line.replace("\"RECORD\"}", &format!("{{\"id\":{id}{fields}}}}}")));
    }
    text + &lines(&[state(json!("done"))])
}

/// The cells of each key, by the text of its last record, and by the table.
fn assert_table_holds(database: &Database, types: &[Type], rows: &[(u8, Vec<String>)]) {
    let expected: BTreeMap<String, &Vec<String>> = rows.iter().map(|(id, tokens)| (id.to_string(), tokens)).collect();
    let columns = types.iter().enumerate().map(|(at, one)| {
        let column = format!("\"{}\"", name(at).replace('"', "\"\""));
        if matches!(one, Type::Texts) { format!("to_jsonb({column})") } else { column }
    });
    let list: Vec<_> = ["id".to_owned()].into_iter().chain(columns).collect();
    let held = database.rows(&format!("select {} from loaded.s", list.join(", ")));
    assert_eq!(held.len(), expected.len());
    for mut row in held {
        let values = row.split_off(1);
        let tokens = expected[row[0].as_deref().expect("a key")];
        for ((one, token), value) in types.iter().zip(tokens).zip(values) {
            let wanted = Cell::from_json(one.kind(), token).expect("a value");
            let found = Cell::from_sql(one.kind(), value.as_deref()).expect("a value");
            assert!(found.matches(&wanted, Fidelity::Exact), "{one:?}: {found:?} instead of {wanted:?}");
        }
    }
}

#[test]
fn any_records_of_any_schema_are_in_the_table_as_they_were_sent() {
    let database = Database::create();
    let config = Config { cases: 60, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&loads(), |(types, rows)| {
            database.rows("drop schema if exists loaded cascade");
            let mut loader = Loader::of(&database);
            // Small batches, so that a key's rows come in one and in several.
            loader.set("batch_size_rows", json!(1 + rows.len() / 3));
            let finished = loader.load_text(messages(&types, &rows)).succeeded();
            assert_eq!(states(&finished).last(), Some(&json!("done")));
            assert_table_holds(&database, &types, &rows);
            Ok(())
        })
        .expect("every load is exact");
}
