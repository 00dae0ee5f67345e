//! The records of one object type: stored ones, and those that the generator makes when they are read.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use crate::clock::Millis;
use crate::fixtures::generator::RecordGenerator;
use crate::record::{CrmRecord, RecordHeader, RecordState};

/// Records that the generator makes on demand until a change stores them.
#[derive(Clone, Debug)]
struct GeneratedRows {
    generator: Arc<RecordGenerator>,
    count: u64,
}

#[derive(Clone, Debug)]
pub(crate) enum TableRow {
    Stored(Arc<CrmRecord>),
    /// Index of a record that the generator makes.
    Generated(u64),
    Deleted,
}

/// The time of a change, and the record before it; `None` when it did not exist.
type PastVersion = (Millis, Option<Arc<CrmRecord>>);

#[derive(Debug, Default)]
pub(crate) struct RecordTable {
    base: Option<GeneratedRows>,
    /// `None` marks a record that was permanently deleted.
    held: BTreeMap<u64, Option<Arc<CrmRecord>>>,
    archived: BTreeSet<u64>,
    last_id: u64,
    /// Earlier versions of recently changed records, oldest first, for the lag of the search index.
    before: HashMap<u64, Vec<PastVersion>>,
    changes: VecDeque<(Millis, u64)>,
}

impl RecordTable {
    /// A table of `count` records that are made when they are read.
    pub(crate) fn generated(generator: Arc<RecordGenerator>, count: u64) -> Self {
        let archived = (0..count)
            .filter(|index| !matches!(generator.head(*index).state, RecordState::Live))
            .map(|index| generator.id(index))
            .collect();
        let last_id = count.checked_sub(1).map_or(0, |last| generator.id(last));
        Self { base: Some(GeneratedRows { generator, count }), archived, last_id, ..Self::default() }
    }

    pub(crate) fn get(&self, id: u64) -> Option<Arc<CrmRecord>> {
        match self.held.get(&id) {
            Some(held) => held.clone(),
            None => self.virtual_index(id).and_then(|index| self.load(&TableRow::Generated(index))),
        }
    }

    pub(crate) fn head_of(&self, id: u64) -> Option<RecordHeader> {
        match self.held.get(&id) {
            Some(held) => held.as_deref().map(CrmRecord::header),
            None => self.virtual_index(id).and_then(|index| self.head(&TableRow::Generated(index))),
        }
    }

    fn virtual_index(&self, id: u64) -> Option<u64> {
        let base = self.base.as_ref()?;
        base.generator.index(id).filter(|index| *index < base.count)
    }

    /// Puts a record in place; `lag` is how long the search index keeps seeing what was there.
    pub(crate) fn put(&mut self, record: CrmRecord, now: Millis, lag: Millis) {
        let id = record.id;
        self.remember(id, now, lag);
        self.last_id = self.last_id.max(id);
        if record.archived_at().is_some() {
            self.archived.insert(id);
        } else {
            self.archived.remove(&id);
        }
        self.held.insert(id, Some(Arc::new(record)));
    }

    pub(crate) fn delete(&mut self, id: u64, now: Millis, lag: Millis) {
        self.remember(id, now, lag);
        self.archived.remove(&id);
        self.held.insert(id, None);
    }

    fn remember(&mut self, id: u64, now: Millis, lag: Millis) {
        while self.changes.front().is_some_and(|(at, _)| *at <= now - lag) {
            let Some((at, changed)) = self.changes.pop_front() else {
                break;
            };
            if let Some(list) = self.before.get_mut(&changed) {
                list.retain(|(then, _)| *then > at);
                if list.is_empty() {
                    self.before.remove(&changed);
                }
            }
        }
        if lag > 0 {
            let old = self.get(id);
            self.before.entry(id).or_default().push((now, old));
            self.changes.push_back((now, id));
        }
    }

    /// The record as the search index sees it when it knows changes up to `horizon` only; `None`
    /// when it has not changed since, `Some(None)` when it did not exist yet.
    pub(crate) fn indexed(&self, id: u64, horizon: Millis) -> Option<Option<Arc<CrmRecord>>> {
        if self.before.is_empty() {
            return None;
        }
        let list = self.before.get(&id)?;
        let (_, old) = list.iter().find(|(at, _)| *at > horizon)?;
        Some(old.clone())
    }

    /// The records that are held, not those that are made on demand.
    pub(crate) fn held_records(&self) -> impl Iterator<Item = Arc<CrmRecord>> {
        self.held.values().flatten().cloned()
    }

    pub(crate) fn last_id(&self) -> u64 {
        self.last_id
    }

    /// Ids of archived records from `from` on.
    pub(crate) fn archived_from(&self, from: u64) -> impl Iterator<Item = u64> {
        self.archived.range(from..).copied()
    }

    /// All rows from `from` on, in ascending order of id.
    pub(crate) fn rows(&self, from: u64) -> impl Iterator<Item = (u64, TableRow)> {
        let (first, count) = match &self.base {
            Some(base) => (base.generator.index_from(from), base.count),
            None => (0, 0),
        };
        let last_virtual = self.base.as_ref().and_then(|base| Some(base.generator.id(count.checked_sub(1)?)));
        let start = match last_virtual {
            Some(last) if last >= from => Bound::Excluded(last),
            _ => Bound::Included(from),
        };
        let virtual_rows = (first..count).map(|index| self.virtual_row(index));
        let held = self.held.range((start, Bound::Unbounded)).map(|(id, held)| (*id, held_row(held.as_ref())));
        virtual_rows.chain(held)
    }

    fn virtual_row(&self, index: u64) -> (u64, TableRow) {
        let id = self.base.as_ref().map_or(0, |base| base.generator.id(index));
        if self.held.is_empty() {
            return (id, TableRow::Generated(index));
        }
        (id, self.held.get(&id).map_or(TableRow::Generated(index), |held| held_row(held.as_ref())))
    }

    pub(crate) fn head(&self, row: &TableRow) -> Option<RecordHeader> {
        match row {
            TableRow::Stored(record) => Some(record.header()),
            TableRow::Generated(index) => self.base.as_ref().map(|base| base.generator.head(*index)),
            TableRow::Deleted => None,
        }
    }

    pub(crate) fn load(&self, row: &TableRow) -> Option<Arc<CrmRecord>> {
        match row {
            TableRow::Stored(record) => Some(record.clone()),
            TableRow::Generated(index) => self.base.as_ref().map(|base| Arc::new(base.generator.record(*index))),
            TableRow::Deleted => None,
        }
    }
}

fn held_row(held: Option<&Arc<CrmRecord>>) -> TableRow {
    held.map_or(TableRow::Deleted, |record| TableRow::Stored(record.clone()))
}
