//! The command line and where settings come from.

use serde_json::{Value, json};
use tap_hubspot_tickets::sandbox::{Options, read_scopes};

use crate::support::delivery::{Target, contact, lines, schema};
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
    let poor = target.finish(target.command(&["--test"])).succeeded();
    assert!(poor.text().contains("write deals: missing: add the scope crm.objects.deals.write"), "{}", poor.text());
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
