//! Secrets and personal data: what stands nowhere, whatever happens and however much is logged.

use std::fs;
use std::io::Read;
use std::process::Stdio;

use hubspot_sandbox::{Fault, FaultRule, Options, PropertyDef};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::catalogs::{entry, metadata, select};
use crate::support::messages::{columns, fold, records};
use crate::support::portal::Portal;
use crate::support::tap::{Finished, Tap};

/// A text that no log may hold.
const MARK: &str = "quetzal";
const SALT: &str = "a salt of the tests";

fn portal() -> Portal {
    Portal::start(Options { merged: 0, archived_share: 0.0, stage_properties: false, ..Options::with_tickets(30) })
}

fn ids(portal: &Portal, list: &str) -> Vec<u64> {
    let truth = portal.truth();
    truth.list(list).iter().map(|one| one["id"].as_str().expect("an id").parse().expect("a number")).collect()
}

/// Writes the mark into every property that a user fills, of tickets, contacts and companies.
fn mark(portal: &Portal) {
    portal.define_property("tickets", PropertyDef::new("age", "number", "number"));
    portal.define_property("tickets", PropertyDef::new("birthday", "date", "date"));
    for id in ids(portal, "tickets") {
        let marked = [("subject", MARK), ("content", MARK), ("age", MARK), ("birthday", MARK)];
        portal.update("tickets", id, &marked);
    }
    for id in ids(portal, "contacts") {
        let email = format!("{MARK}@example.com");
        portal.update("contacts", id, &[("email", &email), ("firstname", MARK), ("lastname", "Löwe")]);
    }
    for id in ids(portal, "companies") {
        portal.update("companies", id, &[("name", MARK), ("domain", "quetzal.example")]);
    }
}

/// A run with everything logged.
fn traced(tap: &Tap, arguments: &[&str]) -> Finished {
    let mut command = tap.command(arguments);
    command.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full");
    tap.finish(command)
}

