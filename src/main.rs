//! The Singer tap `tap-hubspot-tickets`; called by the name of one of the other programs, through a link, it is that
//! program, so that a container image holds all of them in one file.

use std::path::Path;
use std::process::ExitCode;

use tap_hubspot_tickets::{airbyte, tap, target_hubspot, target_pg};

fn main() -> ExitCode {
    let called_as = std::env::args_os().next().unwrap_or_default();
    let program = match Path::new(&called_as).file_stem().and_then(|name| name.to_str()) {
        Some("source-hubspot-tickets") => airbyte::run,
        Some("target-hubspot") => target_hubspot::run,
        Some("target-pg") => target_pg::run,
        _ => tap::run,
    };
    program().into()
}
