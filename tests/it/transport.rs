//! What the network and HubSpot do to requests, and what the tap makes of it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use hubspot_sandbox::{Fault, FaultRule, LoggedRequest, OAuthApp, Options, PropertyDef, RandomFaults, RateLimitKind};
use serde_json::{Value, json};

use crate::support::catalogs::{only, tickets_with};
use crate::support::messages::{columns, fold, records};
use crate::support::portal::Portal;
use crate::support::tap::{Finished, Tap};

const UNAVAILABLE: i32 = 4;
const REFUSED: i32 = 3;
const QUOTA: i32 = 6;

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

fn with_oauth(tap: &mut Tap) {
    tap.set("access_token", Value::Null)
        .set("client_id", "sandbox-client".into())
        .set("client_secret", "sandbox-secret".into())
        .set("refresh_token", "sandbox-refresh".into());
}

fn status(code: u16, headers: &[(&str, &str)]) -> Fault {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Fault::Status { code, headers, body: None }
}

/// Asserts that all tickets came, each once.
#[track_caller]
fn assert_whole(portal: &Portal, finished: &Finished) {
    let found = records(&finished.messages(), "tickets");
    let mut ids: Vec<_> = found.iter().map(|record| record["id"].as_str().expect("an id")).collect();
    // Ranges of ids are read side by side, in no order between them; all ids have as many digits.
    ids.sort_unstable();
    assert_eq!(ids, portal.truth().live_tickets());
}

/// The numbers of the summary: `… 12 calls (…), 2 repeated, 1 rate limited, …`.
fn summary(finished: &Finished) -> (u64, u64, u64) {
    let line = finished.stderr.lines().rev().find(|line| line.contains(" calls (")).expect("a summary");
    let before = |word: &str| {
        let begin = line.split(word).next().expect("text").trim_end().rsplit([' ', ',']).next().expect("a number");
        begin.parse().unwrap_or_else(|_| panic!("no number before {word:?} in {line}"))
    };
    (before(" calls ("), before(" repeated"), before(" rate limited"))
}

