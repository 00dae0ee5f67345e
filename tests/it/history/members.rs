//! The records of a history's portal, by type: which there are, and what hides their changes.

use serde_json::Value;

use super::History;
use crate::support::selected::OBJECTS;

/// Ids of one object type.
#[derive(Debug, Default)]
pub(super) struct Members {
    pub(super) live: Vec<u64>,
    pub(super) archived: Vec<u64>,
}

impl History {
    pub(super) fn take_stock(&mut self) {
        let truth = self.portal.truth();
        for kind in OBJECTS {
            let members = self.members.entry(kind).or_default();
            for record in truth.list(kind).iter().filter(|record| record["merged_into"].is_null()) {
                match record["archived"] == true {
                    false => members.live.push(number(&record["id"])),
                    true if kind == "tickets" => members.archived.push(number(&record["id"])),
                    // The truth does not tell which tickets would show them again.
                    true => {}
                }
            }
        }
        for ticket in truth.list("tickets") {
            for kind in &OBJECTS[1..] {
                let ends = ticket["associations"][*kind].as_array().expect("associations");
                self.links.extend(ends.iter().map(|end| (number(&ticket["id"]), *kind, number(&end["id"]))));
            }
        }
    }

    pub(super) fn note(&mut self, event: String) {
        self.log.push(format!("{} {event}", self.portal.now().format("%T%.3f")));
    }

    pub(super) fn live(&mut self, kind: &'static str) -> u64 {
        let at = self.pick(kind, false);
        self.members[kind].live[at]
    }

    /// Where a record stands among those of its type: one of the latest, often, since trouble comes of several changes
    /// to one record.
    pub(super) fn pick(&mut self, kind: &'static str, archived: bool) -> usize {
        let members = self.members.get_mut(kind).expect("a type");
        let from = if archived { &mut members.archived } else { &mut members.live };
        let latest = from.len().saturating_sub(5);
        let at = if self.rng.bool() { self.rng.usize(latest..from.len()) } else { self.rng.usize(..from.len()) };
        let id = from.remove(at);
        from.push(id);
        from.len() - 1
    }

    pub(super) fn take(&mut self, kind: &'static str, archived: bool) -> Option<u64> {
        let count = |members: &Members| if archived { members.archived.len() } else { members.live.len() };
        if count(&self.members[kind]) < if archived { 1 } else { 8 } {
            return None;
        }
        let at = self.pick(kind, archived);
        let members = self.members.get_mut(kind).expect("a type");
        Some(if archived { members.archived.remove(at) } else { members.live.remove(at) })
    }

    pub(super) fn kind(&mut self) -> &'static str {
        if self.rng.u8(..4) > 0 { "tickets" } else { OBJECTS[self.rng.usize(..4)] }
    }

    /// A ticket's modified date moved: whatever was hidden is read with it.
    pub(super) fn bumped(&mut self, kind: &str, id: u64) {
        match kind {
            "tickets" => drop(self.traceless.remove(&id)),
            // What tickets show of it changes without a trace.
            _ => self.hide_tickets_of(kind, id),
        }
    }

    pub(super) fn hidden(&mut self, kind: &str, id: u64) {
        match kind {
            "tickets" => drop(self.traceless.insert(id)),
            _ => self.hide_tickets_of(kind, id),
        }
    }

    fn hide_tickets_of(&mut self, kind: &str, id: u64) {
        let of_it = self.links.iter().filter(|(_, of, end)| *of == kind && *end == id);
        self.traceless.extend(of_it.map(|(ticket, ..)| *ticket));
    }

    /// Some values that records of a type can take.
    pub(super) fn values(&mut self, kind: &str) -> Vec<(&'static str, String)> {
        let number = self.rng.u32(..).to_string();
        let text = format!("text {number}");
        match kind {
            "tickets" => match self.rng.u8(..5) {
                0 => vec![("subject", text)],
                1 => vec![("content", String::new()), ("refund_amount", format!("{number}.50"))],
                2 => vec![("hs_pipeline_stage", self.rng.u8(1..5).to_string())],
                3 => vec![("is_vip", ["true", "no", "perhaps"][self.rng.usize(..3)].to_owned())],
                _ => vec![("refund_amount", ["soon", "007", ""][self.rng.usize(..3)].to_owned()), ("subject", text)],
            },
            "contacts" => vec![("firstname", text)],
            "companies" => vec![("name", text)],
            _ => vec![("dealname", text)],
        }
    }
}

fn number(id: &Value) -> u64 {
    id.as_str().and_then(|id| id.parse().ok()).expect("an id")
}
