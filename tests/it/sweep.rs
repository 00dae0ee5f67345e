//! Sweeps: when they are due, how far a run goes with one, which version its records carry, and what it finds.

use std::time::Duration;

use hubspot_sandbox::Options;
use serde_json::{Value, json};

use crate::support::catalogs::{only, select};
use crate::support::messages::{Message, activated, of, records, states};
use crate::support::portal::Portal;
use crate::support::swept::{Swept, options};
use crate::support::tap::Tap;

/// Versions of the records of a stream, in their order and without repeats.
fn versions(messages: &[Message], stream: &str) -> Vec<i64> {
    let mut versions: Vec<i64> = of(messages, "RECORD", stream).iter().filter_map(|one| one.version).collect();
    versions.dedup();
    versions
}

fn extraction_types(messages: &[Message]) -> Vec<Value> {
    let mut types: Vec<Value> =
        records(messages, "tickets").iter().map(|record| record["_extraction_type"].clone()).collect();
    types.dedup();
    types
}

#[test]
fn a_sweep_is_due_when_its_hours_have_passed() {
    for (sweep_hours, after, due) in [
        (json!(24), 23, false),
        (json!(24), 24, true),
        (json!(0.5), 1, true),
        (json!(0), 0, true),
        (json!(null), 24 * 365, false),
    ] {
        let mut swept = Swept::new(30);
        swept.set("sweep_hours", sweep_hours.clone()).hours(after);
        let messages = swept.sync();
        assert_eq!(!activated(&messages, "tickets").is_empty(), due, "{sweep_hours} hours, after {after}");
        assert_eq!(extraction_types(&messages).contains(&json!("sweep")), due);
    }
}

#[test]
fn a_sweep_finds_what_left_no_trace() {
    let mut swept = Swept::new(120);
    let live = swept.live();
    let portal = &swept.portal;
    let (contact, company) = (portal.create("contacts", &[]), portal.create("companies", &[]));
    portal.advance(Duration::from_secs(60));
    portal.update_silently("tickets", live[0], &[("subject", "silently")]);
    portal.delete_forever("tickets", live[1]);
    portal.archive("tickets", live[2]);
    portal.merge("tickets", live[3], live[4]);
    let survivor = portal.merge_into_new("tickets", live[5], live[6]);
    portal.associate("tickets", live[7], "contacts", contact, 0, None);
    portal.associate("tickets", live[8], "companies", company, 26, None);
    let truth = portal.truth();
    let archived: Vec<u64> = truth.archived_tickets().iter().map(|id| id.parse().expect("a number")).collect();
    portal.restore("tickets", archived[0], false);
    for id in &live[9..40] {
        for kind in ["contacts", "companies"] {
            let ends = truth.ticket(&id.to_string())["associations"][kind].clone();
            for end in ends.as_array().expect("associations") {
                portal.dissociate("tickets", *id, kind, end["id"].as_str().expect("an id").parse().expect("a number"));
            }
        }
    }
    swept.set("sweep_hours", json!(0)).hours(1).sync();
    swept.assert_equal();
    let winners = ["tickets"].map(|stream| &swept.tables.table(stream).rows);
    let loser = &winners[0][&vec![format!("\"{}\"", live[6])]];
    assert_eq!(loser.row["merged_into"].get(), format!("\"{survivor}\""));
}

#[test]
fn a_merged_ticket_is_buried_also_when_its_winner_was_archived_since() {
    let mut swept = Swept::new(30);
    let live = swept.live();
    swept.portal.merge("tickets", live[0], live[1]);
    swept.portal.archive("tickets", live[0]);
    swept.set("sweep_hours", json!(null)).hours(1).sync();
    swept.assert_equal_but_for_removed_associations();
}

