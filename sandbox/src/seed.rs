//! The portal that a seed stands for: every record is a function of seed and index.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use fastrand::Rng;

use crate::clock::{DAY, HOUR, Millis, SECOND};
use crate::object_type::ObjectType;
use crate::properties::{Properties, PropertyDef};
use crate::record::{Slot, Standing};
use crate::table::Head;

/// What the records of all types have in common.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    /// No seeded record is younger.
    pub(crate) anchor: Millis,
    pub(crate) tickets: u64,
    pub(crate) contacts: u64,
    pub(crate) companies: u64,
    pub(crate) deals: u64,
    pub(crate) owner_ids: Vec<u64>,
    pub(crate) archived_share: f64,
    pub(crate) hostile: bool,
    /// Stage ids of each ticket pipeline, the last of each being the closed one.
    pub(crate) ticket_stages: Vec<(String, Vec<String>)>,
}

/// Years that the seeded history covers.
const HISTORY: Millis = 3 * 365 * DAY;

/// Ids of one block lie close together or far apart, so that their density varies as in real
/// portals; both block size and the wide gap are arbitrary.
const BLOCK: u64 = 4_096;
const WIDE_GAP: u64 = 977;
const NARROW_GAP: u64 = 61;

/// Slots of property names; names are looked up dozens of times per record, so hashing is cheap.
pub(crate) type SlotsByName = HashMap<String, Slot, BuildHasherDefault<NameHasher>>;

/// FNV-1a.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NameHasher(u64);

impl Default for NameHasher {
    fn default() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }
}

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Makes the records of one type.
#[derive(Clone, Debug)]
pub(crate) struct Generator {
    pub(crate) kind: ObjectType,
    pub(crate) world: World,
    count: u64,
    pub(crate) slots: SlotsByName,
    pub(crate) custom: Vec<(Slot, PropertyDef)>,
}

