//! What the token may not read: it is told whole, marked in the catalog, and left out of runs without ending them.

use hubspot_sandbox::{Fault, FaultRule, Options, read_scopes};
use serde_json::{Value, json};

use crate::support::catalogs::{metadata, only, select};
use crate::support::messages::{columns, fold, records};
use crate::support::pages::read;
use crate::support::portal::Portal;
use crate::support::source;
use crate::support::tap::Tap;

const REFUSED: i32 = 3;

/// The scopes that the README asks for, each an item of its own.
fn readme_scopes() -> Vec<String> {
    let readme = read("README.md");
    let section = readme.split("with these scopes:\n\n").nth(1).expect("the scopes");
    let items = section.lines().map_while(|line| line.strip_prefix("- "));
    items.map(|item| item.trim_matches('`').to_owned()).collect()
}

fn portal() -> Portal {
    Portal::start(Options { merged: 0, archived_share: 0.0, ..Options::with_tickets(30) })
}

/// A tap whose token has these scopes.
fn with_scopes(portal: &Portal, scopes: &[&str]) -> Tap {
    let scopes: Vec<&str> = scopes.iter().copied().chain(["oauth"]).collect();
    portal.add_token("lesser", &scopes);
    let mut tap = Tap::unhurried(portal);
    tap.set("access_token", "lesser".into()).set("retry_attempts", 0.into());
    tap
}

fn without(portal: &Portal, missing: &[&str]) -> Tap {
    let scopes = read_scopes();
    let scopes: Vec<&str> = scopes.iter().map(String::as_str).filter(|scope| !missing.contains(scope)).collect();
    with_scopes(portal, &scopes)
}

/// 403s as HubSpot has been seen to send them.
fn denials() -> Vec<Fault> {
    [
        r#"{"status":"error","message":"This oauth-token (CJT-1234) does not have proper permissions! (requires any of [x])"}"#,
        r#"{"status":"error","message":"This auth request is missing required 'some.scope.read' scope"}"#,
        r#"{"status":"error","message":"no","category":"MISSING_SCOPES"}"#,
        r#"{"status":"error","message":"no","category":"MISSING_SCOPES","errors":null}"#,
        r#"{"message":"You do not have permissions"}"#,
        "{}",
    ]
    .map(|body| Fault::Status { code: 403, headers: Vec::new(), body: Some(body.to_owned()) })
    .to_vec()
}

/// Everything selected, as Meltano's default selection does it.
fn everything(catalog: &Value) -> Value {
    let mut all = catalog.clone();
    for entry in all["streams"].as_array_mut().expect("streams") {
        let names: Vec<String> = entry["schema"]["properties"].as_object().expect("columns").keys().cloned().collect();
        metadata(entry, &[])["selected"] = true.into();
        for name in names {
            metadata(entry, &["properties", &name])["selected"] = true.into();
        }
    }
    all
}

#[test]
fn a_403_of_any_shape_leaves_the_stream_out_and_names_a_scope() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    let catalog = tap.discover();
    tap.write("catalog.json", &everything(&catalog));
    for (stream, path, scope) in [
        ("owners", "/owners", "crm.objects.owners.read"),
        ("contacts", "GET /crm/objects/2026-03/contacts", "crm.objects.contacts.read"),
        ("deals", "GET /crm/objects/2026-03/deals", "crm.objects.deals.read"),
        ("ticket_pipelines", "/pipelines/", "tickets"),
        ("associations with contacts", "/tickets/contacts/", "crm.objects.contacts.read"),
        ("associated_deals of contacts", "/contacts/deals/", "crm.objects.deals.read"),
    ] {
        for fault in denials() {
            portal.clear_faults();
            let scope = if format!("{fault:?}").contains("some.scope") { "some.scope.read" } else { scope };
            portal.faults([FaultRule::always(path, fault.clone())]);
            let finished = tap.run(&["--catalog", "catalog.json"]);
            assert_eq!(finished.code, Some(0), "{stream} {fault:?}: {}", finished.stderr);
            let warned = |line: &&str| line.contains("WARN") && line.contains(stream) && line.contains(scope);
            assert!(finished.stderr.lines().any(|line| warned(&line)), "{stream} {fault:?}: {}", finished.stderr);
            assert_eq!(records(&finished.messages(), "tickets").len(), 30);
        }
    }
}

