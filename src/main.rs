//! The Singer tap `tap-hubspot-tickets`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tap_hubspot_tickets::tap::run().into()
}
