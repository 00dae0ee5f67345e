//! How runs end, and that the last line of stderr says why.

use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hubspot_sandbox::Options;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::clients::program;
use crate::support::delivery::{Target, contact, lines, schema, state};
use crate::support::pipeline;
use crate::support::portal::Portal;
use crate::support::source;
use crate::support::tap::{Finished, Tap};

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().cast_signed()), signal).expect("a child");
}

/// Waits until something holds.
#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs the tap where no file may grow beyond some KiB, as on a disk that is full.
fn on_a_full_disk(tap: &Tap, kib: u32) -> Finished {
    let program = env!("CARGO_BIN_EXE_tap-hubspot-tickets");
    let mut shell = Command::new("bash");
    shell.args(["-c", &format!("trap '' XFSZ; ulimit -f {kib}; exec {program} --config config.json")]);
    // Pipes have no size.
    shell.current_dir(tap.path("")).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TAP_HUBSPOT") || name == "RUST_LOG" {
            shell.env_remove(name);
        }
    }
    let output = shell.output().expect("bash runs");
    Finished {
        code: output.status.code(),
        stdout: output.stdout,
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

#[test]
fn a_reader_that_is_gone_is_the_reason_in_the_last_line() {
    let portal = Portal::start(Options::with_tickets(600));
    let tap = Tap::unhurried(&portal);
    for format in ["text", "json"] {
        let mut child = tap.command(&["--log-format", format]).stdout(Stdio::piped()).spawn().expect("the tap runs");
        drop(child.stdout.take());
        assert_eq!(child.wait().expect("a child").code(), Some(7));
        let log = tap.log();
        let last = log.lines().last().expect("a line");
        assert!(last.contains("the reader of stdout") && last.to_lowercase().contains("error"), "{log}");
    }
}

#[test]
fn a_full_stdout_is_the_reason_in_the_last_line_of_every_program() {
    let portal = Portal::start(Options::with_tickets(5));
    let (tap, target) = (Tap::unhurried(&portal), Target::of(&portal));
    let full = || fs::File::options().write(true).open("/dev/full").expect("a device");
    let last = |log: &str| log.lines().last().unwrap_or_default().to_owned();
    assert_eq!(tap.command(&[]).stdout(full()).status().expect("it runs").code(), Some(7));
    assert!(last(&tap.log()).contains("ERROR messages cannot be written to stdout: No space left"), "{}", tap.log());
    assert_eq!(tap.command(&["--discover"]).stdout(full()).status().expect("it runs").code(), Some(7));
    assert!(last(&tap.log()).contains("No space left"), "{}", tap.log());
    fs::write(
        target.path("input.jsonl"),
        lines(&[schema("contacts", &["email"]), contact("a@example.com"), state(json!({"a": 1}))]),
    )
    .expect("a writable folder");
    let input = fs::File::open(target.path("input.jsonl")).expect("the input");
    assert_eq!(target.command(&[]).stdin(input).stdout(full()).status().expect("it runs").code(), Some(7));
    assert!(last(&target.log()).contains("No space left"), "{}", target.log());
    let said =
        source::command(&tap, &["check", "--config", "config.json"]).stdout(full()).stderr(Stdio::piped()).output();
    let said = said.expect("it runs");
    assert_eq!(said.status.code(), Some(1));
    assert!(last(&String::from_utf8_lossy(&said.stderr)).contains("No space left"), "{said:?}");
}

#[test]
fn a_reader_that_is_gone_is_told_on_stderr_by_the_source() {
    let portal = Portal::start(Options::with_tickets(600));
    let tap = Tap::unhurried(&portal);
    let catalog = source::configured(&source::discover(&tap), |_| "incremental");
    tap.write("configured.json", &catalog);
    let arguments = ["read", "--config", "config.json", "--catalog", "configured.json"];
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = source::command(&tap, &arguments).stdout(writer).stderr(Stdio::piped()).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.lines().last().is_some_and(|last| last.contains("ERROR the reader of stdout")), "{said}");
}

