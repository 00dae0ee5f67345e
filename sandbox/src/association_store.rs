//! Associations between records, and the labels they may carry.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::fixtures::generator::RecordGenerator;
use crate::object_type::ObjectType;

/// Category and id together name an association type: ids of the two categories overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AssociationTypeId {
    pub(crate) user_defined: bool,
    pub(crate) type_id: u32,
}

impl AssociationTypeId {
    pub(crate) fn category(self) -> &'static str {
        if self.user_defined { "USER_DEFINED" } else { "HUBSPOT_DEFINED" }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct AssociationDefinition {
    pub(crate) key: AssociationTypeId,
    pub(crate) label: Option<String>,
    /// The type's name in inline associations, such as `ticket_to_contact`.
    pub(crate) name: String,
}

/// The other ends of one record's associations with one object type, and their types.
pub(crate) type AssociatedIds = BTreeMap<u64, Vec<AssociationTypeId>>;

type Direction = (ObjectType, ObjectType);

#[derive(Debug, Default)]
pub(crate) struct AssociationStore {
    types: HashMap<Direction, Vec<AssociationDefinition>>,
    ends: HashMap<Direction, HashMap<u64, AssociatedIds>>,
    /// Makes the associations of tickets that are themselves made on demand.
    generator: Option<Arc<RecordGenerator>>,
}

/// From, to, unlabelled type id, primary type id, of HubSpot's own association types.
const HUBSPOT_DEFINED: [(ObjectType, ObjectType, u32, Option<u32>); 44] = {
    use ObjectType::{
        Calls, Cars, Communications, Companies, Contacts, Deals, Emails, FeedbackSubmissions, Leads, LineItems,
        Meetings, Notes, Products, Quotes, ServiceContracts, Tasks, Tickets, Users,
    };
    [
        (Tickets, Contacts, 16, None),
        (Contacts, Tickets, 15, None),
        (Tickets, Companies, 339, Some(26)),
        (Companies, Tickets, 340, Some(25)),
        (Tickets, Deals, 28, None),
        (Deals, Tickets, 27, None),
        (Contacts, Companies, 279, Some(1)),
        (Companies, Contacts, 280, Some(2)),
        (Contacts, Deals, 4, None),
        (Deals, Contacts, 3, None),
        (Deals, Companies, 341, Some(5)),
        (Companies, Deals, 342, Some(6)),
        (Tickets, Notes, 227, None),
        (Tickets, Calls, 219, None),
        (Tickets, Emails, 223, None),
        (Tickets, Meetings, 225, None),
        (Tickets, Tasks, 229, None),
        (Notes, Tickets, 228, None),
        (Calls, Tickets, 220, None),
        (Emails, Tickets, 224, None),
        (Meetings, Tickets, 226, None),
        (Tasks, Tickets, 230, None),
        (Tickets, Communications, 84, None),
        (Communications, Tickets, 83, None),
        (Tickets, FeedbackSubmissions, 99, None),
        (FeedbackSubmissions, Tickets, 98, None),
        (Tickets, Leads, 646, None),
        (Leads, Tickets, 645, None),
        (Tickets, Products, 1_191, None),
        (Products, Tickets, 1_190, None),
        (Tickets, LineItems, 1_193, None),
        (LineItems, Tickets, 1_192, None),
        (Tickets, Quotes, 1_195, None),
        (Quotes, Tickets, 1_194, None),
        (Tickets, Users, 1_197, None),
        (Users, Tickets, 1_196, None),
        (Tickets, Cars, 57, None),
        (Cars, Tickets, 58, None),
        (Tickets, ServiceContracts, 61, None),
        (ServiceContracts, Tickets, 62, None),
        (Tickets, Tickets, 452, None),
        (Contacts, Contacts, 449, None),
        (Companies, Companies, 450, None),
        (Deals, Deals, 451, None),
    ]
};

/// Label ids of the seeded portal; the opposite direction has the next id.
const USER_DEFINED: [(ObjectType, ObjectType, u32, &str); 3] = [
    (ObjectType::Tickets, ObjectType::Contacts, 1, "Reporter"),
    (ObjectType::Tickets, ObjectType::Contacts, 3, "Billing contact"),
    (ObjectType::Tickets, ObjectType::Companies, 5, "Reseller"),
];

fn hubspot_type(direction: Direction) -> Option<(u32, Option<u32>)> {
    HUBSPOT_DEFINED
        .into_iter()
        .find(|(from, to, ..)| (*from, *to) == direction)
        .map(|(_, _, unlabelled, primary)| (unlabelled, primary))
}

fn reversed((from, to): Direction) -> Direction {
    (to, from)
}

impl AssociationStore {
    pub(crate) fn new(generator: Option<Arc<RecordGenerator>>) -> Self {
        let mut all = Self { generator, ..Self::default() };
        for (from, to, unlabelled, primary) in HUBSPOT_DEFINED {
            let base = format!("{}_to_{}", from.singular(), to.singular());
            let plain = if primary.is_some() { format!("{base}_unlabeled") } else { base.clone() };
            let types = all.types.entry((from, to)).or_default();
            if let Some(type_id) = primary {
                let key = AssociationTypeId { user_defined: false, type_id };
                types.push(AssociationDefinition { key, label: Some("Primary".to_owned()), name: base });
            }
            let key = AssociationTypeId { user_defined: false, type_id: unlabelled };
            types.push(AssociationDefinition { key, label: None, name: plain });
        }
        for (from, to, type_id, label) in USER_DEFINED {
            all.define_label((from, to), type_id, label);
        }
        all
    }

