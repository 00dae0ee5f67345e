//! What happens in a history's portal between and during syncs.

use std::time::Duration;

use hubspot_sandbox::PropertyDef;
use serde_json::json;

use super::History;
use crate::support::selected::OBJECTS;

impl History {
    /// Something happens in the portal.
    pub(super) fn event(&mut self) {
        let pause = match self.rng.u8(..10) {
            0 => 0,
            1..=7 => self.rng.u64(1..20_000),
            _ => self.rng.u64(20_000..900_000),
        };
        self.portal.advance(Duration::from_millis(pause));
        let kind = self.kind();
        let bump = self.rng.bool();
        match self.rng.u8(..24) {
            0..=2 => self.create(kind),
            3..=6 => self.update(kind),
            7 => self.update_silently(kind),
            8..=9 => self.archive(kind),
            10..=11 => self.restore(kind, bump),
            12..=13 => self.merge(kind, bump),
            14 => self.delete_forever(kind),
            15..=18 => self.associate(bump),
            19..=20 => self.dissociate(bump),
            21 => self.update_many(),
            22 => self.change_selection(),
            _ => self.change_definitions(),
        }
    }

    fn create(&mut self, kind: &'static str) {
        let values = self.values(kind);
        let values: Vec<_> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let id = self.portal.create(kind, &values);
        self.note(format!("create {kind} {id}"));
        self.members.get_mut(kind).expect("a type").live.push(id);
    }

    fn update(&mut self, kind: &'static str) {
        let (id, values) = (self.live(kind), self.values(kind));
        self.note(format!("update {kind} {id} {values:?}"));
        let values: Vec<_> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.portal.update(kind, id, &values);
        self.bumped(kind, id);
    }

    fn update_silently(&mut self, kind: &'static str) {
        let (id, values) = (self.live(kind), self.values(kind));
        self.note(format!("update silently {kind} {id} {values:?}"));
        let values: Vec<_> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.portal.update_silently(kind, id, &values);
        self.hidden(kind, id);
    }

    fn update_many(&mut self) {
        let many = self.rng.usize(10..100);
        let ids: Vec<u64> = (0..many).map(|_| self.live("tickets")).collect();
        let values = self.values("tickets");
        self.note(format!("update {many} tickets {values:?}"));
        let values: Vec<_> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.portal.update_many("tickets", &ids, &values);
        for id in ids {
            self.bumped("tickets", id);
        }
    }

    fn archive(&mut self, kind: &'static str) {
        let Some(id) = self.take(kind, false) else { return };
        self.note(format!("archive {kind} {id}"));
        self.portal.archive(kind, id);
        self.members.get_mut(kind).expect("a type").archived.push(id);
        if kind != "tickets" {
            self.hidden(kind, id);
        }
    }

    fn restore(&mut self, kind: &'static str, bump: bool) {
        let Some(id) = self.take(kind, true) else { return };
        self.note(format!("restore {kind} {id}, bump {bump}"));
        self.portal.restore(kind, id, bump);
        self.members.get_mut(kind).expect("a type").live.push(id);
        if bump { self.bumped(kind, id) } else { self.hidden(kind, id) }
    }

    fn merge(&mut self, kind: &'static str, into_new: bool) {
        let (Some(winner), Some(loser)) = (self.take(kind, false), self.take(kind, false)) else { return };
        let survivor = match into_new {
            true => self.portal.merge_into_new(kind, winner, loser),
            false => self.portal.merge(kind, winner, loser),
        };
        self.note(format!("merge {kind} {winner} and {loser} into {survivor}"));
        self.members.get_mut(kind).expect("a type").live.push(survivor);
        for gone in [winner, loser] {
            let moved: Vec<_> = self.links.iter().filter(|link| link.0 == gone || link.2 == gone).copied().collect();
            for (ticket, of, end) in moved {
                let link =
                    if kind == "tickets" && ticket == gone { (survivor, of, end) } else { (ticket, of, survivor) };
                self.links.insert(link);
            }
            if kind != "tickets" {
                self.hidden(kind, gone);
            }
        }
        self.bumped(kind, survivor);
    }

