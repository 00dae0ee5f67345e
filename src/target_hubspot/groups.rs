//! Groups of lines of one record, in the order of the input.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::identity::{KeyHash, folded};
use super::matching::{Lookup, StoredRecord};
use super::plan::{MatchBy, StreamPlan};
use super::record_index::lookup_key;
use super::rejection::Rejection;
use super::resolved_line::{AssociationLink, ResolvedLine};
use crate::client::{ObjectId, ObjectType};

/// A property whose value moves in one direction only, so that two values written after one another and the second one
/// alone differ.
pub(super) const ONE_WAY: &str = "lifecyclestage";

/// A record with all its lines.
#[derive(Debug)]
pub(super) struct RecordGroup {
    pub(super) plan: Arc<StreamPlan>,
    /// The lines, the first one first.
    pub(super) lines: Vec<ResolvedLine>,
    /// The values of all lines together; the last line's value of each property.
    pub(super) properties: BTreeMap<String, String>,
    pub(super) links: Vec<AssociationLink>,
    /// The record as it is in the portal.
    pub(super) stored: Option<StoredRecord>,
    /// The key of a new record whose usual key belongs to another record.
    other_key: Option<String>,
}

/// What can be written at once, and what cannot.
#[derive(Debug, Default)]
pub(super) struct Wave {
    pub(super) groups: Vec<RecordGroup>,
    pub(super) refused: Vec<(ResolvedLine, Rejection)>,
    /// Lines that can only be judged once this wave is written.
    pub(super) later: Vec<ResolvedLine>,
}

/// The hashes of a line by which records and lines are told apart.
#[derive(Debug, Default)]
pub(super) struct LineHashes {
    /// What identifies its record. A deal whose contact does not exist yet is identified by the line's reference to it.
    pub(super) identity: Vec<KeyHash>,
    /// Values that no other record can have.
    pub(super) claims: Vec<KeyHash>,
    /// Such values that its record has in the portal and that the line changes: another record can have them afterwards.
    pub(super) freed: Vec<KeyHash>,
    /// What lines of other streams find the written record by.
    pub(super) names: Vec<KeyHash>,
}

impl LineHashes {
    pub(super) fn of(ready: &ResolvedLine, found: &Lookup) -> Self {
        let desired = &ready.desired;
        let of = &desired.plan.object_type;
        let mut hashes = Self { identity: identity(ready, found), ..Self::default() };
        let stored = match found {
            Lookup::Found(stored) => Some(stored),
            _ => None,
        };
        for (name, value) in &desired.properties {
            if !desired.plan.definitions.by_name.get(name).is_some_and(|definition| definition.unique) {
                continue;
            }
            let new = folded(value);
            let old = stored.and_then(|stored| stored.properties.get(name)).and_then(Option::as_deref).map(folded);
            let of_value = |value: &str| KeyHash::of_value(of, name, value);
            hashes.freed.extend(old.filter(|old| !old.is_empty() && *old != new).map(|old| of_value(&old)));
            hashes.claims.extend((!new.is_empty()).then(|| of_value(&new)));
        }
        let value =
            |name: &str| desired.properties.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
        match (of.as_str(), &desired.plan.match_by) {
            ("deals", MatchBy::DealName) | ("companies", MatchBy::CompanyDomain(_)) => {}
            ("deals", _) => {
                hashes.names.extend(value("dealname").into_iter().flat_map(|name| deal_hashes(ready, name)))
            }
            ("companies", _) => {
                hashes.names.extend(value("domain").map(|domain| KeyHash::of_value(of, "domain", &folded(domain))));
            }
            _ => {}
        }
        hashes
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &KeyHash> {
        self.identity.iter().chain(&self.claims).chain(&self.freed).chain(&self.names)
    }
}

fn identity(ready: &ResolvedLine, found: &Lookup) -> Vec<KeyHash> {
    let desired = &ready.desired;
    let of = &desired.plan.object_type;
    let Some(key) = desired.key.as_deref() else { return Vec::new() };
    let mut hashes = match &desired.plan.match_by {
        MatchBy::UniqueProperty(property) | MatchBy::DeliveryKey(property) => {
            vec![KeyHash::of_value(of, property, &folded(key))]
        }
        MatchBy::CompanyDomain(_) => vec![KeyHash::of_value(of, "domain", key)],
        MatchBy::Id => vec![KeyHash::of_value(of, "hs_object_id", key)],
        MatchBy::DealName => deal_hashes(ready, key),
        MatchBy::AlwaysCreate => Vec::new(),
    };
    if let Lookup::Found(stored) = found {
        hashes.push(KeyHash::of_id(of, stored.id));
    }
    hashes
}

/// A deal of a name, by each contact that the line names.
fn deal_hashes(ready: &ResolvedLine, name: &str) -> Vec<KeyHash> {
    let named = ready.desired.references.iter().filter(|reference| reference.to == ObjectType::CONTACTS);
    let by_reference = named.map(|reference| {
        let contact = lookup_key(&reference.to, reference.lookup_by, &reference.value).number().to_string();
        KeyHash::of(&["deal of a contact", &contact, name])
    });
    by_reference.chain(ready.contacts.iter().map(|contact| KeyHash::of_deal(*contact, name))).collect()
}

/// The lines of a wave so far, by their hashes: each with its record's place among the groups.
#[derive(Debug, Default)]
struct Places {
    identities: HashMap<KeyHash, usize>,
    /// Unique values that a record gets or gives up.
    values: HashMap<KeyHash, usize>,
    names: HashMap<KeyHash, usize>,
    /// Of lines left for later: what comes after them has to stay behind them.
    postponed: HashSet<KeyHash>,
}

impl Places {
    /// The record of a line, where an earlier line has it.
    fn record(&self, hashes: &LineHashes) -> Option<usize> {
        hashes.identity.iter().find_map(|hash| self.identities.get(hash)).copied()
    }