#[test]
fn no_tombstone_comes_for_a_ticket_that_is_live() {
    let mut swept = Swept::new(60);
    swept.set("sweep_hours", json!(null));
    let live = swept.live();
    for id in &live[..5] {
        swept.portal.archive("tickets", *id);
        swept.portal.advance(Duration::from_secs(1));
        swept.portal.restore("tickets", *id, id % 2 == 0);
    }
    swept.hours(1);
    for sweep_hours in [json!(null), json!(0)] {
        swept.set("sweep_hours", sweep_hours);
        let messages = swept.sync();
        let live = swept.live();
        for record in records(&messages, "tickets").iter().filter(|record| !record["_sdc_deleted_at"].is_null()) {
            assert!(!live.contains(&record["id"].as_str().expect("an id").parse().expect("a number")), "{record}");
        }
        swept.hours(1);
    }
    swept.assert_equal();
}

#[test]
fn a_sweep_stops_after_its_minutes_and_goes_on_in_the_next_runs() {
    let mut swept = Swept::new(120);
    let before = versions(&swept.sync(), "tickets");
    assert!(before.is_empty());
    let loaded = swept.bookmark("version").as_i64().expect("a version");
    swept.set("sweep_hours", json!(24)).set("sweep_minutes", json!(0)).set("page_size", json!(10));
    swept.set("checkpoint_every_pages", json!(1)).hours(30);
    let mut version = None;
    for run in 0.. {
        let live = swept.live();
        swept.portal.update("tickets", live[run], &[("subject", "changed")]);
        swept.portal.update_silently("tickets", live[live.len() - 1], &[("subject", "silently")]);
        swept.portal.advance(Duration::from_secs(60));
        let messages = swept.sync();
        let current = swept.bookmark("version").as_i64().expect("a version");
        assert!(current > loaded);
        assert_eq!(*version.get_or_insert(current), current, "one sweep over several runs");
        if run > 0 {
            // From its beginning on, changes carry its version, too.
            assert_eq!(versions(&messages, "tickets"), [current]);
            assert_eq!(extraction_types(&messages)[0], "incremental");
        }
        for stream in ["tickets", "ticket_associations"] {
            let done = swept.bookmark("progress").is_null();
            assert_eq!(activated(&messages, stream), if done { vec![current] } else { vec![] }, "{stream}, run {run}");
        }
        if swept.bookmark("progress").is_null() {
            assert!((5..40).contains(&run), "{run} runs");
            break;
        }
    }
    assert!(activated(&swept.sync(), "tickets").is_empty(), "24 hours have not passed since");
    swept.assert_equal();
}

/// The state that the target printed is older than what it stored, however far the sweep had come.
#[test]
fn a_sweep_goes_on_from_any_state_that_the_target_printed() {
    let mut swept = Swept::new(120);
    swept.set("page_size", json!(10)).set("checkpoint_every_pages", json!(1)).set("sweep_hours", json!(24)).hours(30);
    let live = swept.live();
    swept.portal.update_silently("tickets", live[2], &[("subject", "silently")]);
    swept.portal.delete_forever("tickets", live[3]);
    let before = swept.tables.clone();
    let messages = swept.read().messages();
    let printed: Vec<usize> = (0..messages.len()).filter(|index| messages[*index].kind == "STATE").collect();
    assert!(printed.len() > 8, "{} states", printed.len());
    for (index, at) in printed.iter().enumerate().step_by(3) {
        // What was written behind the state: nothing, some, all.
        for stored in [at + 1, (at + messages.len()) / 2, messages.len()] {
            swept.tables = before.clone();
            swept.tables.load(&messages[..stored]);
            swept.tables.state = messages[*at].value.clone();
            swept.portal.update("tickets", live[10 + index], &[("subject", "changed")]);
            swept.portal.advance(Duration::from_secs(60));
            swept.sync();
            swept.assert_equal();
        }
    }
}

#[test]
fn with_zero_hours_a_sweep_that_was_resumed_is_followed_by_one_that_knows_what_is_new() {
    let mut swept = Swept::new(60);
    swept.set("page_size", json!(10)).set("checkpoint_every_pages", json!(1)).set("sweep_hours", json!(0)).hours(1);
    swept.set("sweep_minutes", json!(0)).sync();
    swept.sync();
    assert!(!swept.bookmark("progress").is_null());
    let first = swept.live()[0];
    swept.portal.update_silently("tickets", first, &[("subject", "behind its back")]);
    swept.set("sweep_minutes", json!(30)).hours(1).sync();
    swept.assert_equal();
}

