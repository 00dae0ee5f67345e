//! Contacts, deals and tickets, tied to one another.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use hubspot_sandbox::{Fault, FaultRule, Options, PropertyDef};
use serde_json::{Value, json};

use crate::support::delivery::{Target, contact, ends, lines, live, record, schema, state, with};
use crate::support::portal::Portal;

/// A portal without records.
fn empty() -> Portal {
    Portal::start(Options { merged: 0, ..Options::with_tickets(0) })
}

fn contacts() -> Value {
    schema("contacts", &["email"])
}

#[test]
fn contacts_are_created_then_changed_then_left_alone() {
    for api_version in ["2026-03", "v3"] {
        let portal = empty();
        let mut target = Target::of(&portal);
        target.set("api_version", json!(api_version));
        let first = target.deliver(&[contacts(), contact("Ann@x.example"), contact("bob@x.example")]).succeeded();
        assert_eq!(first.said("contacts: 2 created, 0 updated, 0 unchanged"), 1, "{}", first.stderr);

        let changed = record("contacts", json!({"email": "ann@X.example", "phone": "+1 555 0199", "city": null}));
        let second = target.deliver(&[contacts(), changed, contact("bob@x.example")]).succeeded();
        assert_eq!(second.said("contacts: 0 created, 1 updated, 1 unchanged"), 1, "{}", second.stderr);
        let ann = with(&portal, "contacts", "email", "ann@x.example");
        assert_eq!(
            (&ann["properties"]["phone"], &ann["properties"]["lastname"]),
            (&json!("+1 555 0199"), &json!("Abel"))
        );
        let writes = portal.requests().into_iter().filter(|one| one.endpoint == "batch_update contacts");
        let bodies: Vec<Value> = writes.map(|one| serde_json::from_str(&one.body).expect("JSON")).collect();
        assert_eq!(bodies.len(), 1);
        assert_eq!(bodies[0]["inputs"].as_array().map(Vec::len), Some(1), "only what changes is sent");
        assert_eq!(bodies[0]["inputs"][0]["properties"], json!({"phone": "+1 555 0199"}));
    }
}

#[test]
fn required_fields_hold_for_new_records_alone() {
    let portal = empty();
    let target = Target::of(&portal);
    let partial = record("contacts", json!({"email": "ann@x.example", "phone": "1"}));
    let refused = target.deliver(&[contacts(), partial.clone()]).succeeded();
    assert_eq!(refused.said("a new record needs more"), 1, "{}", refused.stderr);
    target.deliver(&[contacts(), contact("ann@x.example")]).succeeded();
    let taken = target.deliver(&[contacts(), partial]).succeeded();
    assert_eq!(taken.said("0 created, 1 updated"), 1, "{}", taken.stderr);
}

#[test]
fn null_leaves_a_property_and_clears_it_only_when_told() {
    let portal = empty();
    let mut target = Target::of(&portal);
    target.deliver(&[contacts(), contact("ann@x.example")]).succeeded();
    let nulls = [contacts(), record("contacts", json!({"email": "ann@x.example", "phone": null, "lastname": ""}))];
    target.deliver(&nulls).succeeded();
    let phone = |portal: &Portal| with(portal, "contacts", "email", "ann@x.example")["properties"]["phone"].clone();
    assert_eq!(phone(&portal), "+1 555 0100");
    target.set("clear_nulls", json!(true));
    target.deliver(&nulls).succeeded();
    assert_eq!(phone(&portal), "");
}

#[test]
fn lines_of_one_record_are_one_record() {
    let portal = empty();
    let target = Target::of(&portal);
    let later = record("contacts", json!({"email": "ANN@x.example", "phone": "2"}));
    let finished = target.deliver(&[contacts(), contact("ann@x.example"), later]).succeeded();
    assert_eq!(finished.said("1 joined with a later line"), 1, "{}", finished.stderr);
    assert_eq!(with(&portal, "contacts", "email", "ann@x.example")["properties"]["phone"], "2");
}

