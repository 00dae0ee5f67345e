//! How the sandbox behaves over HTTP.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::DateTime;
use serde_json::{Value, json};

use super::*;

struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

async fn send(sandbox: &Sandbox, token: &str, path: &str, body: Option<String>) -> Answer {
    // Another test may have installed it already.
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::new();
    let url = format!("{}{path}", sandbox.url());
    let request = match body {
        None => client.get(url),
        Some(body) => client.post(url).body(body),
    };
    let response = request.bearer_auth(token).send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer {
        status,
        headers,
        text: response.text().await.unwrap(),
    }
}

async fn get(sandbox: &Sandbox, path: &str) -> Answer {
    send(sandbox, &sandbox.access_token(), path, None).await
}

async fn post(sandbox: &Sandbox, path: &str, body: Value) -> Answer {
    send(
        sandbox,
        &sandbox.access_token(),
        path,
        Some(body.to_string()),
    )
    .await
}

/// A portal of 250 tickets with a clock that stands still.
fn small() -> Options {
    let start_time = DateTime::from_timestamp(1_750_000_000, 0);
    Options {
        start_time,
        ..Options::with_tickets(250)
    }
}

async fn list_all(sandbox: &Sandbox, path: &str) -> Vec<Value> {
    let mut records = Vec::new();
    let mut after = String::new();
    loop {
        let page = get(sandbox, &format!("{path}&limit=100{after}"))
            .await
            .json();
        records.extend(page["results"].as_array().unwrap().iter().cloned());
        match page["paging"]["next"]["after"].as_str() {
            Some(next) => after = format!("&after={}", next.replace('%', "%25")),
            None => return records,
        }
    }
}

fn ids(records: &[Value]) -> Vec<u64> {
    records
        .iter()
        .map(|record| record["id"].as_str().unwrap().parse().unwrap())
        .collect()
}

fn true_ids(sandbox: &Sandbox, archived: bool) -> Vec<u64> {
    let truth = sandbox.truth();
    let tickets = truth["tickets"].as_array().unwrap().iter();
    let wanted: Vec<Value> = tickets
        .filter(|t| t["archived"] == archived && t["merged_into"].is_null())
        .cloned()
        .collect();
    ids(&wanted)
}

#[tokio::test]
async fn listing_yields_every_ticket_once_in_order_with_either_cursor() {
    for cursor in [CursorStyle::NextId, CursorStyle::Opaque] {
        let sandbox = Sandbox::start(Options { cursor, ..small() }).await.unwrap();
        let live = list_all(&sandbox, "/crm/objects/2026-03/tickets?archived=false").await;
        assert_eq!(ids(&live), true_ids(&sandbox, false));
        let archived = list_all(&sandbox, "/crm/v3/objects/0-5?archived=true").await;
        assert_eq!(ids(&archived), true_ids(&sandbox, true));
        assert!(
            archived
                .iter()
                .all(|ticket| ticket["archivedAt"].is_string())
        );
    }
}

