//! What HubSpot's answers mean for the lines: refusals, gaps and values that it does not take.

use hubspot_sandbox::{Fault, FaultRule, Options};
use serde_json::{Value, json};

use crate::support::delivery::{Target, contact, ends, live, record, schema, state, with};
use crate::support::portal::Portal;

fn empty() -> Portal {
    Portal::start(Options { merged: 0, ..Options::with_tickets(0) })
}

fn contacts() -> Value {
    schema("contacts", &["email"])
}

fn ticket(number: impl Into<Value>, subject: &str) -> Value {
    record("tickets", json!({"number": number.into(), "subject": subject}))
}

fn id_of(one: &Value) -> String {
    one["id"].as_str().expect("an id").to_owned()
}

/// A 207 that says of none of the inputs what it is about.
fn failed_read() -> Fault {
    let error =
        json!({"status": "error", "category": "INTERNAL_ERROR", "message": "There was a problem.", "context": {}});
    let body = json!({"status": "COMPLETE", "results": [], "numErrors": 1, "errors": [error]});
    Fault::Status { code: 207, headers: Vec::new(), body: Some(body.to_string()) }
}

#[test]
fn what_hubspot_fails_to_say_is_asked_again_and_never_taken_for_absent() {
    let messages = [
        contacts(),
        schema("deals", &[]),
        schema("tickets", &["number"]),
        contact("ann@x.example"),
        record("deals", json!({"dealname": "Plan", "contactEmail": "ann@x.example", "amount": 5})),
        ticket(1, "s"),
    ];
    for times in [1, usize::MAX] {
        let portal = empty();
        let mut target = Target::of(&portal);
        target.deliver(&messages).succeeded();
        let before = ["contacts", "deals", "tickets"].map(|of| portal.truth_of()[of].clone());
        target.set("retry_attempts", json!(1));
        portal.faults(
            ["contacts", "deals", "tickets"]
                .map(|of| FaultRule { times, ..FaultRule::next(&format!("{of}/batch/read"), failed_read()) }),
        );
        let again = target.deliver(&messages).succeeded();
        assert_eq!(
            ["contacts", "deals", "tickets"].map(|of| portal.truth_of()[of].clone()),
            before,
            "{}",
            again.stderr
        );
        let rejected = target.rejects().iter().filter(|one| one["type"] == "RECORD").count();
        assert_eq!(rejected, if times == 1 { 0 } else { 3 }, "{}", again.stderr);
        portal.clear_faults();
    }
}

#[test]
fn a_contact_whose_deals_hubspot_refuses_to_tell_gets_no_second_deal() {
    let portal = empty();
    let target = Target::of(&portal);
    let deal =
        |amount: u32| record("deals", json!({"dealname": "Plan", "contactEmail": "a@x.example", "amount": amount}));
    target.deliver(&[contacts(), schema("deals", &[]), contact("a@x.example"), deal(1)]).succeeded();
    let refusal = json!({"status": "error", "message": "This record cannot be read", "category": "VALIDATION_ERROR"});
    let refusal = Fault::Status { code: 400, headers: Vec::new(), body: Some(refusal.to_string()) };
    let id = id_of(&with(&portal, "contacts", "email", "a@x.example"));
    portal.faults([
        FaultRule::always("contacts/deals/batch/read", refusal.clone()),
        FaultRule::always(&format!("contacts/{id}/associations"), refusal),
    ]);
    let finished = target.deliver(&[schema("deals", &[]), deal(2)]).succeeded();
    assert_eq!(finished.said("HubSpot refuses to say which deals contact"), 1, "{}", finished.stderr);
    let deals = live(&portal, "deals");
    assert_eq!((deals.len(), &deals[0]["properties"]["amount"]), (1, &json!("1")));
}

#[test]
fn a_value_that_hubspot_refuses_to_look_for_rejects_its_lines_alone() {
    let portal = empty();
    let target = Target::of(&portal);
    let body = json!({"status": "error", "message": "Invalid input", "category": "VALIDATION_ERROR"});
    let refusal = Fault::Status { code: 400, headers: Vec::new(), body: Some(body.to_string()) };
    portal.faults([FaultRule::always("contacts/batch/read", refusal).with_body("c33@x.example")]);
    let mut messages = vec![contacts(), schema("tickets", &["number"]), contact("marker@x.example")];
    for number in 0..90 {
        portal.create("contacts", &[("email", &format!("c{number}@x.example"))]);
        let mut line = ticket(number, &format!("Case {number}"));
        line["record"]["contactEmail"] = json!(format!("c{number}@x.example"));
        messages.push(line);
    }
    let finished = target.deliver(&messages).succeeded();
    assert_eq!(finished.said("HubSpot does not say whether contacts has \"c33@x.example\": Invalid input"), 1);
    assert_eq!((live(&portal, "tickets").len(), target.rejects().len()), (89, 2), "{}", finished.stderr);
}

