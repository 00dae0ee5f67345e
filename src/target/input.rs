//! Singer lines on stdin.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader};
use std::thread;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use thiserror::Error;
use tokio::sync::mpsc;

/// Lines read ahead of what is being delivered.
const QUEUE: usize = 2_000;
/// What a pipe gives at once.
const BUFFER_BYTES: usize = 256 << 10;

/// A line and where it stands.
#[derive(Debug)]
pub(super) struct Line {
    /// From 1.
    pub(super) number: u64,
    pub(super) text: String,
}

/// What a line says.
#[derive(Debug)]
pub(super) enum Message {
    Schema { stream: String, key_properties: Vec<String> },
    Record(Record),
    State(Box<RawValue>),
    ActivateVersion,
}

/// The fields of a record, each as its JSON text: numbers keep their digits.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) stream: String,
    pub(super) fields: BTreeMap<String, Box<RawValue>>,
    /// Given in a file of rejects: the line's position there is not its position in the delivery.
    pub(super) delivery_key: Option<String>,
}

/// A line that is no message.
#[derive(Debug, Error)]
pub(super) enum InputError {
    #[error("line {line} is not JSON: {reason}")]
    NotJson { line: u64, reason: String },
    #[error("line {line} is no Singer message: {reason}")]
    NotAMessage { line: u64, reason: String },
    #[error("line {line} has the type {found:?}, which is none of SCHEMA, RECORD, STATE and ACTIVATE_VERSION")]
    UnknownType { line: u64, found: String },
    #[error("line {line} is a RECORD of the stream {stream:?} before its SCHEMA")]
    NoSchema { line: u64, stream: String },
    #[error("stdin cannot be read after line {line}: {reason}")]
    Unreadable { line: u64, reason: io::Error },
}

#[derive(Deserialize)]
struct Envelope<'l> {
    #[serde(rename = "type")]
    kind: Option<String>,
    stream: Option<String>,
    #[serde(borrow)]
    record: Option<&'l RawValue>,
    #[serde(borrow)]
    value: Option<&'l RawValue>,
    schema: Option<Map<String, Value>>,
    key_properties: Option<Vec<String>>,
    delivery_key: Option<String>,
}

/// Reads stdin in a thread of its own until it ends or cannot be read.
pub(super) fn lines(input: impl io::Read + Send + 'static) -> mpsc::Receiver<Result<Line, InputError>> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    thread::spawn(move || {
        let mut input = BufReader::with_capacity(BUFFER_BYTES, input);
        let mut number = 0;
        loop {
            let mut bytes = Vec::new();
            let line = match input.read_until(b'\n', &mut bytes) {
                Ok(0) => return,
                Ok(_) => {
                    number += 1;
                    let text = String::from_utf8(bytes);
                    text.map(|text| Line { number, text })
                        .map_err(|_| InputError::NotJson { line: number, reason: "it is not UTF-8".to_owned() })
                }
                Err(reason) => Err(InputError::Unreadable { line: number, reason }),
            };
            let blank = line.as_ref().is_ok_and(|line| line.text.trim().is_empty());
            let broken = line.is_err();
            if !blank && sender.blocking_send(line).is_err() || broken {
                return;
            }
        }
    });
    receiver
}

/// Reads one line.
///
/// # Errors
/// When it is not JSON, or not what its type takes.
pub(super) fn parse(line: &Line) -> Result<Message, InputError> {
    let number = line.number;
    let refuse = |reason: &str| InputError::NotAMessage { line: number, reason: reason.to_owned() };
    let envelope: Envelope<'_> = serde_json::from_str(&line.text).map_err(|error| of_json(number, &error))?;
    let kind = envelope.kind.ok_or_else(|| refuse("it has no type"))?;
    let stream = envelope.stream.ok_or_else(|| refuse(&format!("a {kind} needs a stream")));
    match kind.as_str() {
        "SCHEMA" => {
            let stream = stream?;
            envelope.schema.ok_or_else(|| refuse("a SCHEMA needs a schema"))?;
            Ok(Message::Schema { stream, key_properties: envelope.key_properties.unwrap_or_default() })
        }
        "RECORD" => {
            let stream = stream?;
            let record = envelope.record.ok_or_else(|| refuse("a RECORD needs a record"))?;
            // What is wrong with it in particular could quote its values.
            let fields = serde_json::from_str(record.get())
                .map_err(|_| refuse("its record is no object with names and values"))?;
            Ok(Message::Record(Record { stream, fields, delivery_key: envelope.delivery_key }))
        }
        "STATE" => Ok(Message::State(envelope.value.ok_or_else(|| refuse("a STATE needs a value"))?.to_owned())),
        "ACTIVATE_VERSION" => Ok(Message::ActivateVersion),
        _ => Err(InputError::UnknownType { line: number, found: kind }),
    }
}

fn of_json(line: u64, error: &serde_json::Error) -> InputError {
    let reason = error.to_string();
    // The position is told as the line of the input, not as line 1 of itself.
    let reason = reason.split(" at line ").next().unwrap_or_default();
    let reason = format!("{reason} at column {}", error.column());
    if error.is_data() { InputError::NotAMessage { line, reason } } else { InputError::NotJson { line, reason } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        parse(&Line { number: 7, text: text.to_owned() }).expect_err("refused").to_string()
    }

    #[test]
    fn a_bad_line_is_told_by_its_number() {
        for (text, says) in [
            ("{", "line 7 is not JSON"),
            ("[]", "line 7"),
            ("{}", "it has no type"),
            (r#"{"type":"RECORD"}"#, "needs a stream"),
            (r#"{"type":"LOG","stream":"x"}"#, r#"the type "LOG""#),
            (r#"{"type":"RECORD","stream":"x"}"#, "needs a record"),
            (r#"{"type":"RECORD","stream":"x","record":[1]}"#, "no object"),
            (r#"{"type":"RECORD","stream":5,"record":{}}"#, "expected a string"),
            (r#"{"type":"STATE"}"#, "needs a value"),
            (r#"{"type":"SCHEMA","stream":"x"}"#, "needs a schema"),
        ] {
            let found = said(text);
            assert!(found.contains("line 7") && found.contains(says), "{text}: {found}");
        }
    }

    #[test]
    fn numbers_keep_their_digits() {
        let text = r#"{"type":"RECORD","stream":"x","record":{"a":12345678901234567890.10}}"#;
        let message = parse(&Line { number: 1, text: text.to_owned() }).expect("a message");
        let Message::Record(record) = message else { panic!("{message:?}") };
        assert_eq!(record.fields["a"].get(), "12345678901234567890.10");
    }
}
