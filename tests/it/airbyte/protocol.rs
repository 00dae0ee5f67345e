//! What Airbyte's protocol asks for besides records.

use std::collections::BTreeSet;

use hubspot_sandbox::Options;
use serde_json::{Value, json};

use super::{ALL, incremental, is_well_formed, tap_of};
use crate::support::portal::Portal;
use crate::support::source::{Said, configured, discover, read, run};
use crate::support::tap::Tap;

/// What no message may show.
const SECRETS: [&str; 4] = ["access_token", "client_secret", "hash_salt", "refresh_token"];

#[test]
fn namespaces_go_out_as_they_came_in() {
    let portal = Portal::start(Options::with_tickets(3));
    let tap = tap_of(&portal);
    let mut streams = discover(&tap);
    assert!(streams.iter().all(|stream| stream.get("namespace").is_none()));
    for stream in &mut streams {
        stream["namespace"] = "tenant_7".into();
    }
    let said = read(&tap, &configured(&streams, incremental), &[]).succeeded();
    is_well_formed(&said, &ALL);
    for message in &said.messages {
        let namespace = match message["type"].as_str().expect("a type") {
            "RECORD" => &message["record"]["namespace"],
            "STATE" => &message["state"]["stream"]["stream_descriptor"]["namespace"],
            "TRACE" if message["trace"]["type"] == "STREAM_STATUS" => {
                &message["trace"]["stream_status"]["stream_descriptor"]["namespace"]
            }
            _ => continue,
        };
        assert_eq!(namespace, "tenant_7", "{message}");
    }
}

#[test]
fn estimates_are_told_before_the_records() {
    let portal = Portal::start(Options::with_tickets(230));
    let tap = tap_of(&portal);
    let said = read(&tap, &configured(&discover(&tap), incremental), &[]).succeeded();
    for stream in ["tickets", "contacts", "companies", "deals", "owners"] {
        let estimate = said.traces("ESTIMATE").into_iter().find(|trace| trace["estimate"]["name"] == stream);
        let estimate = estimate.unwrap_or_else(|| panic!("no estimate of {stream}"));
        let live = said.records(stream).iter().filter(|row| !row.contains_key("_sdc_deleted_at")).count();
        assert_eq!(estimate["estimate"]["row_estimate"], live, "{stream}");
        assert_eq!(estimate["estimate"]["type"], "STREAM");
    }
    let first_record = said.messages.iter().position(|message| message["type"] == "RECORD").expect("a record");
    let last = said.messages.iter().rposition(|message| message["trace"]["type"] == "ESTIMATE").expect("an estimate");
    assert!(last < first_record);
}

#[test]
fn errors_are_typed_and_end_with_one() {
    let portal = Portal::start(Options::with_tickets(3));
    let mut tap = tap_of(&portal);
    tap.set("retry_attempts", 0.into());
    let catalog = configured(&discover(&tap), incremental);
    let of_tickets = read(&tap, &catalog, &[]).succeeded().states();

    let token = portal.access_token();
    tap.set("access_token", "wrong".into());
    let error = read(&tap, &catalog, &[]).error();
    assert_eq!(error["failure_type"], "config_error");
    assert!(error["message"].as_str().expect("text").contains("check access_token"), "{error}");
    let check = run(&tap, &["check", "--config", "config.json"]).succeeded();
    let status = &check.of("CONNECTION_STATUS")[0]["connectionStatus"];
    assert_eq!(status["status"], "FAILED");
    assert!(status["message"].as_str().expect("text").contains("check access_token"), "{status}");
    assert_eq!(run(&tap, &["discover", "--config", "config.json"]).error()["failure_type"], "config_error");

    tap.set("access_token", token.into()).set("page_size", 1000.into());
    let error = read(&tap, &catalog, &[]).error();
    assert_eq!(error["failure_type"], "config_error");
    assert!(error["message"].as_str().expect("text").contains("page_size"), "{error}");
    tap.set("page_size", 100.into());

    let other = Portal::start(Options { portal_id: 7, ..Options::with_tickets(3) });
    let elsewhere = Tap::unhurried(&other);
    assert_eq!(read(&elsewhere, &catalog, &of_tickets).error()["failure_type"], "config_error");

    tap.set("api_base_url", "http://127.0.0.1:9".into());
    assert_eq!(read(&tap, &catalog, &[]).error()["failure_type"], "transient_error");
    assert_eq!(run(&tap, &["read", "--config", "config.json"]).error()["failure_type"], "config_error");
    assert_eq!(run(&tap, &["write"]).error()["failure_type"], "config_error");
}

