//! Loads that are interrupted go on from any of their states.

use hubspot_sandbox::{CursorStyle, Options};
use serde_json::Value;

use super::{assert_holds, ids, pass_a_minute, small, small_steps};
use crate::support::catalogs::only;
use crate::support::cell::Fidelity;
use crate::support::messages::{fold, of, records, states};
use crate::support::portal::Portal;

/// Resumes from every state of a load.
fn assert_resumes_from_every_state(options: Options) {
    let portal = Portal::start(options);
    let mut tap = small_steps(&portal);
    tap.set("checkpoint_every_pages", 1.into());
    let catalog = tap.discover();
    let messages = tap.sync(None).succeeded().messages();
    let checkpoints: Vec<usize> = (0..messages.len()).filter(|at| messages[*at].kind == "STATE").collect();
    assert!(checkpoints.len() > 10, "{}", checkpoints.len());
    for at in checkpoints {
        let mut tables = fold(&messages[..=at]);
        let state = tables.state.clone().expect("a state");
        let resumed = tap.sync(Some(&state)).succeeded().messages();
        let interrupted = state["bookmarks"]["tickets"]["progress"].is_object();
        if interrupted {
            let version = of(&messages, "ACTIVATE_VERSION", "tickets")[0].version;
            assert_eq!(of(&resumed, "ACTIVATE_VERSION", "tickets")[0].version, version, "it is the same pass");
        }
        tables.load(&resumed);
        assert_holds(&tables, &portal, &catalog);
    }
}

#[test]
fn a_load_resumes_from_every_state() {
    assert_resumes_from_every_state(small());
}

#[test]
fn a_load_with_opaque_cursors_resumes_from_every_state() {
    assert_resumes_from_every_state(Options { cursor: CursorStyle::Opaque, ..small() });
}

#[test]
fn a_resumed_load_goes_on_instead_of_beginning_again() {
    let portal = Portal::start(Options { merged: 0, archived_share: 0.0, ..Options::with_tickets(100) });
    let tap = small_steps(&portal);
    let catalog = only(&tap.discover(), &["tickets"]);
    let all = states(&tap.sync_catalog(&catalog, None).succeeded().messages());
    let cursor = |state: &Value| {
        let cursor = state["bookmarks"]["tickets"]["progress"]["parts"][0]["after"].as_str()?.parse::<u64>().ok();
        Some((cursor?, state.clone()))
    };
    let (cursor, late) = all.iter().filter_map(cursor).next_back().expect("a state with a cursor");
    let resumed = tap.sync_catalog(&catalog, Some(&late)).succeeded().messages();
    let found = records(&resumed, "tickets");
    assert!(found.len() <= 30 && ids(&found).iter().all(|id| id.parse::<u64>().expect("an id") >= cursor));
}

#[test]
fn changes_between_an_interrupted_load_and_its_resumption_are_not_lost() {
    let portal = Portal::start(small());
    let mut tap = small_steps(&portal);
    tap.set("checkpoint_every_pages", 1.into());
    let catalog = tap.discover();
    let messages = tap.sync(None).succeeded().messages();
    let middle = (0..messages.len())
        .filter(|at| {
            messages[*at].value.as_ref().is_some_and(|state| state["bookmarks"]["tickets"]["progress"].is_object())
        })
        .nth(4)
        .expect("a state in the middle");
    let live = portal.truth().live_tickets();
    let id = |at: usize| live[at].parse::<u64>().expect("an id");
    portal.update("tickets", id(0), &[("subject", "early ticket, changed late")]);
    portal.update("tickets", id(live.len() - 1), &[("subject", "late ticket")]);
    portal.archive("tickets", id(1));
    portal.archive("tickets", id(live.len() - 2));
    portal.merge("tickets", id(3), id(4));
    portal.create("tickets", &[("subject", "new")]);
    let mut tables = fold(&messages[..=middle]);
    for _ in 0..2 {
        pass_a_minute(&portal);
        let state = tables.state.clone().expect("a state");
        tables.load(&tap.sync(Some(&state)).succeeded().messages());
    }
    let tickets = portal.truth().tables(&catalog).into_iter().find(|table| table.stream == "tickets").expect("tickets");
    tickets.assert_held(&tickets.in_messages(&tables), Fidelity::Exact);
}
