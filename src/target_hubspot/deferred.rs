//! Records that are deferred because what they refer to does not exist yet, and the later lines of the same records.
//!
//! A record is deferred until a line creates what it refers to, or until the input ends. What does not fit into memory goes to
//! temporary files, one for each type, and is deferred until the input ends.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::sync::Arc;

use super::desired::{DesiredRecord, SourceLine};
use super::identity::KeyHash;
use super::order::{ORDER, rank};
use super::plan::StreamPlan;
use super::record_index::BloomFilter;

/// Deferred records in memory, and the bytes of their lines.
const MAX_HELD: usize = 10_000;
const MAX_HELD_BYTES: usize = 16 << 20;

/// A deferred record.
#[derive(Debug)]
struct DeferredRecord {
    desired: DesiredRecord,
    /// The hashes that identify it: later lines with one of these are deferred, too.
    identity: Vec<KeyHash>,
    /// The records that it needs; empty: an earlier line of the same record is deferred, or it needs the end of the input.
    awaited: Vec<KeyHash>,
}

/// All deferred records.
#[derive(Debug, Default)]
pub(super) struct DeferredRecords {
    held: Vec<DeferredRecord>,
    bytes: usize,
    /// How many of the records in memory each hash identifies.
    identities: HashMap<KeyHash, usize>,
    awaited: HashMap<KeyHash, usize>,
    /// Records that now exist and that a record in memory needs.
    arrived: HashSet<KeyHash>,
    files: [Option<SpillFile>; ORDER.len()],
    /// The hashes that identify the records in the files.
    spilled: BloomFilter,
    plans: Vec<Arc<StreamPlan>>,
    first_spilled_line: Option<u64>,
}

/// Lines of deferred records of one type, in the order of the input.
#[derive(Debug)]
struct SpillFile {
    file: BufWriter<File>,
    records: u64,
}

/// A line that is read back.
#[derive(Debug)]
pub(super) struct SpilledLine {
    pub(super) plan: Arc<StreamPlan>,
    pub(super) source: SourceLine,
}

/// Reads the lines of a file back.
#[derive(Debug)]
pub(super) struct SpilledLines {
    file: BufReader<File>,
    left: u64,
    plans: Vec<Arc<StreamPlan>>,
}

impl DeferredRecords {
    /// Whether a record with this hash is deferred, so that a later line of it has to be deferred as well.
    pub(super) fn holds(&self, token: KeyHash) -> bool {
        self.identities.contains_key(&token) || self.spilled.holds(token)
    }

    /// How many lines are deferred.
    pub(super) fn lines(&self) -> u64 {
        let spilled: u64 = self.files.iter().flatten().map(|file| file.records).sum();
        self.held.len() as u64 + spilled
    }

    /// The number of the first deferred line.
    pub(super) fn first_line(&self) -> Option<u64> {
        let held = self.held.iter().map(|one| one.desired.source.line).min();
        [held, self.first_spilled_line].into_iter().flatten().min()
    }

    /// Defers a record.
    ///
    /// # Errors
    /// When the temporary file cannot be written.
    pub(super) fn add(
        &mut self,
        desired: DesiredRecord,
        identity: Vec<KeyHash>,
        awaited: Vec<KeyHash>,
    ) -> io::Result<()> {
        let full = self.held.len() >= MAX_HELD || self.bytes >= MAX_HELD_BYTES;
        // Lines of one record stay in order: behind one in a file they go to the file.
        if full || identity.iter().any(|token| self.spilled.holds(*token)) {
            return self.spill(&desired, &identity);
        }
        self.bytes += desired.source.text.len();
        for token in &identity {
            *self.identities.entry(*token).or_default() += 1;
        }
        for token in &awaited {
            *self.awaited.entry(*token).or_default() += 1;
        }
        self.held.push(DeferredRecord { desired, identity, awaited });
        Ok(())
    }

    fn spill(&mut self, desired: &DesiredRecord, identity: &[KeyHash]) -> io::Result<()> {
        for token in identity {
            self.spilled.insert(token);
        }
        let SourceLine { line, text } = &desired.source;
        self.first_spilled_line = Some(self.first_spilled_line.map_or(*line, |first| first.min(*line)));
        let plan = self.plans.iter().position(|plan| Arc::ptr_eq(plan, &desired.plan)).unwrap_or_else(|| {
            self.plans.push(desired.plan.clone());
            self.plans.len() - 1
        });
        let of_type = &mut self.files[rank(&desired.plan.object_type)];
        if of_type.is_none() {
            *of_type = Some(SpillFile { file: BufWriter::new(tempfile::tempfile()?), records: 0 });
        }
        let Some(SpillFile { file, records }) = of_type else { return Ok(()) };
        *records += 1;
        for number in [*line, plan as u64, text.len() as u64] {
            file.write_all(&number.to_be_bytes())?;
        }
        file.write_all(text.as_bytes())
    }

