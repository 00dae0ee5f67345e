//! The portal: all records, definitions and associations, and the changes they can go through.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use fastrand::Rng;

use crate::associations::{Associations, TypeKey};
use crate::clock::{Millis, instant_text, parse_instant};
use crate::object_type::ObjectType;
use crate::owners::Owner;
use crate::pipelines::{Pipeline, Stage};
use crate::properties::{Properties, PropertyDef};
use crate::record::{Record, Slot, Standing, Values, decode, json_text};
use crate::table::{Head, Table};
use crate::unique::UniqueValues;

#[derive(Debug)]
pub(crate) struct Portal {
    pub(crate) id: u64,
    pub(crate) tables: Vec<Table>,
    pub(crate) properties: Vec<Properties>,
    pub(crate) pipelines: HashMap<ObjectType, Vec<Pipeline>>,
    pub(crate) owners: Vec<Owner>,
    pub(crate) associations: Associations,
    pub(crate) unique: UniqueValues,
    pub(crate) rng: Rng,
    /// How far the search index is behind.
    pub(crate) lag: Millis,
    /// Rises with every change; rendered pages of an older one are stale.
    pub(crate) version: u64,
}

/// What a call that names an object or property the portal lacks is told.
pub(crate) type Refusal = String;

impl Portal {
    pub(crate) fn table(&self, kind: ObjectType) -> &Table {
        &self.tables[kind.index()]
    }

    pub(crate) fn properties(&self, kind: ObjectType) -> &Properties {
        &self.properties[kind.index()]
    }

