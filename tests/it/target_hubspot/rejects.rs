//! What cannot be written, and lines that are none.

use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use hubspot_sandbox::{Fault, FaultRule, Options};
use serde_json::{Value, json};

use crate::support::delivery::{Target, contact, lines, live, record, schema, state, with};
use crate::support::portal::Portal;

fn empty() -> Portal {
    Portal::start(Options { merged: 0, ..Options::with_tickets(0) })
}

#[test]
fn what_is_no_message_is_told_by_its_number_and_loses_nothing_before_it() {
    let cases = [
        (json!({"email": "a@x.example"}).to_string(), "line 5 is no Singer message: it has no type; for plain records"),
        (json!({"type": "LOG", "stream": "contacts"}).to_string(), "line 5 has the type \"LOG\""),
        (record("deals", json!({})).to_string(), "line 5 is a RECORD of the stream \"deals\" before its SCHEMA"),
        (json!({"type": "STATE"}).to_string(), "line 5 is no Singer message: a STATE needs a value"),
        (schema("tikkets", &[]).to_string(), "tikkets"),
    ];
    for (bad, says) in cases {
        let portal = empty();
        let target = Target::of(&portal);
        let good = [schema("contacts", &["email"]), contact("a@x.example"), contact("b@x.example"), state(json!(1))];
        let text = format!("{}{bad}\n{}", lines(&good), lines(&[contact("late@x.example"), state(json!(2))]));
        let finished = target.deliver_text(&text, &[]);
        assert_eq!(finished.code, Some(2), "{}", finished.stderr);
        assert!(finished.last_line().contains(says), "{says}: {}", finished.stderr);
        assert_eq!(live(&portal, "contacts").len(), 2);
        assert_eq!(finished.text(), "1\n", "the state before it is safe");
    }
}

#[test]
fn records_with_faults_are_rejected_and_the_others_written() {
    let portal = empty();
    let target = Target::of(&portal);
    let with_field = |field: &str, value: Value| {
        let mut line = contact(&format!("{field}@x.example"));
        line["record"][field] = value;
        line
    };
    let mut messages = vec![schema("contacts", &["email"])];
    let faulty = [
        (
            "lifecyclestage",
            json!("nothing"),
            "\"nothing\" is none of its options; write one of subscriber (Subscriber), lead",
        ),
        ("closedate", json!("soon"), "\"soon\" is no date and time; write it such as 2024-02-29T13:45:00Z"),
        ("hs_bing_ad_clicked", json!("maybe"), "\"maybe\" is neither true nor false"),
        ("associatedcompanyid", json!("x"), "\"x\" is no number; write digits"),
        ("city", json!({"name": "Boston"}), "not a list or an object"),
        ("shoe_size", json!(44), "of portal 245001234 have no property shoe_size"),
    ];
    messages.extend(faulty.iter().map(|(field, value, _)| with_field(field, value.clone())));
    messages.push(record("contacts", json!({"email": null, "firstname": "No key"})));
    messages.push(record("contacts", json!({"email": "no address", "firstname": "A", "lastname": "B", "phone": "1"})));
    messages.push(contact("good@x.example"));
    messages.push(state(json!("end")));
    let finished = target.deliver(&messages).succeeded();
    assert_eq!(finished.text(), "\"end\"\n");
    assert_eq!(live(&portal, "contacts").len(), 1);
    let rejects = target.rejects();
    assert_eq!(rejects[0]["type"], "SCHEMA");
    assert_eq!(rejects.len(), 1 + faulty.len() + 2);
    for (at, (field, _, says)) in faulty.iter().enumerate() {
        let (reject, line) = (&rejects[at + 1], at + 2);
        assert_eq!(reject["rejected"]["line"], line);
        let reason = reject["rejected"]["reason"].as_str().expect("a reason");
        assert!(reason.contains(field) && reason.contains(says), "{reason}");
    }
    let writes = portal.request_counts();
    assert_eq!(writes.get("batch_upsert contacts"), Some(&1), "faults are found before anything is sent");
}

