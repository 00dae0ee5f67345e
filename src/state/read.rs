//! Reading state files as shells, Meltano and people leave them.

use std::io::ErrorKind;
use std::path::Path;

use serde_json::{Map, Value};

use super::StateError;

/// What a state file holds.
#[derive(Debug, PartialEq)]
pub enum Incoming {
    /// A state.
    State(Map<String, Value>),
    /// Nothing, for the reason given: a first run.
    Nothing(&'static str),
}

/// Reads a state file: a state, a whole STATE message, or several lines of either (as `>> state.json` leaves them),
/// of which the last whole one counts. A missing or empty file, `{}` and `null` are no state.
///
/// # Errors
/// When the file cannot be read or no line of it is a state.
pub fn read(path: &Path) -> Result<Incoming, StateError> {
    let unusable = |reason: String| StateError::Unreadable { path: path.display().to_string(), reason };
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Incoming::Nothing("there is no such file")),
        Err(error) => return Err(unusable(error.to_string())),
    };
    parse(&bytes).map_err(unusable)
}

/// The same of the bytes of a file.
///
/// # Errors
/// What is wrong with them.
pub fn parse(bytes: &[u8]) -> Result<Incoming, String> {
    let text = String::from_utf8_lossy(bytes);
    if text.trim().is_empty() {
        return Ok(Incoming::Nothing("the file is empty"));
    }
    let whole = serde_json::from_str::<Value>(&text).ok();
    let last_line =
        || text.lines().rev().filter(|line| !line.trim().is_empty()).find_map(|line| serde_json::from_str(line).ok());
    let value = whole.or_else(last_line).ok_or("no line of it is JSON")?;
    match unwrap_message(value) {
        Value::Object(state) if state.is_empty() => Ok(Incoming::Nothing("it holds no state")),
        Value::Null => Ok(Incoming::Nothing("it holds no state")),
        Value::Object(state) => Ok(Incoming::State(state)),
        other => Err(format!("it holds {}, not an object", shape(&other))),
    }
}

/// The value of a STATE message, or of Meltano's `{"singer_state": …}`.
fn unwrap_message(value: Value) -> Value {
    match value {
        Value::Object(mut message) if message.get("type").is_some_and(|kind| kind == "STATE") => {
            message.remove("value").unwrap_or(Value::Null)
        }
        Value::Object(mut payload) if payload.len() == 1 && payload.contains_key("singer_state") => {
            payload.remove("singer_state").unwrap_or(Value::Null)
        }
        other => other,
    }
}

fn shape(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "an array",
        Value::String(_) => "text",
        Value::Number(_) => "a number",
        _ => "true or false",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Incoming, StateError> {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        std::fs::write(file.path(), text).expect("written");
        read(file.path())
    }

    fn state_of(text: &str) -> Value {
        match read_text(text) {
            Ok(Incoming::State(state)) => Value::Object(state),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn of_several_lines_the_last_whole_one_counts() {
        assert_eq!(state_of("{\"a\":1}\n{\"a\":2}\n\n")["a"], 2);
        assert_eq!(state_of("{\"a\":1}\n{\"a\":2}\n{\"a\":")["a"], 2);
        assert_eq!(state_of("{\n  \"a\": 3\n}\n")["a"], 3);
    }

    #[test]
    fn a_whole_state_message_is_a_state() {
        assert_eq!(state_of(r#"{"type":"STATE","value":{"a":4}}"#)["a"], 4);
        assert_eq!(state_of(r#"{"singer_state":{"a":5}}"#)["a"], 5);
    }

    #[test]
    fn nothing_is_no_state() {
        for text in ["", " \n", "{}", "null", r#"{"type":"STATE","value":{}}"#] {
            assert!(matches!(read_text(text), Ok(Incoming::Nothing(_))), "{text}");
        }
        assert!(matches!(read(Path::new("/nowhere/state.json")), Ok(Incoming::Nothing(_))));
    }

    #[test]
    fn what_is_no_state_is_refused() {
        for text in ["hello", "[1]", "5", "{\"a\":"] {
            assert!(read_text(text).is_err(), "{text}");
        }
    }
}
