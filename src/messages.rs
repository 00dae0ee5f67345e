//! Singer messages: one JSON object a line.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::extraction::{Extracted, Records, StreamSchema};
use crate::property::format_instant;
use crate::state::State;

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
enum Message<'m> {
    Schema {
        stream: &'m str,
        schema: &'m Value,
        key_properties: &'m [&'m str],
        #[serde(skip_serializing_if = "Option::is_none")]
        bookmark_properties: Option<[&'m str; 1]>,
    },
    State {
        value: &'m Map<String, Value>,
    },
    ActivateVersion {
        stream: &'m str,
        version: i64,
    },
}

/// Encodes what extraction yields.
///
/// # Errors
/// When `out` cannot be written to, as for all of these.
pub fn encode(yielded: Extracted, out: &mut impl Write) -> io::Result<()> {
    match yielded {
        Extracted::Records(records) => encode_records(&records, out),
        Extracted::ActivateVersion { stream, version } => encode_activate_version(stream, version, out),
        Extracted::Checkpoint(state) => encode_state(&state, out),
    }
}

/// Encodes a SCHEMA line.
///
/// # Errors
/// As [`encode`].
pub fn encode_schema(schema: &StreamSchema, out: &mut impl Write) -> io::Result<()> {
    let bookmark_properties = schema.replication_key.map(|key| [key]);
    let StreamSchema { stream, schema, key_properties, .. } = schema;
    line(&Message::Schema { stream, schema, key_properties, bookmark_properties }, out)
}

/// Encodes the RECORD lines of a page.
///
/// # Errors
/// As [`encode`].
pub fn encode_records(records: &Records, out: &mut impl Write) -> io::Result<()> {
    let begin = format!(r#"{{"type":"RECORD","stream":"{}","record":"#, records.stream);
    let end = format!(
        "{},\"version\":{},\"time_extracted\":\"{}\"}}\n",
        String::from_utf8_lossy(&records.tail),
        records.version,
        format_instant(records.extracted_at)
    );
    for body in records.bodies() {
        out.write_all(begin.as_bytes())?;
        out.write_all(body)?;
        out.write_all(end.as_bytes())?;
    }
    Ok(())
}

/// Encodes a STATE line.
///
/// # Errors
/// As [`encode`].
pub fn encode_state(state: &State, out: &mut impl Write) -> io::Result<()> {
    line(&Message::State { value: state.value() }, out)
}

/// Encodes an ACTIVATE_VERSION line.
///
/// # Errors
/// As [`encode`].
pub fn encode_activate_version(stream: &str, version: i64, out: &mut impl Write) -> io::Result<()> {
    line(&Message::ActivateVersion { stream, version }, out)
}

fn line(message: &Message<'_>, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, message)?;
    out.write_all(b"\n")
}
