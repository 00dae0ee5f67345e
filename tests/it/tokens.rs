//! OAuth: tokens that are renewed, rotated, kept across runs, and refused in words that tell why.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use hubspot_sandbox::{Fault, FaultRule, OAuthApp, Options};
use serde_json::{Value, json};

use crate::support::portal::Portal;
use crate::support::tap::{Finished, Tap};

const USAGE: i32 = 2;
const REFUSED: i32 = 3;

fn portal(rotate_refresh_tokens: bool) -> Portal {
    let oauth = OAuthApp { rotate_refresh_tokens, ..OAuthApp::default() };
    Portal::start(Options { oauth, merged: 0, archived_share: 0.0, ..Options::with_tickets(30) })
}

fn granted(portal: &Portal) -> Tap {
    let mut tap = Tap::unhurried(portal);
    tap.set("access_token", Value::Null)
        .set("client_id", "sandbox-client".into())
        .set("client_secret", "sandbox-secret".into())
        .set("refresh_token", "sandbox-refresh".into())
        .set("page_size", 10.into());
    tap
}

fn tokens_made(portal: &Portal) -> u64 {
    portal.request_counts().get("oauth_token").copied().unwrap_or(0)
}

fn kept(tap: &Tap) -> Value {
    serde_json::from_slice(&fs::read(tap.path("tokens.json")).expect("the cache")).expect("JSON")
}

#[track_caller]
fn assert_refused(finished: &Finished, code: i32, says: &str) {
    assert_eq!((finished.code, finished.text()), (Some(code), ""), "{}", finished.stderr);
    assert!(finished.last_line().contains(says), "{says} in: {}", finished.last_line());
    for secret in ["sandbox-secret", "sandbox-refresh", "CPa"] {
        assert!(!finished.stderr.contains(secret), "{secret}");
    }
}

#[test]
fn rotated_tokens_outlive_the_run_in_a_file_of_the_owners_own() {
    let portal = portal(true);
    let tap = granted(&portal);
    tap.sync(None).succeeded();
    assert_refused(&tap.sync(None), REFUSED, "the refresh token was revoked or is not this app's");

    // The same with a file that keeps what was rotated.
    portal.stop();
    let portal = self::portal(true);
    let mut tap = granted(&portal);
    tap.set("token_cache_path", "tokens.json".into());
    tap.sync(None).succeeded();
    let mode = fs::metadata(tap.path("tokens.json")).expect("the cache").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(kept(&tap)["refresh_token"], "sandbox-refresh-1");
    tap.sync(None).succeeded();
    assert_eq!(tokens_made(&portal), 1, "the access token was still good");
    for run in 2..5 {
        portal.expire_token(kept(&tap)["access_token"].as_str().expect("a token"));
        tap.sync(None).succeeded();
        assert_eq!(tokens_made(&portal), run, "once for all workers");
        assert_eq!(kept(&tap)["refresh_token"], format!("sandbox-refresh-{run}"));
    }
    let beside = fs::read_dir(tap.path("")).expect("the folder").map(|one| one.expect("an entry").file_name());
    assert!(beside.into_iter().all(|name| !name.to_string_lossy().ends_with(".part")), "nothing is left beside it");
}

#[test]
fn a_new_grant_in_the_config_replaces_what_was_kept_of_the_same_portal() {
    let portal = portal(false);
    let mut tap = granted(&portal);
    tap.set("token_cache_path", "tokens.json".into());
    let old = json!({"grant": "another", "hub_id": portal.portal_id(), "refresh_token": "void", "access_token": "void",
        "expires_at": "2999-01-01T00:00:00Z"});
    tap.write("tokens.json", &old);
    tap.sync(None).succeeded();
    assert_eq!(kept(&tap)["refresh_token"], "sandbox-refresh");
}

