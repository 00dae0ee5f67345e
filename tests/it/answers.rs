//! What single answers mean: what passes once is read past, and what lasts ends the run with the right class and words.

use hubspot_sandbox::{Fault, FaultRule, LoggedRequest, Options, RateLimitKind};
use serde_json::{Value, json};

use crate::support::messages::records;
use crate::support::portal::Portal;
use crate::support::tap::{Finished, Tap};

const REFUSED: i32 = 3;
const UNAVAILABLE: i32 = 4;

/// Pages of live tickets behind the first one.
const PAGES: &str = "archived=false&after";

fn portal() -> Portal {
    Portal::start(Options { merged: 0, archived_share: 0.0, ..Options::with_tickets(30) })
}

/// Reads 30 tickets in three pages.
fn tap(portal: &Portal) -> Tap {
    let mut tap = Tap::unhurried(portal);
    tap.set("page_size", 10.into()).set("request_timeout_secs", json!(2)).set("retry_attempts", 2.into());
    tap
}

fn granted(portal: &Portal) -> Tap {
    let mut tap = tap(portal);
    tap.set("access_token", Value::Null)
        .set("client_id", "sandbox-client".into())
        .set("client_secret", "sandbox-secret".into())
        .set("refresh_token", "sandbox-refresh".into());
    tap
}

fn answer(code: u16, headers: &[(&str, &str)], body: &str) -> Fault {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Fault::Status { code, headers, body: Some(body.to_owned()) }
}

fn other_hublet() -> Fault {
    let body = r#"{"status":"error","message":"Hub 245001234 is unknown to this Hublet","correlationId":"c-1","context":{"correctHublet":["eu1"]}}"#;
    answer(488, &[], body)
}

fn redirect() -> Fault {
    answer(307, &[("Location", "https://login.proxy.example/start?token=hush")], "")
}

#[track_caller]
fn assert_whole(finished: &Finished) {
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert_eq!(records(&finished.messages(), "tickets").len(), 30);
}

fn of_endpoint(portal: &Portal, endpoint: &str) -> Vec<LoggedRequest> {
    portal.requests().into_iter().filter(|request| request.endpoint == endpoint).collect()
}

#[test]
fn what_passes_once_is_read_past_at_every_kind_of_endpoint() {
    let portal = portal();
    let tap = tap(&portal);
    for path in ["account-info", "/properties/", "/pipelines/", "/owners", "/tickets/contacts/batch/read", PAGES] {
        for fault in [
            Fault::ExpiredToken,
            Fault::Html(400),
            Fault::Html(403),
            Fault::Html(404),
            answer(404, &[], ""),
            Fault::Html(530),
            Fault::Html(520),
            redirect(),
            answer(302, &[], ""),
            other_hublet(),
            answer(477, &[], "{}"),
        ] {
            portal.clear_faults();
            portal.faults([FaultRule::next(path, fault.clone())]);
            let finished = tap.sync(None);
            assert_whole(&finished);
            assert_eq!(finished.said("WARN"), 0, "{fault:?} at {path}: {}", finished.stderr);
        }
    }
}

#[test]
fn what_was_passing_and_lasts_is_to_be_tried_again_later() {
    let portal = portal();
    for (fault, says) in [
        (Fault::Html(400), "400"),
        (Fault::Html(403), "403"),
        (Fault::Html(404), "404"),
        (Fault::Html(530), "530"),
        (answer(425, &[], "{}"), "425"),
        (answer(477, &[], "{}"), "try again later"),
        (other_hublet(), "488"),
        (redirect(), "307"),
    ] {
        portal.clear_faults();
        portal.faults([FaultRule::always(PAGES, fault)]);
        let finished = tap(&portal).sync(None);
        assert_eq!(finished.code, Some(UNAVAILABLE), "{}", finished.stderr);
        assert!(finished.last_line().contains(says), "{}", finished.last_line());
    }
}

#[test]
fn a_broken_edge_is_tried_as_often_as_the_settings_say() {
    let portal = portal();
    let mut tap = tap(&portal);
    tap.set("retry_attempts", 5.into());
    for code in [522, 525, 526, 520, 530] {
        portal.clear_faults();
        portal.faults([FaultRule::nth(PAGES, 0, 5, Fault::Html(code))]);
        assert_whole(&tap.sync(None));
    }
}

#[test]
fn a_portal_in_another_data_centre_is_told_with_the_setting_that_names_it() {
    let portal = portal();
    portal.faults([FaultRule::always("", other_hublet())]);
    for arguments in [&[][..], &["--discover"], &["--test"], &["--plan"]] {
        let finished = tap(&portal).run(arguments);
        assert_eq!(finished.code, Some(UNAVAILABLE), "{}", finished.stderr);
        for part in ["data centre eu1", "api_base_url", "https://api-eu1.hubapi.com", "c-1"] {
            assert!(finished.last_line().contains(part), "{part} in {}", finished.last_line());
        }
    }
}

