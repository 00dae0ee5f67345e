//! Writing over HTTP.

use serde_json::json;

use super::*;

const OBJECTS: [&str; 2] = ["/crm/v3/objects", "/crm/objects/2026-03"];

fn id_of(record: &Value) -> &str {
    record["id"].as_str().unwrap()
}

async fn contact(sandbox: &Sandbox, email: &str) -> Value {
    let answer = post(sandbox, "/crm/v3/objects/contacts", json!({"properties": {"email": email}})).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()
}

#[tokio::test]
async fn a_batch_create_without_trace_ids_is_all_or_nothing() {
    for shape in OBJECTS {
        let sandbox = Sandbox::start(small()).await.unwrap();
        let known = contact(&sandbox, "Known@x.example").await;
        let inputs = json!({"inputs": [{"properties": {"email": "new@x.example"}}, {"properties": {"email": "known@x.example"}}]});
        let answer = post(&sandbox, &format!("{shape}/contacts/batch/create"), inputs).await;
        assert_eq!(answer.status, 409, "{}", answer.text);
        assert_eq!(answer.json()["category"], "CONFLICT");
        assert_eq!(answer.json()["message"], format!("Contact already exists. Existing ID: {}", id_of(&known)));
        let read = json!({"idProperty": "email", "inputs": [{"id": "new@x.example"}], "properties": []});
        assert_eq!(post(&sandbox, "/crm/v3/objects/contacts/batch/read", read).await.status, 207);
    }
}

#[tokio::test]
async fn with_trace_ids_each_input_stands_for_itself() {
    let sandbox = Sandbox::start(small()).await.unwrap();
    let inputs = json!({"inputs": [
        {"objectWriteTraceId": "a", "properties": {"subject": "x", "hs_pipeline_stage": "1"}},
        {"objectWriteTraceId": "b", "properties": {"subject": "x"}},
        {"objectWriteTraceId": "c", "properties": {"subject": "x", "hs_pipeline_stage": "99"}},
        {"objectWriteTraceId": "d", "properties": {"description": "x", "hs_pipeline_stage": "1"}},
        {"objectWriteTraceId": "e", "properties": {"subject": "x", "hs_pipeline_stage": "1", "createdate": "2024-01-01"}},
    ]});
    let answer = post(&sandbox, "/crm/objects/2026-03/tickets/batch/create", inputs).await;
    let body = answer.json();
    assert_eq!((answer.status, &body["numErrors"]), (207, &json!(4)), "{}", answer.text);
    assert_eq!(body["results"][0]["objectWriteTraceId"], "a");
    for (at, (trace, says)) in [
        ("b", "Some required properties were not set"),
        ("c", "99 is not a valid pipeline stage ID"),
        ("d", "PROPERTY_DOESNT_EXIST"),
        ("e", "READ_ONLY_VALUE"),
    ]
    .into_iter()
    .enumerate()
    {
        let error = &body["errors"][at];
        assert_eq!(error["context"]["objectWriteTraceId"], json!([trace]));
        assert!(error["message"].as_str().unwrap().contains(says), "{error}");
    }
}

#[tokio::test]
async fn an_upsert_creates_once_and_updates_after() {
    let sandbox = Sandbox::start(small()).await.unwrap();
    let body = |name: &str| json!({"inputs": [{"id": "A@x.example", "idProperty": "email", "properties": {"email": "A@x.example", "firstname": name}}]});
    let path = "/crm/v3/objects/contacts/batch/upsert";
    let first = post(&sandbox, path, body("Ann")).await.json();
    let second = post(&sandbox, path, body("Anna")).await.json();
    assert_eq!((&first["results"][0]["new"], &second["results"][0]["new"]), (&json!(true), &json!(false)));
    assert_eq!(first["results"][0]["id"], second["results"][0]["id"]);
    assert_eq!(second["results"][0]["properties"]["email"], "a@x.example");
    let partial = json!({"inputs": [{"id": "a@x.example", "idProperty": "email", "properties": {"firstname": "B"}}]});
    assert_eq!(post(&sandbox, path, partial).await.status, 400);
    let unsuited = json!({"inputs": [{"id": "x", "idProperty": "firstname", "properties": {"firstname": "B"}}]});
    assert_eq!(post(&sandbox, path, unsuited).await.status, 400);
}

