//! The setting `objects`: any CRM object as a stream.

use std::collections::{BTreeMap, BTreeSet};

use hubspot_sandbox::{Options, read_scopes};
use serde_json::{Value, json};

use crate::support::messages::{columns, records, states};
use crate::support::pages::blocks;
use crate::support::portal::Portal;
use crate::support::source;
use crate::support::tap::{Finished, Tap};

const CARS: &str = "p245001234_cars";
const CONTRACTS: &str = "p245001234_service_contracts";

fn portal() -> Portal {
    let objects = [("notes", 250), ("emails", 20), ("leads", 4), ("cars", 30), ("Service.Contracts", 5)];
    let objects = objects.map(|(name, count)| (name.to_owned(), count)).to_vec();
    Portal::start(Options { objects, merged: 0, ..Options::with_tickets(60) })
}

/// A tap that reads these objects and tickets.
fn tap(portal: &Portal, objects: &[&str]) -> Tap {
    let mut tap = Tap::unhurried(portal);
    tap.set("objects", json!(objects));
    tap
}

/// The ids of the live records of a type, with the ids of their tickets.
fn tickets_of(portal: &Portal, object_type: &str) -> BTreeMap<String, BTreeSet<String>> {
    let truth = portal.truth_of();
    let live = truth[object_type].as_array().expect("records").iter().filter(|record| record["archived"] == false);
    let ids = |record: &Value| {
        let ends = record["associations"]["tickets"].as_array().expect("tickets").iter();
        ends.map(|end| end["id"].as_str().expect("an id").to_owned()).collect()
    };
    live.map(|record| (record["id"].as_str().expect("an id").to_owned(), ids(record))).collect()
}

/// The same as a run wrote it, its tombstones left out.
fn written(finished: &Finished, stream: &str) -> BTreeMap<String, BTreeSet<String>> {
    let live = records(&finished.messages(), stream).into_iter().filter(|record| record["archived"] == false);
    live.map(|record| {
        let ids = record["associated_tickets"].as_array().expect("ids").iter();
        let ids = ids.map(|id| id.as_str().expect("an id").to_owned()).collect();
        (record["id"].as_str().expect("an id").to_owned(), ids)
    })
    .collect()
}

#[test]
fn notes_and_a_custom_object_come_whole_with_their_tickets() {
    let portal = portal();
    let finished = tap(&portal, &["notes", "2-1234567"]).sync(None).succeeded();
    for (stream, object_type) in [("notes", "notes"), (CARS, "cars")] {
        let held = tickets_of(&portal, object_type);
        assert!(held.values().any(|tickets| !tickets.is_empty()));
        assert_eq!(written(&finished, stream), held, "{stream}");
    }
    let messages = finished.messages();
    let truth = portal.truth_of();
    let archived = truth["notes"].as_array().expect("notes").iter().filter(|note| note["archived"] == true).count();
    let tombstones = records(&messages, "notes").iter().filter(|note| note["archived"] == true).count();
    assert_eq!(tombstones, archived);
    for note in records(&messages, "notes").iter().filter(|note| note["archived"] == false) {
        let held = truth["notes"].as_array().expect("notes").iter().find(|one| one["id"] == note["id"]).expect("held");
        assert_eq!(note["hs_note_body"], held["properties"]["hs_note_body"]);
        for column in ["created_at", "updated_at"] {
            let (read, held) = (note[column].as_str().expect("an instant"), held[column].as_str().expect("an instant"));
            assert_eq!(read.replace(".000Z", "Z"), held);
        }
    }
}

#[test]
fn a_changed_note_comes_with_the_next_run_though_its_ticket_has_not_changed() {
    let portal = portal();
    let tap = tap(&portal, &["notes", CARS]);
    let state = states(&tap.sync(None).succeeded().messages()).pop().expect("a state");
    let ids: Vec<u64> = tickets_of(&portal, "notes").keys().map(|id| id.parse().expect("a number")).collect();
    let (id, gone) = (ids[0], ids[ids.len() - 1]);
    portal.update("notes", id, &[("hs_note_body", "changed")]);
    let made = portal.create("cars", &[("model", "Zephyr")]);
    portal.archive("notes", gone);
    let messages = tap.sync(Some(&state)).succeeded().messages();
    let notes = records(&messages, "notes");
    let of = |id: u64| notes.iter().find(|note| note["id"] == json!(id.to_string())).expect("the note");
    assert_eq!(of(id)["hs_note_body"], "changed");
    assert_eq!(of(gone)["archived"], true);
    let cars = records(&messages, CARS);
    assert!(cars.iter().any(|car| car["id"] == json!(made.to_string()) && car["model"] == "Zephyr"), "{cars:?}");
    assert!(records(&messages, "tickets").is_empty());
}

