//! The Airbyte face, held against the Singer face and against what Airbyte's protocol asks for.

mod clients;
mod faces;
mod protocol;
mod reading;

use std::collections::BTreeMap;

use crate::support::portal::Portal;
use crate::support::source::Said;
use crate::support::tap::Tap;

pub(super) const ALL: [&str; 10] = [
    "owners",
    "ticket_pipelines",
    "ticket_pipeline_stages",
    "ticket_properties",
    "tickets",
    "ticket_associations",
    "contacts",
    "companies",
    "deals",
    "sync_audit",
];

pub(super) fn tap_of(portal: &Portal) -> Tap {
    let mut tap = Tap::unhurried(portal);
    // A settings page gives text.
    tap.set("scan_id", "one".into()).set("organization_id", portal.portal_id().to_string().into());
    tap
}

pub(super) fn incremental(_: &str) -> &'static str {
    "incremental"
}

/// Each stream's records are counted by the states that follow them, and its statuses come in order.
pub(super) fn is_well_formed(said: &Said, streams: &[&str]) {
    let mut since: BTreeMap<String, u64> = BTreeMap::new();
    for message in &said.messages {
        match message["type"].as_str().expect("a type") {
            "RECORD" => {
                let record = &message["record"];
                assert!(record["emitted_at"].is_i64(), "{message}");
                *since.entry(record["stream"].as_str().expect("a stream").to_owned()).or_default() += 1;
            }
            "STATE" => {
                let stream = message["state"]["stream"]["stream_descriptor"]["name"].as_str().expect("a stream");
                let counted = since.remove(stream).unwrap_or(0);
                assert_eq!(message["state"]["sourceStats"]["recordCount"], counted, "{stream}");
                assert_eq!(message["state"]["type"], "STREAM");
            }
            "TRACE" => assert!(message["trace"]["emitted_at"].is_number(), "{message}"),
            "LOG" => assert_ne!(message["log"]["level"], "WARNING", "{message}"),
            other => panic!("{other}"),
        }
    }
    assert!(since.is_empty(), "no state covers the last records of {since:?}");
    for stream in streams {
        let statuses = said.statuses(stream);
        let expected: &[&str] = match said.records(stream).is_empty() {
            true => &["STARTED", "COMPLETE"],
            false => &["STARTED", "RUNNING", "COMPLETE"],
        };
        assert_eq!(statuses, expected, "{stream}");
    }
}
