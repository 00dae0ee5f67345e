//! What happens to processes: signals, kills, readers that are slow.

use std::io::Read;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use hubspot_sandbox::{OAuthApp, Options};
use serde_json::{Value, json};

use crate::support::cell::Fidelity;
use crate::support::figures;
use crate::support::messages::{self, Tables};
use crate::support::portal::Portal;
use crate::support::tap::Tap;

fn portal(tickets: usize) -> Portal {
    Portal::start(Options {
        merged: 2,
        archived_share: 0.05,
        stage_properties: false,
        ..Options::with_tickets(tickets)
    })
}

fn assert_truth(portal: &Portal, catalog: &Value, tables: &Tables) {
    for table in portal.truth().tables(catalog) {
        table.assert_held(&table.in_messages(tables), Fidelity::Exact);
    }
}

fn start(tap: &Tap, state: Option<&Value>) -> (Child, ChildStdout) {
    let mut arguments = vec!["--catalog", "catalog.json"];
    if let Some(state) = state {
        tap.write("state.json", state);
        arguments.extend(["--state", "state.json"]);
    }
    let mut child = tap.command(&arguments).stdout(Stdio::piped()).spawn().expect("the tap runs");
    let output = child.stdout.take().expect("a pipe");
    (child, output)
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
}

/// Reads this many bytes, or to the end.
fn read_some(output: &mut ChildStdout, most: usize) -> Vec<u8> {
    let mut read = Vec::new();
    output.take(most as u64).read_to_end(&mut read).expect("a readable pipe");
    read
}

#[test]
fn killed_at_random_points_nothing_is_lost() {
    let (seed, begun) = (figures::seed(), Instant::now());
    eprintln!("TAP_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let portal = portal(400);
    let mut tap = Tap::unhurried(&portal);
    tap.set("page_size", 10.into()).set("checkpoint_every_pages", 2.into());
    let catalog = tap.discover();
    portal.set_latency(Duration::from_millis(3));
    let (mut tables, mut kills) = (Tables::default(), 0);
    // What a target holds after a kill: the whole lines that reached it, and the last STATE among them.
    for _ in 0..12 {
        let (mut child, mut output) = start(&tap, tables.state.as_ref());
        let mut stdout = read_some(&mut output, random.usize(1..600_000));
        thread::sleep(Duration::from_millis(random.u64(..40)));
        child.kill().expect("a child");
        output.read_to_end(&mut stdout).expect("the rest");
        kills += usize::from(child.wait().expect("a child").code().is_none());
        tables.load(&messages::parse(&stdout));
    }
    tables.load(&tap.sync(tables.state.clone().as_ref()).succeeded().messages());
    assert_truth(&portal, &catalog, &tables);
    assert!(kills >= 3, "TAP_TEST_SEED={seed}: {kills} kills met a run under way");
    let seconds = begun.elapsed().as_secs_f64();
    figures::tell(
        "SIGKILL",
        &format!("{kills} runs killed at random points; rows lost: 0; {seconds:.0} s; seed {seed}"),
    );
}

#[test]
fn a_signal_ends_a_run_behind_the_state_of_everything_written() {
    let portal = portal(900);
    let mut tap = Tap::unhurried(&portal);
    // No STATE is due before the end.
    tap.set("page_size", 10.into())
        .set("checkpoint_every_pages", 100_000.into())
        .set("include_associations", false.into());
    let catalog = tap.discover();
    for (name, code) in [("TERM", 143), ("INT", 130)] {
        portal.set_latency(Duration::from_millis(10));
        let (mut child, mut output) = start(&tap, None);
        let mut stdout = read_some(&mut output, 600_000);
        signal(&child, name);
        output.read_to_end(&mut stdout).expect("the rest");
        assert_eq!(child.wait().expect("a child").code(), Some(code), "{}", tap.log());
        assert!(stdout.ends_with(b"\n"));
        let messages = messages::parse(&stdout);
        assert_eq!(messages.last().map(|last| last.kind.as_str()), Some("STATE"));
        let mut tables = messages::fold(&messages);
        let state = tables.state.clone().expect("a state");
        let read = tables.table("tickets").rows.len();
        assert!((20..850).contains(&read), "{read} tickets before SIG{name}");
        assert!(state["bookmarks"]["tickets"]["progress"].is_object(), "{state}");
        // What is covered is not read again.
        portal.set_latency(Duration::ZERO);
        portal.clear_requests();
        let rest = tap.sync_catalog(&catalog, Some(&state)).succeeded().messages();
        let again = messages::records(&rest, "tickets").len();
        assert!(again + read <= 900 + 30, "{again} of 900 tickets again, after {read}");
        tables.load(&rest);
        for table in portal.truth().tables(&catalog).into_iter().filter(|table| table.stream == "tickets") {
            assert_eq!(table.rows.len(), tables.table("tickets").rows.len());
        }
    }
}

#[test]
fn a_signal_waits_five_seconds_for_a_reader_that_does_not_read() {
    let portal = portal(2_000);
    let mut tap = Tap::unhurried(&portal);
    tap.discover();
    tap.set("page_size", 100.into());
    for (name, code) in [("TERM", 143), ("INT", 130)] {
        let (mut child, output) = start(&tap, None);
        // The pipe and the queue before it are full by then.
        thread::sleep(Duration::from_secs(3));
        signal(&child, name);
        let asked = Instant::now();
        assert_eq!(child.wait().expect("a child").code(), Some(code), "{}", tap.log());
        let took = asked.elapsed();
        assert!((4_000..7_000).contains(&took.as_millis()), "{took:?}");
        drop(output);
    }
}

/// Ten minutes are 20 request timeouts and a third of a token's life; here, 10 s are 20 timeouts and five lives.
#[test]
fn a_target_that_stops_reading_for_a_long_time_harms_nothing() {
    let oauth = OAuthApp { token_lifetime: Duration::from_secs(2), ..OAuthApp::default() };
    let portal =
        Portal::start(Options { oauth, archived_share: 0.05, stage_properties: false, ..Options::with_tickets(2_000) });
    let mut tap = Tap::unhurried(&portal);
    let catalog = tap.discover();
    tap.set("access_token", Value::Null)
        .set("client_id", "sandbox-client".into())
        .set("client_secret", "sandbox-secret".into())
        .set("refresh_token", "sandbox-refresh".into())
        .set("page_size", 20.into())
        .set("request_timeout_secs", json!(0.5))
        .set("retry_attempts", 20.into());
    let (mut child, mut output) = start(&tap, None);
    let mut stdout = read_some(&mut output, 400_000);
    let pages = || portal.request_counts().get("list tickets").copied().unwrap_or(0);
    thread::sleep(Duration::from_secs(2));
    let blocked = pages();
    thread::sleep(Duration::from_secs(8));
    assert!(pages() <= blocked + 1, "a reader that does not read holds the reading up");
    output.read_to_end(&mut stdout).expect("the rest");
    assert_eq!(child.wait().expect("a child").code(), Some(0), "{}", tap.log());
    assert_truth(&portal, &catalog, &messages::fold(&messages::parse(&stdout)));
    figures::tell("blocked target", "10 s, which are 20 request timeouts and five token lives; rows lost: 0");
}
