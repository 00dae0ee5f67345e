//! What a catalog selects is what is asked for and what comes out.

use hubspot_sandbox::{Options, PropertyDef, Sandbox, read_scopes};
use serde_json::{Value, json};

use crate::support::catalogs::{entry, metadata, only, select, tickets_with};
use crate::support::messages::{columns, of, records};
use crate::support::portal::Portal;
use crate::support::tap::{Finished, Tap};

const ALL: [&str; 6] =
    ["owners", "ticket_pipelines", "ticket_pipeline_stages", "ticket_properties", "tickets", "ticket_associations"];

fn portal() -> Portal {
    Portal::start(Options { merged: 0, archived_share: 0.0, ..Options::with_tickets(8) })
}

/// The properties that pages of live tickets were asked for.
fn asked_for(portal: &Sandbox) -> Vec<String> {
    let of_live = |query: &str| query.contains("archived=false") && !query.contains("limit=1&");
    let mut lists = portal.requests().into_iter().filter(|request| request.endpoint == "list tickets");
    let query = lists.find(|request| of_live(&request.query)).expect("a page of tickets").query;
    let names = query.split('&').find_map(|pair| pair.strip_prefix("properties=")).unwrap_or_default();
    names.split(',').map(str::to_owned).collect()
}

/// The streams of which a SCHEMA came.
fn streams(finished: &Finished) -> Vec<String> {
    let schemas = finished.messages().into_iter().filter(|message| message.kind == "SCHEMA");
    schemas.filter_map(|message| message.stream).collect()
}

/// Asserts that a ticket's column is in SCHEMA, every RECORD and the request, or in none of them.
#[track_caller]
fn assert_selected(portal: &Portal, finished: &Finished, column: &str, selected: bool) {
    let messages = finished.messages();
    assert_eq!(columns(&messages, "tickets").iter().any(|one| one == column), selected, "{column} in SCHEMA");
    let found = records(&messages, "tickets");
    assert!(!found.is_empty());
    assert!(found.iter().all(|record| record.get(column).is_some() == selected), "{column} in RECORDs");
    assert_eq!(asked_for(portal).iter().any(|one| one == column), selected, "{column} asked for");
}

#[test]
fn fields_follow_every_rule_of_the_sdk() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    let base = tickets_with(&tap.discover(), &[]);
    for (field, selected) in [
        (None, true),
        (Some(json!({})), true),
        (Some(json!({"inclusion": "available"})), true),
        (Some(json!({"inclusion": "available", "selected": true})), true),
        (Some(json!({"inclusion": "available", "selected": false})), false),
        (Some(json!({"selected": "true", "selected-by-default": false})), true),
        (Some(json!({"selected": "false", "selected-by-default": true})), false),
        (Some(json!({"selected-by-default": true})), true),
        (Some(json!({"selected-by-default": false})), false),
        (Some(json!({"selected-by-default": false, "selected": true})), true),
        (Some(json!({"selected-by-default": true, "selected": false})), false),
        (Some(json!({"inclusion": "automatic", "selected": false})), true),
        (Some(json!({"inclusion": "automatic", "selected-by-default": false})), true),
        (Some(json!({"inclusion": "unsupported", "selected": true})), false),
    ] {
        let mut catalog = base.clone();
        let tickets = entry(&mut catalog, "tickets");
        match &field {
            Some(field) => *metadata(tickets, &["properties", "subject"]) = field.clone(),
            None => tickets["metadata"]
                .as_array_mut()
                .expect("metadata")
                .retain(|one| one["breadcrumb"] != json!(["properties", "subject"])),
        }
        portal.clear_requests();
        let finished = tap.sync_catalog(&catalog, None).succeeded();
        assert_selected(&portal, &finished, "subject", selected);
    }
}

