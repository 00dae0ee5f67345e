//! Columns, tombstones and selections through several runs.

use std::time::Duration;

use hubspot_sandbox::{Options, PropertyDef};
use serde_json::{Value, json};

use super::{OF_TICKETS, ids, instant, last_state, pass_a_minute, small, small_steps};
use crate::support::catalogs::{only, select, tickets_with};
use crate::support::cell::Fidelity;
use crate::support::messages::{fold, of, records};
use crate::support::portal::Portal;
use crate::support::tap::{Finished, Tap};

#[test]
fn without_archived_there_are_no_tombstones() {
    let portal = Portal::start(small());
    let mut tap = small_steps(&portal);
    tap.set("include_archived", false.into());
    portal.clear_requests();
    let messages = tap.sync(None).succeeded().messages();
    let found = records(&messages, "tickets");
    let mut written = ids(&found);
    written.sort_unstable();
    assert_eq!(written, portal.truth().live_tickets());
    assert!(
        found
            .iter()
            .all(|record| record["archived"] == false && record.get("_sdc_deleted_at").is_none_or(Value::is_null))
    );
    assert!(portal.requests().iter().all(|one| one.endpoint != "list tickets" || !one.query.contains("archived=true")));
}

#[test]
fn tombstones_have_their_key_what_is_known_of_the_end_and_nothing_else() {
    let portal = Portal::start(small());
    let tap = small_steps(&portal);
    let messages = tap.sync(None).succeeded().messages();
    let truth = portal.truth();
    let found = records(&messages, "tickets");
    let mut seen = [0, 0];
    for record in &found {
        let id = record["id"].as_str().expect("an id");
        let ticket = truth.ticket(id);
        if record["archived"] == false {
            assert!(record.get("_sdc_deleted_at").is_none_or(Value::is_null));
            continue;
        }
        let merged = !ticket["merged_into"].is_null();
        seen[usize::from(merged)] += 1;
        assert_eq!(record["merged_into"], ticket["merged_into"]);
        let deleted_at = instant(record["_sdc_deleted_at"].as_str().expect("an instant"));
        if merged {
            assert!(record["archived_at"].is_null());
        } else {
            let archived_at = instant(ticket["archived_at"].as_str().expect("an instant"));
            assert_eq!(instant(record["archived_at"].as_str().expect("an instant")), archived_at);
            assert_eq!(deleted_at, archived_at);
        }
        assert_eq!(record["_tenant_id"], "245001234");
        let known = [
            "id",
            "archived",
            "archived_at",
            "merged_into",
            "_sdc_deleted_at",
            "_tenant_id",
            "_scan_id",
            "_extracted_at",
            "_extraction_type",
            "_page_number",
        ];
        for (column, value) in record.as_object().expect("a record") {
            assert!(known.contains(&column.as_str()) || value.is_null(), "{column}: {value}");
        }
    }
    assert_eq!(seen, [truth.archived_tickets().len(), 2]);
    let live = truth.live_tickets();
    for id in live {
        let last = found.iter().rev().find(|record| record["id"] == id).expect("every live ticket");
        assert_eq!(last["archived"], false, "a live ticket's last record is no tombstone");
    }
}

#[test]
fn the_columns_of_the_run_say_whose_and_which_and_how() {
    let portal = Portal::start(Options { merged: 0, archived_share: 0.0, ..Options::with_tickets(35) });
    let mut tap = small_steps(&portal);
    let first = tap.sync(None).succeeded();
    let messages = first.messages();
    let scan = records(&messages, "owners")[0]["_scan_id"].clone();
    assert!(scan.as_str().is_some_and(|scan| scan.contains("245001234")), "{scan}");
    for stream in
        ["owners", "ticket_pipelines", "ticket_pipeline_stages", "ticket_properties", "tickets", "ticket_associations"]
    {
        for record in records(&messages, stream) {
            assert_eq!((&record["_tenant_id"], &record["_scan_id"]), (&json!("245001234"), &scan), "{stream}");
            instant(record["_extracted_at"].as_str().expect("an instant"));
        }
    }
    let found = records(&messages, "tickets");
    let numbers: Vec<u64> = found.iter().map(|record| record["_page_number"].as_u64().expect("a number")).collect();
    assert!(numbers.is_sorted(), "in writing order");
    let mut pages = numbers.clone();
    pages.dedup();
    assert_eq!(pages.len(), 4);
    assert!(pages.iter().all(|page| numbers.iter().filter(|number| *number == page).count() <= 10));
    assert!(found.iter().all(|record| record["_extraction_type"] == "full"));
    tap.set("scan_id", "näme \"of\" the run".into());
    let messages = tap.sync(Some(&last_state(&first))).succeeded().messages();
    assert_eq!(records(&messages, "owners")[0]["_scan_id"], "näme \"of\" the run");
}

