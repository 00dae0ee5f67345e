//! One object type through a run: its first load, or what changed since the bookmark and then a sweep if one is due.

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};

use crate::client::{Client, ObjectId, ObjectType};
use crate::extraction::cache::CacheView;
use crate::extraction::cache::error::CacheError;
use crate::extraction::emit::{Emitter, RecordMeta};
use crate::extraction::encode::block::RowEncoder;
use crate::extraction::encode::stamp::ExtractionType;
use crate::extraction::error::ExtractError;
use crate::extraction::plan::bounds::Bounds;
use crate::extraction::plan::object::ObjectPlan;
use crate::extraction::read::list::ObjectReader;
use crate::extraction::read::window::Searcher;
use crate::extraction::summary::{PhaseKind, Reason};
use crate::extraction::sync::audit::Audit;
use crate::extraction::sync::completeness::{Evidence, SearchCount, Verdict};
use crate::extraction::sync::filter::RowFilter;
use crate::extraction::sync::lookback::Lookback;
use crate::extraction::sync::schedule::{FirstTask, first_task};
use crate::extraction::sync::standing::Standing;
use crate::extraction::sync::windows::WindowSync;
use crate::state::{Bookmark, Selected};

/// Rows of the lookback that the state names, with some 30 bytes each: a state of all object streams stays below 16 KB
/// with as much again for a thousand selected columns.
const MAX_RECENT_TICKETS: usize = 150;
/// The same for streams that change less, or matter less.
const MAX_RECENT_OTHERS: usize = 50;

/// The streams of one object type, and where they stand.
pub(crate) struct ObjectSync<'g> {
    pub(crate) client: Arc<Client>,
    pub(crate) object_type: ObjectType,
    pub(crate) bounds: &'g Bounds,
    pub(crate) encoder: Arc<RowEncoder>,
    pub(crate) reader: Arc<ObjectReader>,
    /// The stream that keeps the progress.
    pub(crate) parent_stream: &'static str,
    pub(crate) bookmark: Bookmark,
    pub(crate) child: Option<ChildStream>,
    /// The parent stream's selection now.
    selected: Selected,
    full_table: bool,
    /// As of [`Standing`].
    pub(crate) selection_grew: bool,
    /// As of [`Standing`].
    pub(crate) start_date_moved_back: bool,
    /// Why the bookmark is held, unless a pass over all rows settles it.
    pub(crate) incomplete: Option<ExtractError>,
    /// How far the row cache can be trusted; none without one.
    pub(crate) cache_view: Option<CacheView>,
}

/// `ticket_associations` beside `tickets`: it follows them, and only remembers how far they came.
#[derive(Clone)]
pub(crate) struct ChildStream {
    pub(crate) stream: &'static str,
    pub(crate) bookmark: Bookmark,
    selected: Selected,
}

impl<'g> ObjectSync<'g> {
    /// Finds out where the streams of a plan stand.
    pub(crate) fn new(
        client: &Arc<Client>,
        plan: ObjectPlan,
        bounds: &'g Bounds,
        emitter: &Emitter<'_>,
    ) -> Result<Self, CacheError> {
        let streams = plan.streams();
        let parent_stream = streams[0];
        let Standing { mut bookmark, child, selection_grew, start_date_moved_back } =
            Standing::of(&plan, &emitter.state, bounds.since);
        let child = streams.get(1).zip(child).map(|(stream, bookmark)| ChildStream {
            stream,
            bookmark,
            selected: plan.selected(stream),
        });
        let selected = plan.selected(parent_stream);
        if let Some(columns) = &plan.columns {
            columns.remember_types(&mut bookmark);
        }
        let mut cache_view = match &emitter.cache {
            Some(cache) => Some(cache.view(parent_stream, bookmark.cache.as_ref(), plan.fingerprint())?),
            None => None,
        };
        if let Some(cache_view) = &mut cache_view {
            cache_view.diffing &= !selection_grew;
            if !cache_view.diffing {
                tracing::info!("the row cache of {parent_stream} is filled anew: the next sweep sends all rows");
            }
        }
        let (object_type, full_table) = (plan.object_type.clone(), plan.full_table);
        let (cache, pages) = (emitter.cache.clone(), emitter.pages.clone());
        let encoder = Arc::new(RowEncoder::new(Arc::clone(client), plan, bounds.include_archived, cache, pages));
        let layout = encoder.layout();
        let reader = Arc::new(ObjectReader::new(Arc::clone(client), object_type.clone(), layout, bounds.page_size));
        let client = Arc::clone(client);
        // They were few enough for the state that names them.
        let _ = reader.leave_unread(bookmark.unread.iter().copied().map(ObjectId));
        Ok(Self {
            client,
            object_type,
            bounds,
            encoder,
            reader,
            parent_stream,
            bookmark,
            child,
            selected,
            full_table,
            selection_grew,
            start_date_moved_back,
            incomplete: None,
            cache_view,
        })
    }

