//! What becomes of each line: it depends on the lines alone, and is told whatever it is.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tap_hubspot_tickets::sandbox::{Fault, FaultRule, Options, PropertyDef};

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

/// A 207 that says of none of the inputs what it is about.
fn failed_read() -> Fault {
    let error =
        json!({"status": "error", "category": "INTERNAL_ERROR", "message": "There was a problem.", "context": {}});
    let body = json!({"status": "COMPLETE", "results": [], "numErrors": 1, "errors": [error]});
    Fault::Status { code: 207, headers: Vec::new(), body: Some(body.to_string()) }
}

#[test]
fn a_record_without_a_key_is_rejected() {
    let portal = empty();
    let target = Target::of(&portal);
    let mut messages = vec![schema("tickets", &["number"])];
    messages.extend(["", "  ", "\u{a0}"].map(|key| ticket(key, "no key")));
    messages.extend([
        ticket(Value::Null, "no key"),
        record("tickets", json!({"subject": "no key"})),
        ticket(0, "zero"),
    ]);
    let finished = target.deliver(&messages).succeeded();
    assert_eq!(finished.said("number: the key is"), 5, "{}", finished.stderr);
    assert_eq!(live(&portal, "tickets").len(), 1);
}

#[test]
fn a_key_property_in_a_record_is_no_key_unless_it_is_configured() {
    let portal = empty();
    let mut target = Target::of(&portal);
    target.set("clear_nulls", json!(true));
    let with_key =
        |number: u32, key: Value| record("tickets", json!({"number": number, "subject": "s", "tap_delivery_key": key}));
    let same =
        [schema("tickets", &["number"]), with_key(1, json!("x")), with_key(2, json!("x")), with_key(3, Value::Null)];
    target.deliver(&same).succeeded();
    assert_eq!(live(&portal, "tickets").len(), 3);
    with(&portal, "tickets", "tap_delivery_key", "tickets/3");
    target.set("streams", json!({"tickets": {"properties": {"my_key": "tap_delivery_key"}}}));
    let configured = |key: &str| record("tickets", json!({"number": 9, "subject": "s", "my_key": key}));
    let finished =
        target.deliver(&[schema("tickets", &["number"]), configured("a"), configured("b"), configured("")]).succeeded();
    assert_eq!(live(&portal, "tickets").len(), 5);
    assert_eq!(finished.said("the key is missing"), 1, "{}", finished.stderr);
    with(&portal, "tickets", "tap_delivery_key", "a");
}

#[test]
fn keys_are_values_and_two_records_have_two_of_them() {
    let portal = empty();
    let mut target = Target::of(&portal);
    target.set("streams", json!({"a/b": {"object_type": "tickets"}, "a": {"object_type": "tickets"}}));
    let of = |stream: &str, key: Value| {
        let mut line = ticket(key, "s");
        line["stream"] = stream.into();
        [schema(stream, &["number"]), line]
    };
    target.deliver(&of("a/b", json!("c"))).succeeded();
    target.deliver(&of("a", json!("b/c"))).succeeded();
    assert_eq!(live(&portal, "tickets").len(), 2);
    // A stream's second key and the second line of a delivery that is called like the stream.
    target.deliver(&of("tickets", json!(2))).succeeded();
    target.set("delivery_id", json!("tickets"));
    target.deliver(&[schema("tickets", &[]), record("tickets", json!({"subject": "line 2"}))]).succeeded();
    assert_eq!(live(&portal, "tickets").len(), 4);
    let raw = ["17", "17.0", "1.7e1", "\"17\"", "\"\u{c9}-17\"", "\"\\u00c9-17\"", "\" \u{c9}-17 \""];
    let line = |key: &&str| {
        format!("{{\"type\":\"RECORD\",\"stream\":\"tickets\",\"record\":{{\"n\":{key},\"subject\":\"s\"}}}}\n")
    };
    let text = format!("{}{}", lines(&[schema("tickets", &["n"])]), raw.iter().map(line).collect::<String>());
    target.deliver_text(&text, &[]).succeeded();
    assert_eq!(live(&portal, "tickets").len(), 6, "17 and \u{c9}-17");
}

