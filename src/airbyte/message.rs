//! Airbyte's messages: one JSON object a line.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::now_millis;
use crate::extraction::Records;

/// Where a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// It is about to be read.
    Started,
    /// A record came.
    Running,
    /// All of it was read.
    Complete,
    /// The run ended before its end.
    Incomplete,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Started => "STARTED",
            Self::Running => "RUNNING",
            Self::Complete => "COMPLETE",
            Self::Incomplete => "INCOMPLETE",
        }
    }
}

/// A stream as messages name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Descriptor {
    pub(super) name: &'static str,
    /// As the configured catalog gives it.
    pub(super) namespace: Option<String>,
}

impl Descriptor {
    fn json(&self) -> Value {
        match &self.namespace {
            Some(namespace) => json!({"name": self.name, "namespace": namespace}),
            None => json!({"name": self.name}),
        }
    }
}

/// Writes one message as a line to stdout, whole.
///
/// # Errors
/// When stdout cannot be written to.
pub(super) fn write(message: &Value) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(&line(message))?;
    stdout.flush()
}

/// A message as a line.
pub(super) fn line(message: &Value) -> Vec<u8> {
    let mut line = message.to_string().into_bytes();
    line.push(b'\n');
    line
}

/// A TRACE of a kind, with what `key` holds.
fn trace(kind: &str, key: &str, value: &Value) -> Value {
    json!({"type": "TRACE", "trace": {"type": kind, "emitted_at": now_millis(), key: value}})
}

/// A stream's status.
pub(super) fn status(stream: &Descriptor, status: Status) -> Value {
    let status = json!({"stream_descriptor": stream.json(), "status": status.as_str()});
    trace("STREAM_STATUS", "stream_status", &status)
}

/// How many rows a stream is expected to have.
pub(super) fn estimate(stream: &Descriptor, rows: u64) -> Value {
    let mut estimate = stream.json();
    estimate["type"] = "STREAM".into();
    estimate["row_estimate"] = rows.into();
    trace("ESTIMATE", "estimate", &estimate)
}

/// Why a run failed.
pub(super) fn error(message: &str, internal_message: &str, failure_type: &str) -> Value {
    let error = json!({"message": message, "internal_message": internal_message, "failure_type": failure_type});
    trace("ERROR", "error", &error)
}

/// The outcome of a check.
pub(super) fn connection_status(failure: Option<&str>) -> Value {
    let status = match failure {
        None => json!({"status": "SUCCEEDED"}),
        Some(message) => json!({"status": "FAILED", "message": message}),
    };
    json!({"type": "CONNECTION_STATUS", "connectionStatus": status})
}

/// A config that is to be kept in place of the one given.
pub(super) fn control(config: &Map<String, Value>) -> Value {
    let control =
        json!({"type": "CONNECTOR_CONFIG", "emitted_at": now_millis(), "connectorConfig": {"config": config}});
    json!({"type": "CONTROL", "control": control})
}

/// A stream's state, which covers its last `records` records.
pub(super) fn state(stream: &Descriptor, state: &Value, records: u64) -> Value {
    let of_stream = json!({"stream_descriptor": stream.json(), "stream_state": state});
    json!({"type": "STATE", "state": {"type": "STREAM", "stream": of_stream, "sourceStats": {"recordCount": records}}})
}

/// Appends the RECORD lines of a page.
pub(super) fn encode_records(stream: &Descriptor, records: &Records, out: &mut Vec<u8>) {
    let mut begin = format!(r#"{{"type":"RECORD","record":{{"stream":"{}","#, stream.name);
    if let Some(namespace) = &stream.namespace {
        begin.push_str(&format!(r#""namespace":{},"#, Value::from(namespace.as_str())));
    }
    begin.push_str(r#""data":"#);
    let tail = String::from_utf8_lossy(&records.tail);
    let end = format!("{tail},\"emitted_at\":{}}}}}\n", records.extracted_at.timestamp_millis());
    for body in records.bodies() {
        out.extend_from_slice(begin.as_bytes());
        out.extend_from_slice(body);
        out.extend_from_slice(end.as_bytes());
    }
}
