//! What stdin may hold: plain records, CSV files, and values as people and programs write them.

use hubspot_sandbox::{Options, PropertyDef};
use serde_json::{Value, json};

use crate::support::delivery::{Target, contact, ends, lines, live, record, schema, state, with};
use crate::support::portal::Portal;

fn empty() -> Portal {
    Portal::start(Options { merged: 0, ..Options::with_tickets(0) })
}

/// `{"email":…}` with all that a new contact needs and these fields.
fn person(email: &str, fields: &Value) -> Value {
    let mut record = contact(email)["record"].clone();
    for (name, value) in fields.as_object().expect("fields") {
        record[name] = value.clone();
    }
    record
}

fn reasons(target: &Target) -> Vec<String> {
    let reason = |one: Value| Some(one["rejected"]["reason"].as_str()?.to_owned());
    target.rejects().into_iter().filter_map(reason).collect()
}

#[test]
fn plain_json_lines_are_records_of_the_stream_that_is_named() {
    let portal = empty();
    let target = Target::of(&portal);
    let text = format!("\u{feff}{}\r\n\n  \n{}", person("a@x.example", &json!({})), person("b@x.example", &json!({})));
    let finished = target.deliver_text(&text, &["--stream", "contacts"]).succeeded();
    assert_eq!(finished.said("contacts: 2 created, 0 updated, 0 unchanged, 0 associated, 0 rejected"), 1);
    assert_eq!(live(&portal, "contacts").len(), 2);
}

#[test]
fn key_makes_tickets_of_plain_records_once() {
    let portal = empty();
    let target = Target::of(&portal);
    let text = "{\"no\":1,\"subject\":\"a\"}\n{\"no\":2,\"subject\":\"b\"}\n";
    for _ in 0..2 {
        target.deliver_text(text, &["--stream", "tickets", "--key", "no"]).succeeded();
        assert_eq!(live(&portal, "tickets").len(), 2);
    }
    let keyless = target.deliver_text(text, &["--stream", "tickets"]);
    assert_eq!(keyless.code, Some(2));
    assert!(keyless.last_line().contains("delivery_id"), "{}", keyless.last_line());
}

#[test]
fn a_stream_that_is_no_object_type_is_told() {
    let portal = empty();
    let target = Target::of(&portal);
    let finished = target.deliver_text("{\"email\":\"a@x.example\"}\n", &["--stream", "contcats"]);
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    assert!(finished.last_line().contains("contcats"), "{}", finished.last_line());
}

#[test]
fn csv_rows_are_records_and_a_bad_row_is_rejected_by_its_line() {
    for (delimiter, arguments) in [(",", vec![]), (";", vec![]), ("\t", vec![]), ("#", vec!["--delimiter", "#"])] {
        let portal = empty();
        let target = Target::of(&portal);
        let rows = [
            "email|firstname|lastname|phone|city",
            "a@x.example| Ann |\"Abel, \"\"A\"\"\"|1|",
            "",
            "b@x.example|Bob|Böse|2|Boston|too many",
            "c@x.example|Cy|Cole|3",
            "||||",
            "d@x.example|Di|\"Dole|4|Denver",
            "e@x.example|Eve|Ernst|5|\"two",
            "lines\"",
        ];
        let text = rows.map(|row| format!("{}\r\n", row.replace('|', delimiter))).concat();
        let arguments = [vec!["--stream", "contacts", "--csv"], arguments].concat();
        let finished = target.deliver_text(&format!("\u{feff}{text}"), &arguments).succeeded();
        assert_eq!(live(&portal, "contacts").len(), 2, "{}", finished.stderr);
        let ann = with(&portal, "contacts", "email", "a@x.example");
        assert_eq!(ann["properties"]["firstname"], "Ann");
        assert_eq!(ann["properties"]["lastname"], "Abel, \"A\"");
        assert_eq!(with(&portal, "contacts", "email", "e@x.example")["properties"]["city"], "two\r\nlines");
        let told: Vec<(u64, String)> = target.rejects()[1..]
            .iter()
            .map(|one| {
                (one["rejected"]["line"].as_u64().expect("a line"), one["text"].as_str().expect("text").to_owned())
            })
            .collect();
        assert_eq!(told.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [4, 5, 7], "{}", finished.stderr);
        assert_eq!(told[0].1, rows[3].replace('|', delimiter));
    }
}

