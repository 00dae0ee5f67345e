//! What a run leaves behind that ends early, or that HubSpot fails on: every line is told, and is told alone.

use hubspot_sandbox::{Fault, FaultRule, Options};
use serde_json::{Value, json};

use crate::support::delivery::{Target, contact, lines, live, record, schema, state, with};
use crate::support::portal::Portal;

fn empty() -> Portal {
    Portal::start(Options { merged: 0, ..Options::with_tickets(0) })
}

fn contacts() -> Value {
    schema("contacts", &["email"])
}

fn id_of(one: &Value) -> String {
    one["id"].as_str().expect("an id").to_owned()
}

fn failing() -> Fault {
    Fault::Status { code: 500, headers: Vec::new(), body: None }
}

/// The lines with a result, in order.
fn told(target: &Target, result: &str) -> Vec<u64> {
    let results = target.results();
    let mut told: Vec<u64> =
        results.iter().filter(|one| one["result"] == result).map(|one| one["line"].as_u64().expect("a line")).collect();
    told.sort_unstable();
    told
}

#[test]
fn an_unreadable_line_keeps_its_delivery_key_and_becomes_its_own_ticket_once_mended() {
    let portal = empty();
    let mut target = Target::of(&portal);
    target.set("delivery_id", json!("d1"));
    let input = "{bad\n{\"subject\":\"A\"}\n";
    target.deliver_text(input, &["--stream", "tickets"]).succeeded();
    let rejects = target.rejects();
    let unreadable = rejects.iter().find(|one| one["type"] == "UNREADABLE").expect("a reject");
    assert_eq!(unreadable["delivery_key"], "line/d1/1");
    // Delivered again as it stands it keeps the key.
    std::fs::write(target.path("rejects.jsonl"), "").expect("a writable folder");
    target.deliver(&rejects).succeeded();
    let again = target.rejects();
    assert_eq!(again.iter().find(|one| one["type"] == "UNREADABLE").expect("a reject")["delivery_key"], "line/d1/1");
    // Behind its SCHEMA the line of the mended record has the number of another one.
    let mut mended = record("tickets", json!({"subject": "B"}));
    let without_key = target.deliver(&[rejects[0].clone(), mended.clone()]).succeeded();
    assert_eq!(without_key.said("it has no delivery_key, and its number in a file of rejects"), 1);
    mended["delivery_key"] = unreadable["delivery_key"].clone();
    for _ in 0..2 {
        target.deliver(&[rejects[0].clone(), mended.clone()]).succeeded();
        with(&portal, "tickets", "subject", "A");
        assert_eq!(with(&portal, "tickets", "subject", "B")["properties"]["tap_delivery_key"], "line/d1/1");
        assert_eq!(live(&portal, "tickets").len(), 2);
    }
}

#[test]
fn a_line_that_names_no_stream_is_rejected_with_the_schemas_it_may_need() {
    let portal = empty();
    let mut target = Target::of(&portal);
    target.set("delivery_id", json!("d1"));
    let text = lines(&[schema("tickets", &[])]) + "{\"type\":\"RECORD\",\"stream\":\"tick\n";
    target.deliver_text(&text, &[]).succeeded();
    let rejects = target.rejects();
    assert_eq!((&rejects[0]["type"], &rejects[0]["stream"]), (&json!("SCHEMA"), &json!("tickets")));
    assert_eq!(rejects[1]["delivery_key"], "line/d1/2");
    // Mended into a record that has a key of its own, that key counts.
    let mut mended = record("tickets", json!({"n": 5, "subject": "s"}));
    mended["delivery_key"] = rejects[1]["delivery_key"].clone();
    target.deliver(&[schema("tickets", &["n"]), mended]).succeeded();
    with(&portal, "tickets", "tap_delivery_key", "tickets/5");
}

#[test]
fn every_record_that_was_written_has_its_result_however_the_run_ends() {
    let portal = empty();
    let mut target = Target::of(&portal);
    target.set("results_path", json!("results.jsonl")).set("max_rejects", json!(0));
    // HubSpot refuses one of three.
    let refused = Fault::Status { code: 400, headers: Vec::new(), body: None };
    portal.faults([FaultRule::always("contacts/batch/upsert", refused).with_body("b@x.example")]);
    let all = [contacts(), contact("a@x.example"), contact("b@x.example"), contact("c@x.example"), state(json!(1))];
    let finished = target.deliver(&all);
    assert_eq!((finished.code, finished.text()), (Some(9), ""), "{}", finished.stderr);
    assert!(finished.last_line().contains("1 of 3 records are rejected, 0 are allowed"), "{}", finished.stderr);
    assert_eq!((told(&target, "created"), told(&target, "rejected")), (vec![2, 4], vec![3]));
    assert_eq!(live(&portal, "contacts").len(), 2);
    // HubSpot fails in the middle of a type, with several batches.
    let portal = empty();
    let mut target = Target::of(&portal);
    target.set("results_path", json!("results.jsonl")).set("retry_attempts", json!(0));
    portal.faults([FaultRule::nth("contacts/batch/upsert", 2, usize::MAX, failing())]);
    let mut messages = vec![contacts()];
    messages.extend((0..500).map(|number| contact(&format!("c{number}@x.example"))));
    assert_eq!(target.deliver(&messages).code, Some(4), "{}", target.log());
    let written = live(&portal, "contacts").len();
    assert!(written > 0 && written < 500, "{written}");
    assert_eq!(told(&target, "created").len(), written);
}

