//! A delivery: lines are collected into a segment, a segment is brought into the portal type by type, and STATE goes out
//! once every record before it is in the portal or among the rejects.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

use serde::de::IgnoredAny;

use super::breaker::Breaker;
use super::deferred::SpilledLine;
use super::definitions::PropertyDefinitions;
use super::desired::{DesiredRecord, ParsedRecord, ReadOptions, SourceLine, read};
use super::error::TargetError;
use super::identity::line_key;
use super::input::{InputError, InputMessage, InputRecord, Line, parse};
use super::order::{ORDER, rank};
use super::outcome_log::OutcomeLog;
use super::pending_states::PendingStates;
use super::plan::{MatchBy, StreamPlan, object_type_of};
use super::record_index::AbsentKeys;
use super::rejection::Rejection;
use super::rejects::is_rejected_line;
use super::session::{DELIVERY_KEY, DOUBLE_DEALS, TargetSession, define_key};
use super::write_context::WriteContext;
use super::writer::Writer;
use crate::client::ObjectType;
use crate::config::{TargetConfig, nearest_of};

/// Records of a segment; 100 batches keep the budget busy while the last ones of a type come in.
const BATCH_RECORDS: usize = 10_000;
/// Bytes of a segment's lines; a ticket may hold a megabyte.
const BATCH_BYTES: usize = 32 << 20;

/// A delivery in progress.
#[derive(Debug)]
pub(super) struct Delivery {
    session: TargetSession,
    writer: Writer,
    definitions: HashMap<ObjectType, Arc<PropertyDefinitions>>,
    /// None: the config leaves the stream out.
    plans: HashMap<String, Option<Arc<StreamPlan>>>,
    /// Types whose unique property for delivery keys was looked for or created.
    key_ensured: HashSet<ObjectType>,
    batch: Vec<DesiredRecord>,
    bytes: usize,
    states: PendingStates,
    /// The input is a file of rejects.
    is_of_rejects: bool,
}

impl Delivery {
    /// A delivery that has not begun.
    ///
    /// # Errors
    /// When a file that the settings name cannot be opened.
    pub(super) fn new(session: TargetSession, dry: bool) -> Result<Self, TargetError> {
        let outcome_log = OutcomeLog::open(&session.config, dry)?;
        let context = WriteContext {
            client: session.client.clone(),
            dry,
            key_missing: HashSet::new(),
            next_placeholder: AtomicU64::new(u64::MAX),
            absent_keys: AbsentKeys::default(),
            breaker: Breaker::default(),
            failed_alone: AtomicU32::new(0),
            stopped: AtomicBool::new(false),
        };
        Ok(Self {
            session,
            writer: Writer::new(context, outcome_log),
            definitions: HashMap::new(),
            plans: HashMap::new(),
            key_ensured: HashSet::new(),
            batch: Vec::new(),
            bytes: 0,
            states: PendingStates::default(),
            is_of_rejects: false,
        })
    }

    /// Whether no line was accepted since the last delivery.
    pub(super) fn is_empty(&self) -> bool {
        let states = self.states.is_empty() || self.writer.deferred.first_line().is_some();
        self.batch.is_empty() && states && !self.writer.outcome_log.holds_lines()
    }

    /// Whether the batch should be delivered before more is accepted.
    pub(super) fn is_full(&self) -> bool {
        self.batch.len() >= BATCH_RECORDS || self.bytes >= BATCH_BYTES
    }