#[test]
fn streams_follow_every_rule_of_the_sdk() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    let base = only(&tap.discover(), &["ticket_pipelines"]);
    for (of_stream, of_entry, selected) in [
        (Some(json!({})), None, false),
        (Some(json!({"inclusion": "available"})), None, false),
        (Some(json!({"selected": true})), None, true),
        (Some(json!({"selected": "true"})), None, true),
        (Some(json!({"selected": false, "selected-by-default": true})), None, false),
        (Some(json!({"selected": "false"})), None, false),
        (Some(json!({"selected-by-default": true})), None, true),
        (Some(json!({"selected-by-default": false})), None, false),
        (Some(json!({"selected": true, "inclusion": "unsupported"})), None, false),
        // As Meltano writes it: on the entry and in the metadata.
        (Some(json!({"selected": true})), Some(true), true),
        (Some(json!({"selected": false})), Some(false), false),
        (Some(json!({"selected": false, "inclusion": "available"})), Some(true), false),
        // No metadata at all.
        (None, None, true),
    ] {
        let mut catalog = base.clone();
        let owners = entry(&mut catalog, "owners");
        match &of_stream {
            Some(of_stream) => *metadata(owners, &[]) = of_stream.clone(),
            None => owners["metadata"] = json!([]),
        }
        if let Some(of_entry) = of_entry {
            owners["selected"] = of_entry.into();
        }
        portal.clear_requests();
        let finished = tap.sync_catalog(&catalog, None).succeeded();
        let expected = if selected { &["owners", "ticket_pipelines"][..] } else { &["ticket_pipelines"] };
        assert_eq!(streams(&finished), expected, "{of_stream:?} {of_entry:?}");
        assert_eq!(portal.request_counts().contains_key("owners"), selected, "{of_stream:?}");
    }
}

#[test]
fn a_deselected_stream_deselects_its_automatic_fields_as_meltano_writes_them() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    let mut catalog = tap.discover();
    for one in catalog["streams"].as_array_mut().expect("streams") {
        let selected = one["stream"] == "owners";
        one["selected"] = selected.into();
        for field in one["metadata"].as_array_mut().expect("metadata") {
            field["metadata"]["selected"] = selected.into();
        }
    }
    assert_eq!(streams(&tap.sync_catalog(&catalog, None).succeeded()), ["owners"]);
}

#[test]
fn deselected_columns_leave_schema_and_records_of_every_stream() {
    let portal = Portal::start(Options { archived_share: 0.3, ..Options::with_tickets(60) });
    let tap = Tap::unhurried(&portal);
    let mut catalog = tap.discover();
    let automatic = ["id", "updated_at", "_tenant_id", "_scan_id", "_extracted_at"];
    for stream in ALL {
        let tickets = entry(&mut catalog, stream);
        for one in tickets["metadata"].as_array_mut().expect("metadata") {
            if !one["breadcrumb"].as_array().expect("a breadcrumb").is_empty() {
                one["metadata"]["selected"] = false.into();
            }
        }
    }
    let messages = tap.sync_catalog(&catalog, None).succeeded().messages();
    for stream in ALL {
        let found = columns(&messages, stream);
        let keys = of(&messages, "SCHEMA", stream)[0].key_properties.clone().expect("key_properties");
        for column in &found {
            assert!(automatic.contains(&column.as_str()) || keys.contains(column), "{stream}.{column}");
        }
        for record in records(&messages, stream) {
            for column in record.as_object().expect("a record").keys().filter(|column| *column != "_sdc_deleted_at") {
                assert!(found.contains(column), "{stream}.{column}");
            }
        }
    }
    let of_merges = ["hs_merged_object_ids".to_owned()];
    assert_eq!(asked_for(&portal), of_merges, "and no property but the one that tells of merges");
    for untouched in ["batch_read contacts", "batch_read companies"] {
        assert!(!portal.request_counts().contains_key(untouched), "{untouched}");
    }
}

