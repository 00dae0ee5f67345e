//! Tables as they must be and as targets hold them, compared field by field.

use std::collections::{BTreeMap, BTreeSet};

use super::cell::{Cell, Fidelity, Kind};
use super::messages;
use super::postgres::Database;

/// One row by column.
pub(crate) type Row = BTreeMap<String, Cell>;

/// The columns that say how and when a row was read: there, never null, and different in every run.
pub(crate) const OF_THE_RUN: [(&str, Kind); 4] = [
    ("_scan_id", Kind::Text),
    ("_extracted_at", Kind::Instant),
    ("_extraction_type", Kind::Text),
    ("_page_number", Kind::Number),
];

/// A stream's table as it must be.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) stream: &'static str,
    pub(crate) key: &'static [&'static str],
    pub(crate) columns: BTreeMap<String, Kind>,
    pub(crate) rows: Vec<Row>,
}

/// A stream's table as a target holds it.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) columns: BTreeSet<String>,
    /// Values that are none of their column's type stand as text, and so differ from what is expected.
    pub(crate) rows: Vec<Row>,
}

impl Table {
    /// Reads the table from the schema of a Postgres database.
    pub(crate) fn in_postgres(&self, database: &Database, schema: &str) -> Held {
        let columns = database.columns(schema, self.stream);
        let wanted: Vec<_> =
            columns.iter().filter_map(|(name, sql)| Some((name, sql, *self.columns.get(name)?))).collect();
        let expressions = wanted.iter().map(|(name, sql, _)| match sql.as_str() {
            "ARRAY" => format!("to_jsonb(\"{name}\")"),
            _ => format!("\"{name}\""),
        });
        let sql =
            format!("select {} from \"{schema}\".\"{}\"", expressions.collect::<Vec<_>>().join(", "), self.stream);
        let read = |values: Vec<Option<String>>| {
            let cells = wanted.iter().zip(values).map(|((name, _, kind), value)| {
                let cell = Cell::from_sql(*kind, value.as_deref()).unwrap_or_else(Cell::Text);
                ((*name).clone(), cell)
            });
            cells.collect()
        };
        let rows = database.rows(&sql).into_iter().map(read).collect();
        Held { columns: columns.into_iter().map(|(name, _)| name).collect(), rows }
    }

    /// Reads the table from a run's messages, as an upserting target would have made it.
    pub(crate) fn in_messages(&self, tables: &messages::Tables) -> Held {
        let table = tables.table(self.stream);
        let columns = table.schema["properties"].as_object().expect("properties").keys().cloned().collect();
        let rows = table.rows.values().map(|held| self.row(&held.row)).collect();
        Held { columns, rows }
    }

    /// The cells of a record; a column that it lacks is null.
    pub(crate) fn row(&self, record: &messages::Row) -> Row {
        let cell = |(name, kind): (&String, &Kind)| {
            let token = record.get(name).map_or("null", |value| value.get());
            (name.clone(), Cell::from_json(*kind, token).unwrap_or_else(Cell::Text))
        };
        self.columns.iter().map(cell).collect()
    }

    /// Panics, telling the first differences, unless `held` has exactly these columns and rows.
    #[track_caller]
    pub(crate) fn assert_held(&self, held: &Held, fidelity: Fidelity) {
        assert!(!self.rows.is_empty(), "{}: nothing to compare", self.stream);
        let differences = self.differences(held, fidelity);
        let shown: Vec<_> = differences.iter().take(12).map(String::as_str).collect();
        let count = differences.len();
        assert!(count == 0, "{}: {count} differences from the portal:\n  {}", self.stream, shown.join("\n  "));
    }

    fn differences(&self, held: &Held, fidelity: Fidelity) -> Vec<String> {
        let expected: BTreeSet<&String> = self.columns.keys().collect();
        let own: BTreeSet<&String> = held.columns.iter().filter(|name| !name.starts_with("_sdc_")).collect();
        let mut differences: Vec<String> = expected.difference(&own).map(|name| format!("no column {name}")).collect();
        differences.extend(own.difference(&expected).map(|name| format!("a column {name} that should not be there")));
        let shown = |cell: Option<&Cell>| match cell {
            Some(Cell::Text(text)) => text.clone(),
            other => format!("{other:?}"),
        };
        let key = |row: &Row| self.key.iter().map(|name| shown(row.get(*name))).collect::<Vec<_>>().join(" ");
        let mut left: BTreeMap<_, _> = self.rows.iter().map(|row| (key(row), row)).collect();
        assert_eq!(left.len(), self.rows.len(), "{}: the expected rows' keys are not unique", self.stream);
        for row in &held.rows {
            let key = key(row);
            match left.remove(&key) {
                None => differences.push(format!("{key} is not in the portal, or twice in the table")),
                Some(expected) => differences.extend(Self::cell_differences(&key, row, expected, fidelity)),
            }
        }
        differences.extend(left.keys().map(|key| format!("{key} is missing")));
        differences
    }

    fn cell_differences(key: &str, held: &Row, expected: &Row, fidelity: Fidelity) -> Vec<String> {
        let wrong = |(column, cell): (&String, &Cell)| {
            let of_the_run = OF_THE_RUN.iter().any(|(name, _)| name == column);
            let expected = expected.get(column).unwrap_or(&Cell::Null);
            let right = if of_the_run { *cell != Cell::Null } else { cell.matches(expected, fidelity) };
            let wanted = if of_the_run { "a value".to_owned() } else { format!("{expected:?}") };
            (!right).then(|| format!("{key}, {column}: {cell:?} instead of {wanted}"))
        };
        held.iter().filter_map(wrong).collect()
    }
}

#[test]
fn every_kind_of_difference_is_told() {
    let row = |id: &str, label: Option<&str>| {
        let label = label.map_or(Cell::Null, Cell::text);
        Row::from([("id".to_owned(), Cell::text(id)), ("label".to_owned(), label)])
    };
    let columns = BTreeMap::from([("id", Kind::Text), ("label", Kind::Text), ("archived", Kind::Boolean)]);
    let table = Table {
        stream: "ticket_pipelines",
        key: &["id"],
        columns: columns.into_iter().map(|(name, kind)| (name.to_owned(), kind)).collect(),
        rows: vec![row("0", Some("Support")), row("1", None), row("2", Some("Sales"))],
    };
    let columns = ["id", "label", "stray", "_sdc_sequence"].map(str::to_owned).into();
    let rows = vec![row("0", Some("Sales")), row("1", Some("")), row("3", None), row("0", None)];
    let differences = table.differences(&Held { columns, rows }, Fidelity::Exact).join("\n");
    for told in [
        "no column archived",
        "a column stray",
        "0, label: Text(\"Sales\") instead of Text(\"Support\")",
        "1, label: Text(\"\") instead of Null",
        "3 is not in the portal",
        "0 is not in the portal, or twice in the table",
        "2 is missing",
    ] {
        assert!(differences.contains(told), "{told} in:\n{differences}");
    }
}