/// The contact, the deal and the ticket of the service's three requests, in one delivery.
fn case() -> Vec<Value> {
    vec![
        contacts(),
        schema("deals", &[]),
        schema("tickets", &["number"]),
        contact("ann@x.example"),
        record(
            "deals",
            json!({"dealname": "Big one", "amount": 1200.50, "dealstage": "contractsent", "contactEmail": "ann@x.example"}),
        ),
        record(
            "tickets",
            json!({
                "number": 7, "subject": "Help", "description": "It is broken.", "priority": "HIGH",
                "contactEmail": "ann@x.example", "contactLabel": "Reporter", "dealName": "Big one",
            }),
        ),
        state(json!({"at": 1})),
    ]
}

#[test]
fn a_ticket_finds_the_contact_and_the_deal_that_came_before_it() {
    ["2026-03", "2026-09", "v3"].into_iter().for_each(assert_case_is_delivered);
}

fn assert_case_is_delivered(api_version: &str) {
    let portal = empty();
    let mut target = Target::of(&portal);
    target.set("api_version", json!(api_version));
    let finished = target.deliver(&case()).succeeded();
    assert_eq!(finished.text(), "{\"at\":1}\n");
    let ann = with(&portal, "contacts", "email", "ann@x.example");
    let deal = with(&portal, "deals", "dealname", "Big one");
    let ticket = with(&portal, "tickets", "subject", "Help");
    assert_eq!(ends(&deal, "contacts"), [ann["id"].as_str().expect("an id")]);
    assert_eq!(ends(&ticket, "contacts"), [ann["id"].as_str().expect("an id")]);
    assert_eq!(ends(&ticket, "deals"), [deal["id"].as_str().expect("an id")]);
    let types = ticket["associations"]["contacts"][0]["types"].as_array().expect("types");
    assert!(types.iter().any(|one| one["label"] == "Reporter"), "{types:?}");
    for (property, value) in [
        ("content", "It is broken."),
        ("hs_ticket_priority", "HIGH"),
        ("hs_pipeline_stage", "1"),
        ("tap_delivery_key", "tickets/7"),
    ] {
        assert_eq!(ticket["properties"][property], value);
    }
    assert_eq!(deal["properties"]["amount"], "1200.5");
}

#[test]
fn a_second_delivery_of_the_same_lines_writes_nothing() {
    let portal = empty();
    let target = Target::of(&portal);
    target.deliver(&case()).succeeded();
    let before = portal.truth_of();
    portal.clear_requests();
    let second = target.deliver(&case()).succeeded();
    assert_eq!(second.said("0 created, 0 updated, 1 unchanged, 0 associated"), 3, "{}", second.stderr);
    let writes: Vec<String> = portal.request_counts().into_keys().filter(|key| is_write(key)).collect();
    assert!(writes.is_empty(), "{writes:?}");
    for object_type in ["contacts", "deals", "tickets"] {
        assert_eq!(portal.truth_of()[object_type], before[object_type]);
    }
}

fn is_write(endpoint: &str) -> bool {
    ["create", "update", "upsert"].iter().any(|operation| endpoint.contains(operation))
}

#[test]
fn tickets_without_a_key_are_known_by_delivery_and_line() {
    let portal = empty();
    let mut target = Target::of(&portal);
    let ticket = |subject: &str| record("tickets", json!({"subject": subject}));
    let tickets = [schema("tickets", &[]), ticket("a"), ticket("b"), ticket("a")];
    let refused = target.deliver(&tickets);
    assert_eq!(refused.code, Some(2));
    assert!(refused.last_line().contains("delivery_id"), "{}", refused.stderr);
    assert!(live(&portal, "tickets").is_empty());

    target.set("delivery_id", json!("monday"));
    for _ in 0..2 {
        target.deliver(&tickets).succeeded();
        assert_eq!(live(&portal, "tickets").len(), 3);
    }
    target.set("delivery_id", json!("tuesday"));
    target.deliver(&tickets).succeeded();
    assert_eq!(live(&portal, "tickets").len(), 6);

    target.set("ticket_key", json!("none")).set("delivery_id", json!(null));
    target.deliver(&tickets).succeeded();
    assert_eq!(live(&portal, "tickets").len(), 9, "doubles were accepted");
}

