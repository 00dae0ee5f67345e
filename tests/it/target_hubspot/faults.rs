//! Conflicts, lost answers, storms and kills: every record is in the portal once, or among the rejects.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hubspot_sandbox::{Fault, FaultRule, Options, RandomFaults, RateLimitKind};
use serde_json::{Value, json};

use crate::support::delivery::{Target, contact, ends, lines, live, record, schema, state, with};
use crate::support::portal::Portal;

fn empty() -> Portal {
    Portal::start(Options { merged: 0, ..Options::with_tickets(0) })
}

fn contacts(emails: &[&str]) -> Vec<Value> {
    let mut messages = vec![schema("contacts", &["email"])];
    messages.extend(emails.iter().map(|email| contact(email)));
    messages
}

#[test]
fn an_address_that_somebody_else_just_took_is_updated_there() {
    let portal = empty();
    let target = Target::of(&portal);
    portal.faults([FaultRule::next("batch/upsert", Fault::EmailRace)]);
    let finished = target.deliver(&contacts(&["ann@x.example", "bob@x.example"])).succeeded();
    assert!(target.rejects().is_empty(), "{}", finished.stderr);
    assert_eq!(live(&portal, "contacts").len(), 2);
    assert_eq!(with(&portal, "contacts", "email", "ann@x.example")["properties"]["lastname"], "Abel");
}

#[test]
fn a_conflict_that_names_the_record_is_settled_there() {
    let portal = empty();
    let id = portal.create("contacts", &[("email", "ann@x.example")]);
    let target = Target::of(&portal);
    // Between the question and the write somebody creates the contact: the question finds nothing.
    let nobody = json!({"status": "COMPLETE", "results": []});
    let unaware = Fault::Status { code: 200, headers: Vec::new(), body: Some(nobody.to_string()) };
    let conflict = json!({
        "status": "error", "message": format!("Contact already exists. Existing ID: {id}"),
        "correlationId": "c", "category": "CONFLICT",
    });
    let conflict = Fault::Status { code: 409, headers: Vec::new(), body: Some(conflict.to_string()) };
    portal.faults([FaultRule::next("contacts/batch/read", unaware), FaultRule::next("batch/upsert", conflict)]);
    target.deliver(&contacts(&["ann@x.example"])).succeeded();
    assert!(target.rejects().is_empty());
    assert_eq!(with(&portal, "contacts", "email", "ann@x.example")["properties"]["phone"], "+1 555 0100");
}

#[test]
fn a_contact_that_was_merged_away_is_updated_where_it_is_now() {
    let portal = empty();
    let winner = portal.create("contacts", &[("email", "ann@x.example"), ("phone", "1")]);
    let loser = portal.create("contacts", &[("email", "old@x.example")]);
    portal.merge("contacts", winner, loser);
    let target = Target::of(&portal);
    // By its further address, and by the id of the loser.
    target.deliver(&contacts(&["old@x.example"])).succeeded();
    let ann = with(&portal, "contacts", "email", "ann@x.example");
    assert_eq!(ann["properties"]["phone"], "+1 555 0100", "the winner keeps its address and takes the rest");
    let mut target = Target::of(&portal);
    target.set("streams", json!({"contacts": {"id_property": "hs_object_id"}}));
    let line = record("contacts", json!({"hs_object_id": loser, "phone": "2"}));
    target.deliver(&[schema("contacts", &[]), line]).succeeded();
    assert_eq!(with(&portal, "contacts", "email", "ann@x.example")["properties"]["phone"], "2");
    assert_eq!(live(&portal, "contacts").len(), 1);
}

#[test]
fn a_record_merged_between_question_and_write_is_not_lost() {
    let portal = empty();
    let winner = portal.create("contacts", &[("email", "ann@x.example")]);
    let loser = portal.create("contacts", &[("email", "old@x.example"), ("phone", "0")]);
    let mut target = Target::of(&portal);
    target.set("streams", json!({"contacts": {"id_property": "hs_object_id"}}));
    // The question is answered as of before the merge.
    let stale = json!({"status": "COMPLETE", "results": [{"id": loser.to_string(), "properties": {"phone": "0"}}]});
    let stale = Fault::Status { code: 200, headers: Vec::new(), body: Some(stale.to_string()) };
    portal.merge("contacts", winner, loser);
    portal.faults([FaultRule::next("contacts/batch/read", stale)]);
    let line = record("contacts", json!({"hs_object_id": loser, "phone": "9"}));
    let finished = target.deliver(&[schema("contacts", &[]), line]).succeeded();
    assert!(target.rejects().is_empty(), "{}", finished.stderr);
    assert_eq!(with(&portal, "contacts", "email", "ann@x.example")["properties"]["phone"], "9");
}