    /// Accepts one line.
    ///
    /// # Errors
    /// When the line is no message, or its stream cannot be written.
    pub(super) async fn accept(&mut self, line: Line) -> Result<(), TargetError> {
        self.is_of_rejects = self.is_of_rejects || is_rejected_line(&line.text);
        let message = match parse(&line) {
            // A run that was killed while it wrote rejects leaves half a line at the end of the file.
            Ok(InputMessage::Unreadable(_)) if self.is_of_rejects && is_cut(&line) => {
                let number = line.number;
                tracing::warn!(
                    "line {number}, the last one of this file of rejects, is cut off and left out: the run that wrote it was \
                     stopped; deliver the first input again to have its record"
                );
                return Ok(());
            }
            parsed => parsed?,
        };
        match message {
            InputMessage::Schema { stream, key_properties } => {
                self.writer.outcome_log.schemas.insert(stream.clone(), line.text);
                self.plan(&stream, key_properties).await
            }
            InputMessage::Record(record) => self.accept_record(record, line).await,
            InputMessage::State(value) => {
                self.states.push(line.number, value);
                Ok(())
            }
            InputMessage::ActivateVersion => {
                self.writer.outcome_log.summary.activate_versions += 1;
                Ok(())
            }
            InputMessage::Unreadable(bad) => {
                self.writer.outcome_log.summary.read += 1;
                let plan = self.plans.get(&bad.stream).and_then(Option::as_ref);
                // A line that names no stream may be one of any.
                let key =
                    if plan.is_none_or(|plan| plan.is_keyed_by_line()) { self.line_key(line.number) } else { None };
                self.writer.outcome_log.reject_unreadable(line.number, bad, key.as_deref())
            }
        }
    }

    /// The delivery key of a record without a key of its own; none where its position in the delivery is not known.
    fn line_key(&self, line: u64) -> Option<String> {
        let delivery_id = self.session.config.delivery_id.as_ref().filter(|_| !self.is_of_rejects);
        delivery_id.map(|delivery_id| line_key(delivery_id, line))
    }

    async fn plan(&mut self, stream: &str, key_properties: Vec<String>) -> Result<(), TargetError> {
        let of_stream = |reason| TargetError::Stream { stream: stream.to_owned(), reason };
        let known = self.plans.get(stream).and_then(Option::as_ref);
        if known.is_some_and(|plan| plan.key_properties == key_properties) {
            return Ok(());
        }
        let Some(object_type) = object_type_of(stream, &self.session.config).map_err(of_stream)? else {
            self.plans.insert(stream.to_owned(), None);
            return Ok(());
        };
        let definitions = self.definitions(&object_type).await?;
        let plan = StreamPlan::new(stream, object_type, key_properties, definitions, &self.session.config);
        self.plans.insert(stream.to_owned(), Some(Arc::new(plan.map_err(of_stream)?)));
        Ok(())
    }

    async fn definitions(&mut self, object_type: &ObjectType) -> Result<Arc<PropertyDefinitions>, TargetError> {
        if let Some(known) = self.definitions.get(object_type) {
            return Ok(known.clone());
        }
        let client = &self.session.client;
        let (mut read, is_empty) =
            tokio::try_join!(PropertyDefinitions::read(client, object_type), client.has_no_objects(object_type))?;
        // HubSpot answers with an empty list now and then; records taken for new would be written over.
        if is_empty && client.has_no_objects(object_type).await? {
            self.writer.context.absent_keys.add_empty_type(object_type);
        }
        if self.writer.context.dry {
            // A run leaves them to HubSpot, which may know of newer ones.
            read.learn_portal_rules(&self.session.client, object_type).await?;
        }
        let read = Arc::new(read);
        self.definitions.insert(object_type.clone(), read.clone());
        Ok(read)
    }

    async fn accept_record(&mut self, record: InputRecord, line: Line) -> Result<(), TargetError> {
        let number = line.number;
        let plan = match self.plans.get(&record.stream) {
            Some(Some(plan)) => plan.clone(),
            Some(None) => {
                self.writer.outcome_log.left_out(&record.stream, number);
                return Ok(());
            }
            None => return Err(InputError::NoSchema { line: number, stream: record.stream }.into()),
        };
        self.writer.outcome_log.summary.read += 1;
        self.ensure_key_property(&plan).await?;
        let source = SourceLine { line: number, text: line.text };
        if self.is_of_rejects && plan.is_keyed_by_line() && record.delivery_key.is_none() {
            let reason = "it has no delivery_key, and its number in a file of rejects is not its number in the delivery; \
                          write the delivery_key of the rejected line beside its record";
            return self.writer.outcome_log.reject(&plan, &source, None, None, &Rejection::new(reason));
        }
        match self.read(&plan, &record, source.clone()) {
            ParsedRecord::Record(desired) => {
                self.bytes += source.text.len();
                self.batch.push(*desired);
                Ok(())
            }
            ParsedRecord::Deleted => {
                self.writer.outcome_log.archived(&plan, number);
                Ok(())
            }
            ParsedRecord::Invalid(reason) => {
                // Its position in the delivery is lost in the file of rejects.
                let key = match (plan.is_keyed_by_line(), &record.delivery_key) {
                    (true, None) => self.line_key(number),
                    (_, key) => key.clone(),
                };
                self.writer.outcome_log.reject(&plan, &source, key.as_deref(), None, &Rejection::new(reason))
            }
        }
    }

