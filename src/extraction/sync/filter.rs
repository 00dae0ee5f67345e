//! Which rows of a list are written.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::client::ObjectId;
use crate::extraction::read::page::Page;
use crate::property::parse_instant_token;

/// Which rows of a list are written.
#[derive(Debug, Clone, Default)]
pub(crate) struct RowFilter {
    /// Modified (or archived) at or after this.
    pub(crate) since: Option<DateTime<Utc>>,
    /// Modified (or archived) before this.
    pub(crate) until: Option<DateTime<Utc>>,
    /// Created at or after this.
    pub(crate) created_after: Option<DateTime<Utc>>,
    /// Rows that were written, with the modified instants they were written with in epoch milliseconds.
    pub(crate) recent: Arc<BTreeMap<u64, i64>>,
}

impl RowFilter {
    /// Whether a row lies inside; one whose instants cannot be read does, since it may be new.
    pub(crate) fn admits(&self, modified: &str, created: &str) -> bool {
        let not_before = |since: Option<DateTime<Utc>>, token: &str| {
            since.is_none_or(|since| parse_instant_token(token).is_none_or(|at| at >= since))
        };
        not_before(self.since, modified)
            && not_before(self.created_after, created)
            && self.until.is_none_or(|until| parse_instant_token(modified).is_none_or(|at| at < until))
    }

    /// Whether a row was written as it is.
    pub(crate) fn is_known(&self, id: ObjectId, modified: Option<DateTime<Utc>>) -> bool {
        modified.is_some_and(|at| self.recent.get(&id.0) == Some(&at.timestamp_millis()))
    }

    /// Leaves the rows of a page that are written.
    pub(crate) fn rows(&self, page: &Page) -> Vec<usize> {
        let inside = |index: &usize| {
            let row = page.row(*index);
            self.admits(row.updated_at(), row.created_at())
                && (self.recent.is_empty() || !self.is_known(row.id(), parse_instant_token(row.updated_at())))
        };
        (0..page.len()).filter(inside).collect()
    }
}