#[test]
fn a_number_that_records_are_found_by_is_a_value() {
    let portal = empty();
    for (name, of, kind) in [("customer_no", "contacts", "string"), ("deal_no", "deals", "number")] {
        let field = if kind == "number" { "number" } else { "text" };
        portal.define_property(of, PropertyDef { has_unique_value: true, ..PropertyDef::new(name, kind, field) });
    }
    let mut target = Target::of(&portal);
    target.set("streams", json!({"contacts": {"id_property": "customer_no"}, "deals": {"id_property": "deal_no"}}));
    let mut text = lines(&[schema("contacts", &["customer_no"]), schema("deals", &["deal_no"])]);
    for (phone, number) in ["17", "17.0", "1.7e1", "\"17\"", "\" 17 \""].into_iter().enumerate() {
        let person = format!("\"email\":\"a@x.example\",\"firstname\":\"A\",\"lastname\":\"A\",\"phone\":\"{phone}\"");
        text.push_str(&format!(
            "{{\"type\":\"RECORD\",\"stream\":\"contacts\",\"record\":{{\"customer_no\":{number},{person}}}}}\n\
             {{\"type\":\"RECORD\",\"stream\":\"deals\",\"record\":{{\"deal_no\":{number},\"dealname\":\"{phone}\"}}}}\n",
        ));
    }
    for round in ["5 records", "again"] {
        target.deliver_text(&text, &[]).succeeded();
        assert!(target.rejects().is_empty(), "{round}: {:?}", target.rejects());
        let (people, deals) = (live(&portal, "contacts"), live(&portal, "deals"));
        assert_eq!((people.len(), deals.len()), (1, 1), "{round}");
        assert_eq!(people[0]["properties"]["customer_no"], "17");
        assert_eq!(
            (&people[0]["properties"]["phone"], &deals[0]["properties"]["dealname"]),
            (&json!("4"), &json!("4"))
        );
    }
}

#[test]
fn keys_of_earlier_releases_are_still_known() {
    let portal = empty();
    let unique = PropertyDef { has_unique_value: true, ..PropertyDef::new("tap_delivery_key", "string", "text") };
    portal.define_property("tickets", unique);
    for key in ["monday/2", "tickets/17.0", "cases/7"] {
        portal.create("tickets", &[("subject", "old"), ("tap_delivery_key", key)]);
    }
    let mut target = Target::of(&portal);
    target.set("delivery_id", json!("monday"));
    target.set("streams", json!({"cases": {"object_type": "tickets"}}));
    let line = record("tickets", json!({"subject": "line 2"}));
    target.deliver(&[schema("tickets", &[]), line]).succeeded();
    let text = format!(
        "{}{{\"type\":\"RECORD\",\"stream\":\"tickets\",\"record\":{{\"n\":17.0,\"subject\":\"s\"}}}}\n",
        lines(&[schema("tickets", &["n"])])
    );
    target.deliver_text(&text, &[]).succeeded();
    let mut seven = ticket("7", "s");
    seven["stream"] = json!("cases");
    target.deliver(&[schema("cases", &["number"]), seven]).succeeded();
    assert_eq!(live(&portal, "tickets").len(), 3);
}

#[test]
fn a_deal_is_found_by_its_trimmed_name() {
    let portal = empty();
    let target = Target::of(&portal);
    let deal = |name: &str| record("deals", json!({"dealname": name, "contactEmail": " ANN@x.example "}));
    let messages =
        [contacts(), schema("deals", &[]), contact("ann@x.example"), deal("Plan"), deal("Plan "), deal(" Plan")];
    for _ in 0..2 {
        target.deliver(&messages).succeeded();
        assert_eq!(live(&portal, "deals").len(), 1);
    }
}

#[test]
fn two_records_that_want_one_address_are_a_conflict_that_names_both() {
    let portal = empty();
    let unique = PropertyDef { has_unique_value: true, ..PropertyDef::new("customer_no", "string", "text") };
    portal.define_property("contacts", unique);
    let first = portal.create("contacts", &[("email", "ann@x.example"), ("customer_no", "1"), ("city", "Bonn")]);
    let mut target = Target::of(&portal);
    target.set("streams", json!({"contacts": {"id_property": "customer_no", "required": []}}));
    let conflict = json!({
        "status": "error", "message": format!("Contact already exists. Existing ID: {first}"), "correlationId": "c",
        "category": "CONFLICT",
    });
    let conflict = Fault::Status { code: 409, headers: Vec::new(), body: Some(conflict.to_string()) };
    let line = record("contacts", json!({"customer_no": "2", "email": "ann@x.example", "city": "Ulm"}));
    for rules in [vec![FaultRule::next("batch/upsert", conflict)], Vec::new()] {
        portal.faults(rules);
        let finished = target.deliver(&[schema("contacts", &["customer_no"]), line.clone()]).succeeded();
        for words in [format!("belongs to contacts {first} (customer_no \"1\")"), "customer_no \"2\"".to_owned()] {
            assert!(finished.stderr.contains(&words), "{words}: {}", finished.stderr);
        }
        assert_eq!(with(&portal, "contacts", "email", "ann@x.example")["properties"]["city"], "Bonn");
        assert_eq!(live(&portal, "contacts").len(), 1);
    }
}

