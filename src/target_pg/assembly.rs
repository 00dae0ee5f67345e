//! From lines to batches, in a thread of its own: while one batch is loaded the next one is put together.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use chrono::Utc;
use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};

use super::batch::{Activation, Batch, Filling};
use super::input::{Block, LineError, lines};
use super::message::{Message, Record, parse};
use super::plan::TablePlan;
use super::row::RowWriter;
use super::settings::Settings;
use super::stream_schema::{SingerSchema, unstorable};

/// Bytes of rows after which a batch is written. Three batches at most are in memory: one that is put together, one
/// that waits, one that is loaded.
const BATCH_BYTES: usize = 6 << 20;
/// A batch that waits keeps the loader busy; a second one would only take memory.
pub(super) const QUEUE: usize = 1;
/// How often a thread that waits for input looks whether it is to stop.
const STOP_POLL: Duration = Duration::from_millis(100);

/// What the loader is to do, in this order.
#[derive(Debug)]
pub(super) enum Work {
    /// Make the table of a stream fit, and say how to load it.
    Prepare {
        schema: SingerSchema,
        reply: oneshot::Sender<Arc<TablePlan>>,
    },
    Load(Batch),
    /// End with this error, now that everything before it is loaded.
    Fail(LineError),
}

/// The loader has ended, for a reason that it knows.
#[derive(Debug)]
struct LoaderGone;

/// How reading ended early.
enum Ending {
    Input(LineError),
    LoaderGone,
}

impl From<LineError> for Ending {
    fn from(error: LineError) -> Self {
        Self::Input(error)
    }
}

impl From<LoaderGone> for Ending {
    fn from(LoaderGone: LoaderGone) -> Self {
        Self::LoaderGone
    }
}

/// When a batch is full.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    rows: u64,
    bytes: usize,
    wait: Duration,
}

/// Puts batches together.
pub(super) struct Assembly {
    settings: Settings,
    bounds: Bounds,
    works: mpsc::Sender<Work>,
    streams: BTreeMap<String, Stream>,
    writer: RowWriter,
    /// Rows of the batch by stream.
    filling: Vec<Filling>,
    activations: Vec<Activation>,
    state: Option<String>,
    rows: u64,
    bytes: usize,
    /// When the first message of the batch came.
    began: Option<Instant>,
    /// Of the last line read.
    line: u64,
    key: Vec<u8>,
}

/// A stream whose SCHEMA came.
struct Stream {
    plan: Arc<TablePlan>,
    /// As it was sent; the same one again changes nothing.
    schema: (Map<String, Value>, Vec<String>),
    /// Its place among the rows of the batch, if it has some.
    place: Option<usize>,
    /// Undeclared properties that were warned of.
    warned: BTreeSet<String>,
    /// Characters that were replaced because Postgres cannot store them.
    replaced: u64,
}

impl Assembly {
    /// Puts nothing together yet.
    pub(super) fn new(settings: Settings, works: mpsc::Sender<Work>) -> Self {
        let wait = Duration::from_secs_f64(settings.batch_wait_limit_seconds);
        let bounds = Bounds { rows: settings.batch_size_rows, bytes: BATCH_BYTES, wait };
        Self {
            bounds,
            works,
            streams: BTreeMap::new(),
            writer: RowWriter::new(unstorable(&settings)),
            settings,
            filling: Vec::new(),
            activations: Vec::new(),
            state: None,
            rows: 0,
            bytes: 0,
            began: None,
            line: 0,
            key: Vec::new(),
        }
    }

    /// Takes blocks until there are no more, one cannot be loaded, or `stop` is set; what came before is handed on first.
    pub(super) fn run(mut self, blocks: &Receiver<Block>, stop: &AtomicBool) {
        let outcome = self.take_all(blocks, stop).and_then(|()| Ok(self.flush()?));
        if let Err(Ending::Input(error)) = outcome {
            // If the loader is gone it has ended with an error of its own.
            let _ = self.flush().and_then(|()| self.hand_on(Work::Fail(error)));
        }
        self.warn_of_replaced();
    }

