//! Tokens, grants, scopes, quotas and hosts that do not let a run be.

use hubspot_sandbox::{Fault, FaultRule, RateLimitKind, read_scopes};
use serde_json::{Value, json};

use super::{QUOTA, UNAVAILABLE, USAGE, assert_refused, impatient, portal};
use crate::support::catalogs::{entry, metadata, only, tickets_with};
use crate::support::portal::Portal;
use crate::support::tap::Tap;

/// HubSpot refuses.
const REFUSED: i32 = 3;

#[test]
fn a_wrong_token_is_told_with_what_to_check() {
    let portal = portal();
    let mut tap = Tap::unhurried(&portal);
    tap.set("access_token", "pat-na1-hush".into());
    for arguments in [&[][..], &["--discover"], &["--test"], &["--test=schema"]] {
        let says = ["access_token", "correlationId"];
        assert_refused(&tap, || tap.command(arguments), REFUSED, &says);
    }
    tap.set("access_token", "pat-na1-hush\nhush-hush".into());
    assert_refused(&tap, || tap.command(&[]), USAGE, &["access_token", "a line break"]);
}

#[test]
fn a_token_of_another_tenant_is_refused_before_anything_is_written() {
    let portal = portal();
    let mut tap = Tap::unhurried(&portal);
    let catalog = tap.discover();
    tap.write("catalog.json", &catalog);
    for id in [json!("7"), json!(7)] {
        tap.set("organization_id", id);
        for arguments in [&[][..], &["--catalog", "catalog.json"], &["--discover"], &["--test=records"]] {
            portal.clear_requests();
            assert_refused(&tap, || tap.command(arguments), REFUSED, &["organization_id is 7", "245001234"]);
            // Twice, since everything here runs twice.
            assert_eq!(portal.requests().len(), 2, "nothing but the account was read");
        }
    }
    for id in [json!("245001234"), json!(245_001_234), json!(" 245001234 ")] {
        tap.set("organization_id", id);
        tap.run(&["--discover"]).succeeded();
    }
}

fn without(scopes: &[&str]) -> Vec<String> {
    read_scopes().into_iter().filter(|scope| !scopes.contains(&scope.as_str())).collect()
}

fn lacking(portal: &Portal, scopes: &[&str]) -> Tap {
    let granted = without(scopes);
    portal.add_token("lesser", &granted.iter().map(String::as_str).collect::<Vec<_>>());
    let mut tap = Tap::unhurried(portal);
    tap.set("access_token", "lesser".into());
    tap
}

#[test]
fn a_token_that_may_not_read_tickets_is_told_the_scope_to_add() {
    let portal = portal();
    let catalog = Tap::unhurried(&portal).discover();
    let tap = lacking(&portal, &["tickets"]);
    assert_refused(&tap, || tap.command(&[]), REFUSED, &["add the scope tickets", "correlationId"]);
    assert_refused(&tap, || tap.command(&["--discover"]), REFUSED, &["add the scope tickets"]);
    for catalog in [catalog.clone(), only(&catalog, &["tickets"]), tickets_with(&catalog, &["subject"])] {
        tap.write("catalog.json", &catalog);
        assert_refused(&tap, || tap.command(&["--catalog", "catalog.json"]), REFUSED, &["scope tickets"]);
    }
}

#[test]
fn a_selection_of_which_nothing_can_be_read_ends_the_run_with_the_scopes() {
    let portal = portal();
    let catalog = Tap::unhurried(&portal).discover();
    for stream in ["contacts", "companies", "deals"] {
        let scope = format!("crm.objects.{stream}.read");
        let tap = lacking(&portal, &[&scope]);
        tap.write("catalog.json", &only(&catalog, &[stream, "sync_audit"]));
        let says = [stream, &format!("add the scope {scope}")];
        assert_refused(&tap, || tap.command(&["--catalog", "catalog.json"]), REFUSED, &says);
    }
}

