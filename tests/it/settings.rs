//! Settings as people write them: what is meant is taken, and what cannot be is told in a sentence that helps.

use std::fs;

use hubspot_sandbox::{Options, PropertyDef};
use serde_json::{Value, json};

use crate::support::catalogs::{entry, metadata, only, select};
use crate::support::delivery::Target;
use crate::support::messages::{columns, of, records};
use crate::support::portal::Portal;
use crate::support::tap::{Finished, Tap};

/// A setting is wrong.
const USAGE: i32 = 2;

fn portal() -> Portal {
    Portal::start(Options { merged: 0, archived_share: 0.0, stage_properties: false, ..Options::with_tickets(12) })
}

/// What copying, shells, base64 and examples put around a credential.
fn wrapped(credential: &str) -> [String; 7] {
    [
        format!("{credential}\n"),
        format!("{credential}\r\n"),
        format!("  {credential}\t"),
        format!("\"{credential}\""),
        format!("'{credential}'\n"),
        format!("Bearer {credential}"),
        format!("\"bearer {credential}\"\n"),
    ]
}

/// What `target-hubspot --test` says.
fn test(target: &Target) -> Finished {
    target.finish(target.command(&["--test"]))
}

/// The streams of which a SCHEMA came.
fn streams(finished: &Finished) -> Vec<String> {
    let schemas = finished.messages().into_iter().filter(|message| message.kind == "SCHEMA");
    schemas.filter_map(|message| message.stream).collect()
}

#[test]
fn credentials_are_taken_without_what_stands_around_them() {
    let portal = portal();
    let mut tap = Tap::unhurried(&portal);
    let app = Options::default().oauth;
    for token in wrapped(&portal.access_token()) {
        tap.set("access_token", token.clone().into());
        tap.run(&["--discover"]).succeeded();
        let mut command = tap.bare_command(&["--config", "ENV", "--discover"]);
        command.env("TAP_HUBSPOT_TICKETS_API_BASE_URL", portal.url()).env("HUBSPOT_ACCESS_TOKEN", &token);
        tap.finish(command).succeeded();
        let mut target = Target::of(&portal);
        target.set("access_token", token.into());
        test(&target).succeeded();
    }
    tap.set("access_token", Value::Null);
    let grants = wrapped(&app.client_id).into_iter().zip(wrapped(&app.client_secret)).zip(wrapped(&app.refresh_token));
    for ((client_id, client_secret), refresh_token) in grants {
        tap.set("client_id", client_id.into()).set("client_secret", client_secret.into());
        tap.set("refresh_token", refresh_token.into());
        tap.run(&["--discover"]).succeeded();
    }
    fs::write(tap.path(".env"), format!("HUBSPOT_ACCESS_TOKEN=\"Bearer {}\"\n", portal.access_token()))
        .expect("a writable folder");
    let mut command = tap.bare_command(&["--config", "ENV", "--discover"]);
    command.env("TAP_HUBSPOT_TICKETS_API_BASE_URL", portal.url());
    tap.finish(command).succeeded();
}

#[test]
fn a_credential_with_something_inside_that_no_header_holds_is_named_and_not_shown() {
    let portal = portal();
    for setting in ["access_token", "client_id", "client_secret", "refresh_token"] {
        for (value, says) in [
            ("hush hush", "a space"),
            ("hush\nhush", "a line break"),
            ("hush\u{e9}hush", "outside ASCII"),
            ("hush\u{0}hush", "outside ASCII"),
        ] {
            let mut tap = Tap::unhurried(&portal);
            tap.set(setting, value.into());
            let mut target = Target::of(&portal);
            target.set(setting, value.into());
            for finished in [tap.run(&[]), test(&target)] {
                assert_eq!(finished.code, Some(USAGE), "{}", finished.stderr);
                let last = finished.last_line();
                assert!(last.contains(setting) && last.contains(says), "{last}");
                assert!(!finished.stderr.contains("hush"), "{}", finished.stderr);
            }
        }
    }
    assert!(portal.requests().is_empty());
}

