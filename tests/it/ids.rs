//! Ids are text in every column, so that they join, however HubSpot keeps them.

use hubspot_sandbox::{Options, PropertyDef};
use serde_json::{Value, json};

use crate::support::catalogs::{entry, metadata, only};
use crate::support::messages::{Message, of, records, states};
use crate::support::pipeline;
use crate::support::portal::Portal;
use crate::support::postgres::Database;
use crate::support::source;
use crate::support::tap::Tap;
use crate::support::targets::{SCHEMA, target_postgres};

fn portal() -> Portal {
    let portal =
        Portal::start(Options { merged: 0, archived_share: 0.0, stage_properties: false, ..Options::with_tickets(40) });
    for name in ["hs_pinned_engagement_ids", "reviewer_user_id"] {
        portal.define_property("tickets", PropertyDef::new(name, "number", "number"));
    }
    let mut referring = PropertyDef::new("reviewer", "number", "number");
    referring.referenced_object_type = Some("OWNER".to_owned());
    portal.define_property("tickets", referring);
    portal
}

fn live(portal: &Portal) -> Vec<u64> {
    portal.truth().live_tickets().iter().map(|id| id.parse().expect("a number")).collect()
}

/// The JSON types of a column of tickets.
fn types(messages: &[Message], column: &str) -> Value {
    let schema = of(messages, "SCHEMA", "tickets").pop().and_then(|message| message.schema.as_ref());
    schema.expect("a SCHEMA")["properties"][column]["type"].clone()
}

const IDS: [&str; 8] = [
    "hs_object_id",
    "hs_ticket_id",
    "hs_primary_company_id",
    "hs_created_by_user_id",
    "created_by",
    "hs_pinned_engagement_ids",
    "reviewer_user_id",
    "reviewer",
];

/// Types as the last release had them: numbers.
fn of_the_last_release(catalog: &Value) -> Value {
    let mut catalog = catalog.clone();
    for name in IDS {
        let tickets = entry(&mut catalog, "tickets");
        tickets["schema"]["properties"][name]["type"] = json!(["number", "null"]);
        let keywords = metadata(tickets, &["properties", name]).as_object_mut().expect("an object");
        keywords.shift_remove("hubspot-type").expect("the type of ids is in their metadata");
    }
    catalog
}

#[test]
fn ids_in_number_properties_are_text_with_the_digits_of_an_id() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    let tickets = live(&portal);
    let forms = ["21458204872", "21458204872.0", "2.1458204872E10", "021", "12345678901234567890123", "N/A"];
    let expected = ["21458204872", "21458204872", "21458204872", "021", "12345678901234567890123", "N/A"];
    for (id, form) in tickets.iter().zip(forms) {
        portal.update("tickets", *id, &[("reviewer", form), ("reviewer_user_id", form)]);
    }
    let catalog = only(&tap.discover(), &["tickets"]);
    for messages in [tap.run(&[]).succeeded().messages(), tap.sync_catalog(&catalog, None).succeeded().messages()] {
        for name in IDS {
            assert_eq!(types(&messages, name), json!(["string", "null"]), "{name}");
        }
        assert_eq!(types(&messages, "time_to_close"), json!(["number", "null"]));
        let found = records(&messages, "tickets");
        for (id, expected) in tickets.iter().zip(expected) {
            let record =
                found.iter().find(|record| record["id"].as_str() == Some(&id.to_string())).expect("the ticket");
            assert_eq!((&record["reviewer"], &record["reviewer_user_id"]), (&json!(expected), &json!(expected)));
            assert_eq!(record["hs_object_id"], record["id"]);
            assert_eq!(record["_unparsed"], Value::Null);
        }
    }
    let streams = source::discover(&tap);
    let found = streams.iter().find(|stream| stream["name"] == "tickets").expect("tickets");
    let said = source::read(&tap, &source::configured(std::slice::from_ref(found), |_| "incremental"), &[]).succeeded();
    let reviewers: Vec<Value> = said.of("RECORD").iter().map(|one| one["record"]["data"]["reviewer"].clone()).collect();
    assert_eq!(reviewers.iter().filter(|one| **one == "21458204872").count(), 3, "{reviewers:?}");
}

#[test]
fn ids_join_in_postgres() {
    let portal = portal();
    let (mut tap, database) = (Tap::unhurried(&portal), Database::create());
    tap.set("streams", json!(["tickets", "companies"]));
    pipeline::run(&tap, &[], target_postgres(&tap, &database)).succeeded();
    let joined = database.number(&format!(
        "select count(*) from {SCHEMA}.tickets join {SCHEMA}.companies \
         on companies.id = tickets.hs_primary_company_id and companies.hs_object_id = companies.id"
    ));
    let with_company = format!("select count(*) from {SCHEMA}.tickets where hs_primary_company_id is not null");
    assert!(joined > 10 && joined == database.number(&with_company), "{joined}");
}

#[test]
fn columns_that_were_numbers_stay_numbers_with_the_catalog_or_the_state_of_the_last_release() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    let tickets = live(&portal);
    portal.update("tickets", tickets[0], &[("reviewer", "12")]);
    let discovered = only(&tap.discover(), &["tickets"]);
    let old = of_the_last_release(&discovered);
    let first = tap.sync_catalog(&old, None).succeeded();
    let reviewer = |messages: &[Message]| {
        let found = records(messages, "tickets");
        let first = tickets[0].to_string();
        found.iter().find(|one| one["id"].as_str() == Some(&first)).map(|one| one["reviewer"].clone())
    };
    assert_eq!(reviewer(&first.messages()), Some(json!(12)));
    let state = states(&first.messages()).pop().expect("a state");
    for catalog in [&old, &discovered] {
        portal.update("tickets", tickets[0], &[("reviewer", "13")]);
        let finished = tap.sync_catalog(catalog, Some(&state)).succeeded();
        assert_eq!(types(&finished.messages(), "reviewer"), json!(["number", "null"]));
        assert_eq!(reviewer(&finished.messages()), Some(json!(13)));
        assert_eq!(finished.said("WARN"), 0, "{}", finished.stderr);
        let state = states(&finished.messages()).pop().expect("a state");
        assert!(state["bookmarks"]["tickets"]["types"]["number"].to_string().contains("reviewer"));
    }
    // Without a state there is no table to fit.
    let anew = tap.sync_catalog(&discovered, None).succeeded().messages();
    assert_eq!((types(&anew, "reviewer"), reviewer(&anew)), (json!(["string", "null"]), Some(json!("13"))));
    let state = states(&anew).pop().expect("a state");
    portal.update("tickets", tickets[0], &[("reviewer", "14.0")]);
    let next = tap.sync_catalog(&discovered, Some(&state)).succeeded().messages();
    assert_eq!(reviewer(&next), Some(json!("14")), "also where the state remembers that it was text");
}
