//! The daily quota: what is left for others is left to them.

use hubspot_sandbox::{Options, RateLimits};
use serde_json::json;

use crate::support::messages::fold;
use crate::support::portal::Portal;
use crate::support::tap::Tap;

const QUOTA: i32 = 6;

/// A portal of which 1,000 calls a day are sold and 940 used.
fn portal(oauth_style_headers: bool) -> Portal {
    let limits = RateLimits {
        general_per_10s: 100_000,
        associations_per_10s: 100_000,
        search_per_second: 100_000,
        daily: 1_000,
        daily_used: 940,
        oauth_style_headers,
        ..RateLimits::default()
    };
    Portal::start(Options {
        limits: Some(limits),
        merged: 0,
        archived_share: 0.0,
        start_time: "2026-11-02T08:00:00Z".parse().ok(),
        ..Options::with_tickets(400)
    })
}

fn tap(portal: &Portal) -> Tap {
    let mut tap = Tap::unhurried(portal);
    tap.set("page_size", 10.into()).set("include_associations", false.into());
    tap
}

#[test]
fn a_run_ends_cleanly_at_the_reserve_and_says_when_to_go_on() {
    let portal = portal(false);
    let mut tap = tap(&portal);
    tap.set("daily_reserve", json!(0.03)).set("checkpoint_every_pages", 100_000.into());
    tap.set("report_path", "report.json".into());
    let finished = tap.sync(None);
    assert_eq!(finished.code, Some(QUOTA), "{}", finished.stderr);
    // Midnight of the portal, which is five hours behind UTC.
    for part in ["30 of the portal's 1000 API calls", "daily_reserve", "2026-11-03T05:00:00Z"] {
        assert!(finished.last_line().contains(part), "{part} in: {}", finished.last_line());
    }
    assert_eq!(finished.said(r#""metric":"resume_at","value":"2026-11-03T05:00:00Z""#), 1, "{}", finished.stderr);
    let report = std::fs::read_to_string(tap.path("report.json")).expect("a report");
    assert!(report.contains(r#""resume_at": "2026-11-03T05:00:00.000Z""#), "{report}");
    let messages = finished.messages();
    assert_eq!(messages.last().map(|last| last.kind.as_str()), Some("STATE"), "everything written is covered");
    let mut tables = fold(&messages);
    let read = tables.table("tickets").rows.len();
    assert!((100..400).contains(&read), "{read} tickets");
    // Told at once by the next run, which uses none of it.
    portal.clear_requests();
    let state = tables.state.clone();
    let finished = tap.sync(state.as_ref());
    assert_eq!((finished.code, finished.text()), (Some(QUOTA), ""), "{}", finished.stderr);
    assert!(portal.requests().len() <= 3, "{:?}", portal.request_counts());
    portal.set_limits(None);
    let rest = tap.sync(state.as_ref()).succeeded().messages();
    let again = crate::support::messages::records(&rest, "tickets").len();
    assert_eq!(again + read, 400, "nothing is read twice");
    tables.load(&rest);
    assert_eq!(tables.table("tickets").rows.len(), 400);
}

#[test]
fn without_a_reserve_the_limit_itself_ends_the_run_and_says_when_to_go_on() {
    let portal = portal(false);
    let mut tap = tap(&portal);
    tap.set("daily_reserve", json!(0));
    let finished = tap.sync(None).succeeded();
    assert!(finished.said("calls left today") >= 1);
    let finished = tap.sync(None);
    assert_eq!(finished.code, Some(QUOTA), "{}", finished.stderr);
    for part in ["daily limit", "midnight in the portal's time zone, at 2026-11-03T05:00:00Z", "correlationId"] {
        assert!(finished.last_line().contains(part), "{part} in: {}", finished.last_line());
    }
}

#[test]
fn where_no_quota_is_told_none_is_reserved() {
    let portal = portal(true);
    let mut tap = tap(&portal);
    tap.set("daily_reserve", json!(0.5));
    tap.sync(None).succeeded();
}

#[test]
fn the_test_of_the_connection_tells_what_is_left_whatever_is_reserved() {
    let portal = portal(false);
    let mut tap = tap(&portal);
    tap.set("daily_reserve", json!(0.9));
    let report = tap.run(&["--test"]).succeeded();
    assert!(
        report.text().contains(" of 1000 API calls left today, resets at 2026-11-03T05:00:00"),
        "{}",
        report.text()
    );
    let finished = tap.sync(None);
    assert_eq!((finished.code, finished.text()), (Some(QUOTA), ""), "{}", finished.stderr);
}
