//! The Singer face: the command line, what each of its ways of running does, and how it ends.

mod board;
mod check;
mod cli;
mod command;
mod output;
mod overview;
mod plan;
mod progress;
mod singer;
mod state_file;
mod sync;
mod tenants;
mod words;

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use clap::Parser;

use crate::about::{Plugin, Program};
use crate::config::settings_schema;
use crate::log;
use crate::session::{StopSignal, TapError, runtime};

use cli::{TapArguments, TestMode};

/// What the tap can, in the words of Meltano's SDK.
const CAPABILITIES: [&str; 6] = ["catalog", "discover", "state", "about", "activate-version", "structured-logging"];

/// How streams and columns are chosen; the README says the same, as a test shows.
const CHOOSING: &str = "\
Two settings choose what is read: `streams` takes names or globs of streams (`tickets`, `ticket_*`), `properties` those of\n\
columns (`subject`, `hs_*`; `contacts.email` for another object type than tickets). Without them it is all streams but\n\
`contacts`, `companies`, `deals` and `sync_audit`, with all columns but those that change with the clock alone. `--discover`\n\
writes the choice into a catalog. A run with `--catalog` reads what the catalog selects and nothing else, whatever these two\n\
settings say; without one they decide. A stream's own columns (`id`, `updated_at`, ...) need no entry. Sensitive properties\n\
are `unsupported` in the catalog, which no selection overrides, unless `sensitive_properties` allows them or `properties` has\n\
the very name.";

/// Runs the tap with the process's arguments; returns the exit code, of which [`TapError::exit_code`] holds the table.
pub fn run() -> u8 {
    let arguments = match TapArguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return cli::report(&error),
    };
    log::start(arguments.log_format, arguments.quiet);
    let ended = catch_unwind(AssertUnwindSafe(|| dispatch(&arguments)));
    match ended.unwrap_or(Err(TapError::Panicked)) {
        Ok(()) => 0,
        Err(error) => {
            let code = error.exit_code();
            if let Some(at) = error.resume_at() {
                progress::tell_resume_at(at);
            }
            log::tell(&error);
            code
        }
    }
}

fn dispatch(arguments: &TapArguments) -> Result<(), TapError> {
    let program = Program {
        name: env!("CARGO_PKG_NAME"),
        description: env!("CARGO_PKG_DESCRIPTION"),
        capabilities: &CAPABILITIES,
        choosing: CHOOSING,
        plugin: Plugin { kind: "extractors", label: "HubSpot tickets" },
        schema: settings_schema(),
    };
    // These answer whatever else an orchestrator puts in front of them.
    if arguments.version {
        return program.write_version().map_err(TapError::Output);
    }
    if arguments.about {
        return program.describe(arguments.format).map_err(TapError::Output);
    }
    if let Some(shell) = arguments.completions {
        return cli::write_completions(shell);
    }
    if arguments.man {
        return cli::write_man();
    }
    let stop = StopSignal::listen().map_err(TapError::Runtime)?;
    if let Some(folder) = &arguments.tenants {
        return tenants::run(folder, arguments, &stop);
    }
    let runtime = runtime().map_err(TapError::Runtime)?;
    let result = runtime.block_on(async {
        match (arguments.discover, arguments.test) {
            (true, _) => stop.unless_asked(discover(arguments)).await,
            (false, None) if arguments.plan => stop.unless_asked(plan::write(arguments)).await,
            (false, Some(TestMode::Connection)) => stop.unless_asked(check::connection(arguments)).await,
            (false, Some(mode)) => stop.unless_asked(check::messages(arguments, mode)).await,
            (false, None) => sync::run(arguments, &stop).await,
        }
    });
    // A writer blocked on a reader that does not read must not hold up the end.
    runtime.shutdown_background();
    result
}

/// `--discover`: writes the catalog.
async fn discover(arguments: &TapArguments) -> Result<(), TapError> {
    let session = arguments.session()?;
    let portal = session.discover().await?;
    let mut catalog = session.catalog_of(&portal);
    if arguments.portable {
        catalog.make_portable();
    }
    let mut text = serde_json::to_vec_pretty(&catalog).expect("a catalog is JSON");
    text.push(b'\n');
    io::stdout().write_all(&text).map_err(TapError::Output)
}
