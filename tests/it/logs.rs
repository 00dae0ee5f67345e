//! A log that cannot be written: everything goes on without it.

use std::fs::{self, File};
use std::io;
use std::process::{Command, Stdio};

use hubspot_sandbox::Options;
use serde_json::json;

use crate::support::delivery::{Target, contact, lines, schema};
use crate::support::portal::Portal;
use crate::support::source;
use crate::support::tap::Tap;

/// What a stderr can be that takes nothing.
#[derive(Debug, Clone, Copy)]
enum Lost {
    /// A file on a full disk.
    Full,
    /// A pipe whose reader is gone.
    Pipe,
    /// No stderr at all.
    Closed,
}

const LOST: [Lost; 3] = [Lost::Full, Lost::Pipe, Lost::Closed];

/// Takes a command's stderr away and runs it to its end.
fn without_log(mut command: Command, lost: Lost) -> (Option<i32>, Vec<u8>) {
    match lost {
        Lost::Full => {
            command.stderr(File::options().write(true).open("/dev/full").expect("a device"));
        }
        Lost::Pipe => {
            let (reader, writer) = io::pipe().expect("a pipe");
            drop(reader);
            command.stderr(writer);
        }
        Lost::Closed => {
            let mut closed = Command::new("bash");
            closed.args(["-c", "exec \"$0\" \"$@\" 2>&-"]).arg(command.get_program()).args(command.get_args());
            closed.current_dir(command.get_current_dir().expect("a folder")).stdin(Stdio::null());
            command = closed;
        }
    }
    let output = command.stdout(Stdio::piped()).output().expect("it runs");
    (output.status.code(), output.stdout)
}

#[test]
fn a_run_goes_on_without_a_log() {
    let portal = Portal::start(Options::with_tickets(60));
    let mut tap = Tap::unhurried(&portal);
    tap.set("report_path", "report.json".into()).set("page_sise", 3.into());
    for lost in LOST {
        for format in ["text", "json"] {
            let (code, stdout) = without_log(tap.command(&["--log-format", format]), lost);
            assert_eq!(code, Some(0), "{lost:?} {format}");
            let text = String::from_utf8(stdout).expect("UTF-8");
            let tickets =
                text.lines().filter(|line| line.starts_with(r#"{"type":"RECORD","stream":"tickets""#)).count();
            assert_eq!(tickets, portal.truth().list("tickets").len(), "{lost:?} {format}");
            let report = fs::read_to_string(tap.path("report.json")).expect("a report");
            assert!(report.contains(r#""status": "succeeded""#), "{lost:?}: {report}");
        }
    }
}

#[test]
fn a_failed_run_without_a_log_keeps_its_exit_code() {
    let portal = Portal::start(Options::with_tickets(3));
    let mut tap = Tap::unhurried(&portal);
    tap.set("access_token", "wrong".into()).set("report_path", "report.json".into());
    for lost in LOST {
        assert_eq!(without_log(tap.command(&[]), lost).0, Some(3), "{lost:?}");
        let report = fs::read_to_string(tap.path("report.json")).expect("a report");
        assert!(report.contains(r#""status": "failed""#), "{lost:?}: {report}");
        assert_eq!(without_log(tap.bare_command(&["--nonsense"]), lost).0, Some(2), "{lost:?}");
    }
}

#[test]
fn the_source_goes_on_without_stderr() {
    let portal = Portal::start(Options::with_tickets(3));
    let tap = Tap::unhurried(&portal);
    for lost in LOST {
        let (code, stdout) = without_log(source::command(&tap, &["discover", "--config", "config.json"]), lost);
        assert_eq!(code, Some(0), "{lost:?}");
        assert!(String::from_utf8_lossy(&stdout).contains(r#""type":"CATALOG""#), "{lost:?}");
        assert_eq!(without_log(source::command(&tap, &["nonsense"]), lost).0, Some(1), "{lost:?}");
    }
}

#[test]
fn a_delivery_goes_on_without_a_log() {
    for lost in LOST {
        let portal = Portal::start(Options::with_tickets(0));
        let target = Target::of(&portal);
        fs::write(target.path("input.jsonl"), lines(&[schema("contacts", &["email"]), contact("ann@example.com")]))
            .expect("a writable folder");
        let mut command = target.command(&[]);
        command.stdin(File::open(target.path("input.jsonl")).expect("the input"));
        if matches!(lost, Lost::Closed) {
            // The shell that closes stderr is given no stdin of ours.
            command = Command::new("bash");
            let program = env!("CARGO_BIN_EXE_target-hubspot");
            command.args(["-c", &format!("exec {program} --config target.json < input.jsonl")]);
            command.current_dir(target.path(""));
        }
        assert_eq!(without_log(command, lost).0, Some(0), "{lost:?}");
        let truth = portal.truth_of();
        let contacts = truth["contacts"].as_array().expect("contacts");
        assert!(contacts.iter().any(|one| one["properties"]["email"] == json!("ann@example.com")), "{lost:?}");
    }
}