#[test]
fn a_locked_portal_is_waited_for() {
    let portal = empty();
    let target = Target::of(&portal);
    portal.faults([FaultRule::next("batch/upsert", Fault::Status { code: 423, headers: Vec::new(), body: None })]);
    let finished = target.deliver(&contacts(&["ann@x.example"])).succeeded();
    assert_eq!(finished.said("1 retried"), 1, "{}", finished.stderr);
    assert_eq!(live(&portal, "contacts").len(), 1);
}

/// Ten deals of one contact.
fn deals() -> Vec<Value> {
    let mut messages = vec![schema("contacts", &["email"]), schema("deals", &[]), contact("ann@x.example")];
    let deal =
        |number: u32| record("deals", json!({"dealname": format!("Deal {number}"), "contactEmail": "ann@x.example"}));
    messages.extend((0..10).map(deal));
    messages
}

#[test]
fn creations_whose_answer_was_lost_are_looked_up_before_they_are_sent_again() {
    let lost = [
        Fault::LostReply,
        Fault::StatusAfter(500),
        Fault::StatusAfter(504),
        Fault::TruncatedJson,
        Fault::ResetMidBody,
        Fault::ResetBeforeBody,
        Fault::Status { code: 500, headers: Vec::new(), body: None },
    ];
    for fault in lost {
        let portal = empty();
        let target = Target::of(&portal);
        portal.faults([FaultRule::next("deals/batch/create", fault.clone())]);
        let finished = target.deliver(&deals()).succeeded();
        assert_eq!(live(&portal, "deals").len(), 10, "{fault:?}: {}", finished.stderr);
        assert_eq!(finished.said("deals: 10 created, 0 updated, 0 unchanged, 10 associated"), 1, "{}", finished.stderr);
    }
}

#[test]
fn half_of_a_batch_that_was_created_is_not_created_again() {
    let portal = empty();
    let target = Target::of(&portal);
    // What the answer leaves out may be there.
    portal.faults([FaultRule::next("deals/batch/create", Fault::RecordMissing)]);
    target.deliver(&deals()).succeeded();
    assert_eq!(live(&portal, "deals").len(), 10);
    // An answer of 2xx with no results at all.
    let portal = empty();
    let target = Target::of(&portal);
    portal.faults([FaultRule::next("batch/upsert", Fault::EmptyPage)]);
    target.deliver(&contacts(&["a@x.example", "b@x.example"])).succeeded();
    assert_eq!(live(&portal, "contacts").len(), 2);
    assert!(target.rejects().is_empty());
}

#[test]
fn a_portal_that_keeps_failing_ends_the_run_without_a_state() {
    let portal = empty();
    let mut target = Target::of(&portal);
    target.set("retry_attempts", json!(1));
    portal.faults([FaultRule::always("deals/batch/create", Fault::LostReply)]);
    let mut messages = deals();
    messages.push(state(json!(1)));
    target.deliver(&messages).succeeded();
    assert_eq!(live(&portal, "deals").len(), 10, "lost answers alone do not matter");
    portal.faults([FaultRule::always("contacts/batch/upsert", Fault::Html(503))]);
    let mut messages = contacts(&["b@x.example"]);
    messages.push(state(json!(2)));
    let finished = target.deliver(&messages);
    assert_eq!(finished.code, Some(4), "{}", finished.stderr);
    assert_eq!(finished.text(), "");
}

/// Contacts, a deal for every second one, two tickets for each, and a few records that no portal takes. Contacts stand
/// before or, every third one, far behind what refers to them; every fourth one has an earlier line with another phone.
fn big_delivery(contacts: u32) -> String {
    let mut messages = vec![schema("contacts", &["email"]), schema("deals", &[]), schema("tickets", &["number"])];
    let mut late = Vec::new();
    for number in 0..contacts {
        let email = format!("c{number}@x.example");
        if number % 4 == 0 {
            let mut earlier = contact(&email);
            earlier["record"]["phone"] = json!("+1 555 0199");
            messages.push(earlier);
        }
        match number % 3 {
            0 => late.push(contact(&email)),
            _ => messages.push(contact(&email)),
        }
        if number % 2 == 0 {
            messages.push(record("deals", json!({"dealname": format!("Deal {number}"), "contactEmail": email})));
        }
        for half in 0..2 {
            let mut ticket = json!({
                "number": number * 2 + half, "subject": format!("Case {number}.{half}"), "contactEmail": email,
                "contactLabel": "Reporter",
            });
            if number % 2 == 0 {
                ticket["dealName"] = json!(format!("Deal {number}"));
            }
            if number % 50 == 7 && half == 1 {
                ticket["priority"] = json!("EXTREME");
            }
            messages.push(record("tickets", ticket));
        }
        if number % 100 == 99 {
            messages.push(state(json!({"contacts": number + 1})));
        }
    }
    messages.extend(late);
    messages.push(state(json!({"contacts": contacts})));
    lines(&messages)
}

