//! HubSpot's answer is evidence, not an oath: what contradicts itself, or would remove rows, is held against a second source.
//!
//! Each test names what holds; the matrix of doubtful answers holds the same over all ways of running.

use std::time::Duration;

use hubspot_sandbox::{Fault, FaultRule};
use serde_json::{Value, json};

use crate::support::catalogs::select;
use crate::support::messages::{Message, activated, records};
use crate::support::swept::Swept;
use crate::support::tap::Finished;

const INCOMPLETE: i32 = 5;
const SEARCH: &str = "tickets/search";
const BATCH: &str = "/tickets/batch/read";

/// A loaded portal of 120 tickets in pages of 20, with the audit.
fn loaded() -> Swept {
    let mut swept = Swept::empty(120);
    swept.set("page_size", json!(20)).set("sweep_hours", json!(null));
    select(&mut swept.catalog, "sync_audit", "", true);
    swept.sync();
    swept.hours(1);
    swept
}

/// The same with a behaviour of the sandbox, and a sweep that is due.
fn doubted(behaviour: &str) -> Swept {
    let mut swept = loaded();
    swept.set("sweep_hours", json!(0));
    swept.portal.behave(behaviour);
    swept
}

fn run(swept: &mut Swept, code: i32) -> (Finished, Vec<Message>) {
    swept.portal.clear_requests();
    let finished = swept.tap.sync_catalog(&swept.catalog, swept.tables.state.as_ref());
    assert_eq!(finished.code, Some(code), "{}", finished.stderr);
    let messages = finished.messages();
    swept.tables.load(&messages);
    (finished, messages)
}

/// Changes that are searched for: a list would cost more calls.
fn change(swept: &mut Swept, ids: &[u64]) {
    swept.portal.update_many("tickets", ids, &[("subject", "changed")]);
    swept.portal.advance(Duration::from_secs(60));
    pretend_to_be_large(swept);
}

fn pretend_to_be_large(swept: &mut Swept) {
    swept.tables.state.as_mut().expect("a state")["bookmarks"]["tickets"]["rows"] = 100_000_000.into();
}

fn reason(messages: &[Message], part: &str) -> Value {
    let audit = records(messages, "sync_audit");
    audit.iter().rev().find(|row| row["part"] == part).unwrap_or_else(|| panic!("no part {part}"))["reason"].clone()
}

fn live_rows(swept: &Swept) -> usize {
    swept.tables.table("tickets").rows.values().filter(|held| !held.deleted).count()
}

#[test]
fn an_end_that_contradicts_a_cursor_is_asked_again() {
    for behaviour in ["list_page_empty_once", "list_paging_missing_once", "list_first_page_empty_once"] {
        let mut swept = doubted(behaviour);
        let (_, messages) = run(&mut swept, 0);
        assert_eq!(activated(&messages, "tickets").len(), 1, "{behaviour}");
        swept.assert_equal();
    }
}

#[test]
fn an_end_that_comes_too_early_for_ever_is_held_against_the_search_and_what_it_counts_is_read() {
    for behaviour in ["list_pages_empty", "list_paging_missing", "list_record_missing"] {
        let mut swept = doubted(behaviour);
        run(&mut swept, 0);
        swept.assert_equal();
    }
}

#[test]
fn a_fall_that_nothing_explains_removes_no_row_and_has_its_own_word() {
    let mut swept = doubted("list_pages_empty");
    let rows = live_rows(&swept);
    swept.portal.behave("search_refused");
    let (finished, messages) = run(&mut swept, INCOMPLETE);
    assert!(activated(&messages, "tickets").is_empty());
    assert_eq!(live_rows(&swept), rows);
    assert_eq!(reason(&messages, "sweep"), "unexplained_fall");
    assert!(finished.stderr.contains("unexplained_fall"), "{}", finished.stderr);
    swept.portal.clear_faults();
    swept.hours(1);
    run(&mut swept, 0);
    swept.assert_equal();
}

#[test]
fn every_record_of_a_batch_of_associations_is_accounted_for() {
    for behaviour in ["associations_fail_in_part", "associations_fail_in_part_once", "associations_left_out"] {
        let mut swept = doubted(behaviour);
        run(&mut swept, 0);
        swept.assert_equal();
    }
}

#[test]
fn associations_that_no_answer_tells_are_not_written_as_none() {
    let mut swept = doubted("associations_fail_in_part");
    // The record's own endpoint does not tell either.
    swept.portal.faults([FaultRule::always("/associations/contacts?limit", Fault::Html(500))]);
    let finished = swept.tap.sync_catalog(&swept.catalog, swept.tables.state.as_ref());
    assert_eq!(finished.code, Some(4), "{}", finished.stderr);
    swept.tables.load(&finished.messages());
    swept.assert_equal();
}

#[test]
fn a_record_that_batches_leave_out_is_asked_for_alone() {
    let mut swept = loaded();
    let live = swept.live();
    change(&mut swept, &live[..40]);
    swept.portal.behave("batch_read_leaves_out");
    run(&mut swept, 0);
    swept.assert_equal_but_for_removed_associations();
}

