//! One line of input, parsed once: the values of a record stay the text that they are.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::input::LineError;

/// What a line says.
#[derive(Debug)]
pub(super) enum Message<'l> {
    Schema { stream: String, schema: Map<String, Value>, key_properties: Vec<String> },
    Record(Record<'l>),
    State(&'l RawValue),
    ActivateVersion { stream: String, version: i64 },
}

/// A record with what its message says of it.
#[derive(Debug)]
pub(super) struct Record<'l> {
    pub(super) stream: Cow<'l, str>,
    pub(super) fields: Fields<'l>,
    /// A JSON string, or none.
    pub(super) time_extracted: Option<&'l str>,
    pub(super) version: Option<i64>,
}

/// Names and values of an object in their order, each value as its JSON text.
#[derive(Debug)]
pub(super) struct Fields<'l>(pub(super) Vec<(Cow<'l, str>, &'l str)>);

#[derive(Deserialize)]
struct Envelope<'l> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<Name<'l>>,
    #[serde(borrow, default)]
    stream: Option<Name<'l>>,
    #[serde(borrow, default)]
    record: Option<Fields<'l>>,
    #[serde(borrow, default)]
    time_extracted: Option<&'l RawValue>,
    version: Option<i64>,
    #[serde(borrow, default, deserialize_with = "null_too")]
    value: Option<&'l RawValue>,
    schema: Option<Map<String, Value>>,
    key_properties: Option<Vec<String>>,
}

/// A string that is borrowed from the line unless it holds an escape.
#[derive(Deserialize)]
struct Name<'l>(#[serde(borrow)] Cow<'l, str>);

/// A value that is there, though it may be null.
fn null_too<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads the line of this number.
///
/// # Errors
/// When it is not JSON, or not what its type takes.
pub(super) fn parse(line: u64, text: &str) -> Result<Message<'_>, LineError> {
    let refuse = |reason: &str| LineError::NotAMessage { line, reason: reason.to_owned() };
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|error| of_json(line, &error))?;
    let Some(Name(kind)) = envelope.kind else { return Err(refuse("it has no type")) };
    let stream = envelope.stream.map(|Name(stream)| stream);
    let stream = stream.ok_or_else(|| refuse(&format!("a {kind} needs a stream")));
    match kind.as_ref() {
        "RECORD" => {
            let fields = envelope.record.ok_or_else(|| refuse("a RECORD needs a record"))?;
            let time_extracted = envelope.time_extracted.map(RawValue::get).filter(|text| *text != "null");
            Ok(Message::Record(Record { stream: stream?, fields, time_extracted, version: envelope.version }))
        }
        "STATE" => Ok(Message::State(envelope.value.ok_or_else(|| refuse("a STATE needs a value"))?)),
        "SCHEMA" => {
            let schema = envelope.schema.ok_or_else(|| refuse("a SCHEMA needs a schema"))?;
            let key_properties = envelope.key_properties.unwrap_or_default();
            Ok(Message::Schema { stream: stream?.into_owned(), schema, key_properties })
        }
        "ACTIVATE_VERSION" => {
            let version = envelope.version.ok_or_else(|| refuse("an ACTIVATE_VERSION needs a version"))?;
            Ok(Message::ActivateVersion { stream: stream?.into_owned(), version })
        }
        _ => Err(LineError::UnknownType { line, found: kind.into_owned() }),
    }
}

fn of_json(line: u64, error: &serde_json::Error) -> LineError {
    let reason = error.to_string();
    // The position is told as the line of the input, not as line 1 of itself.
    let reason = reason.split(" at line ").next().unwrap_or_default();
    let reason = format!("{reason} at character {}", error.column());
    if error.is_data() { LineError::NotAMessage { line, reason } } else { LineError::NotJson { line, reason } }
}

impl<'de: 'l, 'l> Deserialize<'de> for Fields<'l> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with names and values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
            fields.push((name, value.get()));
        }
        Ok(Fields(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_line_is_told_by_its_number() {
        for (text, says) in [
            ("{", "line 7 is not JSON"),
            ("[]", "line 7"),
            ("{}", "it has no type"),
            (r#"{"type":"RECORD"}"#, "needs a record"),
            (r#"{"type":"RECORD","record":{}}"#, "needs a stream"),
            (r#"{"type":"LOG","stream":"x"}"#, r#"the type "LOG""#),
            (r#"{"type":"RECORD","stream":"x"}"#, "needs a record"),
            (r#"{"type":"RECORD","stream":"x","record":[1]}"#, "an object"),
            (r#"{"type":"RECORD","stream":"x","record":{"a":NaN}}"#, "not JSON"),
            (r#"{"type":"RECORD","stream":5,"record":{}}"#, "expected a string"),
            (r#"{"type":"STATE"}"#, "needs a value"),
            (r#"{"type":"SCHEMA","stream":"x"}"#, "needs a schema"),
            (r#"{"type":"ACTIVATE_VERSION","stream":"x"}"#, "needs a version"),
        ] {
            let found = parse(7, text).expect_err("refused").to_string();
            assert!(found.contains("line 7") && found.contains(says), "{text}: {found}");
        }
    }

    #[test]
    fn values_stay_the_text_that_they_are_whatever_the_order_of_the_keys() {
        let text =
            r#"{"record":{"a":12345678901234567890.10,"b\n": {"c" : [1e2]}},"version":5,"stream":"x","type":"RECORD"}"#;
        let Message::Record(record) = parse(1, text).expect("a message") else { panic!("a record") };
        let fields: Vec<_> = record.fields.0.iter().map(|(name, value)| (name.as_ref(), *value)).collect();
        assert_eq!(fields, [("a", "12345678901234567890.10"), ("b\n", r#"{"c" : [1e2]}"#)]);
        assert_eq!((record.version, record.stream.as_ref()), (Some(5), "x"));
    }
}
