//! What changed since the bookmark: by windows of search, or by the list where that costs no more; and what is new since an
//! instant.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::client::{ClientError, ObjectType};
use crate::extraction::emit::{Emitter, RecordMeta};
use crate::extraction::encode::stamp::ExtractionType;
use crate::extraction::error::ExtractError;
use crate::extraction::read::window::Searcher;
use crate::extraction::summary::{PhaseKind, Reason};
use crate::extraction::sync::archive::archive_is_due;
use crate::extraction::sync::audit::{Audit, PhaseAudit};
use crate::extraction::sync::completeness::Evidence;
use crate::extraction::sync::driver::{ListedSpans, Pass, PassOutcome};
use crate::extraction::sync::filter::RowFilter;
use crate::extraction::sync::lookback::keep_recent;
use crate::extraction::sync::object_sync::{ObjectSync, write_bookmarks};
use crate::extraction::sync::reconcile::Reconciliation;
use crate::extraction::sync::schedule::{changes_by_list, list_calls};
use crate::extraction::sync::windows::{WindowResult, WindowSync};
use crate::state::{List, ListPart, PassProgress, next_version};

/// How far beyond HubSpot's clock changes are looked for: its header is behind by less than a second, and modified dates do
/// not lie in the future.
const OPEN_END: TimeDelta = TimeDelta::days(1);

