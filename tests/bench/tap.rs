//! The tap under measurement: its config, its catalog, its runs.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::floor::{self, Replay};
use super::portal::Portal;
use super::process::{Cost, last_line, measure};
use super::publish;

/// The tap, built as it is released.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_tap-hubspot-tickets");

/// Configs, catalogs and outputs of one benchmark.
pub(crate) struct Work {
    pub(crate) folder: PathBuf,
}

/// A measured run of the tap, and what it asked for.
pub(crate) struct Run {
    pub(crate) cost: Cost,
    pub(crate) counts: BTreeMap<String, u64>,
}

impl Run {
    /// Requests of the general pool.
    pub(crate) fn general_calls(&self) -> u64 {
        self.counts.get("pool general").copied().unwrap_or(0)
    }

    /// Requests by endpoint, without the sums by pool and status.
    pub(crate) fn by_endpoint(&self) -> impl Iterator<Item = (&str, u64)> {
        self.counts
            .iter()
            .filter(|(name, _)| !name.starts_with("pool ") && !name.starts_with("status "))
            .map(|(name, count)| (name.as_str(), *count))
    }
}

impl Work {
    /// An empty folder below the build folder.
    pub(crate) fn new(bench: &str) -> Self {
        let folder = publish::folder().join("work").join(bench);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a writable build folder");
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn argument(&self, name: &str) -> String {
        self.path(name).to_str().expect("a path in UTF-8").to_owned()
    }

    pub(crate) fn write(&self, name: &str, value: &Value) {
        fs::write(self.path(name), value.to_string()).expect("a writable folder");
    }

    pub(crate) fn read(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(name)).expect("a file")).expect("JSON")
    }

    /// Writes `config.json` for a portal, with these settings besides.
    pub(crate) fn configure(&self, portal_url: &str, settings: &Value) {
        let mut config = json!({"access_token": floor::TOKEN, "api_base_url": portal_url});
        for (setting, value) in settings.as_object().expect("settings") {
            config[setting] = value.clone();
        }
        self.write("config.json", &config);
    }

    /// Discovers `catalog.json` and selects these streams alone, of tickets these properties (none: as discovered).
    pub(crate) fn select(&self, streams: &[&str], properties: Option<usize>) {
        let out = Command::new(PROGRAM)
            .args(["--config", &self.argument("config.json"), "--discover"])
            .output()
            .expect("the tap runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let mut catalog: Value = serde_json::from_slice(&out.stdout).expect("a catalog");
        for stream in catalog["streams"].as_array_mut().expect("streams") {
            let selected = streams.iter().any(|name| stream["stream"] == **name);
            let is_tickets = stream["stream"] == "tickets";
            let metadata = stream["metadata"].as_array_mut().expect("metadata");
            for entry in metadata.iter_mut().filter(|entry| entry["breadcrumb"] == json!([])) {
                entry["metadata"]["selected"] = selected.into();
            }
            if let (true, Some(count)) = (is_tickets, properties) {
                choose(metadata, count);
            }
        }
        self.write("catalog.json", &catalog);
    }

    /// Runs the tap, measured: its messages into `out.jsonl`, its log into `tap.log`.
    pub(crate) fn run(&self, portal: &Portal, state: Option<&str>) -> Run {
        portal.forget_requests();
        let cost = measure(Path::new(PROGRAM), &self.arguments(state), &self.path("out.jsonl"), &self.path("tap.log"));
        Run { cost, counts: portal.counts() }
    }

    /// Runs the tap with a command that takes its messages, both measured as one. The states that the command prints are
    /// kept in a file that the next run goes on from.
    pub(crate) fn run_into(&self, portal: &Portal, command: &str) -> Run {
        portal.forget_requests();
        let mut arguments = self.arguments(Some("state.json"));
        arguments.extend(["--output".to_owned(), command.to_owned()]);
        let cost = measure(Path::new(PROGRAM), &arguments, &self.path("out.jsonl"), &self.path("tap.log"));
        Run { cost, counts: portal.counts() }
    }

    /// How many records of a stream the last run wrote, as its log tells.
    pub(crate) fn records(&self, stream: &str) -> u64 {
        let log = fs::read_to_string(self.path("tap.log")).expect("a log");
        let head = format!(" INFO {stream}: ");
        let mut told = log.lines().filter_map(|line| line.strip_suffix(" records")?.split_once(&head));
        told.next_back()
            .and_then(|(_, count)| count.parse().ok())
            .unwrap_or_else(|| panic!("{stream}: no count in the log"))
    }

    fn arguments(&self, state: Option<&str>) -> Vec<String> {
        let mut arguments = vec!["--config".to_owned(), self.argument("config.json")];
        if self.path("catalog.json").exists() {
            arguments.extend(["--catalog".to_owned(), self.argument("catalog.json")]);
        }
        if let Some(state) = state {
            arguments.extend(["--state".to_owned(), self.argument(state)]);
        }
        arguments
    }

    /// Runs the tap with its messages read here, line by line, until `on_line` answers false; then kills it.
    pub(crate) fn run_until(&self, state: Option<&str>, mut on_line: impl FnMut(&[u8]) -> bool) {
        let mut tap = Command::new(PROGRAM)
            .args(self.arguments(state))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(self.path("tap.log")).expect("a writable folder"))
            .spawn()
            .expect("the tap runs");
        let mut messages = BufReader::with_capacity(1 << 20, tap.stdout.take().expect("a pipe"));
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = messages.read_until(b'\n', &mut line).expect("a pipe");
            assert!(read > 0, "the tap ended too soon: {}", last_line(&self.path("tap.log")));
            if !on_line(&line) {
                break;
            }
        }
        tap.kill().expect("a child");
        tap.wait().expect("a child");
    }

    /// Keeps the last STATE message of `out.jsonl` as a state file.
    pub(crate) fn keep_state(&self, name: &str) {
        let out = BufReader::new(File::open(self.path("out.jsonl")).expect("messages"));
        let lines = out.split(b'\n').map(|line| line.expect("a readable file"));
        let state = lines.filter(|line| is_state(line)).last().expect("a STATE message");
        fs::write(self.path(name), state).expect("a writable folder");
    }

    /// Keeps the first `most` requests for pages of tickets that the portal remembers, to be replayed.
    pub(crate) fn keep_pages(&self, portal: &Portal, most: usize) {
        self.write("requests.json", &portal.requests().into_iter().filter(is_page).take(most).collect());
    }

    /// Replays the pages kept through a floor program.
    pub(crate) fn replay(&self, kind: &str, portal: &Portal) -> (Cost, Replay) {
        let arguments = [floor::MODE.to_owned(), kind.to_owned(), portal.url.clone(), self.argument("requests.json")];
        let log = self.path("floor.log");
        let program = std::env::current_exe().expect("our own program");
        let cost = measure(&program, &arguments, &self.path("floor.jsonl"), &log);
        (cost, serde_json::from_str(&last_line(&log)).expect("what the replay met"))
    }
}

