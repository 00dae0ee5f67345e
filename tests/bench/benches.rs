//! The benchmarks. Each says on what input it measures what, and publishes a report.

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::loading::{idle_loading, loading, tenants};
use super::portal::{Portal, Shape};
use super::process::{Cost, median, middle};
use super::report::{Cell, Report};
use super::singer_io;
use super::tap::{PROGRAM, Run, Work, is_live, is_state, is_ticket};

/// Every benchmark by its name, in the order in which they run.
pub(crate) const ALL: [(&str, fn()); 11] = [
    ("throughput", throughput),
    ("python", python),
    ("calls", calls),
    ("idle", idle),
    ("first", first),
    ("resume", resume),
    ("size", size),
    ("quota", quota),
    ("loading", loading),
    ("idle_loading", idle_loading),
    ("tenants", tenants),
];

/// Above any rate that a sandbox without limits could be asked at.
pub(crate) const NO_LIMIT: u32 = 1_000_000;
/// HubSpot's limit of a Professional account, per second, times the `rate_limit_share` set here.
pub(crate) const GENERAL_PER_SEC: f64 = 19.0 * QUOTA_SHARE;
pub(crate) const QUOTA_SHARE: f64 = 0.99;

const MIB: f64 = 1_048_576.0;

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

pub(crate) fn mib(cost: &Cost) -> Cell {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let bytes = cost.peak_bytes as f64;
    (bytes / MIB).into()
}

/// The pages of tickets alone: the tap beside the floor programs, on few, many and very many columns.
fn throughput() {
    const RUNS: usize = 5;
    let input =
        "Pages of live and archived tickets, associations off, no compression (but where noted), all pages at once \
        available, messages into a file. `fetch` drops the same answers, `copy` parses \
        them into structs that borrow from the answer and writes those."
            .to_owned();
    let columns = [
        ("input", 0),
        ("program", 0),
        ("tickets per CPU-second", 0),
        ("MB of HubSpot's bytes per CPU-second", 0),
        ("CPU per ticket, times copy's", 2),
        ("peak MiB", 1),
    ];
    let mut report = Report::new("throughput", input, RUNS, &columns);
    let plain = Shape { tickets: 20_000, ..Shape::default() };
    let wide = |tickets: u64, properties: usize| Shape { tickets, properties: Some(properties), ..Shape::default() };
    for (name, shape, selected) in [
        ("20,000 tickets, 100 of 239 properties", plain.clone(), 100),
        ("the same, gzip", Shape { gzip: true, ..plain }, 100),
        ("20,000 tickets, 10 of 379 properties", wide(20_000, 379), 10),
        ("20,000 tickets, 379 properties", wide(20_000, 379), 379),
        ("4,000 tickets, 1,500 properties", wide(4_000, 1_500), 1_500),
    ] {
        let work = Work::new("throughput");
        let portal = Portal::start(&shape, &work.folder);
        work.configure(&portal.url, &json!({"rate_limit": NO_LIMIT, "include_associations": false}));
        work.select(&["tickets"], Some(selected));
        let taps: Vec<Cost> = (0..RUNS).map(|_| work.run(&portal, None).cost).collect();
        work.keep_pages(&portal, usize::MAX);
        let (_, replay) = work.replay("fetch", &portal);
        let floors = |kind: &str| -> Vec<Cost> { (0..RUNS).map(|_| work.replay(kind, &portal).0).collect() };
        let copy = median(&floors("copy"));
        for (program, cost) in [("fetch", median(&floors("fetch"))), ("copy", copy), ("tap", median(&taps))] {
            report.add(vec![
                name.into(),
                program.into(),
                (float(shape.tickets) / cost.cpu_secs).into(),
                (float(replay.bytes) / 1e6 / cost.cpu_secs).into(),
                (cost.cpu_secs / copy.cpu_secs).into(),
                mib(&cost),
            ]);
        }
    }
    report.publish();
}