fn storm(seed: u64) -> RandomFaults {
    let status = |code| Fault::Status { code, headers: Vec::new(), body: None };
    RandomFaults {
        share: 0.02,
        seed,
        // Of the failed writes every second one has happened.
        faults: vec![
            status(500),
            Fault::StatusAfter(500),
            status(503),
            Fault::StatusAfter(503),
            Fault::Html(502),
            Fault::StatusAfter(504),
            Fault::ResetBeforeBody,
            Fault::LostReply,
            status(423),
            Fault::ResetMidBody,
            Fault::RateLimited { limit: RateLimitKind::TenSecondly, retry_after: Some(0) },
            Fault::TruncatedJson,
            Fault::NotJson,
            Fault::EmailRace,
        ],
    }
}

#[test]
fn a_storm_a_kill_and_a_second_delivery_leave_each_record_once() {
    let seed = std::env::var("STORM_SEED")
        .map_or_else(|_| u64::from(std::process::id()), |seed| seed.parse().expect("a number"));
    eprintln!("STORM_SEED={seed}");
    const CONTACTS: u32 = 1_000;
    let portal = empty();
    let target = Target::of(&portal);
    std::fs::write(target.path("big.jsonl"), big_delivery(CONTACTS)).expect("a writable folder");
    portal.set_latency(Duration::from_millis(20));
    let mut first = target.start("big.jsonl");
    let wait_for = |endpoint: &str| {
        for _ in 0..30_000 {
            let requests = portal.requests();
            let mut answers = requests.iter().filter(|one| one.endpoint == endpoint && one.fault.is_none());
            if answers.any(|one| (200..300).contains(&one.status)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    // Whether a property was made by a request that failed is for a second run to see: that ends the first.
    wait_for("create_property tickets");
    portal.storm(Some(storm(seed)));
    // In the middle: some tickets are there, not all.
    wait_for("batch_upsert tickets");
    first.kill().expect("a running target");
    let killed = first.wait_with_output().expect("a child");
    assert!(!killed.status.success() && killed.stdout.is_empty(), "it was in the middle");
    portal.set_latency(Duration::ZERO);
    let written = live(&portal, "tickets").len();
    assert!(written > 0 && written < 1_900, "{written} tickets when it was killed");
    // Two deliveries at once, then one more.
    let other = Target::of(&portal);
    std::fs::copy(target.path("big.jsonl"), other.path("big.jsonl")).expect("a writable folder");
    let beside = other.start("big.jsonl");
    for _ in 0..2 {
        let mut command = target.command(&[]);
        command.stdin(std::fs::File::open(target.path("big.jsonl")).expect("the input"));
        let finished = target.finish(command).succeeded();
        assert!(finished.text().ends_with("{\"contacts\":1000}\n"), "{}", finished.text());
    }
    assert!(beside.wait_with_output().expect("a child").status.success(), "{}", other.log());
    assert_holds(&portal, &target, CONTACTS);
}

/// Each contact, deal and ticket once with its associations, and the faulty tickets among the rejects.
fn assert_holds(portal: &Portal, target: &Target, contacts: u32) {
    let by = |object_type: &str, property: &str| {
        let mut found: BTreeMap<String, Value> = BTreeMap::new();
        for one in live(portal, object_type) {
            let name = one["properties"][property].as_str().expect("a name").to_owned();
            assert!(found.insert(name.clone(), one).is_none(), "{name} is there twice");
        }
        found
    };
    let (people, deals, tickets) = (by("contacts", "email"), by("deals", "dealname"), by("tickets", "subject"));
    assert_eq!((people.len(), deals.len()), (contacts as usize, contacts as usize / 2));
    let rejected: BTreeSet<String> =
        target.rejects().iter().filter_map(|one| Some(one["record"]["subject"].as_str()?.to_owned())).collect();
    assert_eq!(tickets.len() + rejected.len(), contacts as usize * 2);
    for number in 0..contacts {
        let person = &people[&format!("c{number}@x.example")];
        assert_eq!(person["properties"]["phone"], "+1 555 0100");
        let person = person["id"].as_str().expect("an id");
        let deal = deals.get(&format!("Deal {number}"));
        assert_eq!(deal.is_some(), number % 2 == 0);
        for half in 0..2 {
            let subject = format!("Case {number}.{half}");
            let Some(ticket) = tickets.get(&subject) else {
                assert!(rejected.contains(&subject) && number % 50 == 7, "{subject} is nowhere");
                continue;
            };
            assert_eq!(ends(ticket, "contacts"), [person], "{subject}");
            let types = ticket["associations"]["contacts"][0]["types"].as_array().expect("types");
            assert_eq!(types.len(), 2, "{subject} has its label");
            let deal_ids: Vec<&str> = deal.iter().map(|deal| deal["id"].as_str().expect("an id")).collect();
            assert_eq!(ends(ticket, "deals"), deal_ids, "{subject}");
        }
        if let Some(deal) = deal {
            assert_eq!(ends(deal, "contacts"), [person]);
        }
    }
}
