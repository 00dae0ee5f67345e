//! The Singer target: the command line, what each of its ways of running does, and how it ends.

mod check;
mod chunk;
mod cli;
mod definitions;
mod delivery;
mod exit;
mod field;
mod input;
mod known;
mod linking;
mod matching;
mod plan;
mod portal;
mod preview;
mod references;
mod rejects;
mod run;
mod summary;
mod value;
mod wanted;
mod writing;

use std::panic::{AssertUnwindSafe, catch_unwind};

use clap::Parser;

use cli::Arguments;
use exit::TargetError;

use crate::about::{Plugin, Program};
use crate::client::runtime;
use crate::config::target_schema;
use crate::log;

/// What the target can, in the words of Meltano's SDK.
const CAPABILITIES: [&str; 2] = ["about", "activate-version"];

/// Reads a line of input as a run does, and forgets it: for those that hold the reader against any text.
///
/// # Errors
/// The sentence that a run would end or reject the line with.
pub fn check_line(number: u64, text: &str) -> Result<(), String> {
    let line = input::Line { number, text: text.to_owned() };
    input::parse(&line).map(drop).map_err(|error| error.to_string())
}

/// Runs the target with the process's arguments; returns the exit code.
pub fn run() -> u8 {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return cli::report(&error),
    };
    log::start(None, false);
    let ended = catch_unwind(AssertUnwindSafe(|| dispatch(&arguments)));
    match ended.unwrap_or(Err(TargetError::Panicked)) {
        Ok(()) => 0,
        Err(error) => {
            tracing::error!("{error}");
            error.exit_code()
        }
    }
}

fn dispatch(arguments: &Arguments) -> Result<(), TargetError> {
    let program = Program {
        name: "target-hubspot",
        description: "Singer target for HubSpot: writes contacts, companies, deals and tickets with their associations",
        capabilities: &CAPABILITIES,
        choosing: "",
        plugin: Plugin { kind: "loaders", label: "HubSpot" },
        schema: target_schema(),
    };
    // These answer whatever else an orchestrator puts in front of them.
    if arguments.version {
        return program.write_version().map_err(TargetError::Output);
    }
    if arguments.about {
        return program.describe(arguments.format).map_err(TargetError::Output);
    }
    let runtime = runtime().map_err(TargetError::Runtime)?;
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
