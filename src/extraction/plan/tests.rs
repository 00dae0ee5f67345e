//! What becomes of a catalog's selection.

use serde_json::{Value, json};

use super::*;
use crate::discovery::Obstacle;

/// A catalog that selects these streams with these columns beside their keys.
fn catalog(streams: &[(&str, &[&str])]) -> Catalog {
    let entry = |(stream, columns): &(&str, &[&str])| {
        let property = |column: &&str| ((*column).to_owned(), json!({"type": ["string", "null"]}));
        let properties: serde_json::Map<String, Value> = columns.iter().map(property).collect();
        json!({
            "tap_stream_id": stream,
            "stream": stream,
            "schema": {"type": "object", "properties": properties},
            "metadata": [{"breadcrumb": [], "metadata": {"selected": true}}],
        })
    };
    let catalog = json!({"streams": streams.iter().map(entry).collect::<Vec<_>>()});
    Catalog::parse(catalog.to_string().as_bytes()).expect("a catalog")
}

fn plan(catalog: &Catalog, access: &Access) -> Result<Plan, PlanError> {
    let types = vec![ObjectType::CONTACTS, ObjectType::DEALS];
    let settings = AssociationSettings { types, ..AssociationSettings::default() };
    Plan::new(catalog, &settings, access, &State::empty("1"), &Privacy::new(&[], &[], None))
}

#[test]
fn streams_are_planned_in_the_order_in_which_they_are_read() {
    let catalog = catalog(&[
        ("sync_audit", &["stream"]),
        ("ticket_associations", &["label"]),
        ("tickets", &["subject", "associated_deals"]),
        ("owners", &["email"]),
    ]);
    let plan = plan(&catalog, &Access::default()).expect("a plan");
    assert_eq!(plan.streams().collect::<Vec<_>>(), ["owners", "tickets", "ticket_associations", "sync_audit"]);
    assert!(plan.reads_small("owners") && !plan.reads_small("ticket_pipelines") && plan.audit.is_some());
    assert_eq!(plan.objects.len(), 1);
    assert_eq!(plan.objects[0].streams(), ["tickets", "ticket_associations"]);
    let columns = plan.objects[0].columns.as_ref().expect("columns");
    assert_eq!(columns.associated.iter().map(|(_, column)| column.as_str()).collect::<Vec<_>>(), ["associated_deals"]);
}

#[test]
fn associations_alone_are_those_of_tickets_that_write_no_rows() {
    let catalog = catalog(&[("ticket_associations", &[])]);
    let mut plan = plan(&catalog, &Access::default()).expect("a plan");
    let [object] = &plan.objects[..] else { panic!("{:?}", plan.objects) };
    assert!(object.columns.is_none() && object.associations.is_some_and(|columns| !columns.label));
    assert_eq!(object.types, [ObjectType::CONTACTS, ObjectType::DEALS]);
    plan.force_full_table("ticket_associations");
    assert!(plan.objects[0].full_table);
}

#[test]
fn a_type_without_its_scope_is_not_read_and_its_column_stays_as_it_is() {
    let catalog = catalog(&[("tickets", &["associated_deals", "associated_contacts"]), ("ticket_associations", &[])]);
    let denied = (ObjectType::DEALS, Obstacle::Scope("crm.objects.deals.read".to_owned()));
    let plan = plan(&catalog, &Access { associations: vec![denied], ..Access::default() }).expect("a plan");
    assert_eq!(plan.objects[0].types, [ObjectType::CONTACTS]);
    let [warning] = &plan.warnings[..] else { panic!("{:?}", plan.warnings) };
    assert!(warning.starts_with("associations with deals are left out"), "{warning}");
}

#[test]
fn a_stream_without_its_scope_is_left_out_and_a_plan_of_none_is_an_error() {
    let access = Access { streams: vec![("owners", "crm.objects.owners.read".to_owned())], ..Access::default() };
    let both = catalog(&[("owners", &[]), ("tickets", &["subject"]), ("sync_audit", &["stream"])]);
    assert_eq!(plan(&both, &access).expect("a plan").streams().collect::<Vec<_>>(), ["tickets", "sync_audit"]);
    let none = catalog(&[("owners", &[]), ("sync_audit", &["stream"])]);
    let Err(PlanError::NothingReadable { stream, scope }) = plan(&none, &access) else { panic!("a plan") };
    assert_eq!((stream, scope.as_str()), ("owners", "crm.objects.owners.read"));
}
