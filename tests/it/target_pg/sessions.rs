//! What other sessions do, and what a role or a database has set, changes no row.

use serde_json::{Value, json};

use crate::support::delivery::{record, state};
use crate::support::loader::{Loader, schema, states};
use crate::support::postgres::Database;

/// Records that take part in each other's way, in an order of their own for each run.
fn messages(run: u64) -> Vec<Value> {
    let properties = json!({"id": {"type": "integer"}, "v": {"type": "string"}});
    let mut messages = vec![schema("s", properties, &["id"])];
    // Steps without a common factor with the number of keys reach each of them once.
    let step = [1, 1_999, 677, 1_327][run as usize];
    messages.extend((0..2_000).map(|at| record("s", json!({"id": at * step % 2_000, "v": format!("run {run}")}))));
    messages.push(state(json!("all")));
    messages
}

#[test]
fn runs_that_write_the_same_keys_in_other_orders_all_end_well() {
    for isolation in ["read committed", "repeatable read", "serializable"] {
        let database = Database::create();
        let name = database.parts()[4].to_owned();
        database.rows(&format!("alter database {name} set default_transaction_isolation = '{isolation}'"));
        // Postgres looks for a deadlock after this time.
        database.rows(&format!("alter database {name} set deadlock_timeout = '10ms'"));
        std::thread::scope(|scope| {
            for run in 0..4 {
                let database = &database;
                scope.spawn(move || {
                    let mut loader = Loader::of(database);
                    loader.set("batch_size_rows", json!(500));
                    let finished = loader.load(&messages(run)).succeeded();
                    assert_eq!(states(&finished).last(), Some(&json!("all")), "{isolation}");
                });
            }
        });
        assert_eq!(
            database.number("select count(*) * 10000 + count(distinct id) from loaded.s"),
            20_002_000,
            "{isolation}"
        );
    }
}

#[test]
fn what_a_database_has_set_changes_no_value_and_ends_no_run() {
    let database = Database::create();
    // Each statement takes longer than the database allows others.
    database.rows(
        "create schema loaded; \
         create table loaded.s (id bigint primary key, t text, a text[], at timestamp, d date, b bytea); \
         create function public.wait() returns trigger language plpgsql as 'begin perform pg_sleep(0.3); return null; end'; \
         create trigger wait after insert on loaded.s for each statement execute function public.wait()",
    );
    let name = database.parts()[4].to_owned();
    for setting in [
        "array_nulls = off",
        "bytea_output = 'escape'",
        "client_min_messages = 'debug1'",
        "datestyle = 'SQL, DMY'",
        "default_transaction_isolation = 'serializable'",
        "escape_string_warning = on",
        "extra_float_digits = -15",
        "idle_in_transaction_session_timeout = 1",
        "intervalstyle = 'sql_standard'",
        "search_path = pg_catalog",
        "standard_conforming_strings = off",
        "statement_timeout = 150",
        "synchronous_commit = off",
        "timezone = 'Asia/Kathmandu'",
        "xmloption = document",
    ] {
        database.rows(&format!("alter database {name} set {setting}"));
    }
    let later = "select count(*) from pg_settings where name = 'transaction_timeout'";
    if database.number(later) == 1 {
        database.rows(&format!("alter database {name} set transaction_timeout = 150"));
    }
    let mut loader = Loader::of(&database);
    loader.set("sqlalchemy_url", json!(database.url())).set("interpret_content_encoding", json!(true));
    let text = |more: Value| {
        let mut property = json!({"type": ["string", "null"]});
        property.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        property
    };
    let properties = json!({
        "id": {"type": "integer"}, "t": text(json!({})), "a": {"type": "array", "items": text(json!({}))},
        "at": text(json!({"format": "date-time"})), "d": text(json!({"format": "date"})),
        "b": text(json!({"contentEncoding": "base16"})),
    });
    let row = json!({"id": 1, "t": "it's \\ \"", "a": ["x", null, "NULL"], "at": "2024-03-04T05:06:07.5+01:00", "d": "2024-03-04",
        "b": "00ff"});
    loader.load(&[schema("s", properties, &["id"]), record("s", row)]).succeeded();
    let same = "select count(*) from loaded.s where t = E'it\\'s \\\\ \"' and a[1] = 'x' and a[2] is null and a[3] = 'NULL' \
                and at = make_timestamp(2024, 3, 4, 4, 6, 7.5) and d = make_date(2024, 3, 4) and b = decode('00ff', 'hex')";
    assert_eq!(database.number(same), 1, "{:?}", database.rows("select * from loaded.s"));
}