#[test]
fn a_redirect_is_tried_once_again_and_names_its_target_without_its_query() {
    let portal = portal();
    portal.faults([FaultRule::always(PAGES, redirect())]);
    let mut tap = tap(&portal);
    tap.set("retry_attempts", 5.into());
    portal.clear_requests();
    let finished = tap.sync(None);
    assert_eq!(finished.code, Some(UNAVAILABLE), "{}", finished.stderr);
    for part in ["https://login.proxy.example/start", "307", "2 tries", "api_base_url"] {
        assert!(finished.last_line().contains(part), "{part} in {}", finished.last_line());
    }
    assert!(!finished.stderr.contains("hush"), "{}", finished.stderr);
}

#[test]
fn a_token_that_is_refused_twice_is_refused() {
    let portal = portal();
    let mut tap = tap(&portal);
    tap.set("retry_attempts", 5.into());
    portal.faults([FaultRule::always("/owners", Fault::ExpiredToken)]);
    portal.clear_requests();
    let finished = tap.sync(None);
    assert_eq!((finished.code, finished.text()), (Some(REFUSED), ""), "{}", finished.stderr);
    // Both lists of owners, each twice.
    assert_eq!(of_endpoint(&portal, "owners").len(), 4, "{}", finished.stderr);
}

#[test]
fn a_token_endpoint_that_limits_is_waited_for_like_every_other() {
    let portal = portal();
    let limited = |retry_after| Fault::RateLimited { limit: RateLimitKind::Secondly, retry_after };
    for (fault, times, least_seconds) in [(limited(Some(2)), 1, 2), (limited(None), 2, 3)] {
        portal.clear_faults();
        portal.clear_requests();
        portal.faults([FaultRule::nth("/oauth/", 0, times, fault)]);
        let begun = std::time::Instant::now();
        assert_whole(&granted(&portal).sync(None));
        assert!(begun.elapsed().as_secs() >= least_seconds, "{:?}", begun.elapsed());
        assert_eq!(of_endpoint(&portal, "oauth_token").len(), times + 1);
    }
}

#[test]
fn a_property_that_the_token_may_not_read_is_left_out_and_the_rest_read() {
    let portal = portal();
    for (body, property) in [
        (r#"{"status":"error","message":"You do not have permission to read property 'content'"}"#, "content"),
        (
            r#"{"status":"error","message":"no access","category":"FORBIDDEN","context":{"propertyName":["subject"]}}"#,
            "subject",
        ),
    ] {
        portal.clear_faults();
        let denied = |path: &str| FaultRule { body: String::new(), ..FaultRule::always(path, answer(403, &[], body)) };
        portal.faults([
            denied(&format!(",{property},")),
            denied(&format!("={property},")),
            denied(&format!(",{property} ")),
        ]);
        let finished = tap(&portal).sync(None);
        assert_whole(&finished);
        assert_eq!(
            finished.said(&format!("WARN property {property} of tickets is left out")),
            1,
            "{}",
            finished.stderr
        );
        let found = records(&finished.messages(), "tickets");
        assert!(found.iter().all(|record| record[property].is_null() && record["hs_pipeline"].is_string()));
    }
}

#[test]
fn a_url_that_is_refused_in_any_way_is_done_without() {
    let portal = portal();
    let long = ",hs_ticket_priority,";
    for fault in [
        answer(400, &[], "{}"),
        answer(403, &[], r#"{"message":"Request blocked"}"#),
        Fault::Html(403),
        Fault::Html(413),
        Fault::Html(414),
        answer(431, &[], ""),
        Fault::Html(502),
        Fault::ResetBeforeBody,
    ] {
        portal.clear_faults();
        portal.faults([FaultRule::always(long, fault.clone())]);
        let finished = tap(&portal).sync(None);
        assert_whole(&finished);
        let found = records(&finished.messages(), "tickets");
        assert!(found.iter().all(|record| record["hs_pipeline"].is_string()), "{fault:?}");
    }
}

#[test]
fn pages_that_are_too_large_for_what_stands_between_get_smaller() {
    let portal = portal();
    let mut tap = tap(&portal);
    tap.set("page_size", 100.into()).set("retry_attempts", 1.into()).set("request_timeout_secs", json!(1));
    tap.set("properties", json!(["subject", "content"]));
    for fault in [Fault::Html(502), Fault::Html(504), Fault::Html(413), Fault::ResetMidBody, Fault::SlowMs(60_000)] {
        portal.clear_faults();
        portal.faults([FaultRule::always("limit=100", fault.clone()), FaultRule::always("limit=50&", fault)]);
        let finished = tap.sync(None);
        assert_whole(&finished);
        assert!(finished.said("reading smaller ones") >= 1, "{}", finished.stderr);
    }
}
