//! What a run writes, in which order, and from where the next one goes on.

mod associations;
mod changes;
mod columns;
mod resumption;
mod states;

use std::time::Duration;

use chrono::{DateTime, Utc};
use hubspot_sandbox::Options;
use serde_json::Value;

use crate::support::cell::Fidelity;
use crate::support::messages::{Tables, states};
use crate::support::portal::Portal;
use crate::support::tap::{Finished, Tap};

pub(super) const OF_TICKETS: [&str; 2] = ["tickets", "ticket_associations"];

/// A portal whose clock stands still until it is moved.
pub(super) fn small() -> Options {
    Options {
        start_time: Some(instant("2026-03-01T12:00:00Z")),
        merged: 2,
        archived_share: 0.1,
        ..Options::with_tickets(80)
    }
}

/// Lets what was changed lie in the past: no window ends in the portal's present.
pub(super) fn pass_a_minute(portal: &Portal) {
    portal.advance(Duration::from_secs(60));
}

/// A config under which a load of 60 tickets has many checkpoints.
pub(super) fn small_steps(portal: &Portal) -> Tap {
    let mut tap = Tap::unhurried(portal);
    tap.set("page_size", 10.into()).set("checkpoint_every_pages", 2.into()).set("lookback_minutes", 0.into());
    tap
}

pub(super) fn ids(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["id"].as_str().expect("an id")).collect()
}

pub(super) fn last_state(finished: &Finished) -> Value {
    states(&finished.messages()).pop().expect("a state")
}

pub(super) fn instant(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

/// Asserts that tables hold the portal field by field, and that nothing but what is gone is marked as deleted.
#[track_caller]
pub(super) fn assert_holds(tables: &Tables, portal: &Portal, catalog: &Value) {
    for table in portal.truth().tables(catalog) {
        table.assert_held(&table.in_messages(tables), Fidelity::Exact);
    }
    for (key, held) in &tables.table("tickets").rows {
        let gone = held.row["archived"].get() == "true";
        assert_eq!(held.deleted, gone, "ticket {key:?}");
    }
}
