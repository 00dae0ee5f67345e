//! The Singer face: the command line, what each of its ways of running does, and how it ends.

mod check;
mod cli;
mod exit;
mod portal;
mod progress;
mod sync;

use clap::Parser;

use cli::{Arguments, TestMode};
use exit::TapError;

use crate::about::Program;
use crate::config::settings_schema;
use crate::log;

/// What the tap can, in the words of Meltano's SDK.
const CAPABILITIES: [&str; 5] = ["catalog", "discover", "state", "about", "activate-version"];

/// Runs the tap with the process's arguments; returns the exit code, of which `exit` holds the table.
pub fn run() -> u8 {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return cli::report(&error),
    };
    log::start();
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

fn dispatch(arguments: &Arguments) -> Result<(), TapError> {
    let program = Program {
        name: env!("CARGO_PKG_NAME"),
        description: env!("CARGO_PKG_DESCRIPTION"),
        capabilities: &CAPABILITIES,
        schema: settings_schema(),
    };
    // These answer whatever else an orchestrator puts in front of them.
    if arguments.version {
        return program.write_version().map_err(TapError::Output);
    }
    if arguments.about {
        return program.describe(arguments.format).map_err(TapError::Output);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(TapError::Runtime)?;
    let result = runtime.block_on(async {
        match (arguments.discover, arguments.test) {
            (true, _) => portal::discover(arguments).await,
            (false, Some(TestMode::Connection)) => check::connection(arguments).await,
            (false, Some(mode)) => check::messages(arguments, mode).await,
            (false, None) => sync::run(arguments).await,
        }
    });
    // A writer blocked on a reader that does not read must not hold up the end.
    runtime.shutdown_background();
    result
}