    /// Reads what is to be read.
    pub(crate) async fn run(mut self, emitter: &mut Emitter<'_>, audit: &mut Audit) -> Result<(), ExtractError> {
        emitter.summary.update(self.parent_stream, |_| ());
        emitter.cache_complete = self.diffing();
        if let Some(created_after) = self.bounds.created_after {
            self.read_new(created_after, emitter, audit).await?;
            return self.conclude();
        }
        let resumed = self.bookmark.progress.is_some() && !self.selection_grew;
        if first_task(self.bounds, &self.bookmark, self.full_table) == FirstTask::AllRows {
            let verdict = self.read_all(PhaseKind::FirstLoad, None, emitter, audit).await?;
            // What changed since an earlier run began it is still to be read.
            if !resumed || self.full_table || !verdict.done {
                return self.conclude();
            }
        }
        self.read_changes(emitter, audit).await?;
        self.read_unread(emitter).await?;
        if self.sweep_is_due() {
            self.sweep(emitter, audit).await?;
        }
        self.conclude()
    }

    async fn sweep(&mut self, emitter: &mut Emitter<'_>, audit: &mut Audit) -> Result<(), ExtractError> {
        let deadline = Some(Instant::now() + self.bounds.sweep_time);
        let resumed = self.bookmark.progress.is_some() && !self.selection_grew;
        let mut verdict = self.read_all(PhaseKind::Sweep, deadline, emitter, audit).await;
        if matches!(verdict, Err(ExtractError::Disordered)) {
            tracing::info!("the list does not keep the order of ids; the sweep sends all rows again");
            self.bookmark.progress = None;
            self.cache_view = self.cache_view.map(|cache_view| cache_view.with_diffing(false));
            verdict = self.read_all(PhaseKind::Sweep, deadline, emitter, audit).await;
        }
        // One that began in an earlier run does not know what changed since.
        if verdict?.done && resumed && self.sweep_is_due() {
            self.read_all(PhaseKind::SweepAgain, deadline, emitter, audit).await?;
        }
        Ok(())
    }

    /// Warns of a list that may not be whole, and remembers why.
    pub(crate) fn note_verdict(&mut self, verdict: Verdict, evidence: &Evidence) {
        let object_type = self.object_type.clone();
        let (listed, known) = (evidence.listed, evidence.known.unwrap_or_default());
        match verdict.reason {
            Some(Reason::CountDisagrees) => {
                self.incomplete.get_or_insert(ExtractError::Contradiction { object_type });
            }
            Some(Reason::UnexplainedFall) => {
                tracing::warn!(
                    "HubSpot shows {listed} {object_type} where there were {known}, and neither the archive nor merges explain it; no row is removed"
                );
                if evidence.count == SearchCount::Unknown {
                    self.incomplete.get_or_insert(ExtractError::Fall { object_type, listed, known });
                }
            }
            _ => {}
        }
    }

