//! The validation rules that a portal's admins set on properties.

use hubspot_sandbox::{Fault, FaultRule, Options, PropertyDef};
use serde_json::{Value, json};

use crate::support::delivery::{Target, contact, live};
use crate::support::portal::Portal;

/// A portal whose contacts have a customer number of three digits at least.
fn ruled() -> Portal {
    let portal = Portal::start(Options { merged: 0, ..Options::with_tickets(0) });
    let rule = |rule_type: &str, argument: &str| (rule_type.to_owned(), vec![argument.to_owned()]);
    let validations =
        vec![rule("MIN_LENGTH", "3"), rule("ALPHANUMERIC", "NUMERIC_ONLY"), rule("WHITESPACE", "NO_WHITESPACE")];
    portal
        .define_property("contacts", PropertyDef { validations, ..PropertyDef::new("customer_no", "string", "text") });
    portal
}

fn input(numbers: &[&str]) -> String {
    let lines = numbers.iter().enumerate().map(|(at, number)| {
        let mut record = contact(&format!("c{at}@x.example"))["record"].clone();
        record["customer_no"] = json!(number);
        format!("{record}\n")
    });
    lines.collect()
}

#[test]
fn a_dry_run_tells_which_records_break_the_portals_rules() {
    let portal = ruled();
    let mut target = Target::of(&portal);
    target.set("api_version", json!("2026-09"));
    let dry = target.deliver_text(&input(&["123", "12", "12a4"]), &["--stream", "contacts", "--dry-run"]);
    let lines: Vec<String> = dry.text().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 3, "{}", dry.text());
    assert!(lines[0].starts_with("create contacts (c0@x.example)"), "{}", lines[0]);
    assert!(
        lines[1].contains("customer_no: \"12\" breaks a validation rule of the portal: write 3 characters or more"),
        "{}",
        lines[1]
    );
    assert!(lines[2].contains("customer_no: \"12a4\"") && lines[2].contains("write digits only"), "{}", lines[2]);
    assert!(live(&portal, "contacts").is_empty());
    // HubSpot rejects the same ones, in its own words.
    target.deliver_text(&input(&["123", "12", "12a4"]), &["--stream", "contacts"]).succeeded();
    let rejects = target.rejects();
    let reasons: Vec<&Value> = rejects[1..].iter().map(|one| &one["rejected"]["reason"]).collect();
    assert_eq!(reasons.len(), 2);
    assert!(
        reasons.iter().all(|reason| reason
            .as_str()
            .is_some_and(|text| text.contains("MIN_LENGTH") || text.contains("ALPHANUMERIC"))),
        "{reasons:?}"
    );
    assert!(!reasons[0].as_str().expect("a reason").contains('{'), "no JSON: {reasons:?}");
}

#[test]
fn test_tells_which_rules_are_checked_and_which_are_left_to_hubspot() {
    let portal = ruled();
    let mut target = Target::of(&portal);
    target.set("api_version", json!("2026-09"));
    let tested = target.finish(target.command(&["--test"])).succeeded();
    let line = "rules contacts: 3 validation rules, 2 checked by --dry-run, left to HubSpot: customer_no: WHITESPACE";
    assert!(tested.text().contains(line), "{}", tested.text());
}

#[test]
fn rules_that_hubspot_does_not_tell_are_said_to_be_unchecked() {
    for (status, body) in [(403, json!({"message": "no", "category": "MISSING_SCOPES"})), (404, json!({}))] {
        let portal = ruled();
        let refusal = Fault::Status { code: status, headers: Vec::new(), body: Some(body.to_string()) };
        portal.faults([FaultRule::always("property-validations", refusal)]);
        let mut target = Target::of(&portal);
        target.set("api_version", json!("2026-09"));
        let tested = target.finish(target.command(&["--test"])).succeeded();
        assert!(tested.text().contains("rules contacts: not checked: "), "{}", tested.text());
        let dry = target.deliver_text(&input(&["12"]), &["--stream", "contacts", "--dry-run"]).succeeded();
        assert!(dry.text().starts_with("create contacts"), "{}", dry.text());
        assert_eq!(dry.said("the validation rules of contacts are not checked"), 1, "{}", dry.stderr);
    }
}

#[test]
fn older_api_versions_have_no_rules_to_ask_for() {
    let portal = ruled();
    let target = Target::of(&portal);
    target.deliver_text(&input(&["12"]), &["--stream", "contacts", "--dry-run"]).succeeded();
    assert_eq!(portal.request_counts().get("property_validations contacts"), None);
}
