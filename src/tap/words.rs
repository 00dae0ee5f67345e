//! What the output command says on stderr: it goes to a log or to the tap's own stderr, and tells why the command failed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use crate::log;

/// How much of what is passed on is remembered.
const REMEMBERED_BYTES: usize = 32 << 10;
/// How long the last lines of a command that has ended may take; another process may hold its stderr open.
const PATIENCE: Duration = Duration::from_millis(300);

/// Where a command's words are.
#[derive(Debug)]
pub(super) enum Words {
    /// In a log, from this position on.
    Logged(PathBuf, u64),
    /// Passed on line by line; the last are remembered.
    Passed(Arc<Mutex<Vec<u8>>>, mpsc::Receiver<()>),
    /// Nowhere.
    Lost,
}

impl Words {
    /// The stderr of a command that is to write to a log. A log is no reason to end a run.
    pub(super) fn to_log(path: &Path) -> (Stdio, Self) {
        match log::append_to(path) {
            Ok((file, bytes)) => (file.into(), Self::Logged(path.to_owned(), bytes)),
            Err(error) => {
                tracing::warn!("{} cannot be written: {error}; what the output command says is lost", path.display());
                (Stdio::null(), Self::Lost)
            }
        }
    }

    /// Passes on what a command says, so that it does not tear a progress bar to pieces.
    pub(super) fn pass_on(stderr: ChildStderr) -> Self {
        let remembered = Arc::new(Mutex::new(Vec::new()));
        let (done, ended) = mpsc::channel();
        let into = Arc::clone(&remembered);
        thread::spawn(move || {
            let mut stderr = BufReader::new(stderr);
            let mut line = Vec::new();
            while stderr.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
                log::pass_on(&line);
                let mut into = lock(&into);
                into.append(&mut line);
                let before = into.len().saturating_sub(REMEMBERED_BYTES);
                into.drain(..before);
            }
            drop(done);
        });
        Self::Passed(remembered, ended)
    }

    /// Waits until what a command that has ended said is passed on.
    pub(super) fn settle(&self) {
        if let Self::Passed(_, ended) = self {
            let _ = ended.recv_timeout(PATIENCE);
        }
    }

    /// Why the command failed, in its own words.
    pub(super) fn reason(&self) -> String {
        let said = match self {
            Self::Logged(path, begin) => read_from(path, *begin),
            Self::Passed(remembered, _) => Ok(lock(remembered).clone()),
            Self::Lost => return "what it said is lost".to_owned(),
        };
        match said {
            Ok(said) => reason(&String::from_utf8_lossy(&said)).unwrap_or("it said nothing").to_owned(),
            Err(error) => format!("what it said cannot be read: {error}"),
        }
    }
}

fn lock(remembered: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    remembered.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read_from(path: &Path, begin: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(begin))?;
    let mut said = Vec::new();
    file.read_to_end(&mut said)?;
    Ok(said)
}

/// The line of a log that says why a program failed: the head of Python's last exception, which can go on over lines that say
/// nothing alone, else the last line.
fn reason(log: &str) -> Option<&str> {
    let lines = || log.lines().rev().filter(|line| !line.trim().is_empty());
    let is_exception = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default();
        let is_name = name.chars().all(|one| one.is_alphanumeric() || one == '.' || one == '_');
        is_name && (name.ends_with("Error") || name.ends_with("Exception"))
    };
    lines().find(is_exception).or_else(|| lines().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_the_last_exception_says_why_a_target_failed() {
        let traceback = "Traceback (most recent call last):\n  File \"x.py\", line 1\nsqlalchemy.exc.OperationalError: \
                         (psycopg.OperationalError) connection refused\nIs the server running?\n(Background on this \
                         error at: https://sqlalche.me/e/20/e3q8)\n\n";
        assert_eq!(
            reason(traceback),
            Some("sqlalchemy.exc.OperationalError: (psycopg.OperationalError) connection refused")
        );
        assert_eq!(reason("one\nno room\n \n"), Some("no room"));
        assert_eq!(reason("\n"), None);
    }
}
