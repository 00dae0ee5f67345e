//! Figures that a run of the tests leaves: what was tried, and what came of it.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

/// Keeps a line of figures in the build folder, where `make test` shows all of them at its end, and writes it to stderr
/// past the harness, which swallows what good tests print.
pub(crate) fn tell(name: &str, line: &str) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("figures");
    fs::create_dir_all(&folder).expect("a writable build folder");
    fs::write(folder.join(name), format!("{name}: {line}\n")).expect("a writable folder");
    writeln!(std::io::stderr(), "{name}: {line}").expect("stderr");
}

/// A seed: that of the environment variable `TAP_TEST_SEED`, or a new one; `tell` it, so that a failure can be seen again.
pub(crate) fn seed() -> u64 {
    match std::env::var("TAP_TEST_SEED") {
        Ok(text) => text.parse().expect("TAP_TEST_SEED is a number"),
        Err(_) => fastrand::u64(..1_000_000),
    }
}