#[test]
fn a_misspelt_credential_is_named_in_files_and_variables_and_other_unknown_keys_are_said_too() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    tap.write("wrong.json", &json!({"acces_token": "hush-hush", "page_sise": 10}));
    let finished = tap.finish(tap.bare_command(&["--config", "wrong.json"]));
    assert_eq!(finished.code, Some(USAGE));
    let hint = r#"config key "acces_token" is unknown and ignored; did you mean "access_token"?"#;
    assert!(finished.last_line().contains("no credentials") && finished.last_line().ends_with(hint));
    let said = r#"WARN config key "page_sise" is unknown and ignored; did you mean "page_size"?"#;
    assert_eq!(finished.said(said), 1, "{}", finished.stderr);
    assert!(!finished.stderr.contains("hush"));

    let mut command = tap.bare_command(&["--config", "ENV"]);
    command.env("TAP_HUBSPOT_TICKETS_ACCES_TOKEN", "hush-hush").env("TAP_HUBSPOT_TICKETS__SELECT", "[\"*.*\"]");
    command.env("TAP_HUBSPOT_TICKETS_PAGE_SISE", "10").env("HUBSPOT_CLIENT_SECRT", "hush-hush");
    let finished = tap.finish(command);
    assert_eq!(finished.code, Some(USAGE));
    let last = finished.last_line();
    assert!(last.contains("did you mean TAP_HUBSPOT_TICKETS_ACCESS_TOKEN?"), "{last}");
    assert!(last.contains("did you mean HUBSPOT_CLIENT_SECRET?"), "{last}");
    assert_eq!(finished.said("TAP_HUBSPOT_TICKETS_PAGE_SISE is unknown"), 1, "{}", finished.stderr);
    assert_eq!(finished.said("__SELECT"), 0, "{}", finished.stderr);
    assert!(!finished.stderr.contains("hush"));

    // A run that goes well says the same.
    let mut command = tap.command(&["--config", "ENV", "--discover"]);
    command.env("TAP_HUBSPOT_TICKETS_PAGE_SISE", "10");
    assert_eq!(tap.finish(command).succeeded().said("did you mean TAP_HUBSPOT_TICKETS_PAGE_SIZE?"), 1);

    let mut target = Target::of(&portal);
    target.set("acces_token", "hush-hush".into()).set("access_token", Value::Null);
    assert!(test(&target).last_line().ends_with(hint));
}

#[test]
fn an_empty_credential_is_said_to_be_empty() {
    let portal = portal();
    for value in ["", "\n", "\"\"", "Bearer "] {
        let mut tap = Tap::unhurried(&portal);
        tap.set("access_token", value.into());
        let finished = tap.run(&[]);
        assert_eq!(finished.code, Some(USAGE));
        assert!(finished.last_line().ends_with("access_token is given, but empty"), "{}", finished.stderr);
    }
}

#[test]
fn a_start_date_without_time_or_zone_is_midnight_utc() {
    let portal = portal();
    let mut tap = Tap::unhurried(&portal);
    let mut read = |form: &str| {
        tap.set("start_date", form.into()).set("end_date", "2030-01-01".into());
        let messages = tap.run(&[]).succeeded().messages();
        let mut ids: Vec<String> =
            records(&messages, "tickets").iter().map(|record| record["id"].to_string()).collect();
        ids.sort_unstable();
        ids
    };
    // A day on which some tickets have been modified and some not.
    let mut days: Vec<String> = portal.truth().list("tickets").iter().map(modified).collect();
    days.sort_unstable();
    let day = &days[days.len() / 2];
    let expected = read(&format!("{day}T00:00:00Z"));
    assert!(!expected.is_empty() && expected.len() < 12, "{expected:?}");
    for form in ["{}", " {}\n", "{}T00:00:00", "{} 00:00:00", "{}T00:00", "{}T02:00:00+02:00", "{} 02:00 +0200"] {
        assert_eq!(read(&form.replace("{}", day)), expected, "{form}");
    }
}

/// The day on which a ticket was modified.
fn modified(ticket: &Value) -> String {
    let text = ticket["properties"]["hs_lastmodifieddate"].as_str().expect("an instant");
    text[..10].to_owned()
}

#[test]
fn a_date_of_another_form_is_answered_with_an_example() {
    let portal = portal();
    for setting in ["start_date", "end_date", "created_after"] {
        for value in ["yesterday", "01/02/2024", "2024-13-01", "1704067200", "20240101"] {
            let mut tap = Tap::unhurried(&portal);
            let finished = tap.set(setting, value.into()).run(&[]);
            assert_eq!(finished.code, Some(USAGE));
            let last = finished.last_line();
            assert!([setting, value, "2024-01-31T13:45:00Z"].iter().all(|part| last.contains(part)), "{last}");
        }
    }
}

#[test]
fn numbers_booleans_and_lists_are_taken_from_texts_as_orchestrators_write_them() {
    let portal = portal();
    let mut tap = Tap::unhurried(&portal);
    tap.set("page_size", "5".into()).set("include_archived", "false".into()).set("properties", "subject".into());
    tap.set("include_associations", "no".into()).set("sweep_minutes", "".into()).set("end_date", "".into());
    let messages = tap.run(&[]).succeeded().messages();
    let found = columns(&messages, "tickets");
    assert!(found.contains(&"subject".to_owned()) && !found.contains(&"content".to_owned()), "{found:?}");
    assert!(!found.contains(&"primary_contact".to_owned()));
    let pages = portal.requests().into_iter().filter(|request| request.endpoint == "list tickets");
    let pages: Vec<String> = pages.map(|request| request.query).collect();
    assert!(pages.iter().any(|query| query.contains("limit=5")), "{pages:?}");
    assert!(pages.iter().all(|query| !query.contains("archived=true")), "{pages:?}");
}