    /// Notes that a record now exists.
    pub(super) fn arrive(&mut self, token: KeyHash) {
        if self.awaited.contains_key(&token) {
            self.arrived.insert(token);
        }
    }

    /// Takes out the records in memory of one type whose needed records now exist, and the later lines of the same
    /// records.
    pub(super) fn take_ready(&mut self, rank_of_type: usize) -> Vec<DesiredRecord> {
        if self.arrived.is_empty() {
            return Vec::new();
        }
        let arrived = std::mem::take(&mut self.arrived);
        let of_type = |one: &DeferredRecord| rank(&one.desired.plan.object_type) == rank_of_type;
        let mut woken: HashSet<KeyHash> = HashSet::new();
        let mut taken = vec![false; self.held.len()];
        for (one, taken) in self.held.iter().zip(&mut taken).filter(|(one, _)| of_type(one)) {
            *taken = one.awaited.iter().any(|token| arrived.contains(token));
            if *taken {
                woken.extend(&one.identity);
            }
        }
        for (one, taken) in self.held.iter().zip(&mut taken).filter(|(one, _)| of_type(one)) {
            if one.identity.iter().any(|token| woken.contains(token)) {
                *taken = true;
                woken.extend(&one.identity);
            }
        }
        // Other types still have to be checked against it.
        self.arrived = arrived;
        self.take_out(&taken)
    }

    /// Clears the records that now exist, once each type was checked against them.
    pub(super) fn forget_arrived(&mut self) {
        self.arrived.clear();
    }

    /// Takes out all records in memory of one type.
    pub(super) fn take_all(&mut self, rank_of_type: usize) -> Vec<DesiredRecord> {
        let taken: Vec<bool> =
            self.held.iter().map(|one| rank(&one.desired.plan.object_type) == rank_of_type).collect();
        self.take_out(&taken)
    }

    fn take_out(&mut self, taken: &[bool]) -> Vec<DesiredRecord> {
        let mut out = Vec::new();
        let mut kept = Vec::with_capacity(self.held.len());
        for (one, taken) in std::mem::take(&mut self.held).into_iter().zip(taken) {
            if !taken {
                kept.push(one);
                continue;
            }
            self.bytes -= one.desired.source.text.len();
            for token in &one.identity {
                release(&mut self.identities, *token);
            }
            for token in &one.awaited {
                release(&mut self.awaited, *token);
            }
            out.push(one.desired);
        }
        self.held = kept;
        out
    }

    /// Takes the file of one type, to read it back from its beginning.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn take_spilled(&mut self, rank_of_type: usize) -> io::Result<Option<SpilledLines>> {
        let Some(SpillFile { file, records }) = self.files[rank_of_type].take() else { return Ok(None) };
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok(Some(SpilledLines { file: BufReader::new(file), left: records, plans: self.plans.clone() }))
    }

    /// Forgets what was in files, once all of it is delivered.
    pub(super) fn forget_spilled(&mut self) {
        self.spilled = BloomFilter::default();
        self.first_spilled_line = None;
    }
}

impl SpilledLines {
    /// The next line; none at the end.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn next(&mut self) -> io::Result<Option<SpilledLine>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let (line, plan, length) = (self.number()?, self.number()?, self.number()?);
        let mut text = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.file.read_exact(&mut text)?;
        let text = String::from_utf8(text).map_err(io::Error::other)?;
        let plan = usize::try_from(plan).ok().and_then(|plan| self.plans.get(plan).cloned());
        let plan = plan.ok_or_else(|| io::Error::other("the temporary file was changed by somebody else"))?;
        Ok(Some(SpilledLine { plan, source: SourceLine { line, text } }))
    }

    fn number(&mut self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.file.read_exact(&mut bytes)?;
        Ok(u64::from_be_bytes(bytes))
    }
}

fn release(counts: &mut HashMap<KeyHash, usize>, token: KeyHash) {
    if let Some(count) = counts.get_mut(&token) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&token);
        }
    }
}
