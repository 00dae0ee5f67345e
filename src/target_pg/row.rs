//! A record as a row in the text form of COPY.

use std::mem;

use chrono::{DateTime, Utc};

use super::column::{Column, NULL, Source};
use super::copy_text::Unstorable;
use super::input::LineError;
use super::message::Record;
use super::plan::TablePlan;
use super::value::ValueError;

/// How the text of an instant is written.
const INSTANT: &str = "%Y-%m-%d %H:%M:%S%.6f";

/// The instants that rows are stamped with, as text.
#[derive(Debug, Clone)]
pub(super) struct Stamps {
    pub(super) received_at: String,
    pub(super) batched_at: String,
    /// Milliseconds since 1970.
    sequence: String,
    sync_started_at: String,
}

/// Writes rows; keeps what it needs from one to the next.
#[derive(Debug)]
pub(super) struct RowWriter {
    stamps: Stamps,
    unstorable: Unstorable,
    /// Where the fields of the row being written begin.
    starts: Vec<usize>,
    /// The last `time_extracted` and its field: those of a page are equal.
    extracted_at: (String, Vec<u8>),
}

/// A property that the SCHEMA of its stream does not have.
pub(super) type Undeclared<'l> = Vec<&'l str>;

impl Stamps {
    /// Those of a run that begins now.
    pub(super) fn begin(now: DateTime<Utc>) -> Self {
        let (instant, milliseconds) = (now.format(INSTANT).to_string(), now.timestamp_millis().to_string());
        Self {
            received_at: instant.clone(),
            batched_at: instant,
            sequence: milliseconds.clone(),
            sync_started_at: milliseconds,
        }
    }

    /// Stamps what follows with a later instant.
    pub(super) fn receive(&mut self, now: DateTime<Utc>) {
        self.received_at = now.format(INSTANT).to_string();
        self.sequence = now.timestamp_millis().to_string();
    }
}

impl RowWriter {
    /// One for a run that begins now.
    pub(super) fn new(unstorable: Unstorable) -> Self {
        let stamps = Stamps::begin(Utc::now());
        Self { stamps, unstorable, starts: Vec::new(), extracted_at: (String::new(), Vec::new()) }
    }

    /// The stamps of the rows that follow.
    pub(super) fn stamps(&mut self) -> &mut Stamps {
        &mut self.stamps
    }

    /// How many characters that Postgres cannot store were replaced since the last call.
    pub(super) fn take_replaced(&mut self) -> u64 {
        mem::take(&mut self.unstorable.replaced)
    }

    /// Adds the row of a record to `out`, and the text of its key to `key`; gives the properties that have no column.
    ///
    /// # Errors
    /// When a key is missing or a value does not fit its column; `out` is then as it was.
    pub(super) fn push<'l>(
        &mut self,
        line: u64,
        record: &'l Record<'l>,
        plan: &TablePlan,
        out: &mut Vec<u8>,
        key: &mut Vec<u8>,
    ) -> Result<Undeclared<'l>, LineError> {
        let mut values: Vec<Option<&str>> = vec![None; plan.columns.len()];
        let undeclared = lay_out(record, plan, &mut values);
        let begin = out.len();
        self.starts.clear();
        for (place, column) in plan.columns.iter().enumerate() {
            if place > 0 {
                out.push(b'\t');
            }
            self.starts.push(out.len());
            if let Err(error) = self.push_field(column, values[place], record, out) {
                out.truncate(begin);
                return Err(located(line, column, values[place], plan, error));
            }
        }
        self.starts.push(out.len() + 1);
        for place in &plan.keys {
            plan.columns[*place].push_key(&out[self.starts[*place]..self.starts[place + 1] - 1], key);
            key.push(b'\t');
        }
        out.push(b'\n');
        Ok(undeclared)
    }

    fn push_field(
        &mut self,
        column: &Column,
        value: Option<&str>,
        record: &Record<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), ValueError> {
        let stamp = match column.source {
            Source::Property => return column.push(value.unwrap_or("null"), &mut self.unstorable, out),
            Source::ExtractedAt => return self.push_extracted_at(column, record, out),
            Source::TableVersion => {
                match record.version {
                    None => out.extend_from_slice(NULL),
                    Some(version) => out.extend_from_slice(version.to_string().as_bytes()),
                }
                return Ok(());
            }
            Source::ReceivedAt => &self.stamps.received_at,
            Source::BatchedAt => &self.stamps.batched_at,
            Source::Sequence => &self.stamps.sequence,
            Source::SyncStartedAt => &self.stamps.sync_started_at,
        };
        out.extend_from_slice(stamp.as_bytes());
        Ok(())
    }

    fn push_extracted_at(&mut self, column: &Column, record: &Record<'_>, out: &mut Vec<u8>) -> Result<(), ValueError> {
        let (last, field) = &mut self.extracted_at;
        let Some(text) = record.time_extracted else {
            out.extend_from_slice(NULL);
            return Ok(());
        };
        if text != last {
            let mut written = Vec::new();
            column.push(text, &mut self.unstorable, &mut written)?;
            (*last, *field) = (text.to_owned(), written);
        }
        out.extend_from_slice(field);
        Ok(())
    }
}

/// Puts the values of a record at the places of their columns; of a name that stands twice the last one counts.
fn lay_out<'l>(record: &'l Record<'l>, plan: &TablePlan, values: &mut [Option<&'l str>]) -> Undeclared<'l> {
    let (mut undeclared, mut guess) = (Vec::new(), 0);
    for (name, value) in &record.fields.0 {
        match plan.place(name, guess) {
            Some(place) => {
                values[place] = Some(value);
                guess = place + 1;
            }
            None if *value == "null" => {}
            None => undeclared.push(name.as_ref()),
        }
    }
    undeclared
}

fn located(line: u64, column: &Column, value: Option<&str>, plan: &TablePlan, error: ValueError) -> LineError {
    let (stream, name) = (plan.stream.clone(), column.name.clone());
    match value {
        None if column.is_key => LineError::NoKey { line, stream, column: name },
        _ if column.source == Source::ExtractedAt => {
            LineError::Value { line, stream, column: "time_extracted".to_owned(), error }
        }
        _ => LineError::Value { line, stream, column: name, error },
    }
}
