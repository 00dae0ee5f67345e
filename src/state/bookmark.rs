//! The bookmark of one stream.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Characters of a selected name's fingerprint: 5 of 64 are 30 bits, so that of 1,500 columns a new one is taken for an
/// old one in about one of 700,000 changes.
const FINGERPRINT_CHARS: usize = 5;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What is known of a stream after a run or in the middle of one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Bookmark {
    /// The field that `replication_key_value` bounds, as other Singer tools expect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication_key: Option<String>,
    /// The end of the time that was read, by HubSpot's clock: rows modified before it have been written, except those
    /// that `progress` still owes.
    #[serde(default, with = "instant", skip_serializing_if = "Option::is_none")]
    pub replication_key_value: Option<DateTime<Utc>>,
    /// The stream's version, carried by each record; epoch milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// A pass over all rows (first load or sweep) that was started and has not ended. Written as null when there is none, never
    /// left out: an orchestrator may merge states.
    #[serde(default)]
    pub progress: Option<PassProgress>,
    /// A reading of what changed by the list that was started and has not ended; null when there is none.
    #[serde(default)]
    pub changes: Option<PassProgress>,
    /// When the last whole pass over all rows began.
    #[serde(default, with = "instant", skip_serializing_if = "Option::is_none")]
    pub swept_at: Option<DateTime<Utc>>,
    /// The start_date that the target's rows were loaded with; none: they are all there.
    #[serde(default, with = "instant", skip_serializing_if = "Option::is_none")]
    pub loaded_from: Option<DateTime<Utc>>,
    /// When the archive was read last.
    #[serde(default, with = "instant", skip_serializing_if = "Option::is_none")]
    pub archive_read_at: Option<DateTime<Utc>>,
    /// Rows that the archive had then, in whole pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived_rows: Option<u64>,
    /// Live rows that the last whole list had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Records that exist and could not be read: the next run asks for them again.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unread: BTreeSet<u64>,
    /// Rows that the next run finds again in its lookback, by id, with the modified instant that was written in epoch
    /// milliseconds; empty when they are too many.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub recent: BTreeMap<u64, i64>,
    /// What the row cache is worth with this state; none without a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheMark>,
    /// The columns and association types that all rows have: those that were selected in every run since the last pass
    /// over all rows began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selected: Option<Selected>,
    /// Association types that are read no more, though the target still holds rows of them.
    #[serde(default, skip_serializing_if = "Selected::is_empty")]
    pub left: Selected,
    /// Columns that are not text, by the type they were last sent with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, BTreeSet<String>>,
    /// What came in and is not ours.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Bookmark {
    /// How far two streams that are read together have come together: some targets print the state of each stream when
    /// they have written that one.
    pub fn together(self, other: &Self) -> Self {
        let in_step = self.replication_key_value == other.replication_key_value
            && self.progress == other.progress
            && self.changes == other.changes;
        Self {
            replication_key_value: self.replication_key_value.min(other.replication_key_value),
            progress: earlier(self.progress, other.progress.as_ref()),
            // A reading by the list that one stream has not finished begins again.
            changes: self.changes.filter(|_| in_step),
            swept_at: self.swept_at.min(other.swept_at),
            archive_read_at: self.archive_read_at.min(other.archive_read_at),
            recent: if in_step { self.recent } else { BTreeMap::new() },
            cache: match (self.cache, &other.cache) {
                (Some(one), Some(other)) if one.id == other.id => Some(CacheMark {
                    id: one.id,
                    checkpoint: one.checkpoint.min(other.checkpoint),
                    complete: one.complete && other.complete,
                }),
                _ => None,
            },
            ..self
        }
    }
}

