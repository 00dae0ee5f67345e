//! Real Singer targets, each with the config that the documentation recommends for it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::clients::program;
use super::postgres::Database;
use super::tap::Tap;

/// The schema that the targets load into.
pub(crate) const SCHEMA: &str = "hubspot_tickets_245001234";

/// target-postgres of the Meltano SDK, which prints one state, at the end.
pub(crate) fn target_postgres(tap: &Tap, database: &Database) -> Command {
    let url = database.url().replace("postgresql:", "postgresql+psycopg:");
    let config = json!({
        "sqlalchemy_url": format!("{url}?options=-c%20TimeZone%3DUTC"),
        "default_target_schema": SCHEMA,
        "sanitize_null_text_characters": true,
        "validate_records": false,
    });
    configured(tap, "target-postgres", "target-postgres", &config)
}

/// This package's own loader, as a command line for `--output` in the tap's folder.
pub(crate) fn target_pg(tap: &Tap, database: &Database) -> String {
    let config = json!({
        "sqlalchemy_url": database.url(), "default_target_schema": SCHEMA, "sanitize_null_text_characters": true,
    });
    tap.write("target.json", &config);
    concat!(env!("CARGO_BIN_EXE_target-pg"), " --config target.json").to_owned()
}

/// The older target-postgres of PipelineWise, which writes a stream, and prints a state, whenever it has collected
/// `batch_rows` rows of it; with `flush_all` it then writes all streams.
pub(crate) fn pipelinewise_target_postgres(
    tap: &Tap,
    database: &Database,
    batch_rows: u32,
    flush_all: bool,
) -> Command {
    let [user, password, host, port, name] = database.parts();
    let config = json!({
        "user": user, "password": password, "host": host, "port": port.parse::<u16>().expect("a port"), "dbname": name,
        "default_target_schema": SCHEMA,
        "add_metadata_columns": true,
        "batch_size_rows": batch_rows,
        "flush_all_streams": flush_all,
    });
    configured(tap, "pipelinewise-target-postgres", "target-postgres", &config)
}

/// target-jsonl: a file `STREAM.jsonl` for each stream.
pub(crate) fn target_jsonl(tap: &Tap) -> Command {
    let config = json!({"destination_path": jsonl_folder(tap), "do_timestamp_file": false});
    configured(tap, "tools", "target-jsonl", &config)
}

/// The lines that target-jsonl wrote for a stream.
pub(crate) fn jsonl_lines(tap: &Tap, stream: &str) -> Vec<String> {
    let file = jsonl_folder(tap).join(format!("{stream}.jsonl"));
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.lines().map(str::to_owned).collect()
}

/// Feeds a run's output to the Singer project's validator; gives what it printed, or panics with it.
pub(crate) fn singer_check_tap(tap: &Tap, output: &[u8]) -> String {
    let input = tap.path("output.jsonl");
    fs::write(&input, output).expect("a writable folder");
    let file = fs::File::open(&input).expect("the file just written");
    let mut command = program("tools", "singer-check-tap");
    // It leaves a folder of its own where it runs.
    command.current_dir(input.parent().expect("a folder")).stdin(Stdio::from(file));
    let checked = command.output().expect("singer-check-tap runs");
    let said = format!("{}{}", String::from_utf8_lossy(&checked.stdout), String::from_utf8_lossy(&checked.stderr));
    assert!(checked.status.success(), "{said}");
    said
}

fn jsonl_folder(tap: &Tap) -> PathBuf {
    tap.path("jsonl")
}

fn configured(tap: &Tap, environment: &str, name: &str, config: &Value) -> Command {
    tap.write("target.json", config);
    let mut command = program(environment, name);
    command.arg("--config").arg(tap.path("target.json"));
    command
}
