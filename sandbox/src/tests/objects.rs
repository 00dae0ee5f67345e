//! Other types than the four that each portal has, and custom objects.

use serde_json::json;

use super::*;

fn with_objects() -> Options {
    let objects = [("notes", 30), ("emails", 5), ("cars", 7), ("Service.Contracts", 3)];
    Options { objects: objects.map(|(name, count)| (name.to_owned(), count)).to_vec(), archived_share: 0.0, ..small() }
}

#[tokio::test]
async fn engagements_are_listed_searched_and_tied_to_tickets() {
    let sandbox = Sandbox::start(with_objects()).await.unwrap();
    let listed = list_all(&sandbox, "/crm/objects/2026-03/0-46?properties=hs_note_body").await;
    assert_eq!(ids(&listed), ids(sandbox.truth()["notes"].as_array().unwrap()));
    let names: Vec<&str> = listed[0]["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["hs_createdate", "hs_lastmodifieddate", "hs_note_body", "hs_object_id"]);
    let since = json!({"filterGroups": [{"filters": [
        {"propertyName": "hs_lastmodifieddate", "operator": "GTE", "value": "0"}]}]});
    let found = post(&sandbox, "/crm/objects/2026-03/notes/search", since).await.json();
    assert_eq!(found["total"], 30);
    let inputs: Vec<Value> = listed.iter().map(|note| json!({"id": note["id"]})).collect();
    let body = json!({ "inputs": inputs });
    let ends = post(&sandbox, "/crm/associations/2026-03/notes/tickets/batch/read", body).await.json();
    assert_eq!(ends["results"].as_array().unwrap().len(), 25);
    assert_eq!(ends["results"][0]["to"][0]["associationTypes"][0]["typeId"], 228);
}

#[tokio::test]
async fn custom_objects_have_schemas_and_go_by_id_and_qualified_name_until_they_are_deleted() {
    let sandbox = Sandbox::start(with_objects()).await.unwrap();
    let schemas = get(&sandbox, "/crm-object-schemas/2026-03/schemas").await.json();
    let names = schemas["results"].as_array().unwrap().iter().map(|schema| schema["fullyQualifiedName"].clone());
    assert_eq!(names.collect::<Vec<_>>(), ["p245001234_cars", "p245001234_Service.Contracts"]);
    for name in ["2-1234567", "cars", "p245001234_cars", "P245001234_CARS"] {
        let listed = list_all(&sandbox, &format!("/crm/v3/objects/{name}?properties=model")).await;
        assert_eq!(listed.len(), 7, "{name}");
    }
    sandbox.delete_schema("cars");
    let schemas = get(&sandbox, "/crm-object-schemas/v3/schemas").await.json();
    assert_eq!(schemas["results"].as_array().unwrap().len(), 1);
    let gone = get(&sandbox, "/crm/v3/objects/2-1234567").await;
    assert_eq!((gone.status, gone.text.contains("Unable to infer object type")), (400, true));
}

#[tokio::test]
async fn each_type_asks_for_its_own_scope() {
    let sandbox = Sandbox::start(with_objects()).await.unwrap();
    sandbox.add_token("lesser", &["crm.objects.contacts.read"]);
    for (path, status) in [
        ("/crm/v3/objects/notes", 200),
        ("/crm/v3/objects/emails", 403),
        ("/crm/v3/objects/2-1234567", 403),
        ("/crm-object-schemas/v3/schemas", 403),
        ("/crm/v3/objects/leads", 403),
    ] {
        assert_eq!(send(&sandbox, "lesser", path, None).await.status, status, "{path}");
    }
}
