//! RateLimits, tokens and faults.

use std::time::Duration;

use serde_json::json;

use super::*;

#[tokio::test]
async fn each_pool_has_its_own_limit_and_headers() {
    let limits =
        RateLimits { general_per_10s: 2, search_per_second: 1, associations_per_10s: 1, ..RateLimits::default() };
    let sandbox = Sandbox::start(Options { limits: Some(limits), ..small() }).await.unwrap();
    let list = "/crm/v3/objects/tickets";
    assert_eq!(get(&sandbox, list).await.headers["x-hubspot-ratelimit-remaining"], "1");
    assert_eq!(get(&sandbox, list).await.status, 200);
    let refused = get(&sandbox, list).await;
    assert_eq!((refused.status, refused.json()["policyName"].as_str()), (429, Some("TEN_SECONDLY_ROLLING")));
    let searched = post(&sandbox, "/crm/v3/objects/tickets/search", json!({})).await;
    assert_eq!(searched.status, 200);
    assert!(searched.headers.contains_key("x-hubspot-ratelimit-daily-remaining"));
    assert!(!searched.headers.contains_key("x-hubspot-ratelimit-max"));
    let refused = post(&sandbox, "/crm/v3/objects/tickets/search", json!({})).await.json();
    assert_eq!(refused["category"], "RATE_LIMITS");
    sandbox.set_limits(Some(RateLimits { daily: 1, daily_used: 1, ..RateLimits::default() }));
    assert_eq!(get(&sandbox, list).await.json()["policyName"], "DAILY");
    assert_eq!(sandbox.request_counts()["pool search"], 2);
}

#[tokio::test]
async fn a_token_reads_what_its_scopes_allow() {
    let sandbox = Sandbox::start(small()).await.unwrap();
    sandbox.add_token("narrow", &["tickets"]);
    assert_eq!(send(&sandbox, "narrow", "/crm/v3/objects/tickets", None).await.status, 200);
    let body = Some("{\"inputs\":[]}".to_owned());
    let refused = send(&sandbox, "narrow", "/crm/v4/associations/tickets/contacts/batch/read", body).await;
    let needed = &refused.json()["errors"][0]["context"]["requiredGranularScopes"];
    assert_eq!((refused.status, needed), (403, &json!(["crm.objects.contacts.read"])));
    assert_eq!(refused.headers["x-hubspot-correlation-id"], refused.json()["correlationId"].as_str().unwrap());
    assert_eq!(send(&sandbox, "unknown", "/crm/v3/owners", None).await.json()["category"], "INVALID_AUTHENTICATION");
}

#[tokio::test]
async fn a_refreshed_token_expires_with_the_clock() {
    let oauth = OAuthApp { rotate_refresh_tokens: true, ..OAuthApp::default() };
    let sandbox = Sandbox::start(Options { oauth, ..small() }).await.unwrap();
    let form = |refresh: &str| {
        Some(format!(
            "grant_type=refresh_token&client_id=sandbox-client&client_secret=sandbox-secret&refresh_token={refresh}"
        ))
    };
    let granted = send(&sandbox, "", "/oauth/2026-03/token", form("sandbox-refresh")).await.json();
    let token = granted["access_token"].as_str().unwrap();
    assert_eq!(send(&sandbox, token, "/crm/v3/owners", None).await.status, 200);
    sandbox.advance(Duration::from_secs(1_801));
    assert_eq!(send(&sandbox, token, "/crm/v3/owners", None).await.json()["category"], "EXPIRED_AUTHENTICATION");
    let reused = send(&sandbox, "", "/oauth/v1/token", form("sandbox-refresh")).await;
    assert_eq!((reused.status, reused.json()["status"].as_str()), (400, Some("BAD_REFRESH_TOKEN")));
    let rotated = granted["refresh_token"].as_str().unwrap();
    assert_eq!(send(&sandbox, "", "/oauth/v3/token", form(rotated)).await.status, 200);
}

#[tokio::test]
async fn faults_strike_the_requests_they_name() {
    let sandbox = Sandbox::start(small()).await.unwrap();
    let list = "/crm/v3/objects/tickets?limit=3";
    let status = Fault::Status { code: 503, headers: Vec::new(), body: None };
    sandbox.faults([FaultRule::nth("/objects/tickets", 1, 1, status)]);
    assert_eq!(get(&sandbox, "/crm/v3/owners").await.status, 200);
    assert_eq!(get(&sandbox, list).await.status, 200);
    assert_eq!(get(&sandbox, list).await.status, 503);
    sandbox.fail_next(Fault::IdsOutOfOrder);
    let spoiled = get(&sandbox, list).await.json();
    assert!(!ids(spoiled["results"].as_array().unwrap()).is_sorted());
    sandbox.fail_next(Fault::ResultsMissing);
    assert!(get(&sandbox, list).await.json().get("results").is_none());
    sandbox.faults([FaultRule::nth("after=", 0, 1, Fault::RepeatedPage)]);
    let first = get(&sandbox, list).await;
    let repeated = get(&sandbox, &format!("{list}&after=30000000000")).await;
    assert_eq!(first.text, repeated.text);
    sandbox.fail_next(Fault::ResetBeforeBody);
    let cut = reqwest::get(format!("{}{list}", sandbox.url())).await;
    assert!(cut.is_err());
    assert_eq!(sandbox.requests().last().and_then(|r| r.fault.clone()).as_deref(), Some("ResetBeforeBody"));
}
