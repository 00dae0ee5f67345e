//! The Singer target: the command line, what each of its ways of running does, and how it ends.

mod associate;
mod breaker;
mod cli;
mod connection_test;
mod csv_input;
mod date_time;
mod deferred;
mod definitions;
mod delivery;
mod desired;
mod dry_run;
mod error;
mod field;
mod field_names;
mod foreseen;
mod groups;
mod identity;
mod input;
mod lines;
mod lines_file;
mod lookups;
mod matching;
mod order;
mod outcome_log;
mod pending_states;
mod physical_lines;
mod placeholder;
mod plan;
mod portal_rules;
mod preview;
mod property_definition;
mod record_index;
mod references;
mod rejection;
mod rejects;
mod resolved_line;
mod run;
mod scalars;
mod session;
mod spill_map;
mod summary;
mod value;
mod wording;
mod write_batch;
mod write_context;
mod write_step;
mod writer;
mod writing;

use std::panic::{AssertUnwindSafe, catch_unwind};

use clap::Parser;

use cli::TargetArguments;
use error::TargetError;

use crate::about::{Plugin, Program};
use crate::config::target_schema;
use crate::log;
use crate::session::runtime;

/// What the target can, in the words of Meltano's SDK.
const CAPABILITIES: [&str; 2] = ["about", "activate-version"];

/// A form of input, for [`check_input`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputForm {
    /// Singer messages.
    Singer,
    /// JSON objects, one a line.
    Records,
    /// A CSV file.
    Csv,
}

/// Reads input as a run does, and delivers nothing: the entry point for fuzzing. Returns the number of
/// each line that a run takes or rejects.
///
/// # Errors
/// The sentence that a run would end with.
pub fn check_input(form: InputForm, input: &[u8]) -> Result<Vec<u64>, String> {
    let stream = || physical_lines::PlainStream { name: "contacts".to_owned(), key_properties: Vec::new() };
    let format = match form {
        InputForm::Singer => lines::InputFormat::Singer,
        InputForm::Records => lines::InputFormat::Records(stream()),
        InputForm::Csv => lines::InputFormat::Table(stream(), None),
    };
    let mut numbers = Ok(Vec::new());
    lines::read(input, &format, &mut |line| {
        let message = line.and_then(|line| Ok((line.number, input::parse(&line)?)));
        match (message, &mut numbers) {
            // The SCHEMA that is made for a stream has the number of the line behind it.
            (Ok((number, _)), Ok(numbers)) if numbers.last() != Some(&number) => numbers.push(number),
            (Err(error), numbers) => *numbers = Err(error.to_string()),
            (Ok(_), _) => {}
        }
        numbers.is_ok()
    });
    numbers
}

/// Runs the target with the process's arguments; returns the exit code.
pub fn run() -> u8 {
    let arguments = match TargetArguments::try_parse() {
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

fn dispatch(arguments: &TargetArguments) -> Result<(), TargetError> {
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
            true => connection_test::run(arguments).await,
            false => run::run(arguments).await,
        }
    });
    // A thread that is blocked on stdin must not delay the exit.
    runtime.shutdown_background();
    result
}
