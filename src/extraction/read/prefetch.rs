//! Tasks that read a list page by page, and the memory that their pages may take together.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::client::{ClientError, ObjectId, PageCursor};
use crate::extraction::error::ExtractError;
use crate::extraction::read::list::ObjectReader;
use crate::extraction::read::memory::{MemoryBudget, MemoryPermit};
use crate::extraction::read::page::Page;
use crate::extraction::read::span::is_at_or_past;
use crate::state::List;

/// What pages may take that are asked for at once, as far as there is more than one.
const ASKED_BYTES: usize = 8 << 20;
/// Requests that a list has in flight at most.
const MAX_READERS: usize = 32;

/// The tasks of one list.
#[derive(Debug)]
pub(crate) struct PrefetchTasks {
    reader: Arc<ObjectReader>,
    list: List,
    tasks: JoinSet<()>,
    to_pass: mpsc::Sender<PrefetchEvent>,
    events: mpsc::Receiver<PrefetchEvent>,
    memory: MemoryBudget,
}

/// What a task found.
#[derive(Debug)]
pub(crate) enum PrefetchEvent {
    /// The next page of a range.
    Page { range: u64, page: Page, extracted_at: DateTime<Utc>, held: MemoryPermit },
    /// A range cannot be read on.
    Failed { range: u64, error: ClientError },
    /// Whether an id is as good a cursor as those that HubSpot gives: the greatest id there is.
    Probed(Option<u64>),
}

impl PrefetchTasks {
    pub(crate) fn new(reader: Arc<ObjectReader>, list: List) -> Self {
        let (to_pass, events) = mpsc::channel(1);
        let memory = MemoryBudget::new();
        Self { reader, list, tasks: JoinSet::new(), to_pass, events, memory }
    }

    /// Reads the page at a cursor and none behind it: the first page of a speculative range.
    pub(crate) fn try_page(&mut self, range: u64, cursor: PageCursor) {
        let (reader, list) = (Arc::clone(&self.reader), self.list);
        let (to_pass, memory) = (self.to_pass.clone(), self.memory.clone());
        self.tasks.spawn(async move {
            let held = memory.acquire().await;
            let event = match reader.list_guess(list, &cursor).await {
                Ok(page) => page_event(&memory, range, page, reader.client.server_now(), held),
                Err(error) => PrefetchEvent::Failed { range, error },
            };
            // Nobody takes it when the pass is gone.
            let _ = to_pass.send(event).await;
        });
    }

    /// Reads a range from a cursor on, until a page leads to `end`. A task of its own does: while the output is blocked,
    /// a request in flight still comes to its end.
    pub(crate) fn read(&mut self, range: u64, mut cursor: Option<PageCursor>, end: Arc<AtomicU64>) {
        let (reader, list) = (Arc::clone(&self.reader), self.list);
        let (to_pass, memory) = (self.to_pass.clone(), self.memory.clone());
        self.tasks.spawn(async move {
            let mut turns = HashSet::new();
            loop {
                let held = memory.acquire().await;
                let event = match next_page(&reader, list, cursor.as_ref(), &mut turns).await {
                    Ok(page) => {
                        cursor.clone_from(&page.next);
                        page_event(&memory, range, page, reader.client.server_now(), held)
                    }
                    Err(error) => {
                        cursor = None;
                        PrefetchEvent::Failed { range, error }
                    }
                };
                let is_end = cursor.as_ref().is_none_or(|next| is_at_or_past(next, end.load(Ordering::Relaxed)));
                // Nobody takes it when the pass is gone.
                if to_pass.send(event).await.is_err() || is_end {
                    return;
                }
            }
        });
    }

    /// Finds out whether cursors that HubSpot did not give are as good as those that it did: each between two ids of a page
    /// must lead to exactly the rest of that page. `ids` are those of the page, at least two, ascending.
    pub(crate) fn probe(&mut self, ids: &[ObjectId]) {
        let (reader, list) = (Arc::clone(&self.reader), self.list);
        let to_pass = self.to_pass.clone();
        let probes = Probe::between(ids);
        self.tasks.spawn(async move {
            let honoured = probes.into_iter().map(|probe| {
                let reader = &reader;
                async move {
                    let page = reader.list_guess(list, &PageCursor(probe.cursor.to_string())).await;
                    page.is_ok_and(|page| page.ids().starts_with(&probe.rest))
                }
            });
            let (honoured, greatest) = tokio::join!(join_all(honoured), reader.greatest_id());
            let are_all = !honoured.is_empty() && honoured.into_iter().all(|honoured| honoured);
            // The pass may have ended without it.
            let _ = to_pass.send(PrefetchEvent::Probed(greatest.filter(|_| are_all).map(|id| id.0))).await;
        });
    }

