//! A file that lines are appended to. Lines are whole; half a line that a killed run left is cut off.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::de::IgnoredAny;

/// Read at once when the end of the last whole line is looked for.
const BLOCK_BYTES: u64 = 64 << 10;

/// Bytes of buffered lines: every line of an input may be rejected.
const MAX_HELD_BYTES: usize = 1 << 20;

/// Lines are buffered, and then written at once.
#[derive(Debug)]
pub(super) struct LinesFile {
    file: File,
    lines: Vec<u8>,
    /// Why lines could not be written before they were to be.
    failed: Option<io::Error>,
}

impl LinesFile {
    /// Opens a file to add to it. Half a line at its end, which a run that was killed left there, is cut off; a whole one
    /// without its line end, as some editors leave it, gets one.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let open = OpenOptions::new().read(true).create(true).append(true).open(path);
        let mut file = open.map_err(|error| unusable(path, &error))?;
        let metadata = file.metadata()?;
        refuse_stdin(&metadata)?;
        if metadata.is_file() {
            repair_last_line(&mut file)?;
        }
        Ok(Self { file, lines: Vec::new(), failed: None })
    }

    /// Adds a line to the buffer, and writes the buffer once it is large.
    pub(super) fn add(&mut self, line: &str) {
        self.lines.extend_from_slice(line.as_bytes());
        self.lines.push(b'\n');
        if self.lines.len() >= MAX_HELD_BYTES {
            let written = self.file.write_all(&self.lines);
            self.lines.clear();
            self.failed = self.failed.take().or(written.err());
        }
    }

    /// Whether lines are buffered.
    pub(super) fn holds_lines(&self) -> bool {
        !self.lines.is_empty()
    }

    /// Writes the buffered lines.
    ///
    /// # Errors
    /// When the file cannot be written, or could not.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.lines.is_empty() {
            return Ok(());
        }
        self.file.write_all(&self.lines)?;
        self.lines.clear();
        Ok(())
    }
}

/// Whether [`LinesFile::open`] would open a file, which is left as it is.
///
/// # Errors
/// As those of [`LinesFile::open`].
pub(super) fn check(path: &Path) -> io::Result<()> {
    let checked = match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() || metadata.is_dir() => {
            refuse_stdin(&metadata)?;
            OpenOptions::new().read(true).append(true).open(path).map(drop)
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => tempfile::tempfile_in(folder_of(path)).map(drop),
        Err(error) => Err(error),
    };
    checked.map_err(|error| unusable(path, &error))
}

/// Whether two paths name one file, which need not be there yet.
pub(super) fn is_one_file(one: &Path, other: &Path) -> bool {
    match (fs::metadata(one), fs::metadata(other)) {
        (Ok(one), Ok(other)) => one.is_file() && is_same(&one, &other),
        _ => {
            let folder = |path: &Path| fs::canonicalize(folder_of(path)).ok();
            one.file_name() == other.file_name() && folder(one).is_some() && folder(one) == folder(other)
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

fn refuse_stdin(own: &Metadata) -> io::Result<()> {
    let stdin = fs::metadata("/dev/stdin").ok().filter(Metadata::is_file);
    match stdin.is_some_and(|stdin| is_same(&stdin, own)) {
        true => {
            let reason = "the file is what stdin reads, and would grow while it is read; move it first";
            Err(io::Error::other(reason))
        }
        false => Ok(()),
    }
}

fn unusable(path: &Path, error: &io::Error) -> io::Error {
    let reason = format!(
        "{} cannot be opened: {error}; name a file in a folder that is there and may be written to",
        path.display()
    );
    io::Error::new(error.kind(), reason)
}

fn repair_last_line(file: &mut File) -> io::Result<()> {
    let length = file.metadata()?.len();
    let mut end = length;
    while end > 0 {
        let begin = end.saturating_sub(BLOCK_BYTES);
        file.seek(SeekFrom::Start(begin))?;
        let mut block = vec![0; usize::try_from(end - begin).map_err(io::Error::other)?];
        file.read_exact(&mut block)?;
        if let Some(at) = block.iter().rposition(|byte| *byte == b'\n') {
            end = begin + at as u64 + 1;
            break;
        }
        end = begin;
    }
    if end < length {
        file.seek(SeekFrom::Start(end))?;
        let mut last = Vec::new();
        file.read_to_end(&mut last)?;
        match serde_json::from_slice::<IgnoredAny>(&last) {
            Ok(_) => file.write_all(b"\n")?,
            Err(_) => file.set_len(end)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_held_up_to_a_bound_and_a_failure_is_told_later() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut lines = LinesFile::open(file.path()).expect("a file");
        let line = "x".repeat(99_999);
        for _ in 0..25 {
            lines.add(&line);
            assert!(lines.lines.len() < MAX_HELD_BYTES);
        }
        lines.flush().expect("a writable file");
        assert_eq!(std::fs::read_to_string(file.path()).expect("text"), format!("{line}\n").repeat(25));
        let mut full = LinesFile::open(Path::new("/dev/full")).expect("a file");
        for _ in 0..25 {
            full.add(&line);
        }
        assert!(full.lines.len() < MAX_HELD_BYTES);
        assert_eq!(full.flush().expect_err("a full disk").kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn half_a_line_at_the_end_is_cut_off() {
        let long = "x".repeat(100_000);
        for (before, after) in [
            (String::new(), String::new()),
            ("whole\n".to_owned(), "whole\n".to_owned()),
            ("whole\nhal".to_owned(), "whole\n".to_owned()),
            ("whole\n{\"a\":1".to_owned(), "whole\n".to_owned()),
            ("whole\n{\"a\":1}".to_owned(), "whole\n{\"a\":1}\n".to_owned()),
            ("hal".to_owned(), String::new()),
            (format!("whole\n{long}"), "whole\n".to_owned()),
            (long, String::new()),
        ] {
            let file = tempfile::NamedTempFile::new().expect("a file");
            std::fs::write(file.path(), before).expect("a writable file");
            let mut lines = LinesFile::open(file.path()).expect("a file");
            lines.add("next");
            lines.flush().expect("a writable file");
            assert_eq!(std::fs::read_to_string(file.path()).expect("text"), format!("{after}next\n"));
        }
    }
}
