//! Lists, single reads, batches and associations.

use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn listing_yields_every_ticket_once_in_order_with_either_cursor() {
    for cursor in [CursorStyle::NextId, CursorStyle::Opaque] {
        let sandbox = Sandbox::start(Options { cursor, ..small() }).await.unwrap();
        let live = list_all(&sandbox, "/crm/objects/2026-03/tickets?archived=false").await;
        assert_eq!(ids(&live), true_ids(&sandbox, false));
        let archived = list_all(&sandbox, "/crm/v3/objects/0-5?archived=true").await;
        assert_eq!(ids(&archived), true_ids(&sandbox, true));
        assert!(archived.iter().all(|ticket| ticket["archivedAt"].is_string()));
    }
}

#[tokio::test]
async fn only_an_id_cursor_may_be_guessed() {
    let sandbox = Sandbox::start(small()).await.unwrap();
    let all = true_ids(&sandbox, false);
    let guessed = get(&sandbox, &format!("/crm/v3/objects/tickets?after={}", all[20])).await.json();
    assert_eq!(ids(guessed["results"].as_array().unwrap())[0], all[20]);
    let opaque = Options { cursor: CursorStyle::Opaque, ..small() };
    let sandbox = Sandbox::start(opaque).await.unwrap();
    let refused = get(&sandbox, &format!("/crm/v3/objects/tickets?after={}", all[20])).await;
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn generated_tickets_equal_held_ones() {
    let held = Sandbox::start(Options { hostile: true, ..small() }).await.unwrap();
    let options = Options { hostile: true, virtual_tickets: true, ..small() };
    let generated = Sandbox::start(options).await.unwrap();
    for sandbox in [&held, &generated] {
        let id = true_ids(sandbox, false)[7];
        sandbox.update("tickets", id, &[("subject", "changed")]);
        sandbox.archive("tickets", true_ids(sandbox, false)[9]);
        sandbox.create("tickets", &[("subject", "new")]);
    }
    assert!(held.truth()["tickets"] == generated.truth()["tickets"]);
    assert!(held.truth()["contacts"][0]["properties"] == generated.truth()["contacts"][0]["properties"]);
    let search = json!({"filterGroups": [], "sorts": ["hs_lastmodifieddate"], "limit": 200});
    let from_held = post(&held, "/crm/v3/objects/tickets/search", search.clone()).await.text;
    assert!(from_held == post(&generated, "/crm/v3/objects/tickets/search", search).await.text);
}

#[tokio::test]
async fn reads_tell_unset_from_undefined_and_cleared() {
    let sandbox = Sandbox::start(small()).await.unwrap();
    let id = sandbox.create("tickets", &[("subject", "A \"quoted\" one"), ("content", "")]);
    let path = format!("/crm/v3/objects/ticket/{id}?properties=subject,content,closed_date,nowhere");
    let properties = get(&sandbox, &path).await.json()["properties"].clone();
    assert_eq!(properties["subject"], "A \"quoted\" one");
    assert_eq!(properties["content"], "");
    let keys: Vec<&String> = properties.as_object().unwrap().keys().collect();
    let expected = ["closed_date", "content", "createdate", "hs_lastmodifieddate", "hs_object_id", "subject"];
    assert_eq!(keys, expected);
    assert!(properties["closed_date"].is_null());
}

#[tokio::test]
async fn a_merged_loser_is_in_no_list_and_answers_as_the_winner() {
    let sandbox = Sandbox::start(small()).await.unwrap();
    let all = true_ids(&sandbox, false);
    sandbox.merge("tickets", all[0], all[1]);
    let survivor = sandbox.merge_into_new("tickets", all[2], all[3]);
    let inputs =
        json!({"inputs": [{"id": all[1].to_string()}, {"id": all[3]}], "properties": ["hs_merged_object_ids"]});
    let answer = post(&sandbox, "/crm/v3/objects/tickets/batch/read", inputs).await;
    let read = answer.json()["results"].as_array().unwrap().clone();
    assert_eq!(answer.status, 200);
    assert_eq!(ids(&read), [all[0], survivor]);
    assert_eq!(read[0]["properties"]["hs_merged_object_ids"], all[1].to_string());
    assert_eq!(read[1]["properties"]["hs_merged_object_ids"], format!("{};{}", all[2], all[3]));
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
    assert_eq!((answer.status, answer.json()["errors"][0]["context"]["ids"][0].as_str()), (207, Some("5")));
    let repeated = post(&sandbox, path, json!({"inputs": [{"id": "5"}, {"id": "5"}]})).await;
    assert_eq!(repeated.json()["message"], "Duplicate IDs found in batch input: [5]. IDs must be unique");
    let many: Vec<Value> = (1..=101).map(|id| json!({"id": id})).collect();
    assert_eq!(post(&sandbox, path, json!({"inputs": many})).await.status, 400);
}

#[tokio::test]
async fn associations_are_paged_per_record_and_primary_companies_are_unique() {
    let sandbox = Sandbox::start(Options { association_page_size: 2, ..small() }).await.unwrap();
    let ticket = sandbox.create("tickets", &[]);
    let companies: Vec<u64> = (0..5).map(|_| sandbox.create("companies", &[("name", "Acme")])).collect();
    for company in &companies {
        sandbox.associate("tickets", ticket, "companies", *company, 26, None);
    }
    let mut after = Value::Null;
    let mut seen = Vec::new();
    loop {
        let input = json!({"inputs": [{"id": ticket.to_string(), "after": after}]});
        let page = post(&sandbox, "/crm/v4/associations/ticket/0-2/batch/read", input).await.json();
        seen.extend(page["results"][0]["to"].as_array().unwrap().iter().cloned());
        after = page["results"][0]["paging"]["next"]["after"].clone();
        if after.is_null() {
            break;
        }
    }
    let read: Vec<u64> = seen.iter().map(|end| end["toObjectId"].as_u64().unwrap()).collect();
    assert_eq!(read, companies);
    let primary: Vec<&Value> =
        seen.iter().filter(|end| end["associationTypes"].as_array().unwrap().len() == 2).collect();
    assert_eq!(primary.len(), 1);
    sandbox.dissociate("companies", companies[0], "tickets", ticket);
    sandbox.associate("tickets", ticket, "contacts", sandbox.create("contacts", &[]), 77, Some("Witness"));
    let (truth, name) = (sandbox.truth(), ticket.to_string());
    let told = truth["tickets"].as_array().unwrap().iter().find(|t| t["id"] == name.as_str()).unwrap();
    assert_eq!(told["associations"]["companies"].as_array().unwrap().len(), 4);
    assert_eq!(told["associations"]["contacts"][0]["types"][1]["label"], "Witness");
    let none =
        post(&sandbox, "/crm/v4/associations/tickets/deals/batch/read", json!({"inputs": [{"id": ticket}]})).await;
    assert_eq!(none.status, 207);
    assert_eq!(none.json()["errors"][0]["message"], format!("No deal is associated with ticket {ticket}."));
}

#[tokio::test]
async fn a_hostile_portal_sends_what_text_cannot_hold() {
    let sandbox = Sandbox::start(Options { hostile: true, ..small() }).await.unwrap();
    let page = get(&sandbox, "/crm/v3/objects/tickets?limit=100&properties=odd_text,Region,region").await;
    assert!(page.text.contains("\\ud800") && page.text.contains("\\u0000"));
    assert!(!String::from_utf8(sandbox.truth_json()).unwrap().contains("\\ud800"));
    assert_ne!(sandbox.truth(), Value::Null);
}

#[tokio::test]
async fn an_archived_property_is_no_longer_read() {
    let sandbox = Sandbox::start(small()).await.unwrap();
    let listed = async |query: &str| {
        let answer = get(&sandbox, &format!("/crm/v3/properties/tickets?{query}")).await.json();
        let listed = answer["results"].as_array().unwrap().clone();
        listed.iter().map(|def| def["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(listed("").await.contains(&"order_number".to_owned()));
    sandbox.archive_property("tickets", "order_number");
    assert!(!listed("").await.contains(&"order_number".to_owned()));
    assert!(listed("archived=true").await.contains(&"order_number".to_owned()));
    assert_eq!(listed("dataSensitivity=sensitive").await, ["health_record_number"]);
    let page = get(&sandbox, "/crm/v3/objects/tickets?limit=1&properties=order_number").await.json();
    assert!(page["results"][0]["properties"].get("order_number").is_none());
}