    fn read(&self, plan: &Arc<StreamPlan>, record: &InputRecord, source: SourceLine) -> ParsedRecord {
        let config: &TargetConfig = &self.session.config;
        let names_a_stream =
            |name: &str| name == "tickets" || self.plans.contains_key(name) || config.streams.contains_key(name);
        let manner = ReadOptions {
            clear_nulls: config.clear_nulls,
            delivery_id: config.delivery_id.as_deref(),
            delivery_is_a_stream: config.delivery_id.as_deref().is_some_and(names_a_stream),
            portal_id: &self.session.portal_id,
        };
        read(plan, record, source, manner)
    }

    /// Creates the unique property for delivery keys on first use.
    async fn ensure_key_property(&mut self, plan: &StreamPlan) -> Result<(), TargetError> {
        let (name, needed) = match &plan.match_by {
            MatchBy::DeliveryKey(name) | MatchBy::CompanyDomain(name) => (name.as_str(), true),
            // Deals are found without it; it keeps two deliveries at once from creating a deal twice.
            MatchBy::DealName => (DELIVERY_KEY, false),
            MatchBy::UniqueProperty(_) | MatchBy::Id | MatchBy::AlwaysCreate => return Ok(()),
        };
        if !self.key_ensured.insert(plan.object_type.clone()) {
            return Ok(());
        }
        let context = &mut self.writer.context;
        let problem = match plan.definitions.by_name.get(name) {
            Some(definition) if definition.unique => return Ok(()),
            Some(_) => format!("the property {name} is there, but its values are not unique"),
            None if context.dry => {
                context.key_missing.insert(plan.object_type.clone());
                return Ok(());
            }
            None => match define_key(&context.client, &plan.object_type, name).await? {
                Ok(()) => return Ok(()),
                Err(problem) => problem,
            },
        };
        if needed {
            return Err(TargetError::Stream { stream: plan.stream.clone(), reason: problem });
        }
        tracing::warn!("{}: {problem}; {DOUBLE_DEALS}", plan.stream);
        context.key_missing.insert(plan.object_type.clone());
        Ok(())
    }

    /// Writes everything accepted so far to the portal, apart from deferred records, then writes the latest STATE
    /// that is covered.
    ///
    /// # Errors
    /// Errors that concern no single record, and too many rejected ones; then no STATE is written.
    pub(super) async fn deliver(&mut self) -> Result<(), TargetError> {
        let outcome = self.deliver_batch().await;
        // Even of a run that fails the reasons are kept.
        self.writer.outcome_log.flush()?;
        outcome?;
        self.write_covered_states()
    }

    async fn deliver_batch(&mut self) -> Result<(), TargetError> {
        let mut by_type: [Vec<DesiredRecord>; ORDER.len()] = Default::default();
        for desired in std::mem::take(&mut self.batch) {
            by_type[rank(&desired.plan.object_type)].push(desired);
        }
        self.bytes = 0;
        for (rank, mut lines) in by_type.into_iter().enumerate() {
            lines.extend(self.writer.deferred.take_ready(rank));
            lines.sort_by_key(|one| one.source.line);
            self.writer.deliver(lines, false).await?;
        }
        self.writer.deferred.forget_arrived();
        Ok(())
    }

