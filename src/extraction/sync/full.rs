//! A pass over all rows: the first load, and the sweep that finds what changes without a trace.

use std::time::Instant;

use crate::extraction::cache::CacheView;
use crate::extraction::emit::{Emitter, RecordMeta};
use crate::extraction::encode::stamp::ExtractionType;
use crate::extraction::error::ExtractError;
use crate::extraction::event::Extracted;
use crate::extraction::plan::bounds::Bounds;
use crate::extraction::summary::{PhaseKind, Reason};
use crate::extraction::sync::audit::{Audit, PhaseAudit};
use crate::extraction::sync::completeness::{Evidence, Verdict};
use crate::extraction::sync::driver::{ListedSpans, Pass, PassOutcome};
use crate::extraction::sync::filter::RowFilter;
use crate::extraction::sync::lookback::keep_recent;
use crate::extraction::sync::object_sync::{ObjectSync, write_bookmarks};
use crate::extraction::sync::reconcile::Reconciliation;
use crate::extraction::sync::schedule::sweep_is_due;
use crate::extraction::sync::windows::WindowSync;
use crate::state::{List, ListPart, PassProgress, next_version};

impl ObjectSync<'_> {
    /// Whether all rows are read again in this run; says why where the selection is the reason.
    pub(crate) fn sweep_is_due(&self) -> bool {
        if self.selection_grew && self.bounds.until.is_none() {
            match self.start_date_moved_back {
                true => {
                    tracing::info!("start_date lies earlier than before: all of {} is read again", self.parent_stream)
                }
                false => tracing::info!("the selection of {} grew: everything is read again", self.parent_stream),
            }
        }
        sweep_is_due(self.bounds, &self.bookmark, self.selection_grew, self.client.server_now())
    }

    /// A pass over all rows, started or resumed: the first load, or with a deadline a sweep.
    pub(crate) async fn read_all(
        &mut self,
        kind: PhaseKind,
        deadline: Option<Instant>,
        emitter: &mut Emitter<'_>,
        audit: &mut Audit,
    ) -> Result<Verdict, ExtractError> {
        let mut part = PhaseAudit::begin(self.parent_stream, kind, &self.client, emitter.summary);
        if emitter.audited {
            // Reported, not enforced: the search lags, the list does not.
            part.expected = self.client.search_objects(&self.object_type, &[]).await.ok().map(|search| search.total);
        }
        let outcome = self.pass_over_all(deadline, emitter).await;
        let (whole, reason) = match &outcome {
            Ok(verdict) => (verdict.whole, verdict.reason),
            Err(_) => (false, Some(Reason::Failed)),
        };
        audit.end(part, whole, reason, &self.client, emitter.summary);
        outcome
    }

    async fn pass_over_all(
        &mut self,
        deadline: Option<Instant>,
        emitter: &mut Emitter<'_>,
    ) -> Result<Verdict, ExtractError> {
        let is_sweep = deadline.is_some();
        // A sweep against a cache that is no longer trusted begins again.
        let begun =
            self.bookmark.progress.take().filter(|begun| !self.selection_grew && begun.cached <= self.diffing());
        // What it has left out so far would be missing now.
        let begun = begun.filter(|begun| self.bounds.since >= begun.since);
        let mut progress = match begun {
            Some(progress) => progress,
            None => {
                self.reader.take_unread();
                PassProgress { generation: emitter.generation(self.parent_stream), ..self.begin_pass(is_sweep) }
            }
        };
        self.remember_selection();
        let cache_view = self.cache_view.map(|cache_view| cache_view.with_diffing(progress.cached));
        emitter.cache_complete = progress.cached;
        let version = self.bookmark.version.expect("a pass has one");
        let extraction_type = if is_sweep { ExtractionType::Sweep } else { ExtractionType::Full };
        let pass = Pass {
            encoder: &self.encoder,
            reader: &self.reader,
            bounds: self.bounds,
            filter: self.filter(),
            record_meta: RecordMeta { extraction_type, version },
            cache_view,
            sweeping: true,
            deadline,
            ended_since: self.bookmark.swept_at,
        };
        let recent = self.lookback_before(progress.until.unwrap_or_else(|| self.client.server_now()));
        let (mut bookmark, mut child) = (self.bookmark.clone(), self.child.clone());
        let ended = pass
            .run(&mut progress, emitter, |emitter, progress, written| {
                keep_recent(&mut bookmark.recent, written, &recent);
                bookmark.progress = Some(progress.clone());
                write_bookmarks(emitter, self.parent_stream, &bookmark, child.as_mut(), &self.reader);
            })
            .await?;
        bookmark.progress = None;
        (self.bookmark, self.child) = (bookmark, child);
        let PassOutcome::Complete(listed) = ended else {
            tracing::info!("the sweep of {} goes on in the next run", self.parent_stream);
            return Ok(Verdict::UNFINISHED);
        };
        let verdict = self.judge(&mut progress, listed, &pass.filter, pass.record_meta, cache_view, emitter).await?;
        self.end_pass(&progress, version, verdict, emitter).await?;
        Ok(verdict)
    }

    /// Holds a pass that was read to the end against the search and against the last pass.
    async fn judge(
        &mut self,
        progress: &mut PassProgress,
        listed: ListedSpans,
        filter: &RowFilter,
        record_meta: RecordMeta,
        cache_view: Option<CacheView>,
        emitter: &mut Emitter<'_>,
    ) -> Result<Verdict, ExtractError> {
        let searcher = self.searcher();
        let (encoder, reader) = (&self.encoder, &self.reader);
        let changes = WindowSync { encoder, reader, searcher: &searcher, filter, record_meta, cache_view };
        let Reconciliation { count, recovered } = self.reconcile(progress.rows, listed, &changes, emitter).await?;
        progress.rows += recovered;
        let Bounds { since, until, created_after, .. } = self.bounds;
        let evidence = Evidence {
            bounded: since.or(*until).or(*created_after).is_some(),
            listed: progress.rows,
            known: self.bookmark.rows,
            ended: progress.ended,
            count,
            unread: self.reader.unread().len() as u64,
        };
        let verdict = evidence.verdict();
        self.note_verdict(verdict, &evidence);
        Ok(verdict)
    }

    /// A new pass, with a version above all before it.
    fn begin_pass(&mut self, is_sweep: bool) -> PassProgress {
        let now = self.client.server_now();
        let known = self.child.as_ref().and_then(|child| child.bookmark.version);
        let cached = is_sweep && self.diffing();
        if !cached {
            self.bookmark.version = Some(next_version(self.bookmark.version.max(known), now));
        }
        let until = self.bounds.until.map_or(now, |end| end.min(now));
        if !is_sweep {
            // What changes from now on is the next run's, though this one may read it.
            self.bookmark.replication_key_value = Some(until);
            self.bookmark.changes = None;
            self.bookmark.recent.clear();
        }
        PassProgress { cached, ..PassProgress::begin(self.bounds.since, until, self.parts()) }
    }

    async fn end_pass(
        &mut self,
        progress: &PassProgress,
        version: i64,
        verdict: Verdict,
        emitter: &mut Emitter<'_>,
    ) -> Result<(), ExtractError> {
        if !verdict.done {
            write_bookmarks(emitter, self.parent_stream, &self.bookmark, self.child.as_mut(), &self.reader);
            // Safe: the pass begins again, and the bookmark covers what changes from its first page on.
            return emitter.checkpoint().await;
        }
        // Rows before a start_date that was moved on are still there, and were not read again.
        let narrower = self.bookmark.swept_at.is_some() && self.bounds.since > self.bookmark.loaded_from;
        if !narrower {
            self.bookmark.loaded_from = self.bounds.since;
        }
        self.bookmark.swept_at = progress.until;
        if self.bounds.include_archived {
            self.bookmark.archive_read_at = self.bookmark.archive_read_at.max(progress.until);
        }
        if verdict.reason != Some(Reason::UnexplainedFall) {
            self.bookmark.rows = Some(progress.rows);
        }
        if verdict.whole {
            // All that changed before the pass began was read by it, whatever the search says of that time.
            self.bookmark.replication_key_value = self.bookmark.replication_key_value.max(progress.until);
            self.incomplete = None;
        }
        emitter.cache_complete =
            progress.generation.is_some() && progress.generation == emitter.generation(self.parent_stream);
        // With a cache only changes were sent: the version of most rows is the one they were sent with.
        if verdict.removes && !progress.cached && !narrower {
            let child = self.child.as_ref().map(|child| (child.stream, &child.bookmark));
            for (stream, bookmark) in std::iter::once((self.parent_stream, &self.bookmark)).chain(child) {
                // Rows of an association type that was not read again are still there.
                if bookmark.left.is_empty() {
                    emitter.send(Extracted::ActivateVersion { stream, version }).await?;
                }
            }
        }
        write_bookmarks(emitter, self.parent_stream, &self.bookmark, self.child.as_mut(), &self.reader);
        // Safe: all lists were yielded to their ends.
        emitter.checkpoint().await
    }

    /// The archive first, so that live wins.
    fn parts(&self) -> Vec<ListPart> {
        match self.bounds.include_archived {
            true => vec![ListPart::whole(List::Archived), ListPart::whole(List::Live)],
            false => vec![ListPart::whole(List::Live)],
        }
    }
}
