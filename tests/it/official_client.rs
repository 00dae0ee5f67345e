//! HubSpot's own Python client reads the sandbox: what it makes of the answers is the truth.

use std::io::Write;
use std::process::Stdio;

use hubspot_sandbox::Options;
use serde_json::{Value, json};

use crate::support::cell::Cell;
use crate::support::clients::{program, tool};
use crate::support::portal::Portal;

/// What `tests/tools/official_client.py` answers; panics with what the client said when it failed.
fn ask(portal: &Portal, what: &str, arguments: &Value) -> Value {
    let mut command = program("tools", "python");
    command.arg(tool("official_client.py")).args([&portal.url(), &portal.access_token(), what]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut client = command.spawn().expect("Python runs");
    client.stdin.take().expect("a pipe").write_all(arguments.to_string().as_bytes()).expect("a reading client");
    let output = client.wait_with_output().expect("a child");
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn portal() -> Portal {
    Portal::start(Options::with_tickets(350))
}

fn ids(records: &Value) -> Vec<&str> {
    let records = records.as_array().expect("a list");
    records.iter().map(|record| record["id"].as_str().expect("an id")).collect()
}

/// Asserts that a ticket as the client read it has the truth's instants and these properties.
fn assert_is_true(read: &Value, truth: &Value, properties: &[&str]) {
    for (read_as, told_as) in [("created_at", "created_at"), ("updated_at", "updated_at")] {
        let instant = |value: &Value| Cell::instant(value.as_str().expect("an instant"));
        assert_eq!(instant(&read[read_as]), instant(&truth[told_as]), "{read_as} of {}", truth["id"]);
    }
    for name in properties {
        assert_eq!(read["properties"][name], truth["properties"][name], "{name} of {}", truth["id"]);
    }
}

const PROPERTIES: [&str; 5] = ["subject", "content", "hs_pipeline_stage", "refund_amount", "contract_renewal_date"];

#[test]
fn pages_of_the_list_hold_every_live_ticket_in_ascending_order() {
    let portal = portal();
    let truth = portal.truth();
    let listed = ask(&portal, "list_tickets", &json!({"properties": PROPERTIES}));
    assert_eq!(ids(&listed), truth.live_tickets());
    for ticket in listed.as_array().expect("a list") {
        assert_is_true(ticket, truth.ticket(ticket["id"].as_str().expect("an id")), &PROPERTIES);
    }
    assert_eq!(portal.request_counts()["list tickets"], 4);
}

#[test]
fn the_archived_list_holds_every_archived_ticket() {
    let portal = portal();
    let truth = portal.truth();
    let listed = ask(&portal, "list_tickets", &json!({"properties": PROPERTIES, "archived": true}));
    assert!(!truth.archived_tickets().is_empty());
    assert_eq!(ids(&listed), truth.archived_tickets());
    for ticket in listed.as_array().expect("a list") {
        assert_eq!(ticket["archived"], true);
        let of = |value: &Value| Cell::instant(value["archived_at"].as_str().expect("an instant"));
        assert_eq!(of(ticket), of(truth.ticket(ticket["id"].as_str().expect("an id"))));
    }
}

#[test]
fn one_ticket_is_read_with_its_associations() {
    let portal = portal();
    let truth = portal.truth();
    let id = truth.live_tickets().into_iter().find(|id| {
        ["contacts", "companies"]
            .iter()
            .all(|to| !truth.ticket(id)["associations"][to].as_array().expect("a list").is_empty())
    });
    let id = id.expect("a ticket with both");
    let ticket = ask(&portal, "get_ticket", &json!({"id": id, "properties": PROPERTIES}));
    assert_is_true(&ticket, truth.ticket(&id), &PROPERTIES);
    for to in ["contacts", "companies"] {
        let mut read = ids(&ticket["associations"][to]["results"]);
        read.dedup();
        let told = ids(&truth.ticket(&id)["associations"][to]);
        assert_eq!(read, told, "{to}");
    }
}

#[test]
fn a_search_finds_what_its_filter_names_and_no_more() {
    let portal = portal();
    let truth = portal.truth();
    let found = ask(
        &portal,
        "search_tickets",
        &json!({
            "filters": [{"property_name": "hs_pipeline_stage", "operator": "EQ", "value": "4"}],
            "sorts": ["hs_object_id"],
            "properties": PROPERTIES,
            "limit": 50,
        }),
    );
    let closed = |id: &String| truth.ticket(id)["properties"]["hs_pipeline_stage"] == "4";
    let expected: Vec<_> = truth.live_tickets().into_iter().filter(closed).collect();
    assert!(expected.len() > 50, "more than one page");
    assert_eq!(ids(&found["results"]), expected);
    assert_eq!(found["total"], expected.len());
    for ticket in found["results"].as_array().expect("a list") {
        assert_is_true(ticket, truth.ticket(ticket["id"].as_str().expect("an id")), &PROPERTIES);
    }
}

#[test]
fn a_batch_read_answers_for_every_id_it_knows() {
    let portal = portal();
    let truth = portal.truth();
    let asked: Vec<_> = truth.live_tickets().into_iter().take(30).collect();
    let answer = ask(&portal, "batch_read_tickets", &json!({"ids": asked, "properties": PROPERTIES}));
    assert_eq!(answer["status"], "COMPLETE");
    let mut answered = ids(&answer["results"]);
    answered.sort_by_key(|id| id.parse::<u64>().expect("a number"));
    assert_eq!(answered, asked);
    for ticket in answer["results"].as_array().expect("a list") {
        assert_is_true(ticket, truth.ticket(ticket["id"].as_str().expect("an id")), &PROPERTIES);
    }

    let with_unknown = ask(&portal, "batch_read_tickets", &json!({"ids": [asked[0], "1"], "properties": []}));
    assert_eq!(ids(&with_unknown["results"]), [&asked[0]]);
    assert_eq!(with_unknown["num_errors"], 1);
}

#[test]
fn association_batches_hold_every_type_of_every_association() {
    let portal = portal();
    let truth = portal.truth();
    for to in ["contacts", "companies", "deals"] {
        let answer = ask(&portal, "batch_read_associations", &json!({"to": to, "ids": truth.live_tickets()}));
        let mut read = Vec::new();
        for result in answer["results"].as_array().expect("a list") {
            for end in result["to"].as_array().expect("ends") {
                // The client declares a text and hands on the number that HubSpot sends.
                let end_id = end["to_object_id"]
                    .as_u64()
                    .map_or_else(|| end["to_object_id"].clone(), |id| json!(id.to_string()));
                for of_type in end["association_types"].as_array().expect("types") {
                    read.push(
                        json!([
                            result["_from"]["id"],
                            end_id,
                            of_type["category"],
                            of_type["type_id"],
                            of_type["label"]
                        ])
                        .to_string(),
                    );
                }
            }
        }
        let mut told = Vec::new();
        for id in truth.live_tickets() {
            for end in truth.ticket(&id)["associations"][to].as_array().expect("ends") {
                for of_type in end["types"].as_array().expect("types") {
                    told.push(
                        json!([id, end["id"], of_type["category"], of_type["type_id"], of_type["label"]]).to_string(),
                    );
                }
            }
        }
        read.sort();
        told.sort();
        assert!(!told.is_empty());
        assert_eq!(read, told, "{to}");
    }
}

#[test]
fn property_definitions_are_all_there() {
    let portal = portal();
    let truth = portal.truth();
    let read = ask(&portal, "list_properties", &json!({}));
    let read = read.as_array().expect("a list");
    let plain = truth.definitions().into_iter().filter(|definition| definition["dataSensitivity"] == "non_sensitive");
    let plain: Vec<_> = plain.collect();
    assert_eq!(read.len(), plain.len());
    for definition in plain {
        let read = read.iter().find(|read| read["name"] == definition["name"]).expect("a definition");
        for (read_as, told_as) in
            [("label", "label"), ("type", "type"), ("field_type", "fieldType"), ("hidden", "hidden")]
        {
            assert_eq!(read[read_as], definition[told_as], "{told_as} of {}", definition["name"]);
        }
        let values = |options: &Value| {
            let options = options.as_array().expect("options");
            options.iter().map(|option| option["value"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(values(&read["options"]), values(&definition["options"]), "options of {}", definition["name"]);
    }
}

#[test]
fn pipelines_and_their_stages_are_all_there() {
    let portal = portal();
    let truth = portal.truth();
    let read = ask(&portal, "list_pipelines", &json!({}));
    assert_eq!(ids(&read).len(), truth.list("pipelines").len());
    for (read, told) in read.as_array().expect("a list").iter().zip(truth.list("pipelines")) {
        assert_eq!((&read["id"], &read["label"]), (&told["id"], &told["label"]));
        let stages = |stages: &Value| {
            let stages = stages.as_array().expect("stages").iter();
            stages
                .map(|stage| (stage["id"].clone(), stage["label"].clone(), stage["metadata"].clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(stages(&read["stages"]), stages(&told["stages"]));
    }
}

#[test]
fn owners_active_and_deactivated_are_all_there() {
    let portal = portal();
    let truth = portal.truth();
    let mut read = Vec::new();
    for archived in [false, true] {
        let page = ask(&portal, "list_owners", &json!({"archived": archived, "limit": 3}));
        assert!(page.as_array().expect("a list").iter().all(|owner| owner["archived"] == archived));
        read.extend(page.as_array().expect("a list").clone());
    }
    let key = |owner: &Value| owner["id"].as_str().expect("an id").to_owned();
    read.sort_by_key(key);
    let mut told = truth.list("owners").to_vec();
    told.sort_by_key(key);
    assert_eq!(read.len(), told.len());
    for (read, told) in read.iter().zip(&told) {
        for (read_as, told_as) in [("id", "id"), ("email", "email"), ("first_name", "firstName"), ("user_id", "userId")]
        {
            assert_eq!(read[read_as], told[told_as]);
        }
    }
}

#[test]
fn contacts_are_created_updated_and_upserted() {
    let portal = portal();
    let created =
        ask(&portal, "create_contact", &json!({"properties": {"email": "Ann@x.example", "firstname": "Ann"}}));
    let id = created["id"].as_str().expect("an id").to_owned();
    ask(&portal, "update_contact", &json!({"id": id, "properties": {"lastname": "Abel"}}));
    let inputs = json!({"inputs": [
        {"email": "ann@x.example", "properties": {"firstname": "Anna"}},
        {"email": "bob@x.example", "properties": {"firstname": "Bob"}},
        {"email": "no address", "properties": {"firstname": "Nobody"}},
    ]});
    let upserted = ask(&portal, "batch_upsert_contacts", &inputs);
    assert_eq!(upserted["num_errors"], 1);
    assert_eq!(upserted["errors"][0]["context"]["objectWriteTraceId"], json!(["2"]));
    let mut new: Vec<_> =
        upserted["results"].as_array().expect("results").iter().map(|one| one["new"].clone()).collect();
    new.sort_by_key(ToString::to_string);
    assert_eq!(new, [false, true]);
    ask(&portal, "batch_update_contacts", &json!({"inputs": [{"id": id, "properties": {"phone": "1"}}]}));
    let truth = (*portal).truth();
    let contact =
        truth["contacts"].as_array().expect("contacts").iter().find(|one| one["id"] == *id).expect("the contact");
    for (property, value) in [("email", "ann@x.example"), ("firstname", "Anna"), ("lastname", "Abel"), ("phone", "1")] {
        assert_eq!(contact["properties"][property], value);
    }
}

#[test]
fn tickets_are_created_with_their_associations_and_a_unique_property() {
    let portal = portal();
    let contact = ask(&portal, "create_contact", &json!({"properties": {"email": "ann@x.example"}}));
    let property = ask(&portal, "create_property", &json!({"object_type": "tickets", "name": "code", "unique": true}));
    assert_eq!((&property["name"], &property["has_unique_value"]), (&json!("code"), &json!(true)));
    let ticket = |code: &str| json!({"properties": {"subject": "x", "hs_pipeline_stage": "1", "code": code}, "contacts": [contact["id"]]});
    let created = ask(&portal, "batch_create_tickets", &json!({"inputs": [ticket("1"), ticket("1"), ticket("2")]}));
    assert_eq!((created["results"].as_array().map(Vec::len), &created["num_errors"]), (Some(2), &json!(1)));
    let id = created["results"][0]["id"].as_str().expect("an id").to_owned();
    let labelled = json!({"to": "contacts", "pairs": [[id, contact["id"]]], "category": "USER_DEFINED", "type_id": 1});
    let answer = ask(&portal, "batch_create_associations", &labelled);
    assert_eq!(answer["results"][0]["labels"], json!(["Reporter"]));
    let truth = portal.truth();
    let types = truth.ticket(&id)["associations"]["contacts"][0]["types"].as_array().expect("types");
    assert_eq!(types.len(), 2, "the unlabelled type and the label: {types:?}");
}
