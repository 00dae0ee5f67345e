//! `target-pg` as its users run it: a program in a folder with its config, and lines on stdin.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::clients::program;
use super::delivery::lines;
use super::postgres::Database;
use super::tap::Finished;

/// The schema that both loaders of a test write to.
pub(crate) const SCHEMA: &str = "loaded";

/// A folder with a config for one database.
pub(crate) struct Loader {
    folder: TempDir,
    config: Map<String, Value>,
}

impl Loader {
    /// The least config that works, with the schema of the tests.
    pub(crate) fn of(database: &Database) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = database.url().replace("postgresql:", "postgresql+psycopg:");
        let Value::Object(config) = json!({
            "sqlalchemy_url": format!("{url}?options=-c%20TimeZone%3DUTC"),
            "default_target_schema": SCHEMA,
            "validate_records": false,
        }) else {
            unreachable!("an object was written")
        };
        let loader = Self { folder, config };
        loader.write_config();
        loader
    }

    /// Adds a setting; null takes it away.
    pub(crate) fn set(&mut self, setting: &str, value: Value) -> &mut Self {
        self.config.insert(setting.to_owned(), value);
        self.config.retain(|_, value| !value.is_null());
        self.write_config();
        self
    }

    fn write_config(&self) {
        fs::write(self.path("target.json"), Value::Object(self.config.clone()).to_string()).expect("a writable folder");
    }

    /// Where a file of this name is in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `target-pg` with these arguments alone, stderr going to the file `target.log`; nothing of the environment reaches
    /// it that could change what it does.
    pub(crate) fn bare_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_target-pg"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("PG") || name.starts_with("TARGET_PG_") || name == "RUST_LOG" {
                command.env_remove(&*name);
            }
        }
        let log = File::create(self.path("target.log")).expect("a writable folder");
        command.args(arguments).env("HOME", self.folder.path());
        command.current_dir(self.folder.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        command
    }

    /// `target-pg --config target.json` with these arguments behind.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare_command(&["--config", "target.json"]);
        command.args(arguments);
        command
    }

    /// Loads text.
    pub(crate) fn load_text(&self, text: impl AsRef<[u8]>) -> Finished {
        fs::write(self.path("input.jsonl"), text).expect("a writable folder");
        let mut command = self.command(&[]);
        command.stdin(self.input());
        self.finish(command)
    }

    /// Loads messages, one a line.
    pub(crate) fn load(&self, messages: &[Value]) -> Finished {
        self.load_text(lines(messages))
    }

    /// Loads text by meltanolabs' target-postgres, with the same config.
    pub(crate) fn load_text_by_meltanolabs(&self, text: &str) -> Finished {
        fs::write(self.path("input.jsonl"), text).expect("a writable folder");
        let mut command = program("target-postgres", "target-postgres");
        let log = File::create(self.path("target.log")).expect("a writable folder");
        command.args(["--config", "target.json"]).current_dir(self.folder.path());
        command.stdin(self.input()).stdout(Stdio::piped()).stderr(log);
        self.finish(command)
    }

    fn input(&self) -> File {
        File::open(self.path("input.jsonl")).expect("the input")
    }

    /// Runs a command made by this to its end.
    pub(crate) fn finish(&self, mut command: Command) -> Finished {
        let output = command.output().expect("the target runs");
        Finished { code: output.status.code(), stdout: output.stdout, stderr: self.log() }
    }

    /// What the last run wrote to stderr.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("target.log")).expect("a log in UTF-8")
    }
}

/// A SCHEMA with these properties and keys.
pub(crate) fn schema(stream: &str, properties: Value, keys: &[&str]) -> Value {
    json!({"type": "SCHEMA", "stream": stream, "schema": {"type": "object", "properties": properties}, "key_properties": keys})
}

/// The states that a run wrote, in their order.
pub(crate) fn states(finished: &Finished) -> Vec<Value> {
    finished.text().lines().map(|line| serde_json::from_str(line).expect("a state")).collect()
}

/// The columns that say when a row was loaded, and differ from run to run.
const OF_THE_RUN: [&str; 4] = ["_sdc_received_at", "_sdc_batched_at", "_sdc_sequence", "_sdc_sync_started_at"];

/// All rows of a table in the text form of COPY's values, in the order of their texts, without what differs from run to
/// run; each value as `column=value`.
pub(crate) fn table(database: &Database, schema: &str, name: &str) -> Vec<Vec<String>> {
    let columns: Vec<String> = database.columns(schema, name).into_iter().map(|(column, _)| column).collect();
    let columns: Vec<String> = columns.into_iter().filter(|column| !OF_THE_RUN.contains(&column.as_str())).collect();
    assert!(!columns.is_empty(), "no table {schema}.{name}");
    let list: Vec<_> = columns.iter().map(|column| format!("\"{}\"::text", column.replace('"', "\"\""))).collect();
    let rows = database.rows(&format!("select {} from \"{schema}\".\"{name}\"", list.join(", ")));
    let shown = |(column, value): (&String, Option<String>)| format!("{column}={}", value.unwrap_or("NULL".to_owned()));
    let mut rows: Vec<Vec<String>> = rows.into_iter().map(|row| columns.iter().zip(row).map(shown).collect()).collect();
    rows.sort();
    rows
}

/// What `information_schema` says of a schema's tables.
pub(crate) fn definitions(database: &Database, schema: &str) -> Vec<Vec<Option<String>>> {
    database.rows(&format!(
        "select c.table_name, c.ordinal_position, c.column_name, c.data_type, c.udt_name, c.is_nullable, c.column_default, \
                c.character_maximum_length, c.numeric_precision, c.numeric_scale, c.datetime_precision, \
                k.constraint_name, k.ordinal_position \
         from information_schema.columns c left join information_schema.key_column_usage k \
           using (table_schema, table_name, column_name) \
         where c.table_schema = '{schema}' order by 1, c.ordinal_position"
    ))
}
