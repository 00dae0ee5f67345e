//! The Singer target for Postgres: the command line, what each of its ways of running does, and how it ends.
//!
//! One thread reads stdin, a second one makes rows of its lines and puts them together into batches, and the main thread
//! loads those, one in a transaction.

mod address;
mod assembly;
mod batch;
mod check;
mod cli;
mod column;
mod connection;
mod copy_text;
mod environment;
mod exit;
mod input;
mod instant;
mod load;
mod loader;
mod message;
mod number;
mod passfile;
mod plan;
mod refusal;
mod refused;
mod row;
mod run;
mod settings;
mod sql_type;
mod stream_schema;
mod summary;
mod table;
mod table_name;
mod tls;
mod value;
mod widening;

use clap::Parser;
use tokio::runtime::Builder;

use cli::TargetPgArguments;
use exit::LoadError;
use settings::settings_schema;

use crate::about::{Plugin, Program};
use crate::log;

/// What the target can, in the words of Meltano's SDK.
const CAPABILITIES: [&str; 7] = [
    "about",
    "activate-version",
    "hard-delete",
    "record-metadata",
    "soft-delete",
    "structured-logging",
    "target-schema",
];

/// Runs the target with the process's arguments; returns the exit code.
pub fn run() -> u8 {
    let arguments = match TargetPgArguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return cli::report(&error),
    };
    log::start(arguments.log_format, arguments.quiet);
    match dispatch(&arguments) {
        Ok(()) => 0,
        Err(error) => {
            let code = error.exit_code();
            if !error.is_quiet() {
                tracing::error!("{error}");
            }
            code
        }
    }
}

fn dispatch(arguments: &TargetPgArguments) -> Result<(), LoadError> {
    let program = Program {
        name: "target-pg",
        description: "Singer target for Postgres: loads the streams of any tap into tables, by COPY, a batch in a transaction",
        capabilities: &CAPABILITIES,
        choosing: "",
        plugin: Plugin { kind: "loaders", label: "Postgres" },
        schema: settings_schema(),
    };
    // These answer whatever else an orchestrator puts in front of them.
    if arguments.version {
        return program.write_version().map_err(LoadError::Output);
    }
    if arguments.about {
        return program.describe(arguments.format).map_err(LoadError::Output);
    }
    let runtime = Builder::new_current_thread().enable_all().build().map_err(LoadError::Runtime)?;
    let result = runtime.block_on(async {
        match arguments.test {
            true => check::connection(arguments).await,
            false => run::run(arguments).await,
        }
    });
    // A thread that waits for input must not hold up the end.
    runtime.shutdown_background();
    result
}
