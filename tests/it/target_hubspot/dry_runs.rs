//! A dry run counts, tells and ends as the run would.

use hubspot_sandbox::{Options, PropertyDef};
use serde_json::{Value, json};

use crate::support::delivery::{Target, contact, lines, live, record, schema, with};
use crate::support::portal::Portal;

fn empty() -> Portal {
    let portal = Portal::start(Options { merged: 0, ..Options::with_tickets(0) });
    let unique = PropertyDef { has_unique_value: true, ..PropertyDef::new("customer_no", "string", "text") };
    portal.define_property("contacts", unique);
    portal
}

/// The counts that a run logs, by stream.
fn counts(log: &str) -> Vec<String> {
    let of_counts = |line: &str| {
        Some(line.split_once("INFO ")?.1.replace("would be ", "")).filter(|one| one.contains(" created, "))
    };
    log.lines().filter_map(of_counts).collect()
}

/// Delivers messages dry and then really, and holds the two against each other.
#[track_caller]
fn assert_foretold(target: &Target, messages: &[Value]) -> String {
    let text = lines(messages);
    let dry = target.deliver_text(&text, &["--dry-run"]);
    let real = target.deliver_text(&text, &[]);
    assert_eq!(counts(&dry.stderr), counts(&real.stderr), "{}", dry.text());
    assert_eq!(dry.code, real.code, "{}", dry.stderr);
    dry.text().to_owned()
}

#[test]
fn a_dry_run_remembers_what_it_would_have_written_across_segments() {
    let portal = empty();
    let mut target = Target::of(&portal);
    target.set("streams", json!({"numbered": {"object_type": "contacts", "id_property": "customer_no"}}));
    let mut old = contact("old@x.example");
    old["record"]["customer_no"] = json!("1");
    target.deliver(&[schema("contacts", &["email"]), old]).succeeded();
    let deal =
        |amount: u32| record("deals", json!({"dealname": "Plan", "contactEmail": "n@x.example", "amount": amount}));
    let company = |phone: &str| record("companies", json!({"domain": "n.example", "name": "N", "phone": phone}));
    let ticket = record("tickets", json!({"n": 1, "subject": "s", "contactEmail": "n@x.example", "dealName": "Plan"}));
    let phone = |email: &str, phone: &str| record("contacts", json!({"email": email, "phone": phone}));
    let mut messages = vec![
        schema("contacts", &["email"]),
        schema("numbered", &["customer_no"]),
        schema("companies", &["domain"]),
        schema("deals", &[]),
        schema("tickets", &["n"]),
        contact("n@x.example"),
        phone("old@x.example", "7"),
        company("1"),
        deal(1),
        ticket.clone(),
        // The address changes hands.
        record("numbered", json!({"customer_no": "1", "email": "new@x.example"})),
    ];
    messages.extend((0..10_050).map(|number| contact(&format!("c{number}@x.example"))));
    messages.extend([
        phone("n@x.example", "2"),
        phone("n@x.example", "2"),
        phone("new@x.example", "7"),
        contact("old@x.example"),
        company("1"),
        company("2"),
        deal(1),
        deal(2),
        ticket,
    ]);
    let told = assert_foretold(&target, &messages);
    assert!(!told.contains("1844674407"), "placeholders are no ids");
    assert_eq!(told.matches("create deals").count(), 1);
    assert_eq!(with(&portal, "contacts", "email", "new@x.example")["properties"]["phone"], "7");
}

#[test]
fn a_dry_run_foretells_values_that_others_have_and_stages_that_would_move_back() {
    let portal = empty();
    let mut target = Target::of(&portal);
    target.set("max_rejects", json!(0));
    target.set("streams", json!({"contacts": {"id_property": "customer_no"}}));
    let line = |number: &str, email: &str, stage: &str| {
        let mut line = contact(email);
        line["record"]["customer_no"] = json!(number);
        line["record"]["lifecyclestage"] = json!(stage);
        line
    };
    let of_contacts = schema("contacts", &["customer_no"]);
    target.deliver(&[of_contacts.clone(), line("1", "a@x.example", "lead"), line("2", "b@x.example", "customer")]);
    for faulty in [line("1", "b@x.example", "lead"), line("3", "b@x.example", "lead"), line("2", "b@x.example", "lead")]
    {
        let text = lines(&[of_contacts.clone(), faulty.clone()]);
        let dry = target.deliver_text(&text, &["--dry-run"]);
        assert_eq!(dry.code, Some(9), "{faulty}: {}", dry.stderr);
        assert_eq!(target.deliver_text(&text, &[]).code, Some(9), "{faulty}");
    }
    // An address that is free by then, and a stage that moves on, are foretold as taken.
    let right = [of_contacts, line("2", "c@x.example", "evangelist"), line("1", "b@x.example", "customer")];
    assert_foretold(&target, &right);
    assert_eq!(with(&portal, "contacts", "customer_no", "1")["properties"]["email"], "b@x.example");
}

#[test]
fn a_dry_run_foretells_deals_that_lost_their_contact_or_their_name() {
    let portal = empty();
    let target = Target::of(&portal);
    let deal = |name: &str, amount: u32| {
        record("deals", json!({"dealname": name, "contactEmail": "ann@x.example", "amount": amount}))
    };
    let head = [schema("contacts", &["email"]), schema("deals", &[]), contact("ann@x.example")];
    target.deliver(&[&head[..], &[deal("One", 1), deal("Two", 1)]].concat()).succeeded();
    let id = |of: &str, name: &str, value: &str| -> u64 {
        with(&portal, of, name, value)["id"].as_str().expect("an id").parse().expect("a number")
    };
    let (one, two) = (id("deals", "dealname", "One"), id("deals", "dealname", "Two"));
    portal.dissociate("deals", one, "contacts", id("contacts", "email", "ann@x.example"));
    portal.update("deals", two, &[("dealname", "Renamed")]);
    assert_foretold(&target, &[&head[..], &[deal("One", 2), deal("Two", 2)]].concat());
    assert_eq!(live(&portal, "deals").len(), 3);
}