#[test]
fn an_id_a_qualified_name_and_a_glob_of_one_type_give_one_stream() {
    let portal = portal();
    let catalog = tap(&portal, &["2-1234567", "p245001234_cars", "cars", "*ars"]).discover();
    let names: Vec<&str> = catalog["streams"]
        .as_array()
        .expect("streams")
        .iter()
        .map(|one| one["stream"].as_str().expect("a name"))
        .collect();
    assert_eq!(names.iter().filter(|name| name.contains("cars")).collect::<Vec<_>>(), [&CARS]);
    assert_eq!(names.last(), Some(&"sync_audit"));
}

#[test]
fn names_with_upper_case_and_dots_become_names_that_postgres_takes() {
    let portal = portal();
    let finished = tap(&portal, &["*"]).sync(None).succeeded();
    let messages = finished.messages();
    assert_eq!(
        records(&messages, CONTRACTS).iter().filter(|one| one["archived"] == false).count(),
        tickets_of(&portal, "Service.Contracts").len()
    );
    for column in columns(&messages, CONTRACTS) {
        let safe = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        assert!(column.bytes().all(safe), "{column}");
    }
    let names = columns(&messages, CONTRACTS);
    let name = names.iter().find(|column| column.starts_with("contract_name")).expect("a column of Contract_Name");
    assert!(records(&messages, CONTRACTS).iter().all(|one| one[name].is_string()));
}

#[test]
fn bodies_of_emails_are_selected_and_headers_and_raw_html_are_not() {
    let portal = portal();
    let finished = tap(&portal, &["emails"]).sync(None).succeeded();
    let columns = columns(&finished.messages(), "emails");
    for (column, selected) in
        [("hs_email_text", true), ("hs_email_subject", true), ("hs_email_html", false), ("hs_email_headers", false)]
    {
        assert_eq!(columns.iter().any(|one| one == column), selected, "{column}");
    }
}

#[test]
fn a_catalog_says_by_itself_which_objects_are_read() {
    let portal = portal();
    let catalog = tap(&portal, &["leads", "cars"]).discover();
    portal.clear_requests();
    let finished = Tap::unhurried(&portal).sync_catalog(&catalog, None).succeeded();
    assert_eq!(written(&finished, CARS), tickets_of(&portal, "cars"));
    assert_eq!(written(&finished, "leads"), tickets_of(&portal, "leads"));
    assert_eq!(portal.request_counts().get("schemas"), None);
}

#[test]
fn the_airbyte_face_reads_objects_too() {
    let portal = portal();
    let tap = tap(&portal, &["notes", "cars"]);
    let wanted = |stream: &Value| [CARS, "notes", "tickets"].iter().any(|name| stream["name"] == *name);
    let streams: Vec<Value> = source::discover(&tap).into_iter().filter(wanted).collect();
    assert_eq!(streams.len(), 3);
    let catalog = source::configured(&streams, |_| "incremental");
    let first = source::read(&tap, &catalog, &[]).succeeded();
    let live = tickets_of(&portal, "notes").len();
    assert!(first.records("notes").len() >= live && !first.records(CARS).is_empty());
    let made = portal.create("cars", &[("model", "Zephyr")]);
    let second = source::read(&tap, &catalog, &first.states()).succeeded();
    assert_eq!(second.records("notes").len(), 0);
    assert!(second.records(CARS).iter().any(|row| format!("{row:?}").contains(&made.to_string())));
    assert_eq!(second.statuses(CARS).last().map(String::as_str), Some("COMPLETE"));
}