    /// Defines a label of the portal's own for a direction and, under the next id, its opposite.
    pub(crate) fn define_label(&mut self, direction: Direction, type_id: u32, label: &str) {
        for (way, type_id) in [(direction, type_id), (reversed(direction), type_id + 1)] {
            let key = AssociationTypeId { user_defined: true, type_id };
            let types = self.types.entry(way).or_default();
            match types.iter_mut().find(|known| known.key == key) {
                Some(known) => known.label = Some(label.to_owned()),
                None => types.push(AssociationDefinition {
                    key,
                    label: Some(label.to_owned()),
                    name: label.to_lowercase().replace(' ', "_"),
                }),
            }
        }
    }

    pub(crate) fn types(&self, from: ObjectType, to: ObjectType) -> &[AssociationDefinition] {
        self.types.get(&(from, to)).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn label(&self, (from, to): Direction, key: AssociationTypeId) -> Option<&str> {
        let mut types = self.types(from, to).iter();
        types.find(|known| known.key == key)?.label.as_deref()
    }

    pub(crate) fn labels_json(&self, from: ObjectType, to: ObjectType) -> Value {
        let types = self.types(from, to).iter();
        types
            .map(|known| json!({"category": known.key.category(), "typeId": known.key.type_id, "label": known.label}))
            .collect()
    }

    pub(crate) fn ends(&self, from: ObjectType, id: u64, to: ObjectType) -> Cow<'_, AssociatedIds> {
        if let Some(ends) = self.ends.get(&(from, to)).and_then(|all| all.get(&id)) {
            return Cow::Borrowed(ends);
        }
        Cow::Owned(self.generated(from, id, to).unwrap_or_default())
    }

    fn generated(&self, from: ObjectType, id: u64, to: ObjectType) -> Option<AssociatedIds> {
        let generator = self.generator.as_ref().filter(|_| from == ObjectType::Tickets)?;
        Some(seeded_ends(generator, generator.index(id)?, to))
    }

    fn ends_mut(&mut self, direction: Direction, id: u64) -> &mut AssociatedIds {
        let (from, to) = direction;
        let seeded = match self.ends.get(&direction).is_some_and(|all| all.contains_key(&id)) {
            true => None,
            false => self.generated(from, id, to),
        };
        self.ends.entry(direction).or_default().entry(id).or_insert_with(|| seeded.unwrap_or_default())
    }

    /// Adds an association type between two records, seen from both; every association carries the
    /// unlabelled type too, and only one company is the primary one.
    pub(crate) fn associate(&mut self, direction: Direction, from: u64, to: u64, key: Option<AssociationTypeId>) {
        self.add(direction, from, to, key);
        let opposite = key.map(|key| self.opposite(direction, key));
        self.add(reversed(direction), to, from, opposite);
    }