#[test]
fn a_token_file_that_cannot_be_used_is_told_before_a_token_is_spent() {
    let portal = portal(true);
    let mut tap = granted(&portal);
    tap.set("token_cache_path", "tokens.json".into());
    fs::write(tap.path("tokens.json"), "{\"refresh_token\":\"sandbox-refresh-7\"").expect("a writable folder");
    assert_refused(&tap.sync(None), USAGE, "token_cache_path tokens.json cannot be used");
    tap.set("token_cache_path", "config.json/tokens.json".into());
    assert_refused(&tap.sync(None), USAGE, "token_cache_path config.json/tokens.json cannot be used");
    tap.set("token_cache_path", "nowhere/tokens.json".into());
    assert_refused(&tap.sync(None), USAGE, "token_cache_path nowhere/tokens.json cannot be used");
    assert_eq!(tokens_made(&portal), 0);
}

#[test]
fn a_token_file_of_another_portal_is_left_alone() {
    let portal = portal(false);
    let mut tap = granted(&portal);
    tap.set("token_cache_path", "tokens.json".into());
    let other = json!({"grant": "another", "hub_id": 7, "refresh_token": "theirs", "access_token": "theirs",
        "expires_at": "2999-01-01T00:00:00Z"});
    tap.write("tokens.json", &other);
    assert_refused(&tap.sync(None), USAGE, "it holds the tokens of portal 7");
    assert_eq!(kept(&tap), other);
}

#[test]
fn wrong_expired_and_revoked_credentials_are_told_apart() {
    let portal = portal(false);
    let mut tap = Tap::unhurried(&portal);
    tap.set("access_token", "pat-na1-nobody".into());
    assert_refused(&tap.sync(None), REFUSED, "the access token is wrong, or was revoked or rotated");
    portal.add_token("expired", &["oauth", "tickets"]);
    portal.expire_token("expired");
    tap.set("access_token", "expired".into());
    assert_refused(&tap.sync(None), REFUSED, "the access token has expired");
    for (setting, says) in [
        ("client_id", "check client_id"),
        ("client_secret", "check client_secret"),
        ("refresh_token", "the refresh token was revoked or is not this app's"),
    ] {
        let mut tap = granted(&portal);
        tap.set(setting, "wrong".into());
        assert_refused(&tap.sync(None), REFUSED, says);
    }
    portal.faults([FaultRule::always("account-info", Fault::ExpiredToken)]);
    assert_refused(&granted(&portal).sync(None), REFUSED, "a new access token of the OAuth grant is refused as well");
    portal.clear_faults();
    portal.revoke_refresh_token();
    assert_refused(&granted(&portal).sync(None), REFUSED, "have the portal install the app again");
}

#[test]
fn requests_that_cross_a_renewal_are_sent_again_without_counting() {
    let portal = portal(false);
    let mut tap = granted(&portal);
    // No repeats: a request that fails for any other reason ends the run.
    tap.set("retry_attempts", 0.into()).set("token_cache_path", "tokens.json".into());
    tap.sync(None).succeeded();
    // Several requests go out side by side with the token that is void by now.
    portal.expire_token(kept(&tap)["access_token"].as_str().expect("a token"));
    portal.clear_requests();
    portal.set_latency(std::time::Duration::from_millis(30));
    let finished = tap.run(&["--discover"]).succeeded();
    assert_eq!(tokens_made(&portal), 1, "{}", finished.stderr);
    portal.faults([
        FaultRule::next("/properties/2026-03/tickets", Fault::ExpiredToken),
        FaultRule::next("/owners", Fault::ExpiredToken),
        FaultRule::next("/associations/2026-03/tickets/contacts", Fault::ExpiredToken),
        FaultRule::next("/properties/2026-03/deals", Fault::ExpiredToken),
    ]);
    portal.clear_requests();
    let finished = tap.run(&["--discover"]).succeeded();
    assert_eq!(tokens_made(&portal), 1, "one renewal for the four that were refused side by side: {}", finished.stderr);
}
