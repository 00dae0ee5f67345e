//! Where a run stands for an object type: what the state has of its streams, held against what is selected now. Without
//! I/O.

use chrono::{DateTime, Utc};

use crate::extraction::plan::object::ObjectPlan;
use crate::state::{Bookmark, Selected, State};

/// One stream: what the state has of it, and what is selected of it now.
#[derive(Debug, Clone, Default)]
pub(crate) struct StreamSelection {
    /// None: it has never been read.
    pub(crate) bookmark: Option<Bookmark>,
    pub(crate) selected: Selected,
}

/// Where the streams of an object type stand.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Standing {
    /// That of the stream that keeps the progress; with a child stream, how far both have come together.
    pub(crate) bookmark: Bookmark,
    /// That of the child stream.
    pub(crate) child: Option<Bookmark>,
    /// The selection grew since all rows were read, or the streams' versions differ: only reading everything again makes
    /// them whole.
    pub(crate) selection_grew: bool,
    /// It grew because the start date lies before that of the rows that the target has.
    pub(crate) start_date_moved_back: bool,
}

impl Standing {
    /// Where the streams of a plan stand in a state.
    pub(crate) fn of(plan: &ObjectPlan, state: &State, since: Option<DateTime<Utc>>) -> Self {
        let streams = plan.streams();
        let selection =
            |stream: &str| StreamSelection { bookmark: state.bookmark(stream), selected: plan.selected(stream) };
        let child = streams.get(1).map(|stream| selection(stream));
        Self::find(selection(streams[0]), child, plan.columns.is_none(), since)
    }

    /// The same of a parent stream and its child. `has_types`: the parent stream is itself one of associations, whose
    /// selection names association types.
    fn find(
        parent: StreamSelection,
        child: Option<StreamSelection>,
        has_types: bool,
        since: Option<DateTime<Utc>>,
    ) -> Self {
        let is_known = parent.bookmark.is_some();
        let is_covered = parent.is_covered();
        let mut bookmark = parent.bookmark.unwrap_or_default();
        // None is the earliest start date.
        let start_date_moved_back = bookmark.swept_at.is_some() && since < bookmark.loaded_from;
        let is_in_step = |child: &StreamSelection| {
            let version = child.bookmark.as_ref().and_then(|known| known.version);
            child.is_covered() && (!is_known || version == bookmark.version)
        };
        let is_child_in_step = child.as_ref().is_none_or(is_in_step);
        let selection_grew = is_known && (!is_covered || !is_child_in_step) || start_date_moved_back;
        let child = child.map(|child| child.narrowed(is_child_in_step));
        // Rows that change while a column is not selected keep its old value: when it comes back, that has grown, too.
        let before = bookmark.selected.take();
        if has_types {
            bookmark.left = ObjectPlan::orphaned_types(&bookmark.left, before.as_ref(), &parent.selected);
        }
        bookmark.selected = before.map(|before| before.intersection(&parent.selected));
        if let Some(child) = child.as_ref().filter(|_| is_known && !selection_grew) {
            bookmark = bookmark.together(child);
        }
        Self { bookmark, child, selection_grew, start_date_moved_back }
    }
}

impl StreamSelection {
    /// Whether all rows that were read have what is selected now.
    fn is_covered(&self) -> bool {
        let before = self.bookmark.as_ref().and_then(|known| known.selected.as_ref());
        before.is_some_and(|before| before.covers(&self.selected))
    }

    /// The bookmark of a child stream, with what its rows and the selection have in common. A stream that is not in step
    /// stays so until all rows are read, also when this run does not come to that.
    fn narrowed(self, is_in_step: bool) -> Bookmark {
        let mut bookmark = self.bookmark.unwrap_or_default();
        let before = bookmark.selected.take();
        bookmark.left = ObjectPlan::orphaned_types(&bookmark.left, before.as_ref(), &self.selected);
        bookmark.selected = before.filter(|_| is_in_step).map(|before| before.intersection(&self.selected));
        bookmark
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + chrono::TimeDelta::days(day)
    }

    fn names(names: &str) -> Selected {
        Selected::from_names(names.split(' ').filter(|name| !name.is_empty()))
    }

    /// A stream of which `before` was read with a version, and of which `now` is selected.
    fn stream(before: Option<(&str, i64)>, now: &str) -> StreamSelection {
        let bookmark = before.map(|(selected, version)| Bookmark {
            version: Some(version),
            selected: Some(names(selected)),
            replication_key_value: Some(at(version)),
            ..Bookmark::default()
        });
        StreamSelection { bookmark, selected: names(now) }
    }

