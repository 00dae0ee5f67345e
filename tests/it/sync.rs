//! What a run writes, in which order, and from where the next one goes on.

use std::fs;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hubspot_sandbox::{CursorStyle, Fault, FaultRule, Options, PropertyDef};
use serde_json::{Value, json};

use crate::support::catalogs::{entry, only, select, tickets_with};
use crate::support::cell::Fidelity;
use crate::support::messages::{Message, Tables, fold, of, records, states};
use crate::support::portal::Portal;
use crate::support::tap::{Finished, Tap};

const OF_TICKETS: [&str; 2] = ["tickets", "ticket_associations"];

/// A portal whose clock stands still until it is moved.
fn small() -> Options {
    Options {
        start_time: Some(instant("2026-03-01T12:00:00Z")),
        merged: 2,
        archived_share: 0.1,
        ..Options::with_tickets(80)
    }
}

/// Lets what was changed lie in the past: no window ends in the portal's present.
fn pass_a_minute(portal: &Portal) {
    portal.advance(Duration::from_secs(60));
}

/// A config under which a load of 60 tickets has many checkpoints.
fn small_steps(portal: &Portal) -> Tap {
    let mut tap = Tap::unhurried(portal);
    tap.set("page_size", 10.into()).set("checkpoint_every_pages", 2.into()).set("lookback_minutes", 0.into());
    tap
}

fn ids(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["id"].as_str().expect("an id")).collect()
}

fn last_state(finished: &Finished) -> Value {
    states(&finished.messages()).pop().expect("a state")
}

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

