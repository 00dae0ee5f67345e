//! The catalog: its shape, what is in it, and what of that is selected by default.

use std::collections::{BTreeMap, BTreeSet};

use hubspot_sandbox::{Options, read_scopes};
use serde_json::{Value, json};

use crate::support::cell::Kind;
use crate::support::portal::Portal;
use crate::support::tap::Tap;
use crate::support::values;

const STREAMS: [(&str, &[&str], &str); 10] = [
    ("owners", &["id"], "FULL_TABLE"),
    ("ticket_pipelines", &["id"], "FULL_TABLE"),
    ("ticket_pipeline_stages", &["pipeline_id", "id"], "FULL_TABLE"),
    ("ticket_properties", &["name"], "FULL_TABLE"),
    ("tickets", &["id"], "INCREMENTAL"),
    ("ticket_associations", &["ticket_id", "to_object_type", "to_object_id", "category", "type_id"], "FULL_TABLE"),
    ("contacts", &["id"], "INCREMENTAL"),
    ("companies", &["id"], "INCREMENTAL"),
    ("deals", &["id"], "INCREMENTAL"),
    ("sync_audit", &["_scan_id", "stream", "part"], "FULL_TABLE"),
];

fn portal() -> Portal {
    Portal::start(Options { merged: 0, ..Options::with_tickets(10) })
}

fn hostile_portal() -> Portal {
    Portal::start(Options { hostile: true, merged: 0, ..Options::with_tickets(10) })
}

fn streams(catalog: &Value) -> &[Value] {
    catalog["streams"].as_array().expect("streams")
}

fn stream<'c>(catalog: &'c Value, name: &str) -> &'c Value {
    streams(catalog).iter().find(|entry| entry["stream"] == name).unwrap_or_else(|| panic!("no {name}"))
}

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// The metadata of a field, or with an empty breadcrumb of the stream.
fn metadata<'c>(entry: &'c Value, breadcrumb: &[&str]) -> &'c Value {
    let all = entry["metadata"].as_array().expect("metadata");
    let found = all.iter().find(|one| one["breadcrumb"] == json!(breadcrumb));
    &found.unwrap_or_else(|| panic!("no metadata of {breadcrumb:?}"))["metadata"]
}

fn field<'c>(entry: &'c Value, name: &str) -> &'c Value {
    metadata(entry, &["properties", name])
}

/// The metadata of each property, by the property's name, with its column.
fn properties(catalog: &Value) -> BTreeMap<&str, (&str, &Value)> {
    let all = stream(catalog, "tickets")["metadata"].as_array().expect("metadata");
    let of_one = |one: &'_ Value| one["metadata"]["hubspot-property"].is_string();
    all.iter()
        .filter(|one| of_one(one))
        .map(|one| {
            let column = one["breadcrumb"].as_array().and_then(|path| path.last()).and_then(Value::as_str);
            let property = one["metadata"]["hubspot-property"].as_str().expect("a name");
            (property, (column.expect("a column"), &one["metadata"]))
        })
        .collect()
}

/// The properties that are selected by default.
fn selected(catalog: &Value) -> BTreeSet<&str> {
    let of_one = |(_, metadata): &(&str, &Value)| metadata["selected-by-default"] != false;
    properties(catalog).into_iter().filter(|(_, one)| of_one(one)).map(|(name, _)| name).collect()
}

