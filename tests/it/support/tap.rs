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

    /// `tap-hubspot-tickets --config config.json` with these arguments behind, stderr going to the file `tap.log`.
    ///
    /// Nothing of the environment reaches it that could change what it does.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tap-hubspot-tickets"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("TAP_HUBSPOT")
                || name.starts_with("HUBSPOT_")
                || name.to_lowercase().ends_with("_proxy")
            {
                command.env_remove(&*name);
            }
        }
        let log = File::create(self.path("tap.log")).expect("a writable folder");
        command.args(["--config", "config.json"]).args(arguments);
        command.current_dir(self.folder.path()).stdin(Stdio::null()).stderr(log);
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        let output = self.command(arguments).stdout(Stdio::piped()).output().expect("the tap runs");
        Finished { code: output.status.code(), stdout: output.stdout, stderr: self.log() }
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

    /// The messages on stdout.
    pub(crate) fn messages(&self) -> Vec<Message> {
        messages::parse(&self.stdout)
    }
}
