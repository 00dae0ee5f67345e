//! One run of a portal at a time: two would send the same rows twice and leave two states, of which the target keeps one.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use super::exit::TapError;

/// A portal's lock, held until this goes; the system takes it back from a process that dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes a program's lock of a portal, in a folder that is made where it is missing.
    ///
    /// # Errors
    /// [`TapError::Locked`] when another run has it; [`TapError::LockUnusable`] when the folder cannot be used.
    pub fn take(folder: &Path, program: &str, portal_id: &str) -> Result<Self, TapError> {
        let path = folder.join(format!("{program}.{portal_id}.lock"));
        let unusable = |reason: io::Error| TapError::LockUnusable { path: path.clone(), reason };
        fs::create_dir_all(folder).map_err(unusable)?;
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
                return Err(TapError::Locked { portal_id: portal_id.to_owned(), path, holder });
            }
        }
        // The file stays when the run ends: removing it would let a third run lock another one of the same name.
        let named = file.set_len(0).and_then(|()| file.rewind());
        named.and_then(|()| writeln!(file, "process {}", std::process::id())).map_err(unusable)?;
        Ok(Self { _file: file })
    }
}