    /// Delivers everything, deferred records included: the input has ended.
    ///
    /// # Errors
    /// As [`Delivery::deliver`].
    pub(super) async fn finish(&mut self) -> Result<(), TargetError> {
        let mut outcome = self.deliver_batch().await;
        if outcome.is_ok() {
            outcome = self.deliver_deferred().await;
        }
        self.writer.outcome_log.flush()?;
        outcome?;
        self.warn_of_absent_streams();
        self.writer.outcome_log.check()?;
        self.write_covered_states()
    }

    async fn deliver_deferred(&mut self) -> Result<(), TargetError> {
        for rank in 0..ORDER.len() {
            let mut lines = self.writer.deferred.take_all(rank);
            lines.sort_by_key(|one| one.source.line);
            self.writer.deliver(lines, true).await?;
            let Some(mut spilled) = self.writer.deferred.take_spilled(rank)? else { continue };
            loop {
                let mut lines = Vec::new();
                while lines.len() < BATCH_RECORDS
                    && let Some(line) = spilled.next()?
                {
                    lines.extend(self.read_again(line));
                }
                if lines.is_empty() {
                    break;
                }
                self.writer.deliver(lines, true).await?;
            }
        }
        self.writer.deferred.forget_spilled();
        Ok(())
    }

    /// Reads a line that was taken before; it is a record that can be written.
    fn read_again(&self, line: SpilledLine) -> Option<DesiredRecord> {
        let SpilledLine { plan, source } = line;
        let again = Line { number: source.line, text: source.text.clone(), fault: None };
        let Ok(InputMessage::Record(record)) = parse(&again) else { return None };
        match self.read(&plan, &record, source) {
            ParsedRecord::Record(desired) => Some(*desired),
            ParsedRecord::Deleted | ParsedRecord::Invalid(_) => None,
        }
    }

    fn write_covered_states(&mut self) -> Result<(), TargetError> {
        // Too many rejects of earlier lines end the run, or hold STATE back, before it covers them.
        if self.writer.context.dry || self.writer.outcome_log.check().is_err() {
            return Ok(());
        }
        let first_deferred = self.writer.deferred.first_line().unwrap_or(u64::MAX);
        let Some(state) = self.states.take_covered(first_deferred) else { return Ok(()) };
        // Safe here: every record before it is in the portal or among the rejects.
        let mut out = io::stdout().lock();
        writeln!(out, "{}", state.get()).and_then(|()| out.flush()).map_err(TargetError::Output)
    }

    fn warn_of_absent_streams(&self) {
        let seen: BTreeSet<&str> = self.plans.keys().map(String::as_str).collect();
        let config = &self.session.config.streams;
        let absent = config.keys().filter(|name| !seen.is_empty() && !seen.contains(name.as_str()));
        let unnamed = || seen.iter().copied().filter(|name| !config.contains_key(*name));
        for name in absent {
            // Streams that are not part of this input are no mistake; names that nearly are, may be one.
            if let Some(near) = nearest_of(name, unnamed()) {
                tracing::warn!("streams names {name:?}, which the input does not have; did you mean {near:?}?");
            }
        }
    }

    /// An error with the counts of now: after a line that ends the run the lines before it were delivered.
    pub(super) fn recounted(&self, error: TargetError) -> TargetError {
        match error {
            TargetError::TooManyRejects { .. } => self.writer.outcome_log.check().err().unwrap_or(error),
            error => error,
        }
    }

    /// Ends a run, however it went: writes the files and logs the counts.
    pub(super) fn close(&mut self, elapsed: std::time::Duration) {
        if let Err(error) = self.writer.outcome_log.flush() {
            tracing::error!("{error}");
        }
        let summary = &mut self.writer.outcome_log.summary;
        summary.deferred = self.writer.deferred.lines();
        summary.report(&self.session.client.call_stats().snapshot(), elapsed, self.writer.context.dry);
    }
}

/// Whether a line ends in the middle and no other follows it.
fn is_cut(line: &Line) -> bool {
    let cut = serde_json::from_str::<IgnoredAny>(&line.text).is_err_and(|error| error.is_eof());
    cut && line.fault.is_none() && !line.text.ends_with('\n')
}
