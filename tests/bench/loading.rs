//! The benchmarks of the tap and `target-pg` together, into a Postgres server that runs beside them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::benches::{GENERAL_PER_SEC, NO_LIMIT, QUOTA_SHARE, float, mib};
use super::floor::TOKEN;
use super::portal::{Portal, Shape};
use super::postgres::Postgres;
use super::process::{Cost, MODE, measure, median};
use super::report::{Cell, Report};
use super::tap::{PROGRAM, Work};

/// The loader, built as it is released.
const LOADER: &str = env!("CARGO_BIN_EXE_target-pg");
/// The schema that it loads into.
const SCHEMA: &str = "loaded";
/// Beside the quota's bound: the programs' starts, the first round trips and the last commit.
const FIXED_SECS: f64 = 2.0;

/// Writes the loader's config into a folder.
fn configure_loader(folder: &Path, server: &Postgres, schema: &str) {
    let config = json!({"sqlalchemy_url": server.url, "default_target_schema": schema});
    fs::write(folder.join("target.json"), config.to_string()).expect("a writable folder");
}

/// The loader's command, with its config of that folder.
fn loader(work: &Work) -> String {
    format!("exec '{LOADER}' --config '{}'", work.path("target.json").display())
}

/// A first load into Postgres beside what the quota allows.
pub(crate) fn loading() {
    let input = format!(
        "The first load of `quota` with `--output 'target-pg --config target.json'`, until everything is committed; \
         `rate_limit_share` {QUOTA_SHARE}. Bound: calls of the general pool at {GENERAL_PER_SEC:.2} a second."
    );
    let columns = [
        ("tickets", 0),
        ("latency ms", 0),
        ("of the general pool", 0),
        ("429s", 0),
        ("bound s", 1),
        ("tap and target-pg s", 1),
        ("over bound %", 1),
        ("over bound and 2 s %", 1),
        ("CPU s", 1),
        ("tickets in Postgres", 0),
        ("associations in Postgres", 0),
    ];
    let mut report = Report::new("loading", input, 1, &columns);
    for tickets in [20_000, 100_000] {
        let latency = 100;
        let work = Work::new("loading");
        let server = Postgres::start(&work.folder);
        configure_loader(&work.folder, &server, SCHEMA);
        let shape = Shape { tickets, latency: Duration::from_millis(latency), limited: true, ..Shape::default() };
        let portal = Portal::start(&shape, &work.folder);
        work.configure(&portal.url, &json!({"rate_limit_share": QUOTA_SHARE}));
        let run = work.run_into(&portal, &loader(&work));
        let loaded = |stream: &str| server.number(&format!("select count(*) from {SCHEMA}.{stream}"));
        let associations = loaded("ticket_associations");
        assert_eq!(loaded("tickets"), tickets, "every ticket is committed");
        assert_eq!(associations, work.records("ticket_associations"), "every association is committed");
        let bound = float(run.general_calls()) / GENERAL_PER_SEC;
        let over = |bound: f64| (run.cost.wall_secs / bound - 1.0) * 100.0;
        report.add(vec![
            tickets.into(),
            latency.into(),
            run.general_calls().into(),
            run.counts.get("status 429").copied().unwrap_or(0).into(),
            bound.into(),
            run.cost.wall_secs.into(),
            over(bound).into(),
            over(bound + FIXED_SECS).into(),
            run.cost.cpu_secs.into(),
            tickets.into(),
            associations.into(),
        ]);
    }
    report.publish();
}