#[test]
fn one_empty_list_does_not_make_a_ticket_new() {
    let portal = empty();
    let target = Target::of(&portal);
    target.deliver(&[schema("tickets", &["number"]), ticket(1, "first")]).succeeded();
    portal.faults([FaultRule::next("GET /crm/objects/2026-03/tickets", Fault::EmptyPage)]);
    target.deliver(&[schema("tickets", &["number"]), ticket(1, "second")]).succeeded();
    assert_eq!(live(&portal, "tickets")[0]["properties"]["subject"], "first");
    assert!(portal.requests().iter().any(|one| one.fault.is_some()), "the empty list was given");
}

#[test]
fn a_value_that_hubspot_does_not_take_is_told_and_not_counted_as_updated() {
    let portal = empty();
    portal.create("contacts", &[("email", "ann@x.example"), ("lifecyclestage", "customer"), ("city", "Bonn")]);
    let mut target = Target::of(&portal);
    target.set("results_path", json!("results.jsonl"));
    let line = record("contacts", json!({"email": "ann@x.example", "lifecyclestage": "lead", "city": "Ulm"}));
    let finished = target.deliver(&[contacts(), line]).succeeded();
    assert_eq!(finished.said("0 created, 0 updated, 0 unchanged, 0 associated, 1 rejected"), 1, "{}", finished.stderr);
    let result = &target.results()[0];
    assert_eq!((&result["result"], result["id"].is_string()), (&json!("rejected"), true));
    let reason = result["reason"].as_str().expect("a reason");
    assert!(reason.contains("lifecyclestage") && reason.contains("kept \"customer\""), "{reason}");
    assert_eq!(with(&portal, "contacts", "email", "ann@x.example")["properties"]["city"], "Ulm");
}

#[test]
fn a_value_that_the_answer_leaves_out_is_read_back() {
    let portal = empty();
    let ann = portal.create("contacts", &[("email", "ann@x.example"), ("city", "Bonn")]);
    let target = Target::of(&portal);
    let line = record("contacts", json!({"email": "ann@x.example", "city": "Ulm"}));
    // HubSpot answers as if it had written, and has not.
    let body = json!({"status": "COMPLETE", "results": [{"id": ann.to_string(), "properties": {}}]});
    let nothing = Fault::Status { code: 200, headers: Vec::new(), body: Some(body.to_string()) };
    portal.faults([FaultRule::next("batch/update", nothing)]);
    let finished = target.deliver(&[contacts(), line.clone()]).succeeded();
    assert_eq!(finished.said("HubSpot did not take \"Ulm\" and kept \"Bonn\""), 1, "{}", finished.stderr);
    // It has, and does not say so.
    portal.faults([FaultRule::next("batch/update", Fault::RemoveMember("results/*/properties".to_owned()))]);
    let finished = target.deliver(&[contacts(), line]).succeeded();
    assert_eq!(finished.said("contacts: 0 created, 1 updated"), 1, "{}", finished.stderr);
}

#[test]
fn associations_that_are_dropped_are_made_again_or_told() {
    let messages = [
        contacts(),
        schema("deals", &[]),
        contact("ann@x.example"),
        record("deals", json!({"dealname": "Plan", "contactEmail": "ann@x.example"})),
    ];
    let nothing = Fault::Status { code: 201, headers: Vec::new(), body: Some(json!({"results": []}).to_string()) };
    for (fault, rejected) in [(None, 0), (Some(nothing), 1)] {
        let portal = empty();
        let target = Target::of(&portal);
        portal.faults([FaultRule::next("deals/batch/create", Fault::AssociationsDropped)]);
        portal.faults(fault.map(|fault| FaultRule::always("associations/2026-03/deals/contacts/batch/create", fault)));
        let finished = target.deliver(&messages).succeeded();
        assert_eq!(ends(&live(&portal, "deals")[0], "contacts").len(), 1 - rejected, "{}", finished.stderr);
        assert_eq!(finished.said("HubSpot dropped the association"), rejected, "{}", finished.stderr);
    }
}

#[test]
fn an_association_that_hubspot_refuses_is_told_in_its_words() {
    let error = json!({
        "status": "error", "category": "VALIDATION_ERROR", "correlationId": "0000-17",
        "message": "Associations were not valid: [{\"message\":\"the limit of deal to contact is reached\",\"name\":\"3\"}]",
    });
    let several = json!({"status": "COMPLETE", "results": [], "errors": [error]});
    for (code, body) in [(400, &error), (207, &several)] {
        let portal = empty();
        let mut target = Target::of(&portal);
        target.set("results_path", json!("results.jsonl"));
        portal.faults([
            FaultRule::next("deals/batch/create", Fault::AssociationsDropped),
            FaultRule::always(
                "associations/2026-03/deals/contacts/batch/create",
                Fault::Status { code, headers: Vec::new(), body: Some(body.to_string()) },
            ),
        ]);
        let deal = record("deals", json!({"dealname": "Plan", "contactEmail": "ann@x.example"}));
        target.deliver(&[contacts(), schema("deals", &[]), contact("ann@x.example"), deal]).succeeded();
        let rejected = &target.rejects()[1]["rejected"];
        let reason = rejected["reason"].as_str().expect("a reason");
        assert!(reason.starts_with("it is written, but not associated with contacts "), "{reason}");
        assert!(reason.ends_with(": 3: the limit of deal to contact is reached"), "{reason}");
        assert_eq!(rejected["category"], "VALIDATION_ERROR");
        assert!(rejected["correlation_id"].as_str().is_some_and(|id| !id.is_empty()), "{rejected}");
        assert_eq!(live(&portal, "deals").len(), 1);
    }
}

