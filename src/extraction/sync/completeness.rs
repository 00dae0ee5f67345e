//! What a reading rests on when it is called whole, moves a bookmark or lets rows be removed.
//!
//! No single answer of HubSpot decides that. The list is strongly consistent and has no total; the search has a total and
//! lags. Where both agree, the list was whole; where they do not, the records in question are asked for by id, and only
//! what stays open after that keeps the rows that the target has.

use crate::extraction::summary::Reason;

/// What is known of a pass over all rows once its lists were read to their ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// A date bounds the rows that were written.
    pub(crate) bounded: bool,
    /// Live rows that were read.
    pub(crate) listed: u64,
    /// Live rows that the last pass over all rows read; none before the first one.
    pub(crate) known: Option<u64>,
    /// Rows whose end was told since: archived and merged ones.
    pub(crate) ended: u64,
    /// How the search counts them.
    pub(crate) count: SearchCount,
    /// Records of the list that could not be read.
    pub(crate) unread: u64,
}

/// Whether the search counts what was listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum SearchCount {
    /// It does, or names nothing that is live and was not read.
    Agrees,
    /// It counts records that it does not name, or too many to look at.
    Disagrees,
    /// It does not answer.
    #[default]
    Unknown,
}

/// What follows from the evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Every row was read.
    pub(crate) whole: bool,
    /// The pass need not be repeated before the next one is due.
    pub(crate) done: bool,
    /// Rows that it did not send may be removed.
    pub(crate) removes: bool,
    /// Why not, if it is not whole or removes nothing.
    pub(crate) reason: Option<Reason>,
}

impl Verdict {
    /// Of a pass that goes on in the next run.
    pub(crate) const UNFINISHED: Self =
        Self { whole: false, done: false, removes: false, reason: Some(Reason::DeadlineReached) };
}

impl Evidence {
    /// Judges the pass.
    pub(crate) fn verdict(&self) -> Verdict {
        let fell = self.known.is_some_and(|known| self.listed + self.ended < known);
        let is_empty = self.listed == 0 && self.known.is_some_and(|known| known > 0);
        let (whole, done, removes, reason) = match self.count {
            _ if self.unread > 0 => (false, true, false, Some(Reason::RecordsUnread)),
            SearchCount::Disagrees => (false, false, false, Some(Reason::CountDisagrees)),
            // A table that was full is not emptied because HubSpot shows nothing.
            _ if fell && is_empty => (false, true, false, Some(Reason::UnexplainedFall)),
            SearchCount::Unknown if fell => (false, true, false, Some(Reason::UnexplainedFall)),
            _ if self.bounded => (true, true, false, Some(Reason::BoundedByDate)),
            _ => (true, true, true, None),
        };
        Verdict { whole, done, removes, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_removed_only_where_two_sources_agree() {
        use Reason::{BoundedByDate, CountDisagrees, RecordsUnread, UnexplainedFall};
        use SearchCount::{Agrees, Disagrees, Unknown};
        // Listed, known, ended, count, unread, bounded; whole, done, removes, reason.
        for (listed, known, ended, count, unread, bounded, verdict) in [
            (1200, None, 0, Agrees, 0, false, (true, true, true, None)),
            (1200, None, 0, Unknown, 0, false, (true, true, true, None)),
            (1200, None, 0, Disagrees, 0, false, (false, false, false, Some(CountDisagrees))),
            (1200, Some(1200), 0, Agrees, 0, false, (true, true, true, None)),
            (1190, Some(1200), 10, Unknown, 0, false, (true, true, true, None)),
            (1190, Some(1200), 9, Unknown, 0, false, (false, true, false, Some(UnexplainedFall))),
            (1100, Some(1200), 0, Agrees, 0, false, (true, true, true, None)),
            (1100, Some(1200), 0, Disagrees, 0, false, (false, false, false, Some(CountDisagrees))),
            (0, Some(1200), 0, Agrees, 0, false, (false, true, false, Some(UnexplainedFall))),
            (0, Some(3), 3, Agrees, 0, false, (true, true, true, None)),
            (0, None, 0, Agrees, 0, false, (true, true, true, None)),
            (1300, Some(1200), 0, Unknown, 0, false, (true, true, true, None)),
            (1200, Some(1200), 0, Agrees, 2, false, (false, true, false, Some(RecordsUnread))),
            (1200, Some(1200), 0, Agrees, 0, true, (true, true, false, Some(BoundedByDate))),
            (1100, Some(1200), 0, Unknown, 0, true, (false, true, false, Some(UnexplainedFall))),
        ] {
            let evidence = Evidence { bounded, listed, known, ended, count, unread };
            let (whole, done, removes, reason) = verdict;
            assert_eq!(evidence.verdict(), Verdict { whole, done, removes, reason }, "{evidence:?}");
        }
    }
}
