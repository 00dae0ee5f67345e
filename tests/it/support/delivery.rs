//! `target-hubspot` as its users run it: a program in a folder with its config, and lines on stdin.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::portal::Portal;
use super::tap::Finished;

/// A folder with a config for one portal.
pub(crate) struct Target {
    folder: TempDir,
    config: Map<String, Value>,
}

impl Target {
    /// Without the pace that suits HubSpot: for portals without limits.
    pub(crate) fn of(portal: &Portal) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let Value::Object(config) = json!({
            "api_base_url": portal.url(),
            "access_token": portal.access_token(),
            "rate_limit": 100_000,
            "retry_delay_secs": 0.01,
            "rejects_path": "rejects.jsonl",
            // Most deliveries of the tests have more faults than records that are right.
            "max_rejects": "100%",
        }) else {
            unreachable!("an object was written")
        };
        let target = Self { folder, config };
        target.write_config();
        target
    }

    /// Adds a setting; null takes it away.
    pub(crate) fn set(&mut self, setting: &str, value: Value) -> &mut Self {
        self.config.insert(setting.to_owned(), value);
        self.write_config();
        self
    }

    fn write_config(&self) {
        fs::write(self.path("target.json"), Value::Object(self.config.clone()).to_string()).expect("a writable folder");
    }

    /// Where a file of this name is in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `target-hubspot` with these arguments alone, stderr going to the file `target.log`.
    pub(crate) fn bare_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_target-hubspot"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("TARGET_HUBSPOT_")
                || name.starts_with("HUBSPOT_")
                || name == "RUST_LOG"
                || name.to_lowercase().ends_with("_proxy")
            {
                command.env_remove(&*name);
            }
        }
        let log = File::create(self.path("target.log")).expect("a writable folder");
        command.args(arguments);
        command.current_dir(self.folder.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        command
    }

    /// `target-hubspot --config target.json` with these arguments behind.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare_command(&["--config", "target.json"]);
        command.args(arguments);
        command
    }

    /// Begins to deliver a file of the folder.
    pub(crate) fn start(&self, file: &str) -> Child {
        let input = File::open(self.path(file)).expect("the input");
        self.command(&[]).stdin(Stdio::from(input)).spawn().expect("the target runs")
    }

    /// Delivers text.
    pub(crate) fn deliver_text(&self, text: &str, arguments: &[&str]) -> Finished {
        fs::write(self.path("input.jsonl"), text).expect("a writable folder");
        let input = File::open(self.path("input.jsonl")).expect("the input");
        let mut command = self.command(arguments);
        command.stdin(Stdio::from(input));
        self.finish(command)
    }

    /// Delivers messages, one a line.
    pub(crate) fn deliver(&self, messages: &[Value]) -> Finished {
        self.deliver_text(&lines(messages), &[])
    }

    /// Runs a command made by this to its end.
    pub(crate) fn finish(&self, mut command: Command) -> Finished {
        let output = command.output().expect("the target runs");
        Finished { code: output.status.code(), stdout: output.stdout, stderr: self.log() }
    }

    /// What the last run wrote to stderr.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("target.log")).expect("a log in UTF-8")
    }

    /// The lines of the file of rejects.
    pub(crate) fn rejects(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("rejects.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// The lines of the file of results.
    pub(crate) fn results(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("results.jsonl")).expect("a file of results");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

/// Messages as a pipe carries them.
pub(crate) fn lines(messages: &[Value]) -> String {
    messages.iter().map(|message| format!("{message}\n")).collect()
}

/// A SCHEMA of these keys.
pub(crate) fn schema(stream: &str, keys: &[&str]) -> Value {
    json!({"type": "SCHEMA", "stream": stream, "schema": {"properties": {}}, "key_properties": keys})
}

/// A RECORD.
pub(crate) fn record(stream: &str, record: Value) -> Value {
    json!({"type": "RECORD", "stream": stream, "record": record})
}

/// A STATE.
pub(crate) fn state(value: Value) -> Value {
    json!({"type": "STATE", "value": value})
}

/// A contact with all that a new one needs.
pub(crate) fn contact(email: &str) -> Value {
    record("contacts", json!({"email": email, "firstname": "Ann", "lastname": "Abel", "phone": "+1 555 0100"}))
}

/// The live records of a type, as the portal has them.
pub(crate) fn live(portal: &Portal, object_type: &str) -> Vec<Value> {
    let truth = portal.truth_of();
    let records = truth[object_type].as_array().expect("records");
    records.iter().filter(|one| one["archived"] == false && one["merged_into"].is_null()).cloned().collect()
}

/// The live record that has a value of a property.
#[track_caller]
pub(crate) fn with(portal: &Portal, object_type: &str, property: &str, value: &str) -> Value {
    let mut found: Vec<Value> =
        live(portal, object_type).into_iter().filter(|one| one["properties"][property] == value).collect();
    assert_eq!(found.len(), 1, "{object_type} with {property} = {value}");
    found.remove(0)
}

/// The ids of a record's associations with a type, in text.
pub(crate) fn ends(record: &Value, object_type: &str) -> Vec<String> {
    let ends = record["associations"][object_type].as_array().expect("ends");
    ends.iter().map(|end| end["id"].as_str().expect("an id").to_owned()).collect()
}
