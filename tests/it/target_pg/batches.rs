//! When rows are committed, and when a STATE is written.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::delivery::{record, state};
use crate::support::loader::{Loader, schema, states};
use crate::support::postgres::Database;

/// A run whose lines are written one by one.
struct Running {
    child: Child,
    input: ChildStdin,
    states: BufReader<ChildStdout>,
}

impl Running {
    fn start(loader: &Loader) -> Self {
        let mut child = loader.command(&[]).stdin(Stdio::piped()).spawn().expect("the target runs");
        let input = child.stdin.take().expect("a pipe");
        let states = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, input, states }
    }

    fn write(&mut self, message: &Value) {
        writeln!(self.input, "{message}").expect("a target that reads");
    }

    fn next_state(&mut self) -> Value {
        let mut line = String::new();
        self.states.read_line(&mut line).expect("a readable pipe");
        serde_json::from_str(&line).expect("a state")
    }

    fn signal(&self, name: &str) {
        let sent =
            std::process::Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }
}

fn rows(id: u32) -> Value {
    record("s", json!({"id": id}))
}

fn of_ids() -> Value {
    schema("s", json!({"id": {"type": "integer"}}), &["id"])
}

#[test]
fn a_slow_source_is_written_within_five_seconds_and_its_state_is_true() {
    let database = Database::create();
    let loader = Loader::of(&database);
    let mut running = Running::start(&loader);
    running.write(&of_ids());
    for id in 1..=2 {
        let begun = Instant::now();
        running.write(&rows(id));
        running.write(&state(json!({"id": id})));
        assert_eq!(running.next_state(), json!({"id": id}));
        assert!(begun.elapsed() < Duration::from_millis(5_500), "{:?}", begun.elapsed());
        assert_eq!(database.number("select count(*) from loaded.s"), i64::from(id));
    }
    let Running { mut child, input, .. } = running;
    drop(input);
    assert!(child.wait().expect("a child").success());
}

#[test]
fn a_state_is_written_after_each_batch_and_covers_no_more_than_is_committed() {
    let database = Database::create();
    let mut loader = Loader::of(&database);
    loader.set("batch_size_rows", json!(3));
    let mut messages = vec![of_ids(), state(json!(0))];
    for id in 1..=10 {
        messages.extend([rows(id), state(json!(id))]);
    }
    let finished = loader.load(&messages).succeeded();
    // A batch ends with its third row, before the state behind it.
    assert_eq!(states(&finished), [2, 5, 8, 10].map(|id| json!(id)));
    assert_eq!(database.number("select count(*) from loaded.s"), 10);
}

#[test]
fn a_state_without_rows_goes_through_and_null_too() {
    let database = Database::create();
    let loader = Loader::of(&database);
    for value in [json!({"a": 1}), json!({}), Value::Null] {
        let finished = loader.load(&[state(value.clone())]).succeeded();
        assert_eq!(states(&finished), [value]);
    }
}

#[test]
fn asked_to_stop_it_loads_what_it_has_read_and_writes_the_state() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let database = Database::create();
        let mut loader = Loader::of(&database);
        loader.set("batch_wait_limit_seconds", json!(600));
        let mut running = Running::start(&loader);
        // Once its table is there, the run is reading.
        running.write(&of_ids());
        while database.columns("loaded", "s").is_empty() {
            std::thread::yield_now();
        }
        for id in 1..=50 {
            running.write(&rows(id));
        }
        running.write(&state(json!({"id": 50})));
        // A second table tells that everything before it was read.
        running.write(&schema("read", json!({"id": {}}), &[]));
        while database.columns("loaded", "read").is_empty() {
            std::thread::yield_now();
        }
        running.signal(signal);
        assert_eq!(running.next_state(), json!({"id": 50}));
        assert_eq!(running.child.wait().expect("a child").code(), Some(code), "{}", loader.log());
        assert_eq!(database.number("select count(*) from loaded.s"), 50);
        assert!(loader.log().lines().last().expect("a line").contains(&format!("SIG{signal}")), "{}", loader.log());
    }
}

#[test]
fn a_closed_stdout_ends_the_run_as_a_failure() {
    let database = Database::create();
    let loader = Loader::of(&database);
    let Running { mut child, mut input, states } = Running::start(&loader);
    drop(states);
    for message in [of_ids(), rows(1), state(json!(1))] {
        writeln!(input, "{message}").expect("a target that reads");
    }
    drop(input);
    assert_eq!(child.wait().expect("a child").code(), Some(7));
    assert_eq!(database.number("select count(*) from loaded.s"), 1);
}

#[test]
fn memory_stays_flat_for_any_length_of_input() {
    let database = Database::create();
    let loader = Loader::of(&database);
    let mut running = Running::start(&loader);
    running.write(&schema("s", json!({"id": {"type": "integer"}, "v": {"type": "string"}}), &["id"]));
    let text = "x".repeat(10 << 10);
    for id in 0..12_000 {
        running.write(&record("s", json!({"id": id % 5_000, "v": text})));
    }
    running.write(&state(json!(1)));
    assert_eq!(running.next_state(), json!(1));
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.child.id())).expect("a running target");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(peak * 1024 < 64_000_000, "{peak} KiB");
    let Running { mut child, input, .. } = running;
    drop(input);
    assert!(child.wait().expect("a child").success());
}