#[test]
fn the_spec_marks_secrets_and_says_how_rows_leave() {
    let portal = Portal::start(Options::with_tickets(1));
    let spec = run(&Tap::of(&portal), &["spec"]).succeeded().messages.remove(0);
    let settings = spec["spec"]["connectionSpecification"]["properties"].as_object().expect("settings");
    for (name, setting) in settings {
        let secret = SECRETS.contains(&name.as_str());
        assert_eq!(setting["airbyte_secret"] == true, secret, "{name}");
        assert!(setting["type"].is_string(), "{name}: {setting}");
    }
    assert!(settings["cache_path"]["description"].as_str().expect("text").contains("full refresh"));
    assert_eq!(settings["page_size"]["default"], 100);
}

#[test]
fn rotated_refresh_tokens_go_out_as_control() {
    let mut options = Options::with_tickets(5);
    options.oauth.rotate_refresh_tokens = true;
    let portal = Portal::start(options);
    let mut tap = tap_of(&portal);
    let app = Options::default().oauth;
    tap.set("client_id", app.client_id.into()).set("client_secret", app.client_secret.into());
    tap.set("access_token", Value::Null).set("refresh_token", app.refresh_token.into());
    let mut tokens = BTreeSet::new();
    let mut rotated = |tap: &mut Tap, said: &Said| {
        let control = said.of("CONTROL").pop().expect("a CONTROL");
        let config = &control["control"]["connectorConfig"]["config"];
        assert_eq!(config["client_id"], "sandbox-client");
        assert_eq!(config["organization_id"], portal.portal_id().to_string());
        assert!(tokens.insert(config["refresh_token"].as_str().expect("a token").to_owned()));
        tap.set("refresh_token", config["refresh_token"].clone());
    };
    let said = run(&tap, &["check", "--config", "config.json"]).succeeded();
    assert_eq!(said.of("CONNECTION_STATUS")[0]["connectionStatus"]["status"], "SUCCEEDED");
    rotated(&mut tap, &said);
    let said = run(&tap, &["discover", "--config", "config.json"]).succeeded();
    rotated(&mut tap, &said);
    let streams =
        said.of("CATALOG").pop().expect("a CATALOG")["catalog"]["streams"].as_array().expect("streams").clone();
    let said = read(&tap, &configured(&streams, incremental), &[]).succeeded();
    rotated(&mut tap, &said);
    assert!(!said.records("tickets").is_empty());
    // With a file for tokens of its own the source also goes on when nobody kept what CONTROL said.
    tap.set("token_cache_path", "tokens.json".into());
    let said = run(&tap, &["check", "--config", "config.json"]).succeeded();
    assert_eq!(said.of("CONTROL").len(), 1);
    let said = read(&tap, &configured(&streams, incremental), &[]).succeeded();
    assert!(!said.records("tickets").is_empty());
}

#[test]
fn the_catalog_tells_of_personal_data_what_comes() {
    let portal = Portal::start(Options::with_tickets(5));
    let mut tap = tap_of(&portal);
    tap.set("drop", json!(["content"])).set("hash", json!(["subject", "hs_num_times_contacted", "createdate"]));
    tap.set("hash_salt", "pepper and salt".into());
    for layout in ["columns", "object"] {
        tap.set("properties_layout", layout.into());
        let streams = discover(&tap);
        let tickets = streams.iter().find(|stream| stream["name"] == "tickets").expect("tickets");
        let columns = match layout {
            "columns" => &tickets["json_schema"]["properties"],
            _ => &tickets["json_schema"]["properties"]["properties"]["properties"],
        };
        assert!(columns["content"].is_null(), "{layout}: {columns}");
        assert_eq!(columns["createdate"], json!({"type": ["string", "null"]}), "{layout}: {columns}");
        let said = read(&tap, &configured(&streams, incremental), &[]).succeeded();
        for row in said.records("tickets") {
            let row: Value = serde_json::to_value(&row).expect("JSON");
            let cells = if layout == "columns" { &row } else { &row["properties"] };
            assert_eq!(cells["subject"].as_str().map(str::len), Some(64), "{row}");
            assert!(cells.get("content").is_none(), "{row}");
        }
    }
}
