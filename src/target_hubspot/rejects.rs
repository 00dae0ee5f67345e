//! The file of rejected records, each with its reason: mended, it is input again.

use std::collections::BTreeMap;
use std::io;

use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use super::lines_file::LinesFile;
use super::rejection::Rejection;

/// The file of rejected records; without one they are only counted and logged.
#[derive(Debug, Default)]
pub(super) struct Rejects {
    file: Option<LinesFile>,
    /// Streams whose SCHEMA is in the file.
    described: Vec<String>,
}

/// A record that is not in HubSpot as wanted.
#[derive(Debug)]
pub(super) struct RejectedLine<'r> {
    pub(super) line: u64,
    pub(super) text: &'r str,
    /// A ticket's: in the file its line has another number.
    pub(super) delivery_key: Option<&'r str>,
    pub(super) rejection: &'r Rejection,
}

impl Rejects {
    /// Rejects that go to a file, or to none.
    pub(super) fn new(file: Option<LinesFile>) -> Self {
        Self { file, described: Vec::new() }
    }

    /// Adds the SCHEMA of a stream, once. Its mark says of the lines behind it that their numbers are not those of the
    /// delivery.
    ///
    /// # Errors
    /// When it is no message.
    pub(super) fn describe(&mut self, stream: &str, schema: &str) -> io::Result<()> {
        let Some(file) = self.file.as_mut().filter(|_| !self.described.iter().any(|one| one == stream)) else {
            return Ok(());
        };
        self.described.push(stream.to_owned());
        let mut message: BTreeMap<String, Box<RawValue>> = serde_json::from_str(schema)?;
        message.insert("rejected".to_owned(), to_raw_value(&json!({}))?);
        file.add(&serde_json::to_string(&message)?);
        Ok(())
    }

    /// Adds a record.
    ///
    /// # Errors
    /// When its line is no message.
    pub(super) fn add(&mut self, rejected: &RejectedLine<'_>) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut message: BTreeMap<String, Box<RawValue>> = serde_json::from_str(rejected.text)?;
        let Rejection { reason, category, correlation_id } = rejected.rejection;
        let mut why = json!({"line": rejected.line, "reason": reason});
        for (name, text) in [("category", category), ("correlation_id", correlation_id)] {
            if !text.is_empty() {
                why[name] = text.as_str().into();
            }
        }
        message.insert("rejected".to_owned(), to_raw_value(&why)?);
        if let Some(key) = rejected.delivery_key {
            message.insert("delivery_key".to_owned(), to_raw_value(key)?);
        }
        file.add(&serde_json::to_string(&message)?);
        Ok(())
    }

    /// Whether rejected records are not in the file yet.
    pub(super) fn holds_lines(&self) -> bool {
        self.file.as_ref().is_some_and(LinesFile::holds_lines)
    }

    /// Writes everything out, before a STATE covers it.
    ///
    /// # Errors
    /// When the file cannot be written to.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), LinesFile::flush)
    }
}

/// Whether a line is one of a file of rejects.
pub(super) fn is_rejected_line(text: &str) -> bool {
    #[derive(Deserialize)]
    struct Marked {
        rejected: Option<Map<String, Value>>,
    }
    text.contains("\"rejected\"") && serde_json::from_str::<Marked>(text).is_ok_and(|one| one.rejected.is_some())
}
