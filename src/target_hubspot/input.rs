//! Singer messages on the lines of stdin.

use std::collections::BTreeMap;
use std::{fmt, io};

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::wording::quoted;

/// Where a line belongs that names no stream.
pub(super) const STDIN: &str = "stdin";

/// A line and its position in the input.
#[derive(Debug)]
pub(super) struct Line {
    /// From 1.
    pub(super) number: u64,
    pub(super) text: String,
    /// Why it holds no message, where that is known already.
    pub(super) fault: Option<LineFault>,
}

/// Why a line holds no message.
#[derive(Debug)]
pub(super) struct LineFault {
    pub(super) stream: String,
    pub(super) reason: String,
}

/// A line that holds no message, for the file of rejects.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) stream: String,
    /// `{"type":"UNREADABLE","stream":…,"text":…}`, with the line as its text.
    pub(super) text: String,
    pub(super) reason: String,
}

/// The message on a line.
#[derive(Debug)]
pub(super) enum InputMessage {
    Schema {
        stream: String,
        key_properties: Vec<String>,
    },
    Record(InputRecord),
    State(Box<RawValue>),
    ActivateVersion,
    /// The line is rejected, and the run continues.
    Unreadable(Unreadable),
}

/// The fields of a record, each as its JSON text: numbers keep their digits.
#[derive(Debug)]
pub(super) struct InputRecord {
    pub(super) stream: String,
    pub(super) fields: BTreeMap<String, Box<RawValue>>,
    /// Given in a file of rejects: the line's position there is not its position in the delivery.
    pub(super) delivery_key: Option<String>,
}

/// An input of another form than the options say.
#[derive(Debug, Error)]
pub(super) enum InputError {
    #[error("the header of the CSV file cannot be used: {reason}")]
    Header { reason: String },
    #[error("stdin is a list; write one record a line, as `jq -c '.[]'` does")]
    List,
    #[error("stdin is {what}")]
    NoText { what: &'static str },
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
    #[serde(borrow, default, deserialize_with = "null_too")]
    value: Option<&'l RawValue>,
    schema: Option<Map<String, Value>>,
    key_properties: Option<Vec<String>>,
    delivery_key: Option<String>,
}

/// A member that is there, be it null.
pub(super) fn null_too<'de: 'l, 'l, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'l RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

/// The members of an object.
#[derive(Debug, Default)]
pub(super) struct ObjectMembers {
    values: BTreeMap<String, Box<RawValue>>,
    /// A field that the object has twice, with two values.
    twice: Option<String>,
}

impl ObjectMembers {
    /// The members, where none has two values.
    ///
    /// # Errors
    /// A sentence that names the one that has.
    pub(super) fn once(self) -> Result<BTreeMap<String, Box<RawValue>>, String> {
        match self.twice {
            Some(field) => Err(format!("the field {field} stands twice with two values; leave one of them out")),
            None => Ok(self.values),
        }
    }
}

impl<'de> Deserialize<'de> for ObjectMembers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EachMember;
        impl<'de> Visitor<'de> for EachMember {
            type Value = ObjectMembers;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<ObjectMembers, M::Error> {
                let mut fields = ObjectMembers::default();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    if fields.values.get(&name).is_some_and(|known| known.get() != value.get()) {
                        fields.twice.get_or_insert_with(|| name.clone());
                    }
                    fields.values.insert(name, value);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(EachMember)
    }
}

impl InputError {
    /// Whether the lines before the error are delivered, as the end of its sentence.
    pub(super) fn delivered_before(&self) -> &'static str {
        match self {
            Self::Header { .. } | Self::List | Self::NoText { .. } => "",
            _ => "; what came before it is delivered",
        }
    }
}

impl Unreadable {
    fn new(stream: &str, line: &str, reason: String) -> Self {
        let text = json!({"type": "UNREADABLE", "stream": stream, "text": line}).to_string();
        Self { stream: stream.to_owned(), text, reason }
    }
}

/// Reads one line. What is wrong with a record is no error: the line is [`InputMessage::Unreadable`].
///
/// # Errors
/// When the line is of no type that a Singer message has, or is a SCHEMA or STATE without what these need.
pub(super) fn parse(line: &Line) -> Result<InputMessage, InputError> {
    let number = line.number;
    let refuse = |reason: &str| InputError::NotAMessage { line: number, reason: reason.to_owned() };
    let unreadable =
        |stream: &str, reason: String| Ok(InputMessage::Unreadable(Unreadable::new(stream, line.text.trim(), reason)));
    if let Some(fault) = &line.fault {
        return unreadable(&fault.stream, fault.reason.clone());
    }
    let envelope: Envelope<'_> = match serde_json::from_str(&line.text) {
        Ok(envelope) => envelope,
        // Without this SCHEMA the run would identify records by other keys.
        Err(error) if error.is_data() && is_no_record(&line.text) => {
            return Err(refuse(&of_json(&line.text, &error)));
        }
        Err(error) => return unreadable(STDIN, of_json(&line.text, &error)),
    };
    let kind =
        envelope.kind.ok_or_else(|| refuse("it has no type; for plain records name their stream with --stream"))?;
    match (kind.as_str(), envelope.stream) {
        ("SCHEMA", Some(stream)) => {
            envelope.schema.ok_or_else(|| refuse("a SCHEMA needs a schema"))?;
            Ok(InputMessage::Schema { stream, key_properties: envelope.key_properties.unwrap_or_default() })
        }
        ("RECORD", Some(stream)) => {
            // What is wrong with it in particular could quote its values.
            let members = envelope.record.and_then(|record| serde_json::from_str::<ObjectMembers>(record.get()).ok());
            let no_object = || "its record is no object with names and values".to_owned();
            match members.ok_or_else(no_object).and_then(ObjectMembers::once) {
                Ok(fields) => {
                    Ok(InputMessage::Record(InputRecord { stream, fields, delivery_key: envelope.delivery_key }))
                }
                Err(reason) => unreadable(&stream, reason),
            }
        }
        ("RECORD", None) => unreadable(STDIN, "a RECORD needs a stream".to_owned()),
        ("SCHEMA", None) => Err(refuse("a SCHEMA needs a stream")),
        ("UNREADABLE", stream) => {
            let stream = stream.unwrap_or_else(|| STDIN.to_owned());
            let reason = "it could not be read in an earlier delivery; put the RECORD that it should be in its place, \
                          with the delivery_key of this line where it has one";
            Ok(InputMessage::Unreadable(Unreadable {
                stream,
                text: line.text.trim().to_owned(),
                reason: reason.to_owned(),
            }))
        }
        ("STATE", _) => {
            Ok(InputMessage::State(envelope.value.ok_or_else(|| refuse("a STATE needs a value"))?.to_owned()))
        }
        ("ACTIVATE_VERSION", _) => Ok(InputMessage::ActivateVersion),
        _ => Err(InputError::UnknownType { line: number, found: kind }),
    }
}

