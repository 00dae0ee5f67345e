//! One object type through a run: its first load, or what changed since the bookmark and then a sweep if one is due.

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};

use super::audit::{self, Audit};
use super::changes::{Changes, Lookback, keep_recent};
use super::chunk::Workshop;
use super::list::Reader;
use super::output::{Output, Reading};
use super::pass::{Ended, Filter, Pass};
use super::plan::ObjectPlan;
use super::small::next_version;
use super::window::{Searcher, modified_property};
use super::{Bounds, ExtractError, Yield};
use crate::client::{Client, ObjectType};
use crate::state::{Bookmark, List, Part, Progress, Selected};

/// Rows of the lookback that the state names, with some 30 bytes each: a state of all object streams stays below 16 KB
/// with as much again for a thousand selected columns.
const MAX_RECENT_TICKETS: usize = 150;
/// The same for streams that change less, or matter less.
const MAX_RECENT_OTHERS: usize = 50;

/// The streams of one object type, and where they stand.
pub(super) struct Group<'g> {
    client: Arc<Client>,
    object_type: ObjectType,
    bounds: &'g Bounds,
    workshop: Arc<Workshop>,
    reader: Arc<Reader>,
    /// The stream that keeps the progress.
    lead: &'static str,
    bookmark: Bookmark,
    follower: Option<Follower>,
    /// The lead's selection now.
    selected: Selected,
    full_table: bool,
    /// The selection grew since all rows were read, or the streams have not come equally far: only reading everything again makes them whole.
    grown: bool,
}

/// `ticket_associations` beside `tickets`: it follows them, and only remembers how far they came.
struct Follower {
    stream: &'static str,
    bookmark: Bookmark,
    selected: Selected,
}

impl<'g> Group<'g> {
    /// Finds out where the streams of a plan stand.
    pub(super) fn new(client: &Arc<Client>, plan: ObjectPlan, bounds: &'g Bounds, output: &Output<'_>) -> Self {
        let streams = plan.streams();
        let lead = streams[0];
        let bookmark = output.state.bookmark(lead);
        let selected = plan.selected(lead);
        let covers = |known: &Bookmark, selected: &Selected| {
            known.selected.as_ref().is_some_and(|before| before.covers(selected))
        };
        let mut grown = bookmark.as_ref().is_some_and(|known| !covers(known, &selected));
        let follower = streams.get(1).map(|stream| {
            let known = output.state.bookmark(stream);
            let selected = plan.selected(stream);
            let in_step = known.as_ref().is_some_and(|known| {
                covers(known, &selected)
                    && bookmark.as_ref().is_none_or(|lead| {
                        lead.version == known.version && lead.replication_key_value == known.replication_key_value
                    })
            });
            grown |= bookmark.is_some() && !in_step;
            let mut known = known.unwrap_or_default();
            let before = known.selected.take();
            known.left = ObjectPlan::left(&known.left, before.as_ref(), &selected);
            // What is not in step stays so until all rows are read, also when this run does not come to that.
            known.selected = before.filter(|_| in_step).map(|before| before.and(&selected));
            Follower { stream, bookmark: known, selected }
        });
        let mut bookmark = bookmark.unwrap_or_default();
        // Rows that change while a column is not selected keep its old value: when it comes back, that has grown, too.
        let before = bookmark.selected.take();
        if plan.columns.is_none() {
            bookmark.left = ObjectPlan::left(&bookmark.left, before.as_ref(), &selected);
        }
        bookmark.selected = before.map(|before| before.and(&selected));
        if let Some(columns) = &plan.columns {
            columns.remember(&mut bookmark);
        }
        let (object_type, full_table) = (plan.object_type.clone(), plan.full_table);
        let workshop = Arc::new(Workshop::new(Arc::clone(client), plan, bounds.include_archived));
        let layout = workshop.layout();
        let reader = Arc::new(Reader::new(Arc::clone(client), object_type.clone(), layout, bounds.page_size));
        let client = Arc::clone(client);
        Self { client, object_type, bounds, workshop, reader, lead, bookmark, follower, selected, full_table, grown }
    }

