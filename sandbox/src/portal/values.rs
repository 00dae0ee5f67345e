//! Writing the values of records.

use std::borrow::Cow;

use crate::clock::{Millis, instant_text, parse_instant};
use crate::object_type::ObjectType;
use crate::portal::{ChangeError, FakePortal};
use crate::property_history::{ChangeSource, PropertyHistory};
use crate::property_values::{PropertyValues, decode, json_text};
use crate::record::{CrmRecord, RecordState};

impl FakePortal {
    /// Creates a record with a fresh id; names that HubSpot sets itself may be given too.
    pub(crate) fn create(
        &mut self,
        kind: ObjectType,
        values: &[(&str, &str)],
        source: ChangeSource,
        now: Millis,
    ) -> Result<u64, ChangeError> {
        let id = self.table(kind).last_id().max(1_000_000_000) + self.rng.u64(1..900);
        let mut record = CrmRecord {
            id,
            created: now,
            updated: now,
            state: RecordState::Live,
            values: PropertyValues::default(),
            history: PropertyHistory::default(),
        };
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
                self.write(kind, &mut record, name, &json_text(value), (now, source))?;
            }
        }
        self.write_all(kind, &mut record, values, (now, source))?;
        self.put(kind, record, now);
        Ok(id)
    }

    /// Changes values; the modified date stays when a calculated property changes.
    pub(crate) fn update(
        &mut self,
        kind: ObjectType,
        id: u64,
        values: &[(&str, &str)],
        source: ChangeSource,
        now: Millis,
    ) -> Result<(), ChangeError> {
        let mut record = self.existing(kind, id)?;
        if source.moves_modified_date() {
            record.updated = now;
        }
        self.write_all(kind, &mut record, values, (now, source))?;
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
    ) -> Result<(), ChangeError> {
        let mut record = self.existing(kind, id)?;
        record.updated = now;
        self.write(kind, &mut record, name, fragment.as_bytes(), (now, ChangeSource::User))?;
        self.put(kind, record, now);
        Ok(())
    }

    fn write_all(
        &self,
        kind: ObjectType,
        record: &mut CrmRecord,
        values: &[(&str, &str)],
        change: (Millis, ChangeSource),
    ) -> Result<(), ChangeError> {
        for (name, value) in values {
            match *name {
                _ if *name == kind.created_property() => record.created = instant(name, value)?,
                "hs_object_id" => {}
                _ if *name == kind.modified_property() => record.updated = instant(name, value)?,
                _ => {
                    let value = self.with_members(kind, record, name, value);
                    self.write(kind, record, name, &json_text(&value), change)?;
                }
            }
        }
        Ok(())
    }

    /// The new value of a property with several options: options after a leading semicolon are added to the present ones.
    /// <https://developers.hubspot.com/docs/api-reference/latest/crm/properties/guide>
    fn with_members<'v>(&self, kind: ObjectType, record: &CrmRecord, name: &str, value: &'v str) -> Cow<'v, str> {
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
        record: &mut CrmRecord,
        name: &str,
        fragment: &[u8],
        (now, source): (Millis, ChangeSource),
    ) -> Result<(), ChangeError> {
        let properties = self.properties(kind);
        let slot =
            properties.slot(name).ok_or_else(|| format!("property {name} of {} is not defined", kind.plural()))?;
        let before = record.values.get(slot).map(<[u8]>::to_vec);
        record.set_value(kind, slot, fragment, now, source);
        let moved = before.as_deref() != Some(fragment);
        if name == "hs_pipeline_stage" && kind == ObjectType::Tickets && moved {
            self.enter_stage(record, before.as_deref(), fragment, now);
        }
        Ok(())
    }

    /// Keeps the dates that HubSpot derives from a ticket's stage.
    fn enter_stage(&self, record: &mut CrmRecord, left: Option<&[u8]>, entered: &[u8], now: Millis) {
        let at = instant_text(now);
        if let Some(stage) = left.map(decode) {
            self.derive(ObjectType::Tickets, record, &format!("hs_date_exited_{stage}"), &at, now);
            self.derive(ObjectType::Tickets, record, &format!("hs_v2_date_exited_{stage}"), &at, now);
        }
        let stage = decode(entered);
        self.derive(ObjectType::Tickets, record, &format!("hs_date_entered_{stage}"), &at, now);
        self.derive(ObjectType::Tickets, record, &format!("hs_v2_date_entered_{stage}"), &at, now);
        let mut stages = self.pipelines(ObjectType::Tickets).iter().filter_map(|p| p.stage(&stage));
        if stages.any(|stage| stage.closed) {
            self.derive(ObjectType::Tickets, record, "closed_date", &at, now);
            self.derive(ObjectType::Tickets, record, "time_to_close", &(now - record.created).to_string(), now);
        }
    }

    /// Sets a property that follows from others and that the portal may lack.
    pub(crate) fn derive(&self, kind: ObjectType, record: &mut CrmRecord, name: &str, value: &str, now: Millis) {
        if let Some(slot) = self.properties(kind).slot(name) {
            record.set_value(kind, slot, &json_text(value), now, ChangeSource::Calculated);
        }
    }

    /// Stamps a record as changed without changing it.
    pub(crate) fn touch(&mut self, kind: ObjectType, id: u64, now: Millis) -> Result<(), ChangeError> {
        self.update(kind, id, &[], ChangeSource::User, now)
    }
}

fn instant(name: &str, value: &str) -> Result<Millis, ChangeError> {
    parse_instant(value).ok_or_else(|| format!("{name}: {value} is not an instant"))
}