/// As Ctrl-C does it, which reaches all programs of a pipeline.
#[test]
fn a_signal_wins_over_the_pipe_that_it_closed() {
    let portal = Portal::start(Options::with_tickets(2_000));
    let tap = Tap::unhurried(&portal);
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let mut child = tap.command(&[]).stdout(Stdio::piped()).spawn().expect("the tap runs");
        let mut output = child.stdout.take().expect("a pipe");
        output.read_exact(&mut [0; 100_000]).expect("messages");
        drop(output);
        send(&child, signal);
        assert_eq!(child.wait().expect("a child").code(), Some(code), "{}", tap.log());
        let log = tap.log();
        assert!(log.lines().last().is_some_and(|line| line.contains(&format!("stopped by {signal}"))), "{log}");
    }
}

#[test]
fn a_signal_before_the_first_message_ends_a_run_in_order() {
    let portal = Portal::start(Options::with_tickets(5));
    let mut tap = Tap::unhurried(&portal);
    tap.set("report_path", "report.json".into());
    portal.set_latency(Duration::from_secs(20));
    for arguments in [&[][..], &["--discover"], &["--test"], &["--plan"]] {
        portal.clear_requests();
        let mut child = tap.command(arguments).stdout(Stdio::null()).spawn().expect("the tap runs");
        until("a request", || !portal.request_counts().is_empty());
        send(&child, Signal::SIGTERM);
        assert_eq!(child.wait().expect("a child").code(), Some(143), "{arguments:?}: {}", tap.log());
        let log = tap.log();
        assert!(log.lines().last().is_some_and(|line| line.contains("stopped by SIGTERM")), "{arguments:?}: {log}");
    }
    let report = fs::read_to_string(tap.path("report.json")).expect("a report");
    assert!(report.contains(r#""status": "stopped""#), "{report}");
}

#[test]
fn a_report_that_cannot_be_written_is_a_warning_and_no_end() {
    let portal = Portal::start(Options::with_tickets(8));
    let mut tap = Tap::unhurried(&portal);
    for (path, reason) in [
        ("nowhere/report.json", "No such file"),
        ("config.json/report.json", "Not a directory"),
        ("/dev/full", "No space left"),
        (".", "no file"),
    ] {
        tap.set("report_path", path.into());
        let ran = tap.run(&[]).succeeded();
        let warned = ran.stderr.lines().find(|line| line.contains(" WARN the report ")).unwrap_or_default();
        assert!(warned.contains(path) && warned.contains(reason), "{path}: {}", ran.stderr);
        assert!(ran.said(" WARN ") <= 2, "{path}: {}", ran.stderr);
    }
    assert!(!fs::metadata("/dev/full").expect("a device").is_file(), "a device stays a device");
    tap.set("report_path", "report.json".into());
    let ran = on_a_full_disk(&tap, 0).succeeded();
    assert!(ran.stderr.contains("WARN the report ") && ran.stderr.contains("File too large"), "{}", ran.stderr);
}

#[test]
fn a_report_whose_folder_goes_in_mid_run_is_a_warning_and_no_end() {
    let portal = Portal::start(Options::with_tickets(600));
    let mut tap = Tap::unhurried(&portal);
    tap.set("report_path", "reports/report.json".into());
    fs::create_dir(tap.path("reports")).expect("a folder");
    portal.set_latency(Duration::from_millis(150));
    let mut child = tap.command(&[]).stdout(Stdio::null()).spawn().expect("the tap runs");
    let running = || fs::read_to_string(tap.path("reports/report.json")).is_ok_and(|text| text.contains("\"running\""));
    until("a run under way", running);
    fs::rename(tap.path("reports"), tap.path("gone")).expect("our own folder");
    assert_eq!(child.wait().expect("a child").code(), Some(0), "{}", tap.log());
    assert!(tap.log().contains("WARN the report "), "{}", tap.log());
}

#[test]
fn a_cache_without_room_ends_a_run_with_7_and_says_what_to_do() {
    let portal = Portal::start(Options::with_tickets(3_000));
    let mut tap = Tap::unhurried(&portal);
    tap.set("cache_path", "cache.redb".into()).set("checkpoint_every_pages", 1.into());
    // At its start, and in the middle.
    for kib in [0, 1_100] {
        let _ = fs::remove_file(tap.path("cache.redb"));
        let ran = on_a_full_disk(&tap, kib);
        assert_eq!(ran.code, Some(7), "{kib}: {}", ran.stderr);
        let last = ran.last_line();
        for part in ["ERROR", "cache.redb", "cannot be written", "make room", "File too large"] {
            assert!(last.contains(part), "{kib}: {part} in {last}");
        }
        // What it left is sound.
        tap.run(&[]).succeeded();
    }
}

#[test]
fn tokens_that_cannot_be_kept_are_told_with_the_file_and_the_reason() {
    let portal = Portal::start(Options::with_tickets(5));
    let mut tap = Tap::unhurried(&portal);
    let app = Options::default().oauth;
    tap.set("access_token", Value::Null)
        .set("client_id", app.client_id.into())
        .set("client_secret", app.client_secret.into())
        .set("refresh_token", app.refresh_token.into())
        .set("token_cache_path", "tokens.json".into());
    let ran = on_a_full_disk(&tap, 0);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    let last = ran.last_line();
    assert!(last.contains("token_cache_path tokens.json") && last.contains("File too large"), "{last}");
}

/// A target whose Postgres is down, beside the tap and below it.
#[test]
fn a_postgres_that_is_down_is_the_reason_in_the_last_line() {
    let portal = Portal::start(Options::with_tickets(600));
    let tap = Tap::unhurried(&portal);
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    tap.write(
        "target.json",
        &json!({"sqlalchemy_url": format!("postgresql+psycopg://postgres:x@127.0.0.1:{port}/postgres")}),
    );
    let target = || {
        let mut target = program("target-postgres", "target-postgres");
        target.arg("--config").arg(tap.path("target.json"));
        target
    };
    let loaded = pipeline::run(&tap, &[], target());
    assert_eq!(loaded.tap_code, Some(7), "{}", loaded.logs);
    assert!(tap.log().lines().last().is_some_and(|line| line.contains("ERROR the reader of stdout (the target)")));
    let command = target().get_program().to_string_lossy().into_owned();
    let ran = tap.run(&["--output", &format!("{command} --config target.json")]);
    assert_eq!(ran.code, Some(7), "{}", ran.stderr);
    let last = ran.last_line();
    assert!(last.contains("the output command ended with") && last.contains("refused"), "{last}");
    fs::create_dir_all(tap.path("tenants/one")).expect("a folder");
    for file in ["config.json", "target.json"] {
        fs::copy(tap.path(file), tap.path("tenants/one").join(file)).expect("a copy");
    }
    let output = format!("{command} --config target.json");
    let ran = tap.finish(tap.bare_command(&["--tenants", "tenants", "--output", &output]));
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let log = fs::read_to_string(tap.path("tenants/one/tap.log")).expect("a log");
    let last = log.lines().last().expect("a line");
    assert!(last.contains("the output command ended with") && last.contains("refused"), "{last}");
    assert!(ran.last_line().contains("1 of 1 tenants failed: one"), "{}", ran.last_line());
}

#[test]
fn a_lock_without_room_for_its_holders_name_still_locks() {
    let portal = Portal::start(Options::with_tickets(5));
    let mut tap = Tap::unhurried(&portal);
    tap.set("lock_path", "locks".into());
    let ran = on_a_full_disk(&tap, 0).succeeded();
    assert!(ran.stderr.contains("WARN the lock "), "{}", ran.stderr);
}

#[test]
fn a_run_with_nothing_selected_says_so_and_how_to_select() {
    let portal = Portal::start(Options::with_tickets(5));
    let tap = Tap::unhurried(&portal);
    let catalog = tap.discover();
    tap.select_streams(&catalog, &[]);
    for catalog in ["catalog.json", "empty.json"] {
        tap.write("empty.json", &json!({"streams": []}));
        let ran = tap.run(&["--quiet", "--catalog", catalog]).succeeded();
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
        assert!(ran.stderr.contains("WARN no stream is selected") && ran.stderr.contains("\"selected\": true"));
        assert!(ran.stdout.is_empty());
    }
    let said = source::read(&tap, &json!({"streams": []}), &[]).succeeded();
    let warned = said.of("LOG").into_iter().filter(|one| one["log"]["level"] == "WARN").collect::<Vec<_>>();
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(warned[0]["log"]["message"].as_str().is_some_and(|text| text.contains("enable one")), "{warned:?}");
}

#[test]
fn a_foreign_state_is_refused_with_advice_that_fits_airbyte() {
    let portal = Portal::start(Options::with_tickets(5));
    let tap = Tap::unhurried(&portal);
    let catalog = source::configured(&source::discover(&tap), |_| "incremental");
    let foreign = json!({"type": "STREAM", "stream": {
        "stream_descriptor": {"name": "tickets"}, "stream_state": {"updatedAt": "2026-01-01T00:00:00Z"}}});
    let error = source::read(&tap, &catalog, &[foreign]).error();
    let message = error["message"].as_str().expect("a message");
    assert!(message.contains("clear the connection's data") && !message.contains("--state"), "{message}");
    assert_eq!(error["failure_type"], "config_error");
}

/// Runs the tap with an output command that keeps the messages, and takes a state for its own.
const KEEP: &str = "tee messages.jsonl | grep '\"type\":\"STATE\"' | tail -n 1";

#[test]
fn the_tap_runs_its_target_and_keeps_the_state_that_it_prints() {
    let portal = Portal::start(Options::with_tickets(120));
    let tap = Tap::unhurried(&portal);
    let arguments = ["--state", "state.json", "--output", KEEP];
    assert!(tap.run(&arguments).succeeded().stdout.is_empty());
    let state = fs::read_to_string(tap.path("state.json")).expect("a state");
    assert_eq!(state.lines().count(), 1);
    let count = |what: &str| {
        let messages = fs::read_to_string(tap.path("messages.jsonl")).expect("messages");
        messages.lines().filter(|line| line.starts_with(what)).count()
    };
    assert_eq!(count(r#"{"type":"RECORD","stream":"tickets""#), portal.truth().list("tickets").len());
    tap.run(&arguments).succeeded();
    assert!(count(r#"{"type":"RECORD","stream":"tickets""#) < 20, "the second run goes on from the state");
    let failed = tap.run(&["--output", "cat > /dev/null; exit 3"]);
    assert_eq!(failed.code, Some(7));
    assert!(failed.last_line().contains("the output command ended with exit status: 3"), "{}", failed.stderr);
    let failed = tap.run(&["--output", "echo no room >&2; exit 3"]);
    assert!(failed.last_line().contains("exit status: 3: no room"), "{}", failed.stderr);
    let failed = tap.run(&["--output", "exit 3"]);
    assert_eq!(failed.code, Some(7));
    assert!(failed.last_line().contains("the output command ended with exit status: 3"), "{}", failed.stderr);
}

#[test]
fn a_signal_ends_the_tap_and_its_target_within_five_seconds() {
    let portal = Portal::start(Options::with_tickets(600));
    let mut tap = Tap::unhurried(&portal);
    tap.set("report_path", "report.json".into());
    portal.set_latency(Duration::from_millis(100));
    for command in [
        KEEP,
        "exec sleep 600",
        "cat > /dev/null; exec sleep 600",
        "trap '' TERM; cat > /dev/null; while :; do sleep 1; done",
        "trap '' TERM; sh -c 'echo $$ > pid; sleep 600' & trap - TERM; cat > /dev/null; sleep 600",
    ] {
        let command = format!("echo $$ > pid; {command}");
        let mut child = tap.command(&["--state", "state.json", "--output", &command]);
        let mut child = child.process_group(0).stdout(Stdio::null()).spawn().expect("the tap runs");
        until("a run under way", || {
            let report: Value =
                serde_json::from_slice(&fs::read(tap.path("report.json")).unwrap_or_default()).unwrap_or_default();
            report["records"].as_u64() > Some(0) && report["status"] == "running"
        });
        send(&child, Signal::SIGTERM);
        let asked = Instant::now();
        assert_eq!(child.wait().expect("a child").code(), Some(143), "{command}: {}", tap.log());
        assert!(asked.elapsed() < Duration::from_secs(6), "{command}: {:?}", asked.elapsed());
        let pid = fs::read_to_string(tap.path("pid")).expect("a process id");
        // A process killed just now takes a moment, and one whose parent does not ask for it stays as a zombie.
        let status = format!("/proc/{}/status", pid.trim());
        until("the target's end", || fs::read_to_string(&status).map_or(true, |status| status.contains("State:\tZ")));
        assert!(tap.log().lines().last().is_some_and(|line| line.contains("stopped by SIGTERM")), "{}", tap.log());
        fs::remove_file(tap.path("report.json")).expect("a report");
    }
}