#[test]
fn a_record_that_no_answer_tells_stays_in_the_state_until_it_is_read() {
    let mut swept = loaded();
    let live = swept.live();
    change(&mut swept, &live[..40]);
    swept.portal.behave("batch_read_leaves_out");
    swept.portal.faults([FaultRule::always("?archived=false&properties=", Fault::Html(500))]);
    let (finished, messages) = run(&mut swept, INCOMPLETE);
    let unread = swept.bookmark("unread").as_array().expect("ids").len();
    assert!(
        unread > 0 && finished.last_line().contains(&format!("nothing about {unread} tickets")),
        "{}",
        finished.stderr
    );
    assert_eq!(reason(&messages, "changes"), "records_unread");
    swept.portal.clear_faults();
    run(&mut swept, 0);
    assert!(swept.bookmark("unread").as_array().is_none_or(Vec::is_empty));
    swept.assert_equal_but_for_removed_associations();
}

#[test]
fn the_searchs_total_is_a_hint_where_it_is_too_low() {
    let mut swept = loaded();
    let live = swept.live();
    for round in 0..4 {
        swept.portal.update_many("tickets", &live, &[("subject", &format!("changed {round}"))]);
    }
    let more: Vec<u64> = (0..300).map(|_| swept.portal.create("tickets", &[("subject", "new")])).collect();
    swept.portal.advance(Duration::from_secs(60));
    pretend_to_be_large(&mut swept);
    swept.portal.behave("search_total_too_low");
    let (_, messages) = run(&mut swept, 0);
    let written = records(&messages, "tickets").len();
    assert!(written >= live.len() + more.len(), "{written} of {}", live.len() + more.len());
    swept.assert_equal_but_for_removed_associations();
}

#[test]
fn what_the_search_counts_and_never_gives_is_settled_by_the_sweep_of_the_same_run() {
    let mut swept = loaded();
    let live = swept.live();
    swept.portal.update_many("tickets", &live[..30], &[("subject", "changed")]);
    swept.portal.advance(Duration::from_secs(60));
    let bookmark = swept.bookmark("replication_key_value").clone();
    pretend_to_be_large(&mut swept);
    swept.portal.behave("search_total_too_high");
    // Without a sweep: all that the search gives is written, the bookmark stays, the other streams are read.
    let (finished, messages) = run(&mut swept, INCOMPLETE);
    assert_eq!(records(&messages, "tickets").iter().filter(|record| record["archived"] == false).count(), 30);
    assert_eq!(*swept.bookmark("replication_key_value"), bookmark);
    assert_eq!(reason(&messages, "changes"), "count_disagrees");
    assert!(swept.portal.request_counts()["search tickets"] < 25, "{}", finished.stderr);
    // A sweep reads everything, whatever the search counts.
    swept.tables.state.as_mut().expect("a state")["bookmarks"]["tickets"]["rows"] = swept.live().len().into();
    swept.set("sweep_hours", json!(0)).hours(1);
    let (_, messages) = run(&mut swept, 0);
    assert_eq!(activated(&messages, "tickets").len(), 1);
    assert_ne!(*swept.bookmark("replication_key_value"), bookmark);
    swept.assert_equal();
}

#[test]
fn a_pass_bounded_by_start_date_removes_nothing_also_without_a_state() {
    let mut swept = loaded();
    let rows = live_rows(&swept);
    let state = swept.tables.state.take();
    swept.set("start_date", json!("2026-11-02T08:30:00Z"));
    swept.portal.create("tickets", &[("subject", "new")]);
    swept.portal.advance(Duration::from_secs(60));
    let (_, messages) = run(&mut swept, 0);
    assert!(activated(&messages, "tickets").is_empty() && activated(&messages, "ticket_associations").is_empty());
    assert_eq!(live_rows(&swept), rows + 1);
    assert_eq!(reason(&messages, "first_load"), "bounded_by_date");
    assert!(state.is_some());
}

#[test]
fn a_start_date_that_is_moved_back_or_removed_is_read_at_once_and_said_in_one_line() {
    for earlier in [json!("2026-11-02T07:00:00Z"), json!(null)] {
        let mut swept = Swept::empty(60);
        swept.set("start_date", json!("2026-11-02T08:30:00Z")).set("sweep_hours", json!(null));
        swept.hours(1);
        swept.portal.update("tickets", swept.live()[0], &[("subject", "later")]);
        swept.sync();
        let before = live_rows(&swept);
        assert!(before < 60);
        swept.portal.touch("tickets", swept.live()[1]);
        swept.set("start_date", earlier.clone()).hours(1);
        let (finished, _) = run(&mut swept, 0);
        assert!(live_rows(&swept) >= before);
        assert_eq!(finished.said("start_date lies earlier than before"), 1, "{}", finished.stderr);
        if earlier.is_null() {
            swept.assert_equal();
        }
        let (finished, _) = run(&mut swept, 0);
        assert_eq!(finished.said("start_date lies earlier than before"), 0, "once");
    }
}

