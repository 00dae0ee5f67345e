//! What the cache keeps of a row, and how its bytes are laid out.

use sha2::{Digest, Sha256};

use crate::client::ObjectId;

/// Checkpoint of an entry that was written behind the state that a run was given.
pub(crate) const INVALID: u64 = u64::MAX;

/// Checkpoint, whether the row is gone, hash.
const HEAD_BYTES: usize = 17;

/// Object type's index, type id, length of the category, id of the other record; then the category.
const LINK_HEAD_BYTES: usize = 14;

/// Flag of a link that was removed, beside the object type's index.
const REMOVED: u8 = 0x80;

/// What the target has of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CacheEntry {
    pub(crate) checkpoint: u64,
    /// It has a tombstone.
    pub(crate) gone: bool,
    pub(crate) hash: u64,
    /// The rows of `ticket_associations` that it has.
    pub(crate) links: Vec<CachedAssociation>,
    /// Those that tombstones were yielded of, until a state covers them.
    pub(crate) removed: Vec<CachedAssociation>,
}

/// What the cache knows of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CachedRow {
    pub(crate) entry: CacheEntry,
    /// The target has the row as the entry says.
    pub(crate) trusted: bool,
    /// The state covers the entry.
    pub(crate) covered: bool,
}

/// The key of an association row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CachedAssociation {
    /// Index into the association types, which the selection's fingerprint fixes.
    pub(crate) object_type: u8,
    pub(crate) type_id: u32,
    pub(crate) to: ObjectId,
    pub(crate) category: String,
}

impl CachedRow {
    /// Whether the target has a live row with this hash.
    pub(crate) fn matches(&self, hash: u64) -> bool {
        self.trusted && !self.entry.gone && self.entry.hash == hash
    }

    /// Whether the target has a tombstone of the row with this hash; without one, any.
    pub(crate) fn is_tombstoned(&self, hash: Option<u64>) -> bool {
        self.trusted && self.entry.gone && hash.is_none_or(|hash| self.entry.hash == hash)
    }

    /// The associations that the target may still have and the row has no more.
    pub(crate) fn links_to_remove(&self, links: &[CachedAssociation]) -> Vec<CachedAssociation> {
        let unsure = if self.trusted { &[][..] } else { &self.entry.removed };
        without(self.entry.links.iter().chain(unsure), links)
    }

    /// The same, with those whose tombstones no state covers yet: the next run may be given an older one.
    fn links_removed(&self, links: &[CachedAssociation]) -> Vec<CachedAssociation> {
        let unsure = if self.covered { &[][..] } else { &self.entry.removed };
        without(self.entry.links.iter().chain(unsure), links)
    }
}

fn without<'l>(
    had: impl Iterator<Item = &'l CachedAssociation>,
    links: &[CachedAssociation],
) -> Vec<CachedAssociation> {
    let mut gone: Vec<CachedAssociation> = had.filter(|link| !links.contains(link)).cloned().collect();
    gone.sort_unstable();
    gone.dedup();
    gone
}

impl CacheEntry {
    /// Of a row that was yielded, its associations, and what the target had of it.
    pub(crate) fn live(hash: u64, links: Vec<CachedAssociation>, known: Option<&CachedRow>) -> Self {
        let removed = known.map(|known| known.links_removed(&links)).unwrap_or_default();
        Self { checkpoint: 0, gone: false, hash, links, removed }
    }

    /// Of a row that a tombstone with this hash was yielded of.
    pub(crate) fn gone(hash: u64, known: Option<&CachedRow>) -> Self {
        let removed = known.map(|known| known.links_removed(&[])).unwrap_or_default();
        Self { checkpoint: 0, gone: true, hash, links: Vec::new(), removed }
    }

    pub(crate) fn encode(&self, checkpoint: u64) -> Vec<u8> {
        let count = self.links.len() + self.removed.len();
        let mut bytes = Vec::with_capacity(HEAD_BYTES + count * (LINK_HEAD_BYTES + 16));
        bytes.extend_from_slice(&checkpoint.to_le_bytes());
        bytes.push(u8::from(self.gone));
        bytes.extend_from_slice(&self.hash.to_le_bytes());
        let links = self.links.iter().map(|link| (link, 0)).chain(self.removed.iter().map(|link| (link, REMOVED)));
        for (link, flag) in links {
            let category = &link.category.as_bytes()[..link.category.len().min(usize::from(u8::MAX))];
            bytes.push(link.object_type | flag);
            bytes.extend_from_slice(&link.type_id.to_le_bytes());
            bytes.push(u8::try_from(category.len()).expect("cut above"));
            bytes.extend_from_slice(&link.to.0.to_le_bytes());
            bytes.extend_from_slice(category);
        }
        bytes
    }

    /// Reads an entry; none when it is cut short, which counts as unknown.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, mut rest) = bytes.split_at_checked(HEAD_BYTES)?;
        let number = |bytes: &[u8]| Some(u64::from_le_bytes(bytes.try_into().ok()?));
        let (mut links, mut removed) = (Vec::new(), Vec::new());
        while !rest.is_empty() {
            let (link, behind) = rest.split_at_checked(LINK_HEAD_BYTES)?;
            let (category, behind) = behind.split_at_checked(usize::from(link[5]))?;
            let list = if link[0] & REMOVED == 0 { &mut links } else { &mut removed };
            list.push(CachedAssociation {
                object_type: link[0] & !REMOVED,
                type_id: u32::from_le_bytes(link[1..5].try_into().ok()?),
                to: ObjectId(number(&link[6..])?),
                category: String::from_utf8(category.to_vec()).ok()?,
            });
            rest = behind;
        }
        Some(Self { checkpoint: number(&head[..8])?, gone: head[8] != 0, hash: number(&head[9..])?, links, removed })
    }
}

/// The hash of the bytes of a row; of 64 bits, so that a change is missed once in 10^19.
pub(crate) fn hash<'b>(bytes: impl IntoIterator<Item = &'b [u8]>) -> u64 {
    let mut hasher = Sha256::new();
    for part in bytes {
        hasher.update(part);
    }
    u64::from_le_bytes(hasher.finalize()[..8].try_into().expect("a digest has 32 bytes"))
}