/// The run over an unchanged portal, with the loader behind it.
pub(crate) fn idle_loading() {
    const RUNS: usize = 11;
    let input =
        "The run of `idle` with `--output 'target-pg --config target.json'`, into tables that hold the portal. \
        CPU of both processes; the loader's peak by itself, and the sum of both peaks."
            .to_owned();
    let columns =
        [("whole run ms", 1), ("CPU ms", 1), ("target-pg's peak MiB", 1), ("peak MiB of both", 1), ("calls", 0)];
    let mut report = Report::new("idle_loading", input, RUNS, &columns);
    let work = Work::new("idle_loading");
    let server = Postgres::start(&work.folder);
    configure_loader(&work.folder, &server, SCHEMA);
    let portal = Portal::start(&Shape { tickets: 5_000, ..Shape::default() }, &work.folder);
    work.configure(&portal.url, &json!({"rate_limit": NO_LIMIT}));
    let run = || work.run_into(&portal, &loader(&work));
    run();
    assert_eq!(server.number(&format!("select count(*) from {SCHEMA}.tickets")), 5_000);
    let costs: Vec<Cost> = (0..RUNS).map(|_| run().cost).collect();
    // The kernel tells the greatest process of several; the loader's own peak is known below a small process again.
    let (measuring, cost) = (std::env::current_exe().expect("our own program"), work.path("loader.cost.json"));
    let measured =
        loader(&work).replacen("exec", &format!("exec '{}' {MODE} '{}'", measuring.display(), cost.display()), 1);
    let both = work.run_into(&portal, &measured);
    let own: Cost = serde_json::from_slice(&fs::read(cost).expect("the cost")).expect("a cost");
    let peaks = Cost { peak_bytes: median(&costs).peak_bytes + own.peak_bytes, ..own };
    let calls: u64 = both.by_endpoint().map(|(_, count)| count).sum();
    let row = median(&costs);
    report.add(vec![(row.wall_secs * 1e3).into(), (row.cpu_secs * 1e3).into(), mib(&own), mib(&peaks), calls.into()]);
    report.publish();
}

/// Many portals, each with a loader of its own.
pub(crate) fn tenants() {
    const TENANTS: usize = 1_000;
    let tickets = 20;
    let input = format!(
        "`--tenants DIR --output 'target-pg --config target.json'`, eight at once: {TENANTS} tenants of {tickets} tickets each, \
         a schema of one database for each; then the same again with nothing changed."
    );
    let columns = [("run", 0), ("tenants", 0), ("seconds", 1), ("CPU ms per tenant", 1), ("peak MiB", 1), ("calls", 0)];
    let mut report = Report::new("tenants", input, 1, &columns);
    let work = Work::new("tenants");
    let server = Postgres::start(&work.folder);
    let portal = Portal::start(&Shape { tickets, ..Shape::default() }, &work.folder);
    for number in 0..TENANTS {
        let name = format!("tenant_{number:04}");
        let config = json!({"access_token": TOKEN, "api_base_url": portal.url, "rate_limit": NO_LIMIT});
        let folder = work.path(&format!("tenants/{name}"));
        fs::create_dir_all(&folder).expect("a writable folder");
        fs::write(folder.join("config.json"), config.to_string()).expect("a writable folder");
        configure_loader(&folder, &server, &name);
    }
    for name in ["first load", "unchanged"] {
        portal.forget_requests();
        let arguments =
            ["--tenants", &work.argument("tenants"), "--output", &format!("'{LOADER}' --config target.json")];
        let arguments = arguments.map(str::to_owned);
        let cost = measure(Path::new(PROGRAM), &arguments, &work.path("table.txt"), &work.path("tap.log"));
        let rows = "select count(*) from tenant_0000.tickets, tenant_0999.tickets";
        let tables = "select count(*) from pg_catalog.pg_class where relname = 'tickets'";
        assert_eq!((server.number(tables), server.number(rows)), (TENANTS as u64, tickets * tickets), "all are loaded");
        let counts = portal.counts();
        let calls: u64 = counts.iter().filter(|(name, _)| name.starts_with("pool ")).map(|(_, count)| count).sum();
        report.add(vec![
            Cell::from(name),
            (TENANTS as u64).into(),
            cost.wall_secs.into(),
            #[expect(clippy::cast_precision_loss, reason = "a thousand")]
            (cost.cpu_secs * 1e3 / TENANTS as f64).into(),
            mib(&cost),
            calls.into(),
        ]);
    }
    report.publish();
}
