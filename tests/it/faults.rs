//! The fault matrix: every endpoint times every fault, and what each must end in. Never a hang, a panic, a skipped row, or
//! a duplicate that an upsert would not absorb.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hubspot_sandbox::{Fault, FaultRule, Options, RateLimitKind};
use serde_json::{Value, json};

use crate::support::cell::Fidelity;
use crate::support::figures;
use crate::support::messages::{Tables, fold};
use crate::support::portal::Portal;
use crate::support::proxy::Proxy;
use crate::support::tap::{Finished, Tap};

const REFUSED: i32 = 3;
const UNAVAILABLE: i32 = 4;
const QUOTA: i32 = 6;
/// Portals that cases run on side by side: most of a case is waiting.
const WORKERS: usize = 8;
/// No case may take longer; those with an answer that never ends take three timeouts.
const MAX_CASE: Duration = Duration::from_secs(60);

/// How a run that uses an endpoint is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Without a state.
    FirstLoad,
    /// From the state of a first load, after some changes.
    Changes,
    /// The first load with an OAuth grant.
    Granted,
    /// `--test`.
    Test,
}

/// An endpoint: its name, the requests that are struck, and the run that sends them.
type Endpoint = (&'static str, &'static str, Way);

const ENDPOINTS: [Endpoint; 14] = [
    ("account", "account-info/2026-03/details", Way::FirstLoad),
    ("properties", "tickets?archived=false&dataSensitivity=non_sensitive", Way::FirstLoad),
    ("pipelines", "/crm/pipelines/2026-03/tickets", Way::FirstLoad),
    ("owners", "/crm/owners/2026-03?limit=500&archived=false", Way::FirstLoad),
    ("list, first page", "tickets?limit=10&archived=false&properties", Way::FirstLoad),
    ("list, next pages", "archived=false&after", Way::FirstLoad),
    ("list of the archive", "tickets?limit=10&archived=true", Way::FirstLoad),
    ("associations", "/tickets/contacts/batch/read", Way::FirstLoad),
    ("batch read contacts", "objects/2026-03/contacts/batch/read", Way::FirstLoad),
    ("batch read companies", "objects/2026-03/companies/batch/read", Way::FirstLoad),
    ("search", "/tickets/search", Way::Changes),
    ("batch read tickets", "objects/2026-03/tickets/batch/read", Way::Changes),
    ("token", "/oauth/2026-03/token", Way::Granted),
    ("daily usage", "api-usage/daily", Way::Test),
];

