//! Incremental syncs: which windows of time are searched, how they are paged, and what a run does when the search is wrong.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use hubspot_sandbox::{Fault, FaultRule, Options};
use serde_json::{Value, json};

use crate::support::catalogs::{only, select, tickets_with};
use crate::support::messages::{Tables, of, records, states};
use crate::support::portal::Portal;
use crate::support::tap::{Finished, Tap};

/// A portal that was loaded, and the state after it.
struct Loaded {
    portal: Portal,
    tap: Tap,
    catalog: Value,
    state: Value,
}

fn options(tickets: usize) -> Options {
    Options {
        contacts: 0,
        companies: 0,
        deals: 0,
        merged: 0,
        archived_share: 0.0,
        stage_properties: false,
        start_time: "2026-11-02T08:00:00Z".parse().ok(),
        ..Options::with_tickets(tickets)
    }
}

impl Loaded {
    fn new(options: Options) -> Self {
        let portal = Portal::start(options);
        let mut tap = Tap::unhurried(&portal);
        tap.set("sweep_hours", json!(null));
        let catalog = tickets_with(&tap.discover(), &["subject", "created_at"]);
        let mut loaded = Self { portal, tap, catalog, state: Value::Null };
        loaded.sync();
        loaded.portal.advance(Duration::from_secs(7200));
        loaded
    }

    /// A portal that pretends to be so large that searching costs less than listing.
    fn large(tickets: usize) -> Self {
        let mut loaded = Self::new(options(tickets));
        loaded.pretend_to_be_large();
        loaded
    }

    fn pretend_to_be_large(&mut self) {
        self.state["bookmarks"]["tickets"]["rows"] = 100_000_000.into();
    }

    fn try_sync(&self) -> Finished {
        self.portal.clear_requests();
        self.tap.sync_catalog(&self.catalog, Some(&self.state).filter(|state| !state.is_null()))
    }

    fn sync(&mut self) -> Finished {
        let finished = self.try_sync().succeeded();
        self.state = states(&finished.messages()).pop().expect("a state");
        finished
    }

    fn bookmark(&self) -> DateTime<Utc> {
        instant(&self.state["bookmarks"]["tickets"]["replication_key_value"])
    }

    /// Bodies of the searches since the last run began.
    fn searches(&self) -> Vec<Value> {
        let requests = self.portal.requests().into_iter().filter(|request| request.endpoint == "search tickets");
        requests.map(|request| serde_json::from_str(&request.body).expect("JSON")).collect()
    }

    fn count(&self, endpoint: &str) -> usize {
        // One that asks for one ticket finds out whether the token may read any.
        let is_probe = |query: &str| query.split('&').any(|pair| pair == "limit=1");
        let requests = self.portal.requests();
        requests.iter().filter(|request| request.endpoint == endpoint && !is_probe(&request.query)).count()
    }

    fn live(&self) -> Vec<u64> {
        self.portal.truth().live_tickets().iter().map(|id| id.parse().expect("a number")).collect()
    }
}

fn instant(value: &Value) -> DateTime<Utc> {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no instant: {value}"))
}

fn text(at: DateTime<Utc>) -> Value {
    at.to_rfc3339_opts(SecondsFormat::Millis, true).into()
}

/// Ids of the ticket records of a run.
fn ids(finished: &Finished) -> Vec<u64> {
    let found = records(&finished.messages(), "tickets");
    found.iter().map(|record| record["id"].as_str().expect("an id").parse().expect("a number")).collect()
}

/// The value that a search gives for an operator on a property.
fn bound(search: &Value, property: &str, operator: &str) -> Option<i64> {
    let filters = search["filterGroups"][0]["filters"].as_array()?.iter();
    let mut of_it = filters.filter(|filter| filter["propertyName"] == property && filter["operator"] == operator);
    of_it.next()?["value"].as_str()?.parse().ok()
}

fn sorted(mut ids: Vec<u64>) -> Vec<u64> {
    ids.sort_unstable();
    ids
}

