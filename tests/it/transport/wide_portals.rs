//! Portals whose property names are longer than a URL may be.

use hubspot_sandbox::{Fault, FaultRule, PropertyDef};

use super::{assert_whole, of_endpoint, portal, tap};
use crate::support::catalogs::{only, tickets_with};
use crate::support::messages::{fold, records};
use crate::support::portal::Portal;

/// Properties whose names together are longer than a URL may be.
fn widen(portal: &Portal, count: usize) {
    for number in 0..count {
        let name = format!("a_custom_property_with_a_name_as_long_as_people_like_to_write_them_{number:04}");
        portal.define_property("tickets", PropertyDef::new(&name, "string", "text"));
    }
}

#[test]
fn a_wide_portal_is_read_by_ids_and_batches() {
    let portal = portal();
    widen(&portal, 400);
    let id: u64 = portal.truth().live_tickets()[4].parse().expect("an id");
    let last = "a_custom_property_with_a_name_as_long_as_people_like_to_write_them_0399";
    portal.update("tickets", id, &[(last, "kept")]);
    let tap = tap(&portal);
    let catalog = tap.discover();
    portal.clear_requests();
    let finished = tap.sync(None).succeeded();
    let tables = fold(&finished.messages());
    for table in portal.truth().tables(&catalog) {
        table.assert_held(&table.in_messages(&tables), crate::support::cell::Fidelity::Exact);
    }
    assert_eq!(portal.request_counts().get("status 414"), None, "known beforehand");
    let lists = of_endpoint(&portal, "list tickets");
    let ids_alone = ["properties=hs_object_id", "archived=true&properties=hs_merged_object_ids"];
    assert!(lists.iter().all(|one| ids_alone.iter().any(|ids| one.query.contains(ids))), "ids alone");
    let batches = of_endpoint(&portal, "batch_read tickets");
    assert_eq!(batches.len(), 3, "one a page");
    assert!(batches.iter().all(|one| one.body.contains(last)));
    assert!(
        finished.stderr.contains("WARN 614 properties of tickets are selected"),
        "a Postgres row cannot hold them: {}",
        finished.stderr
    );
}

#[test]
fn a_url_that_is_too_long_for_the_edge_switches_to_batches_for_good() {
    let portal = portal();
    let tap = tap(&portal);
    let catalog = only(&tap.discover(), &["tickets"]);
    portal.clear_requests();
    portal.faults([FaultRule::always("subject", Fault::Html(414))]);
    let finished = tap.sync_catalog(&catalog, None).succeeded();
    assert_whole(&portal, &finished);
    assert_eq!(portal.request_counts()["status 414"], 1, "once");
    assert_eq!(of_endpoint(&portal, "batch_read tickets").len(), 3);
    assert!(records(&finished.messages(), "tickets").iter().any(|record| record["subject"].is_string()));
}

#[test]
fn a_record_that_a_batch_leaves_out_once_is_asked_for_again() {
    let portal = portal();
    let tap = tap(&portal);
    let catalog = tickets_with(&tap.discover(), &["subject"]);
    portal.faults([
        FaultRule::always("subject", Fault::Html(414)),
        FaultRule::next("tickets/batch/read", Fault::RecordMissing),
    ]);
    let finished = tap.sync_catalog(&catalog, None).succeeded();
    assert_eq!(records(&finished.messages(), "tickets").len(), 30);
}
