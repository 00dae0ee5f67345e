//! The Singer target `target-hubspot`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tap_hubspot_tickets::target_hubspot::run().into()
}