#[test]
fn a_deselected_property_is_not_asked_for() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    let mut catalog = only(&tap.discover(), &["tickets"]);
    select(&mut catalog, "tickets", "content", false);
    select(&mut catalog, "tickets", "hs_time_in_1", true);
    portal.clear_requests();
    let finished = tap.sync_catalog(&catalog, None).succeeded();
    assert_selected(&portal, &finished, "content", false);
    assert_selected(&portal, &finished, "subject", true);
    assert_selected(&portal, &finished, "hs_time_in_1", true);
}

#[test]
fn properties_inside_the_one_column_are_selected_one_by_one() {
    let portal = portal();
    let mut tap = Tap::unhurried(&portal);
    tap.set("properties_layout", "object".into());
    let mut catalog = only(&tap.discover(), &["tickets"]);
    let path = |name| ["properties", "properties", "properties", name];
    metadata(entry(&mut catalog, "tickets"), &path("content"))["selected"] = false.into();
    metadata(entry(&mut catalog, "tickets"), &path("hs_time_in_1"))["selected"] = true.into();
    portal.clear_requests();
    let messages = tap.sync_catalog(&catalog, None).succeeded().messages();
    let asked = asked_for(&portal);
    for (property, selected) in
        [("content", false), ("subject", true), ("hs_time_in_1", true), ("hs_date_entered_1", false)]
    {
        let schema = of(&messages, "SCHEMA", "tickets")[0].schema.clone().expect("a schema");
        assert_eq!(schema["properties"]["properties"]["properties"].get(property).is_some(), selected, "{property}");
        assert!(records(&messages, "tickets").iter().all(|one| one["properties"].get(property).is_some() == selected));
        assert_eq!(asked.iter().any(|one| one == property), selected, "{property}");
    }
}

#[test]
fn the_one_column_can_be_deselected_whole() {
    let portal = portal();
    let mut tap = Tap::unhurried(&portal);
    tap.set("properties_layout", "object".into());
    let mut catalog = only(&tap.discover(), &["tickets"]);
    select(&mut catalog, "tickets", "properties", false);
    let messages = tap.sync_catalog(&catalog, None).succeeded().messages();
    assert!(!columns(&messages, "tickets").contains(&"properties".to_owned()));
}

#[test]
fn a_property_taken_out_of_the_schema_is_not_sent() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    let mut catalog = only(&tap.discover(), &["tickets"]);
    let schema = &mut entry(&mut catalog, "tickets")["schema"]["properties"];
    schema.as_object_mut().expect("properties").shift_remove("subject");
    portal.clear_requests();
    let finished = tap.sync_catalog(&catalog, None).succeeded();
    assert_selected(&portal, &finished, "subject", false);
}

#[test]
fn a_stream_taken_out_of_the_catalog_is_skipped() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    let mut catalog = tap.discover();
    catalog["streams"]
        .as_array_mut()
        .expect("streams")
        .retain(|one| one["stream"] != "tickets" && one["stream"] != "owners");
    let finished = tap.sync_catalog(&catalog, None).succeeded();
    assert_eq!(
        streams(&finished),
        ["ticket_pipelines", "ticket_pipeline_stages", "ticket_properties", "ticket_associations"]
    );
    let truth = portal.truth();
    assert!(truth.live_tickets().len() > 4 && !records(&finished.messages(), "ticket_associations").is_empty());
}