#[test]
fn a_reason_that_hubspot_refuses_everything_for_stops_the_run() {
    let portal = empty();
    let target = Target::of(&portal);
    let body = json!({
        "status": "error", "message": "The portal has reached its limit of 1000 contacts", "correlationId": "c",
        "category": "VALIDATION_ERROR",
    });
    let refusal = Fault::Status { code: 400, headers: Vec::new(), body: Some(body.to_string()) };
    portal.faults([FaultRule::always("batch/upsert", refusal)]);
    let mut messages = vec![contacts()];
    messages.extend((0..1_000).map(|number| contact(&format!("c{number}@x.example"))));
    messages.push(state(json!(1)));
    let finished = target.deliver(&messages);
    assert_eq!(finished.code, Some(9), "{}", finished.stderr);
    assert!(finished.last_line().contains("limit of 1000 contacts"), "{}", finished.stderr);
    assert_eq!(finished.text(), "");
    let calls = portal.request_counts()["batch_upsert contacts"];
    assert!(calls < 100, "{calls} calls");
}

#[test]
fn a_reason_that_hubspot_refuses_every_association_for_stops_the_run() {
    let portal = empty();
    let target = Target::of(&portal);
    let ids: Vec<u64> =
        (0..500).map(|number| portal.create("contacts", &[("email", &format!("c{number}@x.example"))])).collect();
    let mut messages = vec![schema("tickets", &["number"])];
    for (number, id) in ids.iter().enumerate() {
        let mut line = ticket(number, "s");
        line["record"]["contactId"] = json!(id);
        messages.push(line);
    }
    messages.push(state(json!(1)));
    let body = json!({
        "status": "error", "message": "Associations of this type are switched off", "category": "VALIDATION_ERROR",
    });
    let refusal = Fault::Status { code: 400, headers: Vec::new(), body: Some(body.to_string()) };
    portal.faults([FaultRule::always("tickets/contacts/batch/create", refusal)]);
    let finished = target.deliver(&messages);
    assert_eq!((finished.code, finished.text()), (Some(9), ""), "{}", finished.stderr);
    let says = "HubSpot refuses every association of tickets with contacts for one reason";
    assert!(
        finished.last_line().contains(says) && finished.last_line().contains("switched off"),
        "{}",
        finished.stderr
    );
    let calls = portal.requests().iter().filter(|one| one.path.contains("tickets/contacts/batch/create")).count();
    assert!(calls < 20, "{calls} calls");
    portal.clear_faults();
    target.deliver(&messages).succeeded();
    assert!(live(&portal, "tickets").iter().all(|one| ends(one, "contacts").len() == 1));
}

#[test]
fn deals_are_written_without_a_key_where_the_token_may_not_define_it() {
    let portal = empty();
    let target = Target::of(&portal);
    let body = json!({
        "status": "error", "message": "This app hasn't been granted all required scopes to make this call.",
        "correlationId": "c-1", "category": "MISSING_SCOPES",
        "errors": [{"message": "", "context": {"requiredGranularScopes": ["crm.schemas.deals.write"]}}],
    });
    let refusal = Fault::Status { code: 403, headers: Vec::new(), body: Some(body.to_string()) };
    portal.faults([FaultRule::always("POST /crm/properties/2026-03/deals", refusal)]);
    let deal = record("deals", json!({"dealname": "Plan", "contactEmail": "ann@x.example"}));
    for _ in 0..2 {
        let finished =
            target.deliver(&[contacts(), schema("deals", &[]), contact("ann@x.example"), deal.clone()]).succeeded();
        assert_eq!(finished.said("crm.schemas.deals.write"), 1, "{}", finished.stderr);
        assert_eq!(live(&portal, "deals").len(), 1);
    }
}

#[test]
fn the_key_property_is_created_although_the_answer_was_lost() {
    let portal = empty();
    let target = Target::of(&portal);
    portal.faults([FaultRule::next("POST /crm/properties/2026-03/tickets", Fault::StatusAfter(502))]);
    target.deliver(&[schema("tickets", &["number"]), ticket(1, "s")]).succeeded();
    assert_eq!(live(&portal, "tickets").len(), 1);
}
