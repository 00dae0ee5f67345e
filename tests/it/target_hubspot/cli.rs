//! The command line and where settings come from.

use hubspot_sandbox::{Options, read_scopes};
use serde_json::{Value, json};

use crate::support::delivery::{Target, contact, lines, record, schema};
use crate::support::portal::Portal;

fn empty() -> Portal {
    Portal::start(Options { merged: 0, ..Options::with_tickets(0) })
}

#[test]
fn version_and_about_need_no_config() {
    let portal = empty();
    let target = Target::of(&portal);
    let version = target.finish(target.bare_command(&["--version"])).succeeded();
    assert_eq!(version.text(), concat!("target-hubspot v", env!("CARGO_PKG_VERSION"), "\n"));
    let about = target.finish(target.bare_command(&["--about", "--format=json"])).succeeded();
    let about: Value = serde_json::from_slice(&about.stdout).expect("JSON");
    assert_eq!(about["name"], "target-hubspot");
    let settings = about["settings"]["properties"].as_object().expect("settings");
    for name in ["access_token", "rate_limit", "streams", "delivery_id", "rejects_path", "max_rejects"] {
        assert!(settings.contains_key(name), "{name}");
    }
    assert!(!settings.contains_key("page_size"), "the tap's own settings are not the target's");
}

#[test]
fn metrics_are_written_in_plain_and_in_structured_form() {
    let portal = empty();
    let target = Target::of(&portal);
    let messages = [schema("contacts", &["email"]), record("contacts", contact("a@b.example"))];
    let plain = target.deliver(&messages).succeeded();
    let metric = r#"METRIC: {"type":"counter","metric":"record_count","value":1,"tags":{"stream":"contacts"}}"#;
    assert!(plain.stderr.contains(metric), "{}", plain.stderr);
    let config = target.path("logging.yaml");
    std::fs::write(&config, "formatters: {structured: {(): singer_sdk.logging.StructuredFormatter}}").expect("a file");
    std::fs::write(target.path("input.jsonl"), lines(&messages)).expect("a file");
    let mut command = target.command(&[]);
    command.env("SINGER_SDK_LOG_CONFIG", &config);
    command.stdin(std::fs::File::open(target.path("input.jsonl")).expect("the input"));
    let structured = target.finish(command).succeeded();
    let logged = structured.stderr.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let metrics: Vec<Value> = logged.filter(|line| line["message"] == "METRIC").collect();
    assert_eq!((&metrics[0]["metric_info"]["value"], &metrics[0]["stream_name"]), (&json!(1), &json!("contacts")));
}

#[test]
fn test_tells_what_may_be_written() {
    let portal = empty();
    let mut target = Target::of(&portal);
    let full = target.finish(target.command(&["--test"])).succeeded();
    for line in
        ["portal 245001234", "write contacts: ok", "write tickets: ok", "tap_delivery_key: created on first use"]
    {
        assert!(full.text().contains(line), "{}", full.text());
    }
    let scopes = read_scopes();
    portal.add_token("reader", &scopes.iter().map(String::as_str).collect::<Vec<_>>());
    target.set("access_token", json!("reader"));
    let poor = target.finish(target.command(&["--test"]));
    assert_eq!(poor.code, Some(3));
    assert!(poor.text().contains("write deals: missing: add the scope crm.objects.deals.write"), "{}", poor.text());
}

#[test]
fn test_lists_every_scope_that_a_run_would_miss_and_ends_as_it_would() {
    let portal = empty();
    let mut target = Target::of(&portal);
    portal.add_token("poor", &["oauth", "tickets", "crm.objects.contacts.read", "crm.objects.contacts.write"]);
    target.set("access_token", json!("poor"));
    let tested = target.finish(target.command(&["--test"]));
    assert_eq!(tested.code, Some(3), "{}", tested.stderr);
    for scope in ["contacts", "companies", "deals"].map(|of| format!("crm.schemas.{of}.read")) {
        assert!(tested.last_line().contains(&scope), "{scope}: {}", tested.last_line());
        assert!(tested.text().contains(&format!("missing: add the scope {scope}")), "{}", tested.text());
    }
    for scope in
        ["deals.read", "deals.write", "companies.read", "companies.write"].map(|of| format!("crm.objects.{of}"))
    {
        assert!(tested.last_line().contains(&scope), "{scope}: {}", tested.last_line());
    }
    assert_eq!(target.deliver(&[schema("contacts", &[]), contact("ann@x.example")]).code, Some(3));
    // What is not written needs no scope.
    target.set("delivery_id", json!("d"));
    target.finish(target.command(&["--test", "--stream", "tickets"])).succeeded();
    target.set("streams", json!({"contacts": null, "companies": null, "deals": null}));
    target.finish(target.command(&["--test"])).succeeded();
}

