//! Input that other programs write: deletion marks, nested lists as text, rows above a header, names that stand twice.

use hubspot_sandbox::{Options, PropertyDef};
use serde_json::{Value, json};

use crate::support::delivery::{Target, contact, ends, lines, live, record, schema, with};
use crate::support::portal::Portal;

fn empty() -> Portal {
    Portal::start(Options { merged: 0, ..Options::with_tickets(0) })
}

/// `{"email": …}` with all that a new contact needs, and more.
fn person(email: &str, more: &str) -> String {
    let fields = "\"firstname\":\"A\",\"lastname\":\"A\",\"phone\":\"1\"";
    format!("{{\"email\":\"{email}\",{fields}{more}}}\n")
}

#[test]
fn empty_deletion_marks_delete_nothing_and_marks_may_be_texts() {
    let marks = [
        (r#""_sdc_deleted_at":"""#, true),
        (r#""_sdc_deleted_at":" ""#, true),
        (r#""_sdc_deleted_at":"NaT""#, true),
        (r#""_sdc_deleted_at":NaN"#, true),
        (r#""_sdc_deleted_at":"None""#, true),
        (r#""_sdc_deleted_at":null"#, true),
        (r#""_sdc_deleted_at":false"#, true),
        (r#""archived":"false""#, true),
        (r#""archived":"""#, true),
        (r#""archived":0"#, true),
        (r#""_sdc_deleted_at":"2026-01-02T03:04:05Z""#, false),
        (r#""archived":"true""#, false),
        (r#""archived":" True""#, false),
        (r#""archived":"t""#, false),
        (r#""archived":1"#, false),
        (r#""archived":1.0"#, false),
    ];
    let portal = empty();
    let target = Target::of(&portal);
    let text: String = marks
        .iter()
        .enumerate()
        .map(|(number, (mark, _))| person(&format!("c{number}@x.example"), &format!(",{mark}")))
        .collect();
    target.deliver_text(&text, &["--stream", "contacts"]).succeeded();
    assert!(target.rejects().is_empty(), "{}", target.log());
    for (number, (mark, stays)) in marks.iter().enumerate() {
        let email = json!(format!("c{number}@x.example"));
        let is_there = live(&portal, "contacts").iter().any(|one| one["properties"]["email"] == email);
        assert_eq!(is_there, *stays, "{mark}");
    }
    // A cell of a CSV file is text.
    let csv = "email,firstname,lastname,phone,archived\nx@x.example,A,A,1,true\ny@x.example,A,A,1,false\n";
    target.deliver_text(csv, &["--stream", "contacts", "--csv"]).succeeded();
    with(&portal, "contacts", "email", "y@x.example");
    assert!(live(&portal, "contacts").iter().all(|one| one["properties"]["email"] != "x@x.example"));
}

#[test]
fn empty_rows_above_the_header_of_a_csv_file_are_passed_over() {
    for above in ["\r\n", "\n\n", ";;;\n", " ; ;\n;;;\n", "sep=;\r\n\r\n", "\u{feff}\n;\n"] {
        let portal = empty();
        let target = Target::of(&portal);
        let csv = format!("{above}email;firstname;lastname;phone\na@x.example;A;A;1\n;;;\n");
        target.deliver_text(&csv, &["--stream", "contacts", "--csv"]).succeeded();
        assert_eq!(live(&portal, "contacts").len(), 1, "{above:?}: {}", target.log());
    }
}

#[test]
fn a_name_that_stands_twice_with_two_values_rejects_its_line_wherever_it_stands() {
    let portal = empty();
    let target = Target::of(&portal);
    let text = [
        person("a@x.example", r#","city":"Ulm","city":"Bonn""#),
        person("b@x.example", r#","properties":{"city":"Ulm","city":"Bonn"}"#),
        person("c@x.example", r#","properties":{"properties":{},"city":"Ulm","city":"Ulm"}"#),
        person("d@x.example", r#","properties":"{\"city\":\"Ulm\",\"city\":\"Bonn\"}""#),
        person("e@x.example", r#","associations":[{"object_type":"companies","id":1,"id":2}]"#),
    ];
    let finished = target.deliver_text(&text.concat(), &["--stream", "contacts"]).succeeded();
    for name in ["the field city stands twice", "the field id stands twice"] {
        assert!(finished.stderr.contains(name), "{}", finished.stderr);
    }
    assert_eq!(target.rejects().len(), 1 + 4, "{}", finished.stderr);
    with(&portal, "contacts", "email", "c@x.example");
}

#[test]
fn lists_and_objects_may_come_as_text_and_an_empty_text_is_none() {
    let portal = empty();
    let tags = PropertyDef::new("tags", "enumeration", "checkbox").with_options(&["a=A", "b=B"]);
    portal.define_property("tickets", tags);
    let target = Target::of(&portal);
    let people = ["a@x.example", "b@x.example"].map(contact);
    target.deliver(&[vec![schema("contacts", &["email"])], people.to_vec()].concat()).succeeded();
    let id = |email: &str| with(&portal, "contacts", "email", email)["id"].as_str().expect("an id").to_owned();
    let (a, b) = (id("a@x.example"), id("b@x.example"));
    let cell = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let rows = [
        format!("1,s,{},,,", cell(r#"[{"object_type":"contacts","email":"a@x.example"}]"#)),
        format!("2,s,{},,,", cell(&format!("{{\"object_type\":\"contacts\",\"id\":{a}}}"))),
        format!("3,s,,{},,", cell(&format!("[{a}, \"{b}\"]"))),
        format!("4,s,,,{},", cell("[\"a\",\"b\"]")),
        format!("5,s,[],[],[],{}", cell("{\"hs_ticket_priority\": \"HIGH\"}")),
        "6,s,,,,".to_owned(),
    ];
    let csv = format!("n,subject,associations,contactIds,tags,properties\n{}\n", rows.join("\n"));
    target.deliver_text(&csv, &["--stream", "tickets", "--csv", "--key", "n"]).succeeded();
    assert!(target.rejects().is_empty(), "{}", target.log());
    let ticket = |number: u32| with(&portal, "tickets", "tap_delivery_key", &format!("tickets/{number}"));
    let linked: Vec<usize> = (1..=6).map(|number| ends(&ticket(number), "contacts").len()).collect();
    assert_eq!(linked, [1, 1, 2, 0, 0, 0]);
    assert_eq!(ticket(4)["properties"]["tags"], "a;b");
    assert_eq!(ticket(5)["properties"]["hs_ticket_priority"], "HIGH");
    let none = record("tickets", json!({"n": 7, "subject": "s", "associations": "", "properties": ""}));
    target.deliver(&[schema("tickets", &["n"]), none]).succeeded();
    assert!(target.rejects().is_empty(), "{}", target.log());
}

#[test]
fn a_number_out_of_all_bounds_is_told_with_its_field() {
    let portal = empty();
    let target = Target::of(&portal);
    let numbers = ["1e999", "1.5e-9223372036854775808", "1e9223372036854775807", "-1", "1e99999999999999999999"];
    for number in numbers {
        let text = format!(
            "{{\"type\":\"RECORD\",\"stream\":\"tickets\",\"record\":{{\"n\":{number},\"subject\":\"s\",\"contactId\":{number}}}}}\n"
        );
        let finished = target.deliver_text(&(lines(&[schema("tickets", &["n"])]) + &text), &[]).succeeded();
        assert_eq!(finished.said("contactId: "), 1, "{number}: {}", finished.stderr);
    }
    assert!(live(&portal, "tickets").is_empty());
    // As keys they are values like any other.
    let keyed: String = numbers.map(|number| format!("{{\"n\":{number},\"subject\":\"s\"}}\n")).concat();
    for _ in 0..2 {
        target.deliver_text(&keyed, &["--stream", "tickets", "--key", "n"]).succeeded();
        assert_eq!(live(&portal, "tickets").len(), numbers.len());
    }
}

#[test]
fn a_state_of_null_passes_through() {
    let portal = empty();
    let target = Target::of(&portal);
    let null = json!({"type": "STATE", "value": Value::Null});
    let messages = [schema("contacts", &["email"]), contact("a@x.example"), null.clone()];
    assert_eq!(target.deliver(&messages).succeeded().text(), "null\n");
    let plain = person("b@x.example", "") + &lines(&[null]);
    assert_eq!(target.deliver_text(&plain, &["--stream", "contacts"]).succeeded().text(), "null\n");
    assert!(target.rejects().is_empty(), "{}", target.log());
}
