//! Lines of stdin in any of the forms that are taken, as Singer lines.

use std::io::{self, BufRead, BufReader};
use std::thread;

use tokio::sync::mpsc;

use super::csv_input;
use super::input::{InputError, Line, STDIN};
use super::physical_lines::{LineSink, PhysicalLines, PlainStream, not_utf8};

/// Lines read ahead of what is being delivered.
const QUEUE: usize = 2_000;
/// What some programs put in front of a file; one that is pasted together has it in the middle.
const BOM: char = '\u{feff}';
/// What a pipe gives at once.
const BUFFER_BYTES: usize = 256 << 10;

/// The form of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum InputFormat {
    /// SCHEMA, RECORD and STATE messages.
    Singer,
    /// A record of one stream on each line, as a JSON object.
    Records(PlainStream),
    /// A record of one stream in each row of a CSV file; the delimiter where it is not to be found out.
    Table(PlainStream, Option<u8>),
}

/// Reads stdin in a thread of its own until it ends or cannot be read.
pub(super) fn lines(
    input: impl io::Read + Send + 'static,
    format: InputFormat,
) -> mpsc::Receiver<Result<Line, InputError>> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    thread::spawn(move || {
        let input = BufReader::with_capacity(BUFFER_BYTES, input);
        read(input, &format, &mut |line| sender.blocking_send(line).is_ok());
    });
    receiver
}

/// Reads the input to its end.
pub(super) fn read(input: impl BufRead, format: &InputFormat, sink: &mut LineSink<'_>) {
    let mut physical = PhysicalLines::new(input);
    match format {
        InputFormat::Table(stream, delimiter) => csv_input::read(&mut physical, stream, *delimiter, sink),
        InputFormat::Singer => each_text(&mut physical, STDIN, sink, &mut |number, text, sink| {
            sink(Ok(Line { number, text, fault: None }))
        }),
        InputFormat::Records(stream) => {
            let mut described = false;
            each_text(&mut physical, &stream.name, sink, &mut |number, text, sink| {
                if !described && text.trim_start().starts_with('[') {
                    sink(Err(InputError::List));
                    return false;
                }
                let line = stream.line(number, text);
                if !described {
                    described = true;
                    if !sink(Ok(stream.schema(number))) {
                        return false;
                    }
                }
                sink(Ok(line))
            });
        }
    }
}

