//! Real sources: this package's own tap, and Meltano's taps for CSV files and for Postgres tables from PyPI.

use std::fs;
use std::process::{Command, Stdio};

use hubspot_sandbox::Options;
use serde_json::{Value, json};

use crate::support::cell::Fidelity;
use crate::support::clients::{program, tool};
use crate::support::loader::{Loader, SCHEMA, definitions, states, table};
use crate::support::pipeline::{self, Victim};
use crate::support::portal::Portal;
use crate::support::postgres::Database;
use crate::support::tap::{Finished, Tap};
use crate::support::targets::{self, target_postgres};

/// `tap | target-pg`, to the end of both.
fn pipe(mut tap: Command, loader: &Loader) -> Finished {
    let log = fs::File::create(loader.path("tap.log")).expect("a writable folder");
    let mut tap = tap.stdout(Stdio::piped()).stderr(log).spawn().expect("the tap runs");
    let mut command = loader.command(&[]);
    command.stdin(Stdio::from(tap.stdout.take().expect("a pipe")));
    let finished = loader.finish(command);
    let said = fs::read_to_string(loader.path("tap.log")).expect("a log");
    assert!(tap.wait().expect("a child").success(), "{said}");
    finished
}

fn hostile_portal() -> Portal {
    Portal::start(Options { hostile: true, merged: 2, archived_share: 0.05, ..Options::with_tickets(200) })
}

#[test]
fn the_taps_tables_hold_a_hostile_portal_field_by_field_with_the_sample_config() {
    let portal = hostile_portal();
    let (tap, database) = (Tap::of(&portal), Database::create());
    let loader = Loader::of(&database);
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/sample_configs/target-postgres.json");
    let sample: Value = serde_json::from_str(&fs::read_to_string(sample).expect("the sample")).expect("JSON");
    let url = sample["sqlalchemy_url"].as_str().expect("a URL");
    let (_, query) = url.split_once('?').expect("options");
    let scheme = url.split("://").next().expect("a scheme");
    let location = database.url().split_once("://").expect("a URL").1;
    let mut ours = sample.clone();
    ours["sqlalchemy_url"] = format!("{scheme}://{location}?{query}").into();
    fs::write(loader.path("sample.json"), ours.to_string()).expect("a writable folder");
    let catalog = tap.discover();
    let arguments = ["--config", "sample.json"];
    let loaded = pipeline::run(&tap, &["--catalog", "catalog.json"], loader.bare_command(&arguments)).succeeded();
    assert!(!loaded.states.is_empty(), "{}", loaded.logs);
    let schema = sample["default_target_schema"].as_str().expect("a schema");
    for table in portal.truth().tables(&catalog) {
        table.assert_held(&table.in_postgres(&database, schema), Fidelity::Exact);
    }
}

/// The small streams, which come first, have about 250 lines; a batch is written every 100 rows.
#[test]
fn killed_again_and_again_the_loader_leaves_the_portals_truth() {
    let portal = Portal::start(Options { merged: 2, archived_share: 0.05, ..Options::with_tickets(300) });
    let (mut tap, database) = (Tap::of(&portal), Database::create());
    tap.set("page_size", 10.into()).set("checkpoint_every_pages", 2.into());
    let mut loader = Loader::of(&database);
    loader.set("batch_size_rows", json!(100));
    let catalog = tap.discover();
    let mut state: Option<Value> = None;
    for lines in [1, 300, 7, 450, 380, 290, 520] {
        if let Some(state) = &state {
            tap.write("state.json", state);
        }
        let arguments: &[&str] = match state {
            Some(_) => &["--catalog", "catalog.json", "--state", "state.json"],
            None => &["--catalog", "catalog.json"],
        };
        let loaded = pipeline::run_until(&tap, arguments, loader.command(&[]), Victim::Target, lines);
        assert_eq!(loaded.target_code, None, "{}", loaded.logs);
        state = loaded.states.last().cloned().or(state);
    }
    tap.write("state.json", state.as_ref().expect("a state"));
    let arguments = ["--catalog", "catalog.json", "--state", "state.json"];
    pipeline::run(&tap, &arguments, loader.command(&[])).succeeded();
    for table in portal.truth().tables(&catalog) {
        table.assert_held(&table.in_postgres(&database, SCHEMA), Fidelity::Exact);
    }
}

