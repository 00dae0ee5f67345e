//! A pass over all rows: the first load, and the sweep that finds what changes without a trace.

use std::time::Instant;

use chrono::TimeDelta;

use super::{Group, store};
use crate::extraction::audit::{self, Audit};
use crate::extraction::changes::keep_recent;
use crate::extraction::output::{Output, Reading};
use crate::extraction::pass::{Ended, Pass};
use crate::extraction::small::next_version;
use crate::extraction::{ExtractError, Yield};
use crate::state::{List, Part, Progress};

impl Group<'_> {
    pub(super) fn sweep_is_due(&self) -> bool {
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
    pub(super) async fn read_all(
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
        // A sweep against a cache that is no longer trusted begins again.
        let begun = self.bookmark.progress.take().filter(|begun| !self.grown && begun.cached <= self.compares());
        let mut progress = match begun {
            Some(progress) => progress,
            None => Progress { filling: output.filling(self.lead), ..self.begin_pass(is_sweep) },
        };
        self.remember_selection();
        let trust = self.trust.map(|trust| trust.comparing(progress.cached));
        output.cache_complete = progress.cached;
        let version = self.bookmark.version.expect("a pass has one");
        let pass = Pass {
            workshop: &self.workshop,
            reader: &self.reader,
            bounds: self.bounds,
            filter: self.filter(),
            reading: Reading { extraction_type: if is_sweep { "sweep" } else { "full" }, version },
            trust,
            sweeping: true,
            deadline,
        };
        let recent = self.lookback_before(progress.until.unwrap_or_else(|| self.client.server_now()));
        let (mut bookmark, mut follower) = (self.bookmark.clone(), self.follower.clone());
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
        Progress { since: None, until: Some(until), parts: self.parts(), rows: 0, pages: 0, cached, filling: None }
    }

    async fn end_pass(
        &mut self,
        progress: &Progress,
        version: i64,
        output: &mut Output<'_>,
    ) -> Result<(), ExtractError> {
        // Rows before a start_date that was moved on are still there, and were not read again.
        let narrower = self.bookmark.swept_at.is_some() && self.bounds.since > self.bookmark.loaded_from;
        if !narrower {
            self.bookmark.loaded_from = self.bounds.since;
        }
        self.bookmark.swept_at = progress.until;
        if self.bounds.include_archived {
            self.bookmark.archive_read_at = self.bookmark.archive_read_at.max(progress.until);
        }
        self.bookmark.rows = Some(progress.rows);
        output.cache_complete = progress.filling.is_some() && progress.filling == output.filling(self.lead);
        // With a cache only changes were sent: the version of most rows is the one they were sent with.
        if self.bounds.until.is_none() && !progress.cached && !narrower {
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
        match self.bounds.include_archived {
            true => vec![Part::whole(List::Archived), Part::whole(List::Live)],
            false => vec![Part::whole(List::Live)],
        }
    }
}
