//! Archiving, restoring, merging and deleting records.

use crate::clock::Millis;
use crate::object_type::ObjectType;
use crate::portal::{ChangeError, FakePortal};
use crate::property_history::ChangeSource;
use crate::property_values::json_text;
use crate::record::{CrmRecord, RecordState};

impl FakePortal {
    /// Moves a record to the recycle bin; its modified date stays.
    pub(crate) fn archive(&mut self, kind: ObjectType, id: u64, now: Millis) -> Result<(), ChangeError> {
        let mut record = self.existing(kind, id)?;
        record.state = RecordState::Archived { at: now };
        self.put(kind, record, now);
        Ok(())
    }

    pub(crate) fn restore(&mut self, kind: ObjectType, id: u64, bump: bool, now: Millis) -> Result<(), ChangeError> {
        let mut record = self.existing(kind, id)?;
        record.state = RecordState::Live;
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
    ) -> Result<u64, ChangeError> {
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
            kept.set_value(kind, slot, &json_text(&merged.join(";")), now, ChangeSource::Merge);
        }
        if kind == ObjectType::Contacts {
            let vids = merged.iter().map(|id| format!("{id}:{now}"));
            let vids = vids.collect::<Vec<_>>().join(";");
            self.derive(kind, &mut kept, "hs_calculated_merged_vids", &vids, now);
            self.keep_address(&mut kept, &lost, now);
        }
        kept.id = survivor;
        kept.updated = now;
        for id in [winner, loser].into_iter().filter(|id| *id != survivor) {
            let mut gone = self.existing(kind, id)?;
            gone.state = RecordState::Merged { into: survivor };
            self.associations.move_to(kind, survivor, id);
            self.put(kind, gone, now);
        }
        // Last, so that the addresses of those that are gone are free.
        self.put(kind, kept, now);
        Ok(survivor)
    }

    /// The address of a merged contact leads to the one that survives.
    fn keep_address(&self, kept: &mut CrmRecord, lost: &CrmRecord, now: Millis) {
        let properties = self.properties(ObjectType::Contacts);
        let text = |record: &CrmRecord, name: &str| properties.slot(name).and_then(|slot| record.values.text(slot));
        let known = text(kept, "hs_additional_emails").filter(|text| !text.is_empty());
        let further: Vec<String> = known.into_iter().chain(text(lost, "email")).collect();
        if !further.is_empty() {
            self.derive(ObjectType::Contacts, kept, "hs_additional_emails", &further.join(";"), now);
        }
    }

    pub(crate) fn delete_forever(&mut self, kind: ObjectType, id: u64, now: Millis) -> Result<(), ChangeError> {
        let old = self.existing(kind, id)?;
        self.unique.remove(kind, &self.properties[kind.index()], &old);
        self.version += 1;
        let lag = self.lag;
        self.tables[kind.index()].delete(id, now, lag);
        self.associations.remove_all(kind, id);
        Ok(())
    }
}