/// The same work done by a tap in Python.
fn python() {
    const RUNS: usize = 1;
    let shape = Shape { tickets: 20_000, ..Shape::default() };
    let input = format!(
        "20,000 tickets, 100 of 239 properties, associations off, no compression, messages into a file; singer-io's tap \
         is tap-hubspot {} from PyPI, its inline associations left out.",
        singer_io::VERSION
    );
    let columns =
        [("program", 0), ("tickets per CPU-second", 0), ("seconds", 1), ("times singer-io's", 1), ("peak MiB", 1)];
    let mut report = Report::new("python", input, RUNS, &columns);
    let work = Work::new("python");
    let portal = Portal::start(&shape, &work.folder);
    work.configure(&portal.url, &json!({"rate_limit": NO_LIMIT, "include_associations": false}));
    work.select(&["tickets"], Some(100));
    let ours: Vec<Cost> = (0..RUNS).map(|_| work.run(&portal, None).cost).collect();
    let theirs: Vec<Cost> = (0..RUNS).map(|_| singer_io::run(&work, &portal)).collect();
    let (ours, theirs) = (median(&ours), median(&theirs));
    for (program, cost) in [("singer-io's tap", theirs), ("this tap", ours)] {
        report.add(vec![
            program.into(),
            (float(shape.tickets) / cost.cpu_secs).into(),
            cost.wall_secs.into(),
            (theirs.cpu_secs / cost.cpu_secs).into(),
            mib(&cost),
        ]);
    }
    report.publish();
}

/// What a first load asks HubSpot for.
fn calls() {
    let tickets = 20_000;
    let input =
        "A first load of 20,000 tickets with all columns, associations with contacts and companies, and the details \
        of primaries; discovery included."
            .to_owned();
    let columns = [("endpoint", 0), ("calls", 0), ("per 1,000 tickets", 2)];
    let mut report = Report::new("calls", input, 1, &columns);
    let work = Work::new("calls");
    let portal = Portal::start(&Shape { tickets, ..Shape::default() }, &work.folder);
    work.configure(&portal.url, &json!({"rate_limit": NO_LIMIT}));
    let run = work.run(&portal, None);
    let mut all = 0;
    for (endpoint, count) in run.by_endpoint() {
        all += count;
        report.add(vec![endpoint.into(), count.into(), (float(count) * 1e3 / float(tickets)).into()]);
    }
    report.add(vec!["all".into(), all.into(), (float(all) * 1e3 / float(tickets)).into()]);
    report.publish();
}

/// A run over a portal where nothing changed.
fn idle() {
    const RUNS: usize = 11;
    let input = "A run with the state of the last one over an unchanged portal of 5,000 tickets, default settings, no \
        latency. Start-up: from the program's start to its first request."
        .to_owned();
    let columns =
        [("catalog", 0), ("start-up ms", 1), ("whole run ms", 1), ("CPU ms", 1), ("peak MiB", 1), ("calls", 0)];
    let mut report = Report::new("idle", input, RUNS, &columns);
    for given in [true, false] {
        let work = Work::new("idle");
        let portal = Portal::start(&Shape { tickets: 5_000, ..Shape::default() }, &work.folder);
        work.configure(&portal.url, &json!({"rate_limit": NO_LIMIT}));
        if given {
            let streams =
                ["tickets", "ticket_properties", "ticket_associations", "ticket_pipelines", "ticket_pipeline_stages"];
            work.select(&[&streams[..], &["owners"]].concat(), None);
        }
        work.run(&portal, None);
        work.keep_state("state.json");
        let runs: Vec<Run> = (0..RUNS).map(|_| work.run(&portal, Some("state.json"))).collect();
        let calls: u64 = runs[0].by_endpoint().map(|(_, count)| count).sum();
        let cost = median(&runs.iter().map(|run| run.cost).collect::<Vec<_>>());
        report.add(vec![
            if given { "given" } else { "discovered" }.into(),
            (middle((0..RUNS).map(|_| start_up(&work))) * 1e3).into(),
            (cost.wall_secs * 1e3).into(),
            (cost.cpu_secs * 1e3).into(),
            mib(&cost),
            calls.into(),
        ]);
    }
    report.publish();
}