#[test]
fn test_names_the_scope_that_keeps_deals_from_being_created_twice_and_a_run_goes_on_without_it() {
    let portal = empty();
    let mut target = Target::of(&portal);
    let objects = ["contacts", "deals"].map(|of| ["read", "write"].map(|may| format!("crm.objects.{of}.{may}")));
    let mut scopes: Vec<&str> = objects.iter().flatten().map(String::as_str).collect();
    scopes.extend(["oauth", "crm.schemas.contacts.read", "crm.schemas.deals.read"]);
    portal.add_token("no-schemas", &scopes);
    target.set("access_token", json!("no-schemas"));
    let tested = target.finish(target.command(&["--test", "--stream", "deals"])).succeeded();
    let says = "deals property tap_delivery_key: not needed, but advised: add the scope crm.schemas.deals.write";
    assert!(tested.text().contains(says) && tested.text().contains("lock_path"), "{}", tested.text());
    let deal = record("deals", json!({"dealname": "Plan", "contactEmail": "ann@x.example"}));
    target.deliver(&[schema("contacts", &[]), schema("deals", &[]), contact("ann@x.example"), deal]).succeeded();
}

#[test]
fn test_names_what_the_config_maps_in_vain_and_keys_that_are_no_settings() {
    let portal = empty();
    for (streams, says) in [
        (
            json!({"people": {"object_type": "contacts", "properties": {"mail": "emial"}}}),
            "stream \"people\": properties: \"mail\" is to be \"emial\", which the contacts of portal 245001234 do not \
             have; did you mean \"email\"",
        ),
        (
            json!({"deals": {"id_property": "crm_id"}}),
            "stream \"deals\": id_property: the portal has no property crm_id",
        ),
        (json!({"contacts": {"required": ["email", "shoe"]}}), "stream \"contacts\": required: "),
    ] {
        let mut target = Target::of(&portal);
        target.set("streams", streams).set("clear_null", json!(true));
        let tested = target.finish(target.command(&["--test"]));
        assert_eq!(tested.code, Some(2), "{}", tested.stderr);
        assert!(tested.last_line().contains(says), "{}", tested.last_line());
        assert!(tested.text().contains(says), "{}", tested.text());
        assert_eq!(tested.said("did you mean \"clear_nulls\"?"), 1, "{}", tested.stderr);
    }
}

#[test]
fn required_may_name_references() {
    let portal = empty();
    let mut target = Target::of(&portal);
    target.set("streams", json!({"tickets": {"required": ["subject", "contactId"]}}));
    target.finish(target.command(&["--test"])).succeeded();
}

#[test]
fn arguments_that_need_others_say_so() {
    let portal = empty();
    let target = Target::of(&portal);
    for (arguments, says) in [
        (vec!["--csv"], "--stream <NAME>"),
        (vec!["--key", "a"], "--stream <NAME>"),
        (vec!["--stream", "contacts", "--delimiter", ";"], "--csv"),
        (vec!["--stream", "contacts", "--csv", "--delimiter", "ab"], "one character"),
    ] {
        let finished = target.finish(target.command(&arguments));
        assert_eq!(finished.code, Some(2), "{arguments:?}");
        assert!(finished.stderr.contains(says), "{arguments:?}: {}", finished.stderr);
    }
}

#[test]
fn settings_come_from_the_environment_too() {
    let portal = empty();
    let target = Target::of(&portal);
    std::fs::write(
        target.path("input.jsonl"),
        lines(&[schema("people", &[]), {
            let mut line = contact("ann@x.example");
            line["stream"] = json!("people");
            line
        }]),
    )
    .expect("a writable folder");
    let mut command = target.bare_command(&["--config", "ENV"]);
    command
        .env("TARGET_HUBSPOT_API_BASE_URL", portal.url())
        .env("TARGET_HUBSPOT_ACCESS_TOKEN", portal.access_token())
        .env("TARGET_HUBSPOT_STREAMS", r#"{"people": {"object_type": "contacts"}}"#)
        .stdin(std::fs::File::open(target.path("input.jsonl")).expect("the input"));
    let finished = target.finish(command).succeeded();
    assert_eq!(finished.said("people: 1 created"), 1, "{}", finished.stderr);
}

#[test]
fn a_bad_setting_is_named() {
    let portal = empty();
    for (setting, value, says) in [
        ("streams", json!({"x": {"id_property": 5}}), "streams"),
        ("unknown_fields", json!("drop"), "unknown_fields"),
        ("max_rejects", json!(-1), "max_rejects"),
        ("ticket_key", json!("No Name"), "ticket_key"),
    ] {
        let mut target = Target::of(&portal);
        target.set(setting, value);
        let finished = target.deliver(&[]);
        assert_eq!(finished.code, Some(2), "{}", finished.stderr);
        assert!(finished.last_line().contains(says), "{}", finished.stderr);
    }
}

#[test]
fn an_oauth_grant_writes_as_a_token_does() {
    let portal = empty();
    let mut target = Target::of(&portal);
    let app = Options::default().oauth;
    target
        .set("access_token", json!(null))
        .set("client_id", json!(app.client_id))
        .set("client_secret", json!(app.client_secret))
        .set("refresh_token", json!(app.refresh_token));
    let finished = target.deliver(&[schema("contacts", &[]), contact("ann@x.example")]).succeeded();
    assert_eq!(finished.said("contacts: 1 created"), 1, "{}", finished.stderr);
}
