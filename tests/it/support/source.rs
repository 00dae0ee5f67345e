//! The Airbyte source as Airbyte runs it: a program with files for config, configured catalog and states.

use std::process::{Command, Stdio};

use serde_json::{Map, Value, json};

use super::messages::Row;
use super::tap::Tap;

/// What a run of the source left.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) lines: Vec<String>,
    pub(crate) messages: Vec<Value>,
    pub(crate) stderr: String,
}

/// `source-hubspot-tickets` in the folder of a tap, with its config.
pub(crate) fn command(tap: &Tap, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_source-hubspot-tickets"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("TAP_HUBSPOT") || name == "RUST_LOG" || name.to_lowercase().ends_with("_proxy") {
            command.env_remove(&*name);
        }
    }
    command.args(arguments).current_dir(tap.path("")).stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub(crate) fn run(tap: &Tap, arguments: &[&str]) -> Said {
    let output = command(tap, arguments).output().expect("the source runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8 on stdout");
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let message = |line: &String| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    Said {
        code: output.status.code(),
        messages: lines.iter().map(message).collect(),
        lines,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The streams that `discover` tells.
pub(crate) fn discover(tap: &Tap) -> Vec<Value> {
    let said = run(tap, &["discover", "--config", "config.json"]).succeeded();
    let catalog = said.of("CATALOG").pop().expect("a CATALOG");
    catalog["catalog"]["streams"].as_array().expect("streams").clone()
}

/// A configured catalog as Airbyte makes one: each stream incremental where it can be, else by full refresh.
pub(crate) fn configured(streams: &[Value], mode: impl Fn(&str) -> &'static str) -> Value {
    let configured = streams.iter().map(|stream| {
        let modes = stream["supported_sync_modes"].as_array().expect("modes");
        let wanted = mode(stream["name"].as_str().expect("a name"));
        let sync_mode = if modes.iter().any(|mode| mode == wanted) { wanted } else { "full_refresh" };
        json!({
            "stream": stream, "sync_mode": sync_mode, "destination_sync_mode": "append_dedup",
            "cursor_field": stream["default_cursor_field"], "primary_key": stream["source_defined_primary_key"],
            "generation_id": 1, "minimum_generation_id": 1, "sync_id": 1,
        })
    });
    json!({"streams": configured.collect::<Vec<_>>()})
}

/// Reads a configured catalog, from the states of an earlier read or from none.
pub(crate) fn read(tap: &Tap, catalog: &Value, states: &[Value]) -> Said {
    tap.write("configured.json", catalog);
    tap.write("states.json", &Value::from(states));
    run(tap, &["read", "--config", "config.json", "--catalog", "configured.json", "--state", "states.json"])
}

impl Said {
    /// Panics with what was said unless it ended with 0.
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        let errors = self.traces("ERROR");
        assert_eq!(self.code, Some(0), "{errors:?} {}", self.stderr);
        self
    }

    /// The messages of a type.
    pub(crate) fn of(&self, kind: &str) -> Vec<Value> {
        self.messages.iter().filter(|message| message["type"] == kind).cloned().collect()
    }

    /// The traces of a type.
    pub(crate) fn traces(&self, kind: &str) -> Vec<Value> {
        let traces = self.messages.iter().filter(|message| message["trace"]["type"] == kind);
        traces.map(|message| message["trace"].clone()).collect()
    }

    /// The one TRACE ERROR of a failed run.
    #[track_caller]
    pub(crate) fn error(&self) -> Value {
        let errors = self.traces("ERROR");
        assert_eq!((self.code, errors.len()), (Some(1), 1), "{errors:?} {}", self.stderr);
        errors[0]["error"].clone()
    }

    /// The records of a stream as they were written.
    pub(crate) fn records(&self, stream: &str) -> Vec<Row> {
        #[derive(serde::Deserialize)]
        struct Line {
            record: Option<Record>,
        }
        #[derive(serde::Deserialize)]
        struct Record {
            stream: String,
            data: Row,
        }
        let records = self.lines.iter().filter(|line| line.starts_with(r#"{"type":"RECORD""#));
        let records =
            records.map(|line| serde_json::from_str::<Line>(line).expect("a RECORD").record.expect("a record"));
        records.filter(|record| record.stream == stream).map(|record| record.data).collect()
    }

    /// The last state of each stream, as Airbyte keeps and hands them back: with keys of its own, most of them null.
    pub(crate) fn states(&self) -> Vec<Value> {
        let mut states = Map::new();
        for message in self.of("STATE") {
            let mut state = message["state"].clone();
            for key in ["global_", "data", "destinationStats"] {
                state[key] = Value::Null;
            }
            let name = state["stream"]["stream_descriptor"]["name"].as_str().expect("a name").to_owned();
            states.insert(name, state);
        }
        states.into_iter().map(|(_, state)| state).collect()
    }

    /// The statuses of a stream, in their order.
    pub(crate) fn statuses(&self, stream: &str) -> Vec<String> {
        let of_stream = |trace: &&Value| trace["stream_status"]["stream_descriptor"]["name"] == stream;
        let status = |trace: &Value| trace["stream_status"]["status"].as_str().expect("a status").to_owned();
        self.traces("STREAM_STATUS").iter().filter(of_stream).map(status).collect()
    }
}
