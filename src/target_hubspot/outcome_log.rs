//! The outcome of each line: counted, logged, and written to the files that the settings name.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::desired::{DesiredRecord, SourceLine};
use super::error::TargetError;
use super::input::Unreadable;
use super::lines_file::{self, LinesFile};
use super::placeholder::is_placeholder;
use super::plan::{MatchBy, StreamPlan};
use super::preview;
use super::rejection::Rejection;
use super::rejects::{RejectedLine, Rejects};
use super::resolved_line::AssociationLink;
use super::summary::DeliverySummary;
use super::write_step::{Change, WriteAction};
use crate::client::{ObjectId, ObjectType};
use crate::config::{MaxRejects, TargetConfig};

/// Rejected records that are logged; all of them are in the file of rejects.
const MAX_TOLD: u64 = 100;

/// Counts, files and preview of a run.
#[derive(Debug)]
pub(super) struct OutcomeLog {
    pub(super) summary: DeliverySummary,
    /// The SCHEMA line of each stream.
    pub(super) schemas: BTreeMap<String, String>,
    rejects: Rejects,
    results: Option<LinesFile>,
    max_rejects: MaxRejects,
    dry: bool,
    /// What a dry run prints, by line.
    preview: BTreeMap<(u64, usize), String>,
}

impl OutcomeLog {
    /// Opens the files that the settings name. A dry run writes to none, and fails where the run would.
    ///
    /// # Errors
    /// When a file cannot be opened, or is read by stdin, or both settings name one file.
    pub(super) fn open(config: &TargetConfig, dry: bool) -> Result<Self, TargetError> {
        let open = |path: &Path| match dry {
            true => lines_file::check(path).map(|()| None),
            false => LinesFile::open(path).map(Some),
        };
        let open = |path: Option<&Path>| path.map_or(Ok(None), open);
        let rejects = open(config.rejects_path.as_deref()).map_err(TargetError::Rejects)?;
        if let (Some(results), Some(rejects)) = (&config.results_path, &config.rejects_path)
            && lines_file::is_one_file(results, rejects)
        {
            let reason = "rejects_path names the same file, whose lines are input again; name another file";
            return Err(TargetError::Results(io::Error::other(reason)));
        }
        let results = open(config.results_path.as_deref()).map_err(TargetError::Results)?;
        let rejects = Rejects::new(rejects);
        Ok(Self {
            summary: DeliverySummary::default(),
            schemas: BTreeMap::new(),
            rejects,
            results,
            max_rejects: config.max_rejects(),
            dry,
            preview: BTreeMap::new(),
        })
    }

    /// Counts a record that HubSpot accepted; its lines are logged once its associations are created.
    pub(super) fn written(&mut self, stream: &str, action: WriteAction, lines: usize) {
        self.summary.count(stream, action);
        self.summary.of(stream).deduplicated += u64::try_from(lines - 1).unwrap_or(0);
    }

    /// Corrects the counts for lines that are rejected although their record was written.
    pub(super) fn count_rejected(&mut self, stream: &str, action: WriteAction, lines: usize, refused: usize) {
        let counts = self.summary.of(stream);
        counts.deduplicated -= u64::try_from(refused.min(lines - 1)).unwrap_or(0);
        if refused == lines {
            *counts.count_of(action) -= 1;
        }
    }

    /// Writes the result of one line of a record that is in the portal.
    pub(super) fn done(
        &mut self,
        desired: &DesiredRecord,
        id: ObjectId,
        action: WriteAction,
        links: &[AssociationLink],
    ) {
        let plan = &desired.plan;
        for field in &desired.empty_references {
            *self.summary.empty_references.entry((plan.stream.clone(), field.clone())).or_default() += 1;
        }
        let associations: Vec<_> =
            links.iter().map(|link| json!({"object_type": link.to.as_str(), "id": link.id.to_string()})).collect();
        self.result(
            &plan.stream,
            Some(&plan.object_type),
            desired.source.line,
            &json!({
                "id": id.to_string(), "result": action.word(), "associations": associations,
            }),
        );
    }

    /// Adds what a dry run would do to a record to the preview.
    pub(super) fn preview(&mut self, line: u64, text: Option<String>) {
        let place = self.preview.len();
        self.preview.extend(text.map(|text| ((line, place), text)));
    }

    /// Counts a line of a deleted record.
    pub(super) fn archived(&mut self, plan: &StreamPlan, line: u64) {
        self.summary.of(&plan.stream).archived += 1;
        self.result(&plan.stream, Some(&plan.object_type), line, &json!({"result": "deleted, ignored"}));
    }

    /// Counts a line of a stream that the settings leave out.
    pub(super) fn left_out(&mut self, stream: &str, line: u64) {
        self.summary.left_out += 1;
        self.result(stream, None, line, &json!({"result": "left out"}));
    }

    /// Rejects a line. `id` is the record's where it is in the portal, but not as wanted.
    ///
    /// # Errors
    /// When the file of rejects cannot be written, or too many records are rejected.
    pub(super) fn reject(
        &mut self,
        plan: &StreamPlan,
        source: &SourceLine,
        delivery_key: Option<&str>,
        id: Option<ObjectId>,
        rejection: &Rejection,
    ) -> Result<(), TargetError> {
        self.reject_line((&plan.stream, Some(&plan.object_type)), source, delivery_key, id, rejection)
    }

