//! Long random histories: the portal changes while syncs run, tap and target are killed, and in the end the target's
//! tables are the portal.
//!
//! `HISTORY_SEEDS=500 cargo test --test it history` runs more of them, `HISTORY_SEED=17` one of them alone.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::Stdio;
use std::time::Duration;

use fastrand::Rng;
use hubspot_sandbox::{BEHAVIOURS, Options, PropertyDef};
use serde_json::{Value, json};

use crate::support::catalogs::{only, select};
use crate::support::messages::{Message, Tables, parse};
use crate::support::portal::Portal;
use crate::support::selected::{OBJECTS, differences};
use crate::support::tap::Tap;

/// Seeds of each property when nothing else is asked for.
const SEEDS: u64 = 4;
/// Syncs of one history.
const SYNCS: usize = 14;
/// Tickets at its beginning.
const TICKETS: usize = 130;

/// The exit code of a run whose answers contradict themselves.
const INCOMPLETE: i32 = 5;

/// What is killed in a sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Killed {
    Nothing,
    Tap,
    Target,
}

/// Ids of one object type.
#[derive(Debug, Default)]
struct Members {
    live: Vec<u64>,
    archived: Vec<u64>,
}

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

    fn take_stock(&mut self) {
        let truth = self.portal.truth();
        for kind in OBJECTS {
            let members = self.members.entry(kind).or_default();
            for record in truth.list(kind).iter().filter(|record| record["merged_into"].is_null()) {
                match record["archived"] == true {
                    false => members.live.push(number(&record["id"])),
                    true if kind == "tickets" => members.archived.push(number(&record["id"])),
                    // The truth does not tell which tickets would show them again.
                    true => {}
                }
            }
        }
        for ticket in truth.list("tickets") {
            for kind in &OBJECTS[1..] {
                let ends = ticket["associations"][*kind].as_array().expect("associations");
                self.links.extend(ends.iter().map(|end| (number(&ticket["id"]), *kind, number(&end["id"]))));
            }
        }
    }

    fn note(&mut self, event: String) {
        self.log.push(format!("{} {event}", self.portal.now().format("%T%.3f")));
    }

    fn live(&mut self, kind: &'static str) -> u64 {
        let at = self.pick(kind, false);
        self.members[kind].live[at]
    }

    /// Where a record stands among those of its type: one of the latest, often, since trouble comes of several changes
    /// to one record.
    fn pick(&mut self, kind: &'static str, archived: bool) -> usize {
        let members = self.members.get_mut(kind).expect("a type");
        let from = if archived { &mut members.archived } else { &mut members.live };
        let latest = from.len().saturating_sub(5);
        let at = if self.rng.bool() { self.rng.usize(latest..from.len()) } else { self.rng.usize(..from.len()) };
        let id = from.remove(at);
        from.push(id);
        from.len() - 1
    }

    fn take(&mut self, kind: &'static str, archived: bool) -> Option<u64> {
        let count = |members: &Members| if archived { members.archived.len() } else { members.live.len() };
        if count(&self.members[kind]) < if archived { 1 } else { 8 } {
            return None;
        }
        let at = self.pick(kind, archived);
        let members = self.members.get_mut(kind).expect("a type");
        Some(if archived { members.archived.remove(at) } else { members.live.remove(at) })
    }

    fn kind(&mut self) -> &'static str {
        if self.rng.u8(..4) > 0 { "tickets" } else { OBJECTS[self.rng.usize(..4)] }
    }

    /// A ticket's modified date moved: whatever was hidden is read with it.
    fn bumped(&mut self, kind: &str, id: u64) {
        match kind {
            "tickets" => drop(self.traceless.remove(&id)),
            // What tickets show of it changes without a trace.
            _ => self.hide_tickets_of(kind, id),
        }
    }

    fn hidden(&mut self, kind: &str, id: u64) {
        match kind {
            "tickets" => drop(self.traceless.insert(id)),
            _ => self.hide_tickets_of(kind, id),
        }
    }

    fn hide_tickets_of(&mut self, kind: &str, id: u64) {
        let of_it = self.links.iter().filter(|(_, of, end)| *of == kind && *end == id);
        self.traceless.extend(of_it.map(|(ticket, ..)| *ticket));
    }

    /// Some values that records of a type can take.
    fn values(&mut self, kind: &str) -> Vec<(&'static str, String)> {
        let number = self.rng.u32(..).to_string();
        let text = format!("text {number}");
        match kind {
            "tickets" => match self.rng.u8(..5) {
                0 => vec![("subject", text)],
                1 => vec![("content", String::new()), ("refund_amount", format!("{number}.50"))],
                2 => vec![("hs_pipeline_stage", self.rng.u8(1..5).to_string())],
                3 => vec![("is_vip", ["true", "no", "perhaps"][self.rng.usize(..3)].to_owned())],
                _ => vec![("refund_amount", ["soon", "007", ""][self.rng.usize(..3)].to_owned()), ("subject", text)],
            },
            "contacts" => vec![("firstname", text)],
            "companies" => vec![("name", text)],
            _ => vec![("dealname", text)],
        }
    }

    /// Something happens in the portal.
    fn event(&mut self) {
        let pause = match self.rng.u8(..10) {
            0 => 0,
            1..=7 => self.rng.u64(1..20_000),
            _ => self.rng.u64(20_000..900_000),
        };
        self.portal.advance(Duration::from_millis(pause));
        let kind = self.kind();
        let bump = self.rng.bool();
        match self.rng.u8(..24) {
            0..=2 => self.create(kind),
            3..=6 => self.update(kind),
            7 => self.update_silently(kind),
            8..=9 => self.archive(kind),
            10..=11 => self.restore(kind, bump),
            12..=13 => self.merge(kind, bump),
            14 => self.delete_forever(kind),
            15..=18 => self.associate(bump),
            19..=20 => self.dissociate(bump),
            21 => self.update_many(),
            22 => self.change_selection(),
            _ => self.change_definitions(),
        }
    }

    fn create(&mut self, kind: &'static str) {
        let values = self.values(kind);
        let values: Vec<_> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let id = self.portal.create(kind, &values);
        self.note(format!("create {kind} {id}"));
        self.members.get_mut(kind).expect("a type").live.push(id);
    }

    fn update(&mut self, kind: &'static str) {
        let (id, values) = (self.live(kind), self.values(kind));
        self.note(format!("update {kind} {id} {values:?}"));
        let values: Vec<_> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.portal.update(kind, id, &values);
        self.bumped(kind, id);
    }

    fn update_silently(&mut self, kind: &'static str) {
        let (id, values) = (self.live(kind), self.values(kind));
        self.note(format!("update silently {kind} {id} {values:?}"));
        let values: Vec<_> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.portal.update_silently(kind, id, &values);
        self.hidden(kind, id);
    }

    fn update_many(&mut self) {
        let many = self.rng.usize(10..100);
        let ids: Vec<u64> = (0..many).map(|_| self.live("tickets")).collect();
        let values = self.values("tickets");
        self.note(format!("update {many} tickets {values:?}"));
        let values: Vec<_> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.portal.update_many("tickets", &ids, &values);
        for id in ids {
            self.bumped("tickets", id);
        }
    }

    fn archive(&mut self, kind: &'static str) {
        let Some(id) = self.take(kind, false) else { return };
        self.note(format!("archive {kind} {id}"));
        self.portal.archive(kind, id);
        self.members.get_mut(kind).expect("a type").archived.push(id);
        if kind != "tickets" {
            self.hidden(kind, id);
        }
    }

    fn restore(&mut self, kind: &'static str, bump: bool) {
        let Some(id) = self.take(kind, true) else { return };
        self.note(format!("restore {kind} {id}, bump {bump}"));
        self.portal.restore(kind, id, bump);
        self.members.get_mut(kind).expect("a type").live.push(id);
        if bump { self.bumped(kind, id) } else { self.hidden(kind, id) }
    }

    fn merge(&mut self, kind: &'static str, into_new: bool) {
        let (Some(winner), Some(loser)) = (self.take(kind, false), self.take(kind, false)) else { return };
        let survivor = match into_new {
            true => self.portal.merge_into_new(kind, winner, loser),
            false => self.portal.merge(kind, winner, loser),
        };
        self.note(format!("merge {kind} {winner} and {loser} into {survivor}"));
        self.members.get_mut(kind).expect("a type").live.push(survivor);
        for gone in [winner, loser] {
            let moved: Vec<_> = self.links.iter().filter(|link| link.0 == gone || link.2 == gone).copied().collect();
            for (ticket, of, end) in moved {
                let link =
                    if kind == "tickets" && ticket == gone { (survivor, of, end) } else { (ticket, of, survivor) };
                self.links.insert(link);
            }
            if kind != "tickets" {
                self.hidden(kind, gone);
            }
        }
        self.bumped(kind, survivor);
    }

    fn delete_forever(&mut self, kind: &'static str) {
        let archived = self.rng.bool();
        let Some(id) = self.take(kind, archived) else { return };
        self.note(format!("delete {kind} {id} for ever"));
        self.hidden(kind, id);
        self.portal.delete_forever(kind, id);
    }

    fn associate(&mut self, bump: bool) {
        let (ticket, to) = (self.live("tickets"), OBJECTS[self.rng.usize(1..4)]);
        let end = self.live(to);
        let primary = to == "companies" && self.rng.bool();
        let (type_id, label) = match (primary, self.rng.u8(..4)) {
            (true, _) => (26, None),
            (_, 0) => (91, Some("Reporter")),
            (_, 1) => (93, Some("Payer")),
            _ => (0, None),
        };
        self.note(format!("associate {ticket} with {to} {end}, type {type_id}, bump {bump}"));
        self.portal.associate("tickets", ticket, to, end, type_id, label);
        self.links.insert((ticket, to, end));
        self.touch(ticket, bump);
    }

    fn dissociate(&mut self, bump: bool) {
        let links: Vec<_> = self.links.iter().copied().collect();
        let (ticket, to, end) = links[self.rng.usize(..links.len())];
        self.links.remove(&(ticket, to, end));
        self.note(format!("dissociate {ticket} from {to} {end}, bump {bump}"));
        self.portal.dissociate("tickets", ticket, to, end);
        self.touch(ticket, bump && self.members["tickets"].live.contains(&ticket));
    }

    fn touch(&mut self, ticket: u64, bump: bool) {
        if bump {
            self.portal.touch("tickets", ticket);
            self.bumped("tickets", ticket);
        } else {
            self.hidden("tickets", ticket);
        }
    }

    /// What is selected grows, mostly.
    fn change_selection(&mut self) {
        match self.rng.u8(..4) {
            0 => {
                self.tap.set("associations", json!(["contacts", "companies", "deals"]));
                self.catalog = None;
                self.note("associations with deals too".to_owned());
            }
            1 => {
                let there = self.streams.remove("ticket_associations");
                if !there {
                    self.streams.insert("ticket_associations");
                }
                self.note(format!("ticket_associations selected: {}", !there));
            }
            2 => {
                let column = ["subject", "refund_amount", "primary_company"][self.rng.usize(..3)];
                self.note(format!("{column} deselected"));
                self.deselected.insert(("tickets", column.to_owned()));
            }
            _ => {
                self.note(format!("selected again: {:?}", self.deselected));
                self.deselected.clear();
            }
        }
    }

    /// Properties come, and their types and labels change.
    fn change_definitions(&mut self) {
        self.catalog = None;
        let mut kinds = vec![("string", "text")];
        if self.sweeps {
            // Text that becomes a number is sent as a number from then on, in rows that are read.
            kinds.extend([("number", "number"), ("datetime", "date")]);
        }
        let (kind, field_type) = kinds[self.rng.usize(..kinds.len())];
        match self.rng.u8(..4) {
            0 => {
                let name = format!("extra_{}", self.rng.u16(..));
                self.note(format!("define {name}"));
                self.portal.define_property("tickets", PropertyDef::new(&name, "number", "number"));
            }
            1 => {
                self.note("relabel an association".to_owned());
                let (ticket, contact) = (self.live("tickets"), self.live("contacts"));
                let label = format!("Reporter {}", self.rng.u8(..));
                self.portal.associate("tickets", ticket, "contacts", contact, 91, Some(&label));
                self.links.insert((ticket, "contacts", contact));
                self.traceless.extend(self.links.iter().map(|(ticket, ..)| *ticket));
            }
            _ => {
                let name = ["refund_amount", "is_vip", "incident_started_at"][self.rng.usize(..3)];
                self.note(format!("{name} becomes {kind}"));
                self.portal.change_property_type("tickets", name, kind, field_type);
            }
        }
    }

    /// The catalog of the next run, kept as a file.
    fn select(&mut self) {
        if self.catalog.is_none() {
            self.catalog = Some(self.tap.discover());
        }
        let streams: Vec<&str> = self.streams.iter().copied().collect();
        let mut catalog = only(self.catalog.as_ref().expect("a catalog"), &streams);
        for (stream, column) in &self.deselected {
            select(&mut catalog, stream, column, false);
        }
        self.tap.write("catalog.json", &catalog);
    }

    /// Syncs from the last state that the target printed.
    fn sync(&mut self, killed: Killed, eventful: bool) {
        self.select();
        let mut arguments = vec!["--catalog", "catalog.json"];
        if let Some(state) = &self.printed {
            self.tap.write("state.json", state);
            arguments.extend(["--state", "state.json"]);
        }
        let cut = self.rng.usize(1..self.lines.max(2));
        let doubts = std::mem::take(&mut self.doubts);
        self.note(format!("sync, killed {killed:?} at {cut}, while {doubts:?}"));
        doubts.iter().for_each(|name| self.portal.behave(name));
        let mut child = self.tap.command(&arguments).stdout(Stdio::piped()).spawn().expect("the tap runs");
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (mut stdout, mut count) = (Vec::new(), 0);
        while output.read_until(b'\n', &mut stdout).expect("a readable pipe") > 0 {
            count += 1;
            if eventful && self.rng.u8(..40) == 0 {
                self.event();
            }
            if count == cut && killed != Killed::Nothing {
                // What it wrote into the pipe behind that line might as well not have been written.
                child.kill().expect("a running tap");
                break;
            }
        }
        let code = child.wait().expect("a child").code();
        // What contradicts itself to the end of a run leaves it incomplete.
        let is_clear = code == Some(0) || (code == Some(INCOMPLETE) && !doubts.is_empty());
        assert!(killed != Killed::Nothing || is_clear, "exit code {code:?}: {}", self.tap.log());
        self.portal.clear_faults();
        let messages = parse(&stdout);
        if killed == Killed::Nothing {
            self.lines = messages.len().max(40);
        }
        self.load(&messages, killed);
    }

    /// The target takes the messages in; a killed one has written some rows of each stream, and printed a state that is
    /// covered by them or an older one.
    fn load(&mut self, messages: &[Message], killed: Killed) {
        if killed != Killed::Target {
            self.tables.load(messages);
            self.printed = self.tables.state.clone();
            return;
        }
        let covered = self.rng.usize(..=messages.len());
        let mut written: BTreeMap<Option<&str>, usize> = BTreeMap::new();
        for (index, message) in messages.iter().enumerate() {
            let stream = message.stream.as_deref();
            let rng = &mut self.rng;
            let most = *written.entry(stream).or_insert_with(|| rng.usize(covered..=messages.len()));
            if message.kind == "STATE" {
                if index < covered {
                    self.printed = message.value.clone();
                }
            } else if index < most {
                self.tables.load([message]);
            }
        }
        self.tables.state = self.printed.clone();
    }

    /// Settings of one run.
    fn set_out(&mut self) {
        let rng = &mut self.rng;
        let sweep_hours = if self.sweeps {
            [json!(null), json!(0), json!(1), json!(168)][rng.usize(..4)].clone()
        } else {
            json!(null)
        };
        let settings = [
            ("sweep_hours", sweep_hours),
            ("sweep_minutes", [json!(0), json!(30)][rng.usize(..2)].clone()),
            ("archive_hours", [json!(0), json!(0), json!(1)][rng.usize(..3)].clone()),
            ("page_size", [7, 20, 100][rng.usize(..3)].into()),
            ("checkpoint_every_pages", rng.u32(1..5).into()),
        ];
        for (name, value) in settings {
            self.tap.set(name, value);
        }
    }

    /// Behaviours for the next sync, in every second one up to three. Not those of the clock: the portal's stands in the
    /// past, so that this machine's is no second source.
    fn doubt(&mut self) {
        let names: Vec<_> = BEHAVIOURS.iter().map(|one| one.name).filter(|name| !name.starts_with("clock")).collect();
        let most = if self.rng.bool() { 3 } else { 0 };
        self.doubts = (0..self.rng.usize(..=most)).map(|_| names[self.rng.usize(..names.len())]).collect();
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

fn number(id: &Value) -> u64 {
    id.as_str().and_then(|id| id.parse().ok()).expect("an id")
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
