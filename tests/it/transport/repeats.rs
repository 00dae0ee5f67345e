//! Requests that fail: which are sent again, how often, and what ends a run.

use hubspot_sandbox::{Fault, FaultRule, Options, RandomFaults, RateLimitKind};
use serde_json::json;

use super::{PAGES, REFUSED, UNAVAILABLE, assert_whole, of_endpoint, portal, status, tap};
use crate::support::messages::fold;
use crate::support::portal::Portal;
use crate::support::tap::Finished;

const QUOTA: i32 = 6;

/// The numbers of the summary: `… 12 calls (…), 2 repeated, 1 rate limited, …`.
fn summary(finished: &Finished) -> (u64, u64, u64) {
    let line = finished.stderr.lines().rev().find(|line| line.contains(" calls (")).expect("a summary");
    let before = |word: &str| {
        let begin = line.split(word).next().expect("text").trim_end().rsplit([' ', ',']).next().expect("a number");
        begin.parse().unwrap_or_else(|_| panic!("no number before {word:?} in {line}"))
    };
    (before(" calls ("), before(" repeated"), before(" rate limited"))
}

#[test]
fn passing_failures_of_every_kind_are_repeated_and_counted() {
    let portal = portal();
    let tap = tap(&portal);
    for (fault, path) in [
        (status(500, &[]), PAGES),
        (status(502, &[]), PAGES),
        (status(503, &[("Retry-After", "0")]), PAGES),
        (status(504, &[]), PAGES),
        (status(408, &[]), PAGES),
        (status(425, &[]), PAGES),
        (status(521, &[]), PAGES),
        (status(524, &[]), PAGES),
        (Fault::Html(502), PAGES),
        (Fault::Html(522), PAGES),
        (Fault::ResetBeforeBody, PAGES),
        (Fault::LostReply, PAGES),
        (Fault::ResetMidBody, PAGES),
        (Fault::TruncatedJson, PAGES),
        (Fault::NotJson, PAGES),
        (Fault::ResultsMissing, PAGES),
        (Fault::ResultsNotAnArray, PAGES),
        (Fault::RepeatedPage, "archived=false&after"),
        (status(500, &[]), "account-info"),
        (Fault::NotJson, "/properties/"),
        (Fault::TruncatedJson, "/pipelines/"),
        (Fault::ResetMidBody, "/owners"),
        (Fault::TruncatedJson, "/associations/"),
        (Fault::ResultsMissing, "/associations/"),
        (Fault::Html(502), "contacts/batch/read"),
        (Fault::ResultsMissing, "companies/batch/read"),
    ] {
        portal.clear_faults();
        let shown = format!("{fault:?} {path}");
        portal.faults([FaultRule::next(path, fault)]);
        let finished = tap.sync(None);
        assert_eq!(finished.code, Some(0), "{shown}: {}", finished.stderr);
        assert_whole(&portal, &finished);
        assert_eq!(summary(&finished).1, 1, "{shown}: {}", finished.stderr);
    }
}

#[test]
fn a_cursor_that_leads_back_loses_nothing_and_is_not_followed_for_ever() {
    let portal = portal();
    let tap = tap(&portal);
    portal.faults([FaultRule::next(PAGES, Fault::CursorBackwards)]);
    let tables = fold(&tap.sync(None).succeeded().messages());
    assert_eq!(tables.table("tickets").rows.len(), 30);
    portal.faults([FaultRule::always(PAGES, Fault::CursorBackwards)]);
    let finished = tap.sync(None);
    assert_eq!(finished.code, Some(UNAVAILABLE), "{}", finished.stderr);
    assert!(finished.last_line().contains("leads back"), "{}", finished.last_line());
}

#[test]
fn what_keeps_failing_ends_the_run_with_the_tries_it_took() {
    let portal = portal();
    for (fault, says) in [
        (status(500, &[]), "500"),
        (Fault::Html(502), "502"),
        (Fault::ResetBeforeBody, "no whole answer"),
        (Fault::ResetMidBody, "no whole answer"),
        (Fault::TruncatedJson, "not what HubSpot documents"),
        (Fault::ResultsMissing, "results"),
        (Fault::ResultsNotAnArray, "not what HubSpot documents"),
    ] {
        portal.clear_faults();
        portal.faults([FaultRule::always(PAGES, fault)]);
        let finished = tap(&portal).sync(None);
        assert_eq!(finished.code, Some(UNAVAILABLE), "{}", finished.stderr);
        assert!(finished.last_line().contains(says), "{}", finished.last_line());
        assert!(finished.last_line().contains("3 tries"), "{}", finished.last_line());
    }
}

