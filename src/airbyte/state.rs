//! Airbyte's states, one a stream, and the engine's whole one.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::state::StateError;

/// The key that ties a state to its portal.
const PORTAL: &str = "portal_id";
/// The version of the whole state's form, in the root and in a stream's state, where `version` is the stream's own.
const VERSION: &str = "version";
const STATE_VERSION: &str = "state_version";

/// Reads the states of the last run: an array of STATE messages, of which each stream's last one counts. PyAirbyte and
/// the platform write many keys beside those that say something, most of them null.
///
/// # Errors
/// When the file cannot be read, is no JSON, or holds states of two portals.
pub(super) fn read(path: &Path) -> Result<Option<Map<String, Value>>, StateError> {
    let unusable = |reason: String| StateError::Unreadable { path: path.display().to_string(), reason };
    let text = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
    if text.trim_ascii().is_empty() {
        return Ok(None);
    }
    let value: Value = serde_json::from_slice(&text).map_err(|error| unusable(error.to_string()))?;
    let messages = match value {
        Value::Array(messages) => messages,
        Value::Object(one) if one.is_empty() => Vec::new(),
        one @ Value::Object(_) => vec![one],
        Value::Null => Vec::new(),
        _ => return Err(unusable("it holds no array of states".to_owned())),
    };
    let whole = whole(messages.iter().flat_map(of_streams));
    whole.map_err(|TwoPortals { one, other }| StateError::OtherPortal { found: other, expected: one })
}

/// The states of streams in a message, whole or bare, of a stream or of all.
fn of_streams(message: &Value) -> Vec<&Value> {
    let message = if message["type"] == "STATE" { &message["state"] } else { message };
    match message["global"]["stream_states"].as_array().or(message["global_"]["stream_states"].as_array()) {
        Some(several) => several.iter().collect(),
        None => vec![&message["stream"]],
    }
}

struct TwoPortals {
    one: String,
    other: String,
}

/// The engine's state of several streams' states.
fn whole<'s>(states: impl Iterator<Item = &'s Value>) -> Result<Option<Map<String, Value>>, TwoPortals> {
    let mut bookmarks = Map::new();
    let mut portal: Option<String> = None;
    let mut version: Option<Value> = None;
    for state in states {
        let (Some(stream), Some(bookmark)) =
            (state["stream_descriptor"]["name"].as_str(), state["stream_state"].as_object())
        else {
            continue;
        };
        let mut bookmark = bookmark.clone();
        if let Some(Value::String(of_stream)) = bookmark.shift_remove(PORTAL) {
            match &portal {
                Some(one) if *one != of_stream => return Err(TwoPortals { one: one.clone(), other: of_stream }),
                _ => portal = Some(of_stream),
            }
        }
        // The greatest decides whether they can be read; what is no version is refused with the whole state.
        let of_stream = bookmark.shift_remove(STATE_VERSION).filter(|found| !found.is_null());
        version = version.into_iter().chain(of_stream).max_by_key(|found| found.as_u64().unwrap_or(u64::MAX));
        if !bookmark.is_empty() {
            bookmarks.insert(stream.to_owned(), bookmark.into());
        }
    }
    let mut root = Map::new();
    if let Some(portal) = portal {
        root.insert(PORTAL.to_owned(), portal.into());
    }
    if let Some(version) = version {
        root.insert(VERSION.to_owned(), version);
    }
    if !bookmarks.is_empty() {
        root.insert("bookmarks".to_owned(), bookmarks.into());
    }
    Ok((!root.is_empty()).then_some(root))
}

/// A stream's own state: its bookmark, stamped with the portal and the version of the state's form.
pub(super) fn of_stream(root: &Map<String, Value>, stream: &str) -> Value {
    let mut state = json!({PORTAL: root[PORTAL], STATE_VERSION: root[VERSION]});
    if let (Value::Object(state), Some(Value::Object(bookmark))) = (&mut state, root["bookmarks"].get(stream)) {
        state.extend(bookmark.clone());
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(stream: &str, state: &Value) -> Value {
        json!({"type": "STREAM", "global_": null, "data": null, "destinationStats": null,
            "stream": {"stream_descriptor": {"name": stream, "namespace": null}, "stream_state": state}})
    }

    fn read_json(value: &Value) -> Result<Option<Map<String, Value>>, StateError> {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        std::fs::write(file.path(), value.to_string()).expect("written");
        read(file.path())
    }

    #[test]
    fn each_streams_last_state_counts_in_whatever_wrapping() {
        let bookmark =
            json!({"portal_id": "7", "state_version": 1, "replication_key_value": "2026-01-01T00:00:00.000Z"});
        let states = json!([
            message("tickets", &json!({"portal_id": "7", "version": 1})),
            {"type": "STATE", "state": message("tickets", &bookmark)},
            message("owners", &Value::Null),
        ]);
        let root = Value::Object(read_json(&states).expect("readable").expect("a state"));
        assert_eq!(root["portal_id"], "7");
        assert_eq!(root["version"], 1);
        assert_eq!(root["bookmarks"]["tickets"], json!({"replication_key_value": "2026-01-01T00:00:00.000Z"}));
        assert!(root["bookmarks"].get("owners").is_none());
        assert_eq!(of_stream(root.as_object().expect("an object"), "tickets"), bookmark);
        let global = json!([{"type": "GLOBAL", "global": {"stream_states": [message("deals", &bookmark)["stream"]]}}]);
        let root = Value::Object(read_json(&global).expect("readable").expect("a state"));
        assert!(root["bookmarks"]["deals"].is_object());
    }

    #[test]
    fn the_greatest_version_counts_and_a_stream_of_an_earlier_release_has_none() {
        let root_of = |versions: [Value; 2]| {
            let [one, other] =
                versions.map(|version| json!({"portal_id": "7", "state_version": version, "version": 5}));
            let states = json!([message("tickets", &one), message("owners", &other)]);
            Value::Object(read_json(&states).expect("readable").expect("a state"))
        };
        assert_eq!(root_of([json!(2), json!(1)])["version"], 2);
        assert_eq!(root_of([json!(1), json!(2)])["version"], 2);
        assert_eq!(root_of([json!("x"), json!(1)])["version"], "x");
        assert_eq!(root_of([Value::Null, Value::Null])["version"], Value::Null);
        assert_eq!(root_of([Value::Null, json!(1)])["bookmarks"]["tickets"], json!({"version": 5}));
    }

    #[test]
    fn no_states_are_a_first_run() {
        for nothing in [json!([]), json!({}), Value::Null, json!([message("tickets", &json!({}))])] {
            assert_eq!(read_json(&nothing).expect("readable"), None, "{nothing}");
        }
    }

    #[test]
    fn states_of_two_portals_are_refused() {
        let states =
            json!([message("tickets", &json!({"portal_id": "7"})), message("owners", &json!({"portal_id": "8"}))]);
        assert!(matches!(read_json(&states), Err(StateError::OtherPortal { .. })));
        assert!(read_json(&json!("soon")).is_err());
    }
}