#[test]
fn the_taps_tables_are_those_that_meltanolabs_target_postgres_makes_value_by_value() {
    let portal = hostile_portal();
    let (tap, database) = (Tap::of(&portal), Database::create());
    let mut loader = Loader::of(&database);
    loader.set("sanitize_null_text_characters", json!(true));
    tap.discover();
    let messages = tap.sync(None).succeeded().stdout;
    loader.load_text(&messages).succeeded();
    let mut theirs = target_postgres(&tap, &database);
    fs::write(tap.path("messages.jsonl"), &messages).expect("a writable folder");
    theirs.stdin(fs::File::open(tap.path("messages.jsonl")).expect("the messages"));
    assert!(theirs.output().expect("the target runs").status.success());
    assert_eq!(definitions(&database, SCHEMA), definitions(&database, targets::SCHEMA));
    let names =
        database.rows(&format!("select table_name from information_schema.tables where table_schema = '{SCHEMA}'"));
    assert!(names.len() > 5, "{names:?}");
    for name in names.concat().into_iter().flatten() {
        let objects = database.rows(&format!(
            "select column_name from information_schema.columns where table_schema = '{SCHEMA}' and table_name = '{name}' \
             and data_type = 'jsonb'"
        ));
        // Where the one has JSON's null the other has SQL's.
        for column in objects.concat().into_iter().flatten() {
            let theirs = targets::SCHEMA;
            database.rows(&format!(r#"update {theirs}."{name}" set "{column}" = null where "{column}" = 'null'"#));
        }
        assert_eq!(table(&database, SCHEMA, &name), table(&database, targets::SCHEMA, &name), "{name}");
    }
}

#[test]
fn csv_files_load() {
    let database = Database::create();
    let loader = Loader::of(&database);
    fs::create_dir(loader.path("files")).expect("a folder");
    let text = "email,name,note\nann@x.example,\"Abel, Ann\",\"two\nlines\"\nbob@x.example,Böse,\n";
    fs::write(loader.path("files").join("people.csv"), text).expect("a writable folder");
    let config = json!({"path": loader.path("files"), "read_mode": "one_stream_per_file", "filesystem": "local"});
    fs::write(loader.path("tap.json"), config.to_string()).expect("a writable folder");
    let mut tap = program("tap-csv-folder", "tap-csv-folder");
    tap.arg("--config").arg(loader.path("tap.json")).current_dir(loader.path(""));
    let finished = pipe(tap, &loader).succeeded();
    assert!(states(&finished).last().expect("a state")["bookmarks"].is_object());
    let rows = "select email, name, note from loaded.people order by 1";
    let text = |value: &str| Some(value.to_owned());
    let rows = database.rows(rows);
    assert_eq!(rows[0], [text("ann@x.example"), text("Abel, Ann"), text("two\nlines")]);
    assert_eq!(rows[1][1], text("Böse"));
}

#[test]
fn a_postgres_table_loads_with_its_types() {
    let database = Database::create();
    database.rows(
        "create table public.things (id int primary key, t text, n numeric, at timestamptz, d date, b boolean, j jsonb, big bigint);
         insert into public.things select n, 'text ' || n, n + 0.12345678901234567890, '2026-01-02 03:04:05.678+02', \
             '2026-01-02', n % 2 = 0, '{\"a\": [1, null, \"x\"]}', 9007199254740993 from generate_series(1, 250) n",
    );
    let loader = Loader::of(&database);
    let url = database.url().replace("postgresql:", "postgresql+psycopg2:");
    fs::write(loader.path("tap.json"), json!({"sqlalchemy_url": url, "filter_schemas": ["public"]}).to_string())
        .expect("a writable folder");
    let tap = |arguments: &[&str]| {
        let mut tap = program("tap-postgres", "tap-postgres");
        tap.args(["--config", "tap.json"]).args(arguments).current_dir(loader.path(""));
        tap
    };
    let discovered = tap(&["--discover"]).output().expect("the tap runs").stdout;
    let mut catalog: Value = serde_json::from_slice(&discovered).expect("a catalog");
    for entry in catalog["streams"].as_array_mut().expect("streams") {
        let metadata = entry["metadata"].as_array_mut().expect("metadata");
        let of_stream = metadata.iter_mut().find(|one| one["breadcrumb"] == json!([])).expect("the stream's own");
        of_stream["metadata"]["selected"] = true.into();
    }
    fs::write(loader.path("catalog.json"), catalog.to_string()).expect("a writable folder");
    pipe(tap(&["--catalog", "catalog.json"]), &loader).succeeded();
    let same = "select count(*) from public.things a join loaded.things b using (id) \
                where a.t = b.t and a.at at time zone 'UTC' = b.at and a.d::text = b.d::date::text and a.b = b.b and a.big = b.big \
                  and a.j = b.j::jsonb";
    assert_eq!(database.number(same), 250, "{:?}", database.columns("loaded", "things"));
}

/// As `singer_sdk` 0.54 writes them: a schema with its draft, compact keys in its order, a state with progress markers.
#[test]
fn the_messages_of_an_sdk_tap_load() {
    let database = Database::create();
    let loader = Loader::of(&database);
    let text = r#"{"type":"SCHEMA","stream":"tickets","schema":{"properties":{"id":{"type":["string"]},"subject":{"type":["string","null"]},"updatedAt":{"format":"date-time","type":["string","null"]},"nested":{"properties":{"a":{"type":["string","null"]}},"type":["object","null"]}},"type":"object","required":["id"],"$schema":"https://json-schema.org/draft/2020-12/schema"},"key_properties":["id"],"bookmark_properties":["updatedAt"]}
{"type":"RECORD","stream":"tickets","record":{"id":"1","subject":"a","updatedAt":"2024-01-01T00:00:00Z","nested":{"a":null}},"time_extracted":"2026-11-21T16:51:05.035934+00:00"}
{"type":"RECORD","stream":"tickets","record":{"id":"2","subject":null,"updatedAt":"2024-01-02T00:00:00.5+00:00"},"time_extracted":"2026-11-21T16:51:05.035934+00:00"}
{"type":"STATE","value":{"bookmarks":{"tickets":{"replication_key_signpost":"2026-11-21T16:51:05+00:00","starting_replication_value":null,"progress_markers":{"Note":"Progress is not resumable if interrupted.","replication_key":"updatedAt","replication_key_value":"2024-01-02T00:00:00Z"}}}}}
{"type":"STATE","value":{"bookmarks":{"tickets":{"replication_key":"updatedAt","replication_key_value":"2024-01-02T00:00:00Z"}}}}
"#;
    let finished = loader.load_text(text).succeeded();
    assert_eq!(states(&finished).len(), 1);
    assert_eq!(states(&finished)[0]["bookmarks"]["tickets"]["replication_key"], "updatedAt");
    assert_eq!(table(&database, SCHEMA, "tickets").len(), 2);
}

#[test]
fn a_tap_of_the_sdk_loads_and_goes_on_and_its_tables_are_those_of_the_sdks_own_target() {
    let database = Database::create();
    let loader = Loader::of(&database);
    let tap = |state: Option<&Value>| {
        let mut tap = program("target-postgres", "python");
        tap.arg(tool("sdk_tap.py")).args(["--config", "tap.json"]).current_dir(loader.path(""));
        if let Some(state) = state {
            fs::write(loader.path("state.json"), state.to_string()).expect("a writable folder");
            tap.args(["--state", "state.json"]);
        }
        tap
    };
    fs::write(loader.path("tap.json"), "{}").expect("a writable folder");
    let first = pipe(tap(None), &loader).succeeded();
    let state = states(&first).pop().expect("a state");
    assert_eq!(state["bookmarks"]["orders"]["replication_key_value"], "2026-01-01T00:16:39+00:00");
    let second = pipe(tap(Some(&state)), &loader).succeeded();
    assert_eq!(second.said("orders: 1 records loaded"), 1, "{}", second.stderr);
    assert_eq!(database.number("select count(*) from loaded.orders"), 1_000);
    assert_eq!(database.number("select count(*) from loaded.lines"), 30);
    let messages = tap(None).output().expect("the tap runs").stdout;
    let mut theirs = Loader::of(&database);
    theirs.set("default_target_schema", json!("theirs"));
    theirs.load_text_by_meltanolabs(&String::from_utf8(messages).expect("UTF-8")).succeeded();
    assert_eq!(definitions(&database, SCHEMA), definitions(&database, "theirs"));
    let without_times = |schema: &str, name: &str| -> Vec<Vec<String>> {
        let mut rows = table(&database, schema, name);
        rows.iter_mut().for_each(|row| row.retain(|value| !value.starts_with("_sdc_extracted_at=")));
        rows.sort();
        rows
    };
    for name in ["orders", "lines"] {
        assert_eq!(without_times(SCHEMA, name), without_times("theirs", name), "{name}");
    }
}
