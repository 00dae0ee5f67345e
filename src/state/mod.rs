//! The Singer state: what has been read, in a form that any interruption leaves true.

mod bookmark;
mod read;

use serde_json::{Map, Value, json};
use thiserror::Error;

pub use bookmark::{Bookmark, CacheMark, List, ListPart, PassProgress, Selected, next_version};
pub use read::{Incoming, parse, read};

/// Key of the stamp that ties a state to its portal.
const PORTAL: &str = "portal_id";
/// Key of the version of the state's form.
const VERSION_KEY: &str = "version";
/// The version that this release writes, and the greatest that it reads. A state without one is of an earlier release.
pub const VERSION: u64 = 1;
/// The portal of a run that HubSpot did not tell of; no portal has this id.
pub const UNKNOWN_PORTAL: &str = "0";

/// The whole state of a tap: bookmarks of its streams, and all else that came in.
///
/// A target replaces what it had by each STATE message, so every one is whole: other streams' bookmarks and unknown
/// keys go out as they came.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    root: Map<String, Value>,
}

/// Why a state cannot be used.
#[derive(Debug, Error)]
pub enum StateError {
    /// The file cannot be read, or holds no state.
    #[error("state {path} cannot be used: {reason}; repair it, or remove it to read everything again")]
    Unreadable {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A state that some other tap, or this tap for another portal, has written.
    #[error("state belongs to portal {found}, but the token belongs to portal {expected}; use that portal's own state")]
    OtherPortal {
        /// The portal of the state.
        found: String,
        /// The portal of the token.
        expected: String,
    },
    /// Bookmarks without a portal: not written by this tap.
    #[error(
        "state has bookmarks but no portal_id, so another tap wrote it; give this tap's own state, or none to read everything"
    )]
    Foreign,
    /// A state of a later release.
    #[error(
        "state has version {found}, and this release reads version {VERSION} at most; update the tap, or give this release's own state"
    )]
    Newer {
        /// The version of the state.
        found: u64,
    },
    /// A version that is none.
    #[error("state: version is not a whole number above 0 but {found}; repair it, or give none to read everything")]
    NoVersion {
        /// What stands there.
        found: Value,
    },
    /// A root without bookmarks where they should be.
    #[error("state: bookmarks is not an object but {found}; repair it, or give none to read everything")]
    NoBookmarks {
        /// What stands there.
        found: Value,
    },
    /// A known key of a wrong shape.
    #[error(
        "state: the bookmark of {stream} has a wrong shape ({reason}); remove the bookmark to read the stream again"
    )]
    WrongShape {
        /// The stream.
        stream: String,
        /// What the parser says.
        reason: String,
    },
}

impl State {
    /// The state of a portal from which nothing has been read.
    pub fn empty(portal: &str) -> Self {
        let mut root = Map::new();
        root.insert("bookmarks".to_owned(), json!({}));
        root.insert(PORTAL.to_owned(), portal.into());
        root.insert(VERSION_KEY.to_owned(), VERSION.into());
        Self { root }
    }

    /// Takes over a state that came in, for the portal of the token.
    ///
    /// # Errors
    /// When it belongs to another portal or tap, a later release wrote it, or a bookmark of `streams` has a wrong shape.
    pub fn of(incoming: Option<Map<String, Value>>, portal: &str, streams: &[&str]) -> Result<Self, StateError> {
        let Some(mut root) = incoming else { return Ok(Self::empty(portal)) };
        check_version(&root)?;
        let found = Self::portal_of(&root);
        let no_bookmarks = match root.get("bookmarks") {
            None | Some(Value::Null) => true,
            Some(Value::Object(bookmarks)) => bookmarks.is_empty(),
            Some(other) => {
                return Err(StateError::NoBookmarks { found: other.clone() });
            }
        };
        match found {
            // Its rows carry no portal, so they are read again for the one that is known now.
            Some(found) if found == UNKNOWN_PORTAL && portal != UNKNOWN_PORTAL => {
                root.insert(PORTAL.to_owned(), portal.into());
                let mut state = Self::of(Some(root), portal, streams)?;
                streams.iter().for_each(|stream| state.forget(stream));
                return Ok(state);
            }
            Some(found) if found != portal => {
                return Err(StateError::OtherPortal { found, expected: portal.to_owned() });
            }
            None if !no_bookmarks => return Err(StateError::Foreign),
            _ => {}
        }
        if no_bookmarks {
            root.insert("bookmarks".to_owned(), json!({}));
        }
        root.insert(PORTAL.to_owned(), portal.into());
        root.insert(VERSION_KEY.to_owned(), VERSION.into());
        let state = Self { root };
        for stream in streams {
            state.parse(stream)?;
        }
        Ok(state)
    }