/// What becomes of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Everything arrived, and the tables are the portal's.
    Whole,
    /// This exit code with these words in the last line; a run from the last state then makes the tables the portal's.
    Told(i32, &'static str),
    /// All else arrived, and a warning has these words; a run from the last state then makes the tables the portal's.
    Warned(&'static str),
}
use Ending::{Told, Warned, Whole};

/// A fault: what it ends in when it strikes once, and, if that is tried, when it strikes every time.
struct Row {
    name: &'static str,
    fault: Fault,
    once: Ending,
    always: Option<Ending>,
}

fn row(name: &'static str, fault: Fault, once: Ending, always: Option<Ending>) -> Row {
    Row { name, fault, once, always }
}

fn status(code: u16, retry_after: Option<&str>) -> Fault {
    let headers = retry_after.map(|seconds| ("Retry-After".to_owned(), seconds.to_owned())).into_iter().collect();
    Fault::Status { code, headers, body: None }
}

fn limited(limit: RateLimitKind, retry_after: Option<u64>) -> Fault {
    Fault::RateLimited { limit, retry_after }
}

/// The table: what is expected of each fault, at every endpoint.
fn table() -> Vec<Row> {
    let kept = |says| Some(Told(UNAVAILABLE, says));
    vec![
        row("429 ten-secondly", limited(RateLimitKind::TenSecondly, None), Whole, None),
        row("429 ten-secondly, Retry-After", limited(RateLimitKind::TenSecondly, Some(0)), Whole, kept("429")),
        row("429 secondly", limited(RateLimitKind::Secondly, None), Whole, None),
        row("429 secondly, Retry-After", limited(RateLimitKind::Secondly, Some(0)), Whole, None),
        row("429 daily", limited(RateLimitKind::Daily, None), Told(QUOTA, "daily limit"), None),
        row("429 daily, Retry-After", limited(RateLimitKind::Daily, Some(3_600)), Told(QUOTA, "daily limit"), None),
        row("500", status(500, None), Whole, kept("500")),
        row("502 in HTML", Fault::Html(502), Whole, None),
        row("503", status(503, None), Whole, None),
        row("503, Retry-After", status(503, Some("1")), Whole, None),
        row("504", status(504, None), Whole, None),
        row("521", Fault::Html(521), Whole, None),
        row("524", Fault::Html(524), Whole, None),
        row("408", status(408, None), Whole, None),
        row("423", status(423, None), Whole, None),
        row("477, seconds", status(477, Some("1")), Whole, None),
        row("477, hours", status(477, Some("7200")), Told(UNAVAILABLE, "migrating"), None),
        row("477, no time told", status(477, None), Whole, kept("migrating")),
        row("403", status(403, None), Told(REFUSED, "403"), None),
        row("403 in HTML", Fault::Html(403), Whole, kept("403")),
        row("404 in HTML", Fault::Html(404), Whole, None),
        row("401 once", Fault::ExpiredToken, Whole, None),
        row("307", status(307, None), Whole, kept("redirected")),
        row("488", status(488, None), Whole, kept("api_base_url")),
        row("522 twice", Fault::Html(522), Whole, None),
        row("530", Fault::Html(530), Whole, None),
        row("reset before the answer", Fault::ResetBeforeBody, Whole, None),
        row("reset after the work", Fault::LostReply, Whole, None),
        row("reset in the body", Fault::ResetMidBody, Whole, kept("no whole answer")),
        row("truncated JSON", Fault::TruncatedJson, Whole, None),
        row("a body that never ends", Fault::EndlessBody, Whole, None),
        row("slower than the timeout", Fault::SlowMs(20_000), Whole, None),
        row("200 that is not JSON", Fault::NotJson, Whole, kept("not what HubSpot documents")),
        row("results missing", Fault::ResultsMissing, Whole, None),
        row("results that are no array", Fault::ResultsNotAnArray, Whole, None),
        row("a repeated page", Fault::RepeatedPage, Whole, None),
        row("a cursor that goes back", Fault::CursorBackwards, Whole, None),
        row("ids out of order", Fault::IdsOutOfOrder, Whole, None),
    ]
}

/// A portal with a tap, a first load of it, and changes since.
struct Bench {
    portal: Portal,
    tap: Tap,
    catalog: Value,
    loaded: Tables,
}

impl Bench {
    fn new() -> Self {
        let portal = Portal::start(Options {
            stage_properties: false,
            archived_share: 0.2,
            merged: 1,
            contacts: 200,
            companies: 60,
            start_time: "2026-11-02T08:00:00Z".parse().ok(),
            ..Options::with_tickets(40)
        });
        let mut tap = Tap::unhurried(&portal);
        tap.set("page_size", 10.into())
            .set("checkpoint_every_pages", 1.into())
            .set("retry_attempts", 2.into())
            .set("request_timeout_secs", json!(2));
        let catalog = tap.discover();
        let loaded = fold(&tap.sync(None).succeeded().messages());
        portal.advance(Duration::from_secs(3_600));
        let live: Vec<u64> = portal.truth().live_tickets().iter().map(|id| id.parse().expect("a number")).collect();
        for id in &live[..15] {
            portal.update("tickets", *id, &[("subject", "changed")]);
        }
        portal.create("tickets", &[("subject", "new")]);
        portal.advance(Duration::from_secs(60));
        Self { portal, tap, catalog, loaded }
    }

    /// One run, begun as the endpoint needs it.
    fn run(&mut self, way: Way) -> Finished {
        let granted = way == Way::Granted;
        let given = |value: &str| if granted { Value::from(value) } else { Value::Null };
        let token = if granted { Value::Null } else { self.portal.access_token().into() };
        self.tap
            .set("access_token", token)
            .set("client_id", given("sandbox-client"))
            .set("client_secret", given("sandbox-secret"))
            .set("refresh_token", given("sandbox-refresh"));
        match way {
            Way::FirstLoad | Way::Granted => self.tap.sync(None),
            Way::Changes => self.tap.sync(self.loaded.state.as_ref()),
            Way::Test => self.tap.run(&["--test"]),
        }
    }

    /// What the target held before the run.
    fn before(&self, way: Way) -> Tables {
        if way == Way::Changes { self.loaded.clone() } else { Tables::default() }
    }

    fn assert_truth(&self, tables: &Tables) {
        for table in self.portal.truth().tables(&self.catalog) {
            table.assert_held(&table.in_messages(tables), Fidelity::Exact);
        }
    }

    /// Asserts the ending; of one that was told, that nothing is lost when a run goes on.
    fn assert_ended(&mut self, way: Way, finished: &Finished, ending: Ending) {
        assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
        assert!(finished.stdout.is_empty() || finished.stdout.ends_with(b"\n"), "whole lines");
        if way == Way::Test {
            // What is left of the day is not what --test is about: without it, it says so. Without a host it ends.
            let gone = matches!(ending, Told(code, says) if finished.code == Some(code) && finished.last_line().contains(says));
            assert!(finished.code == Some(0) || gone, "{}", finished.stderr);
            return;
        }
        let mut tables = self.before(way);
        tables.load(&finished.messages());
        match ending {
            Whole => assert_eq!(finished.code, Some(0), "{}", finished.stderr),
            Told(code, says) => {
                assert_eq!(finished.code, Some(code), "{}", finished.stderr);
                assert!(finished.last_line().contains(says), "{says} in: {}", finished.last_line());
            }
            Warned(says) => {
                assert_eq!(finished.code, Some(0), "{}", finished.stderr);
                let warned = finished.stderr.lines().any(|line| line.contains("WARN") && line.contains(says));
                assert!(warned, "{says} in: {}", finished.stderr);
            }
        }
        if ending != Whole {
            self.portal.clear_faults();
            let state = tables.state.clone();
            let resumed = self.tap.sync(state.as_ref()).succeeded();
            tables.load(&resumed.messages());
        }
        self.assert_truth(&tables);
    }
}

/// One cell of the matrix.
struct Case {
    endpoint: Endpoint,
    name: &'static str,
    rule: FaultRule,
    ending: Ending,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for row in table() {
        for endpoint in ENDPOINTS {
            let (_, matches, way) = endpoint;
            // A page must have been answered before it can be repeated; the first answer about associations is a probe's.
            let skip = match (row.fault == Fault::RepeatedPage, endpoint.0) {
                (true, "list, first page") => continue,
                (true, "associations") => 2,
                (repeated, _) => usize::from(repeated && way != Way::Granted),
            };
            let rule = FaultRule::nth(matches, skip, 1, row.fault.clone());
            // What a side is refused is said, and tickets are read.
            let ending = match (row.name, endpoint.0) {
                // It may be the URL that is refused: ids are listed, and records read by them.
                ("403", "list, first page" | "list, next pages") => Whole,
                ("403", "associations") => Warned("are left out"),
                ("403", "account" | "pipelines" | "owners") => Warned("403"),
                ("401 once", "token") => Told(REFUSED, "OAuth grant"),
                _ => row.once,
            };
            cases.push(Case { endpoint, name: row.name, rule, ending });
            if let Some(ending) = row.always {
                let rule = FaultRule::always(matches, row.fault.clone());
                cases.push(Case { endpoint, name: row.name, rule, ending });
            }
        }
    }
    cases
}

/// Runs jobs on `WORKERS` benches side by side, and gives back how many there were and the failures' words.
fn side_by_side(jobs: usize, run: impl Fn(&mut Bench, usize) -> String + Sync) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let failures = std::sync::Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let mut bench = Bench::new();
                loop {
                    let job = next.fetch_add(1, Ordering::Relaxed);
                    if job >= jobs {
                        return;
                    }
                    let begun = Instant::now();
                    let mut shown = String::new();
                    let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        shown = run(&mut bench, job);
                        assert!(begun.elapsed() < MAX_CASE, "{:?}", begun.elapsed());
                    }));
                    if let Err(panic) = tried {
                        let words = panic.downcast_ref::<String>().map_or("?", String::as_str).to_owned();
                        failures.lock().expect("a list").push(format!("job {job}: {words}"));
                    }
                }
            });
        }
    });
    failures.into_inner().expect("a list")
}

