//! The state file of a run whose target is run by the tap: each STATE that the target prints replaces it.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::ChildStdout;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::disk::replace_file_durably;
use crate::session::{Lock, TapError};

/// How long a run waits for the target of an earlier one, whose tap was killed: it sees the end of its input and ends.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
/// How often it looks.
const LOCK_INTERVAL: Duration = Duration::from_millis(100);
/// How long after the target's end its next line may take: another process may hold its stdout open.
const LINE_PATIENCE: Duration = Duration::from_secs(1);
/// How much is shown of a line that is no state.
const SHOWN_CHARS: usize = 200;

/// A state file, which no other run uses.
#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
    /// None where locks do not work.
    lock: Option<Lock>,
}

impl StateFile {
    /// Takes the state file, which is made where it is missing.
    ///
    /// Its lock is held by the target, too. When the tap is killed, its target goes on loading what it was sent, and a new run
    /// that did not wait would have its rows replaced by these older ones.
    ///
    /// # Errors
    /// [`TapError::File`] when it cannot be written; [`TapError::Locked`] when another run uses it.
    pub(super) async fn take(path: &Path) -> Result<Self, TapError> {
        let opened = OpenOptions::new().create(true).append(true).open(path).and_then(|file| file.metadata());
        let there = opened.map_err(|source| TapError::File { path: path.to_owned(), source })?;
        // A device, such as /dev/null, keeps nothing that a second run could harm.
        let lock = if there.file_type().is_char_device() { None } else { lock(path).await? };
        Ok(Self { path: path.to_owned(), lock })
    }

    /// The lock for a process that is to hold it as well.
    pub(super) fn share_lock(&self) -> io::Result<Option<OwnedFd>> {
        self.lock.as_ref().map(Lock::share).transpose()
    }

    /// Keeps each state that a target prints, as soon as it comes.
    pub(super) fn keep(&self, stdout: ChildStdout) -> States {
        let (sender, events) = mpsc::channel();
        let path = self.path.clone();
        thread::spawn(move || keep_states(BufReader::new(stdout), &path, &sender));
        States { path: self.path.clone(), events }
    }
}

async fn lock(path: &Path) -> Result<Option<Lock>, TapError> {
    let begun = Instant::now();
    loop {
        match Lock::of_state(path) {
            Ok(lock) => return Ok(Some(lock)),
            Err(TapError::Locked { holder, .. }) if begun.elapsed() < LOCK_PATIENCE => {
                tracing::debug!("the state file {} is used by {holder}, or by the target that it ran", path.display());
                sleep(LOCK_INTERVAL).await;
            }
            Err(error @ TapError::Locked { .. }) => return Err(error),
            Err(error) => {
                tracing::warn!("{error}; nothing keeps a second run from using the same state");
                return Ok(None);
            }
        }
    }
}

/// The states that a target prints.
#[derive(Debug)]
pub(super) struct States {
    path: PathBuf,
    events: mpsc::Receiver<Option<io::Error>>,
}

impl States {
    /// Waits until what a target that has ended printed is kept.
    ///
    /// # Errors
    /// When its last state could not be written.
    pub(super) fn end(self) -> Result<(), TapError> {
        let mut failure = None;
        while let Ok(event) = self.events.recv_timeout(LINE_PATIENCE) {
            failure = event;
        }
        match failure {
            None => Ok(()),
            Some(source) => Err(TapError::File { path: self.path, source }),
        }
    }
}

/// Keeps states until their source ends; tells of each one that was written, or why it was not.
fn keep_states(mut states: BufReader<impl io::Read>, path: &Path, events: &mpsc::Sender<Option<io::Error>>) {
    let mut line = Vec::new();
    let mut newest: Option<Vec<u8>> = None;
    while states.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
        if serde_json::from_slice::<Value>(&line).is_ok_and(|value| value.is_object()) {
            newest = Some(line.trim_ascii().to_owned());
        } else if !line.trim_ascii().is_empty() {
            let shown: String = String::from_utf8_lossy(line.trim_ascii()).chars().take(SHOWN_CHARS).collect();
            tracing::warn!("the output command printed what is no state, and it is not kept: {shown}");
        }
        line.clear();
        // Of several that came at once the last one is kept.
        if !states.buffer().contains(&b'\n')
            && let Some(state) = newest.take()
        {
            // Nobody listens once the process is about to end.
            let _ = events.send(write(path, &state).err());
        }
    }
    if let Some(state) = newest {
        let _ = events.send(write(path, &state).err());
    }
}

/// Writes a state in the place of the one before. Where the folder does not allow that, it is added as a line: of several the
/// last whole one counts.
fn write(path: &Path, state: &[u8]) -> io::Result<()> {
    let line = [state, b"\n"].concat();
    let Err(error) = replace_file_durably(path, &line) else { return Ok(()) };
    let added = OpenOptions::new().append(true).open(path).and_then(|mut file| {
        // Half a line may stand there.
        if fs::metadata(path)?.len() > 0 {
            file.write_all(b"\n")?;
        }
        file.write_all(&line)?;
        file.sync_data()
    });
    if added.is_err() {
        tracing::warn!("the state cannot be written to {}: {error}", path.display());
    }
    added
}
