//! What a run writes and in which order: schemas, records, states, and what it tells on stderr.

use std::fs;

use hubspot_sandbox::{CursorStyle, Options};
use serde_json::{Value, json};

use super::{OF_TICKETS, ids, instant, last_state, pass_a_minute, small, small_steps};
use crate::support::catalogs::{entry, only};
use crate::support::messages::{Message, of, records, states};
use crate::support::portal::Portal;

#[test]
fn schema_comes_before_records_and_records_before_the_state_that_covers_them() {
    let portal = Portal::start(small());
    let messages = small_steps(&portal).sync(None).succeeded().messages();
    let mut defined: Vec<&str> = Vec::new();
    let mut tickets = 0;
    for (at, message) in messages.iter().enumerate() {
        let stream = message.stream.as_deref().unwrap_or_default();
        match message.kind.as_str() {
            "SCHEMA" => defined.push(stream),
            "RECORD" => {
                assert!(defined.contains(&stream));
                tickets += usize::from(stream == "tickets");
            }
            "ACTIVATE_VERSION" => {
                let later = messages[at..].iter().any(|one| one.kind == "RECORD" && one.stream == message.stream);
                assert!(!later, "{stream} goes on after its version was activated");
            }
            "STATE" => {
                // What a state takes for read stands before it: resuming from it would not bring it again.
                let progress = &message.value.as_ref().expect("a value")["bookmarks"]["tickets"]["progress"];
                let parts: Vec<&Value> = progress["parts"].as_array().into_iter().flatten().collect();
                if parts.iter().any(|part| part["after"].is_string() && part["list"] == "live") {
                    let is_left = |id: &u64| {
                        parts.iter().any(|part| {
                            let after = part["after"].as_str().map_or(0, |after| after.parse().expect("an id"));
                            (after..part["until"].as_u64().unwrap_or(u64::MAX)).contains(id)
                        })
                    };
                    let live = portal.truth().live_tickets();
                    let ids = live.iter().map(|id| id.parse::<u64>().expect("an id"));
                    let read: Vec<String> = ids.filter(|id| !is_left(id)).map(|id| id.to_string()).collect();
                    let written = ids_before(&messages[..at]);
                    assert!(!read.is_empty() && read.iter().all(|id| written.contains(id)));
                }
            }
            other => panic!("{other}"),
        }
    }
    assert!(tickets >= 60, "{tickets}");
    assert_eq!(messages.last().expect("messages").kind, "STATE");
}

fn ids_before(messages: &[Message]) -> Vec<String> {
    ids(&records(messages, "tickets")).into_iter().map(str::to_owned).collect()
}

#[test]
fn a_version_is_activated_once_at_the_end_of_a_full_pass() {
    let portal = Portal::start(small());
    let tap = small_steps(&portal);
    let first = tap.sync(None).succeeded();
    let messages = first.messages();
    for stream in
        ["owners", "ticket_pipelines", "ticket_pipeline_stages", "ticket_properties"].iter().chain(&OF_TICKETS)
    {
        let activated = of(&messages, "ACTIVATE_VERSION", stream);
        assert_eq!(activated.len(), 1, "{stream}");
        let version = activated[0].version.expect("a version");
        assert!(of(&messages, "RECORD", stream).iter().all(|record| record.version == Some(version)), "{stream}");
    }

    let state = last_state(&first);
    let id = portal.truth().live_tickets()[0].parse().expect("an id");
    pass_a_minute(&portal);
    portal.update("tickets", id, &[("subject", "changed")]);
    pass_a_minute(&portal);
    let second = tap.sync(Some(&state)).succeeded().messages();
    for stream in OF_TICKETS {
        assert!(of(&second, "ACTIVATE_VERSION", stream).is_empty(), "{stream}: an incremental run has not read all");
        let version = of(&messages, "RECORD", stream)[0].version;
        assert!(of(&second, "RECORD", stream).iter().all(|record| record.version == version), "{stream}");
    }
    assert!(!of(&second, "RECORD", "tickets").is_empty());
    for stream in ["owners", "ticket_properties"] {
        assert!(
            of(&second, "ACTIVATE_VERSION", stream)[0].version > of(&messages, "ACTIVATE_VERSION", stream)[0].version
        );
    }
}

#[test]
fn the_bookmark_is_the_portals_time_before_the_first_page_from_the_first_state_on() {
    let portal = Portal::start(Options { start_time: Some(instant("2026-03-01T12:34:56Z")), ..small() });
    let mut tap = small_steps(&portal);
    tap.set("checkpoint_every_pages", 1.into());
    let messages = tap.sync(None).succeeded().messages();
    let mut seen = 0;
    for state in states(&messages) {
        for stream in OF_TICKETS {
            let bookmark = &state["bookmarks"][stream];
            if !bookmark.is_null() {
                seen += 1;
                assert_eq!(bookmark["replication_key"], "updated_at");
                assert_eq!(bookmark["replication_key_value"], "2026-03-01T12:34:56.000Z");
            }
        }
        assert_eq!(state["portal_id"], "245001234");
        assert!(!has_float(&state), "{state}");
    }
    assert!(seen > 10, "{seen}");
}

fn has_float(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(all) => all.iter().any(has_float),
        Value::Object(all) => all.values().any(has_float),
        _ => false,
    }
}

