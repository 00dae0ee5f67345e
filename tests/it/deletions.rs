//! What is gone from the portal is gone from the tables of a real target, once a sweep has run.

use std::time::Duration;

use hubspot_sandbox::Options;
use serde_json::{Value, json};

use crate::support::catalogs::only;
use crate::support::cell::{Cell, Fidelity};
use crate::support::pipeline::{self, Victim};
use crate::support::portal::Portal;
use crate::support::postgres::Database;
use crate::support::tables::{Held, Row};
use crate::support::tap::Tap;
use crate::support::targets::{self, SCHEMA};

const STREAMS: [&str; 2] = ["tickets", "ticket_associations"];

struct Warehouse {
    portal: Portal,
    tap: Tap,
    database: Database,
    discovered: Value,
    state: Option<Value>,
}

impl Warehouse {
    fn new() -> Self {
        let start_time = "2026-11-02T08:00:00Z".parse().ok();
        let portal = Portal::start(Options { archived_share: 0.05, start_time, ..Options::with_tickets(120) });
        let mut tap = Tap::unhurried(&portal);
        tap.set("page_size", 10.into()).set("checkpoint_every_pages", 2.into());
        let discovered = tap.discover();
        tap.write("catalog.json", &only(&discovered, &STREAMS));
        Self { portal, tap, database: Database::create(), discovered, state: None }
    }

    /// Syncs from the last state that the target printed, to the end or until one of the two is killed.
    fn sync(&mut self, victim: Option<(Victim, usize)>) {
        let mut arguments = vec!["--catalog", "catalog.json"];
        if let Some(state) = &self.state {
            self.tap.write("state.json", state);
            arguments.extend(["--state", "state.json"]);
        }
        let target = targets::target_postgres(&self.tap, &self.database);
        let loaded = match victim {
            Some((victim, lines)) => pipeline::run_until(&self.tap, &arguments, target, victim, lines),
            None => pipeline::run(&self.tap, &arguments, target).succeeded(),
        };
        self.state = loaded.states.last().cloned().or_else(|| self.state.take());
    }

    /// All that can happen to tickets and their associations.
    fn change(&self) {
        let portal = &self.portal;
        let truth = portal.truth();
        let number = |id: &str| id.parse::<u64>().expect("a number");
        let live: Vec<u64> = truth.live_tickets().iter().map(|id| number(id)).collect();
        portal.archive("tickets", live[0]);
        portal.merge("tickets", live[1], live[2]);
        portal.merge_into_new("tickets", live[3], live[4]);
        portal.merge("tickets", live[5], live[6]);
        portal.archive("tickets", live[5]);
        portal.delete_forever("tickets", live[7]);
        portal.archive("tickets", live[8]);
        portal.delete_forever("tickets", live[8]);
        portal.restore("tickets", number(&truth.archived_tickets()[0]), false);
        portal.restore("tickets", number(&truth.archived_tickets()[1]), true);
        portal.update_silently("tickets", live[9], &[("subject", "silently")]);
        portal.associate("tickets", live[10], "contacts", portal.create("contacts", &[]), 91, Some("Reporter"));
        for id in &live[20..80] {
            for kind in ["contacts", "companies"] {
                for end in truth.ticket(&id.to_string())["associations"][kind].as_array().expect("associations") {
                    portal.dissociate("tickets", *id, kind, number(end["id"].as_str().expect("an id")));
                }
            }
        }
    }

    /// Rows with `_sdc_deleted_at` count as gone.
    fn assert_equals_the_portal(&self) {
        let is_live = |sql: &str| {
            let sql = format!("select {sql} from {SCHEMA}.tickets where _sdc_deleted_at is null");
            self.database.rows(&sql).into_iter().map(|row| row[0].clone().expect("an id")).collect::<Vec<_>>()
        };
        let truth = self.portal.truth();
        let mut live = is_live("id");
        live.sort_by_key(|id| id.parse::<u64>().expect("a number"));
        assert_eq!(live, truth.live_tickets());
        let tables = truth.tables(&self.discovered);
        for mut table in tables.into_iter().filter(|table| STREAMS.contains(&table.stream)) {
            let deleted = format!("\"{SCHEMA}\".\"{}\" where _sdc_deleted_at is not null", table.stream);
            let key = table.key.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(" || ' ' || ");
            let gone: Vec<String> = self
                .database
                .rows(&format!("select {key} from {deleted}"))
                .into_iter()
                .map(|row| row[0].clone().expect("a key"))
                .collect();
            let text = |row: &Row| {
                let cells = table.key.iter().map(|name| match &row[*name] {
                    Cell::Text(text) => text.clone(),
                    other => panic!("{other:?} in a key"),
                });
                cells.collect::<Vec<_>>().join(" ")
            };
            let Held { columns, mut rows } = table.in_postgres(&self.database, SCHEMA);
            rows.retain(|row| !gone.contains(&text(row)));
            let is_gone = |row: &Row| row.get("archived") == Some(&Cell::Boolean(true));
            let kept = table.rows.iter().filter(|row| !is_gone(row)).cloned().collect();
            table.rows = kept;
            table.assert_held(&Held { columns, rows }, Fidelity::Exact);
        }
    }
}

#[test]
fn after_a_sweep_the_sql_tables_equal_the_portal() {
    let mut warehouse = Warehouse::new();
    warehouse.sync(None);
    warehouse.assert_equals_the_portal();
    warehouse.change();
    warehouse.portal.advance(Duration::from_secs(3600));
    warehouse.tap.set("sweep_hours", json!(0));
    warehouse.sync(None);
    warehouse.assert_equals_the_portal();
}

#[test]
fn a_sweep_whose_target_is_killed_begins_again_and_ends_the_same() {
    let mut warehouse = Warehouse::new();
    warehouse.sync(None);
    warehouse.change();
    warehouse.tap.set("sweep_hours", json!(0));
    for victim in [(Victim::Target, 150), (Victim::TapBetweenLines, 120), (Victim::Target, 260)] {
        warehouse.portal.advance(Duration::from_secs(3600));
        warehouse.sync(Some(victim));
    }
    warehouse.portal.advance(Duration::from_secs(3600));
    warehouse.sync(None);
    warehouse.assert_equals_the_portal();
}
