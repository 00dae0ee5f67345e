//! The versions of properties.

use std::time::Duration;

use serde_json::json;

use super::*;

/// The versions of a ticket's property by each of the three endpoints that give them, which must agree.
async fn versions(sandbox: &Sandbox, ticket: u64, property: &str) -> Vec<Value> {
    let query = format!("propertiesWithHistory={property}");
    let path = "/crm/v3/objects/tickets";
    let single = get(sandbox, &format!("{path}/{ticket}?{query}")).await.json();
    let listed = get(sandbox, &format!("{path}?limit=1&after={ticket}&{query}")).await.json()["results"][0].clone();
    let asked = json!({"inputs": [{"id": ticket}], "propertiesWithHistory": [property]});
    let batch = post(sandbox, &format!("{path}/batch/read"), asked).await.json()["results"][0].clone();
    for other in [listed, batch] {
        assert_eq!(single["propertiesWithHistory"], other["propertiesWithHistory"]);
    }
    single["propertiesWithHistory"][property].as_array().unwrap().clone()
}

fn texts<'v>(versions: &'v [Value], name: &str) -> Vec<&'v str> {
    versions.iter().map(|version| version[name].as_str().unwrap()).collect()
}

#[tokio::test]
async fn every_way_of_changing_a_record_keeps_a_version_with_its_source() {
    let sandbox = Sandbox::start(small()).await.unwrap();
    let ticket = sandbox.create("tickets", &[("subject", "created")]);
    let step = || sandbox.advance(Duration::from_secs(1));
    step();
    sandbox.update("tickets", ticket, &[("subject", "by a user")]);
    step();
    sandbox.update_many("tickets", &[ticket], &[("subject", "by many")]);
    step();
    let asked = json!({"inputs": [{"id": ticket.to_string(), "properties": {"subject": "by an app"}}]});
    assert_eq!(post(&sandbox, "/crm/v3/objects/tickets/batch/update", asked).await.status, 200);
    step();
    sandbox.update_silently("tickets", ticket, &[("subject", "by a formula")]);
    step();
    sandbox.set_raw_value("tickets", ticket, "subject", "\"raw\"");
    step();
    sandbox.update("tickets", ticket, &[("subject", "raw")]);
    sandbox.update("tickets", ticket, &[("subject", "")]);
    let found = versions(&sandbox, ticket, "subject").await;
    let values = ["", "raw", "by a formula", "by an app", "by many", "by a user", "created"];
    assert_eq!(texts(&found, "value"), values);
    let sources = ["CRM_UI", "CRM_UI", "CALCULATED", "INTEGRATION", "CRM_UI_BULK_ACTION", "CRM_UI", "CRM_UI"];
    assert_eq!(texts(&found, "sourceType"), sources);
    let instants = texts(&found, "timestamp");
    assert!(instants.windows(2).all(|pair| pair[0] > pair[1]), "{instants:?}");
}

#[tokio::test]
async fn moves_between_stages_and_merges_keep_versions() {
    let sandbox = Sandbox::start(small()).await.unwrap();
    let [winner, loser] = [1, 2].map(|_| sandbox.create("tickets", &[("hs_pipeline_stage", "1")]));
    sandbox.advance(Duration::from_secs(1));
    sandbox.update("tickets", winner, &[("hs_pipeline", "75865137"), ("hs_pipeline_stage", "145962133")]);
    sandbox.advance(Duration::from_secs(1));
    sandbox.merge("tickets", winner, loser);
    assert_eq!(texts(&versions(&sandbox, winner, "hs_pipeline").await, "value"), ["75865137", "0"]);
    assert_eq!(texts(&versions(&sandbox, winner, "hs_pipeline_stage").await, "value"), ["145962133", "1"]);
    let entered = versions(&sandbox, winner, "hs_v2_date_entered_145962133").await;
    assert_eq!(texts(&entered, "sourceType"), ["CALCULATED"]);
    let merged = versions(&sandbox, winner, "hs_merged_object_ids").await;
    assert_eq!(texts(&merged, "value"), [loser.to_string()]);
    assert_eq!(texts(&merged, "sourceType"), ["MERGE_OBJECTS"]);
}

#[tokio::test]
async fn the_twenty_newest_versions_are_kept() {
    let sandbox = Sandbox::start(small()).await.unwrap();
    let ticket = sandbox.create("tickets", &[]);
    for number in 0..25 {
        sandbox.advance(Duration::from_secs(1));
        sandbox.update("tickets", ticket, &[("subject", &number.to_string())]);
    }
    let found = versions(&sandbox, ticket, "subject").await;
    let newest: Vec<String> = (5..25).rev().map(|number| number.to_string()).collect();
    assert_eq!(texts(&found, "value"), newest);
}

#[tokio::test]
async fn only_the_properties_that_are_asked_for_have_versions() {
    let sandbox = Sandbox::start(small()).await.unwrap();
    let query = "limit=1&propertiesWithHistory=subject,hs_pipeline,no_such";
    let page = get(&sandbox, &format!("/crm/v3/objects/tickets?{query}")).await.json();
    let found = page["results"][0]["propertiesWithHistory"].as_object().unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["hs_pipeline", "subject"]);
    assert!(found.values().all(|versions| versions.as_array().unwrap().len() == 1));
}