#[test]
fn a_first_load_that_was_resumed_is_followed_by_what_is_new() {
    let mut swept = Swept::empty(60);
    swept.set("page_size", json!(10)).set("checkpoint_every_pages", json!(1)).set("sweep_hours", json!(null));
    let messages = swept.read().messages();
    let states: Vec<usize> = (0..messages.len()).filter(|index| messages[*index].kind == "STATE").collect();
    swept.tables.load(&messages[..=states[states.len() / 2]]);
    assert!(!swept.bookmark("progress").is_null());
    swept.portal.advance(Duration::from_secs(60));
    let first = swept.live()[0];
    swept.portal.update("tickets", first, &[("subject", "changed")]);
    swept.hours(1).sync();
    swept.assert_equal();
}

#[test]
fn a_list_of_changes_that_was_resumed_is_followed_by_what_is_new() {
    let mut swept = Swept::new(60);
    swept.set("page_size", json!(10)).set("checkpoint_every_pages", json!(1)).set("sweep_hours", json!(null)).hours(1);
    let live = swept.live();
    swept.portal.update_many("tickets", &live, &[("subject", "bulk")]);
    swept.hours(1);
    // Taken for one page, a list costs less than any search.
    swept.tables.state.as_mut().expect("a state")["bookmarks"]["tickets"]["rows"] = 1.into();
    let messages = swept.read().messages();
    let middle = |message: &Message| {
        let changes = message.value.as_ref().map(|state| &state["bookmarks"]["tickets"]["changes"]);
        changes.is_some_and(|changes| !changes["parts"][0]["after"].is_null())
    };
    let at = messages.iter().position(middle).expect("a state in the middle of the list");
    swept.tables.load(&messages[..=at]);
    swept.portal.update("tickets", live[0], &[("subject", "changed")]);
    swept.hours(1).sync();
    swept.assert_equal();
}

#[test]
fn a_selection_that_grew_sweeps_at_once_and_says_so_in_one_line() {
    let grew = |swept: &mut Swept| {
        let finished = swept.read();
        swept.tables.load(&finished.messages());
        let said = finished.said("the selection of tickets grew");
        assert_eq!(activated(&finished.messages(), "tickets").len(), said, "{}", finished.stderr);
        said
    };
    let mut swept = Swept::empty(60);
    for column in ["subject", "primary_contact", "created_at"] {
        select(&mut swept.catalog, "tickets", column, false);
    }
    swept.set("sweep_hours", json!(null)).sync();
    assert_eq!(grew(swept.hours(1)), 0);
    for column in ["subject", "primary_contact", "created_at"] {
        select(&mut swept.catalog, "tickets", column, true);
        assert_eq!(grew(swept.hours(1)), 1, "{column}");
        assert_eq!(grew(swept.hours(1)), 0, "{column}");
    }
    swept.assert_equal();

    // Fewer columns are no reason; the same column back again is one, since rows may have changed without it.
    select(&mut swept.catalog, "tickets", "subject", false);
    let first = swept.live()[0];
    swept.portal.update("tickets", first, &[("subject", "unseen")]);
    assert_eq!(grew(swept.hours(1)), 0);
    swept.hours(2).sync();
    select(&mut swept.catalog, "tickets", "subject", true);
    assert_eq!(grew(swept.hours(1)), 1);
    swept.assert_equal();

    // An association type more.
    swept.set("associations", json!(["contacts", "companies", "deals"]));
    swept.discovered = swept.tap.discover();
    swept.catalog = only(&swept.discovered, &["tickets", "ticket_associations"]);
    assert_eq!(grew(swept.hours(1)), 1);
    swept.assert_equal();

    // A stream less for a while.
    swept.catalog = only(&swept.discovered, &["tickets"]);
    let ticket = swept.live()[3];
    let deal = swept.portal.create("deals", &[]);
    swept.portal.associate("tickets", ticket, "deals", deal, 0, None);
    swept.portal.touch("tickets", ticket);
    assert_eq!(grew(swept.hours(1)), 0);
    // It goes on from its own bookmark, and tickets with it.
    swept.catalog = only(&swept.discovered, &["tickets", "ticket_associations"]);
    assert_eq!(grew(swept.hours(1)), 0);
    swept.assert_equal();
}

