//! A throw-away Postgres server that `target-pg` loads into.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tokio_postgres::NoTls;

/// A server that ends with the value.
pub(crate) struct Postgres {
    folder: PathBuf,
    pub(crate) url: String,
}

impl Postgres {
    /// Starts one that is noted in `folder`.
    pub(crate) fn start(folder: &Path) -> Self {
        let output = script("start", folder).stderr(Stdio::inherit()).output().expect("postgres.sh runs");
        assert!(output.status.success(), "no Postgres");
        let url = String::from_utf8(output.stdout).expect("a URL");
        Self { folder: folder.to_owned(), url: url.trim().to_owned() }
    }

    /// The number that a query gives.
    pub(crate) fn number(&self, sql: &str) -> u64 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let number: i64 = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await.expect("a connection");
            tokio::spawn(connection);
            client.query_one(sql, &[]).await.expect("one row").get(0)
        });
        number.unsigned_abs()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = script("stop", &self.folder).status();
    }
}

fn script(command: &str, folder: &Path) -> Command {
    let mut script = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/postgres.sh"));
    script.arg(command).arg(folder).stdin(Stdio::null());
    script
}
