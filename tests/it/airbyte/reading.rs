//! Reads one after another: incremental, full, stopped, locked.

use std::collections::BTreeSet;

use hubspot_sandbox::{Fault, FaultRule, Options};
use serde_json::{Value, json};

use super::{ALL, incremental, is_well_formed, tap_of};
use crate::support::messages::Row;
use crate::support::portal::Portal;
use crate::support::source::{Said, configured, discover, read};

const FOLLOWING: [&str; 5] = ["tickets", "ticket_associations", "contacts", "companies", "deals"];

#[test]
fn a_second_read_is_incremental_and_a_full_refresh_is_whole() {
    let portal = Portal::start(Options::with_tickets(400));
    let tap = tap_of(&portal);
    let streams = discover(&tap);
    let catalog = configured(&streams, incremental);
    let first = read(&tap, &catalog, &[]).succeeded();
    is_well_formed(&first, &ALL);
    let tickets = portal.truth().live_tickets();
    assert!(first.records("tickets").len() >= tickets.len());

    let number = |id: &String| id.parse().expect("an id");
    let changing: Vec<u64> = tickets[..7].iter().map(number).collect();
    portal.update_many("tickets", &changing, &[("subject", "changed")]);
    portal.archive("tickets", number(&tickets[20]));
    let second = read(&tap, &catalog, &first.states()).succeeded();
    is_well_formed(&second, &ALL);
    let changed: Vec<Row> = second.records("tickets");
    assert_eq!(changed.iter().filter(|row| row["subject"].get() == "\"changed\"").count(), 7);
    assert!(changed.len() < 30, "{}", changed.len());
    let gone = changed.iter().find(|row| row["id"].get() == format!("\"{}\"", tickets[20])).expect("a tombstone");
    assert_ne!(gone["_sdc_deleted_at"].get(), "null");

    for whole in ["tickets", "ticket_associations"] {
        let catalog = configured(&streams, |stream| if stream == whole { "full_refresh" } else { "incremental" });
        let third = read(&tap, &catalog, &second.states()).succeeded();
        is_well_formed(&third, &ALL);
        let live = third.records(whole).iter().filter(|row| !row.contains_key("_sdc_deleted_at")).count();
        let of_first = first.records(whole).iter().filter(|row| !row.contains_key("_sdc_deleted_at")).count();
        assert!(live + 10 >= of_first, "{whole}: {live} of {of_first}");
        assert!(third.records("contacts").is_empty());
    }
}

#[test]
fn a_stopped_read_goes_on_from_its_states() {
    let portal = Portal::start(Options::with_tickets(900));
    let mut tap = tap_of(&portal);
    tap.set("checkpoint_every_pages", 1.into()).set("retry_attempts", 0.into());
    let streams = discover(&tap);
    let only: Vec<Value> =
        streams.into_iter().filter(|stream| FOLLOWING[..2].contains(&stream["name"].as_str().unwrap_or(""))).collect();
    let catalog = configured(&only, incremental);
    let fault = Fault::Status { code: 500, headers: Vec::new(), body: None };
    portal.faults([FaultRule::nth("archived=false&after", 5, usize::MAX, fault)]);
    let first = read(&tap, &catalog, &[]);
    assert_eq!(first.error()["failure_type"], "transient_error");
    assert_eq!(first.statuses("tickets").last().map(String::as_str), Some("INCOMPLETE"));
    portal.clear_faults();
    let second = read(&tap, &catalog, &first.states()).succeeded();
    let ids =
        |said: &Said| said.records("tickets").iter().map(|row| row["id"].get().to_owned()).collect::<BTreeSet<_>>();
    let both: BTreeSet<String> = ids(&first).union(&ids(&second)).cloned().collect();
    for ticket in portal.truth().live_tickets() {
        assert!(both.contains(&format!("\"{ticket}\"")), "{ticket}");
    }
    assert!(ids(&first).len() >= 100 && ids(&second).len() < 900, "{} {}", ids(&first).len(), ids(&second).len());
}

#[test]
fn a_second_read_of_a_locked_portal_says_so_and_is_to_be_repeated() {
    let portal = Portal::start(Options::with_tickets(5));
    let mut tap = tap_of(&portal);
    let folder = tap.path("locks");
    tap.set("lock_path", json!(folder));
    let catalog = configured(&discover(&tap), incremental);
    read(&tap, &catalog, &[]).succeeded();
    let lock = std::fs::read_dir(&folder).expect("a folder").next().expect("a lock").expect("a lock").path();
    let held = std::fs::File::open(lock).expect("a lock");
    held.try_lock().expect("free after the run");
    let error = read(&tap, &catalog, &[]).error();
    assert_eq!(error["failure_type"], "transient_error");
    assert!(error["message"].as_str().expect("text").contains("another run of portal"), "{error}");
    drop(held);
    read(&tap, &catalog, &[]).succeeded();
}

#[test]
fn rows_that_are_gone_come_as_tombstones_with_a_cache() {
    let portal = Portal::start(Options::with_tickets(300));
    let mut tap = tap_of(&portal);
    tap.set("cache_path", "cache.redb".into()).set("sweep_hours", 0.into());
    let streams = discover(&tap);
    let catalog = configured(&streams, incremental);
    let first = read(&tap, &catalog, &[]).succeeded();
    let gone = portal.truth().live_tickets()[5].clone();
    portal.delete_forever("tickets", gone.parse().expect("an id"));
    let second = read(&tap, &catalog, &first.states()).succeeded();
    is_well_formed(&second, &["tickets", "ticket_associations"]);
    let tombstone = second.records("tickets").into_iter().find(|row| row["id"].get() == format!("\"{gone}\""));
    assert_ne!(tombstone.expect("a tombstone")["_sdc_deleted_at"].get(), "null");
    assert!(second.records("tickets").len() < 30);
    for stream in ["tickets", "ticket_associations"] {
        let stream = streams.iter().find(|one| one["name"] == stream).expect("a stream");
        assert!(stream["json_schema"]["properties"]["_sdc_deleted_at"].is_object());
    }
}
