//! Whole pipelines: the sandbox portal, the tap and real Singer targets, and the tables they leave held against the
//! portal's truth.

use serde_json::Value;
use tap_hubspot_tickets::sandbox::Options;

use crate::support::cell::Numbers;
use crate::support::messages::fold;
use crate::support::pipeline::{self, Victim};
use crate::support::portal::Portal;
use crate::support::postgres::Database;
use crate::support::tables::{Held, Table};
use crate::support::tap::Tap;
use crate::support::targets::{self, SCHEMA};

fn portal() -> Portal {
    Portal::start(Options { merged: 2, archived_share: 0.05, ..Options::with_tickets(300) })
}

/// A portal with names and values at the edge of what parsers and databases accept.
fn hostile_portal() -> Portal {
    Portal::start(Options { hostile: true, ..Options::with_tickets(200) })
}

fn assert_postgres_holds(tables: &[Table], database: &Database, numbers: Numbers) {
    for table in tables {
        table.assert_held(&table.in_postgres(database, SCHEMA), numbers);
    }
    let unmarked = format!("select count(*) from {SCHEMA}.tickets where archived <> (_sdc_deleted_at is not null)");
    assert_eq!(database.number(&unmarked), 0, "archived tickets are marked as deleted, and no others");
}

fn assert_target_postgres_holds(portal: &Portal) {
    let (tap, database) = (Tap::of(portal), Database::create());
    let catalog = tap.discover();
    pipeline::run(&tap, &["--catalog", "catalog.json"], targets::target_postgres(&tap, &database)).succeeded();
    assert_postgres_holds(&portal.truth().tables(&catalog), &database, Numbers::Exact);
}

fn assert_pipelinewise_target_postgres_holds(portal: &Portal) {
    let (tap, database) = (Tap::of(portal), Database::create());
    let catalog = tap.discover();
    let target = targets::pipelinewise_target_postgres(&tap, &database);
    pipeline::run(&tap, &["--catalog", "catalog.json"], target).succeeded();
    assert_postgres_holds(&portal.truth().tables(&catalog), &database, Numbers::Double);
}

#[test]
fn target_postgres_holds_the_portal_field_by_field() {
    assert_target_postgres_holds(&portal());
}

#[test]
fn target_postgres_holds_a_hostile_portal_field_by_field() {
    assert_target_postgres_holds(&hostile_portal());
}

#[test]
fn pipelinewise_target_postgres_holds_the_portal_field_by_field() {
    assert_pipelinewise_target_postgres_holds(&portal());
}

#[test]
fn pipelinewise_target_postgres_holds_a_hostile_portal_field_by_field() {
    assert_pipelinewise_target_postgres_holds(&hostile_portal());
}

#[test]
fn target_jsonl_holds_the_portal_field_by_field() {
    let portal = portal();
    let tap = Tap::of(&portal);
    let catalog = tap.discover();
    pipeline::run(&tap, &["--catalog", "catalog.json"], targets::target_jsonl(&tap)).succeeded();
    for table in portal.truth().tables(&catalog) {
        let lines = targets::jsonl_lines(&tap, table.stream);
        let rows = lines.iter().map(|line| table.row(&serde_json::from_str(line).expect("a record"))).collect();
        let columns = lines.iter().flat_map(|line| {
            let record: Value = serde_json::from_str(line).expect("a record");
            record.as_object().expect("an object").keys().cloned().collect::<Vec<_>>()
        });
        table.assert_held(&Held { columns: columns.collect(), rows }, Numbers::Double);
    }
}

#[test]
fn the_messages_themselves_hold_the_portal_field_by_field() {
    for portal in [portal(), hostile_portal()] {
        let tap = Tap::of(&portal);
        let catalog = tap.discover();
        let tables = fold(&tap.sync(None).succeeded().messages());
        for table in portal.truth().tables(&catalog) {
            table.assert_held(&table.in_messages(&tables), Numbers::Exact);
        }
    }
}

#[test]
fn output_passes_singer_check_tap() {
    for portal in [portal(), hostile_portal()] {
        let tap = Tap::of(&portal);
        let finished = tap.sync(None).succeeded();
        let said = targets::singer_check_tap(&tap, &finished.stdout);
        let records = finished.messages().iter().filter(|message| message.kind == "RECORD").count();
        assert!(records > 200, "{records} records");
        assert!(said.contains(&records.to_string()), "{records} records in: {said}");
    }
}

