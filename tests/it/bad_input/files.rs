//! States and catalogs that cannot be used.

use std::fs::{self};

use serde_json::{Value, json};

use super::{USAGE, assert_refused, portal};
use crate::support::catalogs::{entry, metadata, only};
use crate::support::tap::Tap;

#[test]
fn states_that_cannot_be_used_are_refused_with_what_to_do() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    let of_tickets =
        |bookmark: Value| json!({"portal_id": "245001234", "bookmarks": {"tickets": bookmark}}).to_string();
    for (text, says) in [
        ("hello".to_owned(), "state.json"),
        ("{\"bookmarks\":".to_owned(), "state.json"),
        ("[1]".to_owned(), "state.json"),
        ("5".to_owned(), "state.json"),
        (json!({"portal_id": "7", "bookmarks": {}}).to_string(), "portal 7"),
        (json!({"portal_id": 7, "bookmarks": {}}).to_string(), "portal 7"),
        (
            json!({"bookmarks": {"tickets": {"replication_key_value": "2026-01-01T00:00:00Z"}}}).to_string(),
            "another tap",
        ),
        (json!({"portal_id": "245001234", "version": 2, "bookmarks": {}}).to_string(), "update the tap"),
        (json!({"portal_id": "245001234", "version": "new", "bookmarks": {}}).to_string(), "version"),
        (json!({"portal_id": "245001234", "bookmarks": 5}).to_string(), "bookmarks"),
        (json!({"portal_id": "245001234", "bookmarks": [1]}).to_string(), "bookmarks"),
        (of_tickets(json!(5)), "tickets"),
        (of_tickets(json!("2026-01-01T00:00:00Z")), "tickets"),
        (of_tickets(json!({"replication_key_value": "soon"})), "tickets"),
        (of_tickets(json!({"version": "new"})), "tickets"),
        (of_tickets(json!({"progress": true})), "tickets"),
        (
            of_tickets(json!({"progress": {"since": null, "until": null, "parts": [{"list": "lost", "after": null}]}})),
            "tickets",
        ),
        (of_tickets(json!({"types": ["number"]})), "tickets"),
    ] {
        fs::write(tap.path("state.json"), &text).expect("a writable folder");
        let finished = assert_refused(&tap, || tap.command(&["--state", "state.json"]), USAGE, &["state", says]);
        assert!(
            ["remove", "start without", "own state", "repair"].iter().any(|hint| finished.last_line().contains(hint)),
            "no hint what to do: {}",
            finished.last_line()
        );
    }
    assert_refused(&tap, || tap.command(&["--state", "."]), USAGE, &["state ."]);
}

#[test]
fn catalogs_that_cannot_be_used_are_refused_with_what_to_do() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    let catalog = tap.discover();
    let changed = |change: fn(&mut Value)| {
        let mut catalog = catalog.clone();
        change(&mut catalog);
        catalog.to_string()
    };
    for (text, says) in [
        (String::new(), "catalog.json"),
        ("{".to_owned(), "catalog.json"),
        ("[]".to_owned(), "catalog.json"),
        ("{}".to_owned(), "streams"),
        (json!({"streams": {}}).to_string(), "catalog.json"),
        (json!({"streams": [{"schema": {"properties": {}}}]}).to_string(), "tap_stream_id"),
        (json!({"streams": [{"stream": "tickets"}]}).to_string(), "schema"),
        (json!({"streams": [{"stream": "tickets", "schema": {}}]}).to_string(), "tickets"),
        (json!({"streams": [{"stream": "tickts", "schema": {"properties": {}}}]}).to_string(), "tickts"),
        (changed(|catalog| entry(catalog, "owners")["stream"] = "users".into()), "users"),
        (changed(|catalog| metadata(entry(catalog, "tickets"), &[])["hubspot-portal-id"] = "7".into()), "portal 7"),
        (changed(|catalog| entry(catalog, "tickets")["replication_method"] = "LOG_BASED".into()), "LOG_BASED"),
        (
            changed(|catalog| {
                let tickets = entry(catalog, "tickets");
                tickets.as_object_mut().expect("an entry").shift_remove("replication_method");
                metadata(tickets, &[])["replication-method"] = "full table".into();
            }),
            "full table",
        ),
    ] {
        fs::write(tap.path("catalog.json"), &text).expect("a writable folder");
        assert_refused(&tap, || tap.command(&["--catalog", "catalog.json"]), USAGE, &["catalog", says]);
    }
    assert_refused(&tap, || tap.command(&["--catalog", "nowhere.json"]), USAGE, &["nowhere.json", "--discover"]);
}

#[test]
fn a_stream_that_is_unknown_and_not_selected_does_no_harm() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    let mut catalog = only(&tap.discover(), &["owners"]);
    let theirs = json!({"stream": "surveys", "schema": {"properties": {}}, "metadata": [
        {"breadcrumb": [], "metadata": {"selected": false}}]});
    catalog["streams"].as_array_mut().expect("streams").push(theirs);
    tap.sync_catalog(&catalog, None).succeeded();
}