    /// What the next task found.
    pub(crate) async fn next(&mut self) -> Result<PrefetchEvent, ExtractError> {
        loop {
            let Self { tasks, events, .. } = self;
            if tasks.is_empty() {
                let ended = || ExtractError::Worker("the reader of a list ended before the list".to_owned());
                return events.try_recv().map_err(|_| ended());
            }
            tokio::select! {
                biased;
                Some(event) = events.recv() => return Ok(event),
                Some(ended) = tasks.join_next() => match ended {
                    Err(panic) if panic.is_panic() => return Err(ExtractError::Worker(panic.to_string())),
                    _ => {}
                },
            }
        }
    }

    /// Stops all tasks; what they have found is lost.
    pub(crate) fn stop(&mut self) {
        *self = Self { memory: self.memory.clone(), ..Self::new(Arc::clone(&self.reader), self.list) };
    }

    /// Whether no page that was read is waiting to be taken.
    pub(crate) fn is_idle(&self) -> bool {
        self.events.is_empty()
    }

    /// How many requests may be in flight at once, so that their pages fit the memory.
    pub(crate) fn max_in_flight(&self) -> usize {
        (ASKED_BYTES / self.memory.largest()).clamp(1, MAX_READERS)
    }

    /// Whether what is held leaves no room for one more page.
    pub(crate) fn would_exceed_budget(&self, held_kib: usize) -> bool {
        self.memory.would_be_exceeded(held_kib)
    }
}

/// A cursor that HubSpot did not give, and the ids that its page must begin with.
#[derive(Debug, PartialEq, Eq)]
struct Probe {
    cursor: u64,
    rest: Vec<ObjectId>,
}

impl Probe {
    /// Cursors in the two widest gaps between the ids of a page: one half-way, as ranges begin, and one close before an id,
    /// so that a page that leaves out a row leaves out one that is known. A gap that has no id but those HubSpot could
    /// have given a cursor for says nothing.
    fn between(ids: &[ObjectId]) -> Vec<Self> {
        let gap = |at: usize| ids[at].0 - ids[at - 1].0;
        let mut gaps: Vec<usize> = (1..ids.len()).filter(|at| gap(*at) > 2).collect();
        gaps.sort_by_key(|at| std::cmp::Reverse(gap(*at)));
        let probe = |at: usize, cursor: u64| Self { cursor, rest: ids[at..].to_vec() };
        let halfway = gaps.first().map(|at| probe(*at, ids[*at].0 - gap(*at) / 2));
        let close = gaps.get(1).or(gaps.first()).map(|at| probe(*at, ids[*at].0 - 1));
        halfway.into_iter().chain(close).collect()
    }
}

/// The page at a cursor. One that leads to a lower cursor, or to one that was read, is asked for again; a list that goes in
/// a circle has no end and is refused. `turns` are the cursors that do not follow from the one before by ascending.
async fn next_page(
    reader: &ObjectReader,
    list: List,
    cursor: Option<&PageCursor>,
    turns: &mut HashSet<PageCursor>,
) -> Result<Page, ClientError> {
    let ascends = |page: &Page| page.next.as_ref().is_none_or(|next| is_above(next, cursor));
    let mut page = reader.list(list, cursor).await?;
    if !ascends(&page) && page.next.as_ref().is_some_and(|next| turns.contains(next) || is_number(next)) {
        page = reader.list(list, cursor).await?;
    }
    match &page.next {
        Some(next) if !ascends(&page) && !turns.insert(next.clone()) => Err(ClientError::circle(&next.0)),
        _ => Ok(page),
    }
}

/// A page that a task has found, with the memory that it takes.
fn page_event(
    memory: &MemoryBudget,
    range: u64,
    page: Page,
    extracted_at: DateTime<Utc>,
    held: MemoryPermit,
) -> PrefetchEvent {
    let held = memory.shrink_to(held, page.received, page.bytes());
    PrefetchEvent::Page { range, page, extracted_at, held }
}

fn is_number(cursor: &PageCursor) -> bool {
    cursor.0.parse::<u64>().is_ok()
}

/// Whether both cursors are numbers and the next one is the greater.
fn is_above(next: &PageCursor, cursor: Option<&PageCursor>) -> bool {
    let number = |cursor: &PageCursor| cursor.0.parse::<u64>().ok();
    number(next).is_some_and(|next| cursor.is_none_or(|cursor| number(cursor).is_some_and(|before| next > before)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_stand_in_the_widest_gaps_and_never_where_a_cursor_could_have_been_given() {
        // Ids of a page; cursor and first id of each probe.
        for (ids, expected) in [
            (&[10, 20][..], &[(15, 20), (19, 20)][..]),
            (&[10, 20, 120], &[(70, 120), (19, 20)]),
            (&[10, 11, 14], &[(13, 14), (13, 14)]),
            (&[10, 11, 13], &[]),
        ] {
            let ids: Vec<ObjectId> = ids.iter().copied().map(ObjectId).collect();
            let found: Vec<(u64, u64)> =
                Probe::between(&ids).iter().map(|probe| (probe.cursor, probe.rest[0].0)).collect();
            assert_eq!(found, expected, "{ids:?}");
        }
    }
}