#[test]
fn entries_have_the_shape_of_the_sdks() {
    let portal = portal();
    let catalog = Tap::unhurried(&portal).discover();
    assert_eq!(keys(&catalog), ["streams"]);
    let names: Vec<_> =
        streams(&catalog).iter().map(|entry| entry["tap_stream_id"].as_str().expect("a name")).collect();
    assert_eq!(names, STREAMS.map(|(name, _, _)| name));
    for (name, key_properties, method) in STREAMS {
        let entry = stream(&catalog, name);
        let incremental = method == "INCREMENTAL";
        let expected = [
            "tap_stream_id",
            "replication_key",
            "replication_method",
            "key_properties",
            "schema",
            "stream",
            "metadata",
        ];
        let expected: Vec<_> = expected.into_iter().filter(|key| incremental || *key != "replication_key").collect();
        assert_eq!(keys(entry), expected, "{name}");
        assert_eq!((&entry["replication_method"], &entry["key_properties"]), (&json!(method), &json!(key_properties)));
        assert_eq!(keys(&entry["schema"]), ["properties", "type", "required", "$schema"], "{name}");
        assert_eq!(entry["schema"]["type"], "object");
        assert_eq!(entry["schema"]["required"], json!(key_properties));
        assert_eq!(entry["schema"]["$schema"], "https://json-schema.org/draft/2020-12/schema");

        let metadata = entry["metadata"].as_array().expect("metadata");
        assert!(metadata.iter().all(|one| keys(one) == ["breadcrumb", "metadata"]), "{name}");
        let of_stream = metadata.last().expect("metadata");
        assert_eq!(of_stream["breadcrumb"], json!([]), "the stream's stands last");
        let expected = [
            "inclusion",
            "selected",
            "selected-by-default",
            "table-key-properties",
            "replication-key",
            "valid-replication-keys",
            "hubspot-portal-id",
        ];
        let expected: Vec<_> = expected.into_iter().filter(|key| incremental || !key.contains("replication")).collect();
        assert_eq!(keys(&of_stream["metadata"]), expected, "{name}");
        assert_eq!(of_stream["metadata"]["inclusion"], "available");
        let by_default = name.starts_with("ticket") || name == "owners";
        assert_eq!(of_stream["metadata"]["selected"], by_default, "{name}");
        assert_eq!(of_stream["metadata"]["selected-by-default"], by_default, "{name}");
        assert_eq!(of_stream["metadata"]["table-key-properties"], json!(key_properties));
        assert_eq!(of_stream["metadata"]["hubspot-portal-id"], "245001234");
        if incremental {
            assert_eq!(entry["replication_key"], "updated_at");
            assert_eq!(of_stream["metadata"]["replication-key"], "updated_at");
            assert_eq!(of_stream["metadata"]["valid-replication-keys"], json!(["updated_at"]));
        }

        let fields: Vec<_> = metadata[..metadata.len() - 1].iter().map(|one| one["breadcrumb"].clone()).collect();
        let columns = keys(&entry["schema"]["properties"]);
        assert_eq!(fields, columns.iter().map(|column| json!(["properties", column])).collect::<Vec<_>>(), "{name}");
        for column in columns {
            let key = key_properties.contains(&column);
            let automatic = key
                || ["updated_at", "_tenant_id", "_scan_id", "_extracted_at"].contains(&column)
                    && (column != "updated_at" || incremental);
            let inclusion = match field(entry, column).get("hubspot-data-sensitivity") {
                Some(_) => "unsupported",
                None if automatic => "automatic",
                None => "available",
            };
            assert_eq!(field(entry, column)["inclusion"], inclusion, "{name}.{column}");
        }
    }
}

#[test]
fn schemas_are_such_that_targets_keep_rows() {
    let portal = hostile_portal();
    let catalog = Tap::unhurried(&portal).discover();
    for (name, key_properties, _) in STREAMS {
        let schema = &stream(&catalog, name)["schema"];
        let mut seen = BTreeSet::new();
        for (column, definition) in schema["properties"].as_object().expect("properties") {
            let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
            assert!(column.len() <= 63 && column.bytes().all(plain), "{name}.{column}");
            assert!(seen.insert(column.to_lowercase()), "{name}.{column} twice");
            let types = definition["type"].as_array().expect("types");
            assert_eq!(types.contains(&"null".into()), !key_properties.contains(&column.as_str()), "{name}.{column}");
            assert!(!types.contains(&"integer".into()), "{name}.{column}");
            for refused in ["enum", "maxLength", "multipleOf", "additionalProperties", "anyOf", "$ref", "const"] {
                assert!(definition.get(refused).is_none(), "{name}.{column}: {refused}");
            }
        }
    }
}

#[test]
fn every_property_has_a_column_of_its_type() {
    for portal in [portal(), hostile_portal()] {
        let catalog = Tap::unhurried(&portal).discover();
        let found = properties(&catalog);
        let truth = portal.truth();
        let definitions = truth.definitions();
        assert_eq!(found.len(), definitions.len());
        for definition in definitions {
            let name = definition["name"].as_str().expect("a name");
            let (column, _) = found[name];
            let schema = &stream(&catalog, "tickets")["schema"]["properties"][column];
            let (json_type, format) = match values::kind(definition) {
                Kind::Number => ("number", Value::Null),
                Kind::Boolean => ("boolean", Value::Null),
                Kind::Date => ("string", "date".into()),
                Kind::Instant => ("string", "date-time".into()),
                Kind::Text | Kind::Json => ("string", Value::Null),
            };
            assert_eq!(schema["type"], json!([json_type, "null"]), "{name}");
            assert_eq!(schema["format"], format, "{name}");
            assert_eq!(schema["description"], definition["label"], "{name}");
        }
    }
}

