//! The row cache: a sweep sends what changed and nothing else, and what the cache cannot know is sent again.

use std::collections::BTreeSet;
use std::fs;

use hubspot_sandbox::{Fault, FaultRule, Options};
use serde_json::json;

use crate::support::catalogs::select;
use crate::support::messages::{Message, activated, records};
use crate::support::portal::Portal;
use crate::support::swept::Swept;

/// A portal that was loaded with a cache, and is swept on each run.
fn cached(tickets: usize) -> Swept {
    let mut swept = Swept::empty(tickets);
    swept.set("cache_path", "cache".into()).set("sweep_hours", json!(0)).sync();
    swept.hours(3);
    swept
}

fn ids(messages: &[Message], stream: &str, key: &str) -> BTreeSet<String> {
    records(messages, stream).iter().map(|record| record[key].as_str().expect("an id").to_owned()).collect()
}

fn names(ids: &[u64]) -> BTreeSet<String> {
    ids.iter().map(u64::to_string).collect()
}

/// The contact that a ticket is associated with.
fn a_contact_of(swept: &Swept, ticket: u64) -> Option<u64> {
    let truth = swept.portal.truth();
    let ticket = truth.list("tickets").iter().find(|one| one["id"] == *ticket.to_string())?.clone();
    ticket["associations"]["contacts"][0]["id"].as_str()?.parse().ok()
}

#[test]
fn a_sweep_sends_only_what_changed() {
    let mut swept = cached(150);
    assert_eq!(records(&swept.sync(), "tickets").len(), 0);
    let live = swept.live();
    let associated = live.iter().copied().find(|ticket| a_contact_of(&swept, *ticket).is_some()).expect("a ticket");
    let contact = a_contact_of(&swept, associated).expect("a contact");
    let others: Vec<u64> = live.iter().copied().filter(|ticket| *ticket != associated).take(3).collect();
    swept.portal.update_silently("tickets", others[0], &[("subject", "silently")]);
    swept.portal.delete_forever("tickets", others[1]);
    swept.portal.archive("tickets", others[2]);
    swept.portal.dissociate("tickets", associated, "contacts", contact);
    let messages = swept.hours(3).sync();
    assert_eq!(ids(&messages, "tickets", "id"), names(&[associated, others[0], others[1], others[2]]));
    assert!(ids(&messages, "ticket_associations", "ticket_id").contains(&associated.to_string()));
    assert!(activated(&messages, "tickets").is_empty(), "changes and an activation would bury all the rest");
    assert!(activated(&messages, "ticket_associations").is_empty());
    swept.assert_equal();
    assert_eq!(records(&swept.hours(3).sync(), "tickets").len(), 0);
}

#[test]
fn a_removed_association_leaves_with_its_tickets_next_change() {
    let mut swept = cached(60);
    swept.set("sweep_hours", json!(null));
    let ticket = swept.live().into_iter().find(|ticket| a_contact_of(&swept, *ticket).is_some()).expect("a ticket");
    let contact = a_contact_of(&swept, ticket).expect("a contact");
    swept.portal.dissociate("tickets", ticket, "contacts", contact);
    swept.portal.touch("tickets", ticket);
    swept.hours(1).sync();
    swept.assert_equal();
}

#[test]
fn a_ticket_that_comes_back_is_sent_again() {
    let mut swept = cached(60);
    let ticket = swept.live()[7];
    swept.portal.archive("tickets", ticket);
    swept.hours(1).sync();
    swept.portal.restore("tickets", ticket, false);
    let messages = swept.hours(3).sync();
    assert_eq!(ids(&messages, "tickets", "id"), names(&[ticket]));
    swept.assert_equal();
}

/// What was sent behind the state that a run is given may never have arrived.
#[test]
fn rows_behind_the_state_are_sent_again() {
    let mut swept = cached(60);
    let (state, tables) = (swept.tables.state.clone(), swept.tables.clone());
    let ticket = swept.live()[7];
    swept.portal.update_silently("tickets", ticket, &[("subject", "silently")]);
    swept.portal.delete_forever("tickets", swept.live()[8]);
    swept.sync();
    // The target is back where it was: it has none of that.
    swept.tables = tables;
    swept.tables.state = state;
    let messages = swept.hours(3).sync();
    assert!(ids(&messages, "tickets", "id").contains(&ticket.to_string()));
    swept.assert_equal();
}

#[test]
fn without_the_file_or_with_other_columns_a_sweep_sends_all_rows_and_activates_their_version() {
    let mut swept = cached(60);
    let live = swept.live().len();
    fs::remove_file(swept.tap.path("cache")).expect("the cache");
    swept.portal.delete_forever("tickets", swept.live()[8]);
    let messages = swept.hours(3).sync();
    assert!(records(&messages, "tickets").len() >= live - 1);
    assert_eq!(activated(&messages, "tickets").len(), 1);
    swept.assert_equal();
    assert_eq!(records(&swept.hours(3).sync(), "tickets").len(), 0);

    select(&mut swept.catalog, "tickets", "content", false);
    let messages = swept.hours(3).sync();
    assert!(records(&messages, "tickets").len() >= live - 1, "without a column all rows have other hashes");
    assert_eq!(activated(&messages, "tickets").len(), 1);
    assert_eq!(records(&swept.hours(3).sync(), "tickets").len(), 0);
}

#[test]
fn a_sweep_of_a_list_that_is_out_of_order_does_without_the_cache() {
    let mut swept = cached(60);
    swept.portal.delete_forever("tickets", swept.live()[8]);
    swept.hours(3);
    swept.portal.faults([FaultRule::always("archived=false", Fault::IdsOutOfOrder)]);
    let finished = swept.read();
    assert_eq!(finished.said("does not keep the order of ids"), 1, "{}", finished.stderr);
    let messages = finished.messages();
    swept.tables.load(&messages);
    assert_eq!(activated(&messages, "tickets").len(), 1);
    swept.assert_equal();
}

#[test]
fn a_cache_of_another_portal_is_refused_before_anything_is_written() {
    let theirs = cached(5);
    let mut ours = Swept::empty(5);
    ours.set("cache_path", theirs.tap.path("cache").display().to_string().into());
    // The cache knows the portal by its id, which all sandboxes have in common unless told.
    let other = Portal::start(Options { portal_id: 7, ..Options::with_tickets(5) });
    ours.set("api_base_url", other.url().into());
    let finished = ours.tap.run(&[]);
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    assert!(finished.stdout.is_empty());
    let last = finished.stderr.lines().last().expect("an error");
    assert!(last.contains("belongs to portal 245001234, not 7"), "{last}");
}

#[test]
fn the_state_names_the_cache_and_nothing_of_its_rows() {
    let swept = cached(60);
    let mark = swept.bookmark("cache");
    assert_eq!(mark["complete"], json!(true));
    let keys: Vec<&String> = mark.as_object().map(|mark| mark.keys().collect()).unwrap_or_default();
    assert_eq!(keys, ["id", "checkpoint", "complete"]);
}

#[test]
fn a_test_of_records_leaves_the_cache_as_it_is() {
    let mut swept = cached(60);
    swept.tap.run(&["--test=records"]).succeeded();
    assert_eq!(records(&swept.hours(3).sync(), "tickets").len(), 0);
}
