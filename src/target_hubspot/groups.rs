//! Lines that mean one record, in the order of the input.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::chunk::{Link, Ready};
use super::identity::{Token, folded};
use super::known::mark_token;
use super::matching::{Found, Stored};
use super::plan::{Match, StreamPlan};
use super::writing::Refusal;
use crate::client::{ObjectId, ObjectType};

/// A property whose value moves in one direction only, so that two values written after one another and the second one
/// alone differ.
const ONE_WAY: &str = "lifecyclestage";

/// A record as its lines want it.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) plan: Arc<StreamPlan>,
    /// The lines, the first one first.
    pub(super) lines: Vec<Ready>,
    /// What all lines together want; of a property the last line's value.
    pub(super) properties: BTreeMap<String, String>,
    pub(super) links: Vec<Link>,
    /// The record as it is in the portal.
    pub(super) stored: Option<Stored>,
}

/// What can be written at once, and what cannot.
#[derive(Debug, Default)]
pub(super) struct Wave {
    pub(super) groups: Vec<Group>,
    pub(super) refused: Vec<(Ready, Refusal)>,
    /// Lines that can only be judged once this wave is written.
    pub(super) later: Vec<Ready>,
}

/// What a record is known by. A deal whose contact is not there yet is known by what the line says of the contact.
pub(super) fn identity(ready: &Ready, found: &Found) -> Vec<Token> {
    let wanted = &ready.wanted;
    let of = &wanted.plan.object_type;
    let Some(key) = wanted.key.as_deref() else { return Vec::new() };
    let mut tokens = match &wanted.plan.matched {
        Match::Unique(property) | Match::Once(property) => vec![Token::of_value(of, property, key)],
        Match::Domain(_) => vec![Token::of_value(of, "domain", key)],
        Match::Id => vec![Token::of_value(of, "hs_object_id", key)],
        Match::DealName => {
            let contact = wanted.references.iter().find(|wish| wish.to == ObjectType::CONTACTS);
            let contact = contact.map(|wish| mark_token(&wish.to, wish.mark, &wish.value).number().to_string());
            let of_line = Token::of(&["deal of a contact", &contact.unwrap_or_default(), key]);
            std::iter::once(of_line).chain(ready.contact.map(|contact| Token::of_deal(contact, key))).collect()
        }
        Match::Never => Vec::new(),
    };
    if let Found::Stored(stored) = found {
        tokens.push(Token::of_id(of, stored.id));
    }
    tokens
}

/// Joins lines of one record, in their order. Lines that depend on what another one of them makes are left for later.
pub(super) fn form(lines: Vec<(Ready, Found)>) -> Wave {
    let mut wave = Wave::default();
    let mut places: HashMap<Token, usize> = HashMap::new();
    // Of lines left for later: what comes after them has to stay behind them.
    let mut postponed: HashSet<Token> = HashSet::new();
    let mut claimed: HashMap<Token, usize> = HashMap::new();
    for (ready, found) in lines {
        let tokens = identity(&ready, &found);
        let claims = claims(&ready);
        let stored = match found {
            Found::Unsure(refusal) => {
                wave.refused.push((ready, refusal));
                continue;
            }
            Found::Stored(stored) => Some(stored),
            Found::Absent => None,
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
            None => match Group::of(ready, stored) {
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
fn claims(ready: &Ready) -> Vec<Token> {
    let wanted = &ready.wanted;
    let plan = &wanted.plan;
    let unique = |name: &String| plan.definitions.by_name.get(name).is_some_and(|definition| definition.unique);
    let values = wanted.properties.iter().filter(|(name, value)| unique(name) && !value.is_empty());
    values.map(|(name, value)| Token::of(&["claim", plan.object_type.as_str(), name, &folded(value)])).collect()
}

impl Group {
    /// A record that its first line begins; refused when the record would be new and the line lacks what a new one needs.
    fn of(ready: Ready, stored: Option<Stored>) -> Result<Self, Box<(Ready, Refusal)>> {
        let plan = ready.wanted.plan.clone();
        if stored.is_none()
            && let Some(refusal) = ready.lacks()
        {
            return Err(Box::new((ready, refusal)));
        }
        let (properties, links) = (ready.wanted.properties.clone(), ready.links.clone());
        Ok(Self { plan, lines: vec![ready], properties, links, stored })
    }

    /// Whether a line can be written together with those before it.
    fn takes(&self, ready: &Ready) -> bool {
        let stage = |properties: &BTreeMap<String, String>| properties.get(ONE_WAY).cloned();
        let moves = stage(&ready.wanted.properties).is_some_and(|new| stage(&self.properties) != Some(new));
        let begun = stage(&self.properties).is_some();
        !(ready.alone || self.lines.iter().any(|line| line.alone) || moves && begun)
    }

    fn join(&mut self, ready: Ready) {
        // A ticket that is there is never changed: its first line stands.
        if !matches!(self.plan.matched, Match::Once(_)) {
            for (name, new) in &ready.wanted.properties {
                let several = self.plan.definitions.by_name.get(name).is_some_and(|definition| definition.several);
                let value = self.properties.entry(name.clone()).or_default();
                match new.strip_prefix(';') {
                    // It adds to what earlier lines want.
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

impl Ready {
    /// What is missing for the line to make a new record.
    fn lacks(&self) -> Option<Refusal> {
        let wanted = &self.wanted;
        let plan = &wanted.plan;
        if plan.matched == Match::Id {
            let (of, id) = (&plan.object_type, wanted.key.as_deref().unwrap_or_default());
            return Some(Refusal::new(format!("hs_object_id: the portal has no {of} with the id {id}")));
        }
        let mut given = wanted.properties.clone();
        given.retain(|_, value| !value.is_empty());
        let mut faults: Vec<String> = plan.for_create.faults(&given).into_iter().collect();
        faults.extend(wanted.lacking.iter().map(|field| format!("{field}: it refers to no record")));
        (!faults.is_empty()).then(|| Refusal::new(format!("a new record needs more: {}", faults.join("; "))))
    }
}