    /// Whether a line depends on what an earlier line of another record than `place` makes.
    fn depends(&self, hashes: &LineHashes, place: Option<usize>) -> bool {
        let LineHashes { identity, claims, freed, names } = hashes;
        let held = |of: &HashMap<KeyHash, usize>, hash| of.get(hash).is_some_and(|holder| Some(*holder) != place);
        hashes.all().any(|hash| self.postponed.contains(hash))
            || identity.iter().any(|hash| held(&self.identities, hash) || held(&self.names, hash))
            || claims.iter().chain(freed).any(|hash| held(&self.values, hash))
            || names.iter().any(|hash| held(&self.identities, hash))
    }

    fn add(&mut self, hashes: LineHashes, place: usize) {
        let LineHashes { identity, claims, freed, names } = hashes;
        let at = |hash| (hash, place);
        self.identities.extend(identity.into_iter().map(at));
        self.values.extend(claims.into_iter().chain(freed).map(at));
        self.names.extend(names.into_iter().map(at));
    }
}

/// Joins lines of one record, in their order. Lines that depend on what another one of them makes are left for later.
pub(super) fn form(lines: Vec<(ResolvedLine, Lookup)>) -> Wave {
    let mut wave = Wave::default();
    let mut places = Places::default();
    for (ready, found) in lines {
        let hashes = LineHashes::of(&ready, &found);
        if let Lookup::Unknown(rejection) = found {
            wave.refused.push((ready, rejection));
            continue;
        }
        let place = places.record(&hashes);
        let joins = |place: usize| wave.groups[place].takes(&ready) && wave.groups[place].is_found_as(&found);
        if places.depends(&hashes, place) || place.is_some_and(|place| !joins(place)) {
            places.postponed.extend(hashes.all());
            wave.later.push(ready);
            continue;
        }
        let place = match place {
            Some(place) => {
                wave.groups[place].join(ready);
                place
            }
            None => match RecordGroup::of(ready, found) {
                Ok(group) => {
                    wave.groups.push(group);
                    wave.groups.len() - 1
                }
                Err(refused) => {
                    wave.refused.push(*refused);
                    continue;
                }
            },
        };
        places.add(hashes, place);
    }
    wave
}

impl RecordGroup {
    /// A record that its first line begins; refused when the record would be new and the line lacks what a new one needs.
    fn of(ready: ResolvedLine, found: Lookup) -> Result<Self, Box<(ResolvedLine, Rejection)>> {
        let plan = ready.desired.plan.clone();
        let (stored, other_key) = match found {
            Lookup::Found(stored) => (Some(stored), None),
            Lookup::AbsentUnder(key) => (None, Some(key)),
            Lookup::Absent | Lookup::Unknown(_) => (None, None),
        };
        if stored.is_none()
            && let Some(rejection) = ready.lacks()
        {
            return Err(Box::new((ready, rejection)));
        }
        let (properties, links) = (ready.desired.properties.clone(), ready.links.clone());
        Ok(Self { plan, lines: vec![ready], properties, links, stored, other_key })
    }

