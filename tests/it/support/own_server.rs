//! A Postgres server of one test alone, which may be changed and crashed.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::clients::tool;
use super::postgres::Database;

/// Stops with the test.
pub(crate) struct OwnServer {
    folder: TempDir,
    pub(crate) database: Database,
}

impl OwnServer {
    /// Starts one; panics when there is no Postgres.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = run("start", folder.path());
        Self { folder, database: Database::at(url.trim()) }
    }

    /// Its folder, where its socket is.
    pub(crate) fn cluster(&self) -> String {
        fs::read_to_string(self.folder.path().join("postgres")).expect("the note").trim().to_owned()
    }

    /// Kills its processes and starts it again.
    pub(crate) fn crash(&self) {
        run("crash", self.folder.path());
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        let _ = prepared("stop", self.folder.path()).status();
    }
}

fn prepared(command: &str, folder: &Path) -> Command {
    let mut prepared = Command::new(tool("postgres.sh"));
    prepared.arg(command).arg(folder).stdin(Stdio::null());
    prepared
}

fn run(command: &str, folder: &Path) -> String {
    let output = prepared(command, folder).output().expect("postgres.sh runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}
