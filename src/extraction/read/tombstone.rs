//! Tickets that are gone.

use chrono::{DateTime, Utc};

use crate::client::ObjectId;
use crate::extraction::cache::entry::hash;
use crate::extraction::read::page::Row;
use crate::property::parse_instant_token;

/// The property that lists the losers of merges; always asked for, since they are in no list.
pub(crate) const MERGED_IDS: &str = "hs_merged_object_ids";

/// The ids in a value of [`MERGED_IDS`].
pub(crate) fn merged_ids(token: &str) -> impl Iterator<Item = ObjectId> {
    token.trim_matches('"').split(';').filter_map(|id| id.trim().parse().ok()).map(ObjectId)
}

/// The records that were merged into that of a row, given the slot of [`MERGED_IDS`].
pub(crate) fn merged_away_ids(row: Row<'_>, slot: usize) -> impl Iterator<Item = ObjectId> {
    merged_ids(row.property(slot)).filter(move |id| *id != row.id())
}

/// What is known of a ticket that is archived or was merged into another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tombstone {
    pub(crate) id: ObjectId,
    pub(crate) archived_at: Option<DateTime<Utc>>,
    pub(crate) merged_into: Option<ObjectId>,
    /// `_sdc_deleted_at`, by which targets know a deleted row.
    pub(crate) deleted_at: DateTime<Utc>,
}

impl Tombstone {
    /// Of a record of the archive, which was read at `extracted_at`.
    fn archived(row: Row<'_>, extracted_at: DateTime<Utc>) -> Self {
        let archived_at = parse_instant_token(row.archived_at());
        Self { id: row.id(), archived_at, merged_into: None, deleted_at: archived_at.unwrap_or(extracted_at) }
    }

    /// What a tombstone says; none when it says nothing but that the record is gone.
    pub(crate) fn hash(&self) -> Option<u64> {
        let archived_at = self.archived_at.map(|at| at.timestamp_micros());
        let merged_into = self.merged_into.map(|winner| winner.0);
        if archived_at.is_none() && merged_into.is_none() {
            return None;
        }
        // The text is part of the cache file's format: another one sends every tombstone again.
        let number = |number: Option<String>| number.map_or("None".to_owned(), |number| format!("Some({number})"));
        let (at, winner) = (archived_at.map(|at| at.to_string()), merged_into.map(|winner| winner.to_string()));
        Some(hash([format!("{} {}", number(at), number(winner)).as_bytes()]))
    }

    /// Of a record that is no longer in any list. HubSpot does not tell when it was removed.
    pub(crate) fn vanished(id: ObjectId, extracted_at: DateTime<Utc>) -> Self {
        Self { id, archived_at: None, merged_into: None, deleted_at: extracted_at }
    }

    /// Of a record of the archive and of those that were merged into it: nothing else tells of them once their winner is
    /// archived, too.
    pub(crate) fn archived_with_merged(row: Row<'_>, merged: &str, extracted_at: DateTime<Utc>) -> Vec<Self> {
        let winner = Self::archived(row, extracted_at);
        let losers = merged_ids(merged).filter(|id| *id != winner.id);
        let losers = losers.map(|id| Self { id, archived_at: None, merged_into: Some(winner.id), ..winner });
        losers.chain([winner]).collect()
    }

    /// Of the loser of a merge. When it happened HubSpot does not tell; the winner was modified then or later.
    pub(crate) fn merged(id: ObjectId, winner: Row<'_>, extracted_at: DateTime<Utc>) -> Self {
        let deleted_at = parse_instant_token(winner.updated_at()).unwrap_or(extracted_at);
        Self { id, archived_at: None, merged_into: Some(winner.id()), deleted_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_that_the_caches_of_earlier_releases_hold() {
        let at = DateTime::from_timestamp(1_767_225_600, 5_000).expect("an instant");
        let hash =
            |archived_at, merged_into| Tombstone { id: ObjectId(1), archived_at, merged_into, deleted_at: at }.hash();
        assert_eq!(hash(None, None), None);
        for (archived_at, merged_into, expected) in [
            (Some(at), None, 0x8c62_fdd8_80d4_31db),
            (None, Some(ObjectId(7)), 0x613c_1b95_57f7_5379),
            (Some(at), Some(ObjectId(7)), 0x27e2_3bc5_97a5_5f00),
        ] {
            assert_eq!(hash(archived_at, merged_into), Some(expected));
        }
    }
}