    fn delete_forever(&mut self, kind: &'static str) {
        let archived = self.rng.bool();
        let Some(id) = self.take(kind, archived) else { return };
        self.note(format!("delete {kind} {id} for ever"));
        self.hidden(kind, id);
        self.portal.delete_forever(kind, id);
    }

    fn associate(&mut self, bump: bool) {
        let (ticket, to) = (self.live("tickets"), OBJECTS[self.rng.usize(1..4)]);
        let end = self.live(to);
        let primary = to == "companies" && self.rng.bool();
        let (type_id, label) = match (primary, self.rng.u8(..4)) {
            (true, _) => (26, None),
            (_, 0) => (91, Some("Reporter")),
            (_, 1) => (93, Some("Payer")),
            _ => (0, None),
        };
        self.note(format!("associate {ticket} with {to} {end}, type {type_id}, bump {bump}"));
        self.portal.associate("tickets", ticket, to, end, type_id, label);
        self.links.insert((ticket, to, end));
        self.touch(ticket, bump);
    }

    fn dissociate(&mut self, bump: bool) {
        let links: Vec<_> = self.links.iter().copied().collect();
        let (ticket, to, end) = links[self.rng.usize(..links.len())];
        self.links.remove(&(ticket, to, end));
        self.note(format!("dissociate {ticket} from {to} {end}, bump {bump}"));
        self.portal.dissociate("tickets", ticket, to, end);
        self.touch(ticket, bump && self.members["tickets"].live.contains(&ticket));
    }

    fn touch(&mut self, ticket: u64, bump: bool) {
        if bump {
            self.portal.touch("tickets", ticket);
            self.bumped("tickets", ticket);
        } else {
            self.hidden("tickets", ticket);
        }
    }

    /// What is selected grows, mostly.
    fn change_selection(&mut self) {
        match self.rng.u8(..4) {
            0 => {
                self.tap.set("associations", json!(["contacts", "companies", "deals"]));
                self.catalog = None;
                self.note("associations with deals too".to_owned());
            }
            1 => {
                let there = self.streams.remove("ticket_associations");
                if !there {
                    self.streams.insert("ticket_associations");
                }
                self.note(format!("ticket_associations selected: {}", !there));
            }
            2 => {
                let column = ["subject", "refund_amount", "primary_company"][self.rng.usize(..3)];
                self.note(format!("{column} deselected"));
                self.deselected.insert(("tickets", column.to_owned()));
            }
            _ => {
                self.note(format!("selected again: {:?}", self.deselected));
                self.deselected.clear();
            }
        }
    }

    /// Properties come, and their types and labels change.
    fn change_definitions(&mut self) {
        self.catalog = None;
        let mut kinds = vec![("string", "text")];
        if self.sweeps {
            // Text that becomes a number is sent as a number from then on, in rows that are read.
            kinds.extend([("number", "number"), ("datetime", "date")]);
        }
        let (kind, field_type) = kinds[self.rng.usize(..kinds.len())];
        match self.rng.u8(..4) {
            0 => {
                let name = format!("extra_{}", self.rng.u16(..));
                self.note(format!("define {name}"));
                self.portal.define_property("tickets", PropertyDef::new(&name, "number", "number"));
            }
            1 => {
                self.note("relabel an association".to_owned());
                let (ticket, contact) = (self.live("tickets"), self.live("contacts"));
                let label = format!("Reporter {}", self.rng.u8(..));
                self.portal.associate("tickets", ticket, "contacts", contact, 91, Some(&label));
                self.links.insert((ticket, "contacts", contact));
                self.traceless.extend(self.links.iter().map(|(ticket, ..)| *ticket));
            }
            _ => {
                let name = ["refund_amount", "is_vip", "incident_started_at"][self.rng.usize(..3)];
                self.note(format!("{name} becomes {kind}"));
                self.portal.change_property_type("tickets", name, kind, field_type);
            }
        }
    }
}
