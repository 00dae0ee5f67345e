//! Loaders that are killed, and servers that are restarted: nothing is lost, and nothing is there twice.

use std::io::{BufRead, BufReader};

use serde_json::{Value, json};

use crate::support::delivery::{lines, record, state};
use crate::support::loader::{Loader, schema};
use crate::support::own_server::OwnServer;
use crate::support::postgres::Database;

/// Records of the source.
const RECORDS: u64 = 60_000;
/// Records between two states.
const STATE_EVERY: u64 = 250;

/// A source that goes on from a state: a stream with a key, of which every record comes twice, and one without.
fn messages(from: u64) -> Vec<Value> {
    let properties = json!({"id": {"type": "integer"}, "v": {"type": "string"}});
    let mut messages = vec![schema("keyed", properties.clone(), &["id"]), schema("plain", properties, &[])];
    for id in from..RECORDS {
        let row =
            |stream: &str, id: u64| record(stream, json!({"id": id, "v": format!("value {id} {}", "x".repeat(100))}));
        messages.extend([row("keyed", id / 2), row("plain", id)]);
        if (id + 1).is_multiple_of(STATE_EVERY) {
            messages.push(state(json!({"next": id + 1})));
        }
    }
    messages
}

/// What happens when a run has written a number of states.
#[derive(Clone, Copy)]
enum Event<'s> {
    Kill,
    Crash(&'s OwnServer),
}

/// Runs from a state on, with an event after some states; gives the last state, and whether it ran to its end.
fn run(loader: &Loader, from: u64, event: Option<(usize, Event<'_>)>) -> (u64, bool) {
    std::fs::write(loader.path("input.jsonl"), lines(&messages(from))).expect("a writable folder");
    let input = std::fs::File::open(loader.path("input.jsonl")).expect("the input");
    let mut child = loader.command(&[]).stdin(input).spawn().expect("the target runs");
    let mut last = from;
    for (at, line) in BufReader::new(child.stdout.take().expect("a pipe")).lines().enumerate() {
        let state: Value = serde_json::from_str(&line.expect("a line")).expect("a state");
        last = state["next"].as_u64().expect("a number");
        match event {
            Some((after, Event::Kill)) if after == at => child.kill().expect("a running target"),
            Some((after, Event::Crash(server))) if after == at => server.crash(),
            _ => {}
        }
    }
    (last, child.wait().expect("a child").success())
}

fn assert_keyed_is_whole(database: &Database) {
    let wrong = format!(
        "select count(*) from (select n / 2 as id, max(n) as last from generate_series(0, {RECORDS} - 1) n group by 1) w \
         full join loaded.keyed t on t.id = w.id where t.id is null or w.id is null or t.v not like 'value ' || w.id || ' %'"
    );
    assert_eq!(database.number(&wrong), 0);
    assert_eq!(database.number("select count(*) from loaded.keyed") as u64, RECORDS / 2);
}

#[test]
fn killed_again_and_again_a_load_loses_nothing() {
    let database = Database::create();
    let mut loader = Loader::of(&database);
    loader.set("batch_size_rows", json!(2_000));
    let mut from = 0;
    for after in [0, 3, 1, 5, 2, 0] {
        let (last, ended) = run(&loader, from, Some((after, Event::Kill)));
        assert!(!ended && last > from, "{from} {last}: {}", loader.log());
        from = last;
    }
    assert!(run(&loader, from, None).1, "{}", loader.log());
    assert_keyed_is_whole(&database);
    // Rows without a key that were committed after the last state come again, as in every target.
    assert_eq!(database.number("select count(distinct id) from loaded.plain") as u64, RECORDS);
}

#[test]
fn a_server_that_crashes_and_comes_back_costs_no_row_and_doubles_none() {
    let server = OwnServer::start();
    let mut loader = Loader::of(&server.database);
    loader.set("batch_size_rows", json!(2_000));
    for after in [1, 4] {
        server.database.rows("drop schema if exists loaded cascade");
        let (last, ended) = run(&loader, 0, Some((after, Event::Crash(&server))));
        assert!(ended, "{}", loader.log());
        assert_eq!(last, RECORDS);
        assert!(loader.log().contains("trying again"), "{}", loader.log());
        assert_keyed_is_whole(&server.database);
        let plain = server.database.number("select count(*) from loaded.plain");
        assert_eq!(plain as u64, RECORDS, "rows without a key are there once");
    }
}