    fn opposite(&self, direction: Direction, key: AssociationTypeId) -> AssociationTypeId {
        if key.user_defined {
            // Both directions of a label share its text.
            let label = self.label(direction, key);
            let types = self.types(direction.1, direction.0).iter();
            let mut same = types.filter(|known| known.key.user_defined && known.label.as_deref() == label);
            return same.next().map_or(key, |known| known.key);
        }
        let primary = hubspot_type(direction).and_then(|(_, primary)| primary);
        let (unlabelled, other) = hubspot_type(reversed(direction)).unwrap_or_default();
        let type_id = other.filter(|_| primary == Some(key.type_id)).unwrap_or(unlabelled);
        AssociationTypeId { type_id, ..key }
    }

    fn add(&mut self, direction: Direction, from: u64, to: u64, key: Option<AssociationTypeId>) {
        let (unlabelled, primary) = hubspot_type(direction).unwrap_or_default();
        let plain = AssociationTypeId { user_defined: false, type_id: unlabelled };
        let ends = self.ends_mut(direction, from);
        let primary = primary.map(|type_id| AssociationTypeId { user_defined: false, type_id });
        let towards_company = direction.1 == ObjectType::Companies;
        if towards_company && key.is_some() && key == primary {
            for types in ends.values_mut() {
                types.retain(|held| Some(*held) != key);
            }
        }
        let types = ends.entry(to).or_default();
        for key in [Some(plain), key].into_iter().flatten() {
            if !types.contains(&key) {
                types.push(key);
                types.sort_unstable();
            }
        }
    }

    pub(crate) fn dissociate(&mut self, direction: Direction, from: u64, to: u64) {
        self.ends_mut(direction, from).remove(&to);
        self.ends_mut(reversed(direction), to).remove(&from);
    }

    /// Moves every association of a merged record to the one that survives.
    pub(crate) fn move_to(&mut self, kind: ObjectType, winner: u64, loser: u64) {
        for other in ObjectType::ALL {
            let direction = (kind, other);
            let losing = std::mem::take(self.ends_mut(direction, loser));
            for (end, types) in losing {
                self.ends_mut(reversed(direction), end).remove(&loser);
                if end == winner {
                    continue;
                }
                let has_primary = self.has_primary(direction, winner);
                for key in types {
                    let primary = hubspot_type(direction).and_then(|(_, primary)| primary);
                    if has_primary && !key.user_defined && Some(key.type_id) == primary {
                        continue;
                    }
                    self.associate(direction, winner, end, Some(key));
                }
            }
        }
    }

    fn has_primary(&self, direction: Direction, id: u64) -> bool {
        let primary = hubspot_type(direction).and_then(|(_, primary)| primary);
        let ends = self.ends(direction.0, id, direction.1);
        ends.values().flatten().any(|key| !key.user_defined && Some(key.type_id) == primary)
    }

    pub(crate) fn remove_all(&mut self, kind: ObjectType, id: u64) {
        for other in ObjectType::ALL {
            let ends = std::mem::take(self.ends_mut((kind, other), id));
            for end in ends.keys() {
                self.ends_mut((other, kind), *end).remove(&id);
            }
        }
    }
}

/// What the seed associates a ticket with: the first company is the primary one, the first contact
/// may carry a label.
pub(crate) fn seeded_ends(generator: &RecordGenerator, index: u64, to: ObjectType) -> AssociatedIds {
    let links = generator.ticket_links(index);
    let hubspot = |type_id| AssociationTypeId { user_defined: false, type_id };
    let (chosen, unlabelled, extra) = match to {
        ObjectType::Contacts => {
            let label = AssociationTypeId { user_defined: true, type_id: 1 };
            (links.contacts, 16, links.labelled.then_some(label))
        }
        ObjectType::Companies => (links.companies, 339, Some(hubspot(26))),
        ObjectType::Deals => (links.deals, 28, None),
        _ => return AssociatedIds::new(),
    };
    let mut ends = AssociatedIds::new();
    for (at, index) in chosen.into_iter().enumerate() {
        let types = [Some(hubspot(unlabelled)), extra.filter(|_| at == 0)];
        let mut types: Vec<AssociationTypeId> = types.into_iter().flatten().collect();
        types.sort_unstable();
        ends.insert(generator.id_of(to, index), types);
    }
    ends
}