#[test]
fn more_than_ten_thousand_tickets_of_one_millisecond_are_read() {
    let mut loaded = Loaded::large(20);
    let made: Vec<u64> = (0..10_250).map(|_| loaded.portal.create("tickets", &[("subject", "bulk")])).collect();
    loaded.portal.advance(Duration::from_secs(90));
    let finished = loaded.sync();
    assert_eq!(sorted(ids(&finished)), made);
    let mut last = 0;
    for search in loaded.searches() {
        assert_eq!(search["after"], "0", "an offset ends at 10,000");
        assert_eq!(search["sorts"], json!([{"propertyName": "hs_object_id", "direction": "ASCENDING"}]));
        for name in ["after", "filterGroups", "limit", "properties", "sorts"] {
            assert!(search.get(name).is_some(), "{name} in {search}");
        }
        let after = bound(&search, "hs_object_id", "GT").unwrap_or(0);
        assert!(after == 0 || after > last, "pages go on by ascending id");
        last = after;
    }
    assert_eq!(loaded.count("list tickets"), 1, "the archive alone");
}

#[test]
fn windows_are_sized_by_the_count_and_each_is_a_checkpoint() {
    let loaded = Loaded::large(20);
    let begin = loaded.portal.now();
    for _ in 0..13_000 {
        loaded.portal.create("tickets", &[("subject", "many")]);
        loaded.portal.advance(Duration::from_millis(100));
    }
    loaded.portal.advance(Duration::from_secs(60));
    let finished = loaded.try_sync().succeeded();
    let found = ids(&finished);
    assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 13_000);
    let messages = finished.messages();
    let bookmarks: Vec<_> = states(&messages)
        .iter()
        .map(|state| instant(&state["bookmarks"]["tickets"]["replication_key_value"]))
        .collect();
    assert!(bookmarks.windows(2).all(|pair| pair[0] <= pair[1]), "{bookmarks:?}");
    let distinct: BTreeSet<_> = bookmarks.iter().collect();
    assert!(distinct.len() >= 2, "a long run moves its bookmark on the way: {distinct:?}");
    // The records behind a window's state were modified at or after its end.
    let mut ends = begin - TimeDelta::days(1);
    for message in &messages {
        if let Some(record) = message.record.as_ref().filter(|_| message.stream.as_deref() == Some("tickets")) {
            let at: Value = serde_json::from_str(record["updated_at"].get()).expect("JSON");
            assert!(instant(&at) >= ends, "{at} came behind the state of {ends}");
        }
        if let Some(state) = &message.value {
            ends = instant(&state["bookmarks"]["tickets"]["replication_key_value"]);
        }
    }
}

#[test]
fn a_search_that_does_not_keep_the_order_of_ids_is_read_by_ranges_of_ids() {
    let mut loaded = Loaded::large(20);
    let made: Vec<u64> = (0..900).map(|_| loaded.portal.create("tickets", &[("subject", "new")])).collect();
    loaded.portal.advance(Duration::from_secs(60));
    loaded.portal.faults([FaultRule::always("tickets/search", Fault::IdsOutOfOrder)]);
    let finished = loaded.sync();
    assert_eq!(sorted(ids(&finished)), made);
    assert_eq!(finished.said("does not keep the order of ids"), 1);
    assert!(loaded.searches().iter().any(|search| bound(search, "hs_object_id", "LT").is_some()));
}

#[test]
fn a_page_that_left_out_a_record_is_read_again() {
    let mut loaded = Loaded::large(20);
    let made: Vec<u64> = (0..450)
        .map(|_| {
            loaded.portal.advance(Duration::from_millis(40));
            loaded.portal.create("tickets", &[("subject", "new")])
        })
        .collect();
    loaded.portal.advance(Duration::from_secs(60));
    loaded.portal.faults([FaultRule::nth("tickets/search", 1, 1, Fault::RecordMissing)]);
    assert_eq!(sorted(ids(&loaded.sync())), made);
}

