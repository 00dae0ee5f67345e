//! The file of rejected records, each with its reason: mended, it is input again.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use super::lines_file::LinesFile;
use super::writing::Rejection;

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
    pub(super) stream: &'r str,
    /// The SCHEMA line of its stream.
    pub(super) schema: &'r str,
    /// A ticket's: in the file its line has another number.
    pub(super) delivery_key: Option<&'r str>,
    pub(super) rejection: &'r Rejection,
}

impl Rejects {
    /// Opens the file to add to it.
    ///
    /// # Errors
    /// When it cannot be opened, or is what stdin reads.
    pub(super) fn open(path: Option<&Path>) -> io::Result<Self> {
        let Some(path) = path else { return Ok(Self::default()) };
        let stdin = std::fs::metadata("/dev/stdin").ok().filter(std::fs::Metadata::is_file);
        let own = std::fs::metadata(path).ok();
        if let (Some(stdin), Some(own)) = (stdin, own)
            && (stdin.dev(), stdin.ino()) == (own.dev(), own.ino())
        {
            let reason = "the file is what stdin reads, and would grow while it is read; move it first";
            return Err(io::Error::other(reason));
        }
        Ok(Self { file: Some(LinesFile::open(path)?), described: Vec::new() })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// When its line is no message.
    pub(super) fn add(&mut self, rejected: &RejectedLine<'_>) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        // Lines that name no stream have no SCHEMA.
        if !rejected.schema.is_empty() && !self.described.iter().any(|stream| stream == rejected.stream) {
            self.described.push(rejected.stream.to_owned());
            file.add(rejected.schema.trim());
        }
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
    text.contains("\"rejected\":{")
}
