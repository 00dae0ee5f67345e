//! One throw-away Postgres server for the test process, and a database of its own for each test.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio_postgres::{NoTls, SimpleQueryMessage};

use super::clients::tool;

/// Starts at the first test that needs it.
///
/// The script stops the server when its standard input ends. The other end of that pipe is held here and closed by
/// the kernel, however this process ends: nothing is left behind when a test panics or the run is killed.
static SERVER: LazyLock<Result<Server, String>> = LazyLock::new(Server::start);

/// The server, as its script told of it.
struct Server {
    url: String,
    _script: Child,
}

impl Server {
    fn start() -> Result<Self, String> {
        let mut script = Command::new(tool("postgres.sh"))
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("tests/tools/postgres.sh does not run: {error}"))?;
        let mut url = String::new();
        let stdout = script.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut url).map_err(|error| error.to_string())?;
        if url.is_empty() {
            let said = script.wait_with_output().map_err(|error| error.to_string())?.stderr;
            return Err(format!("{}; or run `make test`, which installs one", String::from_utf8_lossy(&said).trim()));
        }
        Ok(Self { url: url.trim().to_owned(), _script: script })
    }
}

/// A new, empty database.
pub(crate) struct Database {
    url: String,
}

impl Database {
    /// Makes one that no other test uses.
    ///
    /// Panics when there is no Postgres: a test that needs one is never skipped.
    pub(crate) fn create() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let server = SERVER.as_ref().unwrap_or_else(|why| panic!("{why}"));
        let name = format!("test_{}", MADE.fetch_add(1, Ordering::Relaxed));
        query(&server.url, &format!("create database {name}"));
        let (server_part, _) = server.url.rsplit_once('/').expect("a database in the URL");
        Self { url: format!("{server_part}/{name}") }
    }

    /// One that is there.
    pub(crate) fn at(url: &str) -> Self {
        Self { url: url.to_owned() }
    }

    /// `postgresql://user:password@host:port/database`
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// User, password, host, port and name, for clients that take no URL.
    pub(crate) fn parts(&self) -> [&str; 5] {
        let rest = self.url.strip_prefix("postgresql://").expect("a Postgres URL");
        let parts: Vec<&str> = rest.split([':', '@', '/']).collect();
        parts.try_into().expect("user:password@host:port/name")
    }

    /// All rows of a query, every value as Postgres writes it, so that no digit is lost on the way.
    pub(crate) fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        query(&self.url, sql)
    }

    /// The one number that a query gives, such as a count.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        let rows = self.rows(sql);
        let [row] = rows.as_slice() else { panic!("{sql}: {} rows", rows.len()) };
        row[0].as_deref().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{sql}: {row:?}"))
    }

    /// Names and types of a table's columns, in their order.
    pub(crate) fn columns(&self, schema: &str, table: &str) -> Vec<(String, String)> {
        let sql = format!(
            "select column_name, data_type from information_schema.columns \
             where table_schema = '{schema}' and table_name = '{table}' order by ordinal_position"
        );
        let text = |value: Option<String>| value.expect("no null here");
        self.rows(&sql)
            .into_iter()
            .map(|row| {
                let [name, kind] = <[_; 2]>::try_from(row).expect("two columns");
                (text(name), text(kind))
            })
            .collect()
    }
}

/// Runs one statement on a connection of its own; the simple protocol gives every value as text.
fn query(url: &str, sql: &str) -> Vec<Vec<Option<String>>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a connection");
        let connection = tokio::spawn(connection);
        let messages = client.simple_query(sql).await.unwrap_or_else(|error| {
            let why = error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string);
            panic!("{sql}: {why}")
        });
        drop(client);
        connection.await.expect("no panic").expect("an orderly end");
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        rows.map(|row| (0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect()).collect()
    })
}