#[test]
fn what_the_search_gives_is_written_and_the_bookmark_stays_where_it_counts_more() {
    let mut loaded = Loaded::large(20);
    select(&mut loaded.catalog, "sync_audit", "", true);
    let bookmark = loaded.bookmark();
    for _ in 0..450 {
        loaded.portal.create("tickets", &[("subject", "new")]);
    }
    loaded.portal.advance(Duration::from_secs(60));
    loaded.portal.faults([FaultRule::always("tickets/search", Fault::RecordMissing)]);
    let finished = loaded.try_sync();
    assert_eq!(finished.code, Some(5), "{}", finished.stderr);
    assert!(finished.last_line().contains("the search counts 450 tickets"), "{}", finished.last_line());
    let messages = finished.messages();
    for state in states(&messages) {
        assert_eq!(instant(&state["bookmarks"]["tickets"]["replication_key_value"]), bookmark);
    }
    let audit = records(&messages, "sync_audit");
    let changes = audit.iter().find(|row| row["part"] == "changes").expect("the part that failed");
    assert_eq!(
        (&changes["whole"], &changes["expected"], &changes["written"]),
        (&json!(false), &json!(450), &json!(447))
    );
    assert_eq!(changes["reason"], "count_disagrees");

    // What the search gives again comes with the next run.
    loaded.portal.clear_faults();
    assert_eq!(ids(&loaded.sync()).len(), 450);
}

#[test]
fn the_audit_says_what_was_expected_and_written() {
    let mut loaded = Loaded::large(20);
    select(&mut loaded.catalog, "sync_audit", "", true);
    let live = loaded.live();
    loaded.portal.update_many("tickets", &live[..7], &[("subject", "changed")]);
    loaded.portal.archive("tickets", live[9]);
    loaded.portal.advance(Duration::from_secs(60));
    let audit = records(&loaded.sync().messages(), "sync_audit");
    let part = |name: &str| audit.iter().find(|row| row["part"] == name).unwrap_or_else(|| panic!("no part {name}"));
    let changes = part("changes");
    assert_eq!((&changes["whole"], &changes["expected"], &changes["written"]), (&json!(true), &json!(7), &json!(7)));
    assert_eq!(changes["duplicates"], 0);
    assert_eq!((&part("archive")["archived"], &part("archive")["written"]), (&json!(1), &json!(0)));
}

#[test]
fn the_list_is_read_where_it_costs_no_more_than_the_search() {
    // Three pages; seventy changes would be two searches and a batch read each.
    let mut loaded = Loaded::new(options(230));
    let live = loaded.live();
    loaded.portal.update_many("tickets", &live[..170], &[("subject", "changed")]);
    loaded.portal.advance(Duration::from_secs(60));
    assert_eq!(sorted(ids(&loaded.sync())), live[..170]);
    assert_eq!(
        (loaded.count("batch_read tickets"), loaded.count("list tickets")),
        (0, 4),
        "three pages and the archive"
    );

    // Beyond the lookback of what was read until now.
    loaded.portal.advance(Duration::from_secs(7200));
    loaded.sync();
    loaded.portal.advance(Duration::from_secs(7200));
    loaded.portal.update("tickets", live[5], &[("subject", "again")]);
    loaded.portal.advance(Duration::from_secs(60));
    assert!(ids(&loaded.sync()).contains(&live[5]));
    assert_eq!(loaded.count("list tickets"), 1, "the archive alone: one change is cheaper to search");
}

#[test]
fn start_date_is_inclusive_and_end_date_exclusive_however_tickets_are_read() {
    let from = "2026-11-02T09:00:00.100Z".parse::<DateTime<Utc>>().expect("an instant");
    let until = from + TimeDelta::milliseconds(50);
    for large in [false, true] {
        let mut loaded = Loaded::new(options(12));
        if large {
            loaded.pretend_to_be_large();
        }
        let live = loaded.live();
        let at = [from - TimeDelta::milliseconds(1), from, until - TimeDelta::milliseconds(1), until];
        for (id, at) in live.iter().zip(at) {
            let at = at.to_rfc3339_opts(SecondsFormat::Millis, true);
            loaded.portal.update("tickets", *id, &[("hs_lastmodifieddate", &at)]);
        }
        for nanos in [0, 200_000] {
            let finer = TimeDelta::nanoseconds(nanos) - TimeDelta::nanoseconds(if nanos > 0 { 1_000_000 } else { 0 });
            let exact = |at: DateTime<Utc>| json!((at + finer).to_rfc3339_opts(SecondsFormat::Nanos, true));
            loaded.tap.set("start_date", exact(from)).set("end_date", exact(until));
            let finished = loaded.try_sync().succeeded();
            assert_eq!(sorted(ids(&finished)), live[1..3], "large {large}, {nanos} ns");
            assert!(of(&finished.messages(), "ACTIVATE_VERSION", "tickets").is_empty());
            let state = states(&finished.messages()).pop().expect("a state");
            assert_eq!(instant(&state["bookmarks"]["tickets"]["replication_key_value"]), until);
            let first = loaded.tap.sync_catalog(&loaded.catalog, None).succeeded();
            assert_eq!(sorted(ids(&first)), live[1..3], "first load, {nanos} ns");
            let state = states(&first.messages()).pop().expect("a state");
            assert_eq!(instant(&state["bookmarks"]["tickets"]["replication_key_value"]), until);
            assert!(of(&first.messages(), "ACTIVATE_VERSION", "tickets").is_empty());
        }
    }
}

