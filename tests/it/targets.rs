//! Whole pipelines: the sandbox portal, the tap and real Singer targets, and the tables they leave held against the
//! portal's truth.

use std::process::Command;

use hubspot_sandbox::Options;
use serde_json::Value;

use crate::support::cell::Fidelity;
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

fn assert_postgres_holds(tables: &[Table], database: &Database, fidelity: Fidelity) {
    for table in tables {
        table.assert_held(&table.in_postgres(database, SCHEMA), fidelity);
    }
    let unmarked = format!("select count(*) from {SCHEMA}.tickets where archived <> (_sdc_deleted_at is not null)");
    assert_eq!(database.number(&unmarked), 0, "archived tickets are marked as deleted, and no others");
}

fn assert_target_postgres_holds(portal: &Portal) {
    let (tap, database) = (Tap::of(portal), Database::create());
    let catalog = tap.discover();
    pipeline::run(&tap, &["--catalog", "catalog.json"], targets::target_postgres(&tap, &database)).succeeded();
    assert_postgres_holds(&portal.truth().tables(&catalog), &database, Fidelity::Exact);
}

fn assert_pipelinewise_target_postgres_holds(portal: &Portal) {
    let (tap, database) = (Tap::of(portal), Database::create());
    let catalog = tap.discover();
    let target = targets::pipelinewise_target_postgres(&tap, &database, 100, true);
    pipeline::run(&tap, &["--catalog", "catalog.json"], target).succeeded();
    assert_postgres_holds(&portal.truth().tables(&catalog), &database, Fidelity::DoublesAndEscapes);
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
        table.assert_held(&Held { columns: columns.collect(), rows }, Fidelity::Doubles);
    }
}

#[test]
fn the_messages_themselves_hold_the_portal_field_by_field() {
    for portal in [portal(), hostile_portal()] {
        let tap = Tap::of(&portal);
        let catalog = tap.discover();
        let tables = fold(&tap.sync(None).succeeded().messages());
        for table in portal.truth().tables(&catalog) {
            table.assert_held(&table.in_messages(&tables), Fidelity::Exact);
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

/// Lines after which a load of all streams is in its tickets: the small streams, which come first, have about 250.
const LINES: usize = 450;

/// A load of many checkpoints, interrupted in many ways.
struct Interrupted {
    portal: Portal,
    tap: Tap,
    catalog: Value,
    /// Pages that the list requests of each run asked for.
    pages: Vec<u64>,
}

impl Interrupted {
    const PAGE_SIZE: u64 = 10;

    fn new(checkpoint_every_pages: u32) -> Self {
        let portal = portal();
        let mut tap = Tap::of(&portal);
        tap.set("page_size", Self::PAGE_SIZE.into()).set("checkpoint_every_pages", checkpoint_every_pages.into());
        let catalog = tap.discover();
        Self { portal, tap, catalog, pages: Vec::new() }
    }

    /// Runs with one of them killed each time after so many lines, going on from the last state that the target
    /// printed, and then to the end.
    fn load(&mut self, target: impl Fn(&Tap) -> Command, victims: &[Victim], lines: usize) {
        let mut state: Option<Value> = None;
        for victim in victims.iter().copied().map(Some).chain([None]) {
            let mut arguments = vec!["--catalog", "catalog.json"];
            if let Some(state) = &state {
                self.tap.write("state.json", state);
                arguments.extend(["--state", "state.json"]);
            }
            self.portal.clear_requests();
            let loaded = match victim {
                Some(victim) => pipeline::run_until(&self.tap, &arguments, target(&self.tap), victim, lines),
                None => pipeline::run(&self.tap, &arguments, target(&self.tap)).succeeded(),
            };
            match victim {
                Some(Victim::Tap | Victim::TapBetweenLines) => assert_eq!(loaded.tap_code, None, "{}", loaded.logs),
                Some(Victim::Target) => {
                    assert_eq!(loaded.target_code, None, "{}", loaded.logs);
                    assert!(loaded.tap_code.is_some_and(|code| code != 0), "rows were lost: {}", loaded.logs);
                }
                None => {}
            }
            self.pages.push(self.portal.request_counts().get("list tickets").copied().unwrap_or(0));
            state = loaded.states.last().cloned().or(state);
        }
    }

    /// Asserts that the last run read less than a load has, because the others' work counted.
    fn assert_went_on(&self) {
        let truth = self.portal.truth();
        let pages = |tickets: Vec<String>| u64::try_from(tickets.len()).expect("a count").div_ceil(Self::PAGE_SIZE);
        let whole = pages(truth.live_tickets()) + pages(truth.archived_tickets());
        let last = *self.pages.last().expect("a run");
        assert!(last + 4 < whole, "{last} of {whole} pages in the last run; in all runs {:?}", self.pages);
    }
}

#[test]
fn killed_again_and_again_a_load_through_target_postgres_loses_nothing() {
    let (mut load, database) = (Interrupted::new(2), Database::create());
    let victims = [Victim::TapBetweenLines, Victim::Tap, Victim::Target, Victim::TapBetweenLines];
    load.load(|tap| targets::target_postgres(tap, &database), &victims, LINES);
    assert_postgres_holds(&load.portal.truth().tables(&load.catalog), &database, Fidelity::Exact);
    load.assert_went_on();
}

#[test]
fn killed_again_and_again_a_load_through_pipelinewise_target_postgres_loses_nothing() {
    let (mut load, database) = (Interrupted::new(2), Database::create());
    let victims = [Victim::Tap, Victim::Tap, Victim::Target, Victim::Tap];
    load.load(|tap| targets::pipelinewise_target_postgres(tap, &database, 100, true), &victims, LINES);
    assert_postgres_holds(&load.portal.truth().tables(&load.catalog), &database, Fidelity::DoublesAndEscapes);
    load.assert_went_on();
}

/// Without `flush_all_streams` that target takes the first STATE it gets for written, all streams of it, and prints it
/// when it writes any stream.
#[test]
fn a_target_that_prints_a_state_before_all_its_rows_are_written_loses_nothing() {
    let (mut load, database) = (Interrupted::new(10), Database::create());
    let streams = ["tickets", "ticket_associations"];
    load.tap.select_streams(&load.catalog, &streams);
    // At 300 rows the associations are written while the tickets of the first checkpoint still wait.
    let target = |tap: &Tap| targets::pipelinewise_target_postgres(tap, &database, 300, false);
    load.load(target, &[Victim::Tap], 650);
    let mut tables = load.portal.truth().tables(&load.catalog);
    tables.retain(|table| streams.contains(&table.stream));
    assert_postgres_holds(&tables, &database, Fidelity::DoublesAndEscapes);
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
    tickets.assert_held(&tickets.in_postgres(&database, SCHEMA), Fidelity::Exact);
}
