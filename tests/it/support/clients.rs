//! The Python clients that `make test` installs.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The build folder: Cargo gives the integration tests a folder directly below it.
pub(crate) fn build_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).parent().expect("a folder below the build folder").to_owned()
}

/// A file of `tests/tools`.
pub(crate) fn tool(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/tools").join(name)
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