/// The run ended between what it read of the changes and the sweep that the streams need.
#[test]
fn streams_that_are_out_of_step_stay_so_until_a_sweep_has_begun() {
    let mut swept = Swept::new(60);
    swept.set("sweep_hours", json!(null)).hours(2);
    swept.catalog = only(&swept.discovered, &["tickets"]);
    let ticket = swept.live()[3];
    let contact = swept.portal.create("contacts", &[]);
    swept.portal.associate("tickets", ticket, "contacts", contact, 0, None);
    swept.portal.touch("tickets", ticket);
    swept.hours(2).sync();
    swept.hours(2).sync();
    swept.catalog = only(&swept.discovered, &["tickets", "ticket_associations"]);
    let messages = swept.hours(2).read().messages();
    let first = messages.iter().position(|message| message.kind == "STATE").expect("a state");
    swept.tables.load(&messages[..=first]);
    assert!(swept.bookmark("progress").is_null(), "the sweep has not begun");
    swept.sync();
    swept.assert_equal();
}

#[test]
fn a_full_refresh_reads_one_stream_again_and_leaves_the_others_alone() {
    let mut swept = Swept::new(60);
    swept.catalog = only(&swept.discovered, &["tickets", "ticket_associations", "contacts"]);
    swept.set("sweep_hours", json!(null)).hours(2).sync();
    let count = swept.live().len();
    swept.hours(2);
    let state = swept.tables.state.clone().expect("a state");
    let mut left_out = state.clone();
    left_out["bookmarks"].as_object_mut().expect("bookmarks").shift_remove("tickets");
    for (arguments, state) in [(vec!["--full-refresh", "tickets"], state), (vec![], left_out)] {
        swept.tap.write("catalog.json", &swept.catalog);
        swept.tap.write("state.json", &state);
        let all = [vec!["--catalog", "catalog.json", "--state", "state.json"], arguments].concat();
        let messages = swept.tap.run(&all).succeeded().messages();
        let found = records(&messages, "tickets");
        assert_eq!(found.iter().filter(|record| record["archived"] == false).count(), count);
        assert_eq!(activated(&messages, "tickets").len(), 1);
        assert!(
            activated(&messages, "tickets")
                > vec![state["bookmarks"]["ticket_associations"]["version"].as_i64().expect("a version")]
        );
        assert!(records(&messages, "contacts").is_empty());
        swept.tables.load(&messages);
        swept.assert_equal();
        assert_eq!(
            states(&messages).last().expect("a state")["bookmarks"]["contacts"]["version"],
            state["bookmarks"]["contacts"]["version"]
        );
        swept.hours(1);
    }
}

#[test]
fn the_archive_is_read_when_its_hours_have_passed() {
    let mut swept = Swept::new(60);
    swept.set("sweep_hours", json!(null)).set("archive_hours", json!(6)).hours(1);
    let ticket = swept.live()[5];
    swept.portal.archive("tickets", ticket);
    let name = ticket.to_string();
    let archive_pages = |swept: &Swept| {
        let requests = swept.portal.requests();
        requests.iter().filter(|request| request.query.contains("archived=true")).count()
    };
    for (hours, read) in [(1, false), (3, false), (1, true), (1, false), (4, false), (1, true)] {
        let messages = swept.hours(hours).sync();
        assert_eq!(archive_pages(&swept) > 0, read);
        let buried = records(&messages, "tickets").iter().any(|record| record["id"] == name);
        assert!(!buried || read);
    }
    swept.assert_equal_but_for_removed_associations();
}

