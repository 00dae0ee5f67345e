//! What the tap read from one portal the target writes into another, and reading that gives the same values.

use std::collections::{BTreeMap, BTreeSet};

use hubspot_sandbox::{Options, PropertyDef};
use serde_json::{Map, Value, json};

use crate::support::delivery::{Target, live};
use crate::support::portal::Portal;
use crate::support::tap::Tap;

const STREAMS: [&str; 4] = ["companies", "contacts", "deals", "tickets"];
/// Where the second portal keeps the first one's ids.
const SOURCE_ID: &str = "source_id";

/// The latest live record of each id, as a tap's run holds it.
fn records(output: &str, stream: &str) -> BTreeMap<String, Map<String, Value>> {
    let mut found = BTreeMap::new();
    for line in output.lines() {
        let message: Value = serde_json::from_str(line).expect("JSON");
        if message["type"] == "RECORD" && message["stream"] == *stream && message["record"]["archived"] == false {
            let record = message["record"].as_object().expect("an object").clone();
            found.insert(record["id"].as_str().expect("an id").to_owned(), record);
        }
    }
    found
}

fn read(portal: &Portal, layout: &str) -> String {
    let mut tap = Tap::unhurried(portal);
    tap.set("properties_layout", json!(layout));
    let catalog = tap.discover();
    tap.select_streams(&catalog, &STREAMS);
    let finished = tap.run(&["--catalog", "catalog.json"]).succeeded();
    finished.text().to_owned()
}

/// The columns whose properties can be written, in a portal's own words.
fn writable(portal: &Portal, stream: &str) -> BTreeSet<String> {
    let truth = portal.truth_of();
    let definitions = truth["properties"][stream].as_array().expect("definitions").clone();
    let open = definitions.iter().filter(|one| {
        one["modificationMetadata"]["readOnlyValue"] == false && one["calculated"] == false && one["archived"].is_null()
    });
    open.map(|one| {
        let name = one["name"].as_str().expect("a name");
        tap_hubspot_tickets::property::column_name(name).into_owned()
    })
    .collect()
}

fn assert_round_trip(seed: u64, hostile: bool, layout: &str) {
    eprintln!("seed {seed}, hostile {hostile}, {layout}");
    let source = Portal::start(Options { seed, hostile, ..Options::with_tickets(250) });
    let copy = Portal::start(Options { seed, hostile, merged: 0, portal_id: 77, ..Options::with_tickets(0) });
    for object_type in ["companies", "deals"] {
        let def = PropertyDef { has_unique_value: true, ..PropertyDef::new(SOURCE_ID, "string", "text") };
        copy.define_property(object_type, def);
    }
    let first = read(&source, layout);
    let mut target = Target::of(&copy);
    let by_source = json!({"properties": {"id": SOURCE_ID}, "id_property": SOURCE_ID, "required": []});
    target.set(
        "streams",
        json!({
            "companies": by_source, "deals": by_source, "contacts": {"required": []}, "tickets": {"required": []},
        }),
    );
    let delivered = target.deliver_text(&first, &[]).succeeded();
    // Values that are none of their property's options are the only ones that no portal takes again.
    let rejects: Vec<Value> = target.rejects().into_iter().filter(|one| one["type"] == "RECORD").collect();
    for one in &rejects {
        let reason = one["rejected"]["reason"].as_str().expect("a reason");
        assert!(hostile && reason.contains(" is none of its options"), "{reason}");
    }
    let rejected: BTreeSet<&str> = rejects.iter().filter_map(|one| one["record"]["id"].as_str()).collect();
    assert_eq!(delivered.said("is rejected") > 0, !rejected.is_empty());

    let second = read(&copy, layout);
    for stream in STREAMS {
        let (mut before, after) = (records(&first, stream), records(&second, stream));
        before.retain(|id, _| !rejected.contains(id.as_str()));
        let key_of = |record: &Value| match stream {
            "contacts" => record["properties"]["email"].clone(),
            "tickets" => record["properties"]["tap_delivery_key"].clone(),
            _ => record["properties"][SOURCE_ID].clone(),
        };
        let ids: BTreeMap<String, String> = live(&copy, stream)
            .iter()
            .map(|one| (key_of(one).as_str().expect("a key").to_owned(), one["id"].as_str().expect("an id").to_owned()))
            .collect();
        assert_eq!(before.len(), after.len(), "{stream}");
        let columns = writable(&source, stream);
        let mut compared = 0;
        let of = |record: &Map<String, Value>, column: &str| match record.get("properties") {
            // In one column the properties have their own names.
            Some(Value::Object(properties)) => properties.get(column).cloned(),
            _ => record.get(column).cloned(),
        };
        for (id, old) in &before {
            let key = match stream {
                "contacts" => of(old, "email").expect("a column").as_str().expect("an address").to_owned(),
                "tickets" => format!("tickets/{id}"),
                _ => id.clone(),
            };
            let new = &after[&ids[&key]];
            for column in &columns {
                let (old, new) = (of(old, column).unwrap_or_default(), of(new, column).unwrap_or_default());
                assert_eq!(old, new, "{stream} {id}: {column}");
                compared += usize::from(!old.is_null());
            }
        }
        assert!(compared > before.len(), "{stream}: {compared} values");
    }
    copy.clear_requests();
    let again = target.deliver_text(&first, &[]).succeeded();
    assert_eq!(again.said("0 created, 0 updated"), STREAMS.len(), "{}", again.stderr);
}

#[test]
fn values_survive_a_round_trip() {
    let seed = std::env::var("ROUND_TRIP_SEED")
        .map_or_else(|_| u64::from(std::process::id()), |seed| seed.parse().expect("a number"));
    eprintln!("ROUND_TRIP_SEED={seed}");
    for round in 0..3 {
        assert_round_trip(seed + round, false, "columns");
    }
}

#[test]
fn names_and_values_at_the_edge_survive_a_round_trip() {
    assert_round_trip(42, true, "columns");
}

#[test]
fn one_column_for_all_properties_survives_a_round_trip() {
    assert_round_trip(7, false, "object");
}