    /// Reads what is to be read.
    pub(super) async fn run(mut self, output: &mut Output<'_>, audit: &mut Audit) -> Result<(), ExtractError> {
        output.summary.update(self.lead, |_| ());
        if let Some(created_after) = self.bounds.created_after {
            return self.read_new(created_after, output, audit).await;
        }
        let resumed = self.bookmark.progress.is_some() && !self.grown;
        if self.full_table || self.bookmark.replication_key_value.is_none() || self.bookmark.swept_at.is_none() {
            self.read_all("first_load", None, output, audit).await?;
            // What changed since an earlier run began it is still to be read.
            if !resumed || self.full_table {
                return Ok(());
            }
        }
        self.read_changes(output, audit).await?;
        let deadline = Some(Instant::now() + self.bounds.sweep_time);
        if self.sweep_is_due() {
            let resumed = self.bookmark.progress.is_some() && !self.grown;
            let ended = self.read_all("sweep", deadline, output, audit).await?;
            // One that began in an earlier run does not know what changed since.
            if resumed && ended == Ended::Whole && self.sweep_is_due() {
                self.read_all("sweep_anew", deadline, output, audit).await?;
            }
        }
        Ok(())
    }

    fn sweep_is_due(&self) -> bool {
        if self.bounds.until.is_some() {
            return false;
        }
        let elapsed = |hours: f64| {
            #[expect(clippy::cast_possible_truncation, reason = "bounded by the setting's maximum")]
            let pause = TimeDelta::milliseconds((hours * 3_600_000.0) as i64);
            self.bookmark.swept_at.is_none_or(|last| last + pause <= self.client.server_now())
        };
        if self.grown {
            tracing::info!("the selection of {} grew: everything is read again", self.lead);
        }
        self.grown || self.bookmark.progress.is_some() || self.bounds.sweep_hours.is_some_and(elapsed)
    }

    /// A pass over all rows, begun or gone on with: the first load, or with a deadline a sweep.
    async fn read_all(
        &mut self,
        name: &'static str,
        deadline: Option<Instant>,
        output: &mut Output<'_>,
        audit: &mut Audit,
    ) -> Result<Ended, ExtractError> {
        let mut part = audit::Part::begin(self.lead, name, &self.client, output.summary);
        if output.audited {
            // Reported, not enforced: the search lags, the list does not.
            part.expected = self.client.search_objects(&self.object_type, &[]).await.ok().map(|search| search.total);
        }
        let ended = self.pass_over_all(deadline, output).await;
        audit.end(part, matches!(ended, Ok(Ended::Whole)), &self.client, output.summary);
        ended
    }

    async fn pass_over_all(
        &mut self,
        deadline: Option<Instant>,
        output: &mut Output<'_>,
    ) -> Result<Ended, ExtractError> {
        let is_sweep = deadline.is_some();
        let begun = self.bookmark.progress.take().filter(|_| !self.grown);
        let mut progress = match begun {
            Some(progress) => progress,
            None => self.begin_pass(is_sweep),
        };
        self.remember_selection();
        let version = self.bookmark.version.expect("a pass has one");
        let pass = Pass {
            workshop: &self.workshop,
            reader: &self.reader,
            bounds: self.bounds,
            filter: self.filter(),
            reading: Reading { extraction_type: if is_sweep { "sweep" } else { "full" }, version },
            deadline,
        };
        let recent = self.lookback_before(progress.until.unwrap_or_else(|| self.client.server_now()));
        let (mut bookmark, mut follower) = (self.bookmark.clone(), self.follower.take());
        let ended = pass
            .run(&mut progress, output, |output, progress, written| {
                keep_recent(&mut bookmark.recent, written, &recent);
                bookmark.progress = Some(progress.clone());
                store(output, self.lead, &bookmark, follower.as_mut());
            })
            .await?;
        bookmark.progress = None;
        (self.bookmark, self.follower) = (bookmark, follower);
        if ended == Ended::Whole {
            self.end_pass(&progress, version, output).await?;
        } else {
            tracing::info!("the sweep of {} goes on in the next run", self.lead);
        }
        Ok(ended)
    }

