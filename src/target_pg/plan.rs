//! How a stream's records become rows of its table: the columns, and the SQL of a batch.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::column::{Column, Source};
use super::table_name::{TableName, quoted};

/// How rows of a key that is there already are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writing {
    /// No key: rows are added.
    Append,
    /// The table has a unique index on exactly the key.
    Upsert,
    /// It has none, as when the stream got its key later.
    UpdateAndInsert,
}

/// How one stream is loaded.
#[derive(Debug)]
pub(super) struct TablePlan {
    pub(super) stream: String,
    pub(super) table: TableName,
    pub(super) columns: Vec<Column>,
    /// The places of the key's columns.
    pub(super) keys: Vec<usize>,
    pub(super) writing: Writing,
    /// The places of columns by the property that fills them.
    places: HashMap<String, usize>,
}

impl TablePlan {
    /// Lays out a stream whose table is ready.
    pub(super) fn new(stream: String, table: TableName, columns: Vec<Column>, writing: Writing) -> Self {
        let keys = (0..columns.len()).filter(|place| columns[*place].is_key).collect();
        let properties = columns.iter().enumerate().filter(|(_, column)| column.source == Source::Property);
        let places = properties.map(|(place, column)| (column.name.clone(), place)).collect();
        Self { stream, table, columns, keys, writing, places }
    }

    /// The place of the column that a property fills; `guess` is where it is if the record is laid out as the last one.
    pub(super) fn place(&self, property: &str, guess: usize) -> Option<usize> {
        match self.columns.get(guess) {
            Some(column) if column.name == property && column.source == Source::Property => Some(guess),
            _ => self.places.get(property).copied(),
        }
    }

    /// Whether the program can tell equal keys; otherwise Postgres does.
    pub(super) fn has_comparable_keys(&self) -> bool {
        self.keys.iter().all(|place| self.columns[*place].has_comparable_keys())
    }

    /// Creates the temporary table `stage`, which goes when the transaction ends; none where rows are added directly.
    pub(super) fn create_stage(&self, stage: &str) -> Option<String> {
        (self.writing != Writing::Append).then(|| {
            // With no data: types are taken, neither constraints nor defaults.
            let Self { table, .. } = self;
            format!(
                "create temporary table {stage} on commit drop as select {} from {table} with no data",
                self.names()
            )
        })
    }

    /// The COPY that takes the rows.
    pub(super) fn copy(&self, stage: &str) -> String {
        match self.writing {
            Writing::Append => format!("copy {} ({}) from stdin", self.table, self.names()),
            Writing::Upsert | Writing::UpdateAndInsert => format!("copy {stage} from stdin"),
        }
    }

    /// What brings the rows from the temporary table into the stream's own, in their order; none where they are there.
    pub(super) fn merge(&self, stage: &str) -> Option<String> {
        match self.writing {
            Writing::Append => None,
            Writing::Upsert => Some(self.upsert(stage)),
            Writing::UpdateAndInsert => Some(self.update_and_insert(stage)),
        }
    }

    fn upsert(&self, stage: &str) -> String {
        let (table, names, keys) = (&self.table, self.names(), self.key_names("").join(", "));
        let mut sql = format!("insert into {table} ({names}) {} on conflict ({keys}) do ", self.last_rows(stage));
        let assignments: Vec<_> = self.assignments("excluded").collect();
        match assignments.is_empty() {
            true => sql.push_str("nothing"),
            false => write!(sql, "update set {}", assignments.join(", ")).expect("a String takes it"),
        }
        sql
    }

    /// An update changes every row of a key, however many there are.
    fn update_and_insert(&self, stage: &str) -> String {
        let (table, names) = (&self.table, self.names());
        let rows = self.last_rows(stage);
        let pairs = self.key_names("own.").into_iter().zip(self.key_names("new."));
        let same: Vec<_> = pairs.map(|(own, new)| format!("{own} = {new}")).collect();
        let (same, assignments) = (same.join(" and "), self.assignments("new").collect::<Vec<_>>());
        let insert = format!(
            "insert into {table} ({names}) select {names} from ({rows}) new \
             where not exists (select from {table} own where {same})"
        );
        match assignments.is_empty() {
            true => insert,
            false => {
                format!("update {table} own set {} from ({rows}) new where {same}; {insert}", assignments.join(", "))
            }
        }
    }

    /// The rows of the temporary table, of each key the last one.
    fn last_rows(&self, stage: &str) -> String {
        let names = self.names();
        match self.has_comparable_keys() {
            true => format!("select {names} from {stage}"),
            false => {
                let keys = self.key_names("").join(", ");
                // COPY writes rows one behind the other, so that the address of a row is its place.
                format!("select distinct on ({keys}) {names} from {stage} order by {keys}, ctid desc")
            }
        }
    }

    fn assignments<'p>(&'p self, from: &'p str) -> impl Iterator<Item = String> {
        let others = self.columns.iter().filter(|column| !column.is_key);
        others.map(move |column| format!("{0} = {from}.{0}", quoted(&column.name)))
    }

    fn key_names(&self, prefix: &str) -> Vec<String> {
        self.keys.iter().map(|place| format!("{prefix}{}", quoted(&self.columns[*place].name))).collect()
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|column| quoted(&column.name)).collect();
        names.join(", ")
    }
}
