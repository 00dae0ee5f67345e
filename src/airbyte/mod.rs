//! The Airbyte face: `spec`, `check`, `discover` and `read` over the same engine, in Airbyte's protocol on stdout.
//!
//! <https://docs.airbyte.com/platform/understanding-airbyte/airbyte-protocol>

mod catalog;
mod check;
mod cli;
mod failure;
mod log;
mod message;
mod outgoing;
mod read;
mod spec;
mod state;

use std::panic::{AssertUnwindSafe, catch_unwind};

use clap::Parser;

use crate::session::{Session, StopSignal, TapError, runtime};

use cli::{Command, SourceArguments};

/// Runs the source with the process's arguments; returns the exit code: 0, or 1 after a TRACE ERROR that tells why.
pub fn run() -> u8 {
    let arguments = match SourceArguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return failure::report_arguments(&error),
    };
    let log = log::start();
    let ended = catch_unwind(AssertUnwindSafe(|| dispatch(&arguments.command)));
    let code = match ended.unwrap_or(Err(TapError::Panicked)) {
        Ok(()) => 0,
        Err(error) => {
            failure::report(&error);
            1
        }
    };
    log.finish();
    code
}

fn dispatch(command: &Command) -> Result<(), TapError> {
    if matches!(command, Command::Spec) {
        return message::write(&spec::message()).map_err(TapError::Output);
    }
    let stop = StopSignal::listen().map_err(TapError::Runtime)?;
    let runtime = runtime().map_err(TapError::Runtime)?;
    let result = runtime.block_on(async {
        match command {
            Command::Spec => Ok(()),
            Command::Check { config } => stop.unless_asked(check::run(config)).await,
            Command::Discover { config } => stop.unless_asked(discover(config)).await,
            Command::Read { config, catalog, state } => read::run(config, catalog, state.as_deref(), &stop).await,
        }
    });
    // A writer blocked on a reader that does not read must not hold up the end.
    runtime.shutdown_background();
    result
}

async fn discover(config: &std::path::Path) -> Result<(), TapError> {
    let session = Session::open(&[config.into()])?;
    let rotation = read::Rotation::watch(&session, config);
    let portal = session.discover().await;
    rotation.end().await?;
    let portal = portal?;
    let mut catalog = session.catalog_of(&portal);
    // Who says in the settings which streams there are is asked by no page again.
    if session.config.streams.is_some() {
        catalog.streams.retain(|entry| entry.selection().stream_selected());
    }
    // Airbyte makes its tables of this catalog, so it has to tell the columns as they come.
    session.privacy().apply(&mut catalog);
    message::write(&catalog::message(&catalog)).map_err(TapError::Output)
}

/// Milliseconds since 1970, as Airbyte's messages have them.
fn now_millis() -> i64 {
    chrono::Utc::now().timestamp_millis()
}