    /// Whether what was found for a line is the record that was found for the lines before it. A record that is not there
    /// yet cannot be the one that a later line found.
    fn is_found_as(&self, found: &Lookup) -> bool {
        match found {
            Lookup::Found(one) => self.stored.as_ref().is_some_and(|stored| stored.id == one.id),
            _ => true,
        }
    }

    /// Whether a line can be written together with those before it.
    fn takes(&self, ready: &ResolvedLine) -> bool {
        let stage = |properties: &BTreeMap<String, String>| properties.get(ONE_WAY).cloned();
        let moves = stage(&ready.desired.properties).is_some_and(|new| stage(&self.properties) != Some(new));
        let begun = stage(&self.properties).is_some();
        let is_alone = ready.alone || self.lines.iter().any(|line| line.alone);
        !(is_alone || moves && begun || self.gives_up_value(ready))
    }

    /// Whether a line gives up a unique value that a line before it sets: lines between them may depend on who has it. What
    /// both are found by stays.
    fn gives_up_value(&self, ready: &ResolvedLine) -> bool {
        let plan = &ready.desired.plan;
        let is_key = |name: &str| plan.key_property() == Some(name) && self.plan.key_property() == Some(name);
        ready.desired.properties.iter().any(|(name, new)| {
            let is_unique = plan.definitions.by_name.get(name).is_some_and(|definition| definition.unique);
            let differs = || self.properties.get(name).is_some_and(|known| folded(known) != folded(new));
            is_unique && !is_key(name) && differs()
        })
    }

    fn join(&mut self, ready: ResolvedLine) {
        // An existing ticket is never changed: its first line counts.
        if !matches!(self.plan.match_by, MatchBy::DeliveryKey(_)) {
            for (name, new) in &ready.desired.properties {
                let several = self.plan.definitions.by_name.get(name).is_some_and(|definition| definition.several);
                let earlier = self.properties.get(name).filter(|_| several);
                let value = match (earlier, new.strip_prefix(';')) {
                    // An earlier line clears the property: what is there in the portal is not kept.
                    (Some(earlier), Some(added)) if earlier.is_empty() => added.to_owned(),
                    (Some(earlier), Some(added)) => format!("{earlier};{added}"),
                    _ => new.clone(),
                };
                self.properties.insert(name.clone(), value);
            }
        }
        self.links.extend(ready.links.iter().cloned());
        self.links.sort();
        self.links.dedup();
        self.lines.push(ready);
    }

    /// The contacts that the lines of a deal name.
    pub(super) fn contacts(&self) -> impl Iterator<Item = ObjectId> {
        self.lines.iter().flat_map(|line| &line.contacts).copied()
    }

    /// The value of the property that the record is created with.
    pub(super) fn creation_key(&self) -> Option<String> {
        self.other_key.clone().or_else(|| self.lines[0].creation_key(&self.plan))
    }
}

impl ResolvedLine {
    /// What is missing for the line to make a new record.
    fn lacks(&self) -> Option<Rejection> {
        let desired = &self.desired;
        let plan = &desired.plan;
        if plan.match_by == MatchBy::Id {
            let (of, id) = (&plan.object_type, desired.key.as_deref().unwrap_or_default());
            return Some(Rejection::new(format!("hs_object_id: the portal has no {of} with the id {id}")));
        }
        let mut given = desired.properties.clone();
        given.retain(|_, value| !value.is_empty());
        let mut faults: Vec<String> = plan.for_create.faults(&given).into_iter().collect();
        faults.extend(desired.missing_references.iter().map(|field| format!("{field}: it refers to no record")));
        (!faults.is_empty()).then(|| Rejection::new(format!("a new record needs more: {}", faults.join("; "))))
    }
}