#[test]
fn a_small_archive_is_read_on_each_run_and_a_large_one_at_intervals_that_follow_from_its_size() {
    let archive_is_read = |portal: &Portal| {
        portal
            .requests()
            .iter()
            .any(|request| request.query.contains("archived=true") && request.path.contains("tickets"))
    };
    // Seven pages: 42 minutes. What it holds is known once it was read by itself.
    for (share, minutes) in [
        (0.1, &[(10, true), (1, true), (1, true)][..]),
        (0.5, &[(10, true), (30, false), (11, false), (1, true), (41, false)]),
    ] {
        let portal = Portal::start(Options { archived_share: share, merged: 0, ..options(1_300) });
        let mut tap = Tap::unhurried(&portal);
        tap.set("sweep_hours", json!(null)).set("streams", json!(["tickets"])).set("properties", json!(["subject"]));
        let mut state = states(&tap.run(&[]).succeeded().messages()).pop();
        for (pause, read) in minutes {
            portal.advance(Duration::from_secs(pause * 60));
            portal.clear_requests();
            state = states(&tap.sync(state.as_ref()).succeeded().messages()).pop();
            assert_eq!(archive_is_read(&portal), *read, "{share} {pause}");
            assert!(*read || portal.requests().len() < 20, "{}", portal.requests().len());
        }
    }
}

#[test]
fn a_ticket_is_the_same_record_however_it_was_read() {
    for seed in 0..3 {
        let portal = Portal::start(Options { seed, hostile: seed == 2, ..options(90) });
        let mut tap = Tap::unhurried(&portal);
        tap.set("sweep_hours", json!(null)).set("associations", json!(["contacts", "companies", "deals"]));
        let catalog = only(&tap.discover(), &["tickets"]);
        let mut state = states(&tap.sync_catalog(&catalog, None).succeeded().messages()).pop().expect("a state");
        let live: Vec<u64> = portal.truth().live_tickets().iter().map(|id| id.parse().expect("a number")).collect();
        portal.advance(Duration::from_secs(7200));
        for (index, id) in live.iter().enumerate() {
            match index % 4 {
                0 => portal.update("tickets", *id, &[("subject", "a\u{0}b"), ("refund_amount", "+0012.50")]),
                1 => portal.update("tickets", *id, &[("refund_amount", "soon"), ("content", "")]),
                2 => portal.associate(
                    "tickets",
                    *id,
                    "contacts",
                    portal.create("contacts", &[("email", "x@y.z")]),
                    91,
                    Some("Reporter"),
                ),
                _ => {}
            }
            portal.touch("tickets", *id);
        }
        portal.advance(Duration::from_secs(60));
        let stripped = |messages: &[Message]| {
            let mut found = records(messages, "tickets");
            found.retain(|record| record["archived"] == false);
            for record in &mut found {
                for column in ["_scan_id", "_extracted_at", "_extraction_type", "_page_number"] {
                    assert!(!record[column].is_null(), "{column}");
                    record.as_object_mut().map(|record| record.shift_remove(column));
                }
            }
            found.sort_by_key(|record| record["id"].as_str().and_then(|id| id.parse::<u64>().ok()));
            // Number by number, digit by digit.
            found.iter().map(Value::to_string).collect::<Vec<_>>()
        };
        let listed = stripped(&tap.sync_catalog(&catalog, Some(&state)).succeeded().messages());
        state["bookmarks"]["tickets"]["rows"] = 1_000_000.into();
        let searched = stripped(&tap.sync_catalog(&catalog, Some(&state)).succeeded().messages());
        let loaded = stripped(&tap.sync_catalog(&catalog, None).succeeded().messages());
        assert_eq!(loaded.len(), live.len());
        assert!(loaded == listed, "the list of changes");
        assert!(loaded == searched, "the search for changes");
    }
}

#[test]
fn a_start_date_that_moved_on_buries_no_row_that_was_loaded_before() {
    let mut swept = Swept::new(60);
    let rows = swept.tables.table("tickets").rows.values().filter(|held| !held.deleted).count();
    swept.set("start_date", json!("2026-11-02T08:30:00Z")).set("sweep_hours", json!(0)).hours(3);
    let messages = swept.sync();
    assert!(activated(&messages, "tickets").is_empty());
    assert_eq!(swept.tables.table("tickets").rows.values().filter(|held| !held.deleted).count(), rows);
    swept.set("start_date", json!(null)).hours(3);
    assert_eq!(activated(&swept.sync(), "tickets").len(), 1);
    swept.assert_equal();
}
