//! The Singer target `target-pg`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tap_hubspot_tickets::target_pg::run().into()
}