#[test]
fn a_state_is_written_every_so_many_pages() {
    // In one sequence, whose pages can be counted.
    let cursor = CursorStyle::Opaque;
    let portal = Portal::start(Options { merged: 0, archived_share: 0.0, cursor, ..Options::with_tickets(60) });
    // A page of the empty archive and six of tickets.
    for (every, expected) in [(1, 7), (2, 3), (3, 2), (100, 0)] {
        let mut tap = small_steps(&portal);
        tap.set("checkpoint_every_pages", every.into());
        let catalog = only(&tap.discover(), &["tickets"]);
        let found = states(&tap.sync_catalog(&catalog, None).succeeded().messages());
        let under_way = found.iter().filter(|state| state["bookmarks"]["tickets"]["progress"].is_object());
        assert_eq!(under_way.count(), expected, "{every}");
        let finished = found.last().expect("a state")["bookmarks"]["tickets"].as_object().expect("a bookmark");
        assert_eq!(finished.get("progress"), Some(&Value::Null), "a finished progress is null, not left out");
    }
}

#[test]
fn states_are_whole() {
    let portal = Portal::start(small());
    let tap = small_steps(&portal);
    let mut state = last_state(&tap.sync(None).succeeded());
    state["theirs"] = json!({"pi": 3.25, "list": [1, null], "big": 12_345_678_901_234_567_890_u64});
    state["bookmarks"]["contacts"] = json!({"replication_key_value": "2026-01-01T00:00:00Z"});
    state["bookmarks"]["tickets"]["note"] = json!({"of": "somebody"});
    state["bookmarks"]["owners"]["note"] = json!([1]);
    // Of a run that selects one stream, of one that selects all, and of one that reads everything again.
    let catalog = tap.discover();
    let mut full = catalog.clone();
    entry(&mut full, "tickets")["replication_method"] = "FULL_TABLE".into();
    for catalog in [only(&catalog, &["ticket_pipelines"]), catalog.clone(), full] {
        let found = states(&tap.sync_catalog(&catalog, Some(&state)).succeeded().messages());
        assert!(!found.is_empty());
        for one in found {
            assert_eq!(one["theirs"], state["theirs"]);
            assert_eq!(one["bookmarks"]["contacts"], state["bookmarks"]["contacts"]);
            assert_eq!(one["bookmarks"]["tickets"]["note"], state["bookmarks"]["tickets"]["note"]);
            assert_eq!(one["bookmarks"]["owners"]["note"], state["bookmarks"]["owners"]["note"]);
            let before = state["bookmarks"].as_object().expect("bookmarks").keys();
            assert!(before.clone().all(|stream| !one["bookmarks"][stream].is_null()));
        }
    }
}

#[test]
fn state_files_are_read_as_shells_and_orchestrators_leave_them() {
    let portal = Portal::start(small());
    let tap = small_steps(&portal);
    let first = tap.sync(None).succeeded();
    let all = states(&first.messages());
    let last = all.last().expect("a state").clone();
    let lines: String = all.iter().map(|state| format!("{state}\n")).collect();
    for (what, text, known) in [
        ("several lines", lines.clone(), true),
        ("a half last line", format!("{lines}{{\"bookmarks\": {{\"tick"), true),
        ("a half last line after a blank one", format!("{lines}\n\n{{\"book"), true),
        ("no newline at the end", lines.trim_end().to_owned(), true),
        ("Windows lines", lines.replace('\n', "\r\n"), true),
        ("a whole STATE message", json!({"type": "STATE", "value": last}).to_string(), true),
        (
            "STATE messages",
            format!("{}\n{}\n", json!({"type": "STATE", "value": all[0]}), json!({"type": "STATE", "value": last})),
            true,
        ),
        ("Meltano's payload", json!({"singer_state": last}).to_string(), true),
        ("pretty", serde_json::to_string_pretty(&last).expect("JSON"), true),
        ("an empty file", String::new(), false),
        ("blanks", "\n \n".to_owned(), false),
        ("an empty object", "{}\n".to_owned(), false),
        ("null", "null".to_owned(), false),
    ] {
        fs::write(tap.path("state.json"), text).expect("a writable folder");
        let finished = tap.run(&["--state", "state.json"]).succeeded();
        let kind = records(&finished.messages(), "tickets")
            .into_iter()
            .map(|record| record["_extraction_type"].clone())
            .find(|kind| kind == "full");
        assert_eq!(kind.is_none(), known, "{what}");
        assert_eq!(finished.said("this is a first run"), usize::from(!known), "{what}: {}", finished.stderr);
    }
    let finished = tap.run(&["--state", "no-such-state.json"]).succeeded();
    assert_eq!(finished.said("this is a first run"), 1);
}

#[test]
fn metrics_and_a_summary_stand_on_stderr() {
    let portal = Portal::start(small());
    let finished = small_steps(&portal).sync(None).succeeded();
    let metric = finished
        .stderr
        .lines()
        .filter_map(|line| line.split_once("METRIC: "))
        .map(|(_, json)| serde_json::from_str::<Value>(json).expect("JSON"));
    let metrics: Vec<Value> = metric.collect();
    let counted = metrics
        .iter()
        .find(|one| one["metric"] == "record_count" && one["tags"]["stream"] == "tickets")
        .expect("a count");
    assert_eq!(counted["value"], records(&finished.messages(), "tickets").len());
    assert!(metrics.iter().all(|one| one["type"].is_string() && one["value"].is_number() && one["tags"].is_object()));
    assert!(metrics.iter().any(|one| one["metric"] == "sync_duration" && one["tags"]["status"] == "succeeded"));
    assert!(finished.last_line().contains(" calls ("), "{}", finished.last_line());
}
