//! Groups of lines of one record, in the order of the input.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::identity::{KeyHash, folded};
use super::matching::{Lookup, StoredRecord};
use super::plan::{MatchBy, StreamPlan};
use super::record_index::lookup_key;
use super::write_step::{AssociationLink, ResolvedLine};
use super::writing::Rejection;
use crate::client::{ObjectId, ObjectType};

/// A property whose value moves in one direction only, so that two values written after one another and the second one
/// alone differ.
const ONE_WAY: &str = "lifecyclestage";

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
}

/// What can be written at once, and what cannot.
#[derive(Debug, Default)]
pub(super) struct Wave {
    pub(super) groups: Vec<RecordGroup>,
    pub(super) refused: Vec<(ResolvedLine, Rejection)>,
    /// Lines that can only be judged once this wave is written.
    pub(super) later: Vec<ResolvedLine>,
}

/// The hashes that identify a record. A deal whose contact does not exist yet is identified by
/// the line's reference to the contact.
pub(super) fn identity(ready: &ResolvedLine, found: &Lookup) -> Vec<KeyHash> {
    let desired = &ready.desired;
    let of = &desired.plan.object_type;
    let Some(key) = desired.key.as_deref() else { return Vec::new() };
    let mut tokens = match &desired.plan.match_by {
        MatchBy::UniqueProperty(property) | MatchBy::DeliveryKey(property) => {
            vec![KeyHash::of_value(of, property, key)]
        }
        MatchBy::CompanyDomain(_) => vec![KeyHash::of_value(of, "domain", key)],
        MatchBy::Id => vec![KeyHash::of_value(of, "hs_object_id", key)],
        MatchBy::DealName => {
            let contact = desired.references.iter().find(|reference| reference.to == ObjectType::CONTACTS);
            let contact = contact
                .map(|reference| lookup_key(&reference.to, reference.lookup_by, &reference.value).number().to_string());
            let of_line = KeyHash::of(&["deal of a contact", &contact.unwrap_or_default(), key]);
            std::iter::once(of_line).chain(ready.contact.map(|contact| KeyHash::of_deal(contact, key))).collect()
        }
        MatchBy::AlwaysCreate => Vec::new(),
    };
    if let Lookup::Found(stored) = found {
        tokens.push(KeyHash::of_id(of, stored.id));
    }
    tokens
}

/// Joins lines of one record, in their order. Lines that depend on what another one of them makes are left for later.
pub(super) fn form(lines: Vec<(ResolvedLine, Lookup)>) -> Wave {
    let mut wave = Wave::default();
    let mut places: HashMap<KeyHash, usize> = HashMap::new();
    // Of lines left for later: what comes after them has to stay behind them.
    let mut postponed: HashSet<KeyHash> = HashSet::new();
    let mut claimed: HashMap<KeyHash, usize> = HashMap::new();
    for (ready, found) in lines {
        let tokens = identity(&ready, &found);
        let claims = claims(&ready);
        let stored = match found {
            Lookup::Unknown(rejection) => {
                wave.refused.push((ready, rejection));
                continue;
            }
            Lookup::Found(stored) => Some(stored),
            Lookup::Absent => None,
        };
        let place = tokens.iter().find_map(|token| places.get(token)).copied();
        let waits = tokens.iter().chain(&claims).any(|token| postponed.contains(token))
            || claims.iter().any(|claim| claimed.get(claim).is_some_and(|holder| Some(*holder) != place))
            || place.is_some_and(|place| !wave.groups[place].takes(&ready));
        if waits {
            postponed.extend(tokens.into_iter().chain(claims));
            wave.later.push(ready);
            continue;
        }
        let place = match place {
            Some(place) => {
                wave.groups[place].join(ready);
                place
            }
            None => match RecordGroup::of(ready, stored) {
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
        places.extend(tokens.into_iter().map(|token| (token, place)));
        claimed.extend(claims.into_iter().map(|claim| (claim, place)));
    }
    wave
}

/// The values of a line that no other record can have.
fn claims(ready: &ResolvedLine) -> Vec<KeyHash> {
    let desired = &ready.desired;
    let plan = &desired.plan;
    let unique = |name: &String| plan.definitions.by_name.get(name).is_some_and(|definition| definition.unique);
    let values = desired.properties.iter().filter(|(name, value)| unique(name) && !value.is_empty());
    values.map(|(name, value)| KeyHash::of(&["claim", plan.object_type.as_str(), name, &folded(value)])).collect()
}

impl RecordGroup {
    /// A record that its first line begins; refused when the record would be new and the line lacks what a new one needs.
    fn of(ready: ResolvedLine, stored: Option<StoredRecord>) -> Result<Self, Box<(ResolvedLine, Rejection)>> {
        let plan = ready.desired.plan.clone();
        if stored.is_none()
            && let Some(rejection) = ready.lacks()
        {
            return Err(Box::new((ready, rejection)));
        }
        let (properties, links) = (ready.desired.properties.clone(), ready.links.clone());
        Ok(Self { plan, lines: vec![ready], properties, links, stored })
    }

    /// Whether a line can be written together with those before it.
    fn takes(&self, ready: &ResolvedLine) -> bool {
        let stage = |properties: &BTreeMap<String, String>| properties.get(ONE_WAY).cloned();
        let moves = stage(&ready.desired.properties).is_some_and(|new| stage(&self.properties) != Some(new));
        let begun = stage(&self.properties).is_some();
        !(ready.alone || self.lines.iter().any(|line| line.alone) || moves && begun)
    }

    fn join(&mut self, ready: ResolvedLine) {
        // An existing ticket is never changed: its first line counts.
        if !matches!(self.plan.match_by, MatchBy::DeliveryKey(_)) {
            for (name, new) in &ready.desired.properties {
                let several = self.plan.definitions.by_name.get(name).is_some_and(|definition| definition.several);
                let value = self.properties.entry(name.clone()).or_default();
                match new.strip_prefix(';') {
                    // It adds to the values of earlier lines.
                    Some(added) if several && !value.is_empty() => *value = format!("{value};{added}"),
                    _ => new.clone_into(value),
                }
            }
        }
        self.links.extend(ready.links.iter().cloned());
        self.links.sort();
        self.links.dedup();
        self.lines.push(ready);
    }

    /// The contact that a deal belongs to.
    pub(super) fn contact(&self) -> Option<ObjectId> {
        self.lines.first()?.contact
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