/// Seconds until the tap connects to send its first request.
fn start_up(work: &Work) -> f64 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let mut config: Value = work.read("config.json");
    config["api_base_url"] = url.into();
    work.write("start-up.json", &config);
    let started = Instant::now();
    let mut tap = Command::new(PROGRAM)
        .arg("--config")
        .arg(work.path("start-up.json"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the tap runs");
    let _connection = listener.accept().expect("the tap connects");
    let elapsed = started.elapsed();
    tap.kill().expect("a child");
    tap.wait().expect("a child");
    elapsed.as_secs_f64()
}

/// How long the first ticket is on its way.
fn first() {
    const RUNS: usize = 3;
    let latency = Duration::from_millis(500);
    let input =
        "From the first SCHEMA message, which follows discovery, to the first live ticket's RECORD message; 5,000 \
        tickets, every answer 500 ms late, no limits."
            .to_owned();
    let mut report = Report::new("first", input, RUNS, &[("associations", 0), ("round trips", 2)]);
    for associations in [false, true] {
        let work = Work::new("first");
        let shape = Shape { tickets: 5_000, latency, ..Shape::default() };
        let portal = Portal::start(&shape, &work.folder);
        work.configure(&portal.url, &json!({"rate_limit": NO_LIMIT, "include_associations": associations}));
        let waits = (0..RUNS).map(|_| {
            let (mut begun, mut waited) = (None, 0.0);
            work.run_until(None, |line| {
                let begun = *begun.get_or_insert_with(Instant::now);
                waited = begun.elapsed().as_secs_f64();
                !(is_ticket(line) && is_live(line))
            });
            waited / latency.as_secs_f64()
        });
        report.add(vec![if associations { "on" } else { "off" }.into(), middle(waits).into()]);
    }
    report.publish();
}

/// A first load that is killed when half of it is out, and the run after it.
fn resume() {
    let tickets = 20_000;
    let input =
        "A first load of 20,000 tickets with contacts and companies, killed (SIGKILL) when half of the tickets were \
        out, and the run with the last STATE message that was; 50 ms of latency, no limits."
            .to_owned();
    let columns = [("run", 0), ("tickets written", 0), ("calls", 0), ("seconds", 1)];
    let mut report = Report::new("resume", input, 1, &columns);
    let work = Work::new("resume");
    let shape = Shape { tickets, latency: Duration::from_millis(50), ..Shape::default() };
    let portal = Portal::start(&shape, &work.folder);
    work.configure(&portal.url, &json!({"rate_limit": NO_LIMIT}));
    let whole = work.run(&portal, None);
    let written = tickets_in(&work);
    let row = |name: &str, written: u64, counts: u64, seconds: f64| {
        vec![Cell::from(name), written.into(), counts.into(), seconds.into()]
    };
    let all = |run: &Run| run.by_endpoint().map(|(_, count)| count).sum();
    report.add(row("uninterrupted", written, all(&whole), whole.cost.wall_secs));
    portal.forget_requests();
    let (mut seen, mut state) = (0, None);
    let started = Instant::now();
    work.run_until(None, |line| {
        if is_state(line) {
            state = Some(line.to_owned());
        }
        seen += u64::from(is_ticket(line));
        seen < written / 2
    });
    let killed_after = started.elapsed().as_secs_f64();
    let calls: u64 = portal.counts().iter().filter(|(name, _)| name.starts_with("pool ")).map(|(_, count)| count).sum();
    report.add(row("killed at half", seen, calls, killed_after));
    std::fs::write(work.path("state.json"), state.expect("a STATE message")).expect("a writable folder");
    let rest = work.run(&portal, Some("state.json"));
    report.add(row("resumed", tickets_in(&work), all(&rest), rest.cost.wall_secs));
    report.publish();
}

/// Ticket records in `out.jsonl`.
fn tickets_in(work: &Work) -> u64 {
    use std::io::BufRead;
    let out = std::io::BufReader::new(std::fs::File::open(work.path("out.jsonl")).expect("messages"));
    out.split(b'\n').filter(|line| line.as_ref().is_ok_and(|line| is_ticket(line))).map(|_| 1).sum()
}

/// Memory, CPU and time from small portals to large ones.
fn size() {
    let input =
        "A first load with all columns, associations with contacts and companies and the details of primaries; the \
        sandbox makes the tickets on the fly and shares the processor; no limits, no latency, messages to /dev/null."
            .to_owned();
    let columns = [("tickets", 0), ("seconds", 1), ("CPU seconds", 1), ("CPU µs per ticket", 1), ("peak MiB", 1)];
    let mut report = Report::new("size", input, 1, &columns);
    for tickets in [20_000, 200_000, 2_000_000] {
        let work = Work::new("size");
        let portal = Portal::start(&Shape { tickets, on_the_fly: true, ..Shape::default() }, &work.folder);
        work.configure(&portal.url, &json!({"rate_limit": NO_LIMIT}));
        std::os::unix::fs::symlink("/dev/null", work.path("out.jsonl")).expect("a writable folder");
        let run = work.run(&portal, None);
        report.add(vec![
            tickets.into(),
            run.cost.wall_secs.into(),
            run.cost.cpu_secs.into(),
            (run.cost.cpu_secs * 1e6 / float(tickets)).into(),
            mib(&run.cost),
        ]);
    }
    report.publish();
}

/// Wall time beside what the quota allows, and beside one request after another.
fn quota() {
    let input = format!(
        "A first load with contacts and companies under HubSpot's limits (190 requests in ten seconds) and \
         `rate_limit_share` {QUOTA_SHARE}, every answer late by the latency. Bound: calls of the general pool at \
         {GENERAL_PER_SEC:.2} a second. One after another: all calls times the median duration of ten pages fetched so, or \
         the bound where that is longer."
    );
    let columns = [
        ("tickets", 0),
        ("latency ms", 0),
        ("calls", 0),
        ("of the general pool", 0),
        ("429s", 0),
        ("bound s", 1),
        ("tap s", 1),
        ("tap over bound s", 1),
        ("tap over bound %", 1),
        ("one after another s", 1),
    ];
    let mut report = Report::new("quota", input, 1, &columns);
    for tickets in [2_000, 20_000, 100_000] {
        let work = Work::new("quota");
        for latency in [0, 100, 300] {
            let latency_of = Duration::from_millis(latency);
            let shape = Shape { tickets, latency: latency_of, limited: true, ..Shape::default() };
            let portal = Portal::start(&shape, &work.folder);
            work.configure(&portal.url, &json!({"rate_limit_share": QUOTA_SHARE}));
            let run = work.run(&portal, None);
            let all: u64 = run.by_endpoint().map(|(_, count)| count).sum();
            let refused = run.counts.get("status 429").copied().unwrap_or(0);
            let bound = float(run.general_calls()) / GENERAL_PER_SEC;
            work.keep_pages(&portal, 10);
            // The portal's window must be free again.
            drop(portal);
            let portal = Portal::start(&shape, &work.folder);
            let (_, replay) = work.replay("fetch", &portal);
            report.add(vec![
                tickets.into(),
                latency.into(),
                all.into(),
                run.general_calls().into(),
                refused.into(),
                bound.into(),
                run.cost.wall_secs.into(),
                (run.cost.wall_secs - bound).into(),
                ((run.cost.wall_secs / bound - 1.0) * 100.0).into(),
                (float(all) * replay.median_secs).max(bound).into(),
            ]);
        }
    }
    report.publish();
}