#[test]
fn a_chosen_association_type_whose_scope_is_missing_ends_the_run_with_the_scope() {
    let portal = portal();
    let mut tap = lacking(&portal, &["crm.objects.deals.read"]);
    tap.set("associations", json!(["contacts", "deals"]));
    let mut catalog = tap.discover();
    let says = ["deals", "add the scope crm.objects.deals.read", "associations"];
    metadata(entry(&mut catalog, "tickets"), &["properties", "associated_deals"])["selected"] = true.into();
    tap.write("catalog.json", &catalog);
    assert_refused(&tap, || tap.command(&["--catalog", "catalog.json"]), REFUSED, &says);
    assert_refused(&tap, || tap.command(&[]), REFUSED, &says);
}

#[test]
fn hosts_that_do_not_answer_are_named() {
    let portal = portal();
    for (url, says) in [
        // Nothing listens there, and the name is reserved for names that do not exist.
        ("http://127.0.0.1:1", "127.0.0.1:1"),
        ("http://nowhere.invalid", "nowhere.invalid"),
        ("https://127.0.0.1:1", "127.0.0.1:1"),
    ] {
        let mut tap = impatient(&portal);
        tap.set("api_base_url", url.into());
        assert_refused(&tap, || tap.command(&[]), UNAVAILABLE, &[says, "2 tries"]);
    }
    // TLS spoken to a server that speaks none.
    let mut tap = impatient(&portal);
    tap.set("api_base_url", portal.url().replace("http:", "https:").into());
    assert_refused(&tap, || tap.command(&[]), UNAVAILABLE, &["127.0.0.1"]);
}

#[test]
fn answers_that_are_not_hubspots_are_told_as_such() {
    let portal = portal();
    let tap = impatient(&portal);
    let status = |code, body: &str| Fault::Status { code, headers: Vec::new(), body: Some(body.to_owned()) };
    for (fault, code, says) in [
        (Fault::NotJson, UNAVAILABLE, "properties"),
        (Fault::Html(404), UNAVAILABLE, "404"),
        (Fault::Html(403), UNAVAILABLE, "403"),
        (Fault::Html(502), UNAVAILABLE, "502"),
        (status(404, ""), UNAVAILABLE, "404"),
        (status(404, "{}"), REFUSED, "404"),
        (status(500, "{\"message\":"), UNAVAILABLE, "500"),
        (status(301, ""), UNAVAILABLE, "301"),
        (status(200, "{}"), UNAVAILABLE, "properties"),
        (status(200, "[]"), UNAVAILABLE, "properties"),
        (status(530, "<html>\n\n error code: 1016</html>"), UNAVAILABLE, "error code: 1016"),
    ] {
        portal.clear_faults();
        portal.faults([FaultRule::always("", fault)]);
        assert_refused(&tap, || tap.command(&[]), code, &[says]);
    }
    portal.clear_faults();
    let mut tap = impatient(&portal);
    tap.set("api_base_url", format!("{}/proxy", portal.url()).into());
    assert_refused(&tap, || tap.command(&[]), UNAVAILABLE, &["404", "properties"]);
}

#[test]
fn a_used_up_quota_has_a_code_of_its_own() {
    let portal = portal();
    let tap = impatient(&portal);
    portal.faults([FaultRule::always(
        "account-info",
        Fault::RateLimited { limit: RateLimitKind::Daily, retry_after: None },
    )]);
    assert_refused(&tap, || tap.command(&[]), QUOTA, &["daily limit", "midnight", "correlationId"]);
}

#[test]
fn a_bad_oauth_grant_is_told_with_the_setting_to_check() {
    let portal = portal();
    for (setting, value, says) in [
        ("refresh_token", "hush-hush", "revoked or is not this app's"),
        ("client_secret", "hush-hush", "secret is wrong"),
        ("client_id", "other", "app is unknown"),
    ] {
        let mut tap = impatient(&portal);
        tap.set("access_token", Value::Null)
            .set("client_id", "sandbox-client".into())
            .set("client_secret", "sandbox-secret".into())
            .set("refresh_token", "sandbox-refresh".into())
            .set(setting, value.into());
        assert_refused(&tap, || tap.command(&[]), REFUSED, &[setting, says]);
    }
}
