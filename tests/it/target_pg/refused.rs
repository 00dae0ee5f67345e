//! Rows that Postgres refuses.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::clients::run;
use crate::support::delivery::{record, state};
use crate::support::loader::{Loader, schema, states};
use crate::support::own_server::OwnServer;
use crate::support::postgres::Database;

/// 500 good rows with one bad one among them.
fn messages(bad: Value) -> Vec<Value> {
    let properties =
        json!({"id": {"type": "integer"}, "n": {"type": ["number", "null"]}, "v": {"type": ["string", "null"]}});
    let mut messages = vec![schema("s", properties, &["id"])];
    messages.extend((0..500).map(|id| record("s", json!({"id": id, "n": id, "v": format!("v{id}")}))));
    messages.insert(321, bad);
    messages.push(state(json!("all")));
    messages
}

#[test]
fn a_row_that_postgres_refuses_is_named_by_stream_key_line_and_column() {
    for (table, bad, says) in [
        ("", json!({"id": 7000, "n": "@1e200000"}), &["\"n\""][..]),
        ("v varchar(5), n numeric, check (v <> 'bad')", json!({"id": 7000, "v": "bad"}), &["\"v\"", "check"]),
        ("v text, n numeric not null default 0", json!({"id": 7000, "v": "x"}), &["\"n\"", "null"]),
        ("v text unique, n numeric", json!({"id": 7000, "v": "v17", "n": 1}), &["\"v\"", "unique"]),
    ] {
        let database = Database::create();
        database.rows("create schema loaded");
        if !table.is_empty() {
            database.rows(&format!("create table loaded.s (id bigint primary key, {table})"));
        }
        let text: String = messages(record("s", bad)).iter().map(|message| format!("{message}\n")).collect();
        let finished = Loader::of(&database).load_text(text.replace("\"@1e200000\"", "1e200000"));
        assert_eq!(finished.code, Some(9), "{table}: {}", finished.stderr);
        for says in ["\"s\"", "id = 7000", "line 322"].iter().chain(says) {
            assert!(finished.last_line().contains(says), "{table}: {says}: {}", finished.last_line());
        }
        assert!(states(&finished).is_empty());
        assert_eq!(database.number("select count(*) from loaded.s"), 0, "nothing half");
    }
}

#[test]
fn a_row_that_is_too_long_for_a_page_is_named() {
    let database = Database::create();
    let names: Vec<String> = (0..600).map(|at| format!("c{at}")).collect();
    let properties: serde_json::Map<_, _> =
        names.iter().map(|name| (name.clone(), json!({"type": "string"}))).collect();
    let full = |length: usize| -> Value {
        names.iter().map(|name| (name.clone(), json!("x".repeat(length)))).collect::<serde_json::Map<_, _>>().into()
    };
    let messages =
        [schema("s", properties.into(), &[]), record("s", full(3)), record("s", full(40)), record("s", full(3))];
    let finished = Loader::of(&database).load(&messages);
    assert_eq!(finished.code, Some(9), "{}", finished.stderr);
    for says in ["\"s\"", "line 3", "too big"] {
        assert!(finished.last_line().contains(says), "{}", finished.stderr);
    }
}

#[test]
fn a_refused_row_of_a_stream_without_a_key_is_named_by_its_line() {
    let database = Database::create();
    database.rows("create schema loaded; create table loaded.s (v text check (v <> 'bad'))");
    let row = |v: &str| record("s", json!({"v": v}));
    let messages = [schema("s", json!({"v": {"type": "string"}}), &[]), row("a"), row("bad"), row("b")];
    let finished = Loader::of(&database).load(&messages);
    assert_eq!(finished.code, Some(9), "{}", finished.stderr);
    assert!(finished.last_line().contains("line 3") && finished.last_line().contains("\"v\""), "{}", finished.stderr);
}

#[test]
fn a_missing_right_ends_the_run_with_nothing_half() {
    let database = Database::create();
    let name = database.parts()[4].to_owned();
    database.rows("create schema loaded; create table loaded.s (id bigint primary key, n numeric, v text)");
    database.rows(&format!(
        "create role reader_{name} login password 'hush-hush'; grant usage on schema loaded to reader_{name}; \
         grant select on loaded.s to reader_{name}"
    ));
    let [user, password, ..] = database.parts();
    let url = database.url().replace(&format!("{user}:{password}"), &format!("reader_{name}:hush-hush"));
    let mut loader = Loader::of(&database);
    loader
        .set("sqlalchemy_url", json!(url))
        .set("add_record_metadata", json!(false))
        .set("activate_version", json!(false));
    let finished = loader.load(&messages(record("s", json!({"id": 600}))));
    assert_eq!(finished.code, Some(3), "{}", finished.stderr);
    assert!(
        finished.last_line().contains("permission denied") && !finished.stderr.contains("hush"),
        "{}",
        finished.stderr
    );
    // And a table that would have to be changed.
    let messages = [schema("s", json!({"id": {"type": "integer"}, "more": {}}), &["id"])];
    let finished = loader.load(&messages);
    assert_eq!(finished.code, Some(3), "{}", finished.stderr);
    assert!(finished.last_line().contains("owner"), "{}", finished.stderr);
    // And --test names the one that is missing.
    let finished = loader.finish(loader.command(&["--test"]));
    assert_eq!(finished.code, Some(3), "{}", finished.stderr);
    assert!(finished.last_line().contains("grant create on schema \"loaded\""), "{}", finished.stderr);
}