#[test]
fn rejects_are_input_again_once_they_are_mended() {
    let portal = empty();
    let mut target = Target::of(&portal);
    target.set("delivery_id", json!("d1"));
    let ticket =
        |subject: &str, stage: &str| record("tickets", json!({"subject": subject, "hs_pipeline_stage": stage}));
    let messages = [schema("tickets", &[]), ticket("a", "1"), ticket("b", "99"), ticket("c", "2"), ticket("d", "98")];
    target.deliver(&messages).succeeded();
    assert_eq!(live(&portal, "tickets").len(), 2);
    let mended = fs::read_to_string(target.path("rejects.jsonl"))
        .expect("rejects")
        .replace("\"99\"", "\"3\"")
        .replace("\"98\"", "\"4\"");
    fs::remove_file(target.path("rejects.jsonl")).expect("a file");
    target.deliver_text(&mended, &[]).succeeded();
    assert!(target.rejects().is_empty());
    assert_eq!(live(&portal, "tickets").len(), 4);
    // The keys of the first delivery went along, so the whole file makes nothing new either.
    let fixed = [schema("tickets", &[]), ticket("a", "1"), ticket("b", "3"), ticket("c", "2"), ticket("d", "4")];
    target.deliver(&fixed).succeeded();
    assert_eq!(live(&portal, "tickets").len(), 4);
}

#[test]
fn the_file_of_rejects_cannot_be_its_own_input() {
    let portal = empty();
    let mut target = Target::of(&portal);
    target.set("rejects_path", json!("input.jsonl"));
    let finished = target.deliver(&[schema("contacts", &[])]);
    assert_eq!(finished.code, Some(7), "{}", finished.stderr);
    assert!(finished.last_line().contains("move it first"), "{}", finished.stderr);
}

#[test]
fn max_rejects_decides_when_a_run_fails() {
    let portal = empty();
    let bad = record("contacts", json!({"email": "bad"}));
    let messages =
        [schema("contacts", &["email"]), contact("a@x.example"), state(json!(1)), bad.clone(), bad, state(json!(2))];
    for (max_rejects, path, code) in [
        (json!(null), json!(null), 9),
        (json!(1), json!("r.jsonl"), 9),
        (json!(2), json!(null), 0),
        (json!("60%"), json!("r.jsonl"), 9),
        (json!("70%"), json!(null), 0),
        (json!(null), json!("r.jsonl"), 9),
    ] {
        let mut target = Target::of(&portal);
        target.set("max_rejects", max_rejects).set("rejects_path", path);
        let finished = target.deliver(&messages);
        assert_eq!(finished.code, Some(code), "{}", finished.stderr);
        assert_eq!(finished.text().contains('2'), code == 0, "no state covers what is not dealt with");
        assert_eq!(live(&portal, "contacts").len(), 1, "what came before is written");
    }
}

#[test]
fn what_hubspot_refuses_is_rejected_with_its_words() {
    let portal = empty();
    let target = Target::of(&portal);
    // A rule of the portal that its definitions do not tell.
    let body = json!({"status": "error", "message": "Property values were not valid: []", "correlationId": "c-42", "category": "VALIDATION_ERROR"});
    let refusal = Fault::Status { code: 400, headers: Vec::new(), body: Some(body.to_string()) };
    portal.faults([FaultRule { body: "cursed@x.example".to_owned(), ..FaultRule::always("batch/upsert", refusal) }]);
    let mut messages = vec![schema("contacts", &["email"])];
    messages.extend((0..99).map(|number| contact(&format!("good{number}@x.example"))));
    messages.insert(50, contact("cursed@x.example"));
    let finished = target.deliver(&messages).succeeded();
    assert_eq!(live(&portal, "contacts").len(), 99, "one bad record sinks no good one: {}", finished.stderr);
    let rejected = &target.rejects()[1];
    assert_eq!(rejected["record"]["email"], "cursed@x.example");
    assert_eq!(rejected["rejected"]["category"], "VALIDATION_ERROR");
    assert_eq!(rejected["rejected"]["correlation_id"], "c-42");
}

