//! Rows of all streams that are written in one transaction.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::plan::{TablePlan, Writing};

/// COPY sends its rows in pieces of this size.
const PIECE_BYTES: usize = 256 << 10;

/// What one transaction writes, and the STATE that is true once it is committed.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) streams: Vec<StreamRows>,
    /// After all rows.
    pub(super) activations: Vec<Activation>,
    /// The value of the last STATE that came.
    pub(super) state: Option<String>,
}

/// A version of a stream that is complete.
#[derive(Debug)]
pub(super) struct Activation {
    pub(super) plan: Arc<TablePlan>,
    pub(super) version: i64,
}

/// Rows of one stream in the text form of COPY, of each key the last one.
#[derive(Debug)]
pub(super) struct StreamRows {
    pub(super) plan: Arc<TablePlan>,
    /// Records that came, those that a later one of the same key replaced included.
    pub(super) records: u64,
    text: Bytes,
    rows: Vec<Row>,
}

/// Where a row ends in the text, and which line of the input it was.
#[derive(Debug, Clone, Copy)]
struct Row {
    end: usize,
    line: u64,
    replaced: bool,
}

/// Rows of one stream while they come.
#[derive(Debug)]
pub(super) struct Filling {
    plan: Arc<TablePlan>,
    /// What [`super::row::RowWriter`] writes into.
    pub(super) text: Vec<u8>,
    rows: Vec<Row>,
    /// The last row of each key.
    last: HashMap<Box<[u8]>, usize>,
}

impl Filling {
    /// None yet.
    pub(super) fn new(plan: Arc<TablePlan>) -> Self {
        Self { plan, text: Vec::new(), rows: Vec::new(), last: HashMap::new() }
    }

    /// Ends the row that was written to the text. An earlier one of the same key is replaced.
    pub(super) fn end_row(&mut self, line: u64, key: &[u8]) {
        let place = self.rows.len();
        self.rows.push(Row { end: self.text.len(), line, replaced: false });
        if self.plan.keys.is_empty() || !self.plan.has_comparable_keys() {
            return;
        }
        if let Some(last) = self.last.get_mut(key) {
            self.rows[*last].replaced = true;
            *last = place;
        } else {
            self.last.insert(key.into(), place);
        }
    }

    /// The rows, to be written; none when not even the first record could be one.
    pub(super) fn finish(self) -> Option<StreamRows> {
        let Self { plan, text, rows, last: _ } = self;
        (!rows.is_empty()).then(|| StreamRows { plan, records: rows.len() as u64, text: text.into(), rows })
    }
}

impl Batch {
    /// Whether nothing is to be written, and no STATE either.
    pub(super) fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.activations.is_empty() && self.state.is_none()
    }

    /// Whether the database has nothing to do for it.
    pub(super) fn has_no_rows(&self) -> bool {
        self.streams.is_empty() && self.activations.is_empty()
    }

    /// Whether loading it twice would add rows twice.
    pub(super) fn appends(&self) -> bool {
        self.streams.iter().any(|rows| rows.plan.writing == Writing::Append)
    }
}

impl StreamRows {
    /// How many rows there are, replaced ones included.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The text of some rows, without the replaced ones, in pieces.
    pub(super) fn pieces(&self, rows: Range<usize>) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        let mut begin = self.begin(rows.start);
        let mut end = begin;
        for row in &self.rows[rows] {
            if row.replaced || end - begin >= PIECE_BYTES {
                pieces.push(self.text.slice(begin..end));
                begin = end;
            }
            if row.replaced {
                begin = row.end;
            }
            end = row.end;
        }
        pieces.push(self.text.slice(begin..end));
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }

    /// The line of the input that a row was.
    pub(super) fn line(&self, row: usize) -> u64 {
        self.rows[row].line
    }

    /// The key of a row for people: `id = 5`.
    pub(super) fn key(&self, row: usize) -> String {
        let text = String::from_utf8_lossy(&self.text[self.begin(row)..self.rows[row].end]);
        let fields: Vec<&str> = text.trim_end_matches('\n').split('\t').collect();
        let parts =
            self.plan.keys.iter().map(|place| format!("{} = {}", self.plan.columns[*place].name, fields[*place]));
        parts.collect::<Vec<_>>().join(", ")
    }

    fn begin(&self, row: usize) -> usize {
        row.checked_sub(1).map_or(0, |before| self.rows[before].end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target_pg::column::{Column, Source};
    use crate::target_pg::plan::Writing;
    use crate::target_pg::sql_type::{Kinds, SqlType};
    use crate::target_pg::table_name::TableName;

    fn plan() -> Arc<TablePlan> {
        let column = |name: &str, is_key| Column {
            name: name.to_owned(),
            sql_type: SqlType::Text,
            kinds: Kinds::ANY,
            source: Source::Property,
            is_key,
        };
        let columns = vec![column("id", true), column("v", false)];
        Arc::new(TablePlan::new("s".to_owned(), TableName::of_stream("s", "x"), columns, Writing::Upsert))
    }

    #[test]
    fn of_each_key_the_last_row_is_sent() {
        let mut filling = Filling::new(plan());
        for (line, (key, value)) in [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4"), ("b", "5")].into_iter().enumerate()
        {
            filling.text.extend_from_slice(format!("{key}\t{value}\n").as_bytes());
            filling.end_row(line as u64 + 1, key.as_bytes());
        }
        let rows = filling.finish().expect("rows");
        let sent = |range| rows.pieces(range).concat();
        assert_eq!(sent(0..5), b"a\t3\nc\t4\nb\t5\n");
        assert_eq!(sent(1..4), b"a\t3\nc\t4\n");
        assert_eq!(sent(0..2), b"");
        assert_eq!((rows.line(3), rows.key(3), rows.records), (4, "id = c".to_owned(), 5));
    }

    #[test]
    fn many_rows_go_in_pieces() {
        let mut filling = Filling::new(plan());
        for row in 0..1_000 {
            filling.text.extend_from_slice(format!("{row}\t{}\n", "x".repeat(1_000)).as_bytes());
            filling.end_row(row, row.to_string().as_bytes());
        }
        let rows = filling.finish().expect("rows");
        let pieces = rows.pieces(0..1_000);
        assert!(pieces.len() > 3, "{}", pieces.len());
        assert_eq!(pieces.concat().len(), rows.text.len());
    }
}