    /// The portal that a state belongs to, where it says so.
    pub fn portal_of(incoming: &Map<String, Value>) -> Option<String> {
        match incoming.get(PORTAL)? {
            Value::String(id) => Some(id.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        }
    }

    /// The bookmark of a stream; none when the stream has never been read.
    pub fn bookmark(&self, stream: &str) -> Option<Bookmark> {
        self.parse(stream).expect("bookmarks are parsed once when the state comes in")
    }

    /// Replaces the bookmark of a stream.
    pub fn set(&mut self, stream: &str, bookmark: &Bookmark) {
        let value = serde_json::to_value(bookmark).expect("a bookmark is JSON");
        self.root["bookmarks"][stream] = value;
    }

    /// Forgets what was read of a stream, so that it is read again; its version is kept, for the next one to be greater.
    pub fn forget(&mut self, stream: &str) {
        if let Some(Bookmark { version, other, .. }) = self.bookmark(stream) {
            self.set(stream, &Bookmark { version, other, ..Bookmark::default() });
        }
    }

    /// The `value` of a STATE message.
    pub fn value(&self) -> &Map<String, Value> {
        &self.root
    }

    fn parse(&self, stream: &str) -> Result<Option<Bookmark>, StateError> {
        match &self.root["bookmarks"][stream] {
            Value::Null => Ok(None),
            value => serde_json::from_value(value.clone())
                .map(Some)
                .map_err(|error| StateError::WrongShape { stream: stream.to_owned(), reason: error.to_string() }),
        }
    }
}

/// Refuses a state whose form this release does not know. An orchestrator that merges states may leave null.
fn check_version(root: &Map<String, Value>) -> Result<(), StateError> {
    match root.get(VERSION_KEY) {
        None | Some(Value::Null) => Ok(()),
        Some(found) => match found.as_u64() {
            Some(version) if version > VERSION => Err(StateError::Newer { found: version }),
            Some(version) if version > 0 => Ok(()),
            _ => Err(StateError::NoVersion { found: found.clone() }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Option<Map<String, Value>> {
        value.as_object().cloned()
    }

    #[test]
    fn unknown_keys_and_other_bookmarks_go_out_again() {
        let incoming = json!({
            "portal_id": "7", "theirs": {"pi": 3.25},
            "bookmarks": {"other": {"x": 1}, "tickets": {"replication_key_value": "2026-01-01T00:00:00.000Z", "y": [2]}},
        });
        let mut state = State::of(object(incoming.clone()), "7", &["tickets"]).expect("a state");
        let bookmark = state.bookmark("tickets").expect("a bookmark");
        state.set("tickets", &bookmark);
        assert_eq!(state.value()["theirs"], incoming["theirs"]);
        assert_eq!(state.value()["bookmarks"]["other"], incoming["bookmarks"]["other"]);
        assert_eq!(state.value()["bookmarks"]["tickets"]["y"], json!([2]));
        assert_eq!(state.value()["bookmarks"]["tickets"]["progress"], Value::Null);
    }

    #[test]
    fn a_state_of_an_earlier_release_has_no_version_and_leaves_with_one() {
        for version in [None, Some(Value::Null), Some(json!(1))] {
            let mut incoming = json!({"portal_id": "7", "bookmarks": {"tickets": {"replication_key_value": "2026-01-01T00:00:00.000Z"}}});
            incoming.as_object_mut().expect("an object").extend(version.map(|version| ("version".to_owned(), version)));
            let state = State::of(object(incoming.clone()), "7", &["tickets"]).expect("a state");
            assert_eq!(state.value()["version"], 1);
            assert_eq!(state.value()["bookmarks"], incoming["bookmarks"]);
        }
        assert_eq!(State::empty("7").value()["version"], 1);
    }

    #[test]
    fn refuses_a_state_of_a_later_release() {
        for (version, says) in [
            (json!(2), "version 2, and this release reads version 1 at most; update the tap"),
            (json!(0), "not a whole number above 0 but 0"),
            (json!("1"), "not a whole number above 0 but \"1\""),
            (json!(1.5), "but 1.5"),
        ] {
            let incoming = json!({"portal_id": "7", "version": version, "bookmarks": {}});
            let error = State::of(object(incoming), "7", &["tickets"]).expect_err("refused").to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn refuses_a_state_from_another_portal() {
        let error = State::of(object(json!({"portal_id": 8, "bookmarks": {}})), "7", &[]).expect_err("refused");
        assert!(matches!(error, StateError::OtherPortal { .. }), "{error}");
    }

    #[test]
    fn what_was_read_of_an_unknown_portal_is_read_again_once_it_is_known() {
        let incoming = json!({
            "portal_id": "0",
            "bookmarks": {"tickets": {"replication_key_value": "2026-01-01T00:00:00.000Z", "version": 5}},
        });
        let state = State::of(object(incoming.clone()), "0", &["tickets"]).expect("a state");
        assert!(state.bookmark("tickets").expect("a bookmark").replication_key_value.is_some());
        let state = State::of(object(incoming), "7", &["tickets"]).expect("a state");
        let bookmark = state.bookmark("tickets").expect("a bookmark");
        assert_eq!((bookmark.replication_key_value, bookmark.version), (None, Some(5)));
        assert_eq!(state.value()["portal_id"], "7");
    }

    #[test]
    fn refuses_another_taps_state() {
        let theirs = json!({"bookmarks": {"tickets": {"updatedAt": "2026-01-01"}}});
        assert!(matches!(State::of(object(theirs), "7", &["tickets"]), Err(StateError::Foreign)));
        assert!(State::of(object(json!({"bookmarks": {}})), "7", &["tickets"]).is_ok());
    }

    #[test]
    fn refuses_known_keys_of_a_wrong_shape() {
        for bookmark in [json!(5), json!({"replication_key_value": "soon"}), json!({"progress": 1})] {
            let incoming = json!({"portal_id": "7", "bookmarks": {"tickets": bookmark}});
            let error = State::of(object(incoming), "7", &["tickets"]).expect_err("refused");
            assert!(error.to_string().contains("bookmark of tickets"), "{error}");
        }
    }
}
