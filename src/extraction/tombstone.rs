//! Tickets that are gone.

use chrono::{DateTime, Utc};

use super::page::Row;
use crate::client::ObjectId;
use crate::property::parse_instant_token;

/// What is known of a ticket that is archived or was merged into another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tombstone {
    pub(super) id: ObjectId,
    pub(super) archived_at: Option<DateTime<Utc>>,
    pub(super) merged_into: Option<ObjectId>,
    /// `_sdc_deleted_at`, by which targets know a deleted row.
    pub(super) deleted_at: DateTime<Utc>,
}

impl Tombstone {
    /// Of a record of the archive, which was read at `extracted_at`.
    pub(super) fn archived(row: Row<'_>, extracted_at: DateTime<Utc>) -> Self {
        let archived_at = parse_instant_token(row.archived_at());
        Self { id: row.id(), archived_at, merged_into: None, deleted_at: archived_at.unwrap_or(extracted_at) }
    }

    /// Of a record that is in no list any more; when it went nobody tells.
    pub(super) fn vanished(id: ObjectId, extracted_at: DateTime<Utc>) -> Self {
        Self { id, archived_at: None, merged_into: None, deleted_at: extracted_at }
    }

    /// Of the loser of a merge. When it happened HubSpot does not tell; the winner was modified then or later.
    pub(super) fn merged(id: ObjectId, winner: Row<'_>, extracted_at: DateTime<Utc>) -> Self {
        let deleted_at = parse_instant_token(winner.updated_at()).unwrap_or(extracted_at);
        Self { id, archived_at: None, merged_into: Some(winner.id()), deleted_at }
    }
}
