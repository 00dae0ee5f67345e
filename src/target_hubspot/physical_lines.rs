//! Lines of the input as they stand, and the stream of an input that names none.

use std::io::BufRead;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::input::{InputError, Line, LineFault, STDIN, null_too, of_json};

/// The stream of an input that names none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PlainStream {
    pub(super) name: String,
    pub(super) key_properties: Vec<String>,
}

/// Takes lines; false: no more are wanted.
pub(super) type LineSink<'s> = dyn FnMut(Result<Line, InputError>) -> bool + 's;

/// A line that is not UTF-8.
pub(super) fn not_utf8(number: u64, stream: &str, bytes: &[u8]) -> Line {
    #[derive(Deserialize)]
    struct NamedStream {
        stream: String,
    }
    let text = String::from_utf8_lossy(bytes).trim_end().to_owned();
    let valid = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
    let byte = bytes.get(valid).copied().unwrap_or_default();
    let reason =
        format!("byte {} (0x{byte:02X}) is not UTF-8; save the file as UTF-8 and send this line again", valid + 1);
    let named = (stream == STDIN).then(|| serde_json::from_str::<NamedStream>(&text).ok()).flatten();
    let stream = named.map_or_else(|| stream.to_owned(), |named| named.stream);
    Line { number, text, fault: Some(LineFault { stream, reason }) }
}

/// The input's lines with their numbers and their line ends.
#[derive(Debug)]
pub(super) struct PhysicalLines<R> {
    input: R,
    number: u64,
    ended: bool,
}

/// What files begin with that are no text: Excel's workbooks, compressed files, UTF-16.
const NO_TEXT: [(&[u8], &str); 4] = [
    (b"PK\x03\x04", "a zip file or an Excel workbook; save it as CSV in UTF-8"),
    (b"\x1f\x8b", "compressed; put `gunzip -c` in front"),
    (b"\xff\xfe", "UTF-16; save it as UTF-8"),
    (b"\xfe\xff", "UTF-16; save it as UTF-8"),
];

impl<R: BufRead> PhysicalLines<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, number: 0, ended: false }
    }

    /// The next line; none at the end.
    pub(super) fn next(&mut self) -> Option<Result<(u64, Vec<u8>), InputError>> {
        if self.ended {
            return None;
        }
        let mut bytes = Vec::new();
        let read = self.input.read_until(b'\n', &mut bytes);
        self.ended = !matches!(read, Ok(length) if length > 0);
        match read {
            Ok(0) => None,
            Ok(_) => {
                self.number += 1;
                if self.number == 1
                    && let Err(error) = text_begins(&mut bytes)
                {
                    self.ended = true;
                    return Some(Err(error));
                }
                Some(Ok((self.number, bytes)))
            }
            Err(reason) => Some(Err(InputError::Unreadable { line: self.number, reason })),
        }
    }
}

/// Takes the mark off that some programs put in front of UTF-8, and refuses what is no text.
fn text_begins(bytes: &mut Vec<u8>) -> Result<(), InputError> {
    if let Some((_, what)) = NO_TEXT.iter().find(|(begin, _)| bytes.starts_with(begin)) {
        return Err(InputError::NoText { what });
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    Ok(())
}

impl PlainStream {
    /// The SCHEMA of a stream whose input has none.
    pub(super) fn schema(&self, number: u64) -> Line {
        let Self { name, key_properties } = self;
        let schema = json!({"properties": {}});
        let message = json!({"type": "SCHEMA", "stream": name, "key_properties": key_properties, "schema": schema});
        Line { number, text: message.to_string(), fault: None }
    }

    /// The line of an object, or of a Singer message. A line that is no JSON keeps its text for the error.
    pub(super) fn line(&self, number: u64, text: String) -> Line {
        if is_singer(&text) {
            return Line { number, text, fault: None };
        }
        match serde_json::from_str::<&RawValue>(&text) {
            Ok(object) => Line { number, text: self.record(object.get()), fault: None },
            Err(error) => {
                let fault = LineFault { stream: self.name.clone(), reason: of_json(&text, &error) };
                Line { number, text, fault: Some(fault) }
            }
        }
    }

    /// The RECORD of an object, whose text is kept as it is.
    pub(super) fn record(&self, object: &str) -> String {
        format!(r#"{{"type":"RECORD","stream":{},"record":{object}}}"#, json!(self.name))
    }
}

/// Whether a line is a Singer message and not a record that has a field called `type`.
fn is_singer(text: &str) -> bool {
    #[derive(Deserialize)]
    struct Envelope<'l> {
        #[serde(rename = "type")]
        kind: String,
        stream: Option<String>,
        #[serde(borrow)]
        record: Option<&'l RawValue>,
        #[serde(borrow)]
        schema: Option<&'l RawValue>,
        #[serde(borrow, default, deserialize_with = "null_too")]
        value: Option<&'l RawValue>,
        #[serde(borrow)]
        text: Option<&'l RawValue>,
    }
    let Ok(envelope) = serde_json::from_str::<Envelope<'_>>(text) else { return false };
    let of_stream = envelope.stream.is_some();
    match envelope.kind.as_str() {
        "RECORD" => of_stream && envelope.record.is_some(),
        "SCHEMA" => of_stream && envelope.schema.is_some(),
        "STATE" => envelope.value.is_some(),
        "UNREADABLE" => of_stream && envelope.text.is_some(),
        _ => false,
    }
}
