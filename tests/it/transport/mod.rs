//! What the network and HubSpot do to requests, and what the tap makes of it.

mod oauth;
mod repeats;
mod requests;
mod wide_portals;

use hubspot_sandbox::{Fault, LoggedRequest, Options};
use serde_json::json;

use crate::support::messages::records;
use crate::support::portal::Portal;
use crate::support::tap::{Finished, Tap};

pub(super) const UNAVAILABLE: i32 = 4;
pub(super) const REFUSED: i32 = 3;
/// Pages of live tickets behind the first one.
pub(super) const PAGES: &str = "archived=false&after";

pub(super) fn portal() -> Portal {
    Portal::start(Options { merged: 0, archived_share: 0.0, ..Options::with_tickets(30) })
}

/// Reads 30 tickets in three pages.
pub(super) fn tap(portal: &Portal) -> Tap {
    let mut tap = Tap::unhurried(portal);
    tap.set("page_size", 10.into()).set("request_timeout_secs", json!(2)).set("retry_attempts", 2.into());
    tap
}

pub(super) fn status(code: u16, headers: &[(&str, &str)]) -> Fault {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Fault::Status { code, headers, body: None }
}

/// Asserts that all tickets came, each once.
#[track_caller]
pub(super) fn assert_whole(portal: &Portal, finished: &Finished) {
    let found = records(&finished.messages(), "tickets");
    let mut ids: Vec<_> = found.iter().map(|record| record["id"].as_str().expect("an id")).collect();
    // Ranges of ids are read side by side, in no order between them; all ids have as many digits.
    ids.sort_unstable();
    assert_eq!(ids, portal.truth().live_tickets());
}

pub(super) fn of_endpoint(portal: &Portal, endpoint: &str) -> Vec<LoggedRequest> {
    portal.requests().into_iter().filter(|request| request.endpoint == endpoint).collect()
}