/// Settings under which a load of 300 tickets has a dozen checkpoints.
fn small_steps(tap: &mut Tap) {
    tap.set("page_size", 10.into()).set("checkpoint_every_pages", 2.into());
}

/// Runs with somebody killed each time, resuming from the last state that the target printed, and then to the end;
/// gives how many list pages each run asked for.
fn load_with_kills(
    portal: &Portal,
    tap: &Tap,
    target: impl Fn() -> std::process::Command,
    victims: &[Victim],
) -> Vec<u64> {
    // Beyond the small streams, which come first.
    const LINES: usize = 450;
    let mut state: Option<Value> = None;
    let mut pages = Vec::new();
    for victim in victims.iter().copied().map(Some).chain([None]) {
        let mut arguments = vec!["--catalog", "catalog.json"];
        if let Some(state) = &state {
            tap.write("state.json", state);
            arguments.extend(["--state", "state.json"]);
        }
        portal.clear_requests();
        let loaded = match victim {
            Some(victim) => pipeline::run_until(tap, &arguments, target(), victim, LINES),
            None => pipeline::run(tap, &arguments, target()).succeeded(),
        };
        match victim {
            Some(Victim::Tap | Victim::TapBetweenLines) => assert_eq!(loaded.tap_code, None, "{}", loaded.logs),
            Some(Victim::Target) => {
                assert_eq!(loaded.target_code, None, "{}", loaded.logs);
                assert!(loaded.tap_code.is_some_and(|code| code != 0), "a broken pipe is a failure: {}", loaded.logs);
            }
            None => {}
        }
        pages.push(portal.request_counts().get("list tickets").copied().unwrap_or(0));
        state = loaded.states.last().cloned().or(state);
    }
    pages
}

#[test]
fn killed_again_and_again_a_load_through_target_postgres_loses_nothing() {
    let portal = portal();
    let (mut tap, database) = (Tap::of(&portal), Database::create());
    small_steps(&mut tap);
    let catalog = tap.discover();
    let target = || targets::target_postgres(&tap, &database);
    let victims = [Victim::TapBetweenLines, Victim::Tap, Victim::Target, Victim::TapBetweenLines];
    let pages = load_with_kills(&portal, &tap, target, &victims);
    assert_postgres_holds(&portal.truth().tables(&catalog), &database, Numbers::Exact);
    assert!(pages.last() < Some(&20), "the last run went on where the others had come to: {pages:?}");
}

#[test]
fn killed_again_and_again_a_load_through_pipelinewise_target_postgres_loses_nothing() {
    let portal = portal();
    let (mut tap, database) = (Tap::of(&portal), Database::create());
    small_steps(&mut tap);
    let catalog = tap.discover();
    let target = || targets::pipelinewise_target_postgres(&tap, &database);
    let victims = [Victim::Tap, Victim::Tap, Victim::Target, Victim::Tap];
    let pages = load_with_kills(&portal, &tap, target, &victims);
    assert_postgres_holds(&portal.truth().tables(&catalog), &database, Numbers::Double);
    assert!(pages.last() < Some(&20), "the last run went on where the others had come to: {pages:?}");
}

#[test]
fn a_second_run_brings_what_changed_and_nothing_else() {
    let portal = portal();
    let (tap, database) = (Tap::of(&portal), Database::create());
    let catalog = tap.discover();
    let target = || targets::target_postgres(&tap, &database);
    let first = pipeline::run(&tap, &["--catalog", "catalog.json"], target()).succeeded();

    let live: Vec<u64> = portal.truth().live_tickets().iter().map(|id| id.parse().expect("a number")).collect();
    portal.update("tickets", live[3], &[("subject", "changed"), ("refund_amount", "12345678901234567890.12")]);
    portal.update("tickets", live[40], &[("hs_pipeline_stage", "2"), ("content", "")]);
    portal.archive("tickets", live[77]);
    portal.merge("tickets", live[100], live[101]);
    portal.create("tickets", &[("subject", "new")]);

    tap.write("state.json", first.states.last().expect("a state"));
    pipeline::run(&tap, &["--catalog", "catalog.json", "--state", "state.json"], target()).succeeded();
    let tables = portal.truth().tables(&catalog);
    let tickets = tables.iter().find(|table| table.stream == "tickets").expect("tickets");
    tickets.assert_held(&tickets.in_postgres(&database, SCHEMA), Numbers::Exact);
}
