//! The Singer target: the command line, what each of its ways of running does, and how it ends.

mod accounts;
mod breaker;
mod check;
mod chunk;
mod cli;
mod definitions;
mod delivery;
mod exit;
mod field;
mod groups;
mod identity;
mod input;
mod known;
mod lines;
mod lines_file;
mod linking;
mod lookups;
mod matching;
mod memory;
mod moment;
mod plan;
mod portal;
mod portal_rules;
mod preview;
mod references;
mod rejects;
mod run;
mod settling;
mod summary;
mod table;
mod value;
mod waiting;
mod wanted;
mod wording;
mod writer;
mod writing;

use std::panic::{AssertUnwindSafe, catch_unwind};

use clap::Parser;

use cli::Arguments;
use exit::TargetError;

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

/// Reads input as a run does, and forgets it: for those that hold the reader against any bytes. Returns the number of
/// each line that a run takes or rejects.
///
/// # Errors
/// The sentence that a run would end with.
pub fn check_input(form: InputForm, input: &[u8]) -> Result<Vec<u64>, String> {
    let stream = || lines::PlainStream { name: "contacts".to_owned(), key_properties: Vec::new() };
    let format = match form {
        InputForm::Singer => lines::Format::Singer,
        InputForm::Records => lines::Format::Records(stream()),
        InputForm::Csv => lines::Format::Table(stream(), None),
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