#[test]
fn plain_names_are_kept_and_all_others_told_apart() {
    let portal = hostile_portal();
    let catalog = Tap::unhurried(&portal).discover();
    let found = properties(&catalog);
    for plain in ["subject", "region", "select", "hs_pipeline_stage"] {
        assert_eq!(found[plain].0, plain);
    }
    for own in [
        "id",
        "archived",
        "created_at",
        "updated_at",
        "_tenant_id",
        "_unparsed",
        "primary_contact",
        "associated_contacts",
    ] {
        assert_ne!(found[own].0, own);
        assert!(stream(&catalog, "tickets")["schema"]["properties"].get(own).is_some(), "the tap's own {own}");
    }
    assert_ne!(found["Region"].0, found["REGION"].0);
}

#[test]
fn a_column_does_not_move_when_other_properties_come_and_go() {
    let column = |hostile: bool| {
        let portal = Portal::start(Options { hostile, merged: 0, ..Options::with_tickets(1) });
        portal.define_property("tickets", hubspot_sandbox::PropertyDef::new("Größe (cm)", "number", "number"));
        let catalog = Tap::unhurried(&portal).discover();
        properties(&catalog)["Größe (cm)"].0.to_owned()
    };
    assert_eq!(column(false), column(true));
}

#[test]
fn clock_driven_and_sensitive_properties_are_there_and_not_selected() {
    let portal = portal();
    let catalog = Tap::unhurried(&portal).discover();
    let truth = portal.truth();
    let left_out: BTreeSet<&str> = truth
        .definitions()
        .into_iter()
        .filter(|one| one["fieldType"] == "calculation_read_time" || one["dataSensitivity"] != "non_sensitive")
        .map(|one| one["name"].as_str().expect("a name"))
        .collect();
    assert!(left_out.len() > 10 && left_out.contains("health_record_number"), "{left_out:?}");
    let all: BTreeSet<&str> = properties(&catalog).into_keys().collect();
    assert_eq!(all.difference(&selected(&catalog)).copied().collect::<BTreeSet<_>>(), left_out);
}

#[test]
fn sensitive_properties_that_the_token_may_not_see_are_not_there() {
    let portal = portal();
    let scopes: Vec<String> = read_scopes().into_iter().filter(|scope| scope != "tickets.sensitive.v2").collect();
    portal.add_token("lesser", &scopes.iter().map(String::as_str).collect::<Vec<_>>());
    let mut tap = Tap::unhurried(&portal);
    let catalog = tap.set("access_token", "lesser".into()).discover();
    assert!(!properties(&catalog).contains_key("health_record_number"));
}

#[test]
fn portable_leaves_the_portals_stamp_out_and_nothing_else() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    let mut catalog = tap.discover();
    let portable: Value =
        serde_json::from_slice(&tap.run(&["--discover", "--portable"]).succeeded().stdout).expect("a catalog");
    assert!(!portable.to_string().contains("hubspot-portal-id"));
    for entry in catalog["streams"].as_array_mut().expect("streams") {
        let of_stream = entry["metadata"].as_array_mut().and_then(|all| all.last_mut()).expect("metadata");
        of_stream["metadata"].as_object_mut().expect("an object").shift_remove("hubspot-portal-id");
    }
    assert_eq!(portable, catalog);

    let other = Portal::start(Options { portal_id: 7, merged: 0, ..Options::with_tickets(5) });
    let tap = Tap::unhurried(&other);
    tap.sync_catalog(&portable, None).succeeded();
}

#[test]
fn names_and_globs_decide_what_is_selected_by_default() {
    let portal = portal();
    let mut tap = Tap::unhurried(&portal);
    let all: BTreeSet<String> = properties(&tap.discover()).into_keys().map(str::to_owned).collect();
    let catalog =
        tap.set("properties", json!(["subject", "hs_ticket_*", "health_record_number", "*_entered_1"])).discover();
    let expected: BTreeSet<&str> = all
        .iter()
        .map(String::as_str)
        .filter(|name| {
            ["subject", "health_record_number"].contains(name)
                || name.starts_with("hs_ticket_")
                || name.ends_with("_entered_1")
        })
        .collect();
    assert!(expected.len() > 4, "{expected:?}");
    assert_eq!(selected(&catalog), expected);
    assert_eq!(properties(&catalog).len(), all.len(), "the others can still be selected");

    let finished = tap.set("properties", json!(["subject", "no_such_*"])).run(&["--discover"]).succeeded();
    assert_eq!((finished.said("WARN"), finished.said("\"no_such_*\"")), (1, 1), "{}", finished.stderr);
}