    /// Rejects a line that holds no message.
    ///
    /// # Errors
    /// As [`OutcomeLog::reject`].
    pub(super) fn reject_unreadable(
        &mut self,
        line: u64,
        bad: Unreadable,
        delivery_key: Option<&str>,
    ) -> Result<(), TargetError> {
        let Unreadable { stream, text, reason } = bad;
        self.reject_line((&stream, None), &SourceLine { line, text }, delivery_key, None, &Rejection::new(reason))
    }

    fn reject_line(
        &mut self,
        (stream, object_type): (&str, Option<&ObjectType>),
        source: &SourceLine,
        delivery_key: Option<&str>,
        id: Option<ObjectId>,
        rejection: &Rejection,
    ) -> Result<(), TargetError> {
        let line = source.line;
        let Rejection { reason, category, correlation_id } = rejection;
        let mut said = format!("line {line} of {stream} is rejected: {reason}");
        if !category.is_empty() || !correlation_id.is_empty() {
            said.push_str(&format!(" ({category}; correlationId {correlation_id})"));
        }
        match self.summary.rejected() {
            told if told < MAX_TOLD => tracing::warn!("{said}"),
            MAX_TOLD => tracing::warn!("{MAX_TOLD} records are rejected; further ones are counted, not told"),
            _ => {}
        }
        self.summary.first_rejection.get_or_insert(said);
        self.summary.of(stream).rejected += 1;
        if self.dry {
            self.preview(line, Some(preview::line_of_rejected(stream, line, rejection)));
        }
        let mut result = json!({"result": "rejected", "reason": reason});
        if let Some(id) = id.filter(|id| !is_placeholder(*id)) {
            result["id"] = id.to_string().into();
        }
        self.result(stream, object_type, line, &result);
        // A line that names no stream may be one of any.
        let of_stream = |(name, _): &(&String, &String)| *name == stream || !self.schemas.contains_key(stream);
        for (name, schema) in self.schemas.iter().filter(of_stream) {
            self.rejects.describe(name, schema).map_err(TargetError::Rejects)?;
        }
        self.rejects
            .add(&RejectedLine { line, text: &source.text, delivery_key, rejection })
            .map_err(TargetError::Rejects)?;
        // A dry run reports every line, and ends as the run would.
        if self.dry { Ok(()) } else { self.check_number() }
    }

    /// Rejects the line of a record.
    ///
    /// # Errors
    /// As [`OutcomeLog::reject`].
    pub(super) fn reject_record(
        &mut self,
        desired: &DesiredRecord,
        id: Option<ObjectId>,
        rejection: &Rejection,
    ) -> Result<(), TargetError> {
        let plan: Arc<StreamPlan> = desired.plan.clone();
        let key = matches!(plan.match_by, MatchBy::DeliveryKey(_)).then(|| desired.key.clone()).flatten();
        self.reject(&plan, &desired.source, key.as_deref(), id, rejection)
    }

    fn result(&mut self, stream: &str, object_type: Option<&ObjectType>, line: u64, more: &serde_json::Value) {
        let Some(results) = &mut self.results else { return };
        let mut result = json!({"line": line, "stream": stream});
        if let Some(object_type) = object_type {
            result["object_type"] = object_type.as_str().into();
        }
        for (name, value) in more.as_object().into_iter().flatten() {
            result[name] = value.clone();
        }
        results.add(&result.to_string());
    }

    /// Ends the run once more records are rejected than a number allows.
    fn check_number(&self) -> Result<(), TargetError> {
        match self.max_rejects {
            MaxRejects::Number(_) => self.check(),
            MaxRejects::Share(_) => Ok(()),
        }
    }

    /// Whether more records are rejected than is allowed.
    ///
    /// # Errors
    /// When they are.
    pub(super) fn check(&self) -> Result<(), TargetError> {
        let (rejected, all) = (self.summary.rejected(), self.summary.records());
        if !self.max_rejects.is_exceeded(rejected, all) {
            return Ok(());
        }
        let all = all.max(self.summary.read);
        let (allowed, first) = (self.max_rejects.to_string(), self.summary.first_rejection.clone().unwrap_or_default());
        Err(TargetError::TooManyRejects { rejected, all, allowed, first })
    }

    /// Whether results are neither in a file nor printed yet.
    pub(super) fn holds_lines(&self) -> bool {
        !self.preview.is_empty()
            || self.rejects.holds_lines()
            || self.results.as_ref().is_some_and(LinesFile::holds_lines)
    }

    /// Writes everything out, before a STATE covers it.
    ///
    /// # Errors
    /// When a file or stdout cannot be written.
    pub(super) fn flush(&mut self) -> Result<(), TargetError> {
        self.rejects.flush().map_err(TargetError::Rejects)?;
        self.results.as_mut().map_or(Ok(()), LinesFile::flush).map_err(TargetError::Results)?;
        self.print_preview().map_err(TargetError::Output)
    }

    fn print_preview(&mut self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        for line in std::mem::take(&mut self.preview).into_values() {
            writeln!(out, "{line}")?;
        }
        out.flush()
    }
}

/// The rejection of a value that HubSpot did not accept.
pub(super) fn not_taken(kept: &Change) -> Rejection {
    let Change { property, old, new } = kept;
    let hint = if property == "lifecyclestage" {
        "; a lifecycle stage only moves forward, unless it is cleared first"
    } else {
        ""
    };
    let reason = match old.as_deref().unwrap_or_default() {
        "" => format!("{property}: the record is written, but HubSpot did not take {new:?} and left it empty{hint}"),
        old => format!("{property}: the record is written, but HubSpot did not take {new:?} and kept {old:?}{hint}"),
    };
    Rejection { category: "NOT_TAKEN".to_owned(), ..Rejection::new(reason) }
}