#[test]
fn a_token_that_may_not_create_the_key_property_is_told_what_to_set() {
    let portal = empty();
    let target = Target::of(&portal);
    let body = json!({
        "status": "error", "message": "This app hasn't been granted all required scopes to make this call.",
        "correlationId": "c-1", "category": "MISSING_SCOPES",
        "errors": [{"message": "", "context": {"requiredGranularScopes": ["crm.schemas.tickets.write"]}}],
    });
    let refusal = Fault::Status { code: 403, headers: Vec::new(), body: Some(body.to_string()) };
    portal.faults([FaultRule::always("POST /crm/properties/2026-03/tickets", refusal)]);
    let finished = target.deliver(&[schema("tickets", &["n"]), record("tickets", json!({"n": 1, "subject": "x"}))]);
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    for words in ["crm.schemas.tickets.write", "ticket_key", "none"] {
        assert!(finished.last_line().contains(words), "{}", finished.stderr);
    }
    assert!(live(&portal, "tickets").is_empty());
}

#[test]
fn a_ticket_that_is_there_is_never_changed() {
    let portal = empty();
    let target = Target::of(&portal);
    let ticket = |subject: &str| [schema("tickets", &["n"]), record("tickets", json!({"n": 1, "subject": subject}))];
    target.deliver(&ticket("first")).succeeded();
    let again = target.deliver(&ticket("second")).succeeded();
    assert_eq!(again.said("0 created, 0 updated, 1 unchanged"), 1, "{}", again.stderr);
    with(&portal, "tickets", "subject", "first");
}

#[test]
fn deals_are_found_by_a_unique_property_or_by_id_as_configured() {
    let portal = empty();
    portal
        .define_property("deals", PropertyDef { has_unique_value: true, ..PropertyDef::new("code", "string", "text") });
    let mut target = Target::of(&portal);
    target.set("streams", json!({
        "opportunities": {"object_type": "deals", "properties": {"ref": "code", "title": "dealname"}, "id_property": "code"},
    }));
    let deal = |title: &str| {
        [schema("opportunities", &["ref"]), record("opportunities", json!({"ref": "X-1", "title": title}))]
    };
    target.deliver(&deal("one")).succeeded();
    target.deliver(&deal("two")).succeeded();
    assert_eq!(live(&portal, "deals").len(), 1);
    let id = with(&portal, "deals", "dealname", "two")["id"].as_str().expect("an id").to_owned();

    target.set("streams", json!({"deals": {"id_property": "hs_object_id"}}));
    let finished = target
        .deliver(&[
            schema("deals", &["id"]),
            record("deals", json!({"id": id, "dealname": "three"})),
            record("deals", json!({"id": 1, "dealname": "nobody"})),
        ])
        .succeeded();
    assert_eq!(finished.said("no deals with the id 1"), 1, "{}", finished.stderr);
    with(&portal, "deals", "dealname", "three");
}

#[test]
fn a_deal_belongs_to_its_contact() {
    let portal = empty();
    let target = Target::of(&portal);
    let deal = |email: &str| record("deals", json!({"dealname": "Same name", "contactEmail": email}));
    let lines = [
        contacts(),
        schema("deals", &[]),
        contact("a@x.example"),
        contact("b@x.example"),
        deal("a@x.example"),
        deal("b@x.example"),
    ];
    for _ in 0..2 {
        target.deliver(&lines).succeeded();
        assert_eq!(live(&portal, "deals").len(), 2);
    }
}

#[test]
fn companies_are_known_by_their_domain() {
    let portal = empty();
    portal.create("companies", &[("domain", "old.example"), ("name", "Old")]);
    let target = Target::of(&portal);
    let company = |domain: &str, name: &str| record("companies", json!({"domain": domain, "name": name}));
    let lines = [
        schema("companies", &["domain"]),
        schema("contacts", &["email"]),
        company("old.example", "Older"),
        company("New.example", "New"),
        record(
            "contacts",
            json!({"email": "a@x.example", "firstname": "A", "lastname": "B", "phone": "1", "companyDomain": "new.example", "companyLabel": "Primary"}),
        ),
    ];
    // The index does not know of what was just written, and nothing is there twice all the same.
    portal.set_search_lag(std::time::Duration::from_secs(3_600));
    for _ in 0..2 {
        target.deliver(&lines).succeeded();
        assert_eq!(live(&portal, "companies").len(), 2);
    }
    with(&portal, "companies", "name", "Older");
    let contact = with(&portal, "contacts", "email", "a@x.example");
    let new = with(&portal, "companies", "name", "New");
    assert_eq!(ends(&contact, "companies"), [new["id"].as_str().expect("an id")]);
    assert_eq!(contact["associations"]["companies"][0]["types"].as_array().map(Vec::len), Some(2), "primary, too");
}

