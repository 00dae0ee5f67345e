//! How a run of this face fails: a TRACE ERROR by who can do something about it, then exit code 1.

use std::io::{self, Write};

use super::message;
use crate::session::{Consequence, TapError};

/// Airbyte's word for who can do something about an error: it repeats transient ones, and shows the message of a config
/// error to the user.
fn failure_type(error: &TapError) -> &'static str {
    match error.consequence() {
        Consequence::Fix => "config_error",
        Consequence::Later => "transient_error",
        Consequence::Defect => "system_error",
    }
}

/// How a state is taken away, which nobody can do by hand in this face.
const WITHOUT_STATE: &str =
    "in Airbyte, clear the connection's data to read everything (PyAirbyte: read with force_full_refresh=True)";

/// Writes the error.
pub(super) fn report(error: &TapError) {
    let text = match error {
        TapError::State(_) => format!("{error}; {WITHOUT_STATE}"),
        _ => error.to_string(),
    };
    tracing::error!("{text}");
    let internal = format!("{error:?}");
    if message::write(&message::error(&text, &internal, failure_type(error))).is_err() {
        // Where stdout is closed, stderr and the exit code are all that is left.
        let _ = writeln!(io::stderr(), "ERROR {text}");
    }
}

/// Writes what is wrong with the arguments, or the help that was asked for; returns the exit code.
pub(super) fn report_arguments(error: &clap::Error) -> u8 {
    if !error.use_stderr() {
        let _ = error.print();
        return 0;
    }
    let text = error.render().to_string();
    let _ = io::stderr().write_all(text.as_bytes());
    let cause = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    let _ = message::write(&message::error(&cause, &text, "config_error"));
    1
}