    pub(crate) fn pipelines(&self, kind: ObjectType) -> &[Pipeline] {
        self.pipelines.get(&kind).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn get(&self, kind: ObjectType, id: u64) -> Option<Arc<Record>> {
        self.table(kind).get(id)
    }

    pub(crate) fn head(&self, kind: ObjectType, id: u64) -> Option<Head> {
        self.table(kind).head_of(id)
    }

    /// The record that an id stands for after merges.
    pub(crate) fn resolve(&self, kind: ObjectType, id: u64) -> Option<Arc<Record>> {
        let mut record = self.get(kind, id)?;
        while let Standing::Merged { into } = record.standing {
            record = self.get(kind, into)?;
        }
        Some(record)
    }

    pub(crate) fn is_live(&self, kind: ObjectType, id: u64) -> bool {
        self.head(kind, id).is_some_and(|head| head.standing == Standing::Live)
    }

    fn existing(&self, kind: ObjectType, id: u64) -> Result<Record, Refusal> {
        let record = self.get(kind, id).ok_or_else(|| format!("no {} {id}", kind.singular()))?;
        Ok(Record::clone(&record))
    }

    fn put(&mut self, kind: ObjectType, record: Record, now: Millis) {
        self.version += 1;
        let lag = self.lag;
        let old = self.tables[kind.index()].get(record.id);
        self.unique.put(kind, &self.properties[kind.index()], old.as_deref(), &record);
        self.tables[kind.index()].put(record, now, lag);
    }

    /// The live record that has a value of a unique property.
    pub(crate) fn holder(&self, kind: ObjectType, slot: Slot, value: &str) -> Option<u64> {
        self.unique.holder(kind, slot, value)
    }

    /// Learns the unique values of all held records of a type anew.
    pub(crate) fn index_unique(&mut self, kind: ObjectType) {
        let table = &self.tables[kind.index()];
        let held: Vec<Arc<Record>> = table.held_records().collect();
        for record in held {
            self.unique.put(kind, &self.properties[kind.index()], Some(&record), &record);
        }
    }

    /// Creates a record with a fresh id; names that HubSpot sets itself may be given too.
    pub(crate) fn create(&mut self, kind: ObjectType, values: &[(&str, &str)], now: Millis) -> Result<u64, Refusal> {
        let id = self.table(kind).last_id().max(1_000_000_000) + self.rng.u64(1..900);
        let mut record = Record { id, created: now, updated: now, standing: Standing::Live, values: Values::default() };
        if kind == ObjectType::Tickets {
            let first = &self.pipelines(kind)[0];
            let (pipeline, stage) = (first.id.clone(), first.stages[0].id.clone());
            let created = instant_text(now);
            for (name, value) in [
                ("hs_pipeline", pipeline.as_str()),
                ("hs_pipeline_stage", &stage),
                ("hs_createdate", &created),
                ("hs_helpdesk_sort_timestamp", &created),
                ("hs_last_message_from_visitor", "false"),
                ("hs_num_times_contacted", "0"),
                ("num_notes", "0"),
            ] {
                self.write(kind, &mut record, name, &json_text(value), now)?;
            }
        }
        self.write_all(kind, &mut record, values, now)?;
        self.put(kind, record, now);
        Ok(id)
    }

    /// Changes values; without `bump` the modified date stays, as when a calculated property changes.
    pub(crate) fn update(
        &mut self,
        kind: ObjectType,
        id: u64,
        values: &[(&str, &str)],
        bump: bool,
        now: Millis,
    ) -> Result<(), Refusal> {
        let mut record = self.existing(kind, id)?;
        if bump {
            record.updated = now;
        }
        self.write_all(kind, &mut record, values, now)?;
        self.put(kind, record, now);
        Ok(())
    }

    /// Sets a value to a JSON fragment that a Rust string cannot hold, such as `"\ud800"`.
    pub(crate) fn set_raw(
        &mut self,
        kind: ObjectType,
        id: u64,
        name: &str,
        fragment: &str,
        now: Millis,
    ) -> Result<(), Refusal> {
        let mut record = self.existing(kind, id)?;
        record.updated = now;
        self.write(kind, &mut record, name, fragment.as_bytes(), now)?;
        self.put(kind, record, now);
        Ok(())
    }

    fn write_all(
        &self,
        kind: ObjectType,
        record: &mut Record,
        values: &[(&str, &str)],
        now: Millis,
    ) -> Result<(), Refusal> {
        for (name, value) in values {
            match *name {
                "createdate" => record.created = instant(name, value)?,
                "hs_object_id" => {}
                _ if *name == kind.modified_property() => record.updated = instant(name, value)?,
                _ => {
                    let value = self.with_members(kind, record, name, value);
                    self.write(kind, record, name, &json_text(&value), now)?;
                }
            }
        }
        Ok(())
    }

    /// What a property of several options holds after a write: members behind a leading semicolon are added to those there.
    /// <https://developers.hubspot.com/docs/api-reference/latest/crm/properties/guide>
    fn with_members<'v>(&self, kind: ObjectType, record: &Record, name: &str, value: &'v str) -> Cow<'v, str> {
        let properties = self.properties(kind);
        let slot = properties.slot(name).filter(|slot| properties.def(*slot).field_type == "checkbox");
        let (Some(slot), Some(added)) = (slot, value.strip_prefix(';')) else { return Cow::Borrowed(value) };
        let there = record.values.get(slot).map(decode).unwrap_or_default();
        let mut members: Vec<&str> = Vec::new();
        for member in there.split(';').chain(added.split(';')).filter(|member| !member.is_empty()) {
            if !members.contains(&member) {
                members.push(member);
            }
        }
        Cow::Owned(members.join(";"))
    }

    fn write(
        &self,
        kind: ObjectType,
        record: &mut Record,
        name: &str,
        fragment: &[u8],
        now: Millis,
    ) -> Result<(), Refusal> {
        let properties = self.properties(kind);
        let slot =
            properties.slot(name).ok_or_else(|| format!("property {name} of {} is not defined", kind.plural()))?;
        let before = record.values.get(slot).map(<[u8]>::to_vec);
        record.values.set(slot, Some(fragment));
        let moved = before.as_deref() != Some(fragment);
        if name == "hs_pipeline_stage" && kind == ObjectType::Tickets && moved {
            self.enter_stage(record, before.as_deref(), fragment, now);
        }
        Ok(())
    }

    /// Keeps the dates that HubSpot derives from a ticket's stage.
    fn enter_stage(&self, record: &mut Record, left: Option<&[u8]>, entered: &[u8], now: Millis) {
        let at = instant_text(now);
        if let Some(stage) = left.map(decode) {
            self.derive(ObjectType::Tickets, record, &format!("hs_date_exited_{stage}"), &at);
            self.derive(ObjectType::Tickets, record, &format!("hs_v2_date_exited_{stage}"), &at);
        }
        let stage = decode(entered);
        self.derive(ObjectType::Tickets, record, &format!("hs_date_entered_{stage}"), &at);
        self.derive(ObjectType::Tickets, record, &format!("hs_v2_date_entered_{stage}"), &at);
        let mut stages = self.pipelines(ObjectType::Tickets).iter().filter_map(|p| p.stage(&stage));
        if stages.any(|stage| stage.closed) {
            self.derive(ObjectType::Tickets, record, "closed_date", &at);
            self.derive(ObjectType::Tickets, record, "time_to_close", &(now - record.created).to_string());
        }
    }

    /// Sets a property that the portal may lack.
    fn derive(&self, kind: ObjectType, record: &mut Record, name: &str, value: &str) {
        if let Some(slot) = self.properties(kind).slot(name) {
            record.values.set_text(slot, value);
        }
    }

    /// Moves a record to the recycle bin; its modified date stays.
    pub(crate) fn archive(&mut self, kind: ObjectType, id: u64, now: Millis) -> Result<(), Refusal> {
        let mut record = self.existing(kind, id)?;
        record.standing = Standing::Archived { at: now };
        self.put(kind, record, now);
        Ok(())
    }

    pub(crate) fn restore(&mut self, kind: ObjectType, id: u64, bump: bool, now: Millis) -> Result<(), Refusal> {
        let mut record = self.existing(kind, id)?;
        record.standing = Standing::Live;
        if bump {
            record.updated = now;
        }
        self.put(kind, record, now);
        Ok(())
    }

    /// Merges `loser` into `winner`, or both into a new record, and returns the id that survives.
    pub(crate) fn merge(
        &mut self,
        kind: ObjectType,
        winner: u64,
        loser: u64,
        new_id: bool,
        now: Millis,
    ) -> Result<u64, Refusal> {
        let mut kept = self.existing(kind, winner)?;
        let lost = self.existing(kind, loser)?;
        if winner == loser || !kept.is_live() || !lost.is_live() {
            return Err(format!("{winner} and {loser} are not two live {}", kind.plural()));
        }
        let slot = self.properties(kind).slot("hs_merged_object_ids");
        let mut merged: Vec<String> = Vec::new();
        if let Some(slot) = slot {
            for values in [&kept.values, &lost.values] {
                merged.extend(values.text(slot).filter(|text| !text.is_empty()));
            }
        }
        let survivor = if new_id { self.table(kind).last_id() + self.rng.u64(1..900) } else { winner };
        if new_id {
            merged.push(winner.to_string());
        }
        merged.push(loser.to_string());
        if let Some(slot) = slot {
            kept.values.set_text(slot, &merged.join(";"));
        }
        if kind == ObjectType::Contacts {
            let vids = merged.iter().map(|id| format!("{id}:{now}"));
            let vids = vids.collect::<Vec<_>>().join(";");
            self.derive(kind, &mut kept, "hs_calculated_merged_vids", &vids);
            self.keep_address(&mut kept, &lost);
        }
        kept.id = survivor;
        kept.updated = now;
        for id in [winner, loser].into_iter().filter(|id| *id != survivor) {
            let mut gone = self.existing(kind, id)?;
            gone.standing = Standing::Merged { into: survivor };
            self.associations.take_over(kind, survivor, id);
            self.put(kind, gone, now);
        }
        // Last, so that the addresses of those that are gone are free.
        self.put(kind, kept, now);
        Ok(survivor)
    }

    /// The address of a merged contact leads to the one that survives.
    fn keep_address(&self, kept: &mut Record, lost: &Record) {
        let properties = self.properties(ObjectType::Contacts);
        let text = |record: &Record, name: &str| properties.slot(name).and_then(|slot| record.values.text(slot));
        let known = text(kept, "hs_additional_emails").filter(|text| !text.is_empty());
        let further: Vec<String> = known.into_iter().chain(text(lost, "email")).collect();
        if !further.is_empty() {
            self.derive(ObjectType::Contacts, kept, "hs_additional_emails", &further.join(";"));
        }
    }

    pub(crate) fn delete_forever(&mut self, kind: ObjectType, id: u64, now: Millis) -> Result<(), Refusal> {
        let old = self.existing(kind, id)?;
        self.unique.remove(kind, &self.properties[kind.index()], &old);
        self.version += 1;
        let lag = self.lag;
        self.tables[kind.index()].delete(id, now, lag);
        self.associations.forget(kind, id);
        Ok(())
    }

    /// Associates two records; `label` makes the type one of the portal's own.
    pub(crate) fn associate(
        &mut self,
        (kind, from): (ObjectType, u64),
        (to_kind, to): (ObjectType, u64),
        type_id: u32,
        label: Option<&str>,
    ) -> Result<(), Refusal> {
        self.existing(kind, from)?;
        self.existing(to_kind, to)?;
        let key = TypeKey { user_defined: label.is_some(), type_id };
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

    /// Stamps a record as changed without changing it.
    pub(crate) fn touch(&mut self, kind: ObjectType, id: u64, now: Millis) -> Result<(), Refusal> {
        self.update(kind, id, &[], true, now)
    }

    pub(crate) fn define_property(&mut self, kind: ObjectType, mut def: PropertyDef, now: Millis) {
        self.version += 1;
        if def.group_name.is_empty() {
            def.group_name = format!("{}information", kind.singular());
        }
        def.created_at = def.created_at.or(Some(now));
        def.updated_at = Some(now);
        let unique = def.has_unique_value;
        self.properties[kind.index()].define(def);
        if unique {
            self.index_unique(kind);
        }
    }

    pub(crate) fn archive_property(&mut self, kind: ObjectType, name: &str, now: Millis) -> Result<(), Refusal> {
        self.version += 1;
        let archived = self.properties[kind.index()].archive(name, now);
        archived.then_some(()).ok_or_else(|| format!("property {name} is not defined"))
    }

    pub(crate) fn change_property(
        &mut self,
        kind: ObjectType,
        name: &str,
        now: Millis,
        change: impl FnOnce(&mut PropertyDef),
    ) -> Result<(), Refusal> {
        self.version += 1;
        let def = self.properties[kind.index()].named_mut(name);
        let def = def.ok_or_else(|| format!("property {name} is not defined"))?;
        change(def);
        def.updated_at = Some(now);
        Ok(())
    }

    pub(crate) fn rename_pipeline(
        &mut self,
        kind: ObjectType,
        id: &str,
        label: &str,
        now: Millis,
    ) -> Result<(), Refusal> {
        self.version += 1;
        let pipelines = self.pipelines.entry(kind).or_default();
        let pipeline = pipelines.iter_mut().find(|pipeline| pipeline.id == id);
        let pipeline = pipeline.ok_or_else(|| format!("no pipeline {id}"))?;
        label.clone_into(&mut pipeline.label);
        pipeline.updated = now;
        Ok(())
    }

    pub(crate) fn rename_stage(&mut self, kind: ObjectType, id: &str, label: &str, now: Millis) -> Result<(), Refusal> {
        self.version += 1;
        let stages = self.pipelines.entry(kind).or_default().iter_mut().flat_map(|p| &mut p.stages);
        let stage = stages.into_iter().find(|stage| stage.id == id);
        let stage = stage.ok_or_else(|| format!("no stage {id}"))?;
        label.clone_into(&mut stage.label);
        stage.updated = now;
        Ok(())
    }

    /// Adds a stage to a ticket pipeline, and with it the seven properties of a stage.
    pub(crate) fn add_stage(
        &mut self,
        pipeline_id: &str,
        id: &str,
        label: &str,
        closed: bool,
        now: Millis,
    ) -> Result<(), Refusal> {
        self.version += 1;
        let pipelines = self.pipelines.entry(ObjectType::Tickets).or_default();
        let pipeline = pipelines.iter_mut().find(|pipeline| pipeline.id == pipeline_id);
        let pipeline = pipeline.ok_or_else(|| format!("no pipeline {pipeline_id}"))?;
        let stage = Stage::new(id, label, closed, now);
        let pipeline_label = pipeline.label.clone();
        pipeline.stages.push(stage.clone());
        self.properties[ObjectType::Tickets.index()].define_stage(&stage, &pipeline_label, Some(now));
        Ok(())
    }
}

fn instant(name: &str, value: &str) -> Result<Millis, Refusal> {
    parse_instant(value).ok_or_else(|| format!("{name}: {value} is not an instant"))
}
