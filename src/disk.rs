//! Files that are replaced whole, and what a failed write says about the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Readable and writable by the owner alone.
const OWNER_ONLY: u32 = 0o600;
/// What the process's mask leaves of it.
const ANY_MODE: u32 = 0o666;

/// Whether a file cannot be written for want of room. A quota of the user and a limit of the process count like a full disk.
pub fn is_full(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

/// Puts a file in the place of another in one step: a reader sees the old one or the new one, whole. A link stays, and what it
/// leads to is replaced.
///
/// # Errors
/// When the folder cannot be written to, or something is there that is no file.
pub fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    replace(path, content, ANY_MODE, false)
}

/// The same, on the disk when it returns: after a power failure one of the two is there, whole.
///
/// # Errors
/// The same.
pub fn replace_file_durably(path: &Path, content: &[u8]) -> io::Result<()> {
    replace(path, content, ANY_MODE, true)
}

/// The same, readable by its owner alone.
///
/// # Errors
/// The same.
pub fn replace_secret_file(path: &Path, content: &[u8]) -> io::Result<()> {
    replace(path, content, OWNER_ONLY, true)
}

/// Finds out whether [`replace_secret_file`] can write.
///
/// # Errors
/// Why not.
pub fn probe_secret_file(path: &Path) -> io::Result<()> {
    let beside = beside(&resolved(path))?;
    create(&beside, OWNER_ONLY)?;
    fs::remove_file(beside)
}

fn replace(path: &Path, content: &[u8], mode: u32, durably: bool) -> io::Result<()> {
    let path = resolved(path);
    match fs::metadata(&path) {
        // A device, such as /dev/null, must not become a file.
        Ok(there) if there.file_type().is_char_device() => {
            return OpenOptions::new().write(true).open(&path)?.write_all(content);
        }
        Ok(there) if !there.is_file() => return Err(io::Error::other("there is something that is no file")),
        _ => {}
    }
    let beside = beside(&path)?;
    let written = write_new(&beside, content, mode, durably).and_then(|()| fs::rename(&beside, &path));
    if written.is_err() {
        // It is not there when it could not be made.
        let _ = fs::remove_file(&beside);
    }
    written?;
    // The name must survive a power failure as well as the bytes.
    if durably { File::open(folder_of(&path))?.sync_all() } else { Ok(()) }
}

fn write_new(path: &Path, content: &[u8], mode: u32, durably: bool) -> io::Result<()> {
    let mut file = create(path, mode)?;
    file.write_all(content)?;
    if durably { file.sync_all() } else { Ok(()) }
}

fn create(path: &Path, mode: u32) -> io::Result<File> {
    // One that a crash left may have another mode.
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

/// What a link leads to.
fn resolved(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// A file of this process in the same folder, since only there a rename is one step.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let mut name = path.file_name().ok_or(ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    Ok(path.with_file_name(name))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