#[test]
fn streams_chooses_what_is_read_and_what_a_catalog_selects() {
    let portal = portal();
    let mut tap = Tap::unhurried(&portal);
    tap.set("streams", json!(["ticket_pipe*", "contacts", "sync_audit"]));
    let chosen = ["ticket_pipelines", "ticket_pipeline_stages", "contacts", "sync_audit"];
    let finished = tap.run(&[]).succeeded();
    assert_eq!(streams(&finished), chosen);
    assert!(columns(&finished.messages(), "contacts").contains(&"email".to_owned()));
    assert!(!records(&finished.messages(), "contacts").is_empty());
    let catalog = tap.discover();
    assert_eq!(streams(&tap.sync_catalog(&catalog, None).succeeded()), chosen);

    tap.set("streams", json!(["contacts"])).set("properties", json!(["contacts.email", "contacts.first*"]));
    let found = columns(&tap.run(&[]).succeeded().messages(), "contacts");
    let properties: Vec<&String> =
        found.iter().filter(|name| ["email", "firstname", "lastname"].contains(&name.as_str())).collect();
    assert_eq!(properties, ["email", "firstname"]);
}

#[test]
fn an_unknown_stream_is_refused_with_the_nearest_name() {
    let portal = portal();
    for (name, says) in [
        ("ticket", r#"did you mean "tickets"?"#),
        ("contact", r#"did you mean "contacts"?"#),
        ("ticket_pipeline_stage", r#"did you mean "ticket_pipeline_stages"?"#),
        ("zz*", "sync_audit"),
    ] {
        let mut tap = Tap::unhurried(&portal);
        tap.set("streams", json!(["owners", name]));
        for finished in [tap.run(&[]), tap.run(&["--discover"])] {
            assert_eq!(finished.code, Some(USAGE));
            let last = finished.last_line();
            assert!(last.contains("streams") && last.contains(&format!("{name:?}")) && last.contains(says), "{last}");
        }
    }
    assert!(portal.requests().is_empty());
}

#[test]
fn a_catalog_decides_over_streams_and_the_difference_is_said() {
    let portal = portal();
    let mut tap = Tap::unhurried(&portal);
    let catalog = only(&tap.discover(), &["owners", "ticket_pipelines"]);
    tap.set("streams", json!(["owners", "tickets"]));
    let finished = tap.sync_catalog(&catalog, None).succeeded();
    assert_eq!(streams(&finished), ["owners", "ticket_pipelines"]);
    let said = "the catalog decides which streams are read; other than the setting streams it reads ticket_pipelines \
                and leaves out tickets";
    assert_eq!(finished.said(said), 1, "{}", finished.stderr);
    tap.set("streams", json!(["owners", "ticket_pipelines"]));
    assert_eq!(tap.sync_catalog(&catalog, None).succeeded().said("the catalog decides"), 0);
}

#[test]
fn sensitive_properties_are_read_only_where_a_setting_allows_them() {
    let portal = portal();
    for (name, sensitivity) in [("diagnosis", "sensitive"), ("insurance", "highly_sensitive")] {
        let mut property = PropertyDef::new(name, "string", "text");
        property.data_sensitivity = sensitivity.to_owned();
        portal.define_property("tickets", property);
    }
    let mut tap = Tap::unhurried(&portal);
    let read = |tap: &Tap| {
        // As Meltano selects by `*.*`.
        let mut catalog = tap.discover();
        for one in entry(&mut catalog, "tickets")["metadata"].as_array_mut().expect("metadata") {
            one["metadata"]["selected"] = true.into();
        }
        let inclusion = metadata(entry(&mut catalog, "tickets"), &["properties", "diagnosis"])["inclusion"].clone();
        let selected = columns(&tap.sync_catalog(&catalog, None).succeeded().messages(), "tickets");
        let by_default = columns(&tap.run(&[]).succeeded().messages(), "tickets");
        let has = |columns: &[String]| ["diagnosis", "insurance"].map(|name| columns.iter().any(|one| one == name));
        (inclusion, has(&selected), has(&by_default))
    };
    assert_eq!(read(&tap), ("unsupported".into(), [false, false], [false, false]));
    let said = "sensitive properties of tickets are not read: diagnosis, health_record_number, insurance";
    assert_eq!(tap.run(&["--discover"]).succeeded().said(said), 1, "{}", tap.log());
    tap.set("sensitive_properties", json!(["diag*"]));
    assert_eq!(read(&tap), ("available".into(), [true, false], [true, false]));
    tap.set("sensitive_properties", json!(["*"]));
    assert_eq!(read(&tap), ("available".into(), [true, true], [true, true]));
    tap.set("sensitive_properties", Value::Null).set("properties", json!(["subject", "diagnosis", "insur*"]));
    assert_eq!(read(&tap), ("available".into(), [true, false], [true, false]));
}

#[test]
fn a_catalog_of_the_last_release_that_selects_a_sensitive_property_goes_on() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    let mut catalog = tap.discover();
    let field = ["properties", "health_record_number"];
    *metadata(entry(&mut catalog, "tickets"), &field) =
        json!({"inclusion": "available", "selected-by-default": false, "hubspot-property": "health_record_number"});
    select(&mut catalog, "tickets", "health_record_number", true);
    let messages = tap.sync_catalog(&catalog, None).succeeded().messages();
    assert!(columns(&messages, "tickets").contains(&"health_record_number".to_owned()));
    assert!(!of(&messages, "RECORD", "tickets").is_empty());
}
