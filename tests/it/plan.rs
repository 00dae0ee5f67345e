//! `--plan`: what a run would cost, held against what it then costs.

use hubspot_sandbox::{Options, RateLimits};
use serde_json::Value;

use crate::support::messages::{records, states};
use crate::support::portal::Portal;
use crate::support::tap::Tap;

fn plan(tap: &Tap, arguments: &[&str]) -> Value {
    let finished = tap.run(&[&["--plan", "--format=json"], arguments].concat()).succeeded();
    serde_json::from_slice(&finished.stdout).expect("a plan")
}

fn of_stream<'p>(plan: &'p Value, stream: &str) -> &'p Value {
    let streams = plan["streams"].as_array().expect("streams");
    streams.iter().find(|one| one["stream"] == stream).unwrap_or_else(|| panic!("no {stream}"))
}

#[test]
fn a_plan_tells_what_the_first_load_then_takes() {
    let limits = RateLimits { daily: 10_000, ..RateLimits::default() };
    let portal = Portal::start(Options { limits: Some(limits), ..Options::with_tickets(3_000) });
    let tap = Tap::of(&portal);
    let told = plan(&tap, &[]);
    assert!(portal.requests().iter().all(|request| request.endpoint != "list tickets"), "a plan extracts nothing");
    assert_eq!(of_stream(&told, "tickets")["rows"], portal.truth().live_tickets().len());
    assert_eq!(of_stream(&told, "tickets")["how"], "all rows");
    let calls = || {
        portal
            .request_counts()
            .iter()
            .filter(|(name, _)| !name.contains("pool ") && !name.contains("status "))
            .map(|(_, count)| count)
            .sum::<u64>()
    };
    let before = calls();
    tap.sync(None).succeeded();
    let (expected, taken) = (told["all"]["calls"].as_u64().expect("calls"), calls() - before);
    assert!(expected.abs_diff(taken) * 5 <= taken, "{expected} calls planned, {taken} taken");
    assert!(told["all"]["minutes"].as_f64().is_some_and(|minutes| minutes > 0.02 && minutes < 2.0), "{told:#}");
    assert!(told["all"]["percent_of_day"].as_f64().is_some_and(|share| share > 0.1 && share < 5.0), "{told:#}");
    assert_eq!(told["calls_a_day"], 10_000);
    let associations = told["associations"].as_array().expect("types");
    for (object_type, included) in [("contacts", true), ("companies", true), ("deals", false), ("notes", false)] {
        let one = associations.iter().find(|one| one["object_type"] == object_type).expect("a type");
        assert_eq!(one["included"], included, "{object_type}");
        assert!(one["cost"]["calls"].as_u64() >= Some(3), "{one}");
    }
    let text = tap.run(&["--plan"]).succeeded();
    for part in ["tickets ", "deals ", "left out", "calls are left today", "minutes"] {
        assert!(text.text().contains(part), "{part} in {}", text.text());
    }
}

#[test]
fn a_plan_of_an_incremental_run_counts_what_changed() {
    let portal = Portal::start(Options::with_tickets(2_000));
    let mut tap = Tap::unhurried(&portal);
    tap.set("lookback_minutes", 0.into());
    let state = states(&tap.sync(None).succeeded().messages()).pop().expect("a state");
    tap.write("state.json", &state);
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let ids: Vec<u64> = portal.truth().live_tickets()[..40].iter().map(|id| id.parse().expect("an id")).collect();
    portal.update_many("tickets", &ids, &[("subject", "changed")]);
    let told = plan(&tap, &["--state", "state.json"]);
    let tickets = of_stream(&told, "tickets");
    assert_eq!((&tickets["how"], &tickets["rows"]), (&"changes".into(), &40.into()));
    assert!(tickets["cost"]["calls"].as_u64() < Some(12), "{told:#}");
    let messages = tap.sync(Some(&state)).succeeded().messages();
    assert_eq!(records(&messages, "tickets").len(), 40);
}
