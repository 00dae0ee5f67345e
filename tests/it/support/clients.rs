//! The Python clients that `make test` installs.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The build folder: Cargo gives the integration tests a folder directly below it.
pub(crate) fn build_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).parent().expect("a folder below the build folder").to_owned()
}

/// A file of `tests/tools`.
pub(crate) fn tool(name: &str) -> PathBuf {
    repository("tests/tools").join(name)
}

/// A file or folder of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs a command that has to succeed, and gives what it says.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().expect("it runs");
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {said}");
    said
}

/// Prepares a command that builds the programs itself: it builds into our build folder, and a wheel on the profile
/// `quick`.
///
/// What `cargo test` tells its tests is taken away, or crates that look at it would be built anew for each of them.
pub(crate) fn building(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(name);
        }
    }
    command.env("CARGO_TARGET_DIR", build_folder()).env("MATURIN_PEP517_ARGS", "--profile quick")
}

/// A program of one of the virtual environments.
///
/// Panics when it is not there: a test that needs a client is never skipped.
pub(crate) fn program(environment: &str, name: &str) -> Command {
    let path = build_folder().join("clients").join(environment).join("bin").join(name);
    assert!(path.exists(), "{} is missing: run `make test`, which installs it", path.display());
    let mut command = Command::new(path);
    // Whoever runs the tests may have settings of their own for Python or Postgres.
    for variable in ["PYTHONPATH", "PYTHONHOME", "PGTZ", "PGOPTIONS", "PGHOST", "PGPORT", "PGUSER", "PGDATABASE"] {
        command.env_remove(variable);
    }
    command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
    command
}
