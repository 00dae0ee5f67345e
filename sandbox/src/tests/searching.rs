//! Search: its cap, its lag and its disorder.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use super::*;

#[tokio::test]
async fn search_never_pages_beyond_ten_thousand() {
    let sandbox = Sandbox::start(small()).await.unwrap();
    let path = "/crm/objects/2026-03/tickets/search";
    let last = post(&sandbox, path, json!({"limit": 200, "after": "9800"})).await;
    assert_eq!(last.status, 200);
    for (after, limit) in [("9801", 200), ("10000", 1)] {
        assert_eq!(post(&sandbox, path, json!({"limit": limit, "after": after})).await.status, 400);
    }
    assert_eq!(post(&sandbox, path, json!({"limit": 201})).await.status, 400);
}

#[tokio::test]
async fn search_sees_records_as_they_were_a_lag_ago() {
    let lag = Duration::from_secs(30);
    let sandbox = Sandbox::start(Options { search_lag: lag, ..small() }).await.unwrap();
    let changed = true_ids(&sandbox, false)[3];
    let before = sandbox.now();
    sandbox.advance(Duration::from_secs(60));
    sandbox.update("tickets", changed, &[("subject", "changed")]);
    let created = sandbox.create("tickets", &[("subject", "created")]);
    let search = json!({"filterGroups": [{"filters": [
        {"propertyName": "hs_lastmodifieddate", "operator": "GTE", "value": before.timestamp_millis().to_string()}]}]});
    let found = async || post(&sandbox, "/crm/v3/objects/tickets/search", search.clone()).await.json();
    sandbox.advance(Duration::from_secs(29));
    assert_eq!(found().await["total"], 0);
    sandbox.advance(Duration::from_secs(1));
    let seen = found().await;
    let seen: BTreeSet<u64> = ids(seen["results"].as_array().unwrap()).into_iter().collect();
    assert_eq!(seen, BTreeSet::from([changed, created]));
}

#[tokio::test]
async fn disorder_spoils_dates_but_not_ids() {
    let sandbox = Sandbox::start(Options { search_disorder: true, ..small() }).await.unwrap();
    let all = true_ids(&sandbox, false);
    for (second, id) in (0_u64..).zip(&all) {
        sandbox.advance(Duration::from_secs(second % 5));
        sandbox.update("tickets", *id, &[("subject", "changed")]);
    }
    let sorted = async |name: &str| {
        let search = json!({"limit": 200, "sorts": [{"propertyName": name, "direction": "ASCENDING"}]});
        post(&sandbox, "/crm/v3/objects/tickets/search", search).await.json()["results"].as_array().unwrap().clone()
    };
    let dates: Vec<String> =
        sorted("hs_lastmodifieddate").await.iter().map(|t| t["updatedAt"].as_str().unwrap().to_owned()).collect();
    assert!(!dates.is_sorted());
    assert!(ids(&sorted("hs_object_id").await).is_sorted());
}

#[tokio::test]
async fn contacts_are_searched_by_their_own_modified_property() {
    let sandbox = Sandbox::start(small()).await.unwrap();
    let total = async |name: &str| {
        let filter = json!({"propertyName": name, "operator": "GTE", "value": "2006-01-01"});
        let search = json!({"filterGroups": [{"filters": [filter]}]});
        post(&sandbox, "/crm/v3/objects/contacts/search", search).await.json()["total"].clone()
    };
    assert_ne!(total("lastmodifieddate").await, 0);
    assert_eq!(total("hs_lastmodifieddate").await, 0);
}