#[test]
fn the_total_counts_the_lines_before_the_one_that_ends_the_run() {
    let portal = empty();
    let mut target = Target::of(&portal);
    target.set("max_rejects", json!(0));
    let bad = record("contacts", json!({"email": "bad"}));
    let finished = target.deliver(&[contacts(), contact("a@x.example"), contact("b@x.example"), bad]);
    assert!(finished.last_line().contains("1 of 3 records are rejected"), "{}", finished.stderr);
    assert_eq!(live(&portal, "contacts").len(), 2);
}

#[test]
fn no_file_that_stdin_reads_is_written_to_whatever_its_name_there() {
    let portal = empty();
    for setting in ["rejects_path", "results_path"] {
        for arguments in [&[][..], &["--dry-run"], &["--test"]] {
            for name in ["input.jsonl", "./folder/../input.jsonl", "link.jsonl"] {
                let mut target = Target::of(&portal);
                std::fs::create_dir(target.path("folder")).expect("a writable folder");
                std::os::unix::fs::symlink("input.jsonl", target.path("link.jsonl")).expect("a writable folder");
                target.set(setting, json!(name));
                // Without its last line end: what is added would cut it off.
                let input = lines(&[contacts(), contact("a@x.example")]);
                let finished = target.deliver_text(&input[..input.len() - 9], arguments);
                assert_eq!(finished.code, Some(7), "{setting} {name} {arguments:?}: {}", finished.stderr);
                assert!(finished.last_line().contains("the file is what stdin reads"), "{}", finished.stderr);
                let after = std::fs::read_to_string(target.path("input.jsonl")).expect("the input");
                assert_eq!(after, &input[..input.len() - 9]);
            }
        }
    }
    let mut target = Target::of(&portal);
    target.set("results_path", json!("./rejects.jsonl"));
    for arguments in [&[][..], &["--dry-run"], &["--test"]] {
        let finished = target.deliver_text(&lines(&[contacts()]), arguments);
        assert!(finished.last_line().contains("rejects_path names the same file"), "{}", finished.stderr);
    }
}

#[test]
fn test_and_dry_run_end_with_files_that_a_run_could_not_write() {
    let portal = empty();
    for (setting, value) in [
        ("rejects_path", "none/rejects.jsonl"),
        ("rejects_path", "."),
        ("results_path", "none/results.jsonl"),
        ("results_path", "target.json/results.jsonl"),
        ("lock_path", "target.json"),
        ("lock_path", "target.json/locks"),
    ] {
        let mut target = Target::of(&portal);
        target.set(setting, json!(value));
        let codes = [&["--test"][..], &["--dry-run"], &[]]
            .map(|arguments| target.deliver_text(&lines(&[contacts()]), arguments).code);
        assert!(codes.iter().all(|code| *code == codes[2] && *code != Some(0)), "{setting} {value}: {codes:?}");
    }
    // What a run would make, they do not.
    let mut target = Target::of(&portal);
    target.set("lock_path", json!("locks/deep")).set("results_path", json!("results.jsonl"));
    for arguments in [&["--test"][..], &["--dry-run"]] {
        target.deliver_text(&lines(&[contacts()]), arguments).succeeded();
        assert!(["locks", "results.jsonl", "rejects.jsonl"].iter().all(|name| !target.path(name).exists()));
    }
}

#[test]
fn a_line_is_rejected_for_its_own_association_alone() {
    let portal = empty();
    let mut target = Target::of(&portal);
    target.set("results_path", json!("results.jsonl"));
    let (ann, bob) = ("ann@x.example", "bob@x.example");
    target.deliver(&[contacts(), contact(ann), contact(bob)]).succeeded();
    let deal = |emails: &str, amount: u32| {
        record("deals", json!({"dealname": "Plan", "amount": amount, "contactEmails": emails}))
    };
    target.deliver(&[schema("deals", &[]), deal(ann, 0)]).succeeded();
    std::fs::write(target.path("results.jsonl"), "").expect("a writable folder");
    let bob_id = id_of(&with(&portal, "contacts", "email", bob));
    let refused = Fault::Status { code: 400, headers: Vec::new(), body: None };
    portal.faults([FaultRule::always("contacts/batch/create", refused).with_body(&bob_id)]);
    target.deliver(&[schema("deals", &[]), deal(ann, 1), deal("ann@x.example;bob@x.example", 2)]).succeeded();
    assert_eq!((told(&target, "updated"), told(&target, "rejected")), (vec![2], vec![3]), "{}", target.log());
}