#[test]
fn the_last_line_of_a_record_wins_whatever_its_stream_or_address() {
    let portal = empty();
    let winner = portal.create("contacts", &[("email", "ann@x.example")]);
    let loser = portal.create("contacts", &[("email", "old@x.example")]);
    portal.merge("contacts", winner, loser);
    let mut target = Target::of(&portal);
    target.set("streams", json!({"people": {"object_type": "contacts"}}));
    let line = |stream: &str, email: &str, phone: &str| record(stream, json!({"email": email, "phone": phone}));
    let mut messages = vec![contacts(), schema("people", &["email"])];
    messages.push(line("contacts", "old@x.example", "1"));
    // The two addresses stand in different batches.
    messages.extend((0..250).map(|number| contact(&format!("c{number}@x.example"))));
    messages.extend([line("people", "c7@x.example", "1"), line("contacts", "c7@x.example", "2")]);
    messages.extend([line("contacts", "c8@x.example", "1"), line("people", "c8@x.example", "2")]);
    messages.push(line("people", "ann@x.example", "2"));
    target.deliver(&messages).succeeded();
    for email in ["ann@x.example", "c7@x.example", "c8@x.example"] {
        assert_eq!(with(&portal, "contacts", "email", email)["properties"]["phone"], "2", "{email}");
    }
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
fn members_that_two_lines_add_to_a_multi_select_are_both_added() {
    let property = PropertyDef::new("tags", "enumeration", "checkbox").with_options(&["a=A", "b=B", "c=C"]);
    let line = |tags: &str| {
        let mut line = contact("a@x.example");
        line["record"]["tags"] = json!(tags);
        line
    };
    let messages = [line("c"), line(";a"), line(";b;a")];
    let together = empty();
    together.define_property("contacts", property.clone());
    let mut all = vec![contacts()];
    all.extend(messages.clone());
    Target::of(&together).deliver(&all).succeeded();
    let apart = empty();
    apart.define_property("contacts", property);
    for message in messages {
        Target::of(&apart).deliver(&[contacts(), message]).succeeded();
    }
    for portal in [together, apart] {
        let tags = live(&portal, "contacts")[0]["properties"]["tags"].as_str().expect("tags").to_owned();
        let members: std::collections::BTreeSet<&str> = tags.split(';').collect();
        assert_eq!(members, ["a", "b", "c"].into(), "{tags}");
    }
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
fn associations_name_records_by_what_their_type_is_found_by() {
    let portal = empty();
    let target = Target::of(&portal);
    target.deliver(&[contacts(), contact("a@x.example")]).succeeded();
    let wrong = [
        json!([{"object_type": "contacts", "email": " "}]),
        json!([{"object_type": "contacts", "name": "Ann"}]),
        json!([{"object_type": "contacts", "domain": "x.example"}]),
        json!([{"object_type": "companies", "email": "a@x.example"}]),
        json!([{"object_type": "deals", "domain": "x.example"}]),
        json!([{"object_type": "tickets", "id": 1}]),
        json!([null]),
        json!("contacts"),
    ];
    let right = [
        json!([{"object_type": "contacts", "email": "a@x.example"}]),
        json!({"object_type": "Contact", "id": "", "email": " A@x.example"}),
        json!([{"object_type": "contacts", "email": "a@x.example", "label": ""}]),
    ];
    let mut messages = vec![schema("tickets", &["number"])];
    for (number, associations) in wrong.iter().chain(&right).enumerate() {
        let mut line = ticket(number, "s");
        line["record"]["associations"] = associations.clone();
        messages.push(line);
    }
    let finished = target.deliver(&messages).succeeded();
    assert_eq!(target.rejects().len(), 1 + wrong.len(), "{}", finished.stderr);
    assert_eq!(finished.said("names neither id nor domain, which companies are found by"), 1, "{}", finished.stderr);
    let tickets = live(&portal, "tickets");
    assert!(tickets.len() == right.len() && tickets.iter().all(|one| ends(one, "contacts").len() == 1));
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
fn a_deal_name_without_its_contact_means_the_only_deal_of_that_name() {
    let portal = empty();
    let target = Target::of(&portal);
    let deal = |email: &str, name: &str| record("deals", json!({"dealname": name, "contactEmail": email}));
    let naming =
        |number: u32, name: &str| record("tickets", json!({"number": number, "subject": name, "dealName": name}));
    let messages = [
        contacts(),
        schema("deals", &[]),
        schema("tickets", &["number"]),
        naming(1, "One"),
        naming(2, "Two"),
        deal("ann@x.example", "One"),
        deal("ann@x.example", "Two"),
        deal("bob@x.example", "Two"),
        contact("ann@x.example"),
        contact("bob@x.example"),
    ];
    let finished = target.deliver(&messages).succeeded();
    assert_eq!(ends(&with(&portal, "tickets", "subject", "One"), "deals").len(), 1, "{}", finished.stderr);
    assert_eq!(finished.said("several deals of this delivery have the name \"Two\""), 1, "{}", finished.stderr);
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
    let daily = Fault::RateLimited { limit: tap_hubspot_tickets::sandbox::Limit::Daily, retry_after: None };
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
