//! The Singer face: the command line, what each of its ways of running does, and how it ends.

mod about;
mod check;
mod cli;
mod drift;
mod exit;
mod lock;
mod log;
mod portal;
mod progress;
mod sync;

use clap::Parser;

use cli::{Arguments, TestMode};
use exit::TapError;

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
            if let Some(at) = error.resume_at() {
                progress::tell_resume_at(at);
            }
            if !error.is_quiet() {
                tracing::error!("{error}");
            }
            code
        }
    }
}

fn dispatch(arguments: &Arguments) -> Result<(), TapError> {
    // These answer whatever else an orchestrator puts in front of them.
    if arguments.version {
        return cli::write_version();
    }
    if arguments.about {
        return about::write(arguments.format);
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