#[test]
fn the_object_layout_has_one_column_with_all_properties() {
    for portal in [portal(), hostile_portal()] {
        let mut tap = Tap::unhurried(&portal);
        let columns = tap.discover();
        let catalog = tap.set("properties_layout", "object".into()).discover();
        let tickets = stream(&catalog, "tickets");
        let column = &tickets["schema"]["properties"]["properties"];
        assert_eq!(column["type"], json!(["object", "null"]));
        assert!(column.get("additionalProperties").is_none());
        let names: BTreeSet<&str> = keys(&column["properties"]).into_iter().collect();
        assert_eq!(names, properties(&columns).into_keys().collect(), "under their own names");
        assert!(tickets["schema"]["properties"].get("subject").is_none());
        for name in names {
            let metadata = metadata(tickets, &["properties", "properties", "properties", name]);
            assert_eq!(metadata["hubspot-property"], name);
            assert_eq!(metadata["selected-by-default"], properties(&columns)[name].1["selected-by-default"], "{name}");
        }
        assert_eq!(field(tickets, "properties")["inclusion"], "available");
    }
}

#[test]
fn what_lacks_its_scope_is_there_and_marked_with_it() {
    let portal = portal();
    portal.add_token("lesser", &["oauth", "tickets", "crm.objects.companies.read"]);
    let mut tap = Tap::unhurried(&portal);
    let catalog = tap.set("access_token", "lesser".into()).discover();
    let owners = metadata(stream(&catalog, "owners"), &[]);
    assert_eq!(owners["hubspot-missing-scope"], "crm.objects.owners.read");
    assert_eq!((&owners["selected"], &owners["selected-by-default"]), (&json!(false), &json!(false)));
    let tickets = stream(&catalog, "tickets");
    for column in ["associated_contacts", "primary_contact"] {
        assert_eq!(field(tickets, column)["hubspot-missing-scope"], "crm.objects.contacts.read", "{column}");
        assert_eq!(field(tickets, column)["selected-by-default"], false, "{column}");
    }
    for column in ["associated_companies", "primary_company"] {
        assert_eq!(field(tickets, column), &json!({"inclusion": "available"}), "{column}");
    }
    for name in ["tickets", "ticket_associations", "ticket_properties", "ticket_pipelines", "ticket_pipeline_stages"] {
        assert_eq!(metadata(stream(&catalog, name), &[])["selected"], true, "{name}");
    }
}

#[test]
fn association_columns_follow_the_settings() {
    let portal = portal();
    let mut tap = Tap::unhurried(&portal);
    let columns = |tap: &Tap| {
        let catalog = tap.discover();
        let all = keys(&stream(&catalog, "tickets")["schema"]["properties"]).into_iter().map(str::to_owned);
        let associations = streams(&catalog).iter().any(|entry| entry["stream"] == "ticket_associations");
        let columns = all.filter(|name| name.starts_with("associated_") || name.starts_with("primary_"));
        (columns.collect::<Vec<_>>(), associations)
    };
    let expected = ["associated_contacts", "associated_companies", "primary_contact", "primary_company"];
    assert_eq!(columns(&tap), (expected.map(str::to_owned).to_vec(), true));
    tap.set("associations", json!(["DEAL", "0-3", "company"]));
    let expected = ["associated_deals", "associated_companies", "primary_company"];
    assert_eq!(columns(&tap), (expected.map(str::to_owned).to_vec(), true));
    tap.set("include_associations", false.into());
    assert_eq!(columns(&tap), (Vec::new(), false));
}

#[test]
fn discovery_is_cheap_and_reads_no_records() {
    let portal = portal();
    Tap::unhurried(&portal).discover();
    let counts = portal.request_counts();
    let endpoints: Vec<_> =
        counts.iter().filter(|(label, _)| !label.starts_with("pool") && !label.starts_with("status")).collect();
    let total: u64 = endpoints.iter().map(|(_, count)| **count).sum();
    assert!(total <= 11, "{endpoints:?}");
    assert!(endpoints.iter().all(|(label, _)| !label.starts_with("list ") && !label.starts_with("search ")));
}