#[test]
fn property_values_are_in_no_log() {
    let portal = portal();
    mark(&portal);
    let mut tap = Tap::unhurried(&portal);
    tap.set("page_size", 10.into()).set("retry_attempts", 1.into());
    let finished = traced(&tap, &[]).succeeded();
    assert!(finished.text().contains(MARK), "the values are in the output");
    assert!(!finished.stderr.contains(MARK));
    assert!(finished.stderr.contains("did not fit its type"), "also of those that do not fit");
    let body = |text: &str| Fault::Status { code: 200, headers: Vec::new(), body: Some(text.replace("MARK", MARK)) };
    let failing = |text: &str| Fault::Status { code: 500, headers: Vec::new(), body: Some(text.replace("MARK", MARK)) };
    let mut ended_early = 0;
    for path in [
        "archived=false&properties",
        "archived=false&after",
        "/contacts/batch/read",
        "/tickets/contacts/batch/read",
        "/pipelines",
    ] {
        for fault in [
            Fault::TruncatedJson,
            Fault::ResultsNotAnArray,
            body(r#"{"results":"MARK"}"#),
            body(r#"{"results":["MARK"]}"#),
            body(r#"{"results":[{"id":"MARK","from":{"id":"MARK"}}]}"#),
            body(r#"{"results":[{"id":"1","properties":"MARK","stages":"MARK","from":"MARK"}]}"#),
            body(r#"{"results":[{"id":"1","archived":"MARK","properties":{"subject":"MARK"}"#),
            body("MARK"),
            failing(r#"{"results":[{"properties":{"subject":"MARK"}}]}"#),
            failing(r#"{"results":[{"properties":{"subject":"MARK"#),
        ] {
            portal.clear_faults();
            portal.faults([FaultRule::always(path, fault.clone())]);
            let finished = traced(&tap, &[]);
            ended_early += usize::from(finished.code != Some(0));
            assert!(!finished.stderr.contains(MARK), "{path} {fault:?}: {}", finished.last_line());
        }
    }
    assert!(ended_early > 40, "{ended_early} of 50 answers were refused");
}

#[test]
fn secrets_are_in_no_argument_list_and_no_log() {
    let portal = portal();
    let mut tap = Tap::unhurried(&portal);
    tap.set("page_size", 1.into()).set("hash", json!(["subject"])).set("hash_salt", SALT.into());
    let mut child = tap.command(&[]).env("RUST_LOG", "trace").stdout(Stdio::piped()).spawn().expect("the tap runs");
    let mut first = [0];
    child.stdout.take().expect("a pipe").read_exact(&mut first).expect("a message");
    let listed = fs::read_to_string(format!("/proc/{}/cmdline", child.id())).expect("Linux");
    child.kill().expect("a child");
    child.wait().expect("a child");
    assert!(listed.contains("config.json") && !listed.contains("pat-na1"), "{listed:?}");
    for arguments in [&[][..], &["--discover"], &["--test"], &["--about"]] {
        let finished = traced(&tap, arguments).succeeded();
        for secret in [SALT, "pat-na1-sandbox-token"] {
            assert!(!finished.stderr.contains(secret) && !finished.text().contains(secret), "{secret}");
        }
    }
    let mut tap = Tap::unhurried(&portal);
    tap.set("hash", json!(["subject"]));
    let finished = tap.sync(None);
    assert_eq!((finished.code, finished.text()), (Some(2), ""));
    assert!(
        finished.last_line().contains("hash") && finished.last_line().contains("hash_salt"),
        "{}",
        finished.last_line()
    );
}

fn hash(text: &str) -> String {
    let hash = Sha256::digest(format!("{SALT}{text}"));
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn what_is_dropped_or_hashed_stands_nowhere() {
    let portal = portal();
    mark(&portal);
    let mut tap = Tap::unhurried(&portal);
    let mut catalog = tap.discover();
    for (stream, fields) in [("contacts", &["email", "firstname", "lastname"][..]), ("companies", &["name", "domain"])]
    {
        select(&mut catalog, stream, "", true);
        for field in fields {
            select(&mut catalog, stream, field, true);
        }
    }
    tap.set("drop", json!(["subject", "companies.name", "last*"]))
        .set(
            "hash",
            json!(["content", "age", "birthday", "tickets.hs_pipeline", "email", "firstname", "companies.domain"]),
        )
        .set("hash_salt", SALT.into());
    tap.write("catalog.json", &catalog);
    portal.clear_requests();
    let finished = traced(&tap, &["--catalog", "catalog.json"]).succeeded();
    for text in [MARK, "Löwe", "L\\u00f6we", "quetzal.example"] {
        assert!(!finished.text().contains(text), "{text} in the output");
        assert!(!finished.stderr.contains(text), "{text} in the log");
    }
    let messages = finished.messages();
    for (stream, gone) in [("tickets", "subject"), ("companies", "name"), ("contacts", "lastname")] {
        assert!(!columns(&messages, stream).iter().any(|column| column == gone), "{stream}.{gone}");
    }
    for request in portal.requests().iter().filter(|one| one.path.contains("objects")) {
        let asked = format!("{} {}", request.query, request.body);
        let names: Vec<&str> = asked.split(|one: char| !one.is_alphanumeric() && one != '_').collect();
        for (object_type, gone) in [("", "subject"), ("", "lastname"), ("companies", "name")] {
            let about = request.path.contains(object_type);
            assert!(!about || !names.contains(&gone), "{gone} was asked for: {} {asked}", request.path);
        }
    }
    let tables = fold(&messages);
    for column in ["content", "age", "birthday", "hs_pipeline"] {
        let schema = &tables.table("tickets").schema["properties"][column];
        assert_eq!(schema, &json!({"type": ["string", "null"]}), "{column}");
    }
    let tickets = records(&messages, "tickets");
    assert_eq!(tickets.len(), 30);
    for ticket in &tickets {
        for column in ["content", "age", "birthday"] {
            assert_eq!(ticket[column], hash(MARK), "{column}");
        }
        assert_eq!(ticket["_unparsed"], Value::Null, "a hash fits always");
        let pipeline = ticket["hs_pipeline"].as_str().expect("a hash");
        assert!([hash("0"), hash("1")].iter().any(|one| one == pipeline) || pipeline.len() == 64);
    }
    let contact = tickets.iter().map(|one| &one["primary_contact"]).find(|one| one.is_object()).expect("a contact");
    assert_eq!(contact["email"], hash(&format!("{MARK}@example.com")));
    assert_eq!(contact["name"], hash(MARK), "of the name the part that is not dropped");
    let company = tickets.iter().map(|one| &one["primary_company"]).find(|one| one.is_object()).expect("a company");
    assert_eq!((&company["name"], &company["domain"]), (&Value::Null, &hash("quetzal.example").into()));
    let contacts = records(&messages, "contacts");
    assert!(
        !contacts.is_empty() && contacts.iter().all(|one| one["email"] == contact["email"]),
        "the same under one salt"
    );
}

#[test]
fn nothing_is_asked_for_of_a_contact_that_may_not_be_read() {
    let portal = portal();
    mark(&portal);
    let mut tap = Tap::unhurried(&portal);
    tap.set("drop", json!(["contacts.*"]));
    portal.clear_requests();
    let finished = tap.sync(None).succeeded();
    assert_eq!(portal.request_counts().get("batch_read contacts"), None, "HubSpot would send what was not asked for");
    let tickets = records(&finished.messages(), "tickets");
    let contact = tickets.iter().map(|one| &one["primary_contact"]).find(|one| one.is_object()).expect("a contact");
    assert_eq!((&contact["email"], &contact["name"]), (&Value::Null, &Value::Null));
    assert!(contact["id"].is_string());
}

#[test]
fn a_rule_that_is_new_sends_every_row_again() {
    let portal = portal();
    mark(&portal);
    let mut tap = Tap::unhurried(&portal);
    let first = tap.sync(None).succeeded().messages();
    let mut tables = fold(&first);
    tap.set("hash", json!(["content"])).set("hash_salt", SALT.into());
    let second = tap.sync(tables.state.clone().as_ref()).succeeded();
    assert_eq!(second.said("everything is read again"), 1, "{}", second.stderr);
    tables.load(&second.messages());
    let mut rows = tables.table("tickets").rows.values();
    assert!(rows.all(|held| held.row["content"].get().trim_matches('"') == hash(MARK)));
    let third = tap.sync(tables.state.clone().as_ref()).succeeded();
    assert_eq!(third.said("everything is read again"), 0, "{}", third.stderr);
}

#[test]
fn sensitive_properties_are_not_read_unless_a_setting_allows_them() {
    let portal = portal();
    let mut tap = Tap::unhurried(&portal);
    let mut secret = PropertyDef::new("diagnosis", "string", "text");
    secret.data_sensitivity = "sensitive".to_owned();
    portal.define_property("tickets", secret);
    for id in ids(&portal, "tickets") {
        portal.update("tickets", id, &[("diagnosis", MARK)]);
    }
    let mut catalog = tap.discover();
    assert_eq!(metadata(entry(&mut catalog, "tickets"), &["properties", "diagnosis"])["selected-by-default"], false);
    for finished in [tap.sync(None), tap.sync_catalog(&catalog, None)] {
        assert!(!finished.succeeded().text().contains(MARK));
    }
    select(&mut catalog, "tickets", "diagnosis", true);
    assert!(!tap.sync_catalog(&catalog, None).succeeded().text().contains(MARK), "whatever the catalog selects");
    tap.set("sensitive_properties", serde_json::json!(["diagnosis"]));
    let catalog = tap.discover();
    assert!(tap.sync_catalog(&catalog, None).succeeded().text().contains(MARK));
}
