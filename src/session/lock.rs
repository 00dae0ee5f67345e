//! One run of a portal at a time: two would send the same rows twice and leave two states, of which the target keeps one.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::exit::TapError;

/// A lock of a portal or of a tenant's folder, held until this goes; the system takes it back from a process that dies.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Drop for Lock {
    /// Frees it also where a process that was started under it still has the file open.
    fn drop(&mut self) {
        // The end of this process frees it too.
        let _ = self.file.unlock();
    }
}

impl Lock {
    /// Takes a program's lock of a portal, in a folder that is made where it is missing.
    ///
    /// # Errors
    /// [`TapError::Locked`] when another run has it; [`TapError::LockUnusable`] when the folder cannot be used.
    pub fn take(folder: &Path, program: &str, portal_id: &str) -> Result<Self, TapError> {
        let path = folder.join(format!("{program}.{portal_id}.lock"));
        let unusable = |path, reason| TapError::LockUnusable { path, reason };
        match fs::create_dir_all(folder) {
            Ok(()) => Self::of(path, format!("portal {portal_id}"), unusable),
            Err(error) => Err(unusable(path, error)),
        }
    }

    /// Whether [`Lock::take`] can make its file in a folder; nothing is made or taken.
    ///
    /// # Errors
    /// [`TapError::LockUnusable`] when the folder cannot be used.
    pub fn check(folder: &Path) -> Result<(), TapError> {
        let is_there = |path: &&Path| path.as_os_str().is_empty() || path.exists();
        let nearest = folder.ancestors().find(is_there).filter(|path| !path.as_os_str().is_empty());
        let made = tempfile::tempfile_in(nearest.unwrap_or(Path::new(".")));
        made.map(drop).map_err(|reason| TapError::LockUnusable { path: folder.to_owned(), reason })
    }

    /// Takes the lock of a tenant's folder.
    ///
    /// # Errors
    /// [`TapError::Locked`] when another process has it; [`TapError::File`] when its file cannot be used.
    pub fn of_tenant(folder: &Path, tenant: &str) -> Result<Self, TapError> {
        Self::of(folder.join("tap.lock"), format!("tenant {tenant}"), |path, source| TapError::File { path, source })
    }

    /// Takes the lock of a state file, which is a file beside it.
    ///
    /// # Errors
    /// [`TapError::Locked`] when another process has it; [`TapError::File`] when its file cannot be used.
    pub fn of_state(state: &Path) -> Result<Self, TapError> {
        let mut path = state.as_os_str().to_owned();
        path.push(".lock");
        let of = format!("the state file {}", state.display());
        Self::of(path.into(), of, |path, source| TapError::File { path, source }).map_err(|error| match error {
            TapError::Locked { of, path, holder } => {
                TapError::Locked { of, path, holder: format!("{holder}, or the output command that it ran,") }
            }
            error => error,
        })
    }

    /// A second handle of its file: while a process has one, the lock is held, even when this process was killed.
    ///
    /// # Errors
    /// When the process has too many files open.
    pub fn share(&self) -> io::Result<OwnedFd> {
        self.file.try_clone().map(OwnedFd::from)
    }

    /// Takes a lock by its file, which is made where it is missing; `of` is what runs under it, in words.
    fn of(path: PathBuf, of: String, error: fn(PathBuf, io::Error) -> TapError) -> Result<Self, TapError> {
        let unusable = |reason: io::Error| error(path.clone(), reason);
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
            Err(TryLockError::WouldBlock) => {
                // Only for people: the holder may not have written it yet.
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                let holder = Some(holder.trim().to_owned()).filter(|holder| !holder.is_empty());
                let holder = holder.unwrap_or_else(|| "a process that is starting".to_owned());
                return Err(TapError::Locked { of, path, holder });
            }
        }
        // The file stays when the run ends: removing it would let a third run lock another one of the same name.
        let named = file.set_len(0).and_then(|()| file.rewind());
        let named = named.and_then(|()| writeln!(file, "process {}", std::process::id()));
        if let Err(error) = named {
            // The lock holds all the same; only its name for people is missing.
            tracing::warn!("the lock {} does not tell who holds it: {error}", path.display());
        }
        Ok(Self { file })
    }
}