#[test]
fn without_its_scope_a_stream_is_left_out_with_a_warning_that_names_it() {
    let portal = portal();
    for (objects, stream, scope) in [
        ("emails", "emails", "sales-email-read"),
        ("leads", "leads", "crm.objects.leads.read"),
        ("cars", "cars", "crm.schemas.custom.read"),
        ("cars", CARS, "crm.objects.custom.read"),
    ] {
        let scopes: Vec<String> = read_scopes().into_iter().filter(|one| one != scope).collect();
        let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
        portal.add_token("lesser", &scopes);
        let mut tap = tap(&portal, &["notes", objects]);
        tap.set("access_token", "lesser".into());
        let finished = tap.sync(None).succeeded();
        let says = |line: &&str| line.contains("WARN") && line.contains(stream) && line.contains(scope);
        assert!(finished.stderr.lines().any(|line| says(&line)), "{stream} {scope}: {}", finished.stderr);
        assert!(columns(&finished.messages(), stream).is_empty(), "{stream}");
        assert_eq!(written(&finished, "notes"), tickets_of(&portal, "notes"));
        let tested = tap.run(&["--test"]);
        let report = tested.text().to_owned() + &tested.stderr;
        assert!(report.contains(scope), "{report}");
    }
}

#[test]
fn a_name_that_is_no_type_is_refused_with_the_nearest() {
    let portal = portal();
    let finished = tap(&portal, &["nots"]).sync(None);
    assert_ne!(finished.code, Some(0));
    assert!(
        finished.stderr.contains("objects") && finished.stderr.contains("did you mean \"notes\"?"),
        "{}",
        finished.stderr
    );
    let finished = tap(&portal, &["2-999", "boat*"]).sync(None).succeeded();
    for gone in ["2-999", "boat*"] {
        assert_eq!(finished.said(&format!("custom object that is {gone:?}")), 1, "{}", finished.stderr);
    }
}

#[test]
fn only_records_made_since_are_read_by_the_property_of_their_type() {
    let portal = portal();
    let mut tap = tap(&portal, &["notes"]);
    tap.set("created_after", portal.now().to_rfc3339().into());
    let made = portal.create("notes", &[("hs_note_body", "new")]);
    let finished = tap.sync(None).succeeded();
    let ids: Vec<Value> = records(&finished.messages(), "notes").iter().map(|note| note["id"].clone()).collect();
    assert_eq!(ids, [json!(made.to_string())]);
}

#[test]
fn the_plan_counts_each_object() {
    let portal = portal();
    let finished = tap(&portal, &["notes", "cars"]).run(&["--plan", "--format", "json"]).succeeded();
    let plan: Value = serde_json::from_str(finished.text()).expect("a plan");
    let shown = plan.to_string();
    for (stream, object_type) in [("notes", "notes"), (CARS, "cars")] {
        let row = format!(
            "\"stream\":\"{stream}\",\"how\":\"all rows\",\"rows\":{},",
            tickets_of(&portal, object_type).len()
        );
        assert!(shown.contains(&row), "{row} {shown}");
    }
}

#[test]
fn the_objects_that_the_page_of_streams_shows_are_read() {
    let portal = portal();
    let settings: Vec<Value> = blocks("docs/streams.md", "json")
        .iter()
        .filter(|block| block.contains("\"objects\""))
        .map(|block| serde_json::from_str(block).expect("JSON"))
        .collect();
    assert_eq!(settings.len(), 2);
    for (setting, stream) in settings.iter().zip(["emails", CARS]) {
        let mut tap = Tap::unhurried(&portal);
        let finished = tap.set("objects", setting["objects"].clone()).sync(None).succeeded();
        assert!(!written(&finished, stream).is_empty(), "{setting}");
    }
}

#[test]
fn a_deleted_schema_is_told_once_and_takes_nothing_else_with_it() {
    let portal = portal();
    let catalog = tap(&portal, &["notes", "cars"]).discover();
    let tap = Tap::unhurried(&portal);
    let first = tap.sync_catalog(&catalog, None).succeeded();
    let state = states(&first.messages()).pop().expect("a state");
    portal.delete_schema("cars");
    let made = portal.create("notes", &[("hs_note_body", "new")]);
    let finished = tap.sync_catalog(&catalog, Some(&state));
    assert_eq!(
        finished.said(&format!("{CARS} is left out, since the portal does not know its object type any more")),
        1
    );
    let messages = finished.messages();
    assert!(columns(&messages, CARS).is_empty());
    assert!(records(&messages, "notes").iter().any(|note| note["id"] == json!(made.to_string())));
    let last = states(&messages).pop().expect("a state");
    assert_eq!(last["bookmarks"][CARS], state["bookmarks"][CARS]);
}
