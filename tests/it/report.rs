//! What a run tells of itself: the report, the log's forms, the progress on a terminal.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hubspot_sandbox::{Fault, FaultRule, Options};
use serde_json::{Value, json};

use crate::support::messages::records;
use crate::support::portal::Portal;
use crate::support::tap::Tap;

fn report(tap: &Tap) -> Value {
    serde_json::from_slice(&fs::read(tap.path("report.json")).expect("a report")).expect("a whole report")
}

fn reporting(portal: &Portal) -> Tap {
    let mut tap = Tap::unhurried(portal);
    tap.set("report_path", "report.json".into());
    tap
}

#[test]
fn the_report_tells_what_a_run_did() {
    let portal = Portal::start(Options::with_tickets(260));
    let mut tap = reporting(&portal);
    tap.set("scan_id", "monday".into());
    let messages = tap.sync(None).succeeded().messages();
    let told = report(&tap);
    assert_eq!(told["scan_id"], "monday");
    assert_eq!(told["tenant"], portal.portal_id().to_string());
    assert_eq!(told["status"], "succeeded");
    assert_eq!(told["error"], Value::Null);
    for instant in ["started_at", "updated_at", "finished_at"] {
        assert!(told[instant].as_str().is_some_and(|at| at.ends_with('Z')), "{instant}");
    }
    for stream in ["tickets", "ticket_associations", "owners"] {
        assert_eq!(told["streams"][stream]["records"], records(&messages, stream).len(), "{stream}");
    }
    assert!(told["streams"]["tickets"]["pages"].as_u64() >= Some(3), "{told:#}");
    assert!(told["streams"]["tickets"]["bookmark"].is_string());
    let phases: Vec<_> = told["phases"].as_array().expect("phases").iter().map(|one| one["phase"].clone()).collect();
    assert_eq!(phases, ["prepare", "first_load"]);
    assert!(told["phases"].as_array().expect("phases").iter().all(|phase| phase["whole"] == true));
    let counts = portal.request_counts();
    let of_endpoints = |prefix: &str| -> u64 {
        counts.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, count)| count).sum()
    };
    assert_eq!(told["calls_by_endpoint"]["list"], of_endpoints("list "));
    assert_eq!(told["calls_by_endpoint"]["batch read"], of_endpoints("batch_read "));
    let left: Vec<_> = fs::read_dir(tap.path("")).expect("a folder").filter_map(Result::ok).collect();
    assert!(left.iter().all(|file| !file.file_name().to_string_lossy().ends_with(".new")), "{left:?}");
}

#[test]
fn the_report_of_a_failed_run_has_the_error_and_a_hint() {
    let portal = Portal::start(Options::with_tickets(300));
    let mut tap = reporting(&portal);
    tap.set("retry_attempts", 1.into()).set("checkpoint_every_pages", 1.into());
    let fault = Fault::Status { code: 500, headers: Vec::new(), body: None };
    portal.faults([FaultRule::nth("archived=false&after", 1, usize::MAX, fault)]);
    assert_eq!(tap.sync(None).code, Some(4));
    let told = report(&tap);
    assert_eq!(told["status"], "failed");
    assert_eq!(told["error"]["exit_code"], 4);
    assert!(told["error"]["message"].as_str().expect("text").contains("500"), "{told:#}");
    assert!(told["error"]["hint"].as_str().expect("text").contains("last state"), "{told:#}");
    assert!(told["retries"].as_u64() >= Some(1));
    assert!(told["streams"]["tickets"]["cursor"].as_array().is_some_and(|parts| !parts.is_empty()), "{told:#}");

    tap.set("access_token", "wrong".into());
    assert_eq!(tap.sync(None).code, Some(3));
    let told = report(&tap);
    assert_eq!((&told["status"], &told["phases"][0]["whole"]), (&json!("failed"), &json!(false)));
    assert!(!told.to_string().contains("\"wrong\""));
}

