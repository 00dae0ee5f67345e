//! A token that may read little reads that little, and what it may not read is named before anything is read.

use hubspot_sandbox::Options;

use crate::support::messages::{activated, columns, records, states};
use crate::support::portal::Portal;
use crate::support::tap::Tap;

const REFUSED: i32 = 3;

fn portal() -> Portal {
    Portal::start(Options { merged: 1, stage_properties: false, ..Options::with_tickets(60) })
}

fn with_scopes(portal: &Portal, scopes: &[&str]) -> Tap {
    portal.add_token("lesser", &[&["oauth"], scopes].concat());
    let mut tap = Tap::unhurried(portal);
    tap.set("access_token", "lesser".into());
    tap
}

#[test]
fn the_tickets_scope_alone_is_enough_for_tickets() {
    let portal = portal();
    let tap = with_scopes(&portal, &["tickets"]);
    let finished = tap.sync(None).succeeded();
    let messages = finished.messages();
    let truth = portal.truth();
    let live = records(&messages, "tickets").iter().filter(|record| record["archived"] == false).count();
    assert_eq!(live, truth.live_tickets().len());
    for stream in ["ticket_properties", "ticket_pipelines", "ticket_pipeline_stages"] {
        assert!(!records(&messages, stream).is_empty(), "{stream}");
    }
    for stream in ["owners", "ticket_associations", "contacts"] {
        assert!(records(&messages, stream).is_empty() && activated(&messages, stream).is_empty(), "{stream}");
    }
    for stream in ["ticket_associations", "contacts"] {
        assert!(columns(&messages, stream).is_empty(), "{stream}");
    }
    assert!(
        !columns(&messages, "tickets")
            .iter()
            .any(|column| column.contains("contact") && column.starts_with("associated_"))
    );
    // Each run says the same, also with a state and a catalog.
    let catalog = tap.discover();
    tap.sync_catalog(&catalog, states(&messages).last()).succeeded();
}

#[test]
fn every_missing_scope_is_named_before_a_ticket_is_read() {
    let portal = portal();
    let tap = with_scopes(&portal, &["tickets"]);
    let finished = tap.sync(None).succeeded();
    let begins = finished.stderr.find(" begins").expect("the line that begins the run");
    for scope in ["crm.objects.contacts.read", "crm.objects.companies.read"] {
        assert!(finished.stderr[..begins].contains(scope), "{scope} in: {}", finished.stderr);
    }
    let report = tap.run(&["--test"]);
    assert_eq!(report.code, Some(REFUSED), "not all that is read by default: {}", report.stderr);
    let expected = [
        "portal 245001234, STANDARD",
        "tickets: ok (scope tickets)",
        "ticket_properties: ok (scope tickets)",
        "ticket_pipelines, ticket_pipeline_stages: ok (scope tickets)",
        "owners: missing: add the scope crm.objects.owners.read",
        "contacts: missing: add the scope crm.objects.contacts.read; missing: add the scope crm.schemas.contacts.read",
        "companies: missing: add the scope crm.objects.companies.read; missing: add the scope crm.schemas.companies.read",
        "deals: missing: add the scope crm.objects.deals.read; missing: add the scope crm.schemas.deals.read",
        "associations with contacts: missing: add the scope crm.objects.contacts.read",
        "associations with companies: missing: add the scope crm.objects.companies.read",
    ];
    let lines: Vec<&str> = report.text().lines().collect();
    for line in expected {
        assert!(lines.iter().any(|one| one.starts_with(line)), "{line} in:\n{}", report.text());
    }
    // One that has the schemas' scopes and not those of the objects.
    let tap = with_scopes(&portal, &["tickets", "crm.schemas.contacts.read"]);
    let report = tap.run(&["--test"]);
    let line = "contacts: missing: add the scope crm.objects.contacts.read";
    assert!(report.text().lines().any(|one| one == line), "{}", report.text());
    assert!(lines.last().is_some_and(|last| last.contains("API calls left today")), "{}", report.text());
}

#[test]
fn associations_of_a_type_that_was_not_read_again_are_not_taken_away() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    let catalog = tap.discover();
    let first = tap.sync_catalog(&catalog, None).succeeded().messages();
    assert_eq!(activated(&first, "ticket_associations").len(), 1);
    assert!(["contacts", "companies"].iter().all(|object_type| {
        records(&first, "ticket_associations").iter().any(|record| record["to_object_type"] == *object_type)
    }));
    let lesser = with_scopes(&portal, &["tickets", "crm.objects.contacts.read", "crm.objects.owners.read"]);
    lesser.write("catalog.json", &catalog);
    lesser.write("state.json", states(&first).last().expect("a state"));
    let arguments = ["--catalog", "catalog.json", "--state", "state.json", "--full-refresh", "tickets"];
    let finished = lesser.run(&arguments).succeeded();
    let second = finished.messages();
    assert_eq!(activated(&second, "tickets").len(), 1, "all tickets were read");
    assert!(records(&second, "ticket_associations").iter().all(|record| record["to_object_type"] == "contacts"));
    assert!(activated(&second, "ticket_associations").is_empty(), "companies were not read: {}", finished.stderr);
    assert_eq!(finished.said("associations with companies are left out"), 1);
}
