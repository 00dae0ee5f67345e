//! Every stream through both faces, cell by cell.

use std::collections::{BTreeMap, BTreeSet};

use hubspot_sandbox::{CursorStyle, Options, PropertyDef};
use serde_json::{Value, json};

use super::{ALL, incremental, tap_of};
use crate::support::catalogs::{entry, metadata};
use crate::support::cell::Decimal;
use crate::support::messages::{Message, Row};
use crate::support::portal::Portal;
use crate::support::source::{configured, discover, read};

/// Say when a row was read, not what it holds.
const OF_THE_READING: [&str; 1] = ["_extracted_at"];

/// The records by their keys, each cell as it was written.
fn by_key<'r>(stream: &str, records: impl Iterator<Item = &'r Row>) -> BTreeMap<String, Vec<&'r Row>> {
    let key: &[&str] = match stream {
        "ticket_associations" => &["ticket_id", "to_object_type", "to_object_id", "category", "type_id"],
        "ticket_pipeline_stages" => &["pipeline_id", "id"],
        "ticket_properties" => &["name"],
        "sync_audit" => &["stream", "part"],
        _ => &["id"],
    };
    let mut rows: BTreeMap<String, Vec<&Row>> = BTreeMap::new();
    for record in records {
        rows.entry(key.iter().map(|name| record[*name].get()).collect::<Vec<_>>().join(" ")).or_default().push(record);
    }
    rows
}

/// Whether a number of the Singer face is one that doubles and numeric(38,9) hold as it is.
fn is_held(token: &str) -> bool {
    let number = Decimal::parse(token).expect("a number");
    let digits = number.to_string();
    let (digits, exponent) = digits.trim_start_matches('-').split_once('e').expect("an exponent");
    let exponent: i64 = exponent.parse().expect("a number");
    if digits == "0" || exponent < -9 {
        return digits == "0";
    }
    if exponent < 0 && digits.len() > 15 {
        return false;
    }
    let whole = i64::try_from(digits.len()).expect("a length") + exponent;
    // 2^53 has sixteen digits.
    whole < 16 || whole == 16 && format!("{digits:0<16}").as_str() <= "9007199254740992"
}

/// What differs between a record of both faces, but for what says when it was read. Numbers that these do not
/// hold are told apart, with the text that must stand in `_unparsed`.
fn differences(singer: &Row, airbyte: &Row) -> Vec<String> {
    let names: BTreeSet<&String> = singer.keys().chain(airbyte.keys()).collect();
    let mut found = Vec::new();
    for name in names.into_iter().filter(|name| !OF_THE_READING.contains(&name.as_str())) {
        let (one, other) = (singer.get(name).map(|value| value.get()), airbyte.get(name).map(|value| value.get()));
        let is_number = one.is_some_and(|token| Decimal::parse(token).is_some());
        if one == other && (!is_number || is_held(one.expect("a number"))) {
            continue;
        }
        let unparsed: Value =
            airbyte.get("_unparsed").map_or(Value::Null, |value| serde_json::from_str(value.get()).expect("JSON"));
        let kept =
            |raw: &Value| Decimal::parse(raw.as_str().unwrap_or("-").trim()) == Decimal::parse(one.unwrap_or("+"));
        let explained = match name.as_str() {
            "_unparsed" => unparsed.as_object().is_some_and(|kept| !kept.is_empty()),
            _ => is_number && unparsed.as_object().is_some_and(|texts| texts.values().any(kept)),
        };
        if !explained {
            found.push(format!("{name}: {one:?} by Singer, {other:?} by Airbyte"));
        }
    }
    found
}

#[test]
fn every_stream_is_the_same_through_both_faces() {
    for (version, hostile, cursor) in [
        ("2026-03", true, CursorStyle::NextId),
        ("v3", false, CursorStyle::Opaque),
        ("2025-09", false, CursorStyle::NextId),
    ] {
        let portal = Portal::start(Options { hostile, cursor, ..Options::with_tickets(260) });
        let ticket = portal.truth().live_tickets()[0].clone();
        portal.define_property("tickets", PropertyDef::new("huge", "number", "number"));
        portal.update("tickets", ticket.parse().expect("an id"), &[("huge", "1e40")]);
        let mut tap = tap_of(&portal);
        tap.set("api_version", version.into()).set("associations", json!(["contacts", "companies", "deals"]));
        let streams = discover(&tap);
        let names: Vec<&str> = streams.iter().map(|stream| stream["name"].as_str().expect("a name")).collect();
        assert_eq!(names, ALL);
        let airbyte = read(&tap, &configured(&streams, incremental), &[]).succeeded();

        let mut catalog = tap.discover();
        for stream in ALL {
            metadata(entry(&mut catalog, stream), &[])["selected"] = true.into();
        }
        let singer = tap.sync_catalog(&catalog, None).succeeded().messages();
        for stream in ALL {
            let of_singer = |message: &&Message| message.kind == "RECORD" && message.stream.as_deref() == Some(stream);
            let of_singer = singer.iter().filter(of_singer).map(|message| message.record.as_ref().expect("a record"));
            let of_airbyte = airbyte.records(stream);
            if stream == "sync_audit" {
                // It tells instants and calls of its own run.
                assert_eq!(of_singer.count(), of_airbyte.len());
                continue;
            }
            let (one, other) = (by_key(stream, of_singer), by_key(stream, of_airbyte.iter()));
            assert!(!one.is_empty(), "{stream}");
            assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>(), "{stream}");
            for (key, rows) in &one {
                assert_eq!(rows.len(), other[key].len(), "{stream} {key}");
                for (one, other) in rows.iter().zip(&other[key]) {
                    let found = differences(one, other);
                    assert!(found.is_empty(), "{version} {stream} {key}: {found:#?}");
                }
            }
        }
        let huge = airbyte.records("tickets").into_iter().find(|row| row["id"].get() == format!("\"{ticket}\""));
        let huge = huge.expect("the ticket");
        assert_eq!(huge["huge"].get(), "null");
        let unparsed: Value = serde_json::from_str(huge["_unparsed"].get()).expect("JSON");
        assert_eq!(unparsed["huge"], "1e40");
    }
}