/// Asserts that tables hold the portal field by field, and that nothing but what is gone is marked as deleted.
#[track_caller]
fn assert_holds(tables: &Tables, portal: &Portal, catalog: &Value) {
    for table in portal.truth().tables(catalog) {
        table.assert_held(&table.in_messages(tables), Fidelity::Exact);
    }
    for (key, held) in &tables.table("tickets").rows {
        let gone = held.row["archived"].get() == "true";
        assert_eq!(held.deleted, gone, "ticket {key:?}");
    }
}

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
fn what_changes_behind_a_load_that_is_under_way_comes_with_the_next_run() {
    let portal = Portal::start(small());
    let tap = small_steps(&portal);
    let catalog = tap.discover();
    let early: u64 = portal.truth().live_tickets()[0].parse().expect("an id");
    portal.clear_requests();
    portal.faults([FaultRule::nth("archived=false&after", 4, 1, Fault::SlowMs(1_500))]);
    let stdout = fs::File::create(tap.path("out.jsonl")).expect("a writable folder");
    let mut child = tap.command(&[]).stdout(stdout).spawn().expect("the tap runs");
    let is_late = || portal.requests().iter().filter(|one| one.query.contains("archived=false&after")).count() >= 5;
    while !is_late() {
        std::thread::yield_now();
    }
    portal.advance(Duration::from_secs(3600));
    portal.update("tickets", early, &[("subject", "changed behind the load")]);
    portal.archive("tickets", portal.truth().live_tickets()[1].parse().expect("an id"));
    let code = child.wait().expect("a child").code();
    let stdout = fs::read(tap.path("out.jsonl")).expect("what it wrote");
    let first = Finished { code, stdout, stderr: tap.log() }.succeeded();
    assert_eq!(last_state(&first)["bookmarks"]["tickets"]["replication_key_value"], "2026-03-01T12:00:00.000Z");
    let mut tables = fold(&first.messages());
    pass_a_minute(&portal);
    tables.load(&tap.sync(Some(&last_state(&first))).succeeded().messages());
    let mut expected = portal.truth().tables(&catalog);
    // Associations of a ticket that went are found by reading everything again.
    expected.retain(|table| table.stream != "ticket_associations");
    for table in expected {
        table.assert_held(&table.in_messages(&tables), Fidelity::Exact);
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

/// Resumes from every state of a load.
fn assert_resumes_from_every_state(options: Options) {
    let portal = Portal::start(options);
    let mut tap = small_steps(&portal);
    tap.set("checkpoint_every_pages", 1.into());
    let catalog = tap.discover();
    let messages = tap.sync(None).succeeded().messages();
    let checkpoints: Vec<usize> = (0..messages.len()).filter(|at| messages[*at].kind == "STATE").collect();
    assert!(checkpoints.len() > 10, "{}", checkpoints.len());
    for at in checkpoints {
        let mut tables = fold(&messages[..=at]);
        let state = tables.state.clone().expect("a state");
        let resumed = tap.sync(Some(&state)).succeeded().messages();
        let interrupted = state["bookmarks"]["tickets"]["progress"].is_object();
        if interrupted {
            let version = of(&messages, "ACTIVATE_VERSION", "tickets")[0].version;
            assert_eq!(of(&resumed, "ACTIVATE_VERSION", "tickets")[0].version, version, "it is the same pass");
        }
        tables.load(&resumed);
        assert_holds(&tables, &portal, &catalog);
    }
}

#[test]
fn a_load_resumes_from_every_state() {
    assert_resumes_from_every_state(small());
}

#[test]
fn a_load_with_opaque_cursors_resumes_from_every_state() {
    assert_resumes_from_every_state(Options { cursor: CursorStyle::Opaque, ..small() });
}

#[test]
fn a_resumed_load_goes_on_instead_of_beginning_again() {
    let portal = Portal::start(Options { merged: 0, archived_share: 0.0, ..Options::with_tickets(100) });
    let tap = small_steps(&portal);
    let catalog = only(&tap.discover(), &["tickets"]);
    let all = states(&tap.sync_catalog(&catalog, None).succeeded().messages());
    let cursor = |state: &Value| {
        let cursor = state["bookmarks"]["tickets"]["progress"]["parts"][0]["after"].as_str()?.parse::<u64>().ok();
        Some((cursor?, state.clone()))
    };
    let (cursor, late) = all.iter().filter_map(cursor).next_back().expect("a state with a cursor");
    let resumed = tap.sync_catalog(&catalog, Some(&late)).succeeded().messages();
    let found = records(&resumed, "tickets");
    assert!(found.len() <= 30 && ids(&found).iter().all(|id| id.parse::<u64>().expect("an id") >= cursor));
}

#[test]
fn changes_between_an_interrupted_load_and_its_resumption_are_not_lost() {
    let portal = Portal::start(small());
    let mut tap = small_steps(&portal);
    tap.set("checkpoint_every_pages", 1.into());
    let catalog = tap.discover();
    let messages = tap.sync(None).succeeded().messages();
    let middle = (0..messages.len())
        .filter(|at| {
            messages[*at].value.as_ref().is_some_and(|state| state["bookmarks"]["tickets"]["progress"].is_object())
        })
        .nth(4)
        .expect("a state in the middle");
    let live = portal.truth().live_tickets();
    let id = |at: usize| live[at].parse::<u64>().expect("an id");
    portal.update("tickets", id(0), &[("subject", "early ticket, changed late")]);
    portal.update("tickets", id(live.len() - 1), &[("subject", "late ticket")]);
    portal.archive("tickets", id(1));
    portal.archive("tickets", id(live.len() - 2));
    portal.merge("tickets", id(3), id(4));
    portal.create("tickets", &[("subject", "new")]);
    let mut tables = fold(&messages[..=middle]);
    for _ in 0..2 {
        pass_a_minute(&portal);
        let state = tables.state.clone().expect("a state");
        tables.load(&tap.sync(Some(&state)).succeeded().messages());
    }
    let tickets = portal.truth().tables(&catalog).into_iter().find(|table| table.stream == "tickets").expect("tickets");
    tickets.assert_held(&tickets.in_messages(&tables), Fidelity::Exact);
}

#[test]
fn an_incremental_run_sends_what_changed_and_nothing_else() {
    let portal = Portal::start(small());
    let tap = small_steps(&portal);
    let catalog = tap.discover();
    portal.advance(Duration::from_secs(86_400));
    let first = tap.sync(None).succeeded();
    let mut tables = fold(&first.messages());
    portal.advance(Duration::from_secs(86_400));
    let live = portal.truth().live_tickets();
    let id = |at: usize| live[at].parse::<u64>().expect("an id");
    portal.update("tickets", id(0), &[("hs_ticket_priority", "HIGH")]);
    portal.archive("tickets", id(1));
    portal.merge("tickets", id(2), id(3));
    let created = portal.create("tickets", &[("subject", "new")]).to_string();
    pass_a_minute(&portal);
    let second = tap.sync(Some(&last_state(&first))).succeeded();
    let messages = second.messages();
    let found = records(&messages, "tickets");
    let mut touched = ids(&found);
    touched.sort_unstable();
    touched.dedup();
    // A merge brings the losers of all earlier merges of its winner again, which does no harm.
    let mut expected = vec![&live[0], &live[1], &live[2], &live[3], &created];
    expected.sort_unstable();
    assert_eq!(touched, expected);
    assert!(found.iter().all(|record| record["_extraction_type"] == "incremental"));
    tables.load(&messages);
    let tickets = portal.truth().tables(&catalog).into_iter().find(|table| table.stream == "tickets").expect("tickets");
    tickets.assert_held(&tickets.in_messages(&tables), Fidelity::Exact);
    assert_eq!(last_state(&second)["bookmarks"]["tickets"]["replication_key_value"], "2026-03-03T12:01:00.000Z");

    pass_a_minute(&portal);
    let third = tap.sync(Some(&last_state(&second))).succeeded().messages();
    assert!(records(&third, "tickets").is_empty(), "nothing changed since");
}

#[test]
fn lookback_reads_again_what_may_have_been_indexed_late() {
    let portal = Portal::start(small());
    let mut tap = small_steps(&portal);
    portal.advance(Duration::from_secs(86_400));
    let id: u64 = portal.truth().live_tickets()[0].parse().expect("an id");
    portal.update("tickets", id, &[("subject", "changed half an hour before the first run")]);
    portal.advance(Duration::from_secs(1_800));
    let state = last_state(&tap.sync(None).succeeded());
    for (minutes, found) in [(29, 0), (30, 1), (31, 1)] {
        tap.set("lookback_minutes", minutes.into());
        let messages = tap.sync(Some(&state)).succeeded().messages();
        assert_eq!(records(&messages, "tickets").len(), found, "{minutes}");
    }
}

#[test]
fn start_date_is_inclusive_and_end_date_exclusive() {
    let portal = Portal::start(Options { merged: 0, archived_share: 0.0, ..Options::with_tickets(60) });
    let mut tap = small_steps(&portal);
    let truth = portal.truth();
    let mut instants: Vec<&str> =
        truth.list("tickets").iter().map(|ticket| ticket["updated_at"].as_str().expect("an instant")).collect();
    instants.sort_unstable_by_key(|text| instant(text));
    let (since, until) = (instants[20], instants[40]);
    tap.set("start_date", since.into()).set("end_date", until.into());
    let finished = tap.sync(None).succeeded();
    let messages = finished.messages();
    let inside = |ticket: &&Value| {
        let at = instant(ticket["updated_at"].as_str().expect("an instant"));
        at >= instant(since) && at < instant(until)
    };
    let mut expected: Vec<_> =
        truth.list("tickets").iter().filter(inside).map(|ticket| ticket["id"].as_str().expect("an id")).collect();
    expected.sort_unstable();
    let found = records(&messages, "tickets");
    let mut found = ids(&found);
    found.sort_unstable();
    assert_eq!(found, expected);
    assert!(expected.len() >= 15, "{}", expected.len());
    let associated = records(&messages, "ticket_associations");
    assert!(
        !associated.is_empty()
            && associated.iter().all(|one| expected.contains(&one["ticket_id"].as_str().expect("an id")))
    );
    for stream in OF_TICKETS {
        assert!(of(&messages, "ACTIVATE_VERSION", stream).is_empty(), "{stream}: what lies outside is not gone");
    }
    for state in states(&messages) {
        let bookmark = &state["bookmarks"]["tickets"]["replication_key_value"];
        assert!(bookmark.as_str().is_none_or(|at| instant(at) <= instant(until)), "{bookmark}");
    }

    // Going on behind the bounded run.
    tap.set("end_date", Value::Null);
    tap.set("sweep_hours", Value::Null);
    let rest = tap.sync(Some(&last_state(&finished))).succeeded().messages();
    assert_eq!(records(&rest, "tickets").len(), instants.iter().filter(|at| instant(at) >= instant(until)).count());
}

#[test]
fn without_archived_there_are_no_tombstones() {
    let portal = Portal::start(small());
    let mut tap = small_steps(&portal);
    tap.set("include_archived", false.into());
    portal.clear_requests();
    let messages = tap.sync(None).succeeded().messages();
    let found = records(&messages, "tickets");
    let mut written = ids(&found);
    written.sort_unstable();
    assert_eq!(written, portal.truth().live_tickets());
    assert!(
        found
            .iter()
            .all(|record| record["archived"] == false && record.get("_sdc_deleted_at").is_none_or(Value::is_null))
    );
    assert!(portal.requests().iter().all(|one| one.endpoint != "list tickets" || !one.query.contains("archived=true")));
}

#[test]
fn tombstones_have_their_key_what_is_known_of_the_end_and_nothing_else() {
    let portal = Portal::start(small());
    let tap = small_steps(&portal);
    let messages = tap.sync(None).succeeded().messages();
    let truth = portal.truth();
    let found = records(&messages, "tickets");
    let mut seen = [0, 0];
    for record in &found {
        let id = record["id"].as_str().expect("an id");
        let ticket = truth.ticket(id);
        if record["archived"] == false {
            assert!(record.get("_sdc_deleted_at").is_none_or(Value::is_null));
            continue;
        }
        let merged = !ticket["merged_into"].is_null();
        seen[usize::from(merged)] += 1;
        assert_eq!(record["merged_into"], ticket["merged_into"]);
        let deleted_at = instant(record["_sdc_deleted_at"].as_str().expect("an instant"));
        if merged {
            assert!(record["archived_at"].is_null());
        } else {
            let archived_at = instant(ticket["archived_at"].as_str().expect("an instant"));
            assert_eq!(instant(record["archived_at"].as_str().expect("an instant")), archived_at);
            assert_eq!(deleted_at, archived_at);
        }
        assert_eq!(record["_tenant_id"], "245001234");
        let known = [
            "id",
            "archived",
            "archived_at",
            "merged_into",
            "_sdc_deleted_at",
            "_tenant_id",
            "_scan_id",
            "_extracted_at",
            "_extraction_type",
            "_page_number",
        ];
        for (column, value) in record.as_object().expect("a record") {
            assert!(known.contains(&column.as_str()) || value.is_null(), "{column}: {value}");
        }
    }
    assert_eq!(seen, [truth.archived_tickets().len(), 2]);
    let live = truth.live_tickets();
    for id in live {
        let last = found.iter().rev().find(|record| record["id"] == id).expect("every live ticket");
        assert_eq!(last["archived"], false, "a live ticket's last record is no tombstone");
    }
}

#[test]
fn the_columns_of_the_run_say_whose_and_which_and_how() {
    let portal = Portal::start(Options { merged: 0, archived_share: 0.0, ..Options::with_tickets(35) });
    let mut tap = small_steps(&portal);
    let first = tap.sync(None).succeeded();
    let messages = first.messages();
    let scan = records(&messages, "owners")[0]["_scan_id"].clone();
    assert!(scan.as_str().is_some_and(|scan| scan.contains("245001234")), "{scan}");
    for stream in
        ["owners", "ticket_pipelines", "ticket_pipeline_stages", "ticket_properties", "tickets", "ticket_associations"]
    {
        for record in records(&messages, stream) {
            assert_eq!((&record["_tenant_id"], &record["_scan_id"]), (&json!("245001234"), &scan), "{stream}");
            instant(record["_extracted_at"].as_str().expect("an instant"));
        }
    }
    let found = records(&messages, "tickets");
    let numbers: Vec<u64> = found.iter().map(|record| record["_page_number"].as_u64().expect("a number")).collect();
    assert!(numbers.is_sorted(), "in writing order");
    let mut pages = numbers.clone();
    pages.dedup();
    assert_eq!(pages.len(), 4);
    assert!(pages.iter().all(|page| numbers.iter().filter(|number| *number == page).count() <= 10));
    assert!(found.iter().all(|record| record["_extraction_type"] == "full"));
    tap.set("scan_id", "näme \"of\" the run".into());
    let messages = tap.sync(Some(&last_state(&first))).succeeded().messages();
    assert_eq!(records(&messages, "owners")[0]["_scan_id"], "näme \"of\" the run");
}

#[test]
fn a_column_keeps_the_type_that_the_state_remembers() {
    let portal = Portal::start(small());
    portal.define_property("tickets", PropertyDef::new("weight", "number", "number"));
    let ids: Vec<u64> = portal.truth().live_tickets().iter().map(|id| id.parse().expect("an id")).collect();
    portal.update_many("tickets", &ids, &[("weight", "12.50")]);
    pass_a_minute(&portal);
    let tap = small_steps(&portal);
    let type_of_weight = |finished: &Finished| {
        let schema = of(&finished.messages(), "SCHEMA", "tickets")[0].schema.clone().expect("a schema");
        schema["properties"]["weight"]["type"][0].clone()
    };
    let first = tap.sync(None).succeeded();
    assert_eq!(type_of_weight(&first), "number");
    portal.change_property_type("tickets", "weight", "string", "text");
    portal.update_many("tickets", &ids[..5], &[("weight", "heavy")]);
    portal.update_many("tickets", &ids[5..9], &[("subject", "changed")]);
    pass_a_minute(&portal);
    let second = tap.sync(Some(&last_state(&first))).succeeded();
    assert_eq!(type_of_weight(&second), "number", "columns do not move");
    let found = records(&second.messages(), "tickets");
    assert_eq!(found.len(), 9);
    let heavy: Vec<String> = ids[..5].iter().map(u64::to_string).collect();
    for record in &found {
        let expected = match heavy.iter().any(|id| record["id"] == **id) {
            true => (Value::Null, json!({"weight": "heavy"})),
            false => (json!(12.50), Value::Null),
        };
        assert_eq!((&record["weight"], &record["_unparsed"]), (&expected.0, &expected.1));
    }
    assert_eq!(second.said("property weight of tickets holds values"), 1, "{}", second.stderr);
    let third = tap.sync(Some(&last_state(&second))).succeeded();
    assert_eq!(type_of_weight(&third), "number", "the state goes on to know");
    let anew = tap.sync(None).succeeded();
    assert_eq!(type_of_weight(&anew), "string", "a run without a state adopts the new type");
    let unparsed = |record: &&Value| !record["_unparsed"].is_null();
    assert_eq!(records(&anew.messages(), "tickets").iter().filter(unparsed).count(), 0);
}

#[test]
fn a_text_column_stays_text_when_its_property_becomes_a_number() {
    let portal = Portal::start(small());
    portal.define_property("tickets", PropertyDef::new("note", "string", "text"));
    let tap = Tap::unhurried(&portal);
    let first = tap.sync(None).succeeded();
    portal.change_property_type("tickets", "note", "number", "number");
    pass_a_minute(&portal);
    for (state, kind) in [(Some(last_state(&first)), "string"), (None, "number")] {
        let run = tap.sync(state.as_ref()).succeeded();
        let schema = of(&run.messages(), "SCHEMA", "tickets")[0].schema.clone().expect("a schema");
        assert_eq!(schema["properties"]["note"]["type"], json!([kind, "null"]));
    }
}

#[test]
fn a_selection_that_grew_reads_everything_again() {
    let portal = Portal::start(small());
    portal.advance(Duration::from_secs(86_400));
    let tap = small_steps(&portal);
    let all = tap.discover();
    let less = tickets_with(&all, &["subject", "associated_contacts"]);
    let first = tap.sync_catalog(&less, None).succeeded();
    assert_eq!(first.said("grew"), 0);
    let state = last_state(&first);
    let same = tap.sync_catalog(&less, Some(&state)).succeeded();
    assert_eq!((same.said("grew"), records(&same.messages(), "tickets").len()), (0, 0));
    let shrunk = tap.sync_catalog(&tickets_with(&all, &["subject"]), Some(&state)).succeeded();
    assert_eq!((shrunk.said("grew"), records(&shrunk.messages(), "tickets").len()), (0, 0));
    for column in ["content", "associated_companies"] {
        let mut more = less.clone();
        select(&mut more, "tickets", column, true);
        let grown = tap.sync_catalog(&more, Some(&state)).succeeded();
        assert_eq!(grown.said("grew"), 1, "{column}: {}", grown.stderr);
        let messages = grown.messages();
        let live =
            records(&messages, "tickets").into_iter().filter(|record| record.get("_sdc_deleted_at").is_none()).count();
        assert_eq!(live, portal.truth().live_tickets().len(), "{column}");
        assert_eq!(of(&messages, "ACTIVATE_VERSION", "tickets").len(), 1);
        let again = tap.sync_catalog(&more, Some(&last_state(&grown))).succeeded();
        assert_eq!((again.said("grew"), records(&again.messages(), "tickets").len()), (0, 0), "{column}: once");
    }
}

#[test]
fn a_stream_that_is_added_gets_its_own_first_load() {
    let portal = Portal::start(small());
    let tap = small_steps(&portal);
    let all = tap.discover();
    let first = tap.sync_catalog(&only(&all, &["tickets"]), None).succeeded();
    let state = last_state(&first);
    let second = tap.sync_catalog(&only(&all, &["tickets", "ticket_associations"]), Some(&state)).succeeded();
    let mut tables = fold(&first.messages());
    tables.load(&second.messages());
    for table in portal.truth().tables(&all).into_iter().filter(|table| OF_TICKETS.contains(&table.stream)) {
        table.assert_held(&table.in_messages(&tables), Fidelity::Exact);
    }
}

#[test]
fn associated_ids_ascend_by_number_without_repeats() {
    let portal = Portal::start(Options { merged: 0, archived_share: 0.0, ..Options::with_tickets(20) });
    let contacts: Vec<u64> = (0..12).map(|_| portal.create("contacts", &[("email", "a@b.c")])).collect();
    let companies: Vec<u64> = (0..3).map(|_| portal.create("companies", &[("name", "C")])).collect();
    let ticket = portal.create("tickets", &[("subject", "x")]);
    let ticket_id = ticket.to_string();
    for contact in contacts.iter().rev() {
        portal.associate("tickets", ticket, "contacts", *contact, 16, None);
    }
    portal.associate("tickets", ticket, "contacts", contacts[3], 1_001, Some("Decision maker"));
    portal.associate("tickets", ticket, "companies", companies[2], 26, None);
    portal.associate("tickets", ticket, "companies", companies[1], 339, None);
    let alone = portal.create("tickets", &[("subject", "y")]);
    portal.associate("tickets", alone, "companies", companies[2], 339, None);
    portal.associate("tickets", alone, "companies", companies[1], 339, None);
    let bare = portal.create("tickets", &[("subject", "z")]);
    let tap = small_steps(&portal);
    let messages = tap.sync(None).succeeded().messages();
    let found = records(&messages, "tickets");
    let record = |id: u64| {
        let id = id.to_string();
        found.iter().find(|record| record["id"] == *id).expect("the ticket").clone()
    };
    let texts: Vec<String> = contacts.iter().map(u64::to_string).collect();
    assert_eq!(record(ticket)["associated_contacts"], json!(texts));
    assert_eq!(record(ticket)["associated_companies"], json!([companies[1].to_string(), companies[2].to_string()]));
    assert_eq!(record(ticket)["primary_contact"]["id"], texts[0], "the lowest id");
    assert_eq!(record(ticket)["primary_contact"], json!({"id": texts[0], "email": "a@b.c", "name": null}));
    assert_eq!(record(ticket)["primary_company"]["id"], companies[2].to_string(), "the one of type 26");
    assert_eq!(record(alone)["primary_company"]["id"], companies[1].to_string(), "none of type 26: the lowest id");
    let empty = record(bare);
    for (column, value) in [
        ("associated_contacts", json!([])),
        ("associated_companies", json!([])),
        ("primary_contact", Value::Null),
        ("primary_company", Value::Null),
    ] {
        assert_eq!(empty[column], value, "{column}");
    }
    let rows = records(&messages, "ticket_associations");
    let labels: Vec<_> = rows
        .iter()
        .filter(|row| row["ticket_id"] == *ticket_id && row["to_object_id"] == texts[3])
        .map(|row| row["label"].clone())
        .collect();
    assert!(labels.contains(&json!("Decision maker")) && labels.len() >= 2, "{labels:?}");
}

#[test]
fn associations_are_paged_and_their_batches_shrink_for_good() {
    for options in [
        Options { association_page_size: 1, ..small() },
        Options { association_page_size: 2, association_batch_max: 100, ..Options::with_tickets(1_200) },
    ] {
        let most = options.association_batch_max;
        let portal = Portal::start(options);
        let tap = Tap::unhurried(&portal);
        let catalog = tap.discover();
        portal.clear_requests();
        let messages = tap.sync(None).succeeded().messages();
        assert_holds(&fold(&messages), &portal, &catalog);
        let batches: Vec<_> =
            portal.requests().into_iter().filter(|one| one.endpoint.starts_with("associations_batch_read")).collect();
        let size =
            |body: &str| serde_json::from_str::<Value>(body).expect("JSON")["inputs"].as_array().map_or(0, Vec::len);
        let refused = batches.iter().filter(|one| one.status == 400).count();
        if most == 1_000 {
            assert_eq!(refused, 0);
        } else {
            // The first 300 and their half are too many, and what was asked at the same time; both types learn side by side.
            assert!((2..=8).contains(&refused), "{refused}");
            let last = batches.iter().rposition(|one| one.status == 400).expect("a refusal");
            assert!(batches[last + 2..].iter().all(|one| size(&one.body) <= most), "halved for good");
        }
    }
}

#[test]
fn a_thousand_tickets_cost_tens_of_calls() {
    let portal = Portal::start(Options { merged: 0, archived_share: 0.0, ..Options::with_tickets(1_000) });
    // A portal as fast as its budget is read in one sequence.
    let messages = Tap::of(&portal).sync(None).succeeded().messages();
    let found = records(&messages, "tickets");
    assert_eq!(found.len(), 1_000);
    let distinct = |column: &str| {
        let mut ids: Vec<_> = found.iter().filter_map(|record| record[column]["id"].as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        u64::try_from(ids.len()).expect("a count")
    };
    let counts = portal.request_counts();
    for (endpoint, most) in [
        // The last page is full and names no next one: what is behind it is asked for.
        ("list tickets", 12),
        // Whether it may be asked for; the first three pages, which do not wait for more; the other seven.
        ("associations_batch_read tickets contacts", 3),
        ("associations_batch_read tickets companies", 3),
        ("account_details", 1),
        ("properties tickets", 3),
        ("pipelines tickets", 1),
        ("owners", 2),
    ] {
        assert_eq!(counts.get(endpoint), Some(&most), "{endpoint}: {counts:?}");
    }
    for (endpoint, column) in [("batch_read contacts", "primary_contact"), ("batch_read companies", "primary_company")]
    {
        let calls = counts[endpoint];
        assert!(calls <= distinct(column).div_ceil(100) + 1, "{endpoint}: {calls}");
    }
    let total: u64 = ["general", "associations"].iter().map(|pool| counts[&format!("pool {pool}")]).sum();
    assert!(total < 40, "{total}");
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

#[test]
fn an_associations_stream_whose_column_is_deselected_still_has_its_rows() {
    let portal = Portal::start(small());
    let tap = small_steps(&portal);
    let all = tap.discover();
    let mut catalog = tickets_with(&all, &["subject"]);
    select(&mut catalog, "ticket_associations", "", true);
    let tables = fold(&tap.sync_catalog(&catalog, None).succeeded().messages());
    let expected = portal.truth().tables(&all).into_iter().find(|table| table.stream == "ticket_associations");
    let expected = expected.expect("associations");
    expected.assert_held(&expected.in_messages(&tables), Fidelity::Exact);
}
