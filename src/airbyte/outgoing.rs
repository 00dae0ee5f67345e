//! From what extraction yields to Airbyte's messages: records, a state for each stream, and each stream's status.

use serde_json::Value;

use super::message::{self, Descriptor, Status};
use super::state;
use crate::discovery::STREAMS;
use crate::extraction::Extracted;
use crate::state::State;

/// The configured streams, and where each stands.
#[derive(Debug)]
pub(super) struct Outgoing {
    streams: Vec<Standing>,
}

#[derive(Debug)]
struct Standing {
    descriptor: Descriptor,
    /// Streams of one group are read together, and groups one after another.
    group: usize,
    status: Status,
    /// Records since its last state.
    records: u64,
    /// Its last state; at first the one that came in.
    state: Option<Value>,
    /// Not everything of it was read, so that its table must stay.
    is_kept: bool,
}

impl Outgoing {
    /// Streams that nothing has been read of, in the order in which they are read; of those that are `kept`, not everything
    /// will be read.
    pub(super) fn new(streams: Vec<Descriptor>, kept: &[&str]) -> Self {
        let standing = |descriptor: Descriptor| Standing {
            is_kept: kept.contains(&descriptor.name),
            group: group(descriptor.name),
            descriptor,
            status: Status::Started,
            records: 0,
            state: None,
        };
        Self { streams: streams.into_iter().map(standing).collect() }
    }

    /// The lines before the first record.
    pub(super) fn preamble(&self, estimates: &[(&str, u64)]) -> Vec<u8> {
        let mut lines = Vec::new();
        for Standing { descriptor, .. } in &self.streams {
            lines.extend(message::line(&message::status(descriptor, Status::Started)));
            if let Some((_, rows)) = estimates.iter().find(|(stream, _)| *stream == descriptor.name) {
                lines.extend(message::line(&message::estimate(descriptor, *rows)));
            }
        }
        lines
    }

    /// Appends the messages of what was yielded.
    pub(super) fn encode(&mut self, yielded: &Extracted, lines: &mut Vec<u8>) {
        match yielded {
            Extracted::Records(records) => {
                self.complete_before(group(records.stream), lines);
                let Some(standing) = self.of(records.stream) else { return };
                if records.ends.is_empty() {
                    return;
                }
                message::encode_records(&standing.descriptor, records, lines);
                standing.records += u64::try_from(records.ends.len()).unwrap_or(u64::MAX);
                if standing.status == Status::Started {
                    standing.change(Status::Running, lines);
                }
            }
            // Airbyte knows no such thing: rows that are gone leave with a full refresh.
            Extracted::ActivateVersion { .. } => {}
            Extracted::Checkpoint(state) => self.encode_states(state, lines),
        }
    }

    /// A state of each stream that came further; each record is covered by the state of its stream that follows it.
    fn encode_states(&mut self, whole: &State, lines: &mut Vec<u8>) {
        let root = whole.value();
        let mut reached = None;
        for standing in &mut self.streams {
            let now = state::of_stream(root, standing.descriptor.name);
            let is_first = standing.state.is_none() && standing.records == 0;
            if is_first || (standing.state.as_ref() == Some(&now) && standing.records == 0) {
                standing.state = Some(now);
                continue;
            }
            lines.extend(message::line(&message::state(&standing.descriptor, &now, standing.records)));
            standing.records = 0;
            standing.state = Some(now);
            reached = reached.max(Some(standing.group));
        }
        if let Some(group) = reached {
            self.complete_before(group, lines);
        }
    }

    /// What stands before a group that is being read has been read to its end.
    fn complete_before(&mut self, group: usize, lines: &mut Vec<u8>) {
        for standing in self.streams.iter_mut().filter(|standing| standing.group < group) {
            standing.end(Status::Complete, lines);
        }
    }

    /// The last lines: how it ended for the streams that were not through; `is_read`: all but what is kept was read.
    pub(super) fn finish(&mut self, is_read: bool) -> Vec<u8> {
        let status = if is_read { Status::Complete } else { Status::Incomplete };
        let mut lines = Vec::new();
        for standing in &mut self.streams {
            standing.end(status, &mut lines);
        }
        lines
    }

    fn of(&mut self, stream: &str) -> Option<&mut Standing> {
        self.streams.iter_mut().find(|standing| standing.descriptor.name == stream)
    }
}

impl Standing {
    fn end(&mut self, status: Status, lines: &mut Vec<u8>) {
        if !matches!(self.status, Status::Complete | Status::Incomplete) {
            self.change(if self.is_kept { Status::Incomplete } else { status }, lines);
        }
    }

    fn change(&mut self, status: Status, lines: &mut Vec<u8>) {
        self.status = status;
        lines.extend(message::line(&message::status(&self.descriptor, status)));
    }
}

/// Where a stream stands in the order of reading.
fn group(stream: &str) -> usize {
    let stream = match stream {
        "ticket_associations" => "tickets",
        // It tells of all others, those of further object types included.
        "sync_audit" => return usize::MAX,
        other => other,
    };
    STREAMS.iter().position(|known| known.name == stream).unwrap_or(STREAMS.len())
}
