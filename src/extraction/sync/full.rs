//! A pass over all rows: the first load, and the sweep that finds what changes without a trace.
use std::time::Instant;

use chrono::TimeDelta;

use crate::extraction::cache::Trust;
use crate::extraction::emit::{Output, Reading};
use crate::extraction::error::ExtractError;
use crate::extraction::event::Yield;
use crate::extraction::plan::bounds::Bounds;
use crate::extraction::read::span::IdSpan;
use crate::extraction::summary::Reason;
use crate::extraction::sync::audit::{Audit, PhaseAudit};
use crate::extraction::sync::completeness::{Evidence, Verdict};
use crate::extraction::sync::driver::{Ended, Pass};
use crate::extraction::sync::filter::Filter;
use crate::extraction::sync::lookback::keep_recent;
use crate::extraction::sync::object_sync::{Group, store};
use crate::extraction::sync::reconcile::Reconciled;
use crate::extraction::sync::windows::Changes;
use crate::state::{List, Part, Progress, next_version};

impl Group<'_> {
    pub(crate) fn sweep_is_due(&self) -> bool {
        if self.bounds.until.is_some() {
            return false;
        }
        let elapsed = |hours: f64| {
            #[expect(clippy::cast_possible_truncation, reason = "bounded by the setting's maximum")]
            let pause = TimeDelta::milliseconds((hours * 3_600_000.0) as i64);
            self.bookmark.swept_at.is_none_or(|last| last + pause <= self.client.server_now())
        };
        if self.grown {
            match self.widened {
                true => tracing::info!("start_date lies earlier than before: all of {} is read again", self.lead),
                false => tracing::info!("the selection of {} grew: everything is read again", self.lead),
            }
        }
        self.grown || self.bookmark.progress.is_some() || self.bounds.sweep_hours.is_some_and(elapsed)
    }

    /// A pass over all rows, begun or gone on with: the first load, or with a deadline a sweep.
    pub(crate) async fn read_all(
        &mut self,
        name: &'static str,
        deadline: Option<Instant>,
        output: &mut Output<'_>,
        audit: &mut Audit,
    ) -> Result<Verdict, ExtractError> {
        let mut part = PhaseAudit::begin(self.lead, name, &self.client, output.summary);
        if output.audited {
            // Reported, not enforced: the search lags, the list does not.
            part.expected = self.client.search_objects(&self.object_type, &[]).await.ok().map(|search| search.total);
        }
        let outcome = self.pass_over_all(deadline, output).await;
        let (whole, reason) = match &outcome {
            Ok(verdict) => (verdict.whole, verdict.reason),
            Err(_) => (false, Some(Reason::Failed)),
        };
        audit.end(part, whole, reason, &self.client, output.summary);
        outcome
    }

    async fn pass_over_all(
        &mut self,
        deadline: Option<Instant>,
        output: &mut Output<'_>,
    ) -> Result<Verdict, ExtractError> {
        let is_sweep = deadline.is_some();
        // A sweep against a cache that is no longer trusted begins again.
        let begun = self.bookmark.progress.take().filter(|begun| !self.grown && begun.cached <= self.compares());
        // What it has left out so far would be missing now.
        let begun = begun.filter(|begun| self.bounds.since >= begun.since);
        let mut progress = match begun {
            Some(progress) => progress,
            None => {
                self.reader.take_unread();
                Progress { filling: output.filling(self.lead), ..self.begin_pass(is_sweep) }
            }
        };
        self.remember_selection();
        let trust = self.trust.map(|trust| trust.comparing(progress.cached));
        output.cache_complete = progress.cached;
        let version = self.bookmark.version.expect("a pass has one");
        let pass = Pass {
            encoder: &self.encoder,
            reader: &self.reader,
            bounds: self.bounds,
            filter: self.filter(),
            reading: Reading { extraction_type: if is_sweep { "sweep" } else { "full" }, version },
            trust,
            sweeping: true,
            deadline,
            ended_since: self.bookmark.swept_at,
        };
        let recent = self.lookback_before(progress.until.unwrap_or_else(|| self.client.server_now()));
        let (mut bookmark, mut follower) = (self.bookmark.clone(), self.follower.clone());
        let ended = pass
            .run(&mut progress, output, |output, progress, written| {
                keep_recent(&mut bookmark.recent, written, &recent);
                bookmark.progress = Some(progress.clone());
                store(output, self.lead, &bookmark, follower.as_mut(), &self.reader);
            })
            .await?;
        bookmark.progress = None;
        (self.bookmark, self.follower) = (bookmark, follower);
        let Ended::Whole(spans) = ended else {
            tracing::info!("the sweep of {} goes on in the next run", self.lead);
            return Ok(Verdict::UNFINISHED);
        };
        let verdict = self.judge(&mut progress, spans, &pass.filter, pass.reading, trust, output).await?;
        self.end_pass(&progress, version, verdict, output).await?;
        Ok(verdict)
    }

    /// Holds a pass that was read to the end against the search and against the last pass.
    async fn judge(
        &mut self,
        progress: &mut Progress,
        spans: Vec<IdSpan>,
        filter: &Filter,
        reading: Reading,
        trust: Option<Trust>,
        output: &mut Output<'_>,
    ) -> Result<Verdict, ExtractError> {
        let searcher = self.searcher();
        let (encoder, reader) = (&self.encoder, &self.reader);
        let changes = Changes { encoder, reader, searcher: &searcher, filter, reading, trust };
        let Reconciled { count, recovered } = self.reconcile(progress.rows, spans, &changes, output).await?;
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
        self.take_verdict(verdict, &evidence);
        Ok(verdict)
    }

    /// A new pass, with a version above all before it.
    fn begin_pass(&mut self, is_sweep: bool) -> Progress {
        let now = self.client.server_now();
        let known = self.follower.as_ref().and_then(|follower| follower.bookmark.version);
        let cached = is_sweep && self.compares();
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
        Progress { cached, ..Progress::begin(self.bounds.since, until, self.parts()) }
    }

    async fn end_pass(
        &mut self,
        progress: &Progress,
        version: i64,
        verdict: Verdict,
        output: &mut Output<'_>,
    ) -> Result<(), ExtractError> {
        if !verdict.done {
            store(output, self.lead, &self.bookmark, self.follower.as_mut(), &self.reader);
            // Safe: the pass begins again, and the bookmark covers what changes from its first page on.
            return output.checkpoint().await;
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
        output.cache_complete = progress.filling.is_some() && progress.filling == output.filling(self.lead);
        // With a cache only changes were sent: the version of most rows is the one they were sent with.
        if verdict.removes && !progress.cached && !narrower {
            let follower = self.follower.as_ref().map(|follower| (follower.stream, &follower.bookmark));
            for (stream, bookmark) in std::iter::once((self.lead, &self.bookmark)).chain(follower) {
                // Rows of an association type that was not read again are still there.
                if bookmark.left.is_empty() {
                    output.send(Yield::ActivateVersion { stream, version }).await?;
                }
            }
        }
        store(output, self.lead, &self.bookmark, self.follower.as_mut(), &self.reader);
        // Safe: all lists were yielded to their ends.
        output.checkpoint().await
    }

    /// The archive first, so that live wins.
    fn parts(&self) -> Vec<Part> {
        match self.bounds.include_archived {
            true => vec![Part::whole(List::Archived), Part::whole(List::Live)],
            false => vec![Part::whole(List::Live)],
        }
    }
}
