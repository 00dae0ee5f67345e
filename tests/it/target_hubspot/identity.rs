//! Which lines are one record, and which record in the portal that is.

use hubspot_sandbox::{Fault, FaultRule, Options, PropertyDef};
use serde_json::{Value, json};

use crate::support::delivery::{Target, contact, ends, lines, live, record, schema, with};
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
