//! What extraction yields.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;

use crate::client::Buffer;
use crate::state::State;

/// What extraction yields. Order holds: a checkpoint covers what was yielded before it.
#[derive(Debug)]
pub enum Extracted {
    /// Records of one page.
    Records(Records),
    /// All records of a stream's version have been yielded; rows of older versions are gone.
    ActivateVersion {
        /// The stream.
        stream: &'static str,
        /// Its version.
        version: i64,
    },
    /// A state that is true once everything before it has arrived.
    Checkpoint(State),
}

/// Encoded records of one stream, of one page.
#[derive(Debug)]
pub struct Records {
    /// The stream.
    pub stream: &'static str,
    /// JSON objects without their closing part, one behind another.
    pub bodies: Buffer,
    /// Where each of `bodies` ends.
    pub ends: Vec<usize>,
    /// What closes each object: the columns that all records of the page share, and the brace.
    pub tail: Vec<u8>,
    /// The stream's version.
    pub version: i64,
    /// When the page was read, by HubSpot's clock.
    pub extracted_at: DateTime<Utc>,
}

impl Records {
    /// The beginnings of the objects, each to be followed by the tail.
    pub fn bodies(&self) -> impl Iterator<Item = &[u8]> {
        let mut begin = 0;
        self.ends.iter().map(move |end| &self.bodies[std::mem::replace(&mut begin, *end)..*end])
    }
}

/// Where extraction puts what it yields; bounded, so that a slow reader slows the reading.
pub type Sink = mpsc::Sender<Extracted>;

/// Numbers the pages of a run, from one on.
#[derive(Debug, Clone, Default)]
pub(crate) struct PageCounter(Arc<AtomicU64>);

impl PageCounter {
    pub(crate) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}
