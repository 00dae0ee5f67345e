//! What becomes of each line: it depends on the lines alone, and is told whatever it is.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use hubspot_sandbox::{Fault, FaultRule, Options};
use serde_json::{Value, json};

use crate::support::delivery::{Target, contact, ends, lines, live, record, schema, state, with};
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

#[test]
fn a_record_waits_for_what_a_later_line_brings_and_state_waits_with_it() {
    let portal = empty();
    let target = Target::of(&portal);
    let mut child = target.command(&[]).stdin(Stdio::piped()).spawn().expect("the target runs");
    let mut input = child.stdin.take().expect("a pipe");
    let tickets: Vec<Value> = (0..5)
        .map(|number| {
            let mut line = ticket(number, &format!("Case {number}"));
            line["record"]["contactEmail"] = json!(format!("c{number}@x.example"));
            line["record"]["dealName"] = json!("Plan");
            line
        })
        .collect();
    let mut first = vec![contacts(), schema("tickets", &["number"]), schema("deals", &[]), state(json!("before"))];
    first.extend(tickets);
    first.extend([state(json!("between")), contact("marker@x.example")]);
    input.write_all(lines(&first).as_bytes()).expect("a reading target");
    for _ in 0..3_000 {
        if !live(&portal, "contacts").is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(live(&portal, "contacts").len(), 1, "the marker is delivered while the tickets wait");
    let mut second: Vec<Value> = (0..5)
        .map(|number| record("deals", json!({"dealname": "Plan", "contactEmail": format!("c{number}@x.example")})))
        .collect();
    second.extend((0..4).map(|number| contact(&format!("c{number}@x.example"))));
    second.push(state(json!("end")));
    input.write_all(lines(&second).as_bytes()).expect("a reading target");
    drop(input);
    let output = child.wait_with_output().expect("a child");
    let said = String::from_utf8(output.stdout).expect("text");
    assert!(said.starts_with("\"before\"\n") && said.ends_with("\"end\"\n"), "{said}");
    assert!(!said.contains("between"), "no STATE covers a record that waits: {said}");
    assert_eq!((live(&portal, "tickets").len(), live(&portal, "deals").len()), (4, 4), "{}", target.log());
    let rejects = target.rejects();
    let rejected: Vec<&Value> = rejects.iter().filter(|one| one["type"] == "RECORD").collect();
    assert_eq!(rejected.len(), 2, "the ticket and the deal of the contact that never came: {}", target.log());
    let case = with(&portal, "tickets", "subject", "Case 2");
    assert_eq!(ends(&case, "contacts"), [id_of(&with(&portal, "contacts", "email", "c2@x.example"))]);
    assert_eq!(ends(&case, "deals").len(), 1);
}

#[test]
fn more_records_than_fit_into_memory_wait_and_none_is_forgotten() {
    let portal = empty();
    let target = Target::of(&portal);
    const RECORDS: usize = 12_500;
    let mut messages = vec![contacts(), schema("tickets", &["number"])];
    for number in 0..RECORDS {
        let mut line = ticket(number, &format!("Case {number}"));
        line["record"]["contactEmail"] = json!(format!("c{}@x.example", number % 50));
        messages.push(line);
    }
    // A later line of a ticket that waits: the first one stands.
    messages.extend([ticket(RECORDS - 1, "second"), ticket(1, "second")]);
    messages.extend((0..50).map(|number| contact(&format!("c{number}@x.example"))));
    messages.push(state(json!("end")));
    let finished = target.deliver(&messages).succeeded();
    assert!(target.rejects().is_empty(), "{}", finished.stderr);
    let tickets = live(&portal, "tickets");
    assert_eq!(tickets.len(), RECORDS);
    assert!(tickets.iter().all(|one| ends(one, "contacts").len() == 1 && one["properties"]["subject"] != "second"));
    assert_eq!(finished.text(), "\"end\"\n");
}

#[test]
fn known_records_are_not_forgotten_between_question_and_use() {
    let portal = empty();
    let target = Target::of(&portal);
    const RECORDS: usize = 3_000;
    let ids: Vec<u64> =
        (0..RECORDS).map(|number| portal.create("contacts", &[("email", &format!("c{number}@x.example"))])).collect();
    let mut messages = vec![schema("tickets", &["number"])];
    for (number, id) in ids.iter().enumerate() {
        let mut line = ticket(number, "s");
        line["record"]["contactId"] = json!(id);
        messages.push(line);
    }
    target.deliver(&messages).succeeded();
    assert!(target.rejects().is_empty());
    let tickets = live(&portal, "tickets");
    assert!(tickets.len() == RECORDS && tickets.iter().all(|one| ends(one, "contacts").len() == 1));
}

#[test]
fn a_run_whose_records_are_all_rejected_fails() {
    let portal = empty();
    let mut target = Target::of(&portal);
    target.set("max_rejects", Value::Null);
    let finished = target.deliver(&[contacts(), record("contacts", json!({"email": "bad"})), state(json!(1))]);
    assert_eq!((finished.code, finished.text()), (Some(9), ""), "{}", finished.stderr);
    assert!(finished.last_line().contains("1 of 1 records are rejected, 50% are allowed"), "{}", finished.stderr);
    // A dry run ends as the run would.
    let text = lines(&[contacts(), record("contacts", json!({"email": "bad"}))]);
    assert_eq!(target.deliver_text(&text, &["--dry-run"]).code, Some(9));
}

#[test]
fn every_line_has_its_result() {
    let portal = empty();
    let mut target = Target::of(&portal);
    target.set("results_path", json!("results.jsonl")).set("streams", json!({"owners": null}));
    let mut case = ticket(7, "Help");
    case["record"]["contactEmail"] = json!("ann@x.example");
    let messages = [
        contacts(),
        schema("tickets", &["number"]),
        schema("owners", &[]),
        contact("ann@x.example"),
        record("contacts", json!({"email": "ann@x.example", "phone": "2"})),
        case,
        record("contacts", json!({"email": "bad"})),
        record("contacts", json!({"email": "b@x.example", "archived": true})),
        record("owners", json!({"id": 1})),
        ticket("7", "A ticket that is there is never changed"),
    ];
    target.deliver(&messages).succeeded();
    target.deliver(&messages).succeeded();
    let results = target.results();
    let ann = id_of(&with(&portal, "contacts", "email", "ann@x.example"));
    let of_line = |line: u64| -> Vec<&Value> { results.iter().filter(|one| one["line"] == line).collect() };
    for (line, words) in [
        (4, ["created", "updated"]),
        (5, ["updated", "updated"]),
        (6, ["created", "unchanged"]),
        (7, ["rejected", "rejected"]),
        (8, ["deleted, ignored", "deleted, ignored"]),
        (9, ["left out", "left out"]),
        (10, ["unchanged", "unchanged"]),
    ] {
        let found: Vec<&str> = of_line(line).iter().map(|one| one["result"].as_str().expect("a result")).collect();
        assert_eq!(found[0], words[0], "line {line}");
        assert_eq!(found.len(), 2, "line {line}");
    }
    let first = of_line(6)[0];
    assert_eq!(first["associations"], json!([{"object_type": "contacts", "id": ann}]));
    assert_eq!(first["id"], live(&portal, "tickets")[0]["id"]);
    assert!(of_line(7)[0]["reason"].as_str().expect("a reason").contains("email"));
}

#[test]
fn a_required_reference_is_one_and_an_empty_one_is_told() {
    let portal = empty();
    let mut target = Target::of(&portal);
    let mut orphan = ticket(1, "orphan");
    orphan["record"]["contactId"] = Value::Null;
    let finished = target.deliver(&[schema("tickets", &["number"]), orphan.clone()]).succeeded();
    assert_eq!(finished.said("1 records have no contactId and are written without it"), 1, "{}", finished.stderr);
    target.set("streams", json!({"tickets": {"required": ["subject", "contactId"]}}));
    orphan["record"]["number"] = json!(2);
    let finished = target.deliver(&[schema("tickets", &["number"]), orphan]).succeeded();
    assert_eq!(finished.said("contactId: it refers to no record"), 1, "{}", finished.stderr);
    assert_eq!(live(&portal, "tickets").len(), 1);
    target.set("streams", json!({"tickets": {"required": ["kontaktId"]}}));
    let finished = target.deliver(&[schema("tickets", &["number"])]);
    assert_eq!(finished.code, Some(2));
    assert!(finished.last_line().contains("kontaktId is neither a property"), "{}", finished.stderr);
}

#[test]
fn half_a_line_at_the_end_of_a_file_of_rejects_is_forgiven() {
    let portal = empty();
    let target = Target::of(&portal);
    let bad = record("contacts", json!({"email": "bad", "firstname": "B", "lastname": "B", "phone": "1"}));
    target.deliver(&[contacts(), bad.clone(), bad]).succeeded();
    let rejects = std::fs::read_to_string(target.path("rejects.jsonl"))
        .expect("rejects")
        .replace("\"bad\"", "\"good@x.example\"");
    let half = &rejects[..rejects.len() - 20];
    std::fs::write(target.path("rejects.jsonl"), half).expect("a writable folder");
    let finished = target.deliver_text(half, &[]).succeeded();
    assert_eq!(finished.said("is cut off and left out"), 1, "{}", finished.stderr);
    assert_eq!(live(&portal, "contacts").len(), 1);
    assert_eq!(target.rejects().len(), 2, "the half line was cut off before more is added");
}

#[test]
fn a_slow_source_is_delivered_whatever_its_rhythm() {
    let portal = empty();
    let target = Target::of(&portal);
    let mut child = target.command(&[]).stdin(Stdio::piped()).spawn().expect("the target runs");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(lines(&[contacts()]).as_bytes()).expect("a reading target");
    let mut sent = 0;
    // A line now and then, faster than any pause that could count as the end of a batch.
    while live(&portal, "contacts").is_empty() && sent < 100 {
        input.write_all(lines(&[contact(&format!("c{sent}@x.example"))]).as_bytes()).expect("a reading target");
        sent += 1;
        std::thread::sleep(Duration::from_millis(300));
    }
    drop(input);
    assert!(child.wait().expect("a child").success());
    assert!(sent < 100, "{sent} lines were sent and none was delivered: {}", target.log());
}

#[test]
fn a_portal_is_delivered_to_by_one_run_at_a_time() {
    let portal = empty();
    let mut target = Target::of(&portal);
    target.set("lock_path", json!("locks"));
    let mut child = target.command(&[]).stdin(Stdio::piped()).spawn().expect("the target runs");
    for _ in 0..3_000 {
        if target.log().contains("begins") {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let finished = target.deliver(&[contacts(), contact("ann@x.example")]);
    assert_eq!(finished.code, Some(8), "{}", finished.stderr);
    assert!(finished.last_line().contains("another run of portal 245001234"), "{}", finished.stderr);
    drop(child.stdin.take());
    assert!(child.wait().expect("a child").success());
    target.deliver(&[contacts(), contact("ann@x.example")]).succeeded();
}

#[test]
fn two_deliveries_at_once_make_no_deal_twice() {
    let portal = empty();
    let mut messages = vec![contacts(), schema("deals", &[])];
    for number in 0..300 {
        let email = format!("c{number}@x.example");
        messages.push(contact(&email));
        messages.push(record("deals", json!({"dealname": "Plan", "amount": number, "contactEmail": email})));
    }
    portal.set_latency(Duration::from_millis(30));
    let targets = [Target::of(&portal), Target::of(&portal)];
    let children: Vec<_> = targets
        .iter()
        .map(|target| {
            std::fs::write(target.path("input.jsonl"), lines(&messages)).expect("a writable folder");
            target.start("input.jsonl")
        })
        .collect();
    for (child, target) in children.into_iter().zip(&targets) {
        assert!(child.wait_with_output().expect("a child").status.success(), "{}", target.log());
        assert!(target.rejects().is_empty(), "{}", target.log());
    }
    let deals = live(&portal, "deals");
    assert_eq!(deals.len(), 300);
    assert!(deals.iter().all(|deal| ends(deal, "contacts").len() == 1));
}

#[test]
fn a_new_ticket_starts_in_the_stage_that_hubspot_shows_first() {
    let portal = empty();
    let target = Target::of(&portal);
    let stage = |id: &str, order: u32| json!({"id": id, "label": id, "displayOrder": order, "metadata": {}});
    let pipelines = json!({"results": [{"id": "0", "label": "Support", "displayOrder": 0, "stages": [
        stage("4", 3), stage("2", 1), stage("1", 0), stage("3", 2),
    ]}]});
    let unsorted = Fault::Status { code: 200, headers: Vec::new(), body: Some(pipelines.to_string()) };
    portal.faults([FaultRule::always("pipelines", unsorted)]);
    target.deliver(&[schema("tickets", &["number"]), ticket(1, "s")]).succeeded();
    assert_eq!(live(&portal, "tickets")[0]["properties"]["hs_pipeline_stage"], "1");
}

#[test]
fn misspelt_stream_settings_are_told_with_what_is_near() {
    let portal = empty();
    let mut target = Target::of(&portal);
    target.set("streams", json!({"contact": {"id_propperty": "email"}, "contacts": {"requred": []}}));
    let finished = target.deliver(&[schema("contacts", &["email"]), contact("ann@x.example")]).succeeded();
    assert_eq!(finished.said("\"streams.contacts.requred\" is unknown and ignored; did you mean \"required\"?"), 1);
    assert_eq!(finished.said("did you mean \"id_property\"?"), 1, "{}", finished.stderr);
    target.set("streams", json!({"peple": {"object_type": "contacts"}, "people": null}));
    let finished = target.deliver(&[schema("contacts", &["email"])]).succeeded();
    assert_eq!(finished.said("did you mean"), 0, "{}", finished.stderr);
    target.set("streams", json!({"contcts": {"required": []}}));
    let finished = target.deliver(&[schema("contacts", &["email"])]).succeeded();
    assert_eq!(finished.said("did you mean \"contacts\"?"), 1, "{}", finished.stderr);
}

#[test]
fn a_run_that_ends_early_tells_what_it_did() {
    let portal = empty();
    let target = Target::of(&portal);
    let daily = Fault::RateLimited { limit: hubspot_sandbox::RateLimitKind::Daily, retry_after: None };
    portal.faults([FaultRule::nth("contacts/batch/upsert", 3, usize::MAX, daily)]);
    let mut messages = vec![contacts()];
    messages.extend((0..1_000).map(|number| contact(&format!("c{number}@x.example"))));
    let finished = target.deliver(&messages);
    assert_eq!(finished.code, Some(6), "{}", finished.stderr);
    let written = live(&portal, "contacts").len();
    assert_eq!(written, 300);
    assert_eq!(finished.said("contacts: 300 created"), 1, "{}", finished.stderr);
}

#[test]
fn a_dry_run_says_what_a_run_would_do_to_associations() {
    let portal = empty();
    let target = Target::of(&portal);
    let mut case = ticket(7, "Help");
    target.deliver(&[contacts(), schema("tickets", &["number"]), contact("ann@x.example"), case.clone()]).succeeded();
    case["record"]["contactEmail"] = json!("ann@x.example");
    let ann = id_of(&with(&portal, "contacts", "email", "ann@x.example"));
    let mut messages = vec![contacts(), schema("tickets", &["number"]), case];
    // More records than are remembered in memory at once, and what refers to the first of them.
    let new = |number: u32| contact(&format!("n{number}@x.example"));
    messages.extend((0..10_500).map(new));
    let mut late = ticket(8, "Late");
    late["record"]["contactEmail"] = json!("n1@x.example");
    late["record"]["dealName"] = json!("None");
    messages.push(late);
    let finished = target.deliver_text(&lines(&messages), &["--dry-run"]).succeeded();
    let said = finished.text();
    assert!(said.contains(&format!("with contacts {ann}")), "{}", &said[..500]);
    assert_eq!(said.matches("reject ").count(), 1, "the deal that is not there");
    assert!(said.contains("contact (new) has no deal") && !said.contains("1844674407"), "{}", finished.stderr);
}