impl Generator {
    pub(crate) fn new(kind: ObjectType, world: World, properties: &Properties) -> Self {
        let in_force = || properties.iter(false);
        let slots = in_force().map(|(slot, def)| (def.name.clone(), slot)).collect();
        let custom =
            in_force().filter(|(_, def)| !def.hubspot_defined).map(|(slot, def)| (slot, def.clone())).collect();
        let count = match kind {
            ObjectType::Tickets => world.tickets,
            ObjectType::Contacts => world.contacts,
            ObjectType::Companies => world.companies,
            ObjectType::Deals => world.deals,
            _ => 0,
        };
        Self { kind, world, count, slots, custom }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    fn base(&self) -> u64 {
        id_base(self.kind)
    }

    /// The id of the record at `index`; ascends with it.
    pub(crate) fn id(&self, index: u64) -> u64 {
        id_at(self.world.seed, self.kind, index)
    }

    /// The index of the record with this id.
    pub(crate) fn index(&self, id: u64) -> Option<u64> {
        let index = self.index_from(id);
        (index < self.count && self.id(index) == id).then_some(index)
    }

    /// The index of the first record whose id is not less than `id`.
    pub(crate) fn index_from(&self, id: u64) -> u64 {
        let Some(distance) = id.checked_sub(self.base()) else {
            return 0;
        };
        let block = distance / (BLOCK * WIDE_GAP);
        let within = (distance % (BLOCK * WIDE_GAP) / id_gap(self.world.seed, block)).min(BLOCK);
        let index = (block * BLOCK + within).min(self.count);
        if index < self.count && self.id(index) < id { index + 1 } else { index }
    }

    pub(crate) fn rng(&self, stream: u64, index: u64) -> Rng {
        Rng::with_seed(mix(self.world.seed, self.base() + stream, index))
    }

    pub(crate) fn head(&self, index: u64) -> Head {
        let mut rng = self.rng(1, index);
        let anchor = self.world.anchor;
        let step = HISTORY as f64 / self.count.max(1) as f64;
        let offset = (index as f64 + rng.f64()) * step;
        let mut created = anchor - HISTORY + offset as Millis - 2 * HOUR;
        // Imported records carry an older date of creation than their id tells.
        if rng.u8(..32) == 0 {
            created -= rng.i64(HOUR..30 * DAY);
        }
        let left = anchor - created;
        let mut updated = created + (left as f64 * rng.f64().powi(5)) as Millis;
        if rng.u8(..40) == 0 {
            created -= created.rem_euclid(SECOND);
        }
        if rng.u8(..40) == 0 {
            updated -= updated.rem_euclid(SECOND);
        }
        let updated = updated.max(created);
        let standing = if rng.f64() < self.world.archived_share {
            let at = updated + ((anchor - updated) as f64 * rng.f64()) as Millis;
            Standing::Archived { at }
        } else {
            Standing::Live
        };
        Head { id: self.id(index), created, updated, standing }
    }

    /// The id that the record of another type at `index` has.
    pub(crate) fn id_of(&self, kind: ObjectType, index: u64) -> u64 {
        id_at(self.world.seed, kind, index)
    }

    /// Indices of what a ticket is associated with; the first company is the primary one.
    pub(crate) fn ticket_links(&self, index: u64) -> Links {
        let mut rng = self.rng(3, index);
        let mut some = |count: u64, many: usize| {
            let mut chosen: Vec<u64> = Vec::with_capacity(many);
            for _ in 0..many {
                if count > 0 {
                    let at = rng.u64(..count);
                    if !chosen.contains(&at) {
                        chosen.push(at);
                    }
                }
            }
            chosen
        };
        let draw = mix(self.world.seed, 31, index);
        let contacts = match draw % 20 {
            0 | 1 => 0,
            2..=15 => 1,
            16..=18 => 2,
            _ => 3,
        };
        let companies = match draw / 20 % 10 {
            0 | 1 => 0,
            2..=8 => 1,
            _ => 2,
        };
        let deals = usize::from((draw / 200).is_multiple_of(7));
        Links {
            contacts: some(self.world.contacts, contacts),
            companies: some(self.world.companies, companies),
            deals: some(self.world.deals, deals),
            labelled: (draw / 2_000).is_multiple_of(6),
        }
    }

    pub(crate) fn company_of_contact(&self, index: u64) -> Option<u64> {
        let count = self.world.companies;
        (count > 0 && !index.is_multiple_of(9)).then(|| mix(self.world.seed, 41, index) % count)
    }

    pub(crate) fn company_of_deal(&self, index: u64) -> Option<u64> {
        let count = self.world.companies;
        (count > 0 && !index.is_multiple_of(7)).then(|| mix(self.world.seed, 43, index) % count)
    }

    pub(crate) fn contact_of_deal(&self, index: u64) -> Option<u64> {
        let count = self.world.contacts;
        (count > 0 && !index.is_multiple_of(5)).then(|| mix(self.world.seed, 47, index) % count)
    }
}

/// Indices of a ticket's associated records.
#[derive(Clone, Debug, Default)]
pub(crate) struct Links {
    pub(crate) contacts: Vec<u64>,
    pub(crate) companies: Vec<u64>,
    pub(crate) deals: Vec<u64>,
    /// Whether the first contact carries a label of the portal's own.
    pub(crate) labelled: bool,
}

fn id_gap(seed: u64, block: u64) -> u64 {
    if mix(seed, 77, block).is_multiple_of(3) { NARROW_GAP } else { WIDE_GAP }
}

fn id_at(seed: u64, kind: ObjectType, index: u64) -> u64 {
    let (block, within) = (index / BLOCK, index % BLOCK);
    let gap = id_gap(seed, block);
    let shift = mix(seed, id_base(kind), index) % (gap - 1);
    id_base(kind) + block * BLOCK * WIDE_GAP + within * gap + shift
}

fn id_base(kind: ObjectType) -> u64 {
    match kind {
        ObjectType::Tickets => 21_458_204_110,
        ObjectType::Contacts => 40_112_733_201,
        ObjectType::Companies => 17_301_590_442,
        ObjectType::Deals => 38_901_118_067,
        _ => 60_000_000_000,
    }
}

/// A well mixed number from three (the finalizer of splitmix64).
pub(crate) fn mix(seed: u64, stream: u64, index: u64) -> u64 {
    let mut z = seed
        .wrapping_add(stream.wrapping_mul(0x9E37_79B9_7F4A_7C15))
        .wrapping_add(index.wrapping_mul(0xD1B5_4A32_D192_ED03));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
