//! Details of primary contacts and companies: hardly a request goes out half empty, though no row is written out of its
//! place and no state runs ahead of one.

use std::collections::BTreeSet;

use hubspot_sandbox::{CursorStyle, Fault, Options, RandomFaults};
use serde_json::Value;

use crate::support::catalogs::tickets_with;
use crate::support::cell::Fidelity;
use crate::support::figures;
use crate::support::messages::{fold, records};
use crate::support::portal::Portal;
use crate::support::selected::differences;
use crate::support::tap::Tap;

/// The distinct records in a column of all tickets.
fn distinct(tickets: &[Value], column: &str) -> u64 {
    let ids: BTreeSet<&str> = tickets.iter().filter_map(|record| record[column]["id"].as_str()).collect();
    ids.len() as u64
}

#[test]
fn requests_are_full_and_no_state_runs_ahead_of_a_row() {
    // In one sequence, so that a state's place in the list is one id.
    let options = Options { cursor: CursorStyle::Opaque, archived_share: 0.0, ..Options::with_tickets(5_000) };
    let portal = Portal::start(options);
    let tap = Tap::unhurried(&portal);
    let catalog = tap.discover();
    let finished = tap.sync(None).succeeded();
    let messages = finished.messages();

    let tables = fold(&messages);
    for table in portal.truth().tables(&catalog) {
        table.assert_held(&table.in_messages(&tables), Fidelity::Exact);
    }
    let tickets = records(&messages, "tickets");
    assert_eq!(tickets.len(), portal.truth().list("tickets").len(), "each ticket once");
    let counts = portal.request_counts();
    for (endpoint, column) in [("batch_read contacts", "primary_contact"), ("batch_read companies", "primary_company")]
    {
        let (calls, full) = (counts[endpoint], distinct(&tickets, column).div_ceil(100));
        assert!(calls <= full + 3, "{endpoint}: {calls} calls, where {full} could do");
    }

    let live: Vec<u64> = portal.truth().live_tickets().iter().map(|id| id.parse().expect("a number")).collect();
    let (mut written, mut states, mut last_written) = (BTreeSet::new(), 0, 0);
    for message in &messages {
        if let (Some("tickets"), Some(record)) = (message.stream.as_deref(), &message.record) {
            let id: u64 = record["id"].get().trim_matches('"').parse().expect("an id");
            assert!(id > last_written, "{id} comes after {last_written}");
            last_written = id;
            written.insert(id);
        }
        let Some(state) = &message.value else { continue };
        let part = &state["bookmarks"]["tickets"]["progress"]["parts"][0];
        let Some(last) = part["last_id"].as_u64() else { continue };
        states += 1;
        let missing = live.iter().find(|id| **id <= last && !written.contains(id));
        assert_eq!(missing, None, "a state at {last} ran ahead");
        assert_eq!(last, last_written, "a state is behind the rows that it follows");
    }
    assert!(states >= 4, "{states} states on the way");
}

/// Chunks are completed side by side, and one asks for the records of another.
#[test]
fn rows_are_written_once_however_late_their_chunks_are() {
    let seed = figures::seed();
    eprintln!("TAP_TEST_SEED={seed}");
    let portal = Portal::start(Options {
        archived_share: 0.0,
        stage_properties: false,
        custom_properties: 0,
        ..Options::with_tickets(20_000)
    });
    let mut tap = Tap::unhurried(&portal);
    // Small chunks, so that many are in flight with few records each.
    tap.set("page_size", 50.into()).set("checkpoint_every_pages", 5.into());
    let discovered = tap.discover();
    let catalog = tickets_with(&discovered, &["primary_contact", "primary_company"]);
    for round in 0..2 {
        portal.storm(Some(RandomFaults {
            share: 0.3,
            seed: seed + round,
            faults: vec![Fault::SlowMs(40), Fault::SlowMs(150)],
        }));
        let messages = tap.sync_catalog(&catalog, None).succeeded().messages();
        portal.storm(None);
        assert_eq!(records(&messages, "tickets").len(), portal.truth().list("tickets").len(), "each ticket once");
        let found = differences(&portal.truth(), &discovered, &fold(&messages), &BTreeSet::new(), true);
        assert!(found.is_empty(), "{:#?}", &found[..found.len().min(10)]);
    }
}
