//! Log files that do not grow for ever.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A log of this size becomes `NAME.1`, in the place of the one before: enough for months of a tenant's runs.
const MOST_BYTES: u64 = 4 << 20;

/// A log that lines are added to. That it cannot be written ends nothing: it is remembered and told afterwards.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: Option<File>,
    bytes: u64,
    failure: Option<io::Error>,
}

impl LogFile {
    /// Opens a log to add to it.
    pub(super) fn open(path: &Path) -> Self {
        let mut log = Self { path: path.to_owned(), file: None, bytes: 0, failure: None };
        log.reopen();
        log
    }

    /// Adds a line.
    pub(super) fn add(&mut self, line: &[u8]) {
        if self.bytes >= MOST_BYTES {
            self.reopen();
        }
        let Some(file) = &mut self.file else { return };
        match file.write_all(line) {
            Ok(()) => self.bytes += line.len() as u64,
            Err(error) => self.failure = Some(error),
        }
    }

    /// Why lines are missing in it, if any are.
    pub(super) fn failure(self) -> Option<io::Error> {
        self.failure
    }

    fn reopen(&mut self) {
        self.file = None;
        match append_to(&self.path) {
            Ok((file, bytes)) => (self.file, self.bytes) = (Some(file), bytes),
            Err(error) => self.failure = Some(error),
        }
    }
}

/// Opens a log to add to it, and tells its size; one that is large becomes the old one first.
///
/// # Errors
/// When the file cannot be opened.
pub fn append_to(path: &Path) -> io::Result<(File, u64)> {
    if fs::metadata(path).is_ok_and(|log| log.is_file() && log.len() >= MOST_BYTES) {
        let mut old = path.as_os_str().to_owned();
        old.push(".1");
        fs::rename(path, old)?;
    }
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let bytes = file.metadata()?.len();
    Ok((file, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_log_becomes_the_one_old_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tap.log");
        let mut log = LogFile::open(&path);
        let line = [&[b'x'; 999][..], b"\n"].concat();
        for _ in 0..3 * MOST_BYTES / 1_000 {
            log.add(&line);
        }
        assert!(log.failure().is_none());
        let sizes: Vec<u64> = fs::read_dir(folder.path())
            .expect("a folder")
            .map(|file| file.expect("a file").metadata().expect("its size").len())
            .collect();
        assert_eq!(sizes.len(), 2, "{sizes:?}");
        assert!(sizes.iter().all(|size| *size <= MOST_BYTES + 1_000), "{sizes:?}");
    }

    #[test]
    fn a_log_without_room_tells_why_and_ends_nothing() {
        let mut log = LogFile::open(Path::new("/dev/full"));
        log.add(b"lost\n");
        assert_eq!(log.failure().map(|error| error.kind()), Some(io::ErrorKind::StorageFull));
        assert!(LogFile::open(Path::new("/nowhere/tap.log")).failure().is_some());
    }
}
