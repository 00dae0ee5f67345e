//! The exit codes, by what the user can do.

use std::io;

use crate::client::ClientError;
use crate::disk::is_full;

/// Some of many tenants failed: the table and the report say which and why.
pub const TENANTS: u8 = 1;
/// A setting, catalog, state or argument is wrong: fix it, then run again.
pub const USAGE: u8 = 2;
/// HubSpot refuses the token, a scope or the portal, or Postgres the user or a right: fix it there, then run again.
pub const REFUSED: u8 = 3;
/// HubSpot, or the Postgres server, could not be reached or kept failing: run again later with the last state.
pub const UNAVAILABLE: u8 = 4;
/// HubSpot's search counts records that it does not give: run again later with the last state.
pub const INCOMPLETE: u8 = 5;
/// The daily quota is used up, or what is left of it is kept for other apps: run again after midnight in the portal's time
/// zone.
pub const QUOTA: u8 = 6;
/// Stdout was closed or not writable (closed pipe, failed target), or a disk is full: look at the target or make room,
/// then run again with the last state.
pub const OUTPUT: u8 = 7;
/// Another run of the same portal is under way: let it end.
pub const LOCKED: u8 = 8;
/// More records were rejected than `max_rejects` allows (`target-hubspot`), or Postgres refuses a row (`target-pg`): mend
/// what is wrong, then deliver again.
pub const REJECTED: u8 = 9;
/// A defect of the program.
pub const DEFECT: u8 = 70;
/// SIGINT, as shells count it.
pub const INTERRUPTED: u8 = 130;
/// SIGTERM, as shells count it.
pub const TERMINATED: u8 = 143;

/// The exit code of a call that failed for good.
pub fn of_client(error: &ClientError) -> u8 {
    match error {
        ClientError::Setup { .. } | ClientError::TokenCache { .. } => USAGE,
        ClientError::Unauthorized { .. }
        | ClientError::MissingScopes { .. }
        | ClientError::DeniedProperties { .. }
        | ClientError::Refused { .. } => REFUSED,
        ClientError::DailyLimit { .. } | ClientError::DailyReserve { .. } => QUOTA,
        ClientError::Migrating { .. }
        | ClientError::OtherDataCentre { .. }
        | ClientError::Redirected { .. }
        | ClientError::Failing { .. }
        | ClientError::Unreachable { .. }
        | ClientError::Malformed { .. } => UNAVAILABLE,
    }
}

/// The exit code of a file that cannot be used.
pub fn of_file(error: &io::Error) -> u8 {
    if is_full(error.kind()) { OUTPUT } else { USAGE }
}
