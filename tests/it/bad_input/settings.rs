//! Settings that cannot be used.

use std::fs::{self};

use serde_json::{Value, json};

use super::{USAGE, assert_no_secret, assert_refused, portal};
use crate::support::tap::Tap;

#[test]
fn configs_that_cannot_be_read_are_refused_by_their_path() {
    let tap = Tap::unhurried(&portal());
    for (text, says) in [
        (None, "no-config.json"),
        (Some(""), "not JSON"),
        (Some(r#"{"access_token": "pat-na1-hush""#), "not JSON"),
        (Some(r#"["pat-na1-hush"]"#), "not a JSON object"),
        (Some(r#""pat-na1-hush""#), "not a JSON object"),
        (Some("pat-na1-hush"), "not JSON"),
    ] {
        if let Some(text) = text {
            fs::write(tap.path("no-config.json"), text).expect("a writable folder");
        }
        let command = || tap.bare_command(&["--config", "no-config.json"]);
        assert_refused(&tap, command, USAGE, &["no-config.json", says]);
    }
    assert_refused(&tap, || tap.bare_command(&["--config", "."]), USAGE, &["config ."]);
    assert_refused(&tap, || tap.bare_command(&[]), USAGE, &["--config"]);
    assert_refused(&tap, || tap.bare_command(&["--config", "ENV"]), USAGE, &["access_token", "refresh_token"]);
    fs::write(tap.path(".env"), "TAP_HUBSPOT_TICKETS_ACCESS_TOKEN='pat-na1-hush\n").expect("a writable folder");
    assert_refused(&tap, || tap.bare_command(&["--config", "ENV"]), USAGE, &[".env"]);
}

#[test]
fn settings_of_a_wrong_type_or_out_of_bounds_are_refused_by_their_name() {
    let portal = portal();
    for (setting, value, says) in [
        ("access_token", json!(["pat-na1-hush"]), ""),
        ("access_token", json!(""), "empty"),
        ("client_secret", json!({"x": "hush-hush"}), ""),
        ("organization_id", json!(true), "true"),
        ("scan_id", json!(7), "7"),
        ("start_date", json!("yesterday"), "yesterday"),
        ("start_date", json!("2026-01-32"), "2026-01-32"),
        ("end_date", json!(20_260_101), "20260101"),
        ("properties", json!("[subject"), "[subject"),
        ("include_associations", json!("perhaps"), "perhaps"),
        ("associations", json!([1]), "1"),
        ("properties_layout", json!("rows"), "rows"),
        ("api_base_url", json!("ftp://example.com"), "ftp://"),
        ("api_version", json!("2026-13"), "2026-13"),
        ("request_timeout_secs", json!(0), "0"),
        ("rate_limit", json!(0), "0"),
        ("rate_limit", json!(1.5), "1.5"),
        ("rate_limit_share", json!(1.1), "1.1"),
        ("retry_attempts", json!(-1), "-1"),
        ("retry_delay_secs", json!("soon"), "soon"),
        ("page_size", json!(101), "101"),
        ("page_size", json!(0), "0"),
        ("checkpoint_every_pages", json!(0), "0"),
        ("lookback_minutes", json!(-1), "-1"),
        ("user_agent", json!(""), ""),
    ] {
        let mut tap = Tap::unhurried(&portal);
        tap.set(setting, value);
        assert_refused(&tap, || tap.command(&[]), USAGE, &[setting, says]);
    }
    assert!(portal.requests().is_empty());
}

#[test]
fn settings_that_contradict_each_other_are_refused_together() {
    let portal = portal();
    let mut tap = Tap::unhurried(&portal);
    tap.set("start_date", "2026-02-01T00:00:00Z".into()).set("end_date", "2026-02-01T00:00:00Z".into());
    assert_refused(&tap, || tap.command(&[]), USAGE, &["end_date", "start_date"]);
    let mut tap = Tap::unhurried(&portal);
    tap.set("access_token", Value::Null).set("refresh_token", "hush-hush".into());
    assert_refused(&tap, || tap.command(&[]), USAGE, &["client_id, client_secret"]);
}

#[test]
fn an_unknown_key_is_one_warning_with_the_nearest_key() {
    let portal = portal();
    let mut tap = Tap::unhurried(&portal);
    tap.set("acess_token", "hush-hush".into()).set("zzz", 1.into());
    let finished = tap.run(&["--discover"]).succeeded();
    assert_eq!(finished.said("WARN"), 2, "{}", finished.stderr);
    assert_eq!(finished.said(r#""acess_token" is unknown and ignored; did you mean "access_token"?"#), 1);
    assert_eq!(finished.said(r#""zzz" is unknown"#), 1);
    assert_no_secret(&finished);
}
