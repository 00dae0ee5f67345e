//! What is wrong ends a run with one clear sentence, an exit code of its own, and nothing half-written.

use std::fs::{self, File};
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hubspot_sandbox::{Fault, FaultRule, Options, RateLimitKind, read_scopes};
use serde_json::{Value, json};

use crate::support::catalogs::{entry, metadata, only, tickets_with};
use crate::support::messages::{self, states};
use crate::support::portal::Portal;
use crate::support::tap::{Finished, Tap};

/// A setting, catalog, state or argument is wrong.
const USAGE: i32 = 2;
/// HubSpot refuses.
const REFUSED: i32 = 3;
/// HubSpot cannot be reached or keeps failing.
const UNAVAILABLE: i32 = 4;
/// The daily quota is used up.
const QUOTA: i32 = 6;
/// Nobody takes the messages.
const OUTPUT: i32 = 7;

/// What no run may show: the tokens of the sandbox, and beginnings of those that it hands out.
const SECRETS: [&str; 6] =
    ["pat-na1-sandbox-token", "pat-na1-hush", "sandbox-secret", "sandbox-refresh", "hush-hush", "CPa1-"];

fn portal() -> Portal {
    Portal::start(Options { merged: 0, ..Options::with_tickets(30) })
}

/// A command that must fail, run as it is and again with everything logged.
#[track_caller]
fn assert_refused(tap: &Tap, command: impl Fn() -> Command, code: i32, says: &[&str]) -> Finished {
    let finished = tap.finish(command());
    assert_eq!(finished.code, Some(code), "{}", finished.stderr);
    assert_eq!(finished.text(), "", "nothing on stdout");
    let last = finished.last_line();
    assert!(last.contains("ERROR "), "the last line is not the error: {}", finished.stderr);
    for part in says {
        assert!(last.contains(part), "{part:?} is missing in: {last}");
    }
    assert!(!last.contains("  ") && !last.ends_with("ERROR "), "no sentence: {last}");
    assert_no_secret(&finished);
    let mut traced = command();
    traced.env("RUST_LOG", "trace");
    let traced = tap.finish(traced);
    assert_eq!((traced.code, traced.text()), (Some(code), ""), "{}", traced.stderr);
    assert_no_secret(&traced);
    finished
}

#[track_caller]
fn assert_no_secret(finished: &Finished) {
    for secret in SECRETS {
        assert!(!finished.text().contains(secret), "{secret} on stdout");
        assert!(!finished.stderr.contains(secret), "{secret} on stderr: {}", finished.stderr);
    }
}

/// Runs fail within the tests' time.
fn impatient(portal: &Portal) -> Tap {
    let mut tap = Tap::unhurried(portal);
    tap.set("retry_attempts", 1.into()).set("request_timeout_secs", json!(5));
    tap
}

