//! Associations: their order, their paging and what they cost.

use hubspot_sandbox::Options;
use serde_json::{Value, json};

use super::{assert_holds, small, small_steps};
use crate::support::catalogs::{select, tickets_with};
use crate::support::cell::Fidelity;
use crate::support::messages::{fold, records};
use crate::support::portal::Portal;
use crate::support::tap::Tap;

#[test]
fn associated_ids_ascend_by_number_without_repeats() {
    let portal = Portal::start(Options { merged: 0, archived_share: 0.0, ..Options::with_tickets(20) });
    let contacts: Vec<u64> = (0..12).map(|_| portal.create("contacts", &[("email", "a@b.c")])).collect();
    let companies: Vec<u64> = (0..3).map(|_| portal.create("companies", &[("name", "C")])).collect();
    let ticket = portal.create("tickets", &[("subject", "x")]);
    let ticket_id = ticket.to_string();
    for contact in contacts.iter().rev() {
        portal.associate("tickets", ticket, "contacts", *contact, 16, None);
    }
    portal.associate("tickets", ticket, "contacts", contacts[3], 1_001, Some("Decision maker"));
    portal.associate("tickets", ticket, "companies", companies[2], 26, None);
    portal.associate("tickets", ticket, "companies", companies[1], 339, None);
    let alone = portal.create("tickets", &[("subject", "y")]);
    portal.associate("tickets", alone, "companies", companies[2], 339, None);
    portal.associate("tickets", alone, "companies", companies[1], 339, None);
    let bare = portal.create("tickets", &[("subject", "z")]);
    let tap = small_steps(&portal);
    let messages = tap.sync(None).succeeded().messages();
    let found = records(&messages, "tickets");
    let record = |id: u64| {
        let id = id.to_string();
        found.iter().find(|record| record["id"] == *id).expect("the ticket").clone()
    };
    let texts: Vec<String> = contacts.iter().map(u64::to_string).collect();
    assert_eq!(record(ticket)["associated_contacts"], json!(texts));
    assert_eq!(record(ticket)["associated_companies"], json!([companies[1].to_string(), companies[2].to_string()]));
    assert_eq!(record(ticket)["primary_contact"]["id"], texts[0], "the lowest id");
    assert_eq!(record(ticket)["primary_contact"], json!({"id": texts[0], "email": "a@b.c", "name": null}));
    assert_eq!(record(ticket)["primary_company"]["id"], companies[2].to_string(), "the one of type 26");
    assert_eq!(record(alone)["primary_company"]["id"], companies[1].to_string(), "none of type 26: the lowest id");
    let empty = record(bare);
    for (column, value) in [
        ("associated_contacts", json!([])),
        ("associated_companies", json!([])),
        ("primary_contact", Value::Null),
        ("primary_company", Value::Null),
    ] {
        assert_eq!(empty[column], value, "{column}");
    }
    let rows = records(&messages, "ticket_associations");
    let labels: Vec<_> = rows
        .iter()
        .filter(|row| row["ticket_id"] == *ticket_id && row["to_object_id"] == texts[3])
        .map(|row| row["label"].clone())
        .collect();
    assert!(labels.contains(&json!("Decision maker")) && labels.len() >= 2, "{labels:?}");
}

#[test]
fn associations_are_paged_and_their_batches_shrink_for_good() {
    for options in [
        Options { association_page_size: 1, ..small() },
        Options { association_page_size: 2, association_batch_max: 100, ..Options::with_tickets(1_200) },
    ] {
        let most = options.association_batch_max;
        let portal = Portal::start(options);
        let tap = Tap::unhurried(&portal);
        let catalog = tap.discover();
        portal.clear_requests();
        let messages = tap.sync(None).succeeded().messages();
        assert_holds(&fold(&messages), &portal, &catalog);
        let batches: Vec<_> =
            portal.requests().into_iter().filter(|one| one.endpoint.starts_with("associations_batch_read")).collect();
        let size =
            |body: &str| serde_json::from_str::<Value>(body).expect("JSON")["inputs"].as_array().map_or(0, Vec::len);
        let refused = batches.iter().filter(|one| one.status == 400).count();
        if most == 1_000 {
            assert_eq!(refused, 0);
        } else {
            // The first 300 and their half are too many, and what was asked at the same time; both types learn side by side.
            assert!((2..=8).contains(&refused), "{refused}");
            let last = batches.iter().rposition(|one| one.status == 400).expect("a refusal");
            assert!(batches[last + 2..].iter().all(|one| size(&one.body) <= most), "halved for good");
        }
    }
}

#[test]
fn a_thousand_tickets_cost_tens_of_calls() {
    let portal = Portal::start(Options { merged: 0, archived_share: 0.0, ..Options::with_tickets(1_000) });
    // A portal as fast as its budget is read in one sequence.
    let messages = Tap::of(&portal).sync(None).succeeded().messages();
    let found = records(&messages, "tickets");
    assert_eq!(found.len(), 1_000);
    let distinct = |column: &str| {
        let mut ids: Vec<_> = found.iter().filter_map(|record| record[column]["id"].as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        u64::try_from(ids.len()).expect("a count")
    };
    let counts = portal.request_counts();
    for (endpoint, most) in [
        // The last page is full and names no next one: what is behind it is asked for.
        ("list tickets", 12),
        // Whether it may be asked for; the first three pages, which do not wait for more; the other seven.
        ("associations_batch_read tickets contacts", 3),
        ("associations_batch_read tickets companies", 3),
        ("account_details", 1),
        ("properties tickets", 3),
        ("pipelines tickets", 1),
        ("owners", 2),
    ] {
        assert_eq!(counts.get(endpoint), Some(&most), "{endpoint}: {counts:?}");
    }
    for (endpoint, column) in [("batch_read contacts", "primary_contact"), ("batch_read companies", "primary_company")]
    {
        let calls = counts[endpoint];
        assert!(calls <= distinct(column).div_ceil(100) + 1, "{endpoint}: {calls}");
    }
    let total: u64 = ["general", "associations"].iter().map(|pool| counts[&format!("pool {pool}")]).sum();
    assert!(total < 40, "{total}");
}

#[test]
fn an_associations_stream_whose_column_is_deselected_still_has_its_rows() {
    let portal = Portal::start(small());
    let tap = small_steps(&portal);
    let all = tap.discover();
    let mut catalog = tickets_with(&all, &["subject"]);
    select(&mut catalog, "ticket_associations", "", true);
    let tables = fold(&tap.sync_catalog(&catalog, None).succeeded().messages());
    let expected = portal.truth().tables(&all).into_iter().find(|table| table.stream == "ticket_associations");
    let expected = expected.expect("associations");
    expected.assert_held(&expected.in_messages(&tables), Fidelity::Exact);
}
