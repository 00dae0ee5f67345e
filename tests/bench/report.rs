//! What a benchmark found, and the table that shows it.

use serde::{Deserialize, Serialize};

/// The figures of one benchmark, and what they hold for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Its name on the command line.
    pub(crate) bench: String,
    /// One sentence on the input and on what is measured.
    pub(crate) input: String,
    pub(crate) machine: String,
    /// When it ended, UTC.
    pub(crate) date: String,
    /// How many runs each figure is the median of.
    pub(crate) runs: usize,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// A column's head and how its figures are shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Column {
    pub(crate) head: String,
    /// Digits behind the point.
    pub(crate) digits: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Cell {
    Number(f64),
    Text(String),
}

impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<u64> for Cell {
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    fn from(number: u64) -> Self {
        Self::Number(number as f64)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl Report {
    /// The cells of a row as text.
    pub(crate) fn shown(&self, row: &[Cell]) -> Vec<String> {
        row.iter()
            .zip(&self.columns)
            .map(|(cell, column)| match cell {
                Cell::Number(number) => with_thousands(*number, column.digits),
                Cell::Text(text) => text.clone(),
            })
            .collect()
    }

    /// As a Markdown table with its input, machine and date.
    pub(crate) fn markdown(&self) -> String {
        let heads: Vec<String> = self.columns.iter().map(|column| column.head.clone()).collect();
        let rows: Vec<Vec<String>> = self.rows.iter().map(|row| self.shown(row)).collect();
        let width = |at: usize| {
            let cells = rows.iter().map(|row| row[at].chars().count());
            cells.chain([heads[at].chars().count(), 3]).max().unwrap_or(3)
        };
        let is_text = |at: usize| self.rows.iter().any(|row| matches!(row[at], Cell::Text(_)));
        let line = |cells: &[String]| {
            let padded = cells.iter().enumerate().map(|(at, cell)| match is_text(at) {
                true => format!(" {cell:<width$} |", width = width(at)),
                false => format!(" {cell:>width$} |", width = width(at)),
            });
            format!("|{}\n", padded.collect::<String>())
        };
        let rule = (0..heads.len()).map(|at| match is_text(at) {
            true => format!("{}|", "-".repeat(width(at) + 2)),
            false => format!("{}:|", "-".repeat(width(at) + 1)),
        });
        let median = match self.runs {
            1 => "one run".to_owned(),
            runs => format!("median of {runs} runs"),
        };
        format!(
            "{}\n\n{}|{}\n{}\n{}, {}, {median}.\n",
            self.input,
            line(&heads),
            rule.collect::<String>(),
            rows.iter().map(|row| line(row)).collect::<String>(),
            self.machine,
            self.date
        )
    }
}

/// `1234567.891` as `1,234,567.9`.
pub(crate) fn with_thousands(number: f64, digits: usize) -> String {
    let text = format!("{number:.digits$}");
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(whole, rest)| (whole, Some(rest)));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    fraction.map_or(grouped.clone(), |fraction| format!("{grouped}.{fraction}"))
}