#[test]
fn a_record_that_hubspot_always_fails_on_is_rejected_alone() {
    for (of, matches) in [("contacts", "contacts/batch/upsert"), ("deals", "deals/batch/create")] {
        let portal = empty();
        let mut target = Target::of(&portal);
        target.set("retry_attempts", json!(1));
        target.deliver(&[contacts(), contact("ann@x.example")]).succeeded();
        portal.faults([FaultRule::always(matches, failing()).with_body("poison")]);
        let line = |number: u32| {
            let word = if number == 77 { "poison" } else { "plain" };
            match of {
                "contacts" => contact(&format!("{word}{number}@x.example")),
                _ => record("deals", json!({"dealname": format!("{word} {number}"), "contactEmail": "ann@x.example"})),
            }
        };
        let mut messages = vec![contacts(), schema("deals", &[])];
        messages.extend((0..150).map(line));
        messages.push(state(json!(1)));
        let finished = target.deliver(&messages).succeeded();
        assert_eq!(finished.text(), "1\n");
        let rejects = target.rejects();
        assert_eq!(rejects.iter().filter(|one| one["type"] == "RECORD").count(), 1, "{}", finished.stderr);
        assert_eq!(finished.said("HubSpot fails on this record whenever it is sent"), 1, "{}", finished.stderr);
        let written = live(&portal, of).iter().filter(|one| one.to_string().contains("plain")).count();
        assert_eq!(written, 149, "{of}");
    }
}

#[test]
fn an_update_an_association_or_a_value_that_hubspot_always_fails_on_rejects_its_line_alone() {
    let portal = empty();
    let mut target = Target::of(&portal);
    target.set("retry_attempts", json!(1));
    let people: Vec<Value> = (0..12).map(|number| contact(&format!("c{number}@x.example"))).collect();
    target.deliver(&[vec![contacts()], people.clone()].concat()).succeeded();
    let bad = id_of(&with(&portal, "contacts", "email", "c5@x.example"));
    portal.faults([
        FaultRule::always("contacts/batch/update", failing()).with_body("poison"),
        FaultRule::always("contacts/batch/create", failing()).with_body(&bad),
        FaultRule::always("contacts/batch/read", failing()).with_body("asked@x.example"),
    ]);
    let mut messages = vec![contacts(), schema("tickets", &["n"])];
    messages.extend(people.into_iter().enumerate().map(|(number, mut line)| {
        line["record"]["city"] = json!(if number == 3 { "poison" } else { "Ulm" });
        line
    }));
    messages.extend((0..12).map(|number| {
        record("tickets", json!({"n": number, "subject": "s", "contactEmail": format!("c{number}@x.example")}))
    }));
    messages.push(contact("asked@x.example"));
    let finished = target.deliver(&messages).succeeded();
    let rejected = target.rejects().iter().filter(|one| one["type"] == "RECORD").count();
    assert_eq!(rejected, 3, "{}", finished.stderr);
    assert_eq!(live(&portal, "contacts").iter().filter(|one| one["properties"]["city"] == "Ulm").count(), 11);
    let tickets = live(&portal, "tickets");
    let linked =
        tickets.iter().filter(|one| one["associations"]["contacts"].as_array().is_some_and(|ends| !ends.is_empty()));
    assert_eq!((tickets.len(), linked.count()), (12, 11));
}

#[test]
fn a_portal_that_fails_on_every_record_ends_the_run_after_a_few() {
    let portal = empty();
    let mut target = Target::of(&portal);
    target.set("retry_attempts", json!(0));
    // It checks the form of requests, and fails on what they hold.
    portal.faults([FaultRule::always("contacts/batch/upsert", failing()).with_body("x.example")]);
    let mut messages = vec![contacts()];
    messages.extend((0..100).map(|number| contact(&format!("c{number}@x.example"))));
    messages.push(state(json!(1)));
    let finished = target.deliver(&messages);
    assert_eq!((finished.code, finished.text()), (Some(4), ""), "{}", finished.stderr);
    let sent = portal.requests().iter().filter(|one| one.endpoint.starts_with("batch_upsert")).count();
    assert!(sent < 40, "{sent} requests");
}
