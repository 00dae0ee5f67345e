//! What stdout and stderr hold when a run ends early.

use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hubspot_sandbox::{Fault, FaultRule, Options, RateLimitKind};
use serde_json::Value;

use super::{QUOTA, UNAVAILABLE, assert_no_secret, impatient, portal};
use crate::support::messages::{self, states};
use crate::support::portal::Portal;
use crate::support::tap::Tap;

/// Nobody takes the messages.
const OUTPUT: i32 = 7;

#[test]
fn secrets_are_in_no_output_of_a_good_run() {
    let portal = portal();
    let mut tap = Tap::unhurried(&portal);
    for oauth in [false, true] {
        if oauth {
            tap.set("access_token", Value::Null)
                .set("client_id", "sandbox-client".into())
                .set("client_secret", "sandbox-secret".into())
                .set("refresh_token", "sandbox-refresh".into());
        }
        for arguments in [&[][..], &["--discover"], &["--test"], &["--about"], &["--about", "--format=json"]] {
            let mut command = tap.command(arguments);
            command.env("RUST_LOG", "trace");
            assert_no_secret(&tap.finish(command).succeeded());
        }
    }
}

#[test]
fn a_failure_in_the_middle_leaves_whole_lines_and_a_state() {
    let portal = Portal::start(Options { merged: 0, ..Options::with_tickets(60) });
    for (fault, code) in [
        (Fault::NotJson, UNAVAILABLE),
        (Fault::ResetMidBody, UNAVAILABLE),
        (Fault::Html(403), UNAVAILABLE),
        (Fault::RateLimited { limit: RateLimitKind::Daily, retry_after: None }, QUOTA),
    ] {
        let mut tap = impatient(&portal);
        tap.set("page_size", 10.into()).set("checkpoint_every_pages", 1.into());
        portal.clear_faults();
        portal.faults([FaultRule::nth("archived=false&after", 2, usize::MAX, fault)]);
        let finished = tap.run(&[]);
        assert_eq!(finished.code, Some(code), "{}", finished.stderr);
        assert!(finished.last_line().contains("ERROR "), "{}", finished.stderr);
        assert!(finished.stdout.ends_with(b"\n"));
        let messages = finished.messages();
        assert!(states(&messages).pop().is_some_and(|state| state["bookmarks"]["tickets"]["progress"].is_object()));
        // Of the three pages that came, those that were still in work may be lost; the state knows.
        let pages = messages::records(&messages, "tickets").len() / 10;
        assert!((1..=3).contains(&pages), "{pages}");
        assert_no_secret(&finished);
    }
}

#[test]
fn signals_end_the_run_between_two_lines_with_the_shells_codes() {
    let portal = Portal::start(Options { merged: 0, ..Options::with_tickets(600) });
    let mut tap = Tap::unhurried(&portal);
    tap.set("page_size", 10.into()).set("checkpoint_every_pages", 1.into());
    for (signal, code, says) in [("TERM", 143, "SIGTERM"), ("INT", 130, "SIGINT")] {
        portal.set_latency(Duration::from_millis(20));
        let mut child = tap.command(&[]).stdout(Stdio::piped()).spawn().expect("the tap runs");
        let mut output = child.stdout.take().expect("a pipe");
        let mut stdout = vec![0; 300_000];
        output.read_exact(&mut stdout).expect("messages");
        let killed = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status();
        assert!(killed.expect("kill runs").success());
        output.read_to_end(&mut stdout).expect("the rest");
        let status = child.wait().expect("a child");
        assert_eq!(status.code(), Some(code), "{}", tap.log());
        assert!(stdout.ends_with(b"\n"), "whole lines");
        let messages = messages::parse(&stdout);
        assert!(messages::records(&messages, "tickets").len() < 588, "{signal} ended it");
        let log = tap.log();
        assert!(log.lines().last().is_some_and(|last| last.contains("ERROR") && last.contains(says)), "{log}");
    }
}

#[test]
fn a_full_disk_is_told_with_a_code_of_its_own() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    for arguments in
        [&[][..], &["--discover"], &["--about"], &["--version"], &["--test"], &["--test=schema"], &["--test=records"]]
    {
        let full = File::options().write(true).open("/dev/full").expect("Linux");
        let status = tap.command(arguments).stdout(full).status().expect("the tap runs");
        let log = tap.log();
        assert_eq!(status.code(), Some(OUTPUT), "{arguments:?}: {log}");
        let last = log.lines().last().unwrap_or_default();
        assert!(last.contains("ERROR ") && last.contains("No space left"), "{arguments:?}: {log}");
    }
}

#[test]
fn a_closed_stdout_ends_the_run_at_once() {
    let portal = Portal::start(Options { merged: 0, ..Options::with_tickets(3_000) });
    let mut tap = Tap::unhurried(&portal);
    tap.set("page_size", 10.into()).set("checkpoint_every_pages", 1.into());
    let mut child = tap.command(&[]).stdout(Stdio::piped()).spawn().expect("the tap runs");
    let mut output = child.stdout.take().expect("a pipe");
    output.read_exact(&mut vec![0; 600_000]).expect("messages");
    drop(output);
    let closed = Instant::now();
    let status = child.wait().expect("a child");
    assert_eq!(status.code(), Some(OUTPUT), "{}", tap.log());
    assert!(closed.elapsed() < Duration::from_secs(1), "{:?}", closed.elapsed());
    let log = tap.log();
    assert!(log.lines().last().is_some_and(|last| last.contains("ERROR the reader of stdout")), "{log}");
    let pages = portal.request_counts()["list tickets"];
    assert!((2..250).contains(&pages), "{pages} of 300 pages were read");
}
