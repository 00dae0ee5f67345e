//! What a run reads after the first load: changes, and the time between.

use std::fs;
use std::time::Duration;

use hubspot_sandbox::{Fault, FaultRule, Options};
use serde_json::Value;

use super::{OF_TICKETS, ids, instant, last_state, pass_a_minute, small, small_steps};
use crate::support::cell::Fidelity;
use crate::support::messages::{fold, of, records, states};
use crate::support::portal::Portal;
use crate::support::tap::Finished;

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
