//! The syncs of a history: their settings, what is killed in them, and what the target takes in.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use hubspot_sandbox::BEHAVIOURS;
use serde_json::json;

use super::History;
use crate::support::catalogs::{only, select};
use crate::support::messages::{Message, parse};

/// The exit code of a run whose answers contradict themselves.
const INCOMPLETE: i32 = 5;

/// What is killed in a sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Killed {
    Nothing,
    Tap,
    Target,
}

impl History {
    /// The catalog of the next run, kept as a file.
    pub(super) fn select(&mut self) {
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
    pub(super) fn sync(&mut self, killed: Killed, eventful: bool) {
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
    pub(super) fn set_out(&mut self) {
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
    pub(super) fn doubt(&mut self) {
        let names: Vec<_> = BEHAVIOURS.iter().map(|one| one.name).filter(|name| !name.starts_with("clock")).collect();
        let most = if self.rng.bool() { 3 } else { 0 };
        self.doubts = (0..self.rng.usize(..=most)).map(|_| names[self.rng.usize(..names.len())]).collect();
    }
}
