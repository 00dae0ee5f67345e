//! The Airbyte source `source-hubspot-tickets`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tap_hubspot_tickets::airbyte::run().into()
}