#[tokio::test]
async fn only_an_id_cursor_may_be_guessed() {
    let sandbox = Sandbox::start(small()).await.unwrap();
    let all = true_ids(&sandbox, false);
    let guessed = get(
        &sandbox,
        &format!("/crm/v3/objects/tickets?after={}", all[20]),
    )
    .await
    .json();
    assert_eq!(ids(guessed["results"].as_array().unwrap())[0], all[20]);
    let opaque = Options {
        cursor: CursorStyle::Opaque,
        ..small()
    };
    let sandbox = Sandbox::start(opaque).await.unwrap();
    let refused = get(
        &sandbox,
        &format!("/crm/v3/objects/tickets?after={}", all[20]),
    )
    .await;
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn generated_tickets_equal_held_ones() {
    let held = Sandbox::start(Options {
        hostile: true,
        ..small()
    })
    .await
    .unwrap();
    let options = Options {
        hostile: true,
        virtual_tickets: true,
        ..small()
    };
    let generated = Sandbox::start(options).await.unwrap();
    for sandbox in [&held, &generated] {
        let id = true_ids(sandbox, false)[7];
        sandbox.update("tickets", id, &[("subject", "changed")]);
        sandbox.archive("tickets", true_ids(sandbox, false)[9]);
        sandbox.create("tickets", &[("subject", "new")]);
    }
    assert!(held.truth()["tickets"] == generated.truth()["tickets"]);
    assert!(
        held.truth()["contacts"][0]["properties"] == generated.truth()["contacts"][0]["properties"]
    );
    let search = json!({"filterGroups": [], "sorts": ["hs_lastmodifieddate"], "limit": 200});
    let from_held = post(&held, "/crm/v3/objects/tickets/search", search.clone())
        .await
        .text;
    assert!(
        from_held
            == post(&generated, "/crm/v3/objects/tickets/search", search)
                .await
                .text
    );
}

#[tokio::test]
async fn reads_tell_unset_from_undefined_and_cleared() {
    let sandbox = Sandbox::start(small()).await.unwrap();
    let id = sandbox.create(
        "tickets",
        &[("subject", "A \"quoted\" one"), ("content", "")],
    );
    let path =
        format!("/crm/v3/objects/ticket/{id}?properties=subject,content,closed_date,nowhere");
    let properties = get(&sandbox, &path).await.json()["properties"].clone();
    assert_eq!(properties["subject"], "A \"quoted\" one");
    assert_eq!(properties["content"], "");
    let keys: Vec<&String> = properties.as_object().unwrap().keys().collect();
    let expected = [
        "closed_date",
        "content",
        "createdate",
        "hs_lastmodifieddate",
        "hs_object_id",
        "subject",
    ];
    assert_eq!(keys, expected);
    assert!(properties["closed_date"].is_null());
}

#[tokio::test]
async fn search_never_pages_beyond_ten_thousand() {
    let sandbox = Sandbox::start(small()).await.unwrap();
    let path = "/crm/objects/2026-03/tickets/search";
    let last = post(&sandbox, path, json!({"limit": 200, "after": "9800"})).await;
    assert_eq!(last.status, 200);
    for (after, limit) in [("9801", 200), ("10000", 1)] {
        assert_eq!(
            post(&sandbox, path, json!({"limit": limit, "after": after}))
                .await
                .status,
            400
        );
    }
    assert_eq!(
        post(&sandbox, path, json!({"limit": 201})).await.status,
        400
    );
}

#[tokio::test]
async fn search_sees_records_as_they_were_a_lag_ago() {
    let lag = Duration::from_secs(30);
    let sandbox = Sandbox::start(Options {
        search_lag: lag,
        ..small()
    })
    .await
    .unwrap();
    let changed = true_ids(&sandbox, false)[3];
    let before = sandbox.now();
    sandbox.advance(Duration::from_secs(60));
    sandbox.update("tickets", changed, &[("subject", "changed")]);
    let created = sandbox.create("tickets", &[("subject", "created")]);
    let search = json!({"filterGroups": [{"filters": [
        {"propertyName": "hs_lastmodifieddate", "operator": "GTE", "value": before.timestamp_millis().to_string()}]}]});
    let found = async || {
        post(&sandbox, "/crm/v3/objects/tickets/search", search.clone())
            .await
            .json()
    };
    sandbox.advance(Duration::from_secs(29));
    assert_eq!(found().await["total"], 0);
    sandbox.advance(Duration::from_secs(1));
    let seen = found().await;
    let seen: BTreeSet<u64> = ids(seen["results"].as_array().unwrap())
        .into_iter()
        .collect();
    assert_eq!(seen, BTreeSet::from([changed, created]));
}

#[tokio::test]
async fn disorder_spoils_dates_but_not_ids() {
    let sandbox = Sandbox::start(Options {
        search_disorder: true,
        ..small()
    })
    .await
    .unwrap();
    let all = true_ids(&sandbox, false);
    for (second, id) in (0_u64..).zip(&all) {
        sandbox.advance(Duration::from_secs(second % 5));
        sandbox.update("tickets", *id, &[("subject", "changed")]);
    }
    let sorted = async |name: &str| {
        let search =
            json!({"limit": 200, "sorts": [{"propertyName": name, "direction": "ASCENDING"}]});
        post(&sandbox, "/crm/v3/objects/tickets/search", search)
            .await
            .json()["results"]
            .as_array()
            .unwrap()
            .clone()
    };
    let dates: Vec<String> = sorted("hs_lastmodifieddate")
        .await
        .iter()
        .map(|t| t["updatedAt"].as_str().unwrap().to_owned())
        .collect();
    assert!(!dates.is_sorted());
    assert!(ids(&sorted("hs_object_id").await).is_sorted());
}

#[tokio::test]
async fn contacts_are_searched_by_their_own_modified_property() {
    let sandbox = Sandbox::start(small()).await.unwrap();
    let total = async |name: &str| {
        let filter = json!({"propertyName": name, "operator": "GTE", "value": "2006-01-01"});
        let search = json!({"filterGroups": [{"filters": [filter]}]});
        post(&sandbox, "/crm/v3/objects/contacts/search", search)
            .await
            .json()["total"]
            .clone()
    };
    assert_ne!(total("lastmodifieddate").await, 0);
    assert_eq!(total("hs_lastmodifieddate").await, 0);
}

#[tokio::test]
async fn a_merged_loser_is_in_no_list_and_answers_as_the_winner() {
    let sandbox = Sandbox::start(small()).await.unwrap();
    let all = true_ids(&sandbox, false);
    sandbox.merge("tickets", all[0], all[1]);
    let survivor = sandbox.merge_into_new("tickets", all[2], all[3]);
    let inputs = json!({"inputs": [{"id": all[1].to_string()}, {"id": all[3]}], "properties": ["hs_merged_object_ids"]});
    let answer = post(&sandbox, "/crm/v3/objects/tickets/batch/read", inputs).await;
    let read = answer.json()["results"].as_array().unwrap().clone();
    assert_eq!(answer.status, 200);
    assert_eq!(ids(&read), [all[0], survivor]);
    assert_eq!(
        read[0]["properties"]["hs_merged_object_ids"],
        all[1].to_string()
    );
    assert_eq!(
        read[1]["properties"]["hs_merged_object_ids"],
        format!("{};{}", all[2], all[3])
    );
    let live = ids(&list_all(&sandbox, "/crm/v3/objects/tickets?").await);
    let archived = ids(&list_all(&sandbox, "/crm/v3/objects/tickets?archived=true").await);
    assert!(!live.contains(&all[1]) && !archived.contains(&all[1]) && !live.contains(&all[2]));
}

#[tokio::test]
async fn a_batch_with_something_missing_is_a_207() {
    let sandbox = Sandbox::start(small()).await.unwrap();
    let id = true_ids(&sandbox, false)[0];
    let path = "/crm/objects/2026-03/tickets/batch/read";
    let answer = post(&sandbox, path, json!({"inputs": [{"id": id}, {"id": "5"}]})).await;
    assert_eq!(
        (
            answer.status,
            answer.json()["errors"][0]["context"]["ids"][0].as_str()
        ),
        (207, Some("5"))
    );
    let repeated = post(
        &sandbox,
        path,
        json!({"inputs": [{"id": "5"}, {"id": "5"}]}),
    )
    .await;
    assert_eq!(
        repeated.json()["message"],
        "Duplicate IDs found in batch input: [5]. IDs must be unique"
    );
    let many: Vec<Value> = (1..=101).map(|id| json!({"id": id})).collect();
    assert_eq!(
        post(&sandbox, path, json!({"inputs": many})).await.status,
        400
    );
}

#[tokio::test]
async fn associations_are_paged_per_record_and_primary_companies_are_unique() {
    let sandbox = Sandbox::start(Options {
        association_page_size: 2,
        ..small()
    })
    .await
    .unwrap();
    let ticket = sandbox.create("tickets", &[]);
    let companies: Vec<u64> = (0..5)
        .map(|_| sandbox.create("companies", &[("name", "Acme")]))
        .collect();
    for company in &companies {
        sandbox.associate("tickets", ticket, "companies", *company, 26, None);
    }
    let mut after = Value::Null;
    let mut seen = Vec::new();
    loop {
        let input = json!({"inputs": [{"id": ticket.to_string(), "after": after}]});
        let page = post(
            &sandbox,
            "/crm/v4/associations/ticket/0-2/batch/read",
            input,
        )
        .await
        .json();
        seen.extend(page["results"][0]["to"].as_array().unwrap().iter().cloned());
        after = page["results"][0]["paging"]["next"]["after"].clone();
        if after.is_null() {
            break;
        }
    }
    let read: Vec<u64> = seen
        .iter()
        .map(|end| end["toObjectId"].as_u64().unwrap())
        .collect();
    assert_eq!(read, companies);
    let primary: Vec<&Value> = seen
        .iter()
        .filter(|end| end["associationTypes"].as_array().unwrap().len() == 2)
        .collect();
    assert_eq!(primary.len(), 1);
    sandbox.dissociate("companies", companies[0], "tickets", ticket);
    sandbox.associate(
        "tickets",
        ticket,
        "contacts",
        sandbox.create("contacts", &[]),
        77,
        Some("Witness"),
    );
    let (truth, name) = (sandbox.truth(), ticket.to_string());
    let told = truth["tickets"]
        .as_array()
        .unwrap()
        .iter()
        .find(|t| t["id"] == name.as_str())
        .unwrap();
    assert_eq!(
        told["associations"]["companies"].as_array().unwrap().len(),
        4
    );
    assert_eq!(
        told["associations"]["contacts"][0]["types"][1]["label"],
        "Witness"
    );
    let none = post(
        &sandbox,
        "/crm/v4/associations/tickets/deals/batch/read",
        json!({"inputs": [{"id": ticket}]}),
    )
    .await;
    assert_eq!(none.status, 207);
    assert_eq!(
        none.json()["errors"][0]["message"],
        format!("No deal is associated with ticket {ticket}.")
    );
}

#[tokio::test]
async fn each_pool_has_its_own_limit_and_headers() {
    let limits = Limits {
        general_per_10s: 2,
        search_per_second: 1,
        associations_per_10s: 1,
        ..Limits::default()
    };
    let sandbox = Sandbox::start(Options {
        limits: Some(limits),
        ..small()
    })
    .await
    .unwrap();
    let list = "/crm/v3/objects/tickets";
    assert_eq!(
        get(&sandbox, list).await.headers["x-hubspot-ratelimit-remaining"],
        "1"
    );
    assert_eq!(get(&sandbox, list).await.status, 200);
    let refused = get(&sandbox, list).await;
    assert_eq!(
        (refused.status, refused.json()["policyName"].as_str()),
        (429, Some("TEN_SECONDLY_ROLLING"))
    );
    let searched = post(&sandbox, "/crm/v3/objects/tickets/search", json!({})).await;
    assert_eq!(searched.status, 200);
    assert!(
        searched
            .headers
            .contains_key("x-hubspot-ratelimit-daily-remaining")
    );
    assert!(!searched.headers.contains_key("x-hubspot-ratelimit-max"));
    let refused = post(&sandbox, "/crm/v3/objects/tickets/search", json!({}))
        .await
        .json();
    assert_eq!(refused["category"], "RATE_LIMITS");
    sandbox.set_limits(Some(Limits {
        daily: 1,
        daily_used: 1,
        ..Limits::default()
    }));
    assert_eq!(get(&sandbox, list).await.json()["policyName"], "DAILY");
    assert_eq!(sandbox.request_counts()["pool search"], 2);
}

#[tokio::test]
async fn a_token_reads_what_its_scopes_allow() {
    let sandbox = Sandbox::start(small()).await.unwrap();
    sandbox.add_token("narrow", &["tickets"]);
    assert_eq!(
        send(&sandbox, "narrow", "/crm/v3/objects/tickets", None)
            .await
            .status,
        200
    );
    let body = Some("{\"inputs\":[]}".to_owned());
    let refused = send(
        &sandbox,
        "narrow",
        "/crm/v4/associations/tickets/contacts/batch/read",
        body,
    )
    .await;
    let needed = &refused.json()["errors"][0]["context"]["requiredGranularScopes"];
    assert_eq!(
        (refused.status, needed),
        (403, &json!(["crm.objects.contacts.read"]))
    );
    assert_eq!(
        refused.headers["x-hubspot-correlation-id"],
        refused.json()["correlationId"].as_str().unwrap()
    );
    assert_eq!(
        send(&sandbox, "unknown", "/crm/v3/owners", None)
            .await
            .json()["category"],
        "INVALID_AUTHENTICATION"
    );
}

#[tokio::test]
async fn a_refreshed_token_expires_with_the_clock() {
    let oauth = OAuthApp {
        rotate_refresh_tokens: true,
        ..OAuthApp::default()
    };
    let sandbox = Sandbox::start(Options { oauth, ..small() }).await.unwrap();
    let form = |refresh: &str| {
        Some(format!(
            "grant_type=refresh_token&client_id=sandbox-client&client_secret=sandbox-secret&refresh_token={refresh}"
        ))
    };
    let granted = send(
        &sandbox,
        "",
        "/oauth/2026-03/token",
        form("sandbox-refresh"),
    )
    .await
    .json();
    let token = granted["access_token"].as_str().unwrap();
    assert_eq!(
        send(&sandbox, token, "/crm/v3/owners", None).await.status,
        200
    );
    sandbox.advance(Duration::from_secs(1_801));
    assert_eq!(
        send(&sandbox, token, "/crm/v3/owners", None).await.json()["category"],
        "EXPIRED_AUTHENTICATION"
    );
    let reused = send(&sandbox, "", "/oauth/v1/token", form("sandbox-refresh")).await;
    assert_eq!(
        (reused.status, reused.json()["status"].as_str()),
        (400, Some("BAD_REFRESH_TOKEN"))
    );
    let rotated = granted["refresh_token"].as_str().unwrap();
    assert_eq!(
        send(&sandbox, "", "/oauth/v3/token", form(rotated))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn faults_strike_the_requests_they_name() {
    let sandbox = Sandbox::start(small()).await.unwrap();
    let list = "/crm/v3/objects/tickets?limit=3";
    let status = Fault::Status {
        code: 503,
        headers: Vec::new(),
        body: None,
    };
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
    assert_eq!(
        sandbox
            .requests()
            .last()
            .and_then(|r| r.fault.clone())
            .as_deref(),
        Some("ResetBeforeBody")
    );
}

#[tokio::test]
async fn a_hostile_portal_sends_what_text_cannot_hold() {
    let sandbox = Sandbox::start(Options {
        hostile: true,
        ..small()
    })
    .await
    .unwrap();
    let page = get(
        &sandbox,
        "/crm/v3/objects/tickets?limit=100&properties=odd_text,Region,region",
    )
    .await;
    assert!(page.text.contains("\\ud800") && page.text.contains("\\u0000"));
    assert!(
        !String::from_utf8(sandbox.truth_json())
            .unwrap()
            .contains("\\ud800")
    );
    assert_ne!(sandbox.truth(), Value::Null);
}

#[tokio::test]
async fn an_archived_property_is_no_longer_read() {
    let sandbox = Sandbox::start(small()).await.unwrap();
    let listed = async |query: &str| {
        let answer = get(&sandbox, &format!("/crm/v3/properties/tickets?{query}"))
            .await
            .json();
        let listed = answer["results"].as_array().unwrap().clone();
        listed
            .iter()
            .map(|def| def["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert!(listed("").await.contains(&"order_number".to_owned()));
    sandbox.archive_property("tickets", "order_number");
    assert!(!listed("").await.contains(&"order_number".to_owned()));
    assert!(
        listed("archived=true")
            .await
            .contains(&"order_number".to_owned())
    );
    assert_eq!(
        listed("dataSensitivity=sensitive").await,
        ["health_record_number"]
    );
    let page = get(
        &sandbox,
        "/crm/v3/objects/tickets?limit=1&properties=order_number",
    )
    .await
    .json();
    assert!(
        page["results"][0]["properties"]
            .get("order_number")
            .is_none()
    );
}
