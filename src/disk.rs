//! What a failed write says about the disk.

use std::io::ErrorKind;

/// Whether a file cannot be written for want of room. A quota of the user and a limit of the process count like a full disk.
pub fn is_full(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}
