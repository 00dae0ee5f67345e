//! `--output`: the tap runs the loader itself, keeps its states, and ends behind it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hubspot_sandbox::{Fault, FaultRule, Options};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::cell::Fidelity;
use crate::support::figures;
use crate::support::portal::Portal;
use crate::support::postgres::Database;
use crate::support::tap::Tap;
use crate::support::targets::{SCHEMA, target_pg};

const STATE: [&str; 2] = ["--state", "state.json"];

fn portal(tickets: usize) -> Portal {
    Portal::start(Options { archived_share: 0.05, stage_properties: false, ..Options::with_tickets(tickets) })
}

/// Waits until something holds.
#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn spawn(tap: &Tap, arguments: &[&str], output: &str) -> Child {
    let mut command = tap.command(arguments);
    command.args(STATE).args(["--output", output]).stdout(Stdio::null());
    command.spawn().expect("the tap runs")
}

fn send(process: u32, signal: Signal) {
    kill(Pid::from_raw(process.cast_signed()), signal).expect("a process");
}

/// The process that another one runs, if it does.
fn child_of(parent: u32) -> Option<u32> {
    let threads = fs::read_dir(format!("/proc/{parent}/task")).ok()?;
    let children = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok());
    children.collect::<String>().split_whitespace().next()?.parse().ok()
}

/// Makes a pipe that a loader of the shell waits for.
fn make_fifo(tap: &Tap, name: &str) {
    assert!(Command::new("mkfifo").arg(tap.path(name)).status().expect("mkfifo runs").success());
}

/// Lets a loader go on that waits for a pipe.
fn let_go_on(tap: &Tap, fifo: &str) {
    fs::OpenOptions::new()
        .write(true)
        .open(tap.path(fifo))
        .expect("a waiting loader")
        .write_all(b"\n")
        .expect("a pipe");
}

/// A PATH with one loader in it and nothing else: no shell either.
fn path_with_target_pg(tap: &Tap) -> String {
    let folder = tap.path("bin");
    if !folder.exists() {
        fs::create_dir(&folder).expect("a new folder");
        symlink(env!("CARGO_BIN_EXE_target-pg"), folder.join("target-pg")).expect("a link");
    }
    folder.display().to_string()
}

fn tickets_held(database: &Database) -> usize {
    let count = database.number(&format!("select count(*) from {SCHEMA}.tickets where not archived"));
    usize::try_from(count).expect("a count")
}

fn state_of(tap: &Tap) -> Value {
    serde_json::from_slice(&fs::read(tap.path("state.json")).expect("a state")).expect("one whole state")
}

#[test]
fn one_command_loads_a_portal_and_what_changed_without_a_shell() {
    let (portal, database) = (portal(150), Database::create());
    let tap = Tap::unhurried(&portal);
    target_pg(&tap, &database);
    let (output, path) = ("target-pg --config target.json", path_with_target_pg(&tap));
    let run = || {
        let mut command = tap.command(&STATE);
        command.args(["--output", output]).env("PATH", &path);
        tap.finish(command)
    };
    assert!(run().succeeded().stdout.is_empty());
    portal.create("tickets", &[("subject", "new")]);
    run().succeeded();
    assert_eq!(tickets_held(&database), portal.truth().live_tickets().len());
    assert!(state_of(&tap)["bookmarks"]["tickets"].is_object());
    for (output, said) in [("target-pg --config target.json | cat", "need a shell"), ("target-gp", "on the PATH")] {
        let mut command = tap.command(&["--output", output]);
        command.env("PATH", &path);
        let ran = tap.finish(command);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.last_line().contains(said), "{}", ran.stderr);
    }
}

#[test]
fn each_state_that_the_loader_prints_is_in_the_file_at_once_and_whole() {
    let portal = portal(20);
    let tap = Tap::unhurried(&portal);
    make_fifo(&tap, "go");
    let states = 40;
    // Large ones, of which a reader would see a part if they were written in place.
    let output = format!(
        "x=$(printf '%300000d' 0); for n in $(seq {states}); do echo \"{{\\\"n\\\":$n,\\\"x\\\":\\\"$x\\\"}}\"; done; \
         cat go; echo '{{\"n\":\"last\"}}'; cat > /dev/null"
    );
    let mut child = spawn(&tap, &[], &output);
    let read = || fs::read(tap.path("state.json")).unwrap_or_default();
    until("the last of the first states, while the loader goes on", || {
        let state = read();
        state.is_empty()
            || serde_json::from_slice::<Value>(&state).expect("a whole state")["n"] == states && state.ends_with(b"\n")
    });
    until("the last of the first states", || !read().is_empty() && state_of(&tap)["n"] == states);
    let_go_on(&tap, "go");
    assert_eq!(child.wait().expect("a child").code(), Some(0), "{}", tap.log());
    assert_eq!(read(), b"{\"n\":\"last\"}\n");
}

