//! How many places a list is read in, and where the next one begins: decisions without I/O.

/// Pages that a range should have left when it begins: a range costs up to a page more than its rows.
const MIN_PAGES: f64 = 2.0;
/// The part of the budget that may be left unused.
const MAX_UNUSED: f64 = 0.05;
/// How many times as many requests there may be at the next look.
const MAX_GROWTH: usize = 4;

/// Ids that one request after the other reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UnreadSpan {
    /// The first id that is not read.
    pub(crate) from: u64,
    /// The first id behind the span.
    pub(crate) end: u64,
    pub(crate) pages_an_id: f64,
}

/// How many requests more the budget has room for beside `readers`, when `unused` of it (0 to 1) was not used since the last
/// look. `most` may be in flight.
pub(crate) fn missing_readers(readers: usize, unused: f64, most: usize) -> usize {
    if unused < MAX_UNUSED {
        return 0;
    }
    // A request more for each that the unused part would carry, and not many more than there are.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "bounded below"
    )]
    let lacking = (readers as f64 * unused / (1.0 - unused).max(0.1)).ceil() as usize;
    lacking.clamp(1, readers.max(1) * MAX_GROWTH).min(most.saturating_sub(readers))
}

/// The middle of the span with most pages, where `starts` are ids at which something begins already; none when no span is
/// worth a cut.
pub(crate) fn widest_cut(spans: impl Iterator<Item = UnreadSpan>, mut starts: Vec<u64>) -> Option<u64> {
    starts.sort_unstable();
    let mut largest = (2.0 * MIN_PAGES, None);
    for UnreadSpan { mut from, end, pages_an_id } in spans {
        let inside = from..end;
        let cuts = starts.iter().copied().filter(|start| inside.contains(start));
        for to in cuts.chain([end]) {
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let pages = to.saturating_sub(from) as f64 * pages_an_id;
            if pages > largest.0 {
                largest = (pages, Some(from + (to - from) / 2));
            }
            from = to;
        }
    }
    largest.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_are_added_while_the_budget_lies_idle() {
        for (readers, unused, most, expected) in [
            (1, 0.0, 32, 0),
            (1, 0.04, 32, 0),
            (1, 0.05, 32, 1),
            (1, 0.5, 32, 1),
            (1, 0.9, 32, 4),
            (0, 1.0, 32, 1),
            (8, 0.5, 32, 8),
            (8, 0.9, 32, 24),
            (30, 0.9, 32, 2),
            (32, 0.9, 32, 0),
            (4, 1.0, 1, 0),
        ] {
            assert_eq!(missing_readers(readers, unused, most), expected, "{readers} {unused} {most}");
        }
    }

    #[test]
    fn the_longest_span_is_cut_in_the_middle() {
        let span = |from, end, pages_an_id| UnreadSpan { from, end, pages_an_id };
        let sparse_and_dense = [span(100, 500, 0.001), span(500, 600, 0.1)];
        for (spans, starts, expected) in [
            (&[][..], vec![], None),
            (&[span(1, 401, 0.01)], vec![], None),
            (&[span(1, 601, 0.01)], vec![], Some(301)),
            (&[span(1, 1001, 0.01)], vec![501], Some(251)),
            (&[span(1, 1001, 0.01)], vec![801, 301], Some(551)),
            (&[span(1, 1001, 0.01)], vec![301, 601], None),
            (&[span(1, 1001, 0.01)], vec![1, 1001, 2000], Some(501)),
            (&sparse_and_dense, vec![], Some(550)),
        ] {
            assert_eq!(widest_cut(spans.iter().copied(), starts.clone()), expected, "{spans:?} {starts:?}");
        }
    }
}