#[test]
fn a_column_keeps_the_type_that_the_state_remembers() {
    let portal = Portal::start(small());
    portal.define_property("tickets", PropertyDef::new("weight", "number", "number"));
    let ids: Vec<u64> = portal.truth().live_tickets().iter().map(|id| id.parse().expect("an id")).collect();
    portal.update_many("tickets", &ids, &[("weight", "12.50")]);
    pass_a_minute(&portal);
    let tap = small_steps(&portal);
    let type_of_weight = |finished: &Finished| {
        let schema = of(&finished.messages(), "SCHEMA", "tickets")[0].schema.clone().expect("a schema");
        schema["properties"]["weight"]["type"][0].clone()
    };
    let first = tap.sync(None).succeeded();
    assert_eq!(type_of_weight(&first), "number");
    portal.change_property_type("tickets", "weight", "string", "text");
    portal.update_many("tickets", &ids[..5], &[("weight", "heavy")]);
    portal.update_many("tickets", &ids[5..9], &[("subject", "changed")]);
    pass_a_minute(&portal);
    let second = tap.sync(Some(&last_state(&first))).succeeded();
    assert_eq!(type_of_weight(&second), "number", "columns do not move");
    let found = records(&second.messages(), "tickets");
    assert_eq!(found.len(), 9);
    let heavy: Vec<String> = ids[..5].iter().map(u64::to_string).collect();
    for record in &found {
        let expected = match heavy.iter().any(|id| record["id"] == **id) {
            true => (Value::Null, json!({"weight": "heavy"})),
            false => (json!(12.50), Value::Null),
        };
        assert_eq!((&record["weight"], &record["_unparsed"]), (&expected.0, &expected.1));
    }
    assert_eq!(second.said("property weight of tickets holds values"), 1, "{}", second.stderr);
    let third = tap.sync(Some(&last_state(&second))).succeeded();
    assert_eq!(type_of_weight(&third), "number", "the state goes on to know");
    let anew = tap.sync(None).succeeded();
    assert_eq!(type_of_weight(&anew), "string", "a run without a state adopts the new type");
    let unparsed = |record: &&Value| !record["_unparsed"].is_null();
    assert_eq!(records(&anew.messages(), "tickets").iter().filter(unparsed).count(), 0);
}

#[test]
fn a_text_column_stays_text_when_its_property_becomes_a_number() {
    let portal = Portal::start(small());
    portal.define_property("tickets", PropertyDef::new("note", "string", "text"));
    let tap = Tap::unhurried(&portal);
    let first = tap.sync(None).succeeded();
    portal.change_property_type("tickets", "note", "number", "number");
    pass_a_minute(&portal);
    for (state, kind) in [(Some(last_state(&first)), "string"), (None, "number")] {
        let run = tap.sync(state.as_ref()).succeeded();
        let schema = of(&run.messages(), "SCHEMA", "tickets")[0].schema.clone().expect("a schema");
        assert_eq!(schema["properties"]["note"]["type"], json!([kind, "null"]));
    }
}

#[test]
fn a_selection_that_grew_reads_everything_again() {
    let portal = Portal::start(small());
    portal.advance(Duration::from_secs(86_400));
    let tap = small_steps(&portal);
    let all = tap.discover();
    let less = tickets_with(&all, &["subject", "associated_contacts"]);
    let first = tap.sync_catalog(&less, None).succeeded();
    assert_eq!(first.said("grew"), 0);
    let state = last_state(&first);
    let same = tap.sync_catalog(&less, Some(&state)).succeeded();
    assert_eq!((same.said("grew"), records(&same.messages(), "tickets").len()), (0, 0));
    let shrunk = tap.sync_catalog(&tickets_with(&all, &["subject"]), Some(&state)).succeeded();
    assert_eq!((shrunk.said("grew"), records(&shrunk.messages(), "tickets").len()), (0, 0));
    for column in ["content", "associated_companies"] {
        let mut more = less.clone();
        select(&mut more, "tickets", column, true);
        let grown = tap.sync_catalog(&more, Some(&state)).succeeded();
        assert_eq!(grown.said("grew"), 1, "{column}: {}", grown.stderr);
        let messages = grown.messages();
        let live =
            records(&messages, "tickets").into_iter().filter(|record| record.get("_sdc_deleted_at").is_none()).count();
        assert_eq!(live, portal.truth().live_tickets().len(), "{column}");
        assert_eq!(of(&messages, "ACTIVATE_VERSION", "tickets").len(), 1);
        let again = tap.sync_catalog(&more, Some(&last_state(&grown))).succeeded();
        assert_eq!((again.said("grew"), records(&again.messages(), "tickets").len()), (0, 0), "{column}: once");
    }
}

#[test]
fn a_stream_that_is_added_gets_its_own_first_load() {
    let portal = Portal::start(small());
    let tap = small_steps(&portal);
    let all = tap.discover();
    let first = tap.sync_catalog(&only(&all, &["tickets"]), None).succeeded();
    let state = last_state(&first);
    let second = tap.sync_catalog(&only(&all, &["tickets", "ticket_associations"]), Some(&state)).succeeded();
    let mut tables = fold(&first.messages());
    tables.load(&second.messages());
    for table in portal.truth().tables(&all).into_iter().filter(|table| OF_TICKETS.contains(&table.stream)) {
        table.assert_held(&table.in_messages(&tables), Fidelity::Exact);
    }
}
