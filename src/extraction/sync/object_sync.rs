//! One object type through a run: its first load, or what changed since the bookmark and then a sweep if one is due.
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};

use crate::client::{Client, ObjectId, ObjectType};
use crate::extraction::cache::Trust;
use crate::extraction::cache::error::CacheError;
use crate::extraction::emit::{Output, Reading};
use crate::extraction::encode::block::RowEncoder;
use crate::extraction::error::ExtractError;
use crate::extraction::plan::bounds::Bounds;
use crate::extraction::plan::object::ObjectPlan;
use crate::extraction::read::list::Reader;
use crate::extraction::read::window::{Searcher, modified_property};
use crate::extraction::summary::Reason;
use crate::extraction::sync::audit::Audit;
use crate::extraction::sync::completeness::{Count, Evidence, Verdict};
use crate::extraction::sync::filter::Filter;
use crate::extraction::sync::lookback::Lookback;
use crate::extraction::sync::windows::Changes;
use crate::state::{Bookmark, Selected};

/// Rows of the lookback that the state names, with some 30 bytes each: a state of all object streams stays below 16 KB
/// with as much again for a thousand selected columns.
const MAX_RECENT_TICKETS: usize = 150;
/// The same for streams that change less, or matter less.
const MAX_RECENT_OTHERS: usize = 50;

/// The streams of one object type, and where they stand.
pub(crate) struct Group<'g> {
    pub(crate) client: Arc<Client>,
    pub(crate) object_type: ObjectType,
    pub(crate) bounds: &'g Bounds,
    pub(crate) encoder: Arc<RowEncoder>,
    pub(crate) reader: Arc<Reader>,
    /// The stream that keeps the progress.
    pub(crate) lead: &'static str,
    pub(crate) bookmark: Bookmark,
    pub(crate) follower: Option<Follower>,
    /// The lead's selection now.
    selected: Selected,
    full_table: bool,
    /// The selection grew since all rows were read, or the streams' versions differ: only reading everything again makes
    /// them whole.
    pub(crate) grown: bool,
    /// It grew because the start date lies before that of the rows that the target has.
    pub(crate) widened: bool,
    /// Why the bookmark is held, unless a pass over all rows settles it.
    pub(crate) incomplete: Option<ExtractError>,
    /// How far the row cache can be trusted; none without one.
    pub(crate) trust: Option<Trust>,
}

/// `ticket_associations` beside `tickets`: it follows them, and only remembers how far they came.
#[derive(Clone)]
pub(crate) struct Follower {
    pub(crate) stream: &'static str,
    pub(crate) bookmark: Bookmark,
    selected: Selected,
}

