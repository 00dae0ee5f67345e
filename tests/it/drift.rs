//! Properties that come, go and change while a run or a catalog is older than they are.

use std::io::Read;
use std::process::Stdio;
use std::time::Duration;

use hubspot_sandbox::{CursorStyle, Options, PropertyDef};
use serde_json::Value;

use crate::support::messages::{self, records};
use crate::support::portal::Portal;
use crate::support::tap::Tap;

fn portal(tickets: usize) -> Portal {
    let portal = Portal::start(Options {
        merged: 0,
        archived_share: 0.0,
        stage_properties: false,
        // Read in one sequence, so that a test knows what comes last.
        cursor: CursorStyle::Opaque,
        start_time: "2026-11-02T08:00:00Z".parse().ok(),
        ..Options::with_tickets(tickets)
    });
    for (name, kind, field_type) in [
        ("mood", "string", "text"),
        ("score", "number", "number"),
        ("since", "date", "date"),
        ("gone", "string", "text"),
    ] {
        portal.define_property("tickets", PropertyDef::new(name, kind, field_type));
    }
    let ids = live(&portal);
    portal.update_many("tickets", &ids, &[("mood", "7"), ("score", "12"), ("since", "2026-01-01"), ("gone", "x")]);
    portal.advance(Duration::from_secs(3_600));
    portal
}

fn live(portal: &Portal) -> Vec<u64> {
    portal.truth().live_tickets().iter().map(|id| id.parse().expect("a number")).collect()
}

/// The JSON Schema of a column of tickets.
fn column(messages: &[messages::Message], name: &str) -> Value {
    let schema = messages::of(messages, "SCHEMA", "tickets").pop().and_then(|message| message.schema.clone());
    schema.expect("a SCHEMA")["properties"][name].clone()
}

#[test]
fn drift_between_discovery_and_a_run_is_said_once_and_types_stay() {
    let portal = portal(30);
    let tap = Tap::unhurried(&portal);
    let catalog = tap.discover();
    let first = tap.sync_catalog(&catalog, None).succeeded();
    assert_eq!(first.said("WARN"), 0, "{}", first.stderr);
    let state = messages::states(&first.messages()).pop().expect("a state");

    portal.define_property("tickets", PropertyDef::new("fresh", "string", "text"));
    portal.archive_property("tickets", "gone");
    portal.rename_property("tickets", "mood", "State of mind");
    portal.change_property_type("tickets", "mood", "number", "number");
    portal.change_property_type("tickets", "score", "string", "text");
    let ids = live(&portal);
    portal.update_many("tickets", &ids[..2], &[("score", "high"), ("mood", "9"), ("fresh", "new")]);
    portal.update("tickets", ids[2], &[("score", "13")]);
    portal.advance(Duration::from_secs(60));

    let second = tap.sync_catalog(&catalog, Some(&state)).succeeded();
    let messages = second.messages();
    for name in ["mood", "score", "since", "gone"] {
        assert_eq!(column(&messages, name)["type"], column(&first.messages(), name)["type"], "{name}");
    }
    let row = |id: u64| {
        let id = id.to_string();
        let mut found = records(&messages, "tickets").into_iter().filter(|row| row["id"] == id.as_str());
        found.next_back().expect("the ticket")
    };
    assert_eq!((&row(ids[0])["score"], &row(ids[0])["_unparsed"]["score"]), (&Value::Null, &"high".into()));
    assert_eq!((&row(ids[0])["mood"], &row(ids[0])["gone"]), (&"9".into(), &Value::Null));
    assert_eq!(row(ids[2])["score"], 13);
    assert!(row(ids[0]).get("fresh").is_none());
    for said in [
        "properties of tickets that the catalog has and the portal has not (archived, renamed, or not for this token): gone;",
        "property mood of tickets is a number now, and its column stays a text",
        "property score of tickets is a text now, and its column stays a number",
        "properties of tickets that the portal has and the catalog has not are not read: fresh;",
        "property score of tickets holds values that are no number",
    ] {
        assert_eq!(second.said(said), 1, "{said}: {}", second.stderr);
    }
    assert_eq!(second.said("WARN"), 5, "{}", second.stderr);
    assert_eq!(second.said("tickets: 2 values of score did not fit its type and stand in _unparsed"), 1);
}

#[test]
fn a_discovered_catalog_follows_the_portal_and_the_columns_types_do_not() {
    let portal = portal(30);
    let tap = Tap::unhurried(&portal);
    let first = tap.sync(None).succeeded();
    let state = messages::states(&first.messages()).pop().expect("a state");
    portal.change_property_type("tickets", "score", "string", "text");
    portal.define_property("tickets", PropertyDef::new("fresh", "string", "text"));
    let ids = live(&portal);
    portal.update("tickets", ids[0], &[("score", "high"), ("fresh", "new")]);
    portal.advance(Duration::from_secs(60));
    let second = tap.sync(Some(&state)).succeeded();
    let messages = second.messages();
    assert_eq!(column(&messages, "score"), column(&first.messages(), "score"));
    assert_eq!(second.said("property score of tickets is a text now, and its column stays a number"), 1);
    assert_eq!(second.said("the selection of tickets grew: everything is read again"), 1, "{}", second.stderr);
    let rows = records(&messages, "tickets");
    assert!(rows.iter().any(|row| row["fresh"] == "new" && row["_unparsed"]["score"] == "high"));
}

#[test]
fn drift_in_the_middle_of_a_run_does_not_end_it() {
    let portal = portal(400);
    let mut tap = Tap::unhurried(&portal);
    tap.set("page_size", 10.into()).set("include_associations", false.into());
    tap.discover();
    portal.set_latency(Duration::from_millis(10));
    let mut child = tap.command(&["--catalog", "catalog.json"]).stdout(Stdio::piped()).spawn().expect("the tap runs");
    let mut output = child.stdout.take().expect("a pipe");
    let mut stdout = vec![0; 300_000];
    output.read_exact(&mut stdout).expect("messages");
    // The rest of the list is still to come.
    let ids = live(&portal);
    portal.define_property("tickets", PropertyDef::new("fresh", "string", "text"));
    portal.archive_property("tickets", "gone");
    portal.change_property_type("tickets", "score", "string", "text");
    portal.change_property_type("tickets", "since", "string", "text");
    portal.update_many("tickets", &ids[380..], &[("score", "high"), ("since", "long ago")]);
    output.read_to_end(&mut stdout).expect("the rest");
    assert_eq!(child.wait().expect("a child").code(), Some(0), "{}", tap.log());
    let messages = messages::parse(&stdout);
    let rows = records(&messages, "tickets");
    assert_eq!(rows.len(), 400);
    let (before, after) = (&rows[0], &rows[399]);
    assert_eq!((&before["gone"], &before["score"], &before["_unparsed"]), (&"x".into(), &12.into(), &Value::Null));
    assert_eq!((&after["gone"], &after["score"], &after["since"]), (&Value::Null, &Value::Null, &Value::Null));
    assert_eq!(after["_unparsed"], serde_json::json!({"score": "high", "since": "long ago"}));
    let log = tap.log();
    for name in ["score", "since"] {
        let said = format!("property {name} of tickets holds values that are no");
        assert_eq!(log.lines().filter(|line| line.contains(&said)).count(), 1, "{log}");
    }
}