    /// A new pass, with a version above all before it.
    fn begin_pass(&mut self, is_sweep: bool) -> Progress {
        let now = self.client.server_now();
        let known = self.follower.as_ref().and_then(|follower| follower.bookmark.version);
        self.bookmark.version = Some(next_version(self.bookmark.version.max(known), now));
        let until = self.bounds.until.map_or(now, |end| end.min(now));
        if !is_sweep {
            // What changes from now on is the next run's, though this one may read it.
            self.bookmark.replication_key_value = Some(until);
            self.bookmark.changes = None;
            self.bookmark.recent.clear();
        }
        Progress { since: None, until: Some(until), parts: self.parts(), rows: 0 }
    }

    async fn end_pass(
        &mut self,
        progress: &Progress,
        version: i64,
        output: &mut Output<'_>,
    ) -> Result<(), ExtractError> {
        self.bookmark.swept_at = progress.until;
        if self.bounds.include_archived {
            self.bookmark.archive_read_at = self.bookmark.archive_read_at.max(progress.until);
        }
        self.bookmark.rows = Some(progress.rows);
        if self.bounds.until.is_none() {
            let follower = self.follower.as_ref().map(|follower| (follower.stream, &follower.bookmark));
            for (stream, bookmark) in std::iter::once((self.lead, &self.bookmark)).chain(follower) {
                // Rows of an association type that was not read again are still there.
                if bookmark.left.is_empty() {
                    output.send(Yield::ActivateVersion { stream, version }).await?;
                }
            }
        }
        store(output, self.lead, &self.bookmark, self.follower.as_mut());
        // Safe: all lists were yielded to their ends.
        output.checkpoint().await
    }

    /// The archive first, so that live wins.
    fn parts(&self) -> Vec<Part> {
        let part = |list| Part { list, after: None };
        match self.bounds.include_archived {
            true => vec![part(List::Archived), part(List::Live)],
            false => vec![part(List::Live)],
        }
    }

    /// What changed since the bookmark.
    async fn read_changes(&mut self, output: &mut Output<'_>, audit: &mut Audit) -> Result<(), ExtractError> {
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
            parts: vec![Part { list: List::Live, after: None }],
            rows: 0,
        };
        let page_size = u64::from(self.bounds.page_size);
        let list_calls = self.bookmark.rows.map(|rows| rows.div_ceil(page_size).max(1));
        if list_calls == Some(1) {
            return self.list_changes(listing, output).await;
        }
        let property = modified_property(&self.object_type);
        let searcher = Searcher { client: Arc::clone(&self.client), object_type: self.object_type.clone(), property };
        let mut begin = since;
        let mut rest = searcher.first(&(since.timestamp_millis()..until.timestamp_millis())).await?;
        let search_calls = rest.total.div_ceil(200) + rest.total.div_ceil(100);
        if list_calls.is_some_and(|list_calls| list_calls <= search_calls) {
            return self.list_changes(listing, output).await;
        }
        loop {
            let filter = self.changes_filter(None);
            let changes = Changes {
                workshop: &self.workshop,
                reader: &self.reader,
                searcher: &searcher,
                filter: &filter,
                reading: self.reading("incremental"),
            };
            let window = changes.next_window(begin, until, rest, output).await?;
            part.expected = Some(part.expected.unwrap_or(0) + window.expected);
            part.duplicates += window.duplicates;
            begin = window.until;
            self.bookmark.replication_key_value = self.bookmark.replication_key_value.max(Some(window.until));
            let lookback = self.lookback_before(until).from(window.until - self.bounds.lookback);
            keep_recent(&mut self.bookmark.recent, &window.written, &lookback);
            store(output, self.lead, &self.bookmark, self.follower.as_mut());
            // Safe: every record that the search counts up to the window's end was yielded above.
            output.checkpoint().await?;
            if begin >= until {
                return Ok(());
            }
            rest = searcher.first(&(begin.timestamp_millis()..until.timestamp_millis())).await?;
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
        #[expect(clippy::cast_possible_truncation, reason = "bounded by the setting's maximum")]
        let pause = TimeDelta::milliseconds((self.bounds.archive_hours * 3_600_000.0) as i64);
        let last = self.bookmark.archive_read_at;
        if !self.bounds.include_archived || last.is_some_and(|last| last + pause > until) {
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
            deadline: None,
        };
        let parts = vec![Part { list: List::Archived, after: None }];
        let mut progress = Progress { since: Some(since), until: Some(until), parts, rows: 0 };
        // An interrupted reading begins again: nothing of it is kept.
        let mut recent = self.bookmark.recent.clone();
        let lookback = self.lookback_before(until);
        let outcome =
            pass.run(&mut progress, output, |_, _, written| keep_recent(&mut recent, written, &lookback)).await;
        audit.end(part, outcome.is_ok(), &self.client, output.summary);
        outcome?;
        self.bookmark.recent = recent;
        self.bookmark.archive_read_at = last.max(Some(until));
        Ok(())
    }

