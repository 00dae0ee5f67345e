//! Why the cache cannot be used, and what to do about it.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::disk::is_full;

/// Why the cache cannot be used.
#[derive(Debug, Error)]
#[error("the cache {path} (cache_path) {}", advice(*.full, .reason), path = path.display())]
pub struct CacheError {
    pub(crate) path: PathBuf,
    pub(crate) reason: String,
    /// The disk is.
    pub(crate) full: bool,
}

impl CacheError {
    /// What an error of the file means.
    pub(crate) fn of(path: &Path, error: &redb::Error) -> Self {
        let full = matches!(error, redb::Error::Io(error) if is_full(error.kind()));
        Self { path: path.to_owned(), reason: error.to_string(), full }
    }

    /// Whether there is no room on the disk, and the file itself is sound.
    pub fn is_full(&self) -> bool {
        self.full
    }
}

fn advice(full: bool, reason: &str) -> String {
    match full {
        true => format!("cannot be written: {reason}; make room on its disk, then run again with the last state"),
        false => format!(
            "cannot be used: {reason}; is another run using it? it may be removed, then all rows are sent again"
        ),
    }
}
