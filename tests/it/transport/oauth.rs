//! OAuth tokens that expire and rotate during a run.

use std::time::Duration;

use hubspot_sandbox::{Fault, FaultRule, OAuthApp, Options};
use serde_json::Value;

use super::{PAGES, REFUSED, assert_whole, of_endpoint, portal, tap};
use crate::support::portal::Portal;
use crate::support::tap::Tap;

fn with_oauth(tap: &mut Tap) {
    tap.set("access_token", Value::Null)
        .set("client_id", "sandbox-client".into())
        .set("client_secret", "sandbox-secret".into())
        .set("refresh_token", "sandbox-refresh".into());
}

#[test]
fn an_expired_oauth_token_is_renewed_once_and_the_request_replayed() {
    let portal = portal();
    let mut tap = tap(&portal);
    with_oauth(&mut tap);
    portal.faults([FaultRule::next(PAGES, Fault::ExpiredToken)]);
    let finished = tap.sync(None).succeeded();
    assert_whole(&portal, &finished);
    assert_eq!(of_endpoint(&portal, "oauth_token").len(), 2, "one at the beginning, one for the expired token");
    let pages: Vec<_> =
        of_endpoint(&portal, "list tickets").into_iter().filter(|one| one.query.contains(PAGES)).collect();
    assert_eq!(pages.len(), 4, "two pages, one of them twice, and what lies behind the full one that is the last");
    assert_eq!((pages[0].status, &pages[0].query), (401, &pages[1].query));
    assert_ne!(pages[0].authorization_fingerprint, pages[1].authorization_fingerprint, "sent with the new token");

    portal.faults([FaultRule::always(PAGES, Fault::ExpiredToken)]);
    portal.clear_requests();
    let finished = tap.sync(None);
    assert_eq!(finished.code, Some(REFUSED), "{}", finished.stderr);
    assert_eq!(of_endpoint(&portal, "oauth_token").len(), 2, "once a request");
}

#[test]
fn a_given_token_that_expires_is_told_at_once() {
    let portal = portal();
    portal.faults([FaultRule::always(PAGES, Fault::ExpiredToken)]);
    let finished = tap(&portal).sync(None);
    assert_eq!(finished.code, Some(REFUSED));
    for part in ["expired", "access_token", "correlationId"] {
        assert!(finished.last_line().contains(part), "{}", finished.last_line());
    }
}

#[test]
fn a_rotated_refresh_token_is_the_next_one_used() {
    let oauth = OAuthApp { rotate_refresh_tokens: true, ..OAuthApp::default() };
    let portal = Portal::start(Options { oauth, merged: 0, archived_share: 0.0, ..Options::with_tickets(30) });
    let mut tap = tap(&portal);
    with_oauth(&mut tap);
    portal.faults([FaultRule::next(PAGES, Fault::ExpiredToken), FaultRule::nth(PAGES, 1, 1, Fault::ExpiredToken)]);
    assert_whole(&portal, &tap.sync(None).succeeded());
    let used: Vec<_> = of_endpoint(&portal, "oauth_token")
        .into_iter()
        .filter_map(|one| one.body.split('&').find_map(|pair| pair.strip_prefix("refresh_token=").map(str::to_owned)))
        .collect();
    assert_eq!(used, ["sandbox-refresh", "sandbox-refresh-1", "sandbox-refresh-2"]);
}

#[test]
fn a_token_that_lives_shortly_is_renewed_before_its_end() {
    // Renewed a second before its end: a request that was sent just before then has its answer in time, also on a busy machine.
    let oauth = OAuthApp { token_lifetime: Duration::from_secs(5), ..OAuthApp::default() };
    let portal = Portal::start(Options {
        oauth,
        latency: Duration::from_millis(600),
        merged: 0,
        archived_share: 0.0,
        ..Options::with_tickets(100)
    });
    let mut tap = tap(&portal);
    with_oauth(&mut tap);
    let finished = tap.sync(None).succeeded();
    assert_whole(&portal, &finished);
    assert!(of_endpoint(&portal, "oauth_token").len() >= 2);
    let refused = portal.request_counts().get("status 401").copied().unwrap_or(0);
    assert!(refused <= 1, "{refused} requests were sent with an expired token");
}

#[test]
fn oauth_secrets_go_into_the_body_of_the_versions_own_token_endpoint() {
    let portal = portal();
    for (version, path) in [("v3", "/oauth/v3/token"), ("2026-03", "/oauth/2026-03/token")] {
        let mut tap = tap(&portal);
        with_oauth(&mut tap);
        tap.set("api_version", version.into());
        portal.clear_requests();
        tap.run(&["--test"]).succeeded();
        let asked = of_endpoint(&portal, "oauth_token");
        assert_eq!((asked[0].path.as_str(), asked[0].query.as_str(), asked[0].method.as_str()), (path, "", "POST"));
        assert!(asked[0].body.contains("client_secret=sandbox-secret"));
        assert!(portal.requests().iter().all(|one| !one.query.contains("sandbox")));
    }
}