/// A table whose trigger fails with a SQLSTATE, the first so many times.
fn failing_table(database: &Database, sqlstate: &str, times: u32) {
    database.rows(&format!(
        "create schema loaded; create table loaded.s (id bigint primary key, n numeric, v text); create sequence calls; \
         create function fail() returns trigger language plpgsql as $$ begin \
           if nextval('calls') <= {times} then raise exception 'as arranged' using errcode = '{sqlstate}'; end if; \
           return null; end $$; \
         create trigger fail after insert on loaded.s for each statement execute function fail()"
    ));
}

#[test]
fn a_full_disk_ends_the_run_with_nothing_half() {
    let database = Database::create();
    failing_table(&database, "53100", 1_000);
    let finished = Loader::of(&database).load(&messages(record("s", json!({"id": 600}))));
    assert_eq!(finished.code, Some(7), "{}", finished.stderr);
    assert!(finished.last_line().contains("no room"), "{}", finished.stderr);
    assert!(states(&finished).is_empty());
    assert_eq!(database.number("select count(*) from loaded.s"), 0);
}

#[test]
fn what_no_row_is_to_blame_for_names_the_stream() {
    // A trigger of somebody's that names a table which is gone.
    let database = Database::create();
    failing_table(&database, "42P01", 1_000);
    let finished = Loader::of(&database).load(&messages(record("s", json!({"id": 600}))));
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    assert!(
        finished.last_line().contains("stream \"s\"") && finished.last_line().contains("42P01"),
        "{}",
        finished.stderr
    );
    assert!(states(&finished).is_empty());
    assert_eq!(database.number("select count(*) from loaded.s"), 0);
}

/// A file system of 12 MB on which a database keeps its tables, until it goes.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn below(server: &OwnServer) -> Self {
        let folder = std::path::PathBuf::from(server.cluster()).join("small");
        std::fs::create_dir(&folder).expect("a writable folder");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=12m", "tmpfs"]).arg(&folder));
        let disk = Self(folder);
        // Its owner is the user that the server runs as.
        run(Command::new("chown").arg(format!("--reference={}/data", server.cluster())).arg(&disk.0));
        run(Command::new("chmod").arg("700").arg(&disk.0));
        server.database.rows(&format!("create tablespace small location '{}'", disk.0.display()));
        server.database.rows("alter database postgres set default_tablespace = small");
        disk
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
#[ignore = "make test-clients, as root, mounts a file system"]
fn a_disk_that_is_full_ends_the_run_with_nothing_half_and_more_room_lets_it_go_on() {
    let server = OwnServer::start();
    let disk = SmallDisk::below(&server);
    let mut loader = Loader::of(&server.database);
    loader.set("batch_size_rows", json!(1_000));
    let properties = json!({"id": {"type": "integer"}, "v": {"type": "string"}});
    let mut messages = vec![schema("s", properties, &["id"])];
    for id in 0..20_000 {
        messages.extend([record("s", json!({"id": id, "v": format!("{id:0>1000}")})), state(json!(id))]);
    }
    let finished = loader.load(&messages);
    assert_eq!(finished.code, Some(7), "{}", finished.stderr);
    assert!(
        finished.last_line().contains("no room") && finished.last_line().contains("No space left"),
        "{}",
        finished.stderr
    );
    let last = states(&finished).last().and_then(Value::as_i64).expect("some batches fit");
    // Whole batches alone: the state covers what is there, but for the rows of the batch's last state.
    let held = server.database.number("select count(*) from loaded.s");
    assert!(held % 1_000 == 0 && (last + 1..=last + 2).contains(&held), "{held} {last}");
    run(Command::new("mount").args(["-o", "remount,size=200m"]).arg(&disk.0));
    loader.load(&messages).succeeded();
    assert_eq!(server.database.number("select count(*) from loaded.s"), 20_000);
}

#[test]
fn a_serialisation_failure_or_a_deadlock_is_tried_again() {
    for sqlstate in ["40001", "40P01"] {
        let database = Database::create();
        failing_table(&database, sqlstate, 3);
        let finished = Loader::of(&database).load(&messages(record("s", json!({"id": 600})))).succeeded();
        assert_eq!(finished.said("trying again"), 3, "{}", finished.stderr);
        assert_eq!(states(&finished), [json!("all")]);
        assert_eq!(database.number("select count(*) from loaded.s"), 501);
    }
}

#[test]
fn runs_that_begin_at_once_make_their_tables_once() {
    let database = Database::create();
    std::thread::scope(|scope| {
        for run in 0..4 {
            let database = &database;
            scope.spawn(move || {
                Loader::of(database).load(&messages(record("s", json!({"id": 1000 + run})))).succeeded()
            });
        }
    });
    assert_eq!(database.number("select count(*) from loaded.s"), 504);
}