#[test]
fn a_state_file_that_cannot_be_replaced_gets_the_states_as_lines() {
    let portal = portal(20);
    let tap = Tap::unhurried(&portal);
    // No name is left for a file beside it.
    let name = format!("{}.json", "s".repeat(250));
    let output = "echo '{\"n\":1}'; cat > /dev/null; echo 'not a state'; echo '{\"n\":2}'";
    let ran = tap.run(&["--state", &name, "--output", output]).succeeded();
    assert_eq!(ran.said("WARN the output command printed what is no state, and it is not kept: not a state"), 1);
    let kept = fs::read_to_string(tap.path(&name)).expect("a state");
    assert_eq!(kept.lines().last(), Some("{\"n\":2}"), "{kept}");
}

#[test]
fn states_that_cannot_be_kept_fail_the_run_and_name_the_file() {
    let portal = portal(20);
    let tap = Tap::unhurried(&portal);
    // As on a disk that is full: no file may grow.
    let run = "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\"";
    let mut command = Command::new("bash");
    command.args(["-c", run, env!("CARGO_BIN_EXE_tap-hubspot-tickets"), "--config", "config.json"]).args(STATE);
    command.args(["--output", "cat > /dev/null; echo '{\"n\":1}'"]).current_dir(tap.path("")).stdin(Stdio::null());
    let ran = command.output().expect("bash runs");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(7), "{said}");
    let last = said.lines().last().unwrap_or_default();
    assert!(last.contains("ERROR state.json cannot be used: File too large"), "{said}");
    let ran = tap.run(&["--state", "nowhere/state.json", "--output", "cat > /dev/null"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.last_line().contains("nowhere/state.json"), "{}", ran.stderr);
}

#[test]
fn the_last_line_and_the_exit_code_tell_whose_fault_it_was() {
    let portal = portal(300);
    let tap = Tap::unhurried(&portal);
    for (output, said) in [
        ("cat > /dev/null; echo one >&2; echo no room >&2; exit 3", "exit status: 3: no room"),
        ("echo all well >&2; kill -9 $$", "signal: 9 (SIGKILL): all well"),
        ("head -c 100 > /dev/null; echo enough >&2", "exit status: 0: enough"),
    ] {
        let ran = tap.run(&["--output", output]);
        assert_eq!(ran.code, Some(7), "{output}: {}", ran.stderr);
        assert!(ran.last_line().contains(&format!("ERROR the output command ended with {said}")), "{}", ran.stderr);
    }
    // The tap's own failure comes last, and that of its loader is told as well.
    let broken = || {
        portal.faults([FaultRule::always(
            "/objects/2026-03/tickets",
            Fault::Status { code: 500, headers: Vec::new(), body: None },
        )])
    };
    for (output, warned) in [("cat > /dev/null; echo no room >&2; exit 3", 1), ("cat > /dev/null", 0)] {
        broken();
        let ran = tap.run(&["--output", output]);
        portal.clear_faults();
        assert_eq!(ran.code, Some(4), "{output}: {}", ran.stderr);
        assert!(ran.last_line().contains("ERROR") && ran.last_line().contains("500"), "{}", ran.stderr);
        assert_eq!(ran.said("WARN the output command ended with exit status: 3: no room"), warned, "{}", ran.stderr);
    }
}

