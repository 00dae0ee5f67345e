//! Lists read in several ranges side by side: nothing is lost or read for long twice, whatever a portal makes of cursors
//! that it did not give.

use std::time::Duration;

use hubspot_sandbox::{CursorStyle, Options, UnknownCursor};
use serde_json::{Value, json};

use crate::support::cell::Fidelity;
use crate::support::messages::{Tables, fold, records, states};
use crate::support::portal::Portal;
use crate::support::tap::{Finished, Tap};

/// A portal so slow that one request after another leaves most of the budget unused.
fn slow(cursor: CursorStyle) -> Options {
    Options { latency: Duration::from_millis(40), archived_share: 0.1, cursor, ..Options::with_tickets(1_500) }
}

/// A config under which a load of 1,350 tickets has 135 pages.
fn many_pages(portal: &Portal) -> Tap {
    let mut tap = Tap::unhurried(portal);
    tap.set("page_size", 10.into()).set("checkpoint_every_pages", 4.into());
    tap
}

#[track_caller]
fn assert_holds(tables: &Tables, portal: &Portal, catalog: &Value) {
    for table in portal.truth().tables(catalog) {
        table.assert_held(&table.in_messages(tables), Fidelity::Exact);
    }
    assert!(tables.table("tickets").rows.values().all(|row| row.deleted == (row.row["archived"].get() == "true")));
}

/// The parts of the live list that a state has left.
fn live_parts(state: &Value) -> Vec<Value> {
    let parts = state["bookmarks"]["tickets"]["progress"]["parts"].as_array().cloned().unwrap_or_default();
    parts.into_iter().filter(|part| part["list"] == "live").collect()
}

fn most_parts(finished: &Finished) -> usize {
    states(&finished.messages()).iter().map(|state| live_parts(state).len()).max().unwrap_or(0)
}

fn list_calls(portal: &Portal) -> usize {
    portal.requests().iter().filter(|request| request.path.ends_with("/tickets") && request.method == "GET").count()
}

#[test]
fn ranges_are_read_side_by_side_and_hold_all_rows() {
    let portal = Portal::start(slow(CursorStyle::NextId));
    let tap = many_pages(&portal);
    let catalog = tap.discover();
    let before = list_calls(&portal);
    let finished = tap.sync(None).succeeded();
    assert!(most_parts(&finished) > 2, "{}", finished.stderr);
    let messages = finished.messages();
    assert_holds(&fold(&messages), &portal, &catalog);
    let records = records(&messages, "tickets").len();
    let distinct = fold(&messages).table("tickets").rows.len();
    assert!(records <= distinct + 4, "{records} records of {distinct} tickets");
    // 150 pages of both lists; at most a page more for each range, and the proofs.
    let calls = list_calls(&portal) - before;
    assert!((150..=150 + 64 + 4).contains(&calls), "{calls}");
}

#[test]
fn a_portal_that_does_not_take_ids_for_cursors_is_read_in_one_sequence() {
    let strangers =
        [UnknownCursor::Refused, UnknownCursor::FirstPage, UnknownCursor::EmptyPage, UnknownCursor::LatePage];
    for cursor in strangers.map(CursorStyle::GivenOnly).into_iter().chain([CursorStyle::Opaque]) {
        let portal = Portal::start(slow(cursor));
        let tap = many_pages(&portal);
        let catalog = tap.discover();
        let finished = tap.sync(None).succeeded();
        assert_eq!(most_parts(&finished), 1, "{cursor:?}");
        let messages = finished.messages();
        assert_holds(&fold(&messages), &portal, &catalog);
        let records = records(&messages, "tickets").len();
        assert!(records <= fold(&messages).table("tickets").rows.len() + 4, "{cursor:?}: {records}");
    }
}

#[test]
fn a_killed_load_goes_on_in_all_its_ranges() {
    let portal = Portal::start(slow(CursorStyle::NextId));
    let tap = many_pages(&portal);
    let catalog = tap.discover();
    let messages = tap.sync(None).succeeded().messages();
    let at = |parts: usize| {
        let has = |state: &Value| live_parts(state).len() >= parts;
        messages.iter().position(|message| message.value.as_ref().is_some_and(has))
    };
    let cut = (3..10).rev().find_map(at).expect("a state with several ranges");
    let mut tables = fold(&messages[..=cut]);
    let state = tables.state.clone().expect("a state");
    let had = tables.table("tickets").rows.len();
    let resumed = tap.sync(Some(&state)).succeeded().messages();
    let all = tables_of(&messages);
    let again = records(&resumed, "tickets").len();
    assert!(again <= all - had + 8, "{again} records after {had} of {all}");
    tables.load(&resumed);
    assert_holds(&tables, &portal, &catalog);
}

#[test]
fn ranges_of_a_state_fall_back_to_one_sequence_when_the_portal_has_changed_its_mind() {
    let portal = Portal::start(slow(CursorStyle::NextId));
    let catalog = many_pages(&portal).discover();
    let messages = many_pages(&portal).sync(None).succeeded().messages();
    let several = |state: &Value| live_parts(state).len() > 2;
    let cut = messages.iter().position(|message| message.value.as_ref().is_some_and(several)).expect("ranges");
    let tables = fold(&messages[..=cut]);
    let state = tables.state.clone().expect("a state");
    for stranger in
        [UnknownCursor::Refused, UnknownCursor::FirstPage, UnknownCursor::EmptyPage, UnknownCursor::LatePage]
    {
        let changed = Portal::start(slow(CursorStyle::GivenOnly(stranger)));
        let mut tables = fold(&messages[..=cut]);
        let finished = many_pages(&changed).sync(Some(&state)).succeeded();
        assert_eq!(finished.said("read in one sequence"), 1, "{stranger:?}: {}", finished.stderr);
        tables.load(&finished.messages());
        assert_holds(&tables, &changed, &catalog);
    }
}

#[test]
fn what_happens_to_a_portal_while_its_ranges_are_read_is_not_lost() {
    let portal = Portal::start(slow(CursorStyle::NextId));
    let mut tap = many_pages(&portal);
    tap.set("sweep_hours", json!(null));
    let catalog = tap.discover();
    let live: Vec<u64> = portal.truth().live_tickets().iter().map(|id| id.parse().expect("a number")).collect();
    let mut tables = Tables::default();
    std::thread::scope(|scope| {
        let load = scope.spawn(|| tap.sync(None).succeeded().messages());
        for pair in live.rchunks_exact(60) {
            portal.update("tickets", pair[0], &[("subject", "changed while it was read")]);
            portal.archive("tickets", pair[1]);
            std::thread::sleep(Duration::from_millis(30));
        }
        tables.load(&load.join().expect("no panic"));
    });
    portal.advance(Duration::from_secs(60));
    let state = tables.state.clone();
    tables.load(&tap.sync(state.as_ref()).succeeded().messages());
    let tickets = portal.truth().tables(&catalog).into_iter().find(|table| table.stream == "tickets").expect("tickets");
    tickets.assert_held(&tickets.in_messages(&tables), Fidelity::Exact);
}

fn tables_of(messages: &[crate::support::messages::Message]) -> usize {
    fold(messages).table("tickets").rows.len()
}