/// Of two positions in the same pass, the one that has more left; of different passes, the one in the earlier. None: the
/// pass has ended.
fn earlier(one: Option<PassProgress>, other: Option<&PassProgress>) -> Option<PassProgress> {
    let (Some(first), Some(second)) = (&one, other) else { return one.or_else(|| other.cloned()) };
    let come = |progress: &PassProgress| (progress.until, progress.pages);
    if first != second && come(first) == come(second) {
        // Which cursor comes first cannot be told, so the lists are read from their beginning.
        let lists: BTreeSet<List> = first.parts.iter().chain(&second.parts).map(|part| part.list).collect();
        return Some(PassProgress { parts: lists.into_iter().map(ListPart::whole).collect(), ..first.clone() });
    }
    if come(first) <= come(second) { one } else { other.cloned() }
}

/// A version above the last one: the instant in milliseconds, or one more where HubSpot's clock stands still.
pub fn next_version(last: Option<i64>, now: DateTime<Utc>) -> i64 {
    let now = now.timestamp_millis();
    last.map_or(now, |last| now.max(last + 1))
}

/// A place in the history of a row cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheMark {
    /// Which cache.
    pub id: u64,
    /// The last checkpoint whose rows this state covers.
    pub checkpoint: u64,
    /// Whether the cache holds every row that the target has.
    pub complete: bool,
}

/// A pass over the portal's lists, as far as it has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PassProgress {
    /// Only rows modified at or after this instant are written; null: all.
    #[serde(with = "instant")]
    pub since: Option<DateTime<Utc>>,
    /// The instant before the pass's first page was asked for; the bookmark once the pass has ended.
    #[serde(with = "instant")]
    pub until: Option<DateTime<Utc>>,
    /// What is left to read: the archive first, then the ranges of the live list side by side, by ascending ids.
    pub parts: Vec<ListPart>,
    /// Pages read so far.
    #[serde(default)]
    pub pages: u64,
    /// Live rows seen so far.
    #[serde(default)]
    pub rows: u64,
    /// Archived rows seen so far that were archived since the last pass over all rows.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ended: u64,
    /// Whether rows are held against the row cache, so that only changes are written.
    #[serde(default)]
    pub cached: bool,
    /// The filling of the row cache that the pass began with; one that ends with another has not filled it.
    #[serde(default, rename = "filling", skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
}