#[test]
fn a_signal_ends_the_tap_behind_a_loader_that_has_loaded_and_confirmed_what_it_got() {
    let (portal, database) = (portal(900), Database::create());
    let mut tap = Tap::unhurried(&portal);
    tap.set("page_size", 5.into()).set("report_path", "report.json".into());
    let output = target_pg(&tap, &database);
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130)] {
        database.rows(&format!("drop schema if exists {SCHEMA} cascade"));
        fs::write(tap.path("state.json"), "").expect("a writable folder");
        portal.set_latency(Duration::from_millis(250));
        let mut child = spawn(&tap, &[], &output);
        until("records under way", || {
            let report = fs::read(tap.path("report.json")).unwrap_or_default();
            let report: Value = serde_json::from_slice(&report).unwrap_or_default();
            report["status"] == "running" && report["streams"]["tickets"]["records"].as_u64() > Some(100)
        });
        send(child.id(), signal);
        assert_eq!(child.wait().expect("a child").code(), Some(code), "{}", tap.log());
        let log = tap.log();
        assert!(log.lines().last().is_some_and(|line| line.contains("ERROR stopped by SIG")), "{log}");
        assert!(!log.contains("has not ended"), "the loader ended by itself: {log}");
        let report: Value =
            serde_json::from_slice(&fs::read(tap.path("report.json")).expect("a report")).expect("JSON");
        let sent = report["streams"]["tickets"]["records"].as_u64().expect("a count");
        let held = database.number(&format!("select count(*) from {SCHEMA}.tickets")) as u64;
        assert_eq!(held, sent, "{log}");
        assert!(state_of(&tap)["bookmarks"]["tickets"]["progress"].is_object(), "{}", state_of(&tap));
        // What is confirmed is not read again.
        portal.set_latency(Duration::ZERO);
        let ran = tap.run(&[&STATE[..], &["--output", &output]].concat()).succeeded();
        assert_eq!(tickets_held(&database), portal.truth().live_tickets().len(), "{}", ran.stderr);
    }
}

#[test]
fn a_loader_that_ignores_sigterm_is_killed_within_five_seconds_of_a_signal() {
    let portal = portal(300);
    let tap = Tap::unhurried(&portal);
    make_fifo(&tap, "never");
    let mut child =
        spawn(&tap, &[], "trap '' TERM; echo $$ > pid; cat > /dev/null; while :; do read line < never; done");
    let loader = || fs::read_to_string(tap.path("pid")).unwrap_or_default().trim().parse::<u32>().ok();
    until("a loader", || loader().is_some());
    let loader = loader().expect("a process id");
    send(child.id(), Signal::SIGTERM);
    let asked = Instant::now();
    assert_eq!(child.wait().expect("a child").code(), Some(143), "{}", tap.log());
    assert!(asked.elapsed() < Duration::from_millis(5_500), "{:?}", asked.elapsed());
    for signal in ["SIGTERM", "SIGKILL"] {
        assert!(
            tap.log().contains(&format!("WARN the output command has not ended, and gets {signal}")),
            "{}",
            tap.log()
        );
    }
    assert!(tap.log().lines().last().is_some_and(|line| line.contains("stopped by SIGTERM")), "{}", tap.log());
    until("the loader's end", || {
        let status = fs::read_to_string(format!("/proc/{loader}/status"));
        status.map_or(true, |status| status.contains("State:\tZ"))
    });
}

/// The loader of a tap that was killed goes on with what it was sent, and its older rows must not come last.
#[test]
fn a_run_waits_for_the_loader_that_a_killed_one_left() {
    let portal = portal(20);
    let tap = Tap::unhurried(&portal);
    make_fifo(&tap, "go");
    let mut killed = spawn(&tap, &[], "cat > /dev/null; echo waits >> order; cat go; echo first >> order");
    let order = || fs::read_to_string(tap.path("order")).unwrap_or_default();
    until("a loader at its end", || order() == "waits\n");
    killed.kill().expect("a child");
    killed.wait().expect("a child");
    let mut next = tap.command(&STATE);
    next.args(["--output", "cat > /dev/null; echo second >> order"]).env("RUST_LOG", "tap_hubspot_tickets=debug");
    let mut next = next.stdout(Stdio::null()).spawn().expect("the tap runs");
    until("a run that waits", || tap.log().contains("the state file state.json is used by"));
    let_go_on(&tap, "go");
    assert_eq!(next.wait().expect("a child").code(), Some(0), "{}", tap.log());
    assert_eq!(order(), "waits\nfirst\nsecond\n");
}

#[test]
fn a_second_run_of_a_state_file_that_is_in_use_ends_with_8() {
    let portal = portal(20);
    let tap = Tap::unhurried(&portal);
    make_fifo(&tap, "go");
    let mut first = spawn(&tap, &[], "cat > /dev/null; echo > waits; cat go");
    until("a loader at its end", || tap.path("waits").exists());
    let second = tap.run(&[&STATE[..], &["--output", "cat > /dev/null"]].concat());
    assert_eq!(second.code, Some(8), "{}", second.stderr);
    for part in ["the state file state.json", &format!("process {}", first.id()), "or the output command that it ran"] {
        assert!(second.last_line().contains(part), "{part}: {}", second.stderr);
    }
    let_go_on(&tap, "go");
    assert_eq!(first.wait().expect("a child").code(), Some(0));
    tap.run(&[&STATE[..], &["--output", "cat > /dev/null"]].concat()).succeeded();
}