    /// Why what was read so far is not everything; none: it is.
    pub(crate) fn shortcoming(&self) -> Option<Reason> {
        match &self.incomplete {
            Some(ExtractError::Fall { .. }) => Some(Reason::UnexplainedFall),
            Some(_) => Some(Reason::CountDisagrees),
            None => (!self.reader.unread().is_empty()).then_some(Reason::RecordsUnread),
        }
    }

    /// How the streams stand at the end of a run that read all it could.
    fn conclude(self) -> Result<(), ExtractError> {
        let count = self.reader.unread().len();
        match self.incomplete {
            Some(error) => Err(error),
            None if count > 0 => Err(ExtractError::Unread { object_type: self.object_type, count }),
            None => Ok(()),
        }
    }

    pub(crate) fn searcher(&self) -> Searcher {
        let (client, object_type) = (Arc::clone(&self.client), self.object_type.clone());
        Searcher { property: object_type.modified_property(), client, object_type }
    }

    /// How changes are written that a search or an id names.
    pub(crate) fn changes<'c>(&'c self, searcher: &'c Searcher, filter: &'c RowFilter) -> WindowSync<'c> {
        WindowSync {
            encoder: &self.encoder,
            reader: &self.reader,
            searcher,
            filter,
            record_meta: self.record_meta(ExtractionType::Incremental),
            cache_view: self.cache_view,
        }
    }

    /// Whether rows are held against the row cache.
    pub(crate) fn diffing(&self) -> bool {
        self.cache_view.is_some_and(|cache_view| cache_view.diffing)
    }

    pub(crate) fn filter(&self) -> RowFilter {
        let Bounds { since, until, created_after, .. } = *self.bounds;
        RowFilter { since, until, created_after, recent: Arc::default() }
    }

    /// Leaves out rows that were written in the lookback and have not changed since.
    pub(crate) fn changes_filter(&self, since: Option<DateTime<Utc>>) -> RowFilter {
        let mut filter = self.filter();
        filter.since = filter.since.max(since);
        filter.recent = Arc::new(self.bookmark.recent.clone());
        filter
    }

    pub(crate) fn record_meta(&self, extraction_type: ExtractionType) -> RecordMeta {
        RecordMeta { extraction_type, version: self.bookmark.version.expect("a stream that was loaded has one") }
    }

    /// What a later run reads again of the time before `until`. Rows modified after that are not part of it: one that
    /// changes twice in a millisecond may have been written between.
    pub(crate) fn lookback_before(&self, until: DateTime<Utc>) -> Lookback {
        let most_rows = if self.object_type == ObjectType::TICKETS { MAX_RECENT_TICKETS } else { MAX_RECENT_OTHERS };
        Lookback { time: until - self.bounds.lookback..until, most_rows }
    }

    pub(crate) fn remember_selection(&mut self) {
        (self.selection_grew, self.start_date_moved_back) = (false, false);
        self.bookmark.selected = Some(self.selected.clone());
        if let Some(child) = &mut self.child {
            child.bookmark.selected = Some(child.selected.clone());
        }
    }
}

/// Puts the bookmarks into the state.
pub(crate) fn write_bookmarks(
    emitter: &mut Emitter<'_>,
    parent_stream: &'static str,
    bookmark: &Bookmark,
    child: Option<&mut ChildStream>,
    reader: &ObjectReader,
) {
    let mut bookmark = bookmark.clone();
    bookmark.unread = reader.unread();
    bookmark.replication_key = Some("updated_at".to_owned());
    bookmark.cache = emitter.cache.as_ref().map(|cache| cache.next_mark(parent_stream, emitter.cache_complete));
    if let Some(ChildStream { stream, bookmark: child_bookmark, .. }) = child {
        let (selected, left) = (child_bookmark.selected.take(), std::mem::take(&mut child_bookmark.left));
        let other = std::mem::take(&mut child_bookmark.other);
        // What it has of recent rows and types is known from the lead's, as long as both are in step.
        let (recent, types) = Default::default();
        *child_bookmark = Bookmark { recent, selected, left, types, other, ..bookmark.clone() };
        emitter.state.set(stream, child_bookmark);
    }
    emitter.state.set(parent_stream, &bookmark);
}