/// Whether a request is for pages of records.
fn is_page(request: &Value) -> bool {
    request["endpoint"] == "list tickets" || request["endpoint"] == "batch_read tickets"
}

/// Whether a line is a STATE message.
pub(crate) fn is_state(line: &[u8]) -> bool {
    line.starts_with(br#"{"type":"STATE""#)
}

/// Whether a line is a ticket's RECORD message.
pub(crate) fn is_ticket(line: &[u8]) -> bool {
    line.starts_with(br#"{"type":"RECORD","stream":"tickets""#)
}

/// Whether a ticket's RECORD message is of a live one: the archive's tombstones need less.
pub(crate) fn is_live(line: &[u8]) -> bool {
    line.windows(16).any(|bytes| bytes == br#""archived":false"#)
}

/// Selects `count` of the properties, evenly over all, and no others.
fn choose(metadata: &mut [Value], count: usize) {
    let is_property = |entry: &&mut Value| entry["metadata"].get("hubspot-property").is_some();
    let all = metadata.iter_mut().filter(is_property).count();
    assert!(count <= all, "{count} of {all} properties");
    for (at, entry) in metadata.iter_mut().filter(is_property).enumerate() {
        // One more whenever another whole `all / count` is passed.
        entry["metadata"]["selected"] = ((at + 1) * count / all > at * count / all).into();
    }
}