#[test]
fn who_refers_to_nobody_is_rejected_before_anything_is_written() {
    let portal = empty();
    let mut target = Target::of(&portal);
    target.set("delivery_id", json!("d"));
    let ticket = |field: &str, value: Value| record("tickets", json!({"subject": "x", field: value}));
    let mut labelled = ticket("contactEmail", json!("ann@x.example"));
    labelled["record"]["contactLabel"] = json!("Uncle");
    let messages = [
        schema("contacts", &["email"]),
        schema("tickets", &[]),
        contact("ann@x.example"),
        ticket("contactId", json!(77)),
        ticket("contactEmail", json!("nobody@x.example")),
        ticket("dealIds", json!(["1", "2"])),
        ticket("contactId", json!("ann")),
        labelled,
    ];
    target.deliver(&messages).succeeded();
    assert!(live(&portal, "tickets").is_empty());
    let reasons: Vec<String> =
        target.rejects().iter().filter_map(|one| Some(one["rejected"]["reason"].as_str()?.to_owned())).collect();
    for says in [
        "no contacts with the id 77",
        "no contact has the address nobody@x.example",
        "no deals with the id 1",
        "\"ann\" is no id",
        "no association label \"Uncle\"",
    ] {
        assert!(reasons.iter().any(|reason| reason.contains(says)), "{says}: {reasons:?}");
    }
}

#[test]
fn unknown_fields_are_refused_ignored_or_passed_as_configured() {
    let portal = empty();
    let mut line = contact("a@x.example");
    line["record"]["shoe_size"] = json!(44);
    let messages = [schema("contacts", &["email"]), line];
    for (how, rejects, says) in
        [("reject", 1, "no property shoe_size"), ("pass", 1, "PROPERTY_DOESNT_EXIST"), ("ignore", 0, "1 created")]
    {
        let mut target = Target::of(&portal);
        target.set("unknown_fields", json!(how));
        let finished = target.deliver(&messages).succeeded();
        assert!(finished.said(says) > 0, "{how}: {}", finished.stderr);
        assert_eq!(target.rejects().iter().filter(|one| one["type"] == "RECORD").count(), rejects, "{how}");
    }
    with(&portal, "contacts", "email", "a@x.example");
}

#[test]
fn streams_can_be_left_out() {
    let portal = empty();
    let mut target = Target::of(&portal);
    target.set("streams", json!({"owners": null}));
    let messages = [
        schema("owners", &["id"]),
        record("owners", json!({"id": "1"})),
        schema("contacts", &[]),
        contact("a@x.example"),
    ];
    let finished = target.deliver(&messages).succeeded();
    assert_eq!(finished.said("1 records of streams that the config leaves out"), 1, "{}", finished.stderr);
    assert_eq!(live(&portal, "contacts").len(), 1);
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_what_to_do() {
    let portal = empty();
    let mut target = Target::of(&portal);
    for (rejects, results, says) in [
        ("nowhere/rejects.jsonl", "results.jsonl", "rejects_path: nowhere/rejects.jsonl cannot be opened"),
        ("rejects.jsonl", ".", "results_path: . cannot be opened"),
        ("same.jsonl", "same.jsonl", "results_path: rejects_path names the same file"),
    ] {
        target.set("rejects_path", json!(rejects)).set("results_path", json!(results));
        let finished = target.deliver(&[schema("contacts", &[]), contact("a@x.example")]);
        assert_eq!(finished.code, Some(7), "{}", finished.stderr);
        assert!(
            finished.last_line().contains(says) && finished.last_line().contains("; name a"),
            "{}",
            finished.stderr
        );
    }
    assert!(live(&portal, "contacts").is_empty());
}

#[test]
fn a_schema_that_cannot_be_read_ends_the_run_before_its_records() {
    let portal = empty();
    let target = Target::of(&portal);
    let ticket = |number: u32| record("tickets", json!({"number": number, "subject": "s"}));
    let bad = json!({"type": "SCHEMA", "stream": "tickets", "schema": {}, "key_properties": "subject"});
    let finished = target.deliver(&[schema("tickets", &["number"]), ticket(1), bad, ticket(2)]);
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    assert!(finished.last_line().contains("line 3 is no Singer message"), "{}", finished.stderr);
    assert_eq!(live(&portal, "tickets").len(), 1);
}

#[test]
fn what_is_rejected_is_in_the_file_while_a_source_is_quiet() {
    let portal = empty();
    let target = Target::of(&portal);
    let mut child = target.command(&[]).stdin(Stdio::piped()).spawn().expect("the target runs");
    let mut input = child.stdin.take().expect("a pipe");
    let bad = record("contacts", json!({"email": "bad"}));
    input.write_all(lines(&[schema("contacts", &["email"]), bad]).as_bytes()).expect("a reading target");
    for _ in 0..3_000 {
        if target.rejects().len() == 2 {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(target.rejects().len(), 2, "the SCHEMA and the record: {}", target.log());
    drop(input);
    assert!(child.wait().expect("a child").success());
}