/// Whether a text is a SCHEMA or STATE, be it with members of wrong types.
fn is_no_record(text: &str) -> bool {
    #[derive(Deserialize)]
    struct Kind {
        #[serde(rename = "type")]
        kind: String,
    }
    serde_json::from_str::<Kind>(text).is_ok_and(|one| ["SCHEMA", "STATE"].contains(&one.kind.as_str()))
}

/// What is wrong with a text that is no JSON object, or has members of other types than a message.
pub(super) fn of_json(text: &str, error: &serde_json::Error) -> String {
    let reason = error.to_string();
    // The error names the line of the input, not line 1 of this text.
    let reason = reason.split(" at line ").next().unwrap_or_default();
    let column = error.column();
    if error.is_data() {
        return format!("it is no message: {reason}");
    }
    if error.is_eof() {
        return format!("{} is not JSON: it ends in the middle; write each record on one line", quoted(text));
    }
    let at = text.get(column.saturating_sub(1)..).unwrap_or_default();
    match at.starts_with("Infinity") || at.starts_with("-Infinity") || at.starts_with("nfinity") {
        true => "Infinity is no value; leave the field out or write null".to_owned(),
        false => format!("{} is not JSON: {reason} at column {column}", quoted(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        Line { number: 7, text: text.to_owned(), fault: None }
    }

    #[test]
    fn what_is_no_message_at_all_ends_the_run() {
        for (text, says) in [
            ("{}", "it has no type; for plain records name their stream with --stream"),
            (r#"{"type":"LOG","stream":"x"}"#, r#"the type "LOG""#),
            (r#"{"type":"STATE"}"#, "needs a value"),
            (r#"{"type":"SCHEMA","stream":"x"}"#, "needs a schema"),
            (r#"{"type":"SCHEMA","stream":"x","schema":{},"key_properties":"id"}"#, "expected a sequence"),
        ] {
            let found = parse(&line(text)).expect_err(text).to_string();
            assert!(found.contains("line 7") && found.contains(says), "{text}: {found}");
        }
    }

    #[test]
    fn a_record_that_cannot_be_read_is_rejected_alone() {
        for (text, stream, says) in [
            ("{\"type\":\"RECORD\"", "stdin", "is not JSON: it ends in the middle; write each record on one line"),
            ("[]", "stdin", "it is no message"),
            (r#"{"type":"RECORD"}"#, "stdin", "needs a stream"),
            (r#"{"type":"RECORD","stream":"x"}"#, "x", "no object"),
            (r#"{"type":"RECORD","stream":"x","record":[1]}"#, "x", "no object"),
            (r#"{"type":"RECORD","stream":"x","record":{"a":1,"b":2,"a":3}}"#, "x", "the field a stands twice"),
            (r#"{"type":"RECORD","stream":5,"record":{}}"#, "stdin", "expected a string"),
            (r#"{"type":"RECORD","stream":"x","record":{"a":-Infinity}}"#, "stdin", "Infinity is no value"),
            (r#"{"type":"RECORD","stream":"x","record":{"a":Infinity}}"#, "stdin", "Infinity is no value"),
        ] {
            let Ok(InputMessage::Unreadable(found)) = parse(&line(text)) else { panic!("{text}") };
            assert_eq!(found.stream, stream);
            assert!(found.reason.contains(says), "{text}: {}", found.reason);
            let again = parse(&line(&found.text)).expect("a line of the file of rejects");
            let InputMessage::Unreadable(again) = again else { panic!("{}", found.text) };
            assert!(again.text == found.text && again.reason.contains("put the RECORD"), "{}", again.reason);
        }
    }

    #[test]
    fn a_field_that_says_the_same_twice_is_taken() {
        let text = r#"{"type":"RECORD","stream":"x","record":{"a":1,"a":1}}"#;
        let Ok(InputMessage::Record(record)) = parse(&line(text)) else { panic!("{text}") };
        assert_eq!(record.fields.len(), 1);
    }

    #[test]
    fn numbers_keep_their_digits() {
        let text = r#"{"type":"RECORD","stream":"x","record":{"a":12345678901234567890.10}}"#;
        let message = parse(&line(text)).expect("a message");
        let InputMessage::Record(record) = message else { panic!("{message:?}") };
        assert_eq!(record.fields["a"].get(), "12345678901234567890.10");
    }
}