#[test]
fn a_property_added_to_the_schema_is_asked_for_in_the_type_given() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    let mut catalog = tickets_with(&tap.discover(), &["subject"]);
    // Discovered before these existed; the first as Meltano's `schema` extra adds it.
    portal.define_property("tickets", PropertyDef::new("brand_new", "string", "text"));
    portal.define_property("tickets", PropertyDef::new("Brand New", "string", "text"));
    let id = portal.create("tickets", &[("brand_new", "12.50"), ("Brand New", "x")]).to_string();
    let tickets = entry(&mut catalog, "tickets");
    tickets["schema"]["properties"]["brand_new"] = json!({"type": ["number", "null"]});
    *metadata(tickets, &["properties", "brand_new"]) = json!({"inclusion": "automatic", "selected": true});
    tickets["schema"]["properties"]["Brand New"] = json!({"type": ["string", "null"]});
    tickets["schema"]["properties"]["subject"]["maxLength"] = 10.into();
    let messages = tap.sync_catalog(&catalog, None).succeeded().messages();
    let found = records(&messages, "tickets");
    let ticket = found.iter().find(|record| record["id"] == *id).expect("the ticket");
    let raw =
        of(&messages, "RECORD", "tickets").into_iter().filter_map(|message| message.record.as_ref()?.get("brand_new"));
    assert!(raw.clone().any(|value| value.get() == "12.50"), "every digit is kept");
    let columns = columns(&messages, "tickets");
    let safe = columns.iter().find(|column| column.starts_with("brand_new_")).expect("a safe column");
    assert_eq!(ticket[safe], "x");
    assert!(!columns.contains(&"Brand New".to_owned()));
    let without = found.iter().filter(|record| record["brand_new"].is_null()).count();
    assert_eq!(without, found.len() - 1);
    let schema = of(&messages, "SCHEMA", "tickets")[0].schema.clone().expect("a schema");
    assert_eq!(schema["properties"]["brand_new"]["type"], json!(["number", "null"]));
    assert!(schema["properties"]["subject"].get("maxLength").is_none(), "which targets would refuse rows for");
}

#[test]
fn a_property_that_the_portal_no_longer_has_is_null() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    let mut catalog = tickets_with(&tap.discover(), &["subject", "content"]);
    portal.archive_property("tickets", "content");
    let tickets = entry(&mut catalog, "tickets");
    tickets["schema"]["properties"]["never_was"] = json!({"type": ["string", "null"]});
    let messages = tap.sync_catalog(&catalog, None).succeeded().messages();
    for column in ["content", "never_was"] {
        assert!(columns(&messages, "tickets").contains(&column.to_owned()));
        assert!(
            records(&messages, "tickets").iter().all(|record| record[column].is_null() && record.get(column).is_some())
        );
    }
}

#[test]
fn full_table_is_honoured_in_the_entry_and_in_the_metadata() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    let base = only(&tap.discover(), &["tickets"]);
    let state =
        tap.sync_catalog(&base, None).succeeded().messages().pop().and_then(|message| message.value).expect("a state");
    let in_entry = |catalog: &mut Value, method: &str| entry(catalog, "tickets")["replication_method"] = method.into();
    let in_metadata = |catalog: &mut Value, method: &str| {
        let tickets = entry(catalog, "tickets");
        tickets.as_object_mut().expect("an entry").shift_remove("replication_method");
        metadata(tickets, &[])["replication-method"] = method.into();
    };
    for (change, method, full) in [
        (&in_entry as &dyn Fn(&mut Value, &str), "FULL_TABLE", true),
        (&in_metadata, "FULL_TABLE", true),
        (&in_entry, "INCREMENTAL", false),
        (&in_metadata, "INCREMENTAL", false),
    ] {
        let mut catalog = base.clone();
        change(&mut catalog, method);
        let messages = tap.sync_catalog(&catalog, Some(&state)).succeeded().messages();
        assert_eq!(of(&messages, "ACTIVATE_VERSION", "tickets").len(), usize::from(full), "{method}");
        let found = records(&messages, "tickets");
        if full {
            assert_eq!(found.len(), portal.truth().live_tickets().len());
        }
        let kind = if full { "full" } else { "incremental" };
        assert!(found.iter().all(|record| record["_extraction_type"] == kind));
    }
}