fn of_endpoint(portal: &Portal, endpoint: &str) -> Vec<LoggedRequest> {
    portal.requests().into_iter().filter(|request| request.endpoint == endpoint).collect()
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
fn an_expired_oauth_token_is_renewed_once_and_the_request_replayed() {
    let portal = portal();
    let mut tap = tap(&portal);
    with_oauth(&mut tap);
    portal.faults([FaultRule::next(PAGES, Fault::ExpiredToken)]);
    let finished = tap.sync(None).succeeded();
    assert_whole(&portal, &finished);
    assert_eq!(of_endpoint(&portal, "oauth_token").len(), 2, "one at the beginning, one for the expired token");
    let pages: Vec<_> =
        of_endpoint(&portal, "list tickets").into_iter().filter(|one| one.query.contains(PAGES)).collect();
    assert_eq!(pages.len(), 4, "two pages, one of them twice, and what lies behind the full one that is the last");
    assert_eq!((pages[0].status, &pages[0].query), (401, &pages[1].query));
    assert_ne!(pages[0].authorization_fingerprint, pages[1].authorization_fingerprint, "sent with the new token");

    portal.faults([FaultRule::always(PAGES, Fault::ExpiredToken)]);
    portal.clear_requests();
    let finished = tap.sync(None);
    assert_eq!(finished.code, Some(REFUSED), "{}", finished.stderr);
    assert_eq!(of_endpoint(&portal, "oauth_token").len(), 2, "once a request");
}

#[test]
fn a_given_token_that_expires_is_told_at_once() {
    let portal = portal();
    portal.faults([FaultRule::always(PAGES, Fault::ExpiredToken)]);
    let finished = tap(&portal).sync(None);
    assert_eq!(finished.code, Some(REFUSED));
    for part in ["expired", "access_token", "correlationId"] {
        assert!(finished.last_line().contains(part), "{}", finished.last_line());
    }
}

#[test]
fn a_rotated_refresh_token_is_the_next_one_used() {
    let oauth = OAuthApp { rotate_refresh_tokens: true, ..OAuthApp::default() };
    let portal = Portal::start(Options { oauth, merged: 0, archived_share: 0.0, ..Options::with_tickets(30) });
    let mut tap = tap(&portal);
    with_oauth(&mut tap);
    portal.faults([FaultRule::next(PAGES, Fault::ExpiredToken), FaultRule::nth(PAGES, 1, 1, Fault::ExpiredToken)]);
    assert_whole(&portal, &tap.sync(None).succeeded());
    let used: Vec<_> = of_endpoint(&portal, "oauth_token")
        .into_iter()
        .filter_map(|one| one.body.split('&').find_map(|pair| pair.strip_prefix("refresh_token=").map(str::to_owned)))
        .collect();
    assert_eq!(used, ["sandbox-refresh", "sandbox-refresh-1", "sandbox-refresh-2"]);
}

#[test]
fn a_token_that_lives_shortly_is_renewed_before_its_end() {
    // Renewed a second before its end: a request that was sent just before then has its answer in time, also on a busy machine.
    let oauth = OAuthApp { token_lifetime: Duration::from_secs(5), ..OAuthApp::default() };
    let portal = Portal::start(Options {
        oauth,
        latency: Duration::from_millis(600),
        merged: 0,
        archived_share: 0.0,
        ..Options::with_tickets(100)
    });
    let mut tap = tap(&portal);
    with_oauth(&mut tap);
    let finished = tap.sync(None).succeeded();
    assert_whole(&portal, &finished);
    assert!(of_endpoint(&portal, "oauth_token").len() >= 2);
    let refused = portal.request_counts().get("status 401").copied().unwrap_or(0);
    assert!(refused <= 1, "{refused} requests were sent with an expired token");
}

#[test]
fn oauth_secrets_go_into_the_body_of_the_versions_own_token_endpoint() {
    let portal = portal();
    for (version, path) in [("v3", "/oauth/v3/token"), ("2026-03", "/oauth/2026-03/token")] {
        let mut tap = tap(&portal);
        with_oauth(&mut tap);
        tap.set("api_version", version.into());
        portal.clear_requests();
        tap.run(&["--test"]).succeeded();
        let asked = of_endpoint(&portal, "oauth_token");
        assert_eq!((asked[0].path.as_str(), asked[0].query.as_str(), asked[0].method.as_str()), (path, "", "POST"));
        assert!(asked[0].body.contains("client_secret=sandbox-secret"));
        assert!(portal.requests().iter().all(|one| !one.query.contains("sandbox")));
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

#[test]
fn every_api_version_is_spoken_in_its_own_paths() {
    let portal = portal();
    let mut outputs = Vec::new();
    for (version, paths) in [
        (
            "v3",
            [
                "/account-info/v3/details",
                "/crm/v3/objects/tickets",
                "/crm/v3/objects/contacts/batch/read",
                "/crm/v3/owners",
                "/crm/v3/pipelines/tickets",
                "/crm/v3/properties/tickets",
                "/crm/v4/associations/tickets/contacts/batch/read",
            ],
        ),
        (
            "2026-03",
            [
                "/account-info/2026-03/details",
                "/crm/objects/2026-03/tickets",
                "/crm/objects/2026-03/contacts/batch/read",
                "/crm/owners/2026-03",
                "/crm/pipelines/2026-03/tickets",
                "/crm/properties/2026-03/tickets",
                "/crm/associations/2026-03/tickets/contacts/batch/read",
            ],
        ),
        (
            "2026-09",
            [
                "/account-info/2026-09/details",
                "/crm/objects/2026-09/tickets",
                "/crm/objects/2026-09/contacts/batch/read",
                "/crm/owners/2026-09",
                "/crm/pipelines/2026-09/tickets",
                "/crm/properties/2026-09/tickets",
                "/crm/associations/2026-09/tickets/contacts/batch/read",
            ],
        ),
    ] {
        let mut tap = tap(&portal);
        tap.set("api_version", version.into());
        portal.clear_requests();
        let finished = tap.sync(None).succeeded();
        assert_whole(&portal, &finished);
        let asked = portal.requests();
        for path in paths {
            assert!(asked.iter().any(|request| request.path == path), "{version}: {path}");
        }
        let foreign = |path: &str| match version {
            "v3" => !(path.contains("/v3/") || path.contains("/v4/") || path.ends_with("/v3")),
            date => !path.contains(date),
        };
        assert!(!asked.iter().any(|request| foreign(&request.path)), "{version}");
        let messages = finished.messages();
        outputs.push((columns(&messages, "tickets"), records(&messages, "ticket_associations").len()));
    }
    assert!(outputs.windows(2).all(|pair| pair[0] == pair[1]));
}

/// Properties whose names together are longer than a URL may be.
fn widen(portal: &Portal, count: usize) {
    for number in 0..count {
        let name = format!("a_custom_property_with_a_name_as_long_as_people_like_to_write_them_{number:04}");
        portal.define_property("tickets", PropertyDef::new(&name, "string", "text"));
    }
}

#[test]
fn a_wide_portal_is_read_by_ids_and_batches() {
    let portal = portal();
    widen(&portal, 400);
    let id: u64 = portal.truth().live_tickets()[4].parse().expect("an id");
    let last = "a_custom_property_with_a_name_as_long_as_people_like_to_write_them_0399";
    portal.update("tickets", id, &[(last, "kept")]);
    let tap = tap(&portal);
    let catalog = tap.discover();
    portal.clear_requests();
    let finished = tap.sync(None).succeeded();
    let tables = fold(&finished.messages());
    for table in portal.truth().tables(&catalog) {
        table.assert_held(&table.in_messages(&tables), crate::support::cell::Fidelity::Exact);
    }
    assert_eq!(portal.request_counts().get("status 414"), None, "known beforehand");
    let lists = of_endpoint(&portal, "list tickets");
    let ids_alone = ["properties=hs_object_id", "archived=true&properties=hs_merged_object_ids"];
    assert!(lists.iter().all(|one| ids_alone.iter().any(|ids| one.query.contains(ids))), "ids alone");
    let batches = of_endpoint(&portal, "batch_read tickets");
    assert_eq!(batches.len(), 3, "one a page");
    assert!(batches.iter().all(|one| one.body.contains(last)));
    assert!(
        finished.stderr.contains("WARN 614 properties of tickets are selected"),
        "a Postgres row cannot hold them: {}",
        finished.stderr
    );
}

#[test]
fn a_url_that_is_too_long_for_the_edge_switches_to_batches_for_good() {
    let portal = portal();
    let tap = tap(&portal);
    let catalog = only(&tap.discover(), &["tickets"]);
    portal.clear_requests();
    portal.faults([FaultRule::always("subject", Fault::Html(414))]);
    let finished = tap.sync_catalog(&catalog, None).succeeded();
    assert_whole(&portal, &finished);
    assert_eq!(portal.request_counts()["status 414"], 1, "once");
    assert_eq!(of_endpoint(&portal, "batch_read tickets").len(), 3);
    assert!(records(&finished.messages(), "tickets").iter().any(|record| record["subject"].is_string()));
}

#[test]
fn a_record_that_a_batch_leaves_out_once_is_asked_for_again() {
    let portal = portal();
    let tap = tap(&portal);
    let catalog = tickets_with(&tap.discover(), &["subject"]);
    portal.faults([
        FaultRule::always("subject", Fault::Html(414)),
        FaultRule::next("tickets/batch/read", Fault::RecordMissing),
    ]);
    let finished = tap.sync_catalog(&catalog, None).succeeded();
    assert_eq!(records(&finished.messages(), "tickets").len(), 30);
}

/// Takes requests, answers them with 401, and gives the head of the first.
fn overheard(configure: impl FnOnce(&mut Tap)) -> Vec<String> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (heads, first) = mpsc::channel();
    // It ends with the test's process.
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.expect("a request");
            let reader = BufReader::new(connection.try_clone().expect("a connection"));
            let lines = reader.lines().map(|line| line.expect("text"));
            let _ = heads.send(lines.take_while(|line| !line.is_empty()).collect());
            let answer = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
            connection.write_all(answer.as_bytes()).expect("an answer");
        }
    });
    let mut tap = Tap::unhurried(&portal());
    tap.set("api_base_url", format!("http://{address}/").into());
    configure(&mut tap);
    assert_eq!(tap.run(&["--test"]).code, Some(REFUSED));
    first.recv().expect("a request")
}