#[tokio::test]
async fn an_update_leaves_merged_records_out_without_a_word() {
    let sandbox = Sandbox::start(small()).await.unwrap();
    let (one, two) = (contact(&sandbox, "one@x.example").await, contact(&sandbox, "two@x.example").await);
    sandbox.merge("contacts", id_of(&one).parse().unwrap(), id_of(&two).parse().unwrap());
    let inputs = json!({"inputs": [{"id": id_of(&two), "properties": {"firstname": "x"}}]});
    let answer = post(&sandbox, "/crm/v3/objects/contacts/batch/update", inputs).await;
    assert_eq!((answer.status, &answer.json()["results"]), (200, &json!([])));
    let read = json!({"idProperty": "email", "inputs": [{"id": "two@x.example"}], "properties": []});
    let read = post(&sandbox, "/crm/v3/objects/contacts/batch/read", read).await.json();
    assert_eq!(read["results"][0]["id"], one["id"], "its address leads to the winner");
}

#[tokio::test]
async fn associations_are_written_in_batches_with_labels() {
    let sandbox = Sandbox::start(small()).await.unwrap();
    let who = contact(&sandbox, "one@x.example").await;
    let ticket = json!({"properties": {"subject": "x", "hs_pipeline_stage": "1"}});
    let ticket = post(&sandbox, "/crm/v3/objects/tickets", ticket).await.json();
    let (from, to) = (json!({"id": id_of(&ticket)}), json!({"id": id_of(&who)}));
    let labelled = [json!({"associationCategory": "USER_DEFINED", "associationTypeId": 1})];
    let inputs = json!({"inputs": [
        {"from": from, "to": to, "types": labelled},
        {"from": from, "to": {"id": "1"}, "types": labelled},
    ]});
    for path in [
        "/crm/v4/associations/tickets/contacts/batch/create",
        "/crm/associations/2026-03/tickets/contacts/batch/create",
    ] {
        let answer = post(&sandbox, path, inputs.clone()).await;
        let body = answer.json();
        assert_eq!((answer.status, &body["numErrors"]), (207, &json!(1)), "{}", answer.text);
        assert_eq!(body["results"][0]["labels"], json!(["Reporter"]));
        assert_eq!(body["errors"][0]["context"]["toObjectId"], json!(["1"]));
    }
    let wrong = json!({"inputs": [{"from": from, "to": to, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 15}]}]});
    let answer = post(&sandbox, "/crm/v4/associations/tickets/contacts/batch/create", wrong).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
}

#[tokio::test]
async fn a_property_is_created_once_and_holds_unique_values() {
    let sandbox = Sandbox::start(small()).await.unwrap();
    let def = json!({"name": "code", "label": "Code", "type": "string", "fieldType": "text", "groupName": "ticketinformation", "hasUniqueValue": true});
    let created = post(&sandbox, "/crm/properties/2026-03/tickets", def.clone()).await;
    assert_eq!((created.status, &created.json()["hasUniqueValue"]), (201, &json!(true)));
    assert_eq!(post(&sandbox, "/crm/v3/properties/tickets", def).await.status, 409);
    let ticket = json!({"properties": {"code": "7", "hs_pipeline_stage": "1"}});
    assert_eq!(post(&sandbox, "/crm/v3/objects/tickets", ticket.clone()).await.status, 201);
    let twice = post(&sandbox, "/crm/v3/objects/tickets", ticket).await;
    assert!(twice.status == 400 && twice.text.contains("already has that value"), "{}", twice.text);
}

#[tokio::test]
async fn faults_strike_before_or_after_the_write() {
    let sandbox = Sandbox::start(small()).await.unwrap();
    let body = json!({"inputs": [{"properties": {"email": "r@x.example", "firstname": "R"}}]});
    sandbox.fail_next(Fault::EmailRace);
    let race = post(&sandbox, "/crm/v3/objects/contacts/batch/create", body.clone()).await;
    assert!(race.status == 400 && race.text.contains("PropertyValueCoordinates"), "{}", race.text);
    let conflict = post(&sandbox, "/crm/v3/objects/contacts/batch/create", body).await;
    assert_eq!(conflict.status, 409);
    sandbox.fail_next(Fault::StatusAfter(504));
    let late = json!({"properties": {"email": "late@x.example"}});
    assert_eq!(post(&sandbox, "/crm/v3/objects/contacts", late.clone()).await.status, 504);
    assert_eq!(post(&sandbox, "/crm/v3/objects/contacts", late).await.status, 409, "it was written all the same");
}

#[tokio::test]
async fn writing_takes_its_own_scope() {
    let sandbox = Sandbox::start(small()).await.unwrap();
    let scopes = read_scopes();
    sandbox.add_token("reader", &scopes.iter().map(String::as_str).collect::<Vec<_>>());
    let body = json!({"properties": {"email": "a@x.example"}}).to_string();
    let answer = send(&sandbox, "reader", "/crm/v3/objects/contacts", Some(body)).await;
    assert_eq!(answer.status, 403);
    assert!(answer.text.contains("crm.objects.contacts.write"), "{}", answer.text);
}