impl PassProgress {
    /// A pass that has read nothing.
    pub fn begin(since: Option<DateTime<Utc>>, until: DateTime<Utc>, parts: Vec<ListPart>) -> Self {
        Self { since, until: Some(until), parts, pages: 0, rows: 0, ended: 0, cached: false, generation: None }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A range of a list that has not been read to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListPart {
    /// Which list.
    pub list: List,
    /// The cursor of the next page; null: the list's beginning.
    pub after: Option<String>,
    /// The greatest id before the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_id: Option<u64>,
    /// The first id that belongs to the next part; none: the list's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

impl ListPart {
    /// A list from its beginning to its end.
    pub fn whole(list: List) -> Self {
        Self { list, after: None, last_id: None, until: None }
    }
}

/// HubSpot's two lists of an object type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum List {
    /// Deleted objects that can still be restored.
    Archived,
    /// Objects that exist.
    Live,
}

/// Fingerprints of the names that were selected, so that the state can tell a selection that grew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Selected(String);

impl Selected {
    /// The fingerprints of `names`, in their order.
    pub fn from_names<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let mut fingerprints: Vec<String> = names.into_iter().map(fingerprint).collect();
        fingerprints.sort_unstable();
        fingerprints.dedup();
        Self(fingerprints.concat())
    }

    /// What is in one or the other.
    pub fn union(&self, other: &Self) -> Self {
        Self::of_fingerprints(self.fingerprints().union(&other.fingerprints()))
    }

    /// What is in both.
    pub fn intersection(&self, other: &Self) -> Self {
        Self::of_fingerprints(self.fingerprints().intersection(&other.fingerprints()))
    }

    /// What is in this and not in the other.
    pub fn difference(&self, other: &Self) -> Self {
        Self::of_fingerprints(self.fingerprints().difference(&other.fingerprints()))
    }

    /// Whether a name is in it.
    pub fn has(&self, name: &str) -> bool {
        self.covers(&Self::from_names([name]))
    }

    /// Whether all of `other` is in this.
    pub fn covers(&self, other: &Self) -> bool {
        self.fingerprints().is_superset(&other.fingerprints())
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn of_fingerprints<'f>(fingerprints: impl Iterator<Item = &'f &'f [u8]>) -> Self {
        Self(fingerprints.map(|fingerprint| String::from_utf8_lossy(fingerprint)).collect())
    }

    fn fingerprints(&self) -> BTreeSet<&[u8]> {
        self.0.as_bytes().chunks(FINGERPRINT_CHARS).collect()
    }
}

fn fingerprint(name: &str) -> String {
    let digest = Sha256::digest(name.as_bytes());
    digest[..FINGERPRINT_CHARS].iter().map(|byte| char::from(ALPHABET[usize::from(byte & 63)])).collect()
}

/// Instants in states: always with milliseconds and `Z`.
mod instant {
    use chrono::{DateTime, SecondsFormat, Utc};
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(instant: &Option<DateTime<Utc>>, to: S) -> Result<S::Ok, S::Error> {
        match instant {
            Some(instant) => to.serialize_str(&instant.to_rfc3339_opts(SecondsFormat::Millis, true)),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<DateTime<Utc>>, D::Error> {
        Option::<DateTime<Utc>>::deserialize(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_that_are_read_together_go_on_from_where_both_have_come() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0);
        let part = |last_id: u64, until| ListPart {
            list: List::Live,
            after: Some((last_id + 1).to_string()),
            last_id: Some(last_id),
            until,
        };
        let (archived, live) = (ListPart::whole(List::Archived), ListPart::whole(List::Live));
        let progress = |parts: Vec<ListPart>, pages| {
            Some(PassProgress { pages, ..PassProgress::begin(None, at(9).expect("an instant"), parts) })
        };
        let first = progress(vec![archived.clone(), live.clone()], 0);
        let second = progress(vec![part(7, Some(90)), part(89, None)], 3);
        let third = progress(vec![part(95, None)], 5);
        let unlike_second = progress(vec![part(8, Some(90)), part(89, None)], 3);
        let next_pass = first.clone().map(|progress| PassProgress { until: at(10), ..progress });
        let bookmark = |progress: &Option<PassProgress>, seconds| Bookmark {
            progress: progress.clone(),
            replication_key_value: at(seconds),
            recent: BTreeMap::from([(1, 1)]),
            ..Bookmark::default()
        };
        for (one, other, expected) in [
            (&first, &second, &first),
            (&third, &second, &second),
            (&None, &third, &third),
            (&second, &second, &second),
            (&next_pass, &third, &third),
            (&second, &unlike_second, &progress(vec![live], 3)),
        ] {
            for (one, other) in [(one, other), (other, one)] {
                assert_eq!(&bookmark(one, 5).together(&bookmark(other, 5)).progress, expected);
            }
        }
        let together = bookmark(&None, 5).together(&bookmark(&None, 4));
        assert_eq!((together.replication_key_value, together.recent.len()), (at(4), 0));
        assert_eq!(bookmark(&None, 5).together(&bookmark(&None, 5)).recent.len(), 1);
    }

    #[test]
    fn a_selection_that_grew_is_not_covered() {
        let before = Selected::from_names(["subject", "content", "contacts"]);
        assert!(before.covers(&Selected::from_names(["content", "subject"])));
        assert!(!before.covers(&Selected::from_names(["content", "subject", "hs_ticket_priority"])));
        assert!(!Selected::default().covers(&before));
        let now = Selected::from_names(["content", "hs_ticket_priority"]);
        assert_eq!(before.intersection(&now), Selected::from_names(["content"]));
        assert_eq!(before.difference(&now), Selected::from_names(["subject", "contacts"]));
        assert_eq!(now.union(&before), Selected::from_names(["contacts", "content", "hs_ticket_priority", "subject"]));
        assert!(before.difference(&before).is_empty());
    }
}