#[test]
fn a_refusal_is_not_repeated_and_names_its_correlation_id() {
    let portal = portal();
    let tap = tap(&portal);
    for code in [400, 404, 409, 422] {
        portal.clear_faults();
        portal.clear_requests();
        portal.faults([FaultRule::always(PAGES, status(code, &[]))]);
        let finished = tap.sync(None);
        assert_eq!(finished.code, Some(REFUSED), "{}", finished.stderr);
        assert!(finished.last_line().contains("correlationId "), "{}", finished.last_line());
        assert!(finished.last_line().contains(&code.to_string()), "{}", finished.last_line());
        // A 400 may mean the length of the URL: then the ids are asked for alone.
        let most = if code == 400 { 2 } else { 1 };
        let pages = of_endpoint(&portal, "list tickets").into_iter().filter(|one| one.query.contains(PAGES));
        let urls: Vec<String> = pages.map(|one| one.query).collect();
        assert_eq!(urls.len(), most, "{urls:?}");
        assert!(most == 1 || urls[0].len() > urls[1].len(), "{urls:?}");
    }
}

#[test]
fn slow_answers_time_out_and_are_asked_for_again() {
    let portal = portal();
    let mut tap = tap(&portal);
    tap.set("request_timeout_secs", json!(0.5));
    for fault in [Fault::SlowMs(5_000), Fault::EndlessBody] {
        portal.clear_faults();
        portal.faults([FaultRule::next(PAGES, fault)]);
        let finished = tap.sync(None).succeeded();
        assert_whole(&portal, &finished);
        assert_eq!(summary(&finished).1, 1);
    }
}

#[test]
fn rate_limits_hold_the_run_and_do_not_end_it() {
    let portal = portal();
    let tap = tap(&portal);
    for (limit, retry_after) in [
        (RateLimitKind::TenSecondly, Some(0)),
        (RateLimitKind::Secondly, Some(0)),
        (RateLimitKind::TenSecondly, None),
        (RateLimitKind::Secondly, None),
    ] {
        for path in [PAGES, "/associations/"] {
            portal.clear_faults();
            // More often than other failures are repeated.
            let times = if retry_after.is_some() { 6 } else { 1 };
            portal.faults([FaultRule::nth(path, 0, times, Fault::RateLimited { limit, retry_after })]);
            let finished = tap.sync(None).succeeded();
            assert_whole(&portal, &finished);
            assert_eq!(summary(&finished).2, u64::try_from(times).expect("a count"), "{limit:?} {path}");
            assert_eq!(summary(&finished).1, 0, "{}", finished.stderr);
        }
    }
}

#[test]
fn the_daily_limit_ends_the_run_with_a_state_and_its_own_code() {
    let portal = portal();
    let mut tap = tap(&portal);
    tap.set("checkpoint_every_pages", 1.into());
    let limit = Fault::RateLimited { limit: RateLimitKind::Daily, retry_after: Some(3_600) };
    portal.faults([FaultRule::nth(PAGES, 1, usize::MAX, limit)]);
    let finished = tap.sync(None);
    assert_eq!(finished.code, Some(QUOTA), "{}", finished.stderr);
    assert!(finished.last_line().contains("daily limit"), "{}", finished.last_line());
    portal.clear_faults();
    let mut tables = fold(&finished.messages());
    let state = tables.state.clone().expect("a state");
    tables.load(&tap.sync(Some(&state)).succeeded().messages());
    assert_eq!(tables.table("tickets").rows.len(), 30);
}

#[test]
fn a_locked_record_is_waited_for() {
    let portal = portal();
    portal.faults([FaultRule::next(PAGES, status(423, &[]))]);
    let finished = tap(&portal).sync(None).succeeded();
    assert_whole(&portal, &finished);
    assert_eq!(summary(&finished).1, 1);
}

#[test]
fn a_short_migration_is_waited_for_and_a_long_one_told() {
    let portal = portal();
    let tap = tap(&portal);
    portal.faults([FaultRule::next(PAGES, status(477, &[("Retry-After", "1")]))]);
    assert_whole(&portal, &tap.sync(None).succeeded());
    portal.faults([FaultRule::always(PAGES, status(477, &[("Retry-After", "7200")]))]);
    let finished = tap.sync(None);
    assert_eq!(finished.code, Some(UNAVAILABLE));
    for part in ["migrating", "7200"] {
        assert!(finished.last_line().contains(part), "{}", finished.last_line());
    }
}

#[test]
fn a_storm_of_failures_loses_nothing() {
    let portal = Portal::start(Options { merged: 2, archived_share: 0.1, ..Options::with_tickets(120) });
    let mut tap = tap(&portal);
    tap.set("retry_attempts", 20.into());
    let catalog = tap.discover();
    let faults = vec![
        status(500, &[]),
        status(503, &[]),
        Fault::Html(502),
        Fault::ResetBeforeBody,
        Fault::LostReply,
        Fault::ResetMidBody,
        Fault::TruncatedJson,
        Fault::NotJson,
        Fault::RateLimited { limit: RateLimitKind::TenSecondly, retry_after: Some(0) },
    ];
    portal.storm(Some(RandomFaults { share: 0.3, seed: 7, faults }));
    let finished = tap.sync(None).succeeded();
    portal.storm(None);
    let tables = fold(&finished.messages());
    for table in portal.truth().tables(&catalog) {
        table.assert_held(&table.in_messages(&tables), crate::support::cell::Fidelity::Exact);
    }
    assert!(summary(&finished).1 > 5, "{}", finished.stderr);
}
