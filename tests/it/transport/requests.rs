//! What requests look like: paths, headers, compression, proxies.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;

use hubspot_sandbox::Options;

use super::{REFUSED, UNAVAILABLE, assert_whole, portal, tap};
use crate::support::messages::{columns, records};
use crate::support::portal::Portal;
use crate::support::tap::Tap;

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