#[test]
fn every_endpoint_survives_every_fault_or_says_what_ended_it() {
    let (cases, begun) = (cases(), Instant::now());
    let struck = AtomicUsize::new(0);
    let failures = side_by_side(cases.len(), |bench, job| {
        let Case { endpoint: (_, _, way), rule, ending, .. } = &cases[job];
        bench.portal.clear_faults();
        bench.portal.clear_requests();
        bench.portal.faults([rule.clone()]);
        let finished = bench.run(*way);
        let hits = bench.portal.requests().iter().filter(|request| request.fault.is_some()).count();
        struck.fetch_add(hits.min(1), Ordering::Relaxed);
        // A run that a fault for good does not end was not struck by it.
        bench.assert_ended(*way, &finished, *ending);
        String::new()
    });
    let shown: Vec<String> = failures
        .iter()
        .map(|failure| {
            let job: usize = failure[4..].split(':').next().and_then(|job| job.parse().ok()).expect("a job");
            format!("{} at {}: {failure}", cases[job].name, cases[job].endpoint.0)
        })
        .collect();
    assert!(shown.is_empty(), "{} of {} cases:\n{}", shown.len(), cases.len(), shown.join("\n\n"));
    let (struck, endings) = (struck.into_inner(), cases.iter().filter(|case| case.ending != Whole).count());
    assert!(struck * 10 > cases.len() * 9, "only {struck} of {} cases met their fault", cases.len());
    figures::tell(
        "fault matrix",
        &format!(
            "{} cases ({} endpoints, {} faults), {struck} struck; {} survived, {endings} ended clearly and were gone on with; rows lost: 0; {:.0} s",
            cases.len(),
            ENDPOINTS.len(),
            table().len(),
            cases.len() - endings,
            begun.elapsed().as_secs_f64()
        ),
    );
}