#[test]
fn headers_may_be_written_as_people_write_them() {
    let portal = empty();
    let target = Target::of(&portal);
    let text = "Email,First Name,last_name,Phone Number\na@x.example,Ann,Abel,1\n";
    target.deliver_text(text, &["--stream", "contacts", "--csv"]).succeeded();
    let hint = "have no property Phone Number; did you mean \"phone\"; map the field under the setting streams";
    assert!(reasons(&target)[0].contains(hint), "{:?}", reasons(&target));
    let text = text.replace("Phone Number", "PHONE").replace(",1", ",15550100.0");
    target.deliver_text(&text, &["--stream", "contacts", "--csv"]).succeeded();
    let ann = with(&portal, "contacts", "email", "a@x.example");
    assert_eq!((&ann["properties"]["firstname"], &ann["properties"]["phone"]), (&json!("Ann"), &json!("15550100")));
}

#[test]
fn a_csv_file_that_cannot_be_understood_ends_the_run_before_anything_is_written() {
    let portal = empty();
    let target = Target::of(&portal);
    for (text, says) in [
        ("email,first;name\na@x.example,A;B\n", "--delimiter"),
        ("email,email\n", "\"email\" twice"),
        ("PK\u{3}\u{4}xl", "Excel workbook; save it as CSV"),
    ] {
        let finished = target.deliver_text(text, &["--stream", "contacts", "--csv"]);
        assert_eq!(finished.code, Some(2), "{}", finished.stderr);
        assert!(finished.last_line().contains(says), "{}", finished.last_line());
        assert!(!finished.last_line().contains("is delivered"), "nothing came before: {}", finished.last_line());
    }
    assert!(live(&portal, "contacts").is_empty());
}