#[test]
fn a_run_with_an_end_leaves_the_rest_to_the_next_run() {
    let mut loaded = Loaded::large(12);
    let live = loaded.live();
    let end = loaded.portal.now();
    loaded.portal.update("tickets", live[0], &[("subject", "later")]);
    loaded.portal.advance(Duration::from_secs(3600 * 5));
    loaded.tap.set("end_date", text(end)).set("sweep_hours", json!(0));
    let finished = loaded.sync();
    assert!(ids(&finished).is_empty());
    assert_eq!(loaded.bookmark(), end);
    loaded.tap.set("end_date", json!(null)).set("sweep_hours", json!(null));
    assert_eq!(ids(&loaded.sync()), [live[0]]);
}

#[test]
fn created_after_reads_what_is_new_and_leaves_the_state_as_it_is() {
    let mut loaded = Loaded::large(12);
    loaded.portal.advance(Duration::from_secs(3600));
    let since = loaded.portal.now();
    let live = loaded.live();
    let created = [since - TimeDelta::milliseconds(1), since, since + TimeDelta::days(30)];
    for (id, at) in live.iter().zip(created) {
        loaded.portal.update("tickets", *id, &[("createdate", &at.to_rfc3339_opts(SecondsFormat::Millis, true))]);
    }
    loaded.portal.archive("tickets", live[7]);
    let new = loaded.portal.create("tickets", &[("subject", "new")]);
    loaded.portal.advance(Duration::from_secs(60));
    for finer in [TimeDelta::zero(), TimeDelta::microseconds(-3)] {
        loaded.tap.set("created_after", json!((since + finer).to_rfc3339())).set("sweep_hours", json!(0));
        let finished = loaded.try_sync().succeeded();
        assert_eq!(sorted(ids(&finished)), [live[1], live[2], new]);
        let messages = finished.messages();
        assert!(of(&messages, "ACTIVATE_VERSION", "tickets").is_empty());
        for state in states(&messages) {
            assert_eq!(state["bookmarks"]["tickets"], loaded.state["bookmarks"]["tickets"]);
        }
    }
    // Without a state, too.
    let finished = loaded.tap.sync_catalog(&loaded.catalog, None).succeeded();
    assert_eq!(sorted(ids(&finished)), [live[1], live[2], new]);
    let state = states(&finished.messages()).pop().expect("a state");
    assert_eq!(state["bookmarks"]["tickets"], Value::Null);
}

#[test]
fn what_the_index_learned_late_is_found_in_the_lookback() {
    let mut loaded = Loaded::large(12);
    let live = loaded.live();
    loaded.portal.set_search_lag(Duration::from_secs(30));
    loaded.portal.advance(Duration::from_secs(2));
    loaded.portal.update("tickets", live[3], &[("subject", "late")]);
    loaded.portal.advance(Duration::from_secs(10));
    assert!(ids(&loaded.sync()).is_empty(), "the index does not know of it");
    loaded.pretend_to_be_large();
    loaded.portal.advance(Duration::from_secs(600));
    assert_eq!(ids(&loaded.sync()), [live[3]]);
}

#[test]
fn rows_of_the_lookback_are_not_sent_again_unless_they_changed() {
    for large in [false, true] {
        let mut loaded = Loaded::new(options(12));
        let live = loaded.live();
        loaded.portal.update_many("tickets", &live[..4], &[("subject", "changed")]);
        loaded.portal.advance(Duration::from_secs(60));
        let sync = |loaded: &mut Loaded| {
            if large {
                loaded.pretend_to_be_large();
            }
            let found = sorted(ids(&loaded.sync()));
            loaded.portal.advance(Duration::from_secs(60));
            found
        };
        assert_eq!(sync(&mut loaded), live[..4], "large {large}");
        assert!(sync(&mut loaded).is_empty(), "large {large}");
        loaded.portal.update("tickets", live[2], &[("subject", "again")]);
        loaded.portal.advance(Duration::from_secs(60));
        assert_eq!(sync(&mut loaded), [live[2]], "large {large}");
        // A tombstone was written last, so the row is not known any more.
        loaded.portal.archive("tickets", live[2]);
        loaded.portal.advance(Duration::from_secs(60));
        assert_eq!(sync(&mut loaded), [live[2]], "large {large}");
        loaded.portal.restore("tickets", live[2], false);
        assert_eq!(sync(&mut loaded), [live[2]], "large {large}");
    }
}

