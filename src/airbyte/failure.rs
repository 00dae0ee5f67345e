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

/// Writes the error; one that nobody can read any more is written nowhere.
pub(super) fn report(error: &TapError) {
    tracing::error!("{error}");
    let internal = format!("{error:?}");
    // When stdout is closed, the exit code is all that is left to say.
    let _ = message::write(&message::error(&error.to_string(), &internal, failure_type(error)));
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