#[test]
fn discovery_says_and_marks_what_a_403_of_any_shape_denies() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    for (stream, path, scope) in [
        ("owners", "/owners", "crm.objects.owners.read"),
        ("contacts", "/properties/2026-03/contacts", "crm.schemas.contacts.read"),
        ("deals", "/properties/2026-03/deals", "crm.schemas.deals.read"),
    ] {
        for fault in denials() {
            portal.clear_faults();
            let scope = if format!("{fault:?}").contains("some.scope") { "some.scope.read" } else { scope };
            portal.faults([FaultRule::always(path, fault)]);
            let finished = tap.run(&["--discover"]).succeeded();
            assert_eq!(finished.said(&format!("WARN {stream} is not selected by default")), 1, "{}", finished.stderr);
            let mut catalog: Value = serde_json::from_slice(&finished.stdout).expect("a catalog");
            let entries = catalog["streams"].as_array_mut().expect("streams");
            let entry = entries.iter_mut().find(|entry| entry["stream"] == stream).expect("an entry");
            let marked = metadata(entry, &[]);
            assert_eq!((&marked["hubspot-missing-scope"], &marked["selected"]), (&json!(scope), &json!(false)));
        }
    }
}

#[test]
fn discovery_goes_on_without_a_side_that_fails() {
    let portal = portal();
    let mut tap = Tap::unhurried(&portal);
    tap.set("retry_attempts", 0.into());
    for path in ["/owners", "/properties/2026-03/contacts", "/tickets/contacts/", "/contacts/deals/", "account-info"] {
        portal.clear_faults();
        let failing = Fault::Status { code: 500, headers: Vec::new(), body: None };
        portal.faults([FaultRule::always(path, failing)]);
        let finished = tap.run(&["--discover"]).succeeded();
        assert!(finished.said("WARN") >= 1, "{path}: {}", finished.stderr);
        source::discover(&tap);
    }
}

#[test]
fn the_readmes_scopes_read_everything_that_they_allow() {
    let portal = portal();
    let scopes = readme_scopes();
    assert_eq!(scopes.len(), 4, "{scopes:?}");
    let tap = with_scopes(&portal, &scopes.iter().map(String::as_str).collect::<Vec<_>>());
    tap.run(&["--test"]).succeeded();
    let catalog = tap.discover();
    // Meltano selects every stream that its definition of the plugin does not exclude.
    tap.write("catalog.json", &everything(&catalog));
    let finished = tap.run(&["--catalog", "catalog.json"]).succeeded();
    let messages = finished.messages();
    assert_eq!(records(&messages, "tickets").len(), 30);
    assert!(!records(&messages, "contacts").is_empty());
    assert!(records(&messages, "deals").is_empty());
    assert!(!columns(&messages, "contacts").contains(&"associated_deals".to_owned()));
    for line in [
        "WARN contacts has no columns for its properties",
        "WARN deals is left out",
        "WARN the column associated_deals of contacts is left out",
    ] {
        assert_eq!(finished.said(line), 1, "{line} in {}", finished.stderr);
    }
    assert!(finished.said("crm.objects.deals.read") >= 2, "{}", finished.stderr);

    let streams = source::discover(&tap);
    let said = source::read(&tap, &source::configured(&streams, |_| "incremental"), &[]).succeeded();
    assert_eq!(said.records("tickets").len(), 30);
}

#[test]
fn contacts_are_discovered_with_deals_marked_where_their_scope_is_missing() {
    let portal = portal();
    let tap = without(&portal, &["crm.objects.deals.read"]);
    let mut catalog = tap.discover();
    let entries = catalog["streams"].as_array_mut().expect("streams");
    let contacts = entries.iter_mut().find(|entry| entry["stream"] == "contacts").expect("contacts");
    let column = metadata(contacts, &["properties", "associated_deals"]).clone();
    assert_eq!(column["hubspot-missing-scope"], "crm.objects.deals.read");
    assert_eq!(column["selected-by-default"], false);
    let mut catalog = only(&catalog, &["contacts"]);
    select(&mut catalog, "contacts", "associated_deals", true);
    tap.write("catalog.json", &catalog);
    let finished = tap.run(&["--catalog", "catalog.json"]).succeeded();
    assert!(!records(&finished.messages(), "contacts").is_empty());
    assert_eq!(finished.said("WARN the column associated_deals of contacts is left out"), 1, "{}", finished.stderr);
}