#[test]
fn connections_refused_at_every_endpoint_are_tried_again_or_end_the_run() {
    let begun = Instant::now();
    let failures = side_by_side(ENDPOINTS.len() * 2, |bench, job| {
        let (name, matches, way) = ENDPOINTS[job / 2];
        let for_good = job % 2 == 1;
        let proxy = Proxy::start(&bench.portal.url());
        proxy.close_at(matches, (!for_good).then_some(Duration::from_millis(50)));
        bench.portal.clear_faults();
        bench.tap.set("api_base_url", proxy.url().into());
        bench.tap.set("retry_attempts", if for_good { 2 } else { 7 }.into());
        let finished = bench.run(way);
        bench.tap.set("api_base_url", bench.portal.url().into()).set("retry_attempts", 2.into());
        assert!(proxy.was_closed(), "{name}: nothing was asked for: {}", finished.stderr);
        let ending = if for_good { Told(UNAVAILABLE, "no whole answer") } else { Whole };
        bench.assert_ended(way, &finished, ending);
        String::new()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    figures::tell(
        "connections refused",
        &format!("{} cases; rows lost: 0; {:.0} s", ENDPOINTS.len() * 2, begun.elapsed().as_secs_f64()),
    );
}

/// Name resolution and TLS lie below the requests: there is nothing of an endpoint in them.
#[test]
fn a_name_that_does_not_resolve_and_a_server_without_tls_end_the_run_clearly() {
    let mut bench = Bench::new();
    for (url, says) in [
        ("http://nowhere.invalid".to_owned(), "nowhere.invalid"),
        (bench.portal.url().replace("http:", "https:"), "127.0.0.1"),
    ] {
        bench.tap.set("api_base_url", url.into());
        let finished = bench.run(Way::Changes);
        assert_eq!((finished.code, finished.text()), (Some(UNAVAILABLE), ""), "{}", finished.stderr);
        for part in [says, "3 tries"] {
            assert!(finished.last_line().contains(part), "{}", finished.last_line());
        }
    }
}