impl ObjectSync<'_> {
    /// What changed since the bookmark.
    pub(crate) async fn read_changes(
        &mut self,
        emitter: &mut Emitter<'_>,
        audit: &mut Audit,
    ) -> Result<(), ExtractError> {
        let now = self.client.server_now();
        let until = self.bounds.until.map_or(now, |end| end.min(now));
        self.read_archive(until, emitter, audit).await?;
        let mut part = PhaseAudit::begin(self.parent_stream, PhaseKind::Changes, &self.client, emitter.summary);
        let outcome = self.read_changes_until(until, &mut part, emitter).await;
        let (whole, reason) = match &outcome {
            Ok(()) => (self.shortcoming().is_none(), self.shortcoming()),
            Err(_) => (false, Some(Reason::Failed)),
        };
        audit.end(part, whole, reason, &self.client, emitter.summary);
        outcome
    }

    async fn read_changes_until(
        &mut self,
        until: DateTime<Utc>,
        part: &mut PhaseAudit,
        emitter: &mut Emitter<'_>,
    ) -> Result<(), ExtractError> {
        if let Some(progress) = self.bookmark.changes.clone() {
            // A list that an earlier run began ends where that run would have ended.
            self.list_changes(progress, emitter).await?;
            if self.bookmark.replication_key_value >= Some(until) {
                return Ok(());
            }
        }
        let since = (self.begin_of_changes(until) - self.bounds.lookback)
            .max(self.bounds.since.unwrap_or(DateTime::UNIX_EPOCH));
        // In the search's resolution: a window of less than a millisecond has no rows and no end.
        let since = floor_to_millis(since);
        if since < until {
            self.search_or_list_changes(since, until, part, emitter).await?;
        }
        Ok(())
    }

    /// Where changes are read from: the bookmark, unless it lies in the future. Then a clock was wrong when it was set,
    /// and what changed since the last pass over all rows may be missing.
    fn begin_of_changes(&self, until: DateTime<Utc>) -> DateTime<Utc> {
        let bookmark = self.bookmark.replication_key_value.expect("a stream that was loaded has one");
        if self.bounds.until.is_some() || bookmark <= until + OPEN_END {
            return bookmark;
        }
        let begin = self.bookmark.swept_at.map_or(until, |swept| swept.min(until));
        tracing::warn!(
            "the state's bookmark of {} lies in the future ({bookmark}); what changed since {begin} is read again",
            self.parent_stream
        );
        begin
    }

    async fn search_or_list_changes(
        &mut self,
        since: DateTime<Utc>,
        until: DateTime<Utc>,
        part: &mut PhaseAudit,
        emitter: &mut Emitter<'_>,
    ) -> Result<(), ExtractError> {
        let listing = PassProgress::begin(Some(since), until, vec![ListPart::whole(List::Live)]);
        let list_calls = list_calls(self.bookmark.rows, self.bounds.page_size);
        if changes_by_list(list_calls, None) {
            return self.list_changes(listing, emitter).await;
        }
        match self.search_changes(since, until, list_calls, part, emitter).await {
            Ok(SearchOutcome::All) => Ok(()),
            Ok(SearchOutcome::TooMany) => self.list_changes(listing, emitter).await,
            Err(ExtractError::Client(ClientError::Refused { status: 400 | 404 | 405, detail, .. })) => {
                tracing::warn!(
                    "the search of {} refuses to tell what changed ({detail}); listing all rows",
                    self.parent_stream
                );
                self.list_changes(listing, emitter).await
            }
            Err(error) => Err(error),
        }
    }

    /// Reads changes by windows of search, unless the list costs no more.
    async fn search_changes(
        &mut self,
        since: DateTime<Utc>,
        until: DateTime<Utc>,
        list_calls: Option<u64>,
        part: &mut PhaseAudit,
        emitter: &mut Emitter<'_>,
    ) -> Result<SearchOutcome, ExtractError> {
        let searcher = self.searcher();
        // The clock's header has whole seconds: what changed since is written too, though the bookmark stays before it.
        let open_end = self.bounds.until.unwrap_or(until + OPEN_END).max(until);
        let mut begin = since;
        let mut rest = searcher.first(&(since..open_end)).await?;
        if changes_by_list(list_calls, Some(rest.total)) {
            return Ok(SearchOutcome::TooMany);
        }
        // One page tells everything at once.
        let mut end = if rest.is_complete() { open_end } else { until };
        if end < open_end {
            rest = searcher.first(&(since..end)).await?;
        }
        let filter = self.changes_filter(None);
        loop {
            let changes = self.changes(&searcher, &filter);
            let window = changes.next_window(begin, end, rest, emitter).await?;
            part.add(&window);
            // What comes in while it is counted is left to the next run.
            if window.missing > 0 && begin < until {
                self.incomplete.get_or_insert(shortfall(&self.object_type, begin, &window));
            }
            begin = window.until;
            // Safe to move: every record that the search counts up to there was yielded.
            let reached = match self.incomplete {
                None => begin.min(until),
                Some(_) => self.bookmark.replication_key_value.unwrap_or(since),
            };
            self.bookmark.replication_key_value = self.bookmark.replication_key_value.max(Some(reached));
            let lookback = self.lookback_before(until).from(reached - self.bounds.lookback);
            keep_recent(&mut self.bookmark.recent, &window.written, &lookback);
            write_bookmarks(emitter, self.parent_stream, &self.bookmark, self.child.as_mut(), &self.reader);
            // Safe: every record that the search gives up to the bookmark was yielded above.
            emitter.checkpoint().await?;
            if begin >= until {
                end = open_end;
            }
            if begin >= end {
                return Ok(SearchOutcome::All);
            }
            rest = searcher.first(&(begin..end)).await?;
        }
    }

    /// Changes by the list, where that costs no more calls: it does not lag.
    async fn list_changes(
        &mut self,
        mut progress: PassProgress,
        emitter: &mut Emitter<'_>,
    ) -> Result<(), ExtractError> {
        let pass = Pass {
            encoder: &self.encoder,
            reader: &self.reader,
            bounds: self.bounds,
            filter: self.changes_filter(progress.since),
            record_meta: self.record_meta(ExtractionType::Incremental),
            cache_view: self.cache_view,
            sweeping: false,
            deadline: None,
            ended_since: None,
        };
        let until = progress.until.unwrap_or_else(|| self.client.server_now());
        let recent = self.lookback_before(until);
        let (mut bookmark, mut child) = (self.bookmark.clone(), self.child.take());
        let ended = pass
            .run(&mut progress, emitter, |emitter, progress, written| {
                keep_recent(&mut bookmark.recent, written, &recent);
                bookmark.changes = Some(progress.clone());
                write_bookmarks(emitter, self.parent_stream, &bookmark, child.as_mut(), &self.reader);
            })
            .await?;
        bookmark.changes = None;
        (self.bookmark, self.child) = (bookmark, child);
        let PassOutcome::Complete(spans) = ended else { unreachable!("a pass without a deadline is not cut short") };
        let is_known = self.check_list(progress.rows, spans, progress.since, emitter).await?;
        if is_known {
            self.bookmark.replication_key_value = self.bookmark.replication_key_value.max(Some(until));
        }
        write_bookmarks(emitter, self.parent_stream, &self.bookmark, self.child.as_mut(), &self.reader);
        // Safe: the list was yielded to its end, and where the search knows of more, the bookmark stays.
        emitter.checkpoint().await
    }

    /// Whether a list of `listed` rows had all there are, as far as the search and the last list tell.
    async fn check_list(
        &mut self,
        listed: u64,
        spans: ListedSpans,
        since: Option<DateTime<Utc>>,
        emitter: &mut Emitter<'_>,
    ) -> Result<bool, ExtractError> {
        let (searcher, filter) = (self.searcher(), self.changes_filter(since));
        let changes = self.changes(&searcher, &filter);
        let Reconciliation { count, recovered } = self.reconcile(listed, spans, &changes, emitter).await?;
        let (listed, known) = (listed + recovered, self.bookmark.rows);
        // The archive need not have been read in this run: without the search a fall by half is not believed.
        let ended = known.unwrap_or_default() / 2;
        let evidence = Evidence { listed, known, ended, count, ..Evidence::default() };
        let verdict = evidence.verdict();
        self.note_verdict(verdict, &evidence);
        if verdict.whole {
            self.bookmark.rows = Some(listed);
        }
        Ok(verdict.whole)
    }

    /// Records that earlier runs could not read.
    pub(crate) async fn read_unread(&mut self, emitter: &mut Emitter<'_>) -> Result<(), ExtractError> {
        let ids = self.reader.take_unread();
        if ids.is_empty() {
            return Ok(());
        }
        let (searcher, filter) = (self.searcher(), self.filter());
        let changes = self.changes(&searcher, &filter);
        changes.write(&ids, emitter).await?;
        write_bookmarks(emitter, self.parent_stream, &self.bookmark, self.child.as_mut(), &self.reader);
        // Safe: the state names those that could not be read again.
        emitter.checkpoint().await
    }

    /// Tombstones of what was archived since the archive was read last.
    async fn read_archive(
        &mut self,
        until: DateTime<Utc>,
        emitter: &mut Emitter<'_>,
        audit: &mut Audit,
    ) -> Result<(), ExtractError> {
        let last = self.bookmark.archive_read_at;
        let is_due = archive_is_due(self.bounds.archive_hours, self.bookmark.archived_rows, last, until);
        if !self.bounds.include_archived || !is_due {
            return Ok(());
        }
        let part = PhaseAudit::begin(self.parent_stream, PhaseKind::Archive, &self.client, emitter.summary);
        let since = last.map_or(DateTime::UNIX_EPOCH, |last| last - self.bounds.lookback);
        let pass = Pass {
            encoder: &self.encoder,
            reader: &self.reader,
            bounds: self.bounds,
            filter: RowFilter { since: Some(since), until: self.bounds.until, ..RowFilter::default() },
            record_meta: self.record_meta(ExtractionType::Incremental),
            cache_view: self.cache_view,
            sweeping: false,
            deadline: None,
            ended_since: None,
        };
        let parts = vec![ListPart::whole(List::Archived)];
        let mut progress = PassProgress::begin(Some(since), until, parts);
        // An interrupted reading begins again: nothing of it is kept.
        let mut recent = self.bookmark.recent.clone();
        let lookback = self.lookback_before(until);
        let outcome =
            pass.run(&mut progress, emitter, |_, _, written| keep_recent(&mut recent, written, &lookback)).await;
        let reason = outcome.is_err().then_some(Reason::Failed);
        audit.end(part, outcome.is_ok(), reason, &self.client, emitter.summary);
        outcome?;
        self.bookmark.recent = recent;
        self.bookmark.archive_read_at = last.max(Some(until));
        self.bookmark.archived_rows = Some(progress.pages * u64::from(self.bounds.page_size));
        Ok(())
    }

    /// What was created since an instant, whatever was read before; the state stays as it is.
    pub(crate) async fn read_new(
        &mut self,
        created_after: DateTime<Utc>,
        emitter: &mut Emitter<'_>,
        audit: &mut Audit,
    ) -> Result<(), ExtractError> {
        let mut part = PhaseAudit::begin(self.parent_stream, PhaseKind::CreatedAfter, &self.client, emitter.summary);
        let client = Arc::clone(&self.client);
        let searcher =
            Searcher { client, object_type: self.object_type.clone(), property: self.object_type.created_property() };
        let filter = RowFilter { recent: Arc::default(), ..self.filter() };
        let version = self.bookmark.version.unwrap_or_else(|| next_version(None, self.client.server_now()));
        let changes = WindowSync {
            encoder: &self.encoder,
            reader: &self.reader,
            searcher: &searcher,
            filter: &filter,
            record_meta: RecordMeta { extraction_type: ExtractionType::Incremental, version },
            cache_view: self.cache_view.map(|cache_view| cache_view.with_diffing(false)),
        };
        // Created dates can be written, also into the future.
        let until = self.client.server_now() + TimeDelta::days(366);
        let mut begin = created_after;
        while begin < until {
            let rest = searcher.first(&(begin..until)).await?;
            let window = changes.next_window(begin, until, rest, emitter).await?;
            part.add(&window);
            if window.missing > 0 {
                self.incomplete.get_or_insert(shortfall(&self.object_type, begin, &window));
            }
            begin = window.until;
        }
        let reason = self.incomplete.is_some().then_some(Reason::CountDisagrees);
        audit.end(part, reason.is_none(), reason, &self.client, emitter.summary);
        Ok(())
    }
}

/// What became of a search for changes.
enum SearchOutcome {
    /// All were read, as far as the search gives them.
    All,
    /// They are so many that the list costs no more.
    TooMany,
}

/// That the search counts more in a window than it gives.
fn shortfall(object_type: &ObjectType, from: DateTime<Utc>, window: &WindowResult) -> ExtractError {
    let WindowResult { until, expected, missing, .. } = window;
    let (object_type, seen) = (object_type.clone(), expected - missing);
    ExtractError::Shortfall { object_type, from, to: *until, expected: *expected, seen }
}

/// An instant without what is finer than HubSpot's resolution.
fn floor_to_millis(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at.timestamp_millis()).unwrap_or(at)
}