    #[test]
    fn a_selection_has_grown_where_rows_lack_what_is_selected() {
        // Parent before, parent now, child before, child now; whether it grew.
        for (parent_before, parent_now, child_before, child_now, grew) in [
            (None, "a", None, None, false),
            (Some(("a b", 1)), "a", None, None, false),
            (Some(("a b", 1)), "a b", None, None, false),
            (Some(("a", 1)), "a b", None, None, true),
            (None, "a", None, Some("x"), false),
            (None, "a", Some(("x", 1)), Some("x y"), false),
            (Some(("a", 1)), "a", Some(("x", 1)), Some("x"), false),
            (Some(("a", 1)), "a", Some(("x y", 1)), Some("x"), false),
            (Some(("a", 1)), "a", Some(("x", 1)), Some("x y"), true),
            (Some(("a", 2)), "a", Some(("x", 1)), Some("x"), true),
            (Some(("a", 1)), "a", None, Some("x"), true),
            (Some(("a", 1)), "a b", Some(("x", 1)), Some("x"), true),
        ] {
            let child = child_now.map(|now| stream(child_before, now));
            let standing = Standing::find(stream(parent_before, parent_now), child, false, None);
            let shown = (parent_before, parent_now, child_before, child_now);
            assert_eq!(standing.selection_grew, grew, "{shown:?}");
            assert!(!standing.start_date_moved_back, "{shown:?}");
        }
    }

    #[test]
    fn a_start_date_moved_back_where_it_lies_before_that_of_loaded_rows() {
        // When all rows were read, from which start date on, and the start date now; whether it moved back.
        for (swept_at, loaded_from, since, moved) in [
            (Some(9), None, None, false),
            (Some(9), None, Some(3), false),
            (Some(9), Some(3), Some(3), false),
            (Some(9), Some(3), Some(4), false),
            (Some(9), Some(3), Some(2), true),
            (Some(9), Some(3), None, true),
            (None, Some(3), Some(2), false),
        ] {
            let mut parent = stream(Some(("a", 1)), "a");
            let bookmark = parent.bookmark.as_mut().expect("a bookmark");
            (bookmark.swept_at, bookmark.loaded_from) = (swept_at.map(at), loaded_from.map(at));
            let standing = Standing::find(parent, None, false, since.map(at));
            let found = (standing.start_date_moved_back, standing.selection_grew);
            assert_eq!(found, (moved, moved), "{swept_at:?} {loaded_from:?} {since:?}");
        }
    }

    #[test]
    fn a_selection_is_remembered_as_far_as_all_rows_have_it() {
        // Parent before and now, child before and now, both of one version; what is remembered of both.
        for (before, now, child_before, child_now, kept, child_kept) in [
            ("a b", "a", "x y", "x", "a", Some("x")),
            ("a", "a b", "x", "x", "a", Some("x")),
            ("a", "a", "x", "x y", "a", None),
        ] {
            let child = stream(Some((child_before, 1)), child_now);
            let standing = Standing::find(stream(Some((before, 1)), now), Some(child), false, None);
            let child = standing.child.expect("a child");
            assert_eq!(standing.bookmark.selected, Some(names(kept)), "{before} {now}");
            assert_eq!(child.selected, child_kept.map(names), "{child_before} {child_now}");
        }
    }

    #[test]
    fn streams_in_step_go_on_from_where_both_have_come() {
        let mut child = stream(Some(("x", 2)), "x");
        child.bookmark.as_mut().expect("a bookmark").replication_key_value = Some(at(1));
        let standing = Standing::find(stream(Some(("a", 2)), "a"), Some(child.clone()), false, None);
        assert_eq!(standing.bookmark.replication_key_value, Some(at(1)));
        // What grew is read again as a whole, and changes go on where the parent has come.
        let standing = Standing::find(stream(Some(("a", 2)), "a b"), Some(child), false, None);
        assert_eq!(standing.bookmark.replication_key_value, Some(at(2)));
    }

    #[test]
    fn association_types_that_are_no_longer_read_are_remembered() {
        let standing = Standing::find(stream(Some(("x y", 1)), "x"), None, true, None);
        assert_eq!(standing.bookmark.left, names("y"));
        let standing = Standing::find(stream(Some(("x y", 1)), "x"), None, false, None);
        assert!(standing.bookmark.left.is_empty(), "columns are no association types");
        let child = stream(Some(("x y", 1)), "x");
        let standing = Standing::find(stream(Some(("a", 1)), "a"), Some(child), false, None);
        assert_eq!(standing.child.expect("a child").left, names("y"));
    }
}