#[test]
fn a_clock_of_hubspot_that_is_ahead_leaves_nothing_out_and_is_said_once() {
    for behaviour in ["clock_hours_ahead", "clock_day_ahead_once"] {
        let mut swept = loaded();
        swept.set("lookback_secs", json!(0));
        swept.portal.set_time(chrono::Utc::now());
        swept.portal.behave(behaviour);
        let (finished, _) = run(&mut swept, 0);
        assert!(finished.said("HubSpot's clock is") <= 1, "{}", finished.stderr);
        // What changes now lies before the clock that was told.
        let live = swept.live();
        swept.portal.update_many("tickets", &live[..10], &[("subject", "changed")]);
        swept.portal.advance(Duration::from_secs(1));
        swept.portal.clear_faults();
        run(&mut swept, 0);
        swept.assert_equal_but_for_removed_associations();
    }
}

#[test]
fn without_a_date_no_window_is_searched_twice_for_nothing() {
    let mut swept = loaded();
    let live = swept.live();
    swept.portal.set_time(chrono::Utc::now());
    swept.portal.update_many("tickets", &live[..10], &[("subject", "changed")]);
    swept.portal.advance(Duration::from_secs(1));
    pretend_to_be_large(&mut swept);
    swept.portal.behave("clock_missing");
    run(&mut swept, 0);
    let searches = swept.portal.request_counts().get("search tickets").copied().unwrap_or(0);
    assert!(searches < 6, "{searches} searches");
    swept.portal.advance(Duration::from_secs(5));
    run(&mut swept, 0);
    swept.assert_equal_but_for_removed_associations();
}

#[test]
fn a_live_ticket_that_another_one_names_as_merged_stays_live() {
    let mut swept = loaded();
    let live = swept.live();
    swept.portal.set_raw_value("tickets", live[0], "hs_merged_object_ids", &format!("\"{};{}\"", live[1], live[2]));
    swept.portal.touch("tickets", live[0]);
    swept.portal.advance(Duration::from_secs(60));
    for sweep_hours in [json!(null), json!(0)] {
        swept.set("sweep_hours", sweep_hours);
        let (_, messages) = run(&mut swept, 0);
        for record in records(&messages, "tickets").iter().filter(|record| record["archived"] == true) {
            assert!(!live.iter().any(|id| record["id"] == json!(id.to_string())), "{record}");
        }
        swept.hours(1);
    }
    assert_eq!(live_rows(&swept), live.len());
}

#[test]
fn an_id_for_which_a_batch_of_associations_is_refused_costs_no_other_id_its_associations() {
    for behaviour in ["associations_refuse_some_ids", "associations_too_large", "associations_time_out"] {
        let mut swept = doubted(behaviour);
        run(&mut swept, 0);
        swept.assert_equal();
    }
}

#[test]
fn a_cursor_of_associations_that_does_not_work_falls_back_to_the_records_own_list() {
    for behaviour in ["associations_cursor_ignored", "associations_cursor_refused"] {
        let mut swept = doubted(behaviour);
        let contacts: Vec<u64> = (0..1200).map(|_| swept.portal.create("contacts", &[])).collect();
        let ticket = swept.live()[3];
        for contact in contacts {
            swept.portal.associate("tickets", ticket, "contacts", contact, 16, None);
        }
        run(&mut swept, 0);
        swept.assert_equal();
    }
}

#[test]
fn odd_members_of_a_page_cost_no_row() {
    for behaviour in ["list_holds_archived", "list_properties_null", "list_cursor_lower_once", "associations_of_others"]
    {
        let mut swept = doubted(behaviour);
        run(&mut swept, 0);
        swept.assert_equal();
    }
}

#[test]
fn a_search_that_refuses_its_limit_or_its_filter_is_asked_for_less_or_done_without() {
    for behaviour in ["search_limit_refused", "search_id_filter_refused", "search_refused"] {
        let mut swept = loaded();
        let live = swept.live();
        swept.portal.update_many("tickets", &live, &[("subject", "changed")]);
        for _ in 0..150 {
            swept.portal.create("tickets", &[("subject", "new")]);
        }
        swept.portal.advance(Duration::from_secs(60));
        if behaviour != "search_refused" {
            // Else the list costs no more.
            pretend_to_be_large(&mut swept);
        }
        swept.portal.behave(behaviour);
        run(&mut swept, 0);
        swept.assert_equal_but_for_removed_associations();
        assert!(
            swept.portal.requests().iter().any(|one| one.path.contains(SEARCH) && one.fault.is_some()),
            "{behaviour}"
        );
    }
}

#[test]
fn a_batch_that_is_refused_for_one_of_its_records_costs_no_other_record() {
    let mut swept = loaded();
    let live = swept.live();
    change(&mut swept, &live[..40]);
    let refused = Fault::Status { code: 400, headers: vec![], body: Some(r#"{"message":"Invalid id"}"#.to_owned()) };
    swept.portal.faults([FaultRule::always(BATCH, refused).with_body(&format!("\"{}\"", live[7]))]);
    run(&mut swept, 0);
    swept.assert_equal_but_for_removed_associations();
}
