//! `tap | target`, as a shell joins them, and with a hand on the pipe that cuts it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::tap::Tap;

/// What a pipeline left.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) tap_code: Option<i32>,
    pub(crate) target_code: Option<i32>,
    /// The states that the target printed, in their order.
    pub(crate) states: Vec<Value>,
    /// What both said on stderr.
    pub(crate) logs: String,
}

/// Who is killed, and where that cuts the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Victim {
    /// The tap, busy writing: the target gets half a line last, as from any full pipe.
    Tap,
    /// The tap, waiting for HubSpot: every line that it began reaches the target.
    TapBetweenLines,
    /// The target.
    Target,
}

impl Loaded {
    /// Panics with what was said unless both ended with 0.
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!((self.tap_code, self.target_code), (Some(0), Some(0)), "{}", self.logs);
        self
    }
}

/// `tap ARGUMENTS | target`, to its end.
pub(crate) fn run(tap: &Tap, arguments: &[&str], target: Command) -> Loaded {
    let mut source = start_tap(tap, arguments);
    let output = source.stdout.take().expect("a pipe");
    let sink = start_target(tap, target, output.into());
    finish(tap, source, sink)
}

/// The same, with one of the two killed by SIGKILL once `lines` lines went through the pipe. What the tap had written by
/// then still reaches the target.
pub(crate) fn run_until(tap: &Tap, arguments: &[&str], target: Command, victim: Victim, lines: usize) -> Loaded {
    let mut source = start_tap(tap, arguments);
    let output = source.stdout.take().expect("a pipe");
    let mut sink = start_target(tap, target, Stdio::piped());
    let mut input = sink.stdin.take().expect("a pipe");
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        output.read_until(b'\n', &mut line).expect("a readable pipe");
        let whole = line.ends_with(b"\n");
        let left_out = !whole && victim == Victim::TapBetweenLines;
        // A target that is gone has told why on stderr, and the caller sees its exit code.
        if line.is_empty() || left_out || input.write_all(&line).is_err() {
            break;
        }
        if number == lines {
            match victim {
                Victim::Tap | Victim::TapBetweenLines => source.kill().expect("a running tap"),
                Victim::Target => sink.kill().expect("a running target"),
            }
        }
    }
    drop((input, output));
    finish(tap, source, sink)
}

fn start_tap(tap: &Tap, arguments: &[&str]) -> Child {
    tap.command(arguments).stdout(Stdio::piped()).spawn().expect("the tap runs")
}

/// States and log of a target go to files, so that no pipe of theirs fills up while nobody reads it.
fn start_target(tap: &Tap, mut target: Command, input: Stdio) -> Child {
    let file = |name| File::create(tap.path(name)).expect("a writable folder");
    target.stdin(input).stdout(file("states.jsonl")).stderr(file("target.log"));
    target.spawn().expect("the target runs")
}

fn finish(tap: &Tap, mut source: Child, mut sink: Child) -> Loaded {
    let tap_code = source.wait().expect("a child").code();
    let target_code = sink.wait().expect("a child").code();
    let read = |name| fs::read_to_string(tap.path(name)).expect("a file in UTF-8");
    let state = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("no state: {error}: {line}"));
    Loaded {
        tap_code,
        target_code,
        states: read("states.jsonl").lines().map(state).collect(),
        logs: format!("tap: {}\ntarget: {}", tap.log(), read("target.log")),
    }
}
