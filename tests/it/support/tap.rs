//! The tap as its users run it: a program in a folder with its config, catalog and state.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::messages::{self, Message};
use super::portal::Portal;

/// A folder with a config for one portal.
pub(crate) struct Tap {
    folder: TempDir,
    config: Map<String, Value>,
}

/// What a run left.
#[derive(Debug)]
pub(crate) struct Finished {
    /// None when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Tap {
    /// The least config that works: where the portal is and the token to it.
    pub(crate) fn of(portal: &Portal) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let Value::Object(config) = json!({"api_base_url": portal.url(), "access_token": portal.access_token()}) else {
            unreachable!("an object was written")
        };
        let tap = Self { folder, config };
        tap.write_config();
        tap
    }

    /// The same, without the pace that suits HubSpot: for portals without limits.
    pub(crate) fn unhurried(portal: &Portal) -> Self {
        let mut tap = Self::of(portal);
        tap.set("rate_limit", 100_000.into()).set("retry_delay_secs", json!(0.01));
        tap
    }

    /// Adds a setting.
    pub(crate) fn set(&mut self, setting: &str, value: Value) -> &mut Self {
        self.config.insert(setting.to_owned(), value);
        self.write_config();
        self
    }

    fn write_config(&self) {
        self.write("config.json", &Value::Object(self.config.clone()));
    }

    /// Where a file of this name is in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into the folder.
    pub(crate) fn write(&self, name: &str, content: &Value) {
        fs::write(self.path(name), content.to_string()).expect("a writable folder");
    }

    /// `tap-hubspot-tickets --config config.json` with these arguments behind.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare_command(&["--config", "config.json"]);
        command.args(arguments);
        command
    }

    /// `tap-hubspot-tickets` with these arguments alone, stderr going to the file `tap.log`.
    ///
    /// Nothing of the environment reaches it that could change what it does.
    pub(crate) fn bare_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tap-hubspot-tickets"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("TAP_HUBSPOT")
                || name.starts_with("HUBSPOT_")
                || name == "RUST_LOG"
                || name.to_lowercase().ends_with("_proxy")
            {
                command.env_remove(&*name);
            }
        }
        let log = File::create(self.path("tap.log")).expect("a writable folder");
        command.args(arguments);
        command.current_dir(self.folder.path()).stdin(Stdio::null()).stderr(log);
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        self.finish(self.command(arguments))
    }

    /// Runs a command made by this to its end.
    pub(crate) fn finish(&self, mut command: Command) -> Finished {
        let output = command.stdout(Stdio::piped()).output().expect("the tap runs");
        Finished { code: output.status.code(), stdout: output.stdout, stderr: self.log() }
    }

    /// Syncs with a catalog, and a state if there is one.
    pub(crate) fn sync_catalog(&self, catalog: &Value, state: Option<&Value>) -> Finished {
        self.write("catalog.json", catalog);
        match state {
            None => self.run(&["--catalog", "catalog.json"]),
            Some(state) => {
                self.write("state.json", state);
                self.run(&["--catalog", "catalog.json", "--state", "state.json"])
            }
        }
    }

    /// Discovers and keeps the catalog as `catalog.json`.
    pub(crate) fn discover(&self) -> Value {
        let finished = self.run(&["--discover"]).succeeded();
        let catalog = serde_json::from_slice(&finished.stdout).expect("a catalog");
        self.write("catalog.json", &catalog);
        catalog
    }

    /// Keeps a discovered catalog as `catalog.json` with these streams selected and no others.
    pub(crate) fn select_streams(&self, catalog: &Value, streams: &[&str]) {
        let mut catalog = catalog.clone();
        for entry in catalog["streams"].as_array_mut().expect("streams") {
            let selected = streams.iter().any(|name| entry["stream"] == *name);
            let metadata = entry["metadata"].as_array_mut().expect("metadata");
            let of_stream = metadata.iter_mut().find(|one| one["breadcrumb"] == json!([])).expect("the stream's own");
            of_stream["metadata"]["selected"] = selected.into();
        }
        self.write("catalog.json", &catalog);
    }

    /// Syncs from a state, or from none.
    pub(crate) fn sync(&self, state: Option<&Value>) -> Finished {
        match state {
            None => self.run(&[]),
            Some(state) => {
                self.write("state.json", state);
                self.run(&["--state", "state.json"])
            }
        }
    }

    /// What the last run wrote to stderr.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("tap.log")).expect("a log in UTF-8")
    }
}

impl Finished {
    /// Panics with what was said on stderr unless the run ended with 0.
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self
    }

    /// What stands in the last line of stderr, which is what orchestrators show.
    pub(crate) fn last_line(&self) -> &str {
        self.stderr.lines().last().unwrap_or_default()
    }

    /// How many lines of stderr contain a text.
    pub(crate) fn said(&self, text: &str) -> usize {
        self.stderr.lines().filter(|line| line.contains(text)).count()
    }

    /// stdout as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("UTF-8 on stdout")
    }

    /// The messages on stdout.
    pub(crate) fn messages(&self) -> Vec<Message> {
        messages::parse(&self.stdout)
    }
}
