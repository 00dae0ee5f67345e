//! The portal: all records, definitions and associations, and the changes they can go through.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use fastrand::Rng;

use crate::association_store::{AssociationStore, AssociationTypeId};
use crate::clock::Millis;
use crate::object_type::ObjectType;
use crate::owners::Owner;
use crate::pipelines::Pipeline;
use crate::property_definitions::PropertyDefinitions;
use crate::property_values::PropertySlot;
use crate::record::{CrmRecord, RecordHeader, RecordState};
use crate::record_table::RecordTable;
use crate::unique_values::UniqueValues;

mod definitions;
mod lifecycle;
mod values;

#[derive(Debug)]
pub(crate) struct FakePortal {
    pub(crate) id: u64,
    pub(crate) tables: Vec<RecordTable>,
    pub(crate) properties: Vec<PropertyDefinitions>,
    pub(crate) pipelines: HashMap<ObjectType, Vec<Pipeline>>,
    pub(crate) owners: Vec<Owner>,
    pub(crate) associations: AssociationStore,
    pub(crate) unique: UniqueValues,
    pub(crate) deleted_schemas: BTreeSet<ObjectType>,
    pub(crate) rng: Rng,
    /// How far the search index is behind.
    pub(crate) lag: Millis,
    /// Rises with every change; rendered pages of an older one are stale.
    pub(crate) version: u64,
}

/// The message for a call that names a record or property that does not exist.
pub(crate) type ChangeError = String;

impl FakePortal {
    pub(crate) fn table(&self, kind: ObjectType) -> &RecordTable {
        &self.tables[kind.index()]
    }

    pub(crate) fn properties(&self, kind: ObjectType) -> &PropertyDefinitions {
        &self.properties[kind.index()]
    }

    pub(crate) fn pipelines(&self, kind: ObjectType) -> &[Pipeline] {
        self.pipelines.get(&kind).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn get(&self, kind: ObjectType, id: u64) -> Option<Arc<CrmRecord>> {
        self.table(kind).get(id)
    }

    pub(crate) fn head(&self, kind: ObjectType, id: u64) -> Option<RecordHeader> {
        self.table(kind).head_of(id)
    }

    /// The record that an id leads to after merges.
    pub(crate) fn resolve(&self, kind: ObjectType, id: u64) -> Option<Arc<CrmRecord>> {
        let mut record = self.get(kind, id)?;
        while let RecordState::Merged { into } = record.state {
            record = self.get(kind, into)?;
        }
        Some(record)
    }

    pub(crate) fn is_live(&self, kind: ObjectType, id: u64) -> bool {
        self.head(kind, id).is_some_and(|head| head.state == RecordState::Live)
    }

    pub(crate) fn existing(&self, kind: ObjectType, id: u64) -> Result<CrmRecord, ChangeError> {
        let record = self.get(kind, id).ok_or_else(|| format!("no {} {id}", kind.singular()))?;
        Ok(CrmRecord::clone(&record))
    }

    pub(crate) fn put(&mut self, kind: ObjectType, record: CrmRecord, now: Millis) {
        self.version += 1;
        let lag = self.lag;
        let old = self.tables[kind.index()].get(record.id);
        self.unique.put(kind, &self.properties[kind.index()], old.as_deref(), &record);
        self.tables[kind.index()].put(record, now, lag);
    }

    /// The live record that has a value of a unique property.
    pub(crate) fn holder(&self, kind: ObjectType, slot: PropertySlot, value: &str) -> Option<u64> {
        self.unique.holder(kind, slot, value)
    }

    /// Indexes the unique values of all stored records of a type again.
    pub(crate) fn index_unique(&mut self, kind: ObjectType) {
        let table = &self.tables[kind.index()];
        let held: Vec<Arc<CrmRecord>> = table.held_records().collect();
        for record in held {
            self.unique.put(kind, &self.properties[kind.index()], Some(&record), &record);
        }
    }

    /// Associates two records; `label` makes the type one of the portal's own.
    pub(crate) fn associate(
        &mut self,
        (kind, from): (ObjectType, u64),
        (to_kind, to): (ObjectType, u64),
        type_id: u32,
        label: Option<&str>,
    ) -> Result<(), ChangeError> {
        self.existing(kind, from)?;
        self.existing(to_kind, to)?;
        let key = AssociationTypeId { user_defined: label.is_some(), type_id };
        if let Some(label) = label {
            self.associations.define_label((kind, to_kind), type_id, label);
        }
        self.version += 1;
        self.associations.associate((kind, to_kind), from, to, Some(key).filter(|_| type_id > 0));
        Ok(())
    }

    pub(crate) fn dissociate(&mut self, (kind, from): (ObjectType, u64), (to_kind, to): (ObjectType, u64)) {
        self.version += 1;
        self.associations.dissociate((kind, to_kind), from, to);
    }
}
