//! What the process's environment says: variables by their name, and the user's folder.

use std::path::{Path, PathBuf};

/// A value of the environment by its name.
pub(super) type Variable<'v> = &'v dyn Fn(&str) -> Option<String>;

/// The path of a file, with the user's folder in place of a leading `~`.
pub(super) fn expand_home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => path.into(),
    }
}
