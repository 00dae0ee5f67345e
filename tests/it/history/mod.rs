//! Long random histories: the portal changes while syncs run, tap and target are killed, and in the end the target's
//! tables are the portal.
//!
//! `HISTORY_SEEDS=500 cargo test --test it history` runs more of them, `HISTORY_SEED=17` one of them alone.

mod events;
mod members;
mod syncs;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use fastrand::Rng;
use hubspot_sandbox::Options;
use serde_json::{Value, json};

use self::members::Members;
use self::syncs::Killed;
use crate::support::messages::Tables;
use crate::support::portal::Portal;
use crate::support::selected::differences;
use crate::support::tap::Tap;

/// Seeds of each property when nothing else is asked for.
const SEEDS: u64 = 4;
/// Syncs of one history.
const SYNCS: usize = 14;
/// Tickets at its beginning.
const TICKETS: usize = 130;

/// A portal, a tap and a target, and what has happened to them.
struct History {
    rng: Rng,
    portal: Portal,
    tap: Tap,
    /// The portal's catalog, discovered when what it offers has changed.
    catalog: Option<Value>,
    streams: BTreeSet<&'static str>,
    deselected: BTreeSet<(&'static str, String)>,
    /// What the target holds.
    tables: Tables,
    /// The last state that the target printed.
    printed: Option<Value>,
    members: BTreeMap<&'static str, Members>,
    /// Associations that exist or existed: ticket, type, id.
    links: BTreeSet<(u64, &'static str, u64)>,
    /// Tickets that changed in a way that only a sweep finds, since their modified date moved last.
    traceless: BTreeSet<u64>,
    sweeps: bool,
    /// Behaviours of the portal while the next sync runs.
    doubts: Vec<&'static str>,
    /// Messages of the last whole sync.
    lines: usize,
    log: Vec<String>,
}

impl History {
    fn new(seed: u64, sweeps: bool, cached: bool) -> Self {
        let mut history = Self::of(seed, sweeps, TICKETS);
        if cached {
            history.tap.set("cache_path", "cache".into());
        }
        history
    }

    fn of(seed: u64, sweeps: bool, tickets: usize) -> Self {
        let mut rng = Rng::with_seed(seed);
        let lag = [0, 7, 30][rng.usize(..3)];
        let portal = Portal::start(Options {
            seed,
            archived_share: 0.05,
            contacts: 40,
            companies: 15,
            deals: 20,
            stage_properties: false,
            search_lag: Duration::from_secs(lag),
            search_disorder: rng.bool(),
            association_page_size: [2, 500][rng.usize(..2)],
            start_time: "2026-11-02T08:00:00Z".parse().ok(),
            request_log: 0,
            ..Options::with_tickets(tickets)
        });
        let tap = Tap::unhurried(&portal);
        let mut streams = BTreeSet::from(["tickets", "ticket_associations"]);
        if sweeps && rng.bool() {
            streams.extend(["contacts", "companies", "deals", "owners", "sync_audit"]);
        }
        let mut history = Self {
            rng,
            portal,
            tap,
            catalog: None,
            streams,
            deselected: BTreeSet::new(),
            tables: Tables::default(),
            printed: None,
            members: BTreeMap::new(),
            links: BTreeSet::new(),
            traceless: BTreeSet::new(),
            sweeps,
            doubts: Vec::new(),
            lines: 400,
            log: vec![format!("index lag {lag} s")],
        };
        history.take_stock();
        for column in
            ["subject", "content", "refund_amount", "is_vip", "primary_contact", "archived_at", "hs_ticket_priority"]
        {
            if history.rng.bool() {
                history.deselected.insert(("tickets", column.to_owned()));
            }
        }
        history
    }

    fn live_through(&mut self) {
        for _ in 0..SYNCS {
            for _ in 0..self.rng.usize(..12) {
                self.event();
            }
            self.set_out();
            let killed = [Killed::Nothing, Killed::Tap, Killed::Target][self.rng.usize(..3)];
            let eventful = self.rng.u8(..3) == 0;
            self.doubt();
            self.sync(killed, eventful);
        }
        self.deselected.clear();
        self.streams.insert("ticket_associations");
        // The index has caught up.
        self.portal.advance(Duration::from_secs(45));
        for (name, value) in [("sweep_minutes", json!(30)), ("archive_hours", json!(0)), ("page_size", json!(100))] {
            self.tap.set(name, value);
        }
        self.tap.set("sweep_hours", if self.sweeps { json!(0) } else { json!(null) });
        self.sync(Killed::Nothing, false);
    }

    /// Selects these of the columns of tickets that can be deselected.
    fn keep_columns(&mut self, columns: &[&str]) {
        let catalog = self.catalog.get_or_insert_with(|| self.tap.discover());
        let tickets = catalog["streams"].as_array().expect("streams").iter().find(|one| one["stream"] == "tickets");
        let all = tickets.expect("tickets")["schema"]["properties"].as_object().expect("columns").keys();
        let others = all.filter(|column| !columns.contains(&column.as_str()));
        self.deselected = others.map(|column| ("tickets", column.clone())).collect();
    }

    /// Two hours later, and again: nothing has changed since before the lookback.
    fn assert_nothing_comes_of_nothing(&mut self) {
        self.streams = BTreeSet::from(["tickets", "ticket_associations"]);
        self.tap.set("sweep_hours", json!(null));
        for run in 0..2 {
            self.portal.advance(Duration::from_secs(7200));
            self.portal.clear_requests();
            let before = self.tables.clone();
            self.tables = Tables::default();
            self.sync(Killed::Nothing, false);
            let rows = |stream: &str| self.tables.table(stream).rows.len();
            assert!(run == 0 || rows("tickets") + rows("ticket_associations") == 0);
            let counts = self.portal.request_counts();
            let calls: u64 = counts.iter().filter(|(name, _)| name.starts_with("pool ")).map(|(_, count)| count).sum();
            // Four, and the archive's one page. Each association type costs one to find out whether the token may read it.
            let deals = u64::from(counts.contains_key("associations_batch_read tickets deals"));
            assert!(run == 0 || calls <= 5 + deals, "{counts:?}");
            self.tables = before;
        }
    }

    fn assert_equal(&self, but: &BTreeSet<u64>, removed_too: bool) {
        let catalog = self.catalog.as_ref().expect("a catalog");
        let found = differences(&self.portal.truth(), catalog, &self.tables, but, removed_too);
        let shown: Vec<&str> = found.iter().take(12).map(String::as_str).collect();
        assert!(found.is_empty(), "{} differences:\n  {}", found.len(), shown.join("\n  "));
    }
}

/// Runs a history for each seed, and tells the seed and what happened when one fails.
fn for_seeds(sweeps: bool, cached: bool, check: impl Fn(&mut History)) {
    let setting = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match setting("HISTORY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..setting("HISTORY_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let mut history = History::new(seed, sweeps, cached);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(&mut history))) {
            eprintln!("HISTORY_SEED={seed}, what happened:\n  {}", history.log.join("\n  "));
            resume_unwind(panic);
        }
    }
}

