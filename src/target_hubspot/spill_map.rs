//! A map of bounded memory: what no longer fits goes to a temporary file.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use super::identity::KeyHash;
use crate::client::ObjectId;

/// Entries held in memory; 200,000 are some 10 MB.
const MAX_HELD: usize = 200_000;
/// Bytes of an entry in a file: the token and the id.
const ENTRY_BYTES: usize = 24;

/// Ids by token.
#[derive(Debug)]
pub(super) struct SpillMap {
    held: HashMap<u128, u64>,
    /// Sorted by token; a later file wins over an earlier one.
    files: Vec<SortedFile>,
    max_held: usize,
}

#[derive(Debug)]
struct SortedFile {
    file: File,
    entries: u64,
}

impl Default for SpillMap {
    fn default() -> Self {
        Self { held: HashMap::new(), files: Vec::new(), max_held: MAX_HELD }
    }
}

impl SpillMap {
    /// The id of a token.
    ///
    /// # Errors
    /// When the temporary file cannot be read.
    pub(super) fn get(&self, token: KeyHash) -> io::Result<Option<ObjectId>> {
        if let Some(id) = self.held.get(&token.number()) {
            return Ok(Some(ObjectId(*id)));
        }
        for file in self.files.iter().rev() {
            if let Some(id) = file.get(token.number())? {
                return Ok(Some(ObjectId(id)));
            }
        }
        Ok(None)
    }

    /// Remembers an id in place of the one that the token had.
    ///
    /// # Errors
    /// When the temporary file cannot be written.
    pub(super) fn insert(&mut self, token: KeyHash, id: ObjectId) -> io::Result<()> {
        self.held.insert(token.number(), id.0);
        if self.held.len() >= self.max_held {
            self.files.push(SortedFile::of(std::mem::take(&mut self.held))?);
        }
        Ok(())
    }
}

impl SortedFile {
    fn of(entries: HashMap<u128, u64>) -> io::Result<Self> {
        let mut entries: Vec<(u128, u64)> = entries.into_iter().collect();
        entries.sort_unstable();
        let mut bytes = Vec::with_capacity(entries.len() * ENTRY_BYTES);
        for (token, id) in &entries {
            bytes.extend_from_slice(&token.to_be_bytes());
            bytes.extend_from_slice(&id.to_be_bytes());
        }
        let mut file = tempfile::tempfile()?;
        file.write_all(&bytes)?;
        Ok(Self { file, entries: entries.len() as u64 })
    }

    fn get(&self, token: u128) -> io::Result<Option<u64>> {
        let (mut low, mut high) = (0, self.entries);
        while low < high {
            let middle = low + (high - low) / 2;
            let mut entry = [0; ENTRY_BYTES];
            self.file.read_exact_at(&mut entry, middle * ENTRY_BYTES as u64)?;
            let (found, id) = entry.split_at(16);
            let found = u128::from_be_bytes(found.try_into().expect("sixteen bytes"));
            match found.cmp(&token) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => {
                    return Ok(Some(u64::from_be_bytes(id.try_into().expect("eight bytes"))));
                }
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_to_a_file_is_found_and_the_latest_id_wins() {
        let mut memory = SpillMap { max_held: 7, ..SpillMap::default() };
        let token = |number: u64| KeyHash::of(&[&number.to_string()]);
        for round in 0..3 {
            for number in 0..50 {
                memory.insert(token(number), ObjectId(number * 10 + round)).expect("a temporary file");
            }
        }
        assert!(memory.files.len() > 5 && memory.held.len() < 7);
        for number in 0..50 {
            assert_eq!(memory.get(token(number)).expect("a file"), Some(ObjectId(number * 10 + 2)));
        }
        assert_eq!(memory.get(token(50)).expect("a file"), None);
    }
}