/// Who is killed in a run of the storm.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Victim {
    Tap,
    Loader,
}

/// A run that is killed once the portal has answered so many requests, or the state file was replaced so often; tells whether
/// it was still under way, and how it ended.
fn kill_at(
    portal: &Portal,
    tap: &Tap,
    output: &str,
    victim: Victim,
    requests: u64,
    states: u64,
) -> (bool, Option<i32>) {
    portal.clear_requests();
    let mut child = spawn(tap, &[], output);
    let state = || fs::read(tap.path("state.json")).unwrap_or_default();
    let (mut last, mut replaced) = (state(), 0);
    let done = |child: &mut Child| child.try_wait().expect("a child").is_some();
    until("a moment to kill at", || {
        let now = state();
        replaced += u64::from(now != last);
        last = now;
        portal.request_counts().values().sum::<u64>() >= requests || replaced >= states || done(&mut child)
    });
    let process = match victim {
        Victim::Tap => Some(child.id()),
        Victim::Loader => child_of(child.id()),
    };
    let met = !done(&mut child) && process.is_some();
    if met {
        // It may end just now.
        let _ = kill(Pid::from_raw(process.expect("a process").cast_signed()), Signal::SIGKILL);
    }
    (met, child.wait().expect("a child").code())
}

#[test]
fn killed_at_random_the_tap_and_its_loader_leave_the_truth() {
    let (seed, begun) = (figures::seed(), Instant::now());
    eprintln!("TAP_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (portal, database) = (portal(1_500), Database::create());
    let mut tap = Tap::unhurried(&portal);
    // Nothing is read again that a lost state or row could hide behind.
    tap.set("page_size", 20.into()).set("checkpoint_every_pages", 2.into()).set("lookback_minutes", 0.into());
    let catalog = tap.discover();
    let output = target_pg(&tap, &database);
    let mut target: Value =
        serde_json::from_slice(&fs::read(tap.path("target.json")).expect("a config")).expect("JSON");
    target["batch_size_rows"] = 100.into();
    target["batch_wait_limit_seconds"] = json!(0.1);
    tap.write("target.json", &target);
    let mut kills = [0, 0];
    for round in 0..16 {
        portal.set_latency(Duration::from_millis(random.u64(..10)));
        let victim = if random.bool() { Victim::Tap } else { Victim::Loader };
        let (requests, states) = (random.u64(5..120), random.u64(1..12));
        let (met, code) = kill_at(&portal, &tap, &output, victim, requests, states);
        kills[victim as usize] += u32::from(met && code != Some(0));
        let expected: &[Option<i32>] = if victim == Victim::Tap { &[None, Some(0)] } else { &[Some(7), Some(0)] };
        assert!(expected.contains(&code), "TAP_TEST_SEED={seed}: {victim:?} in round {round}: {code:?}: {}", tap.log());
        let live = portal.truth().live_tickets();
        let any = |random: &mut fastrand::Rng| live[random.usize(..live.len())].parse::<u64>().expect("a number");
        for change in 0..random.usize(..20) {
            portal.update("tickets", any(&mut random), &[("subject", &format!("{round} {change}"))]);
        }
        portal.archive("tickets", any(&mut random));
        portal.create("tickets", &[("subject", &format!("new in {round}"))]);
    }
    portal.set_latency(Duration::ZERO);
    tap.run(&[&STATE[..], &["--output", &output]].concat()).succeeded();
    for table in portal.truth().tables(&catalog).iter().filter(|table| table.stream == "tickets") {
        table.assert_held(&table.in_postgres(&database, SCHEMA), Fidelity::Exact);
    }
    let [taps, loaders] = kills;
    assert!(taps + loaders >= 3, "TAP_TEST_SEED={seed}: {taps} taps and {loaders} loaders were killed under way");
    let seconds = begun.elapsed().as_secs_f64();
    figures::tell(
        "SIGKILL of one process",
        &format!("{taps} taps and {loaders} loaders killed at random; rows lost: 0; {seconds:.0} s; seed {seed}"),
    );
}