#[test]
fn the_report_is_whole_and_current_while_the_run_goes_on() {
    let portal = Portal::start(Options::with_tickets(1200));
    portal.set_latency(Duration::from_millis(150));
    let tap = reporting(&portal);
    let mut running = tap.command(&[]).stdout(Stdio::null()).spawn().expect("the tap runs");
    let (mut seen, begin) = (Vec::new(), Instant::now());
    while running.try_wait().expect("a child").is_none() {
        assert!(begin.elapsed() < Duration::from_secs(60));
        if let Ok(text) = fs::read(tap.path("report.json")) {
            let told: Value = serde_json::from_slice(&text).expect("a whole report at every moment");
            seen.push((told["status"].clone(), told["streams"]["tickets"]["records"].as_u64().unwrap_or(0)));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    seen.dedup();
    assert!(seen.iter().any(|(status, _)| status == "preparing"), "{seen:?}");
    assert!(seen.iter().any(|(status, records)| status == "running" && *records > 0), "{seen:?}");
    assert_eq!(report(&tap)["status"], "succeeded");
}

#[test]
fn quiet_says_nothing_but_warnings_and_errors() {
    let portal = Portal::start(Options::with_tickets(20));
    let mut tap = Tap::unhurried(&portal);
    assert_eq!(tap.run(&["--quiet"]).succeeded().stderr, "");
    tap.set("page_sise", 3.into());
    assert_eq!(tap.run(&["--quiet"]).succeeded().stderr.lines().count(), 1);
    tap.set("access_token", "wrong".into());
    let failed = tap.run(&["--quiet"]);
    assert!(failed.last_line().contains(" ERROR "), "{}", failed.stderr);
}

#[test]
fn the_log_is_json_when_asked_for() {
    let portal = Portal::start(Options::with_tickets(20));
    let mut tap = Tap::unhurried(&portal);
    let keys = ["level", "pid", "logger_name", "ts", "thread_name", "app_name", "stream_name", "message", "extra"];
    let lines = |log: &str| -> Vec<Value> {
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    };
    let events = lines(&tap.run(&["--log-format=json"]).succeeded().stderr);
    for event in &events {
        for key in keys {
            assert!(event.get(key).is_some(), "{key} in {event}");
        }
    }
    let metrics: Vec<&Value> = events.iter().filter(|event| event["message"] == "METRIC").collect();
    let count = metrics.iter().find(|event| event["stream_name"] == "owners").expect("a metric of owners");
    assert_eq!(count["metric_info"]["metric"], "record_count");
    assert_eq!(count["metric_info"]["value"], portal.truth().list("owners").len());
    assert!(metrics.iter().all(|event| event["metric_info"]["value"].is_number()), "{metrics:?}");

    fs::write(
        tap.path("logging.json"),
        r#"{"formatters": {"structured": {"()": "singer_sdk.logging.StructuredFormatter"}}}"#,
    )
    .expect("a writable folder");
    tap.set("access_token", "wrong".into());
    let mut command = tap.command(&[]);
    command.env("SINGER_SDK_LOG_CONFIG", "logging.json");
    let failed = tap.finish(command);
    let last = lines(&failed.stderr).pop().expect("an event");
    assert_eq!(last["level"], "error");
    assert!(last["exception"]["message"].as_str().expect("text").contains("access_token"), "{last}");
    let mut command = tap.command(&["--log-format=text"]);
    command.env("SINGER_SDK_LOG_CONFIG", "logging.json");
    assert!(tap.finish(command).last_line().contains(" ERROR "));
}

#[test]
fn rust_log_sets_what_is_logged() {
    let portal = Portal::start(Options::with_tickets(3));
    let tap = Tap::unhurried(&portal);
    let mut command = tap.command(&[]);
    command.env("RUST_LOG", "off");
    assert_eq!(tap.finish(command).succeeded().stderr, "");
}

/// Runs the tap on a pseudo-terminal, of which `script` keeps what it shows; its stdout goes where `redirection` says.
fn on_a_terminal(tap: &Tap, redirection: &str, no_color: bool) -> (Option<i32>, String) {
    let inner = format!("{} --config config.json {redirection}", env!("CARGO_BIN_EXE_tap-hubspot-tickets"));
    let mut command = Command::new("script");
    command.args(["-qec", &inner, "typescript"]).current_dir(tap.path("")).stdin(Stdio::null()).stdout(Stdio::null());
    command.env("TERM", "xterm").env_remove("RUST_LOG").env_remove("NO_COLOR");
    if no_color {
        command.env("NO_COLOR", "1");
    }
    let status = command.status().expect("script of util-linux runs");
    (status.code(), String::from_utf8_lossy(&fs::read(tap.path("typescript")).expect("a typescript")).into_owned())
}

#[test]
fn a_terminal_shows_progress_a_table_and_hints_in_colour() {
    let portal = Portal::start(Options::with_tickets(1500));
    portal.set_latency(Duration::from_millis(120));
    let mut tap = Tap::unhurried(&portal);
    let (code, shown) = on_a_terminal(&tap, "> messages.jsonl", false);
    assert_eq!(code, Some(0), "{shown}");
    for part in ["records", "% of the limit", " left", "stream ", "tombstones", "tickets "] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert!(!shown.contains("METRIC"), "{shown}");
    tap.set("access_token", "wrong".into());
    let (code, shown) = on_a_terminal(&tap, "> messages.jsonl", false);
    assert_eq!(code, Some(3));
    assert!(shown.contains("\u{1b}[31mERROR "), "{shown}");
    assert!(shown.contains("\u{1b}[33mhint: fix the token"), "{shown}");
    let (_, shown) = on_a_terminal(&tap, "> messages.jsonl", true);
    assert!(shown.contains("hint: fix the token") && !shown.contains("\u{1b}[31m"), "{shown}");
}

/// As after a lost connection, of a run that nohup or a shell lets go on.
#[test]
fn a_run_outlives_the_terminal_that_showed_its_progress() {
    let portal = Portal::start(Options::with_tickets(900));
    portal.set_latency(Duration::from_millis(150));
    let tap = reporting(&portal);
    let program = env!("CARGO_BIN_EXE_tap-hubspot-tickets");
    let inner = format!("trap '' HUP; exec {program} --config config.json > messages.jsonl");
    let mut command = Command::new("script");
    command.args(["-qefc", &inner, "typescript"]).current_dir(tap.path("")).stdin(Stdio::null()).stdout(Stdio::null());
    let mut terminal = command.env("TERM", "xterm").env_remove("RUST_LOG").spawn().expect("script of util-linux runs");
    let begin = Instant::now();
    let told = || -> Value {
        serde_json::from_slice(&fs::read(tap.path("report.json")).unwrap_or_default()).unwrap_or_default()
    };
    let until = |holds: &dyn Fn() -> bool| {
        while !holds() && begin.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let shows = || String::from_utf8_lossy(&fs::read(tap.path("typescript")).unwrap_or_default()).contains(" left");
    until(&|| told()["status"] == "running" && shows());
    terminal.kill().expect("a child");
    terminal.wait().expect("a child");
    assert_eq!(told()["status"], "running", "it went away in mid-run");
    until(&|| !told()["finished_at"].is_null());
    assert_eq!(told()["status"], "succeeded", "{:#}", told());
    assert_eq!(told()["error"], Value::Null);
}

#[test]
fn a_terminal_shared_with_a_target_gets_lines_instead_of_a_bar() {
    let portal = Portal::start(Options::with_tickets(900));
    let mut tap = Tap::unhurried(&portal);
    tap.set("page_size", 20.into());
    portal.set_latency(Duration::from_millis(500));
    let (code, shown) = on_a_terminal(&tap, "| cat > messages.jsonl", false);
    assert_eq!(code, Some(0), "{shown}");
    let line = shown.lines().find(|line| line.contains("% of the limit")).unwrap_or_else(|| panic!("no line: {shown}"));
    assert!(line.starts_with("INFO ") && line.contains(" of ") && line.contains(" records, "), "{line}");
    // Neither colours nor movements of the cursor, and the table at the end.
    assert!(!shown.contains('\u{1b}') && shown.contains("tombstones"), "{shown}");
}
