//! What bounds a run.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// What a run is bounded by.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Records a page.
    pub page_size: u32,
    /// Pages between checkpoints.
    pub checkpoint_every_pages: u32,
    /// What is read again before a bookmark.
    pub lookback: TimeDelta,
    /// Rows modified earlier are left out; inclusive.
    pub since: Option<DateTime<Utc>>,
    /// Rows modified at or after this are left out.
    pub until: Option<DateTime<Utc>>,
    /// Rows created earlier are left out; inclusive. No bookmark moves.
    pub created_after: Option<DateTime<Utc>>,
    /// Read the archive.
    pub include_archived: bool,
    /// Hours between two readings of the archive; none: by its size.
    pub archive_hours: Option<f64>,
    /// Hours between two sweeps; none: never.
    pub sweep_hours: Option<f64>,
    /// How long a sweep may take of one run.
    pub sweep_time: Duration,
}

impl Bounds {
    /// The same bounds in HubSpot's resolution: a row lies inside these exactly when it lies inside the finer ones.
    pub(crate) fn in_millis(self) -> Self {
        let up = |at: DateTime<Utc>| match DateTime::from_timestamp_millis(at.timestamp_millis()) {
            Some(floor) if floor < at => floor + TimeDelta::milliseconds(1),
            _ => at,
        };
        let Self { since, until, created_after, .. } = self;
        Self { since: since.map(up), until: until.map(up), created_after: created_after.map(up), ..self }
    }
}
