//! What changed since the bookmark: by windows of search, or by the list where that costs no more; and what is new since an
//! instant.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::archive::archive_is_due;
use super::{Group, store};
use crate::extraction::ExtractError;
use crate::extraction::audit::{self, Audit};
use crate::extraction::changes::{Changes, keep_recent};
use crate::extraction::output::{Output, Reading};
use crate::extraction::pass::{Filter, Pass};
use crate::extraction::small::next_version;
use crate::extraction::window::{Searcher, modified_property};
use crate::state::{List, Part, Progress};

/// How far beyond HubSpot's clock changes are looked for: its header is behind by less than a second, and modified dates do
/// not lie in the future.
const OPEN_END: TimeDelta = TimeDelta::days(1);

impl Group<'_> {
    /// What changed since the bookmark.
    pub(super) async fn read_changes(
        &mut self,
        output: &mut Output<'_>,
        audit: &mut Audit,
    ) -> Result<(), ExtractError> {
        let now = self.client.server_now();
        let until = self.bounds.until.map_or(now, |end| end.min(now));
        self.read_archive(until, output, audit).await?;
        let mut part = audit::Part::begin(self.lead, "changes", &self.client, output.summary);
        let outcome = self.read_changes_until(until, &mut part, output).await;
        if let Err(ExtractError::Shortfall { expected, .. }) = &outcome {
            part.expected = Some(part.expected.unwrap_or(0) + expected);
        }
        audit.end(part, outcome.is_ok(), &self.client, output.summary);
        outcome
    }

    async fn read_changes_until(
        &mut self,
        until: DateTime<Utc>,
        part: &mut audit::Part,
        output: &mut Output<'_>,
    ) -> Result<(), ExtractError> {
        if let Some(progress) = self.bookmark.changes.clone() {
            // A list that an earlier run began ends where that run would have ended.
            self.list_changes(progress, output).await?;
            if self.bookmark.replication_key_value >= Some(until) {
                return Ok(());
            }
        }
        let bookmark = self.bookmark.replication_key_value.expect("a stream that was loaded has one");
        let since = (bookmark - self.bounds.lookback).max(self.bounds.since.unwrap_or(DateTime::UNIX_EPOCH));
        if since < until {
            self.search_or_list_changes(since, until, part, output).await?;
        }
        Ok(())
    }

    async fn search_or_list_changes(
        &mut self,
        since: DateTime<Utc>,
        until: DateTime<Utc>,
        part: &mut audit::Part,
        output: &mut Output<'_>,
    ) -> Result<(), ExtractError> {
        let listing = Progress {
            since: Some(since),
            until: Some(until),
            parts: vec![Part::whole(List::Live)],
            rows: 0,
            pages: 0,
            cached: false,
            filling: None,
        };
        let page_size = u64::from(self.bounds.page_size);
        let list_calls = self.bookmark.rows.map(|rows| rows.div_ceil(page_size).max(1));
        if list_calls == Some(1) {
            return self.list_changes(listing, output).await;
        }
        let property = modified_property(&self.object_type);
        let searcher = Searcher { client: Arc::clone(&self.client), object_type: self.object_type.clone(), property };
        let changes = Changes {
            workshop: &self.workshop,
            reader: &self.reader,
            searcher: &searcher,
            filter: &self.changes_filter(None),
            reading: self.reading("incremental"),
            trust: self.trust,
        };
        // The clock's header has whole seconds: what changed since is written too, though the bookmark stays before it.
        let open_end = self.bounds.until.unwrap_or(until + OPEN_END).max(until);
        let mut begin = since;
        let mut rest = searcher.first(&(since..open_end)).await?;
        let search_calls = rest.total.div_ceil(200) + rest.total.div_ceil(100);
        if list_calls.is_some_and(|list_calls| list_calls <= search_calls) {
            return self.list_changes(listing, output).await;
        }
        // One page tells everything at once.
        let mut end = if rest.is_whole() { open_end } else { until };
        if end < open_end {
            rest = searcher.first(&(since..end)).await?;
        }
        loop {
            let window = match changes.next_window(begin, end, rest, output).await {
                // What comes in while it is counted is the next run's.
                Err(ExtractError::Shortfall { .. }) if begin >= until => return Ok(()),
                window => window?,
            };
            part.add(&window);
            begin = window.until;
            let reached = begin.min(until);
            self.bookmark.replication_key_value = self.bookmark.replication_key_value.max(Some(reached));
            let lookback = self.lookback_before(until).from(reached - self.bounds.lookback);
            keep_recent(&mut self.bookmark.recent, &window.written, &lookback);
            store(output, self.lead, &self.bookmark, self.follower.as_mut());
            // Safe: every record that the search counts up to the window's end was yielded above.
            output.checkpoint().await?;
            if begin >= until {
                end = open_end;
            }
            if begin >= end {
                return Ok(());
            }
            rest = searcher.first(&(begin..end)).await?;
        }
    }

    /// Changes by the list, where that costs no more calls: it does not lag.
    async fn list_changes(&mut self, mut progress: Progress, output: &mut Output<'_>) -> Result<(), ExtractError> {
        let pass = Pass {
            workshop: &self.workshop,
            reader: &self.reader,
            bounds: self.bounds,
            filter: self.changes_filter(progress.since),
            reading: self.reading("incremental"),
            trust: self.trust,
            sweeping: false,
            deadline: None,
        };
        let until = progress.until.unwrap_or_else(|| self.client.server_now());
        let recent = self.lookback_before(until);
        let (mut bookmark, mut follower) = (self.bookmark.clone(), self.follower.take());
        pass.run(&mut progress, output, |output, progress, written| {
            keep_recent(&mut bookmark.recent, written, &recent);
            bookmark.changes = Some(progress.clone());
            store(output, self.lead, &bookmark, follower.as_mut());
        })
        .await?;
        bookmark.changes = None;
        bookmark.rows = Some(progress.rows);
        (self.bookmark, self.follower) = (bookmark, follower);
        self.bookmark.replication_key_value = self.bookmark.replication_key_value.max(Some(until));
        store(output, self.lead, &self.bookmark, self.follower.as_mut());
        // Safe: the list was yielded to its end.
        output.checkpoint().await
    }

    /// Tombstones of what was archived since the archive was read last.
    async fn read_archive(
        &mut self,
        until: DateTime<Utc>,
        output: &mut Output<'_>,
        audit: &mut Audit,
    ) -> Result<(), ExtractError> {
        let last = self.bookmark.archive_read_at;
        let is_due = archive_is_due(self.bounds.archive_hours, self.bookmark.archived_rows, last, until);
        if !self.bounds.include_archived || !is_due {
            return Ok(());
        }
        let part = audit::Part::begin(self.lead, "archive", &self.client, output.summary);
        let since = last.map_or(DateTime::UNIX_EPOCH, |last| last - self.bounds.lookback);
        let pass = Pass {
            workshop: &self.workshop,
            reader: &self.reader,
            bounds: self.bounds,
            filter: Filter { since: Some(since), until: self.bounds.until, ..Filter::default() },
            reading: self.reading("incremental"),
            trust: self.trust,
            sweeping: false,
            deadline: None,
        };
        let parts = vec![Part::whole(List::Archived)];
        let mut progress =
            Progress { since: Some(since), until: Some(until), parts, rows: 0, pages: 0, cached: false, filling: None };
        // An interrupted reading begins again: nothing of it is kept.
        let mut recent = self.bookmark.recent.clone();
        let lookback = self.lookback_before(until);
        let outcome =
            pass.run(&mut progress, output, |_, _, written| keep_recent(&mut recent, written, &lookback)).await;
        audit.end(part, outcome.is_ok(), &self.client, output.summary);
        outcome?;
        self.bookmark.recent = recent;
        self.bookmark.archive_read_at = last.max(Some(until));
        self.bookmark.archived_rows = Some(progress.pages * u64::from(self.bounds.page_size));
        Ok(())
    }

    /// What was created since an instant, whatever was read before; the state stays as it is.
    pub(super) async fn read_new(
        &mut self,
        created_after: DateTime<Utc>,
        output: &mut Output<'_>,
        audit: &mut Audit,
    ) -> Result<(), ExtractError> {
        let mut part = audit::Part::begin(self.lead, "created_after", &self.client, output.summary);
        let client = Arc::clone(&self.client);
        let searcher = Searcher { client, object_type: self.object_type.clone(), property: "createdate" };
        let filter = Filter { recent: Arc::default(), ..self.filter() };
        let version = self.bookmark.version.unwrap_or_else(|| next_version(None, self.client.server_now()));
        let changes = Changes {
            workshop: &self.workshop,
            reader: &self.reader,
            searcher: &searcher,
            filter: &filter,
            reading: Reading { extraction_type: "incremental", version },
            trust: self.trust.map(|trust| trust.comparing(false)),
        };
        // Created dates can be written, also into the future.
        let until = self.client.server_now() + TimeDelta::days(366);
        let mut begin = created_after;
        while begin < until {
            let rest = searcher.first(&(begin..until)).await?;
            let window = changes.next_window(begin, until, rest, output).await?;
            part.add(&window);
            begin = window.until;
        }
        audit.end(part, true, &self.client, output.summary);
        Ok(())
    }
}
