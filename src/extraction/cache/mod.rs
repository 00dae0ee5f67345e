//! The row cache: a small hash of each row that the target has, so that a sweep sends only what changed and knows what is
//! gone.
//!
//! An entry is as good as the checkpoint that covers it. A run trusts entries up to the checkpoint that its state names:
//! what was written later may never have arrived, and is permanently invalidated, since later states will name later checkpoints.
//! The file is never behind a state that was yielded: a row that the target has and the cache has not would never be removed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

pub(crate) mod entry;
pub(crate) mod error;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use crate::client::ObjectId;
use crate::extraction::cache::entry::{CacheEntry, CachedRow, INVALID};
use crate::extraction::cache::error::CacheError;
use crate::state::CacheMark;

/// Entries by stream and id.
const ROWS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("rows");
/// `portal`, `checkpoint` (the last one), and of each stream the fingerprint of its selection, under `STREAM.id` which
/// filling of the cache its entries belong to, and under `STREAM.last` the last checkpoint of an entry.
const MARKS: TableDefinition<'_, &str, u64> = TableDefinition::new("marks");

/// An open cache.
#[derive(Debug)]
pub struct Cache {
    path: PathBuf,
    rows: Database,
    /// The checkpoint that covers what is written now.
    next: AtomicU64,
    /// The first checkpoint of this run.
    first_checkpoint: AtomicU64,
    /// Which filling each stream's entries belong to.
    generations: Mutex<BTreeMap<&'static str, u64>>,
    /// The first write that failed for want of room.
    full: OnceLock<String>,
    /// Written and not yet in the file.
    pending: Mutex<BTreeMap<(&'static str, ObjectId), CacheEntry>>,
}

/// The cache as one stream uses it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CacheView {
    /// The checkpoint that the state names.
    covered_to: u64,
    /// The first checkpoint of this run.
    first_checkpoint: u64,
    /// Rows are held against the cache, which has all that the target has; otherwise it is being filled.
    pub(crate) diffing: bool,
}

impl Cache {
    /// Opens or makes the cache of a portal.
    ///
    /// # Errors
    /// When the file is no cache, another portal's, or held by another run.
    pub fn open(path: &Path, portal: u64) -> Result<Self, CacheError> {
        let failed = |reason: String| CacheError { path: path.to_owned(), reason, full: false };
        let rows = Database::create(path).map_err(|error| CacheError::of(path, &error.into()))?;
        let cache = Self {
            path: path.to_owned(),
            rows,
            next: AtomicU64::new(1),
            first_checkpoint: AtomicU64::new(1),
            generations: Mutex::default(),
            full: OnceLock::new(),
            pending: Mutex::default(),
        };
        match cache.mark("portal")? {
            Some(of) if of != portal => return Err(failed(format!("it belongs to portal {of}, not {portal}"))),
            Some(_) => {}
            None => cache.set_marks(&[("portal", portal)])?,
        }
        let first_checkpoint = cache.mark("checkpoint")?.unwrap_or(0) + 1;
        cache.first_checkpoint.store(first_checkpoint, Ordering::Relaxed);
        cache.next.store(first_checkpoint, Ordering::Relaxed);
        Ok(cache)
    }

    /// How far a stream's entries can be trusted: as the state's mark says, if it is of this file and the selection is the
    /// one that the entries were made of; otherwise the stream's entries are dropped, and the cache is filled again.
    pub(crate) fn view(
        &self,
        stream: &'static str,
        mark: Option<&CacheMark>,
        fingerprint: u64,
    ) -> Result<CacheView, CacheError> {
        let id_name = format!("{stream}.id");
        let id = self.mark(&id_name)?;
        let mark = mark.filter(|mark| Some(mark.id) == id);
        if let Some(mark) = mark {
            // The state can be ahead of a file whose last commits were lost.
            self.first_checkpoint.fetch_max(mark.checkpoint + 1, Ordering::Relaxed);
            self.next.fetch_max(mark.checkpoint + 1, Ordering::Relaxed);
        }
        let same_selection = self.mark(stream)? == Some(fingerprint);
        // An old copy of the file does not have all that the target has.
        let last = self.mark("checkpoint")?.unwrap_or(0);
        let mark = mark.filter(|mark| mark.checkpoint <= last);
        let id = id.unwrap_or_else(|| fastrand::u64(1..1 << 53));
        match mark.filter(|_| same_selection) {
            Some(mark) => {
                self.generations().insert(stream, id);
                if self.mark(&last_name(stream))?.is_some_and(|last| last > mark.checkpoint) {
                    self.invalidate_after(stream, mark.checkpoint)?;
                }
                let first_checkpoint = self.first_checkpoint.load(Ordering::Relaxed);
                Ok(CacheView { covered_to: mark.checkpoint, first_checkpoint, diffing: mark.complete })
            }
            None => {
                // No state that named the old entries may trust the new ones.
                let id = id.wrapping_add(1);
                self.empty(stream, &[(stream, fingerprint), (&id_name, id)])?;
                self.generations().insert(stream, id);
                Ok(CacheView {
                    covered_to: 0,
                    first_checkpoint: self.first_checkpoint.load(Ordering::Relaxed),
                    diffing: false,
                })
            }
        }
    }