#[test]
fn whatever_happens_one_sync_with_a_sweep_makes_the_tables_the_portal() {
    for_seeds(true, false, |history| {
        history.live_through();
        history.assert_equal(&BTreeSet::new(), true);
        history.assert_nothing_comes_of_nothing();
    });
}

#[test]
fn a_bulk_edit_of_twelve_thousand_tickets_is_whole_whenever_tap_and_target_are_killed() {
    let mut history = History::of(7, false, 13_000);
    history.deselected = BTreeSet::new();
    for settings in [("sweep_hours", json!(null)), ("page_size", json!(100)), ("checkpoint_every_pages", json!(5))] {
        history.tap.set(settings.0, settings.1);
    }
    history.keep_columns(&["subject", "refund_amount", "archived", "archived_at", "merged_into"]);
    history.sync(Killed::Nothing, false);
    let ids: Vec<u64> = history.members["tickets"].live.iter().copied().take(12_000).collect();
    assert_eq!(ids.len(), 12_000);
    history.portal.advance(Duration::from_secs(3 * 3600));
    history.portal.update_many("tickets", &ids, &[("subject", "bulk"), ("refund_amount", "12.5")]);
    // A portal of this size is cheaper to list; one that is larger is searched.
    history.printed.as_mut().expect("a state")["bookmarks"]["tickets"]["rows"] = 10_000_000.into();
    for killed in [Killed::Tap, Killed::Target, Killed::Target, Killed::Nothing] {
        history.portal.advance(Duration::from_secs(60));
        history.sync(killed, false);
    }
    history.assert_equal(&BTreeSet::new(), false);
    let changed = history.tables.table("tickets").rows.values();
    assert_eq!(changed.filter(|held| held.row["subject"].get() == "\"bulk\"").count(), 12_000);
}

/// A sweep against the row cache sends changes alone; what the target lost, and what the cache lost with it, it finds.
#[test]
fn with_a_cache_one_sync_with_a_sweep_makes_the_tables_the_portal() {
    for_seeds(true, true, |history| {
        history.live_through();
        history.assert_equal(&BTreeSet::new(), true);
    });
}

#[test]
fn without_sweeps_all_that_moved_a_modified_date_is_in_the_tables() {
    for_seeds(false, false, |history| {
        history.live_through();
        history.assert_equal(&history.traceless.clone(), false);
    });
}