    fn take_all(&mut self, blocks: &Receiver<Block>, stop: &AtomicBool) -> Result<(), Ending> {
        while !stop.load(Ordering::Relaxed) {
            let until_due = self.began.map(|began| self.bounds.wait.saturating_sub(began.elapsed()));
            match blocks.recv_timeout(until_due.unwrap_or(STOP_POLL).min(STOP_POLL)) {
                Ok(Block::Lines(block)) => self.take_block(&block)?,
                Ok(Block::Broken(reason)) => return Err(LineError::Unreadable { line: self.line, reason }.into()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            if self.began.is_some_and(|began| began.elapsed() >= self.bounds.wait) {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn take_block(&mut self, block: &[u8]) -> Result<(), Ending> {
        self.writer.stamps().receive(Utc::now());
        for line in lines(block) {
            self.line += 1;
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            self.take_line(line)?;
            if self.rows >= self.bounds.rows || self.bytes >= self.bounds.bytes {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn take_line(&mut self, line: &[u8]) -> Result<(), Ending> {
        let not_utf8 = |_| LineError::NotJson { line: self.line, reason: "it is not UTF-8".to_owned() };
        let text = std::str::from_utf8(line).map_err(not_utf8)?;
        match parse(self.line, text)? {
            Message::Record(record) => self.take_record(&record)?,
            Message::State(value) => self.state = Some(value.get().to_owned()),
            Message::Schema { stream, schema, key_properties } => {
                return self.take_schema(stream, schema, key_properties);
            }
            Message::ActivateVersion { stream, version } => return self.take_activate_version(stream, version),
        }
        self.began.get_or_insert_with(Instant::now);
        Ok(())
    }

    fn take_record(&mut self, record: &Record<'_>) -> Result<(), LineError> {
        let line = self.line;
        let Some(stream) = self.streams.get_mut(record.stream.as_ref()) else {
            return Err(LineError::NoSchema { line, kind: "RECORD", stream: record.stream.clone().into_owned() });
        };
        if self.began.is_none() {
            let stamps = self.writer.stamps();
            stamps.batched_at = stamps.received_at.clone();
        }
        let place = *stream.place.get_or_insert_with(|| {
            self.filling.push(Filling::new(stream.plan.clone()));
            self.filling.len() - 1
        });
        let filling = &mut self.filling[place];
        let before = filling.text.len();
        self.key.clear();
        let undeclared = self.writer.push(line, record, &stream.plan, &mut filling.text, &mut self.key)?;
        filling.end_row(line, &self.key);
        self.rows += 1;
        self.bytes += filling.text.len() - before;
        stream.replaced += self.writer.take_replaced();
        for property in undeclared {
            if stream.warned.insert(property.to_owned()) {
                let stream = &record.stream;
                tracing::warn!("stream {stream:?}: the property {property:?} is not in its SCHEMA and is left out");
            }
        }
        Ok(())
    }

    fn take_schema(
        &mut self,
        stream: String,
        schema: Map<String, Value>,
        key_properties: Vec<String>,
    ) -> Result<(), Ending> {
        let sent = (schema, key_properties);
        if self.streams.get(&stream).is_some_and(|known| known.schema == sent) {
            return Ok(());
        }
        let line = self.line;
        let read = SingerSchema::read(&stream, &sent.0, &sent.1, &self.settings)
            .map_err(|reason| LineError::Schema { line, stream: stream.clone(), reason })?;
        // Rows that are laid out by the old schema go by it.
        if self.streams.get(&stream).is_some_and(|known| known.place.is_some()) {
            self.flush()?;
        }
        if let Some(warning) = read.width_warning() {
            tracing::warn!("{warning}");
        }
        let shares = |known: &Stream| known.plan.table == read.table && known.plan.stream != stream;
        if let Some(other) = self.streams.values().find(|known| shares(known)) {
            let other = &other.plan.stream;
            tracing::warn!("streams {other:?} and {stream:?} go into one table, {}", read.table);
        }
        let (reply, plan) = oneshot::channel();
        self.hand_on(Work::Prepare { schema: read, reply })?;
        let plan = plan.blocking_recv().map_err(|_| LoaderGone)?;
        let known = self.streams.remove(&stream);
        let (warned, replaced) = known.map_or_else(Default::default, |known| (known.warned, known.replaced));
        self.streams.insert(stream, Stream { plan, schema: sent, place: None, warned, replaced });
        Ok(())
    }

    fn take_activate_version(&mut self, stream: String, version: i64) -> Result<(), Ending> {
        if !self.settings.activate_version {
            return Ok(());
        }
        let Some(known) = self.streams.get(&stream) else {
            return Err(LineError::NoSchema { line: self.line, kind: "ACTIVATE_VERSION", stream }.into());
        };
        self.activations.push(Activation { plan: known.plan.clone(), version });
        // Records behind it are of the next version.
        self.flush()?;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), LoaderGone> {
        for stream in self.streams.values_mut() {
            stream.place = None;
        }
        (self.rows, self.bytes, self.began) = (0, 0, None);
        let batch = Batch {
            streams: mem::take(&mut self.filling).into_iter().filter_map(Filling::finish).collect(),
            activations: mem::take(&mut self.activations),
            state: self.state.take(),
        };
        if batch.is_empty() { Ok(()) } else { self.hand_on(Work::Load(batch)) }
    }

    fn hand_on(&self, work: Work) -> Result<(), LoaderGone> {
        self.works.blocking_send(work).map_err(|_| LoaderGone)
    }

    fn warn_of_replaced(&self) {
        for (stream, Stream { replaced, .. }) in &self.streams {
            if *replaced > 0 {
                tracing::warn!("stream {stream:?}: {replaced} characters that Postgres cannot store became U+FFFD");
            }
        }
    }
}