#[test]
fn a_stream_that_was_read_and_lost_its_scope_ends_the_run_after_everything_else() {
    let portal = portal();
    let mut tap = without(&portal, &["crm.objects.owners.read", "crm.objects.companies.read"]);
    tap.set("access_token", portal.access_token().into());
    let catalog = only(&tap.discover(), &["owners", "tickets", "companies"]);
    let mut tables = fold(&tap.sync_catalog(&catalog, None).succeeded().messages());
    let (owners, companies) = (tables.table("owners").rows.len(), tables.table("companies").rows.len());
    tap.set("access_token", "lesser".into());
    let finished = tap.sync_catalog(&catalog, tables.state.as_ref());
    assert_eq!(finished.code, Some(REFUSED), "{}", finished.stderr);
    assert!(finished.last_line().contains("add the scope crm.objects.owners.read"), "{}", finished.last_line());
    assert_eq!(finished.said("WARN companies is left out"), 1, "{}", finished.stderr);
    tables.load(&finished.messages());
    for (stream, rows) in [("owners", owners), ("companies", companies), ("tickets", 30)] {
        let held = tables.table(stream).rows.values().filter(|held| !held.deleted).count();
        assert_eq!(held, rows, "{stream}");
    }
}

#[test]
fn the_test_of_the_connection_lists_every_scope_that_is_missing() {
    let portal = portal();
    let tap = with_scopes(&portal, &[]);
    let finished = tap.run(&["--test"]);
    assert_eq!(finished.code, Some(REFUSED), "{}", finished.stderr);
    for scope in ["tickets", "crm.objects.owners.read"] {
        assert!(finished.last_line().contains(scope), "{}", finished.last_line());
    }
    for line in [
        "tickets: missing: add the scope tickets",
        "ticket_properties: missing: add the scope tickets",
        "ticket_pipelines, ticket_pipeline_stages: missing: add the scope tickets",
        "owners: missing: add the scope crm.objects.owners.read",
        "contacts: missing: add the scope crm.objects.contacts.read; missing: add the scope crm.schemas.contacts.read",
        "deals: missing: add the scope crm.objects.deals.read; missing: add the scope crm.schemas.deals.read",
    ] {
        assert!(finished.text().lines().any(|one| one == line), "{line} in {}", finished.text());
    }
    let said = source::run(&tap, &["check", "--config", "config.json"]).succeeded();
    let status = said.of("CONNECTION_STATUS")[0]["connectionStatus"].clone();
    assert_eq!(status["status"], "FAILED");
    for scope in ["tickets", "crm.objects.owners.read"] {
        assert!(status["message"].as_str().expect("text").contains(scope), "{status}");
    }
}

#[test]
fn the_test_of_the_connection_fails_where_a_default_association_is_missing() {
    let portal = portal();
    for (missing, code) in [
        ("crm.objects.companies.read", REFUSED),
        ("crm.objects.contacts.read", REFUSED),
        ("crm.objects.owners.read", REFUSED),
        ("crm.objects.deals.read", 0),
        ("crm.schemas.contacts.read", 0),
        ("tickets.sensitive.v2", 0),
    ] {
        let finished = without(&portal, &[missing]).run(&["--test"]);
        assert_eq!(finished.code, Some(code), "{missing}: {}", finished.stderr);
        let is_listed = finished.text().contains(missing) && finished.text().contains("missing");
        assert!(is_listed || missing == "tickets.sensitive.v2", "{}", finished.text());
    }
}

#[test]
fn an_association_type_that_the_portal_does_not_know_is_said_and_left_out() {
    let portal = portal();
    let mut tap = Tap::unhurried(&portal);
    tap.set("associations", json!(["contacts", "wombats"]));
    let finished = tap.run(&["--test"]);
    assert_eq!(finished.code, Some(REFUSED), "{}", finished.stderr);
    assert!(finished.text().contains("associations with wombats: unknown to this portal"), "{}", finished.text());
    assert!(finished.text().contains("associations with contacts: ok"), "{}", finished.text());
    tap.discover();
    for arguments in [&[][..], &["--catalog", "catalog.json"], &["--plan"]] {
        let finished = tap.run(arguments).succeeded();
        assert!(finished.said("WARN") <= 2, "{}", finished.stderr);
        if arguments.first() != Some(&"--plan") {
            assert_eq!(records(&finished.messages(), "tickets").len(), 30);
            assert!(!columns(&finished.messages(), "tickets").contains(&"associated_wombats".to_owned()));
        }
    }
    assert_eq!(tap.run(&[]).said("WARN associations with wombats are left out"), 1);
}

#[test]
fn a_plan_is_made_without_what_the_token_may_not_read() {
    let portal = portal();
    let tap = with_scopes(&portal, &["tickets"]);
    let finished = tap.run(&["--plan"]).succeeded();
    assert!(finished.text().contains("tickets"), "{}", finished.text());
}