#[test]
fn a_row_that_changes_twice_in_the_millisecond_in_which_it_is_read_is_sent_twice() {
    let mut loaded = Loaded::new(options(12));
    let live = loaded.live();
    loaded.portal.update("tickets", live[1], &[("subject", "first")]);
    assert_eq!(ids(&loaded.sync()), [live[1]], "the list gives it at once");
    loaded.portal.update("tickets", live[1], &[("subject", "second")]);
    loaded.portal.advance(Duration::from_secs(60));
    let finished = loaded.sync();
    assert_eq!(records(&finished.messages(), "tickets")[0]["subject"], "second");
}

#[test]
fn a_run_in_which_nothing_changed_takes_four_calls_and_writes_no_ticket() {
    let portal =
        Portal::start(Options { start_time: "2026-11-02T08:00:00Z".parse().ok(), ..Options::with_tickets(500) });
    let tap = Tap::unhurried(&portal);
    let catalog = only(&tap.discover(), &["tickets", "ticket_associations"]);
    let first = tap.sync_catalog(&catalog, None).succeeded();
    let state = states(&first.messages()).pop().expect("a state");
    portal.advance(Duration::from_secs(3 * 3600));
    portal.clear_requests();
    let finished = tap.sync_catalog(&catalog, Some(&state)).succeeded();
    let messages = finished.messages();
    assert!(records(&messages, "tickets").is_empty() && records(&messages, "ticket_associations").is_empty());
    let pages = |request: &&hubspot_sandbox::LoggedRequest| !request.query.contains("archived=true");
    let calls: Vec<_> = portal.requests().iter().filter(pages).map(|one| one.endpoint.clone()).collect();
    assert!(calls.len() <= 4, "{calls:?}");
}

#[test]
fn nothing_in_the_state_grows_with_the_rows() {
    let options = Options { custom_properties: 60, ..options(20_000) };
    let portal = Portal::start(Options { contacts: 250, companies: 250, deals: 250, ..options });
    let tap = Tap::unhurried(&portal);
    let discovered = tap.discover();
    let streams = ["tickets", "ticket_associations", "contacts", "companies", "deals"];
    let catalog = only(&discovered, &streams);
    let first = tap.sync_catalog(&catalog, None).succeeded();
    let mut tables = Tables::default();
    let messages = first.messages();
    tables.load(&messages);
    assert!(messages.iter().filter(|message| message.kind == "RECORD").count() >= 20_000);
    let mut seen = states(&messages);
    let mut state = seen.last().expect("a state").clone();
    for changed in [49, 150, 6000] {
        portal.advance(Duration::from_secs(7200));
        let truth = portal.truth();
        for (stream, value) in
            [("tickets", "subject"), ("contacts", "lastname"), ("companies", "name"), ("deals", "dealname")]
        {
            let ids = truth.list(stream).iter().map(|one| one["id"].as_str().and_then(|id| id.parse().ok()));
            let ids: Vec<u64> = ids.take(changed).map(|id| id.expect("an id")).collect();
            portal.update_many(stream, &ids, &[(value, "changed")]);
        }
        portal.advance(Duration::from_secs(60));
        let messages = tap.sync_catalog(&catalog, Some(&state)).succeeded().messages();
        seen.extend(states(&messages));
        state = seen.last().expect("a state").clone();
    }
    let size = |mut state: Value| {
        for bookmark in state["bookmarks"].as_object_mut().expect("bookmarks").values_mut() {
            bookmark.as_object_mut().map(|bookmark| bookmark.shift_remove("types"));
        }
        state.to_string().len()
    };
    let largest = seen.into_iter().map(size).max().expect("a state");
    assert!(largest < 16 << 10, "{largest} bytes");
}
