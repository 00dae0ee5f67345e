//! What is wrong ends a run with one clear sentence, an exit code of its own, and nothing half-written.

mod files;
mod hubspot;
mod output;
mod settings;

use std::process::Command;

use hubspot_sandbox::Options;
use serde_json::json;

use crate::support::portal::Portal;
use crate::support::tap::{Finished, Tap};

/// A setting, catalog, state or argument is wrong.
pub(super) const USAGE: i32 = 2;
/// HubSpot cannot be reached or keeps failing.
pub(super) const UNAVAILABLE: i32 = 4;
/// The daily quota is used up.
pub(super) const QUOTA: i32 = 6;
/// What no run may show: the tokens of the sandbox, and beginnings of those that it hands out.
pub(super) const SECRETS: [&str; 6] =
    ["pat-na1-sandbox-token", "pat-na1-hush", "sandbox-secret", "sandbox-refresh", "hush-hush", "CPa1-"];

pub(super) fn portal() -> Portal {
    Portal::start(Options { merged: 0, ..Options::with_tickets(30) })
}

/// A command that must fail, run as it is and again with everything logged.
#[track_caller]
pub(super) fn assert_refused(tap: &Tap, command: impl Fn() -> Command, code: i32, says: &[&str]) -> Finished {
    let finished = tap.finish(command());
    assert_eq!(finished.code, Some(code), "{}", finished.stderr);
    assert_eq!(finished.text(), "", "nothing on stdout");
    let last = finished.last_line();
    assert!(last.contains("ERROR "), "the last line is not the error: {}", finished.stderr);
    for part in says {
        assert!(last.contains(part), "{part:?} is missing in: {last}");
    }
    assert!(!last.contains("  ") && !last.ends_with("ERROR "), "no sentence: {last}");
    assert_no_secret(&finished);
    let mut traced = command();
    traced.env("RUST_LOG", "trace");
    let traced = tap.finish(traced);
    assert_eq!((traced.code, traced.text()), (Some(code), ""), "{}", traced.stderr);
    assert_no_secret(&traced);
    finished
}

#[track_caller]
pub(super) fn assert_no_secret(finished: &Finished) {
    for secret in SECRETS {
        assert!(!finished.text().contains(secret), "{secret} on stdout");
        assert!(!finished.stderr.contains(secret), "{secret} on stderr: {}", finished.stderr);
    }
}

/// Runs fail within the tests' time.
pub(super) fn impatient(portal: &Portal) -> Tap {
    let mut tap = Tap::unhurried(portal);
    tap.set("retry_attempts", 1.into()).set("request_timeout_secs", json!(5));
    tap
}