/// Hands on each line that is not blank as text, with its line end; one that is not UTF-8 goes to the sink as a fault.
fn each_text<R: BufRead>(
    physical: &mut PhysicalLines<R>,
    stream: &str,
    sink: &mut LineSink<'_>,
    taken: &mut dyn FnMut(u64, String, &mut LineSink<'_>) -> bool,
) {
    while let Some(line) = physical.next() {
        let wanted = match line {
            Err(error) => {
                sink(Err(error));
                false
            }
            Ok((_, bytes)) if bytes.trim_ascii().is_empty() => true,
            Ok((number, bytes)) => match String::from_utf8(bytes) {
                Ok(text) => taken(number, without_nan(text.trim_start_matches(BOM)), sink),
                Err(error) => sink(Ok(not_utf8(number, stream, &error.into_bytes()))),
            },
        };
        if !wanted {
            return;
        }
    }
}

/// The text with `NaN` outside strings as null: Python's writer has it where a table has a gap.
fn without_nan(text: &str) -> String {
    if !text.contains("NaN") {
        return text.to_owned();
    }
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    let (mut inside, mut escaped) = (false, false);
    while let Some(one) = rest.chars().next() {
        if !inside && let Some(behind) = rest.strip_prefix("NaN") {
            out.push_str("null");
            rest = behind;
            continue;
        }
        inside ^= one == '"' && !escaped;
        escaped = inside && one == '\\' && !escaped;
        out.push(one);
        rest = &rest[one.len_utf8()..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(in crate::target_hubspot) fn all(format: &InputFormat, input: &[u8]) -> Vec<Result<Line, InputError>> {
        let mut all = Vec::new();
        read(input, format, &mut |line| {
            all.push(line);
            true
        });
        all
    }

    fn records() -> InputFormat {
        InputFormat::Records(PlainStream { name: "contacts".to_owned(), key_properties: vec!["n".to_owned()] })
    }

    fn texts(format: &InputFormat, input: &[u8]) -> Vec<String> {
        all(format, input).into_iter().map(|line| line.expect("a line").text).collect()
    }

    #[test]
    fn plain_records_become_messages_behind_one_schema() {
        let lines = texts(&records(), b"\xef\xbb\xbf{\"email\":\"a@b.c\",\"n\":1.0}\r\n\r\n  {\"type\":\"RECORD\"}");
        assert_eq!(lines.len(), 3);
        assert_eq!(
            lines[0],
            r#"{"type":"SCHEMA","stream":"contacts","key_properties":["n"],"schema":{"properties":{}}}"#
        );
        assert_eq!(lines[1], r#"{"type":"RECORD","stream":"contacts","record":{"email":"a@b.c","n":1.0}}"#);
        assert_eq!(lines[2], r#"{"type":"RECORD","stream":"contacts","record":{"type":"RECORD"}}"#);
    }

    #[test]
    fn what_is_no_json_is_told_as_it_stands_under_its_stream() {
        for (text, says) in [
            ("{'a': 1}", "\"{'a': 1}\" is not JSON: key must be a string at column 2"),
            ("{\"a\": 1},", "is not JSON: trailing characters at column 9"),
            ("{\"a\": 1", "it ends in the middle"),
            ("{\"a\": Infinity}", "Infinity is no value"),
        ] {
            let lines = all(&records(), text.as_bytes());
            let line = lines[1].as_ref().expect("a line");
            let fault = line.fault.as_ref().expect("a fault");
            assert_eq!((line.text.as_str(), fault.stream.as_str()), (text, "contacts"));
            assert!(fault.reason.contains(says), "{}", fault.reason);
        }
    }

    #[test]
    fn messages_among_plain_records_stay_messages() {
        let message = r#"{"type":"RECORD","stream":"contacts","record":{"a":1},"rejected":{"line":7}}"#;
        assert_eq!(texts(&records(), message.as_bytes())[1], message);
    }

    #[test]
    fn a_line_that_is_not_utf8_is_a_fault_of_its_stream_and_reading_goes_on() {
        let input = b"{\"type\":\"RECORD\",\"stream\":\"deals\",\"record\":{\"a\":\"\xfc\"}}\nnext\n";
        let lines = all(&InputFormat::Singer, input);
        let first = lines[0].as_ref().expect("a line");
        let fault = first.fault.as_ref().expect("a fault");
        assert_eq!((fault.stream.as_str(), first.number), ("deals", 1));
        assert!(fault.reason.contains("(0xFC) is not UTF-8"), "{}", fault.reason);
        assert_eq!(lines[1].as_ref().expect("a line").text, "next\n");
    }

    #[test]
    fn nan_is_null_outside_of_strings() {
        for (text, expected) in [
            (r#"{"a": NaN, "NaN": [NaN,1]}"#, r#"{"a": null, "NaN": [null,1]}"#),
            (r#"{"a": "\"NaN\\", "b":NaN}"#, r#"{"a": "\"NaN\\", "b":null}"#),
            ("{}", "{}"),
        ] {
            assert_eq!(without_nan(text), expected);
        }
    }

    #[test]
    fn what_is_no_text_is_told_by_its_kind() {
        for (begin, says) in [
            (b"PK\x03\x04".as_slice(), "Excel"),
            (b"\x1f\x8b", "gunzip"),
            (b"\xff\xfea\0", "UTF-16"),
            (b"[\n", "jq -c"),
        ] {
            let lines = all(&records(), begin);
            let said = lines[0].as_ref().expect_err("refused").to_string();
            assert!(said.contains(says) && lines.len() == 1, "{said}");
        }
    }
}