#[test]
fn configs_that_cannot_be_read() {
    let tap = Tap::unhurried(&portal());
    for (text, says) in [
        (None, "no-config.json"),
        (Some(""), "not JSON"),
        (Some(r#"{"access_token": "pat-na1-hush""#), "not JSON"),
        (Some(r#"["pat-na1-hush"]"#), "not a JSON object"),
        (Some(r#""pat-na1-hush""#), "not a JSON object"),
        (Some("pat-na1-hush"), "not JSON"),
    ] {
        if let Some(text) = text {
            fs::write(tap.path("no-config.json"), text).expect("a writable folder");
        }
        let command = || tap.bare_command(&["--config", "no-config.json"]);
        assert_refused(&tap, command, USAGE, &["no-config.json", says]);
    }
    assert_refused(&tap, || tap.bare_command(&["--config", "."]), USAGE, &["config ."]);
    assert_refused(&tap, || tap.bare_command(&[]), USAGE, &["--config"]);
    assert_refused(&tap, || tap.bare_command(&["--config", "ENV"]), USAGE, &["access_token", "refresh_token"]);
    fs::write(tap.path(".env"), "TAP_HUBSPOT_TICKETS_ACCESS_TOKEN='pat-na1-hush\n").expect("a writable folder");
    assert_refused(&tap, || tap.bare_command(&["--config", "ENV"]), USAGE, &[".env"]);
}

#[test]
fn settings_of_a_wrong_type_or_out_of_bounds() {
    let portal = portal();
    for (setting, value, says) in [
        ("access_token", json!(["pat-na1-hush"]), ""),
        ("access_token", json!(""), "empty"),
        ("client_secret", json!({"x": "hush-hush"}), ""),
        ("organization_id", json!(true), "true"),
        ("scan_id", json!(7), "7"),
        ("start_date", json!("yesterday"), "yesterday"),
        ("start_date", json!("2026-01-32"), "2026-01-32"),
        ("end_date", json!(20_260_101), "20260101"),
        ("properties", json!("[subject"), "[subject"),
        ("include_associations", json!("perhaps"), "perhaps"),
        ("associations", json!([1]), "1"),
        ("properties_layout", json!("rows"), "rows"),
        ("api_base_url", json!("ftp://example.com"), "ftp://"),
        ("api_version", json!("2026-13"), "2026-13"),
        ("request_timeout_secs", json!(0), "0"),
        ("rate_limit", json!(0), "0"),
        ("rate_limit", json!(1.5), "1.5"),
        ("rate_limit_share", json!(1.1), "1.1"),
        ("retry_attempts", json!(-1), "-1"),
        ("retry_delay_secs", json!("soon"), "soon"),
        ("page_size", json!(101), "101"),
        ("page_size", json!(0), "0"),
        ("checkpoint_every_pages", json!(0), "0"),
        ("lookback_minutes", json!(-1), "-1"),
        ("user_agent", json!(""), ""),
    ] {
        let mut tap = Tap::unhurried(&portal);
        tap.set(setting, value);
        assert_refused(&tap, || tap.command(&[]), USAGE, &[setting, says]);
    }
    assert!(portal.requests().is_empty());
}

#[test]
fn settings_that_contradict_each_other() {
    let portal = portal();
    let mut tap = Tap::unhurried(&portal);
    tap.set("start_date", "2026-02-01T00:00:00Z".into()).set("end_date", "2026-02-01T00:00:00Z".into());
    assert_refused(&tap, || tap.command(&[]), USAGE, &["end_date", "start_date"]);
    let mut tap = Tap::unhurried(&portal);
    tap.set("access_token", Value::Null).set("refresh_token", "hush-hush".into());
    assert_refused(&tap, || tap.command(&[]), USAGE, &["client_id, client_secret"]);
}

#[test]
fn an_unknown_key_is_one_warning_with_the_nearest_key() {
    let portal = portal();
    let mut tap = Tap::unhurried(&portal);
    tap.set("acess_token", "hush-hush".into()).set("zzz", 1.into());
    let finished = tap.run(&["--discover"]).succeeded();
    assert_eq!(finished.said("WARN"), 2, "{}", finished.stderr);
    assert_eq!(finished.said(r#""acess_token" is unknown and ignored; did you mean "access_token"?"#), 1);
    assert_eq!(finished.said(r#""zzz" is unknown"#), 1);
    assert_no_secret(&finished);
}

#[test]
fn states_that_cannot_be_used() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    let of_tickets =
        |bookmark: Value| json!({"portal_id": "245001234", "bookmarks": {"tickets": bookmark}}).to_string();
    for (text, says) in [
        ("hello".to_owned(), "state.json"),
        ("{\"bookmarks\":".to_owned(), "state.json"),
        ("[1]".to_owned(), "state.json"),
        ("5".to_owned(), "state.json"),
        (json!({"portal_id": "7", "bookmarks": {}}).to_string(), "portal 7"),
        (json!({"portal_id": 7, "bookmarks": {}}).to_string(), "portal 7"),
        (
            json!({"bookmarks": {"tickets": {"replication_key_value": "2026-01-01T00:00:00Z"}}}).to_string(),
            "another tap",
        ),
        (json!({"portal_id": "245001234", "version": 2, "bookmarks": {}}).to_string(), "update the tap"),
        (json!({"portal_id": "245001234", "version": "new", "bookmarks": {}}).to_string(), "version"),
        (json!({"portal_id": "245001234", "bookmarks": 5}).to_string(), "bookmarks"),
        (json!({"portal_id": "245001234", "bookmarks": [1]}).to_string(), "bookmarks"),
        (of_tickets(json!(5)), "tickets"),
        (of_tickets(json!("2026-01-01T00:00:00Z")), "tickets"),
        (of_tickets(json!({"replication_key_value": "soon"})), "tickets"),
        (of_tickets(json!({"version": "new"})), "tickets"),
        (of_tickets(json!({"progress": true})), "tickets"),
        (
            of_tickets(json!({"progress": {"since": null, "until": null, "parts": [{"list": "lost", "after": null}]}})),
            "tickets",
        ),
        (of_tickets(json!({"types": ["number"]})), "tickets"),
    ] {
        fs::write(tap.path("state.json"), &text).expect("a writable folder");
        let finished = assert_refused(&tap, || tap.command(&["--state", "state.json"]), USAGE, &["state", says]);
        assert!(
            ["remove", "start without", "own state", "repair"].iter().any(|hint| finished.last_line().contains(hint)),
            "no hint what to do: {}",
            finished.last_line()
        );
    }
    assert_refused(&tap, || tap.command(&["--state", "."]), USAGE, &["state ."]);
}

#[test]
fn catalogs_that_cannot_be_used() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    let catalog = tap.discover();
    let changed = |change: fn(&mut Value)| {
        let mut catalog = catalog.clone();
        change(&mut catalog);
        catalog.to_string()
    };
    for (text, says) in [
        (String::new(), "catalog.json"),
        ("{".to_owned(), "catalog.json"),
        ("[]".to_owned(), "catalog.json"),
        ("{}".to_owned(), "streams"),
        (json!({"streams": {}}).to_string(), "catalog.json"),
        (json!({"streams": [{"schema": {"properties": {}}}]}).to_string(), "tap_stream_id"),
        (json!({"streams": [{"stream": "tickets"}]}).to_string(), "schema"),
        (json!({"streams": [{"stream": "tickets", "schema": {}}]}).to_string(), "tickets"),
        (json!({"streams": [{"stream": "tickts", "schema": {"properties": {}}}]}).to_string(), "tickts"),
        (changed(|catalog| entry(catalog, "owners")["stream"] = "users".into()), "users"),
        (changed(|catalog| metadata(entry(catalog, "tickets"), &[])["hubspot-portal-id"] = "7".into()), "portal 7"),
        (changed(|catalog| entry(catalog, "tickets")["replication_method"] = "LOG_BASED".into()), "LOG_BASED"),
        (
            changed(|catalog| {
                let tickets = entry(catalog, "tickets");
                tickets.as_object_mut().expect("an entry").shift_remove("replication_method");
                metadata(tickets, &[])["replication-method"] = "full table".into();
            }),
            "full table",
        ),
    ] {
        fs::write(tap.path("catalog.json"), &text).expect("a writable folder");
        assert_refused(&tap, || tap.command(&["--catalog", "catalog.json"]), USAGE, &["catalog", says]);
    }
    assert_refused(&tap, || tap.command(&["--catalog", "nowhere.json"]), USAGE, &["nowhere.json", "--discover"]);
}

#[test]
fn a_stream_that_is_unknown_and_not_selected_does_no_harm() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    let mut catalog = only(&tap.discover(), &["owners"]);
    let theirs = json!({"stream": "surveys", "schema": {"properties": {}}, "metadata": [
        {"breadcrumb": [], "metadata": {"selected": false}}]});
    catalog["streams"].as_array_mut().expect("streams").push(theirs);
    tap.sync_catalog(&catalog, None).succeeded();
}

#[test]
fn a_wrong_token() {
    let portal = portal();
    let mut tap = Tap::unhurried(&portal);
    tap.set("access_token", "pat-na1-hush".into());
    for arguments in [&[][..], &["--discover"], &["--test"], &["--test=schema"]] {
        let says = ["access_token", "correlationId"];
        assert_refused(&tap, || tap.command(arguments), REFUSED, &says);
    }
    tap.set("access_token", "pat-na1-hush\nhush-hush".into());
    assert_refused(&tap, || tap.command(&[]), USAGE, &["access_token", "a line break"]);
}

#[test]
fn a_token_of_another_tenant() {
    let portal = portal();
    let mut tap = Tap::unhurried(&portal);
    let catalog = tap.discover();
    tap.write("catalog.json", &catalog);
    for id in [json!("7"), json!(7)] {
        tap.set("organization_id", id);
        for arguments in [&[][..], &["--catalog", "catalog.json"], &["--discover"], &["--test=records"]] {
            portal.clear_requests();
            assert_refused(&tap, || tap.command(arguments), REFUSED, &["organization_id is 7", "245001234"]);
            // Twice, since everything here runs twice.
            assert_eq!(portal.requests().len(), 2, "nothing but the account was read");
        }
    }
    for id in [json!("245001234"), json!(245_001_234), json!(" 245001234 ")] {
        tap.set("organization_id", id);
        tap.run(&["--discover"]).succeeded();
    }
}

fn without(scopes: &[&str]) -> Vec<String> {
    read_scopes().into_iter().filter(|scope| !scopes.contains(&scope.as_str())).collect()
}

fn lacking(portal: &Portal, scopes: &[&str]) -> Tap {
    let granted = without(scopes);
    portal.add_token("lesser", &granted.iter().map(String::as_str).collect::<Vec<_>>());
    let mut tap = Tap::unhurried(portal);
    tap.set("access_token", "lesser".into());
    tap
}

#[test]
fn a_token_that_may_not_read_tickets() {
    let portal = portal();
    let catalog = Tap::unhurried(&portal).discover();
    let tap = lacking(&portal, &["tickets"]);
    assert_refused(&tap, || tap.command(&[]), REFUSED, &["add the scope tickets", "correlationId"]);
    assert_refused(&tap, || tap.command(&["--discover"]), REFUSED, &["add the scope tickets"]);
    for catalog in [catalog.clone(), only(&catalog, &["tickets"]), tickets_with(&catalog, &["subject"])] {
        tap.write("catalog.json", &catalog);
        assert_refused(&tap, || tap.command(&["--catalog", "catalog.json"]), REFUSED, &["scope tickets"]);
    }
}

#[test]
fn a_selection_of_which_nothing_can_be_read() {
    let portal = portal();
    let catalog = Tap::unhurried(&portal).discover();
    for stream in ["contacts", "companies", "deals"] {
        let scope = format!("crm.objects.{stream}.read");
        let tap = lacking(&portal, &[&scope]);
        tap.write("catalog.json", &only(&catalog, &[stream, "sync_audit"]));
        let says = [stream, &format!("add the scope {scope}")];
        assert_refused(&tap, || tap.command(&["--catalog", "catalog.json"]), REFUSED, &says);
    }
}

#[test]
fn a_chosen_association_type_whose_scope_is_missing() {
    let portal = portal();
    let mut tap = lacking(&portal, &["crm.objects.deals.read"]);
    tap.set("associations", json!(["contacts", "deals"]));
    let mut catalog = tap.discover();
    let says = ["deals", "add the scope crm.objects.deals.read", "associations"];
    metadata(entry(&mut catalog, "tickets"), &["properties", "associated_deals"])["selected"] = true.into();
    tap.write("catalog.json", &catalog);
    assert_refused(&tap, || tap.command(&["--catalog", "catalog.json"]), REFUSED, &says);
    assert_refused(&tap, || tap.command(&[]), REFUSED, &says);
}

#[test]
fn hosts_that_do_not_answer() {
    let portal = portal();
    for (url, says) in [
        // Nothing listens there, and the name is reserved for names that do not exist.
        ("http://127.0.0.1:1", "127.0.0.1:1"),
        ("http://nowhere.invalid", "nowhere.invalid"),
        ("https://127.0.0.1:1", "127.0.0.1:1"),
    ] {
        let mut tap = impatient(&portal);
        tap.set("api_base_url", url.into());
        assert_refused(&tap, || tap.command(&[]), UNAVAILABLE, &[says, "2 tries"]);
    }
    // TLS spoken to a server that speaks none.
    let mut tap = impatient(&portal);
    tap.set("api_base_url", portal.url().replace("http:", "https:").into());
    assert_refused(&tap, || tap.command(&[]), UNAVAILABLE, &["127.0.0.1"]);
}

#[test]
fn answers_that_are_not_hubspots() {
    let portal = portal();
    let tap = impatient(&portal);
    let status = |code, body: &str| Fault::Status { code, headers: Vec::new(), body: Some(body.to_owned()) };
    for (fault, code, says) in [
        (Fault::NotJson, UNAVAILABLE, "properties"),
        (Fault::Html(404), UNAVAILABLE, "404"),
        (Fault::Html(403), UNAVAILABLE, "403"),
        (Fault::Html(502), UNAVAILABLE, "502"),
        (status(404, ""), UNAVAILABLE, "404"),
        (status(404, "{}"), REFUSED, "404"),
        (status(500, "{\"message\":"), UNAVAILABLE, "500"),
        (status(301, ""), UNAVAILABLE, "301"),
        (status(200, "{}"), UNAVAILABLE, "properties"),
        (status(200, "[]"), UNAVAILABLE, "properties"),
        (status(530, "<html>\n\n error code: 1016</html>"), UNAVAILABLE, "error code: 1016"),
    ] {
        portal.clear_faults();
        portal.faults([FaultRule::always("", fault)]);
        assert_refused(&tap, || tap.command(&[]), code, &[says]);
    }
    portal.clear_faults();
    let mut tap = impatient(&portal);
    tap.set("api_base_url", format!("{}/proxy", portal.url()).into());
    assert_refused(&tap, || tap.command(&[]), UNAVAILABLE, &["404", "properties"]);
}

#[test]
fn a_used_up_quota_has_a_code_of_its_own() {
    let portal = portal();
    let tap = impatient(&portal);
    portal.faults([FaultRule::always(
        "account-info",
        Fault::RateLimited { limit: RateLimitKind::Daily, retry_after: None },
    )]);
    assert_refused(&tap, || tap.command(&[]), QUOTA, &["daily limit", "midnight", "correlationId"]);
}

#[test]
fn a_bad_oauth_grant() {
    let portal = portal();
    for (setting, value, says) in [
        ("refresh_token", "hush-hush", "revoked or is not this app's"),
        ("client_secret", "hush-hush", "secret is wrong"),
        ("client_id", "other", "app is unknown"),
    ] {
        let mut tap = impatient(&portal);
        tap.set("access_token", Value::Null)
            .set("client_id", "sandbox-client".into())
            .set("client_secret", "sandbox-secret".into())
            .set("refresh_token", "sandbox-refresh".into())
            .set(setting, value.into());
        assert_refused(&tap, || tap.command(&[]), REFUSED, &[setting, says]);
    }
}

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