#[test]
fn requests_ask_for_gzip_and_say_who_asks() {
    let has = |head: &[String], expected: &str| head.iter().any(|line| line.eq_ignore_ascii_case(expected));
    let head = overheard(|_| ());
    assert_eq!(head[0], "GET /account-info/2026-03/details HTTP/1.1", "a slash behind the host does no harm");
    assert!(
        head.iter().any(|line| line.to_lowercase().starts_with("accept-encoding:") && line.contains("gzip")),
        "{head:?}"
    );
    assert!(has(&head, concat!("user-agent: tap-hubspot-tickets/", env!("CARGO_PKG_VERSION"))), "{head:?}");
    assert!(has(&head, "authorization: Bearer pat-na1-sandbox-token"), "{head:?}");
    let head = overheard(|tap| {
        tap.set("user_agent", "acme-etl (ops@acme.example)".into());
    });
    assert!(has(&head, "user-agent: acme-etl (ops@acme.example)"), "{head:?}");
}

#[test]
fn compressed_and_plain_answers_are_the_same() {
    let rows = |gzip: bool| {
        let portal = Portal::start(Options {
            gzip,
            seed: 3,
            start_time: Some("2026-03-01T12:00:00Z".parse().expect("an instant")),
            ..Options::with_tickets(60)
        });
        let mut tap = tap(&portal);
        tap.set("scan_id", "one".into());
        tap.sync(None).succeeded().stdout
    };
    assert!(rows(true) == rows(false));
}

#[test]
fn a_proxy_of_the_environment_is_used() {
    let portal = portal();
    let tap = tap(&portal);
    let mut command = tap.command(&["--test"]);
    command.env("HTTP_PROXY", "http://127.0.0.1:1").env_remove("NO_PROXY");
    let finished = tap.finish(command);
    assert_eq!(finished.code, Some(UNAVAILABLE), "{}", finished.stderr);
    let mut command = tap.command(&["--test"]);
    command.env("HTTP_PROXY", "http://127.0.0.1:1").env("NO_PROXY", "127.0.0.1");
    tap.finish(command).succeeded();
}