impl<'g> Group<'g> {
    /// Finds out where the streams of a plan stand.
    pub(crate) fn new(
        client: &Arc<Client>,
        plan: ObjectPlan,
        bounds: &'g Bounds,
        output: &Output<'_>,
    ) -> Result<Self, CacheError> {
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
            let version = bookmark.as_ref().and_then(|lead| lead.version);
            let follows = known
                .as_ref()
                .is_some_and(|known| covers(known, &selected) && (bookmark.is_none() || known.version == version));
            grown |= bookmark.is_some() && !follows;
            let mut known = known.unwrap_or_default();
            let before = known.selected.take();
            known.left = ObjectPlan::left(&known.left, before.as_ref(), &selected);
            // What is not in step stays so until all rows are read, also when this run does not come to that.
            known.selected = before.filter(|_| follows).map(|before| before.and(&selected));
            Follower { stream, bookmark: known, selected }
        });
        // None is the earliest start date.
        let widened =
            bookmark.as_ref().is_some_and(|known| known.swept_at.is_some() && bounds.since < known.loaded_from);
        grown |= widened;
        let begun = bookmark.is_some();
        let mut bookmark = bookmark.unwrap_or_default();
        // Rows that change while a column is not selected keep its old value: when it comes back, that has grown, too.
        let before = bookmark.selected.take();
        if plan.columns.is_none() {
            bookmark.left = ObjectPlan::left(&bookmark.left, before.as_ref(), &selected);
        }
        bookmark.selected = before.map(|before| before.and(&selected));
        if let Some(follower) = follower.as_ref().filter(|_| begun && !grown) {
            bookmark = bookmark.together(&follower.bookmark);
        }
        if let Some(columns) = &plan.columns {
            columns.remember(&mut bookmark);
        }
        let mut trust = match &output.cache {
            Some(cache) => Some(cache.trust(lead, bookmark.cache.as_ref(), plan.fingerprint())?),
            None => None,
        };
        if let Some(trust) = &mut trust {
            trust.compares &= !grown;
            if !trust.compares {
                tracing::info!("the row cache of {lead} is filled anew: the next sweep sends all rows");
            }
        }
        let (object_type, full_table) = (plan.object_type.clone(), plan.full_table);
        let (cache, pages) = (output.cache.clone(), output.pages.clone());
        let encoder = Arc::new(RowEncoder::new(Arc::clone(client), plan, bounds.include_archived, cache, pages));
        let layout = encoder.layout();
        let reader = Arc::new(Reader::new(Arc::clone(client), object_type.clone(), layout, bounds.page_size));
        let client = Arc::clone(client);
        // They were few enough for the state that names them.
        let _ = reader.leave_unread(bookmark.unread.iter().copied().map(ObjectId));
        Ok(Self {
            client,
            object_type,
            bounds,
            encoder,
            reader,
            lead,
            bookmark,
            follower,
            selected,
            full_table,
            grown,
            widened,
            incomplete: None,
            trust,
        })
    }

    /// Reads what is to be read.
    pub(crate) async fn run(mut self, output: &mut Output<'_>, audit: &mut Audit) -> Result<(), ExtractError> {
        output.summary.update(self.lead, |_| ());
        output.cache_complete = self.compares();
        if let Some(created_after) = self.bounds.created_after {
            self.read_new(created_after, output, audit).await?;
            return self.conclude();
        }
        let resumed = self.bookmark.progress.is_some() && !self.grown;
        if self.full_table || self.bookmark.replication_key_value.is_none() || self.bookmark.swept_at.is_none() {
            let verdict = self.read_all("first_load", None, output, audit).await?;
            // What changed since an earlier run began it is still to be read.
            if !resumed || self.full_table || !verdict.done {
                return self.conclude();
            }
        }
        self.read_changes(output, audit).await?;
        self.read_unread(output).await?;
        if self.sweep_is_due() {
            self.sweep(output, audit).await?;
        }
        self.conclude()
    }

    async fn sweep(&mut self, output: &mut Output<'_>, audit: &mut Audit) -> Result<(), ExtractError> {
        let deadline = Some(Instant::now() + self.bounds.sweep_time);
        let resumed = self.bookmark.progress.is_some() && !self.grown;
        let mut verdict = self.read_all("sweep", deadline, output, audit).await;
        if matches!(verdict, Err(ExtractError::Disordered)) {
            tracing::info!("the list does not keep the order of ids; the sweep sends all rows again");
            self.bookmark.progress = None;
            self.trust = self.trust.map(|trust| trust.comparing(false));
            verdict = self.read_all("sweep", deadline, output, audit).await;
        }
        // One that began in an earlier run does not know what changed since.
        if verdict?.done && resumed && self.sweep_is_due() {
            self.read_all("sweep_anew", deadline, output, audit).await?;
        }
        Ok(())
    }

    /// Says what is doubtful about a list of all rows.
    pub(crate) fn take_verdict(&mut self, verdict: Verdict, evidence: &Evidence) {
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
                if evidence.count == Count::Unknown {
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
        Searcher { property: modified_property(&object_type), client, object_type }
    }

    /// How changes are written that a search or an id names.
    pub(crate) fn changes<'c>(&'c self, searcher: &'c Searcher, filter: &'c Filter) -> Changes<'c> {
        Changes {
            encoder: &self.encoder,
            reader: &self.reader,
            searcher,
            filter,
            reading: self.reading("incremental"),
            trust: self.trust,
        }
    }

    /// Whether rows are held against the row cache.
    pub(crate) fn compares(&self) -> bool {
        self.trust.is_some_and(|trust| trust.compares)
    }

    pub(crate) fn filter(&self) -> Filter {
        let Bounds { since, until, created_after, .. } = *self.bounds;
        Filter { since, until, created_after, recent: Arc::default() }
    }

    /// Leaves out rows that were written in the lookback and have not changed since.
    pub(crate) fn changes_filter(&self, since: Option<DateTime<Utc>>) -> Filter {
        let mut filter = self.filter();
        filter.since = filter.since.max(since);
        filter.recent = Arc::new(self.bookmark.recent.clone());
        filter
    }

    pub(crate) fn reading(&self, extraction_type: &'static str) -> Reading {
        Reading { extraction_type, version: self.bookmark.version.expect("a stream that was loaded has one") }
    }

    /// What a later run reads again of the time before `until`. Rows modified after that are not part of it: one that
    /// changes twice in a millisecond may have been written between.
    pub(crate) fn lookback_before(&self, until: DateTime<Utc>) -> Lookback {
        let most_rows = if self.object_type == ObjectType::TICKETS { MAX_RECENT_TICKETS } else { MAX_RECENT_OTHERS };
        Lookback { time: until - self.bounds.lookback..until, most_rows }
    }

    pub(crate) fn remember_selection(&mut self) {
        (self.grown, self.widened) = (false, false);
        self.bookmark.selected = Some(self.selected.clone());
        if let Some(follower) = &mut self.follower {
            follower.bookmark.selected = Some(follower.selected.clone());
        }
    }
}

/// Puts the bookmarks into the state.
pub(crate) fn store(
    output: &mut Output<'_>,
    lead: &'static str,
    bookmark: &Bookmark,
    follower: Option<&mut Follower>,
    reader: &Reader,
) {
    let mut bookmark = bookmark.clone();
    bookmark.unread = reader.unread();
    bookmark.replication_key = Some("updated_at".to_owned());
    bookmark.cache = output.cache.as_ref().map(|cache| cache.next_mark(lead, output.cache_complete));
    if let Some(Follower { stream, bookmark: followed, .. }) = follower {
        let (selected, left) = (followed.selected.take(), std::mem::take(&mut followed.left));
        let other = std::mem::take(&mut followed.other);
        // What it has of recent rows and types is known from the lead's, as long as both are in step.
        let (recent, types) = Default::default();
        *followed = Bookmark { selected, left, other, recent, types, ..bookmark.clone() };
        output.state.set(stream, followed);
    }
    output.state.set(lead, &bookmark);
}