    /// Which filling of the cache a stream's entries belong to.
    pub(crate) fn generation(&self, stream: &str) -> Option<u64> {
        self.generations().get(stream).copied()
    }

    /// The mark of the next checkpoint, for the state that is written with it.
    pub(crate) fn next_mark(&self, stream: &str, complete: bool) -> CacheMark {
        let id = self.generation(stream).unwrap_or(0);
        let next = self.next.load(Ordering::Relaxed);
        CacheMark { id, checkpoint: if self.pending().is_empty() { next - 1 } else { next }, complete }
    }

    /// Remembers what was yielded of a row.
    pub(crate) fn put(&self, stream: &'static str, id: ObjectId, entry: CacheEntry) {
        self.pending().insert((stream, id), entry);
    }

    /// Puts what was yielded so far into the file, under the next checkpoint, before the state that names it is yielded.
    pub(crate) fn commit(&self) -> Result<(), CacheError> {
        if self.pending().is_empty() {
            return Ok(());
        }
        let checkpoint = self.next.load(Ordering::Relaxed);
        let pending = std::mem::take(&mut *self.pending());
        let write = || -> Result<(), redb::Error> {
            let transaction = self.rows.begin_write()?;
            {
                let mut rows = transaction.open_table(ROWS)?;
                for ((stream, id), entry) in &pending {
                    rows.insert((*stream, id.0), entry.encode(checkpoint).as_slice())?;
                }
                let mut marks = transaction.open_table(MARKS)?;
                marks.insert("checkpoint", checkpoint)?;
                let streams: BTreeSet<&str> = pending.keys().map(|(stream, _)| *stream).collect();
                for stream in streams {
                    marks.insert(last_name(stream).as_str(), checkpoint)?;
                }
            }
            Ok(transaction.commit()?)
        };
        write().map_err(|error| self.failed(&error))?;
        self.next.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// What is known of some ids.
    pub(crate) fn get(
        &self,
        stream: &'static str,
        ids: impl IntoIterator<Item = ObjectId>,
        cache_view: CacheView,
    ) -> Result<BTreeMap<ObjectId, CachedRow>, CacheError> {
        let ids: Vec<ObjectId> = ids.into_iter().collect();
        let mut found = self.read(|rows| {
            let mut found = BTreeMap::new();
            for id in &ids {
                let entry = rows.get((stream, id.0))?.and_then(|bytes| CacheEntry::decode(bytes.value()));
                found.extend(entry.map(|entry| (*id, cache_view.known(entry))));
            }
            Ok(found)
        })?;
        let pending = self.pending();
        let pending = ids.iter().filter_map(|id| Some((*id, pending.get(&(stream, *id))?.clone())));
        found.extend(pending.map(|(id, entry)| (id, CachedRow { entry, trusted: cache_view.diffing, covered: false })));
        Ok(found)
    }

    /// All entries in a range of ids that are not known to be gone; also those that are not trusted, since the target may
    /// have their rows.
    pub(crate) fn range(
        &self,
        stream: &'static str,
        ids: RangeInclusive<u64>,
        cache_view: CacheView,
    ) -> Result<BTreeMap<ObjectId, CacheEntry>, CacheError> {
        let mut found = self.read(|rows| {
            let mut found = BTreeMap::new();
            for row in rows.range((stream, *ids.start())..=(stream, *ids.end()))? {
                let (key, bytes) = row?;
                let entry = CacheEntry::decode(bytes.value());
                let there = entry.filter(|entry| !(entry.gone && cache_view.covers(entry)));
                found.extend(there.map(|entry| (ObjectId(key.value().1), entry)));
            }
            Ok(found)
        })?;
        let pending = self.pending();
        for ((_, id), entry) in pending.range((stream, ObjectId(*ids.start()))..=(stream, ObjectId(*ids.end()))) {
            match entry.gone {
                true => drop(found.remove(id)),
                false => drop(found.insert(*id, entry.clone())),
            }
        }
        Ok(found)
    }

    /// Doubts all entries of a stream behind a checkpoint.
    fn invalidate_after(&self, stream: &'static str, behind: u64) -> Result<(), CacheError> {
        let invalidate_after = || -> Result<(), redb::Error> {
            let transaction = self.rows.begin_write()?;
            {
                let mut rows = transaction.open_table(ROWS)?;
                let mut invalidated = Vec::new();
                for row in rows.range((stream, 0)..=(stream, u64::MAX))? {
                    let (key, bytes) = row?;
                    let entry = CacheEntry::decode(bytes.value()).filter(|entry| entry.checkpoint > behind);
                    invalidated.extend(entry.map(|entry| (key.value().1, entry.encode(INVALID))));
                }
                for (id, entry) in invalidated {
                    rows.insert((stream, id), entry.as_slice())?;
                }
                transaction.open_table(MARKS)?.insert(last_name(stream).as_str(), behind)?;
            }
            Ok(transaction.commit()?)
        };
        invalidate_after().map_err(|error| self.failed(&error))
    }

    /// Forgets all entries of a stream and sets marks, at once: a kill between would leave an empty cache that is trusted.
    fn empty(&self, stream: &'static str, new_marks: &[(&str, u64)]) -> Result<(), CacheError> {
        self.pending().retain(|(of, _), _| *of != stream);
        let empty = || -> Result<(), redb::Error> {
            let transaction = self.rows.begin_write()?;
            transaction.open_table(ROWS)?.retain_in((stream, 0)..=(stream, u64::MAX), |_, _| false)?;
            {
                let mut marks = transaction.open_table(MARKS)?;
                for (name, mark) in new_marks {
                    marks.insert(*name, *mark)?;
                }
            }
            Ok(transaction.commit()?)
        };
        empty().map_err(|error| self.failed(&error))
    }

    fn read<T>(
        &self,
        with: impl FnOnce(&redb::ReadOnlyTable<(&'static str, u64), &'static [u8]>) -> Result<T, redb::Error>,
    ) -> Result<T, CacheError>
    where
        T: Default,
    {
        let read = || -> Result<T, redb::Error> {
            match self.rows.begin_read()?.open_table(ROWS) {
                Ok(rows) => with(&rows),
                Err(redb::TableError::TableDoesNotExist(_)) => Ok(T::default()),
                Err(error) => Err(error.into()),
            }
        };
        read().map_err(|error| self.failed(&error))
    }

    fn mark(&self, name: &str) -> Result<Option<u64>, CacheError> {
        let read = || -> Result<Option<u64>, redb::Error> {
            match self.rows.begin_read()?.open_table(MARKS) {
                Ok(marks) => Ok(marks.get(name)?.map(|mark| mark.value())),
                Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
                Err(error) => Err(error.into()),
            }
        };
        read().map_err(|error| self.failed(&error))
    }

    fn set_marks(&self, marks: &[(&str, u64)]) -> Result<(), CacheError> {
        let write = || -> Result<(), redb::Error> {
            let transaction = self.rows.begin_write()?;
            {
                let mut table = transaction.open_table(MARKS)?;
                for (name, mark) in marks {
                    table.insert(*name, *mark)?;
                }
            }
            Ok(transaction.commit()?)
        };
        write().map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &redb::Error) -> CacheError {
        let error = CacheError::of(&self.path, error);
        if error.full {
            let _ = self.full.set(error.reason.clone());
        }
        // Behind a failed write the file refuses everything, without saying why.
        match self.full.get() {
            Some(reason) => CacheError { reason: reason.clone(), full: true, ..error },
            None => error,
        }
    }

    fn generations(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pending(&self) -> MutexGuard<'_, BTreeMap<(&'static str, ObjectId), CacheEntry>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CacheView {
    /// The same trust, with or without holding rows against the cache.
    pub(crate) fn with_diffing(self, diffing: bool) -> Self {
        Self { diffing, ..self }
    }

    /// What this run wrote arrives before what it writes later; what the state covers has arrived.
    fn covers(self, entry: &CacheEntry) -> bool {
        entry.checkpoint != INVALID
            && (entry.checkpoint <= self.covered_to || entry.checkpoint >= self.first_checkpoint)
    }

    fn known(self, entry: CacheEntry) -> CachedRow {
        CachedRow { trusted: self.diffing && self.covers(&entry), covered: entry.checkpoint <= self.covered_to, entry }
    }
}

fn last_name(stream: &str) -> String {
    format!("{stream}.last")
}

#[cfg(test)]
mod tests;