#[test]
fn a_line_that_cannot_be_read_is_rejected_and_the_run_goes_on() {
    let portal = empty();
    let target = Target::of(&portal);
    let mut bytes = lines(&[schema("contacts", &["email"]), contact("a@x.example")]).into_bytes();
    for bad in [
        b"{\"type\":\"RECORD\",\"stream\":\"contacts\",\"record\":{\"email\":\"\xfc@x.example\"}}".as_slice(),
        b"{\"type\":\"RECORD\",\"stream\":\"contacts\",\"rec",
        b"{\"type\":\"RECORD\",\"stream\":\"contacts\",\"record\":{\"email\":\"i@x.example\",\"hubspotscore\":Infinity}}",
        b"{\"type\":\"RECORD\",\"stream\":\"contacts\",\"record\":\"x\"}",
    ] {
        bytes.extend_from_slice(bad);
        bytes.push(b'\n');
    }
    bytes.extend_from_slice(lines(&[contact("b@x.example"), state(json!("end"))]).as_bytes());
    std::fs::write(target.path("input.bin"), bytes).expect("a writable folder");
    let finished = target.start("input.bin").wait_with_output().expect("the target runs");
    assert!(finished.status.success(), "{}", target.log());
    assert_eq!(finished.stdout, b"\"end\"\n");
    assert_eq!(live(&portal, "contacts").len(), 2);
    let rejects = target.rejects();
    let told: Vec<&Value> = rejects.iter().filter(|one| one["type"] == "UNREADABLE").collect();
    assert_eq!(told.iter().map(|one| one["rejected"]["line"].as_u64()).collect::<Vec<_>>(), [3, 4, 5, 6].map(Some));
    for (one, says) in told.iter().zip(["(0xFC) is not UTF-8", "is not JSON", "Infinity is no value", "no object"]) {
        assert!(one["rejected"]["reason"].as_str().is_some_and(|reason| reason.contains(says)), "{one}");
    }
    // As it is, the file of rejects is rejected again, and nothing of it is lost.
    let text = std::fs::read_to_string(target.path("rejects.jsonl")).expect("rejects");
    std::fs::remove_file(target.path("rejects.jsonl")).expect("a file");
    target.deliver_text(&text, &[]).succeeded();
    let again = target.rejects();
    let texts = |all: &[Value]| {
        all.iter().filter(|one| one["type"] == "UNREADABLE").map(|one| one["text"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(texts(&again), texts(&rejects));
}

#[test]
fn without_a_file_of_rejects_an_unreadable_line_fails_the_run() {
    let portal = empty();
    let mut target = Target::of(&portal);
    target.set("rejects_path", json!(null)).set("max_rejects", json!(null));
    let text = format!("{}{{\n", lines(&[schema("contacts", &[]), contact("a@x.example")]));
    let finished = target.deliver_text(&text, &[]);
    assert_eq!(finished.code, Some(9), "{}", finished.stderr);
    assert!(finished.last_line().contains("line 3 of stdin is rejected"), "{}", finished.last_line());
}

#[test]
fn values_are_taken_as_people_and_programs_write_them() {
    let portal = empty();
    let def = |name: &str, kind: &str, field_type: &str| PropertyDef::new(name, kind, field_type);
    portal.define_property("contacts", def("vip", "bool", "booleancheckbox"));
    portal.define_property("contacts", def("seen", "datetime", "date"));
    portal.define_property("contacts", def("born", "date", "date"));
    portal.define_property("contacts", def("score", "number", "number"));
    let cases = [
        ("vip", json!("1"), "true"),
        ("vip", json!(0), "false"),
        ("vip", json!(1.0), "true"),
        ("vip", json!(" YES "), "true"),
        ("vip", json!("False"), "false"),
        ("seen", json!("2024-02-29 01:02:03+00"), "2024-02-29T01:02:03Z"),
        ("seen", json!("2024-02-29 01:02:03.5 +0200"), "2024-02-28T23:02:03.500Z"),
        ("seen", json!("2024-02-29 01:02:03 UTC"), "2024-02-29T01:02:03Z"),
        ("seen", json!("2024-02-29T01:02:03.123456789"), "2024-02-29T01:02:03.123Z"),
        ("seen", json!(1_709_168_523), "2024-02-29T01:02:03Z"),
        ("seen", json!("1709168523"), "2024-02-29T01:02:03Z"),
        ("seen", json!(1_709_168_523_000_u64), "2024-02-29T01:02:03Z"),
        ("born", json!("2024-02-29 00:00:00"), "2024-02-29"),
        ("score", json!(" 12.50 "), "12.50"),
        ("score", json!(12345.0), "12345.0"),
        ("city", json!("  Boston "), "Boston"),
    ];
    let target = Target::of(&portal);
    let text: String = cases
        .iter()
        .enumerate()
        .map(|(at, (name, value, _))| {
            format!("{}\n", person(&format!(" C{at}@X.example "), &json!({*name: value.clone()})))
        })
        .collect();
    target.deliver_text(&text, &["--stream", "contacts"]).succeeded();
    assert!(reasons(&target).is_empty(), "{:?}", reasons(&target));
    for (at, (name, value, expected)) in cases.iter().enumerate() {
        let stored = with(&portal, "contacts", "email", &format!("c{at}@x.example"));
        assert_eq!(stored["properties"][*name], *expected, "{name} {value}");
    }
    // A second time nothing differs.
    let again = target.deliver_text(&text, &["--stream", "contacts"]).succeeded();
    assert_eq!(again.said("0 created, 0 updated, 16 unchanged"), 1, "{}", again.stderr);
}

#[test]
fn values_that_are_not_clear_reject_their_line_with_what_to_write() {
    let portal = empty();
    portal.define_property("contacts", PropertyDef::new("seen", "datetime", "date"));
    portal.define_property("contacts", PropertyDef::new("score", "number", "number"));
    let cases = [
        ("seen", json!(170_916_852), "seen: \"170916852\" is not clear as a time: epoch seconds have 10 digits"),
        ("seen", json!("2024-02-29 01:02:03 CET"), "the time zone \"CET\", which is not clear; write Z"),
        ("seen", json!("29.02.2024"), "seen: \"29.02.2024\" is no date and time; write it such as"),
        ("score", json!("1.234,5"), "score: \"1.234,5\" is no number; write digits, with a point before decimals"),
        ("score", json!(true), "score: \"true\" is no number"),
        (
            "lifecyclestage",
            json!("Lead"),
            "\"Lead\" is none of its options; write one of subscriber (Subscriber), lead (Lead)",
        ),
        ("hubspot_owner_id", json!({"id": 1}), "it takes one text or number, not a list or an object"),
        ("companyId", json!("12a"), "companyId: \"12a\" is no id of HubSpot's; ids are whole numbers"),
        ("companyId", json!(12.5), "companyId: \"12.5\" is no id of HubSpot's"),
    ];
    let target = Target::of(&portal);
    let text: String = cases
        .iter()
        .enumerate()
        .map(|(at, (name, value, _))| {
            format!("{}\n", person(&format!("c{at}@x.example"), &json!({*name: value.clone()})))
        })
        .collect();
    let text = format!("{text}{}\n", person("good@x.example", &json!({})));
    target.deliver_text(&text, &["--stream", "contacts"]).succeeded();
    assert_eq!(live(&portal, "contacts").len(), 1);
    let reasons = reasons(&target);
    assert_eq!(reasons.len(), cases.len(), "{reasons:?}");
    for ((_, _, says), reason) in cases.iter().zip(&reasons) {
        assert!(reason.contains(says), "{says}: {reason}");
    }
}

#[test]
fn gaps_are_null_and_clear_only_when_they_are_told_to() {
    let portal = empty();
    portal.define_property("contacts", PropertyDef::new("score", "number", "number"));
    let tags = PropertyDef::new("tags", "enumeration", "checkbox").with_options(&["a=A", "b=B"]);
    portal.define_property("contacts", tags);
    let mut target = Target::of(&portal);
    let full = person("a@x.example", &json!({"score": 7, "tags": ["a", " b "]}));
    target.deliver_text(&format!("{full}\n"), &["--stream", "contacts"]).succeeded();
    let stored = |name: &str| with(&portal, "contacts", "email", "a@x.example")["properties"][name].clone();
    assert_eq!((stored("score"), stored("tags")), (json!("7"), json!("a;b")));
    // As Python's json.dumps writes a pandas row with a gap.
    let gaps = "{\"email\":\"a@x.example\",\"score\":NaN,\"tags\":[]}\n";
    let kept = target.deliver_text(gaps, &["--stream", "contacts"]).succeeded();
    assert_eq!(kept.said("1 unchanged"), 1, "{}", kept.stderr);
    assert_eq!((stored("score"), stored("tags")), (json!("7"), json!("a;b")));
    target.set("clear_nulls", json!(true));
    target.deliver_text(gaps, &["--stream", "contacts"]).succeeded();
    let holds = |name: &str| !stored(name).as_str().unwrap_or_default().is_empty();
    assert!(!holds("score") && !holds("tags"));
}

#[test]
fn ids_may_come_as_floats() {
    let portal = empty();
    let target = Target::of(&portal);
    target.deliver(&[schema("contacts", &[]), contact("a@x.example")]).succeeded();
    let id = with(&portal, "contacts", "email", "a@x.example")["id"].as_str().expect("an id").to_owned();
    let text = format!("{{\"no\":1,\"subject\":\"s\",\"contactId\":{id}.0,\"hs_pipeline_stage\":1.0}}\n");
    target.deliver_text(&text, &["--stream", "tickets", "--key", "no"]).succeeded();
    let ticket = with(&portal, "tickets", "subject", "s");
    assert_eq!(ends(&ticket, "contacts"), [id]);
    assert_eq!(ticket["properties"]["hs_pipeline_stage"], "1");
}

#[test]
fn a_deal_is_found_by_its_name_whatever_spaces_stand_around_it() {
    let portal = empty();
    let target = Target::of(&portal);
    let deal = |name: &str| record("deals", json!({"contactEmail": "a@x.example", "dealname": name}));
    target.deliver(&[schema("contacts", &[]), schema("deals", &[]), contact("a@x.example"), deal("Plan ")]).succeeded();
    target.deliver(&[schema("deals", &[]), deal("Plan"), deal(" Plan")]).succeeded();
    assert_eq!(live(&portal, "deals").len(), 1);
    with(&portal, "deals", "dealname", "Plan");
}

#[test]
fn options_are_told_with_their_labels_up_to_twenty() {
    let portal = empty();
    let options: Vec<String> = (1..=25).map(|number| format!("o{number}=Option {number}")).collect();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    portal.define_property("contacts", PropertyDef::new("plan", "enumeration", "select").with_options(&options));
    let target = Target::of(&portal);
    let text = format!("{}\n", person("a@x.example", &json!({"plan": "x".repeat(500)})));
    target.deliver_text(&text, &["--stream", "contacts"]).succeeded();
    let reason = reasons(&target).remove(0);
    assert!(reason.starts_with("plan: \"xxx") && reason.contains("o1 (Option 1), o2 (Option 2)"), "{reason}");
    assert!(reason.ends_with("o20 (Option 20) and 5 more") && reason.len() < 800, "{reason}");
    let stage = record("tickets", json!({"no": 1, "subject": "s", "hs_pipeline_stage": "Nowhere"}));
    std::fs::remove_file(target.path("rejects.jsonl")).expect("a file");
    target.deliver(&[schema("tickets", &["no"]), stage]).succeeded();
    let reason = reasons(&target).remove(0);
    assert!(reason.contains("\"Nowhere\" is none of its options") && reason.contains("1 (New"), "{reason}");
}

#[test]
fn fields_that_mean_one_property_must_agree() {
    let portal = empty();
    let mut target = Target::of(&portal);
    target.set("clear_nulls", json!(true));
    let text = [
        person("a@x.example", &json!({"Email": "b@x.example"})),
        person("c@x.example", &json!({"E-Mail": " C@x.example"})),
        person("d@x.example", &json!({"first_name": Value::Null})),
        person("e@x.example", &json!({"First Name": "Eve", "first_name": "Eva"})),
    ];
    target.deliver_text(&lines(&text), &["--stream", "contacts"]).succeeded();
    let reasons = reasons(&target);
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    for (reason, says) in reasons.iter().zip([
        "email: the property email is \"a@x.example\" here and \"b@x.example\" in the field Email; leave one of them out",
        "the property firstname is ",
    ]) {
        assert!(reason.contains(says), "{reason}");
    }
    assert_eq!(with(&portal, "contacts", "email", "d@x.example")["properties"]["firstname"], "Ann");
    assert_eq!(live(&portal, "contacts").len(), 2);
}

#[test]
fn a_list_of_one_id_is_that_id() {
    let portal = empty();
    let target = Target::of(&portal);
    target.deliver(&[schema("contacts", &[]), contact("a@x.example"), contact("b@x.example")]).succeeded();
    let id = |email: &str| with(&portal, "contacts", "email", email)["id"].clone();
    let ticket = |number: u32, ids: Value| json!({"no": number, "subject": number, "contactId": ids});
    let text = [ticket(1, json!([id("a@x.example")])), ticket(2, json!([id("a@x.example"), id("b@x.example")]))];
    target.deliver_text(&lines(&text), &["--stream", "tickets", "--key", "no"]).succeeded();
    assert_eq!(json!(ends(&with(&portal, "tickets", "subject", "1"), "contacts")), json!([id("a@x.example")]));
    assert!(reasons(&target)[0].starts_with("contactId: "), "{:?}", reasons(&target));
}

#[test]
fn a_plain_line_that_is_no_json_is_told_and_kept_as_it_stands() {
    let portal = empty();
    let mut target = Target::of(&portal);
    target.set("results_path", json!("results.jsonl"));
    let text = format!("{{'email': 'a@x.example'}}\n{}\n", person("b@x.example", &json!({})));
    target.deliver_text(&text, &["--stream", "contacts"]).succeeded();
    let result = &target.results()[0];
    assert_eq!((&result["stream"], &result["line"]), (&json!("contacts"), &json!(1)));
    assert!(result["reason"].as_str().expect("a reason").contains("key must be a string at column 2"), "{result}");
    let kept = target.rejects().into_iter().find(|one| one["type"] == "UNREADABLE").expect("a line");
    assert_eq!(kept["text"], "{'email': 'a@x.example'}");
    assert_eq!(live(&portal, "contacts").len(), 1);
}

#[test]
fn separators_at_the_end_of_a_row_add_nothing() {
    let portal = empty();
    let target = Target::of(&portal);
    let text = "email;firstname;lastname;phone\na@x.example;\"Ann\nMarie\";Abel;1;\nb@x.example;B;B;1;; \nc@x.example;C;C;1;x\n";
    target.deliver_text(text, &["--stream", "contacts", "--csv"]).succeeded();
    assert_eq!(live(&portal, "contacts").len(), 2);
    assert_eq!(reasons(&target).len(), 1, "{:?}", reasons(&target));
}
