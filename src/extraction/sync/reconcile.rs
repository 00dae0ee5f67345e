//! A list held against the search: records that the search names and the list did not have are read by id.
//!
//! The list has no total and the search lags, so neither is believed alone. Where the search counts more than was listed,
//! the ids are halved until the pages that differ are found; what the search names there is asked for by id, which is
//! strongly consistent: it is written when it is live, and gone when it is not.

use crate::client::{ClientError, ObjectId, SearchFilter, SearchPage};
use crate::extraction::emit::Emitter;
use crate::extraction::error::ExtractError;
use crate::extraction::read::span::{IdSpan, NO_END};
use crate::extraction::sync::chunk::CHUNK_RECORDS;
use crate::extraction::sync::completeness::SearchCount;
use crate::extraction::sync::driver::ListedSpans;
use crate::extraction::sync::object_sync::ObjectSync;
use crate::extraction::sync::windows::WindowSync;

/// Searches that are worth it; finding one page among 50,000 takes 17.
const MAX_SEARCHES: usize = 400;
/// Pages of which the search counts more than it names, before its counts are taken for wrong.
const MAX_PHANTOMS: usize = 3;

/// How a list compares with the search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reconciliation {
    pub(crate) count: SearchCount,
    /// Live records that the list did not have.
    pub(crate) recovered: u64,
}

impl ObjectSync<'_> {
    /// Compares what a list had, `listed_rows` records of which this run read those `listed`, with what the search counts.
    ///
    /// # Errors
    /// As [`WindowSync::write`]. A search that fails is no error: the count is unknown then.
    pub(crate) async fn reconcile(
        &self,
        listed_rows: u64,
        listed: ListedSpans,
        changes: &WindowSync<'_>,
        emitter: &mut Emitter<'_>,
    ) -> Result<Reconciliation, ExtractError> {
        let of = |count, recovered| Ok(Reconciliation { count, recovered });
        let ListedSpans { mut spans, count } = listed;
        let all = match count {
            Some(count) => count.await.map_err(|panic| ExtractError::Worker(panic.to_string()))?,
            None => self.client.search_objects(&self.object_type, &[]).await,
        };
        let Ok(all) = all else {
            return of(SearchCount::Unknown, 0);
        };
        if all.total.max(all.count()) <= listed_rows {
            return of(SearchCount::Agrees, 0);
        }
        tracing::info!(
            "the search counts {} {}, the list had {listed_rows}: looking for the difference",
            all.total,
            self.object_type
        );
        spans.sort_unstable_by_key(|span| span.after);
        if spans.is_empty() && listed_rows == 0 {
            spans.push(IdSpan { after: 0, last: NO_END, rows: 0 });
        }
        let (mut recovered, mut searches, mut phantoms) = (0, 0, 0);
        let mut pending = vec![&spans[..]];
        while let Some(part) = pending.pop() {
            let (Some(first), Some(last)) = (part.first(), part.last()) else { continue };
            let rows: u64 = part.iter().map(|span| span.rows).sum();
            searches += 1;
            let Ok(found) = self.search_ids(first.after, last.last).await else {
                return of(SearchCount::Unknown, recovered);
            };
            if found.total.max(found.count()) <= rows {
                continue;
            }
            if let Some((left, right)) = part.split_at_checked(part.len() / 2).filter(|(left, _)| !left.is_empty()) {
                pending.extend([right, left]);
            } else {
                let (named, live) = self.read_span(*first, found, changes, emitter).await?;
                recovered += live.saturating_sub(rows);
                phantoms += usize::from(named <= rows);
            }
            if searches >= MAX_SEARCHES {
                return of(SearchCount::Disagrees, recovered);
            }
            if phantoms >= MAX_PHANTOMS && recovered == 0 {
                return of(SearchCount::Unknown, 0);
            }
        }
        if recovered > 0 {
            tracing::warn!(
                "the list of {} left out {recovered} records that the search names; they were read by id",
                self.object_type
            );
        }
        of(if is_unbroken(&spans) { SearchCount::Agrees } else { SearchCount::Unknown }, recovered)
    }

    /// The records above one id and up to another one, as the search has them.
    async fn search_ids(&self, after: u64, last: u64) -> Result<SearchPage, ClientError> {
        let criterion = |operator, id| SearchFilter::by_id(operator, i64::try_from(id).unwrap_or(i64::MAX));
        let mut criteria = vec![criterion("GT", after)];
        if last != NO_END {
            criteria.push(criterion("LTE", last));
        }
        self.client.search_objects(&self.object_type, &criteria).await
    }

    /// Reads by id what the search names in a span; tells how many it names and how many of them are live.
    async fn read_span(
        &self,
        span: IdSpan,
        mut found: SearchPage,
        changes: &WindowSync<'_>,
        emitter: &mut Emitter<'_>,
    ) -> Result<(u64, u64), ExtractError> {
        let (mut named, mut live) = (0, 0);
        let mut ids: Vec<ObjectId> = Vec::new();
        loop {
            named += found.count();
            let last = found.found.iter().map(|found| found.id).max();
            ids.extend(found.found.iter().map(|found| found.id));
            let next = last.filter(|_| found.has_more);
            if ids.len() >= CHUNK_RECORDS || next.is_none() {
                live += changes.write(&std::mem::take(&mut ids), emitter).await?.len() as u64;
            }
            let Some(next) = next else { return Ok((named, live)) };
            found = self.search_ids(next.0, span.last).await?;
        }
    }
}

/// Whether spans lie one behind another from the least id to the list's end.
fn is_unbroken(spans: &[IdSpan]) -> bool {
    let mut end = 0;
    spans.iter().all(|span| span.after <= std::mem::replace(&mut end, span.last)) && end == NO_END
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_a_resumed_pass_say_nothing_of_the_whole() {
        let span = |after, last| IdSpan { after, last, rows: 1 };
        for (spans, unbroken) in [
            (vec![span(0, 5), span(5, NO_END)], true),
            (vec![span(0, 5), span(4, NO_END)], true),
            (vec![span(5, NO_END)], false),
            (vec![span(0, 5), span(7, NO_END)], false),
            (vec![span(0, 5)], false),
            (vec![], false),
        ] {
            assert_eq!(is_unbroken(&spans), unbroken, "{spans:?}");
        }
    }
}