#[test]
fn archived_records_and_activate_version_are_counted_and_ignored() {
    let portal = empty();
    let target = Target::of(&portal);
    let finished = target
        .deliver(&[
            contacts(),
            contact("ann@x.example"),
            record("contacts", json!({"email": "b@x.example", "archived": true})),
            record("contacts", json!({"email": "c@x.example", "_sdc_deleted_at": "2026-01-01T00:00:00Z"})),
            json!({"type": "ACTIVATE_VERSION", "stream": "contacts", "version": 1}),
        ])
        .succeeded();
    assert_eq!(
        finished.said("1 created, 0 updated, 0 unchanged, 0 associated, 0 rejected, 2 deleted ones ignored"),
        1,
        "{}",
        finished.stderr
    );
    assert_eq!(finished.said("1 ACTIVATE_VERSION messages ignored"), 1);
}

#[test]
fn read_only_properties_and_the_taps_columns_are_left_out() {
    let portal = empty();
    let target = Target::of(&portal);
    let finished = target
        .deliver(&[
            schema("contacts", &["id"]),
            record(
                "contacts",
                json!({
                    "id": "5", "created_at": "2024-01-01T00:00:00Z", "_tenant_id": "1", "associated_deals": ["1"],
                    "hs_object_id": 5, "lastmodifieddate": "2024-01-01T00:00:00Z", "num_associated_deals": 3,
                    "email": "a@x.example", "firstname": "A", "lastname": "B", "phone": "1",
                }),
            ),
        ])
        .succeeded();
    assert_eq!(finished.said("1 created"), 1, "{}", finished.stderr);
}

#[test]
fn another_portal_is_refused_before_the_first_write() {
    let portal = empty();
    let mut target = Target::of(&portal);
    target.set("organization_id", json!(1));
    let finished = target.deliver(&[contacts(), contact("a@x.example")]);
    assert_eq!(finished.code, Some(3), "{}", finished.stderr);
    assert!(live(&portal, "contacts").is_empty());
}

#[test]
fn a_dry_run_tells_and_writes_nothing() {
    let portal = empty();
    let target = Target::of(&portal);
    target.deliver(&[contacts(), contact("old@x.example")]).succeeded();
    let before = portal.truth_of()["contacts"].clone();
    portal.clear_requests();
    let mut lines = case();
    lines.push(record("contacts", json!({"email": "old@x.example", "phone": "2"})));
    lines.push(record("contacts", json!({"email": "bad"})));
    let text = self::lines(&lines);
    let finished = target.deliver_text(&text, &["--dry-run"]).succeeded();
    let said = finished.text();
    for words in [
        "create contacts (ann@x.example)",
        "create deals (Big one)",
        "create tickets (tickets/7)",
        "with contacts (new)",
        r#"phone: "+1 555 0100" → "2""#,
        "reject contacts (line 9)",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let writes: Vec<String> = portal.request_counts().into_keys().filter(|key| is_write(key)).collect();
    assert!(writes.is_empty(), "{writes:?}");
    assert_eq!(portal.truth_of()["contacts"], before);
    assert!(!said.contains("\"at\""), "no STATE");
}

#[test]
fn a_source_that_pauses_is_delivered_so_far_and_sigterm_ends_the_run() {
    let portal = empty();
    let target = Target::of(&portal);
    let mut child = target.command(&[]).stdin(Stdio::piped()).spawn().expect("the target runs");
    let mut input = child.stdin.take().expect("a pipe");
    let messages = lines(&[contacts(), contact("ann@x.example"), state(json!("so far"))]);
    input.write_all(messages.as_bytes()).expect("a reading target");
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    output.read_line(&mut line).expect("a state");
    assert_eq!(line, "\"so far\"\n", "while stdin is open");
    assert_eq!(live(&portal, "contacts").len(), 1);
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill runs");
    assert!(killed.success());
    assert_eq!(child.wait().expect("a child").code(), Some(143), "{}", target.log());
}