#[test]
fn without_associations_nothing_but_pages_is_asked_for() {
    let portal = portal();
    let mut tap = Tap::unhurried(&portal);
    let catalog = tap.set("include_associations", false.into()).discover();
    portal.clear_requests();
    let finished = tap.sync_catalog(&only(&catalog, &["tickets"]), None).succeeded();
    assert_selected(&portal, &finished, "subject", true);
    let counts = portal.request_counts();
    let endpoints: Vec<_> = counts
        .iter()
        .filter(|(label, _)| !label.starts_with("pool") && !label.starts_with("status"))
        .map(|(label, count)| (label.as_str(), *count))
        .collect();
    // One of the pages is no more than the question whether the token may read tickets; the search is asked for the count.
    assert_eq!(endpoints, [("account_details", 1), ("list tickets", 3), ("search tickets", 1)]);
}

#[test]
fn deselected_associations_are_not_asked_for() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    let mut catalog = only(&tap.discover(), &["tickets"]);
    for column in ["associated_contacts", "primary_contact"] {
        select(&mut catalog, "tickets", column, false);
    }
    portal.clear_requests();
    let messages = tap.sync_catalog(&catalog, None).succeeded().messages();
    let found = columns(&messages, "tickets");
    assert!(found.contains(&"associated_companies".to_owned()) && !found.contains(&"associated_contacts".to_owned()));
    let counts = portal.request_counts();
    assert!(
        !counts.contains_key("associations_batch_read tickets contacts") && !counts.contains_key("batch_read contacts")
    );
    assert!(counts.contains_key("associations_batch_read tickets companies"));
}

#[test]
fn associations_with_any_object_type_can_be_read() {
    let portal = Portal::start(Options { merged: 0, archived_share: 0.0, ..Options::with_tickets(40) });
    let mut tap = Tap::unhurried(&portal);
    tap.set("associations", json!(["deals"]));
    let messages = tap.sync(None).succeeded().messages();
    let truth = portal.truth();
    let mut some = 0;
    for record in records(&messages, "tickets") {
        let ticket = truth.ticket(record["id"].as_str().expect("an id"));
        let expected: Vec<&Value> =
            ticket["associations"]["deals"].as_array().expect("deals").iter().map(|end| &end["id"]).collect();
        let found = record["associated_deals"].as_array().expect("ids");
        assert_eq!(found.len(), expected.len());
        assert!(expected.iter().all(|id| found.contains(id)));
        some += found.len();
    }
    assert!(some > 0 && records(&messages, "ticket_associations").iter().all(|one| one["to_object_type"] == "deals"));
}

#[test]
fn a_default_type_without_its_scope_leaves_the_schema_with_one_warning() {
    let portal = portal();
    let scopes: Vec<String> = read_scopes().into_iter().filter(|scope| scope != "crm.objects.contacts.read").collect();
    portal.add_token("lesser", &scopes.iter().map(String::as_str).collect::<Vec<_>>());
    let full = Tap::unhurried(&portal).discover();
    let mut tap = Tap::unhurried(&portal);
    tap.set("access_token", "lesser".into());
    let own = tap.discover();
    let mut explicit = full.clone();
    select(&mut explicit, "tickets", "associated_contacts", true);
    // Without a catalog, with its own, and with one that was made while the scope was there.
    for catalog in [None, Some(&own), Some(&full), Some(&explicit)] {
        let finished = match catalog {
            None => tap.sync(None),
            Some(catalog) => tap.sync_catalog(catalog, None),
        };
        let finished = finished.succeeded();
        assert_eq!(finished.said("WARN"), 1, "{}", finished.stderr);
        assert_eq!(finished.said("crm.objects.contacts.read"), 1, "{}", finished.stderr);
        let messages = finished.messages();
        let found = columns(&messages, "tickets");
        for (column, there) in [
            ("associated_contacts", false),
            ("primary_contact", false),
            ("associated_companies", true),
            ("primary_company", true),
        ] {
            assert_eq!(found.contains(&column.to_owned()), there, "{column}");
            assert!(
                records(&messages, "tickets").iter().all(|record| record.get(column).is_some() == there),
                "{column}"
            );
        }
        assert!(records(&messages, "ticket_associations").iter().all(|one| one["to_object_type"] == "companies"));
    }
}