    /// What was created since an instant, whatever was read before; the state stays as it is.
    async fn read_new(
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
        };
        // Created dates can be written, also into the future.
        let until = self.client.server_now() + TimeDelta::days(366);
        let mut begin = created_after;
        while begin < until {
            let rest = searcher.first(&(begin.timestamp_millis()..until.timestamp_millis())).await?;
            let window = changes.next_window(begin, until, rest, output).await?;
            part.expected = Some(part.expected.unwrap_or(0) + window.expected);
            part.duplicates += window.duplicates;
            begin = window.until;
        }
        audit.end(part, true, &self.client, output.summary);
        Ok(())
    }

    fn filter(&self) -> Filter {
        let Bounds { since, until, created_after, .. } = *self.bounds;
        Filter { since, until, created_after, recent: Arc::default() }
    }

    /// Leaves out rows that were written in the lookback and have not changed since.
    fn changes_filter(&self, since: Option<DateTime<Utc>>) -> Filter {
        let mut filter = self.filter();
        filter.since = filter.since.max(since);
        filter.recent = Arc::new(self.bookmark.recent.clone());
        filter
    }

    fn reading(&self, extraction_type: &'static str) -> Reading {
        Reading { extraction_type, version: self.bookmark.version.expect("a stream that was loaded has one") }
    }

    /// What a later run reads again of the time before `until`. Rows modified after that are not part of it: one that
    /// changes twice in a millisecond may have been written between.
    fn lookback_before(&self, until: DateTime<Utc>) -> Lookback {
        let most_rows = if self.object_type == ObjectType::TICKETS { MAX_RECENT_TICKETS } else { MAX_RECENT_OTHERS };
        Lookback { time: until - self.bounds.lookback..until, most_rows }
    }

    fn remember_selection(&mut self) {
        self.grown = false;
        self.bookmark.selected = Some(self.selected.clone());
        if let Some(follower) = &mut self.follower {
            follower.bookmark.selected = Some(follower.selected.clone());
        }
    }
}

/// Puts the bookmarks into the state.
fn store(output: &mut Output<'_>, lead: &'static str, bookmark: &Bookmark, follower: Option<&mut Follower>) {
    let mut bookmark = bookmark.clone();
    bookmark.replication_key = Some("updated_at".to_owned());
    if let Some(Follower { stream, bookmark: followed, .. }) = follower {
        followed.replication_key = Some("updated_at".to_owned());
        followed.replication_key_value = bookmark.replication_key_value;
        followed.version = bookmark.version;
        followed.swept_at = bookmark.swept_at.filter(|_| bookmark.progress.is_none());
        followed.archive_read_at = bookmark.archive_read_at;
        followed.rows = bookmark.rows;
        output.state.set(stream, followed);
    }
    output.state.set(lead, &bookmark);
}
