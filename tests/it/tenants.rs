//! Many portals in one process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hubspot_sandbox::{Options, Sandbox};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Takes a tenant's messages as a target does: keeps them, and prints the last state.
const KEEP: &str = "tee -a messages.jsonl | grep '\"type\":\"STATE\"' | tail -n 1";

struct Tenants {
    runtime: tokio::runtime::Runtime,
    portals: Vec<Sandbox>,
    folder: TempDir,
}

impl Tenants {
    fn start(count: u64, tickets: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let mut tenants = Self { runtime, portals: Vec::new(), folder };
        for number in 0..count {
            let options = Options {
                portal_id: 1_000 + number,
                seed: number,
                merged: 0,
                request_log: 10,
                contacts: 4,
                companies: 2,
                deals: 0,
                custom_properties: 0,
                ..Options::with_tickets(tickets)
            };
            let portal = tenants.runtime.block_on(Sandbox::start(options)).expect("a free port");
            let config = json!({
                "access_token": portal.access_token(), "api_base_url": portal.url(), "organization_id": portal.portal_id(),
                "rate_limit": 100_000, "retry_attempts": 0,
            });
            let folder = tenants.of(number);
            fs::create_dir(&folder).expect("a new folder");
            fs::write(folder.join("config.json"), config.to_string()).expect("a writable folder");
            tenants.portals.push(portal);
        }
        tenants
    }

    fn of(&self, number: u64) -> PathBuf {
        self.folder.path().join(format!("tenant_{number:04}"))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tap-hubspot-tickets"));
        command.arg("--tenants").arg(self.folder.path()).args(["--output", KEEP]).args(arguments);
        command.env_remove("RUST_LOG").stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> (Option<i32>, String, Value) {
        let output = self.command(arguments).output().expect("the tap runs");
        let table = String::from_utf8(output.stdout).expect("UTF-8");
        (output.status.code(), table, json_of(&self.folder.path().join("report.json")))
    }
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).expect("JSON")
}

fn tickets(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("messages.jsonl")).unwrap_or_default();
    let messages = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a message"));
    messages.filter(|message| message["type"] == "RECORD" && message["stream"] == "tickets").collect()
}

fn of<'r>(report: &'r Value, name: &str) -> &'r Value {
    let ended = report["ended"].as_array().expect("tenants");
    ended.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("no {name} in {report:#}"))
}

#[test]
fn one_failing_tenant_stops_no_other() {
    let tenants = Tenants::start(6, 30);
    let spoil =
        |number, config: Value| fs::write(tenants.of(number).join("config.json"), config.to_string()).expect("written");
    spoil(1, json!({"access_token": "wrong", "api_base_url": tenants.portals[1].url()}));
    spoil(2, json!({"page_size": 1}));
    fs::write(tenants.of(3).join("output"), "echo no room >&2; exit 5").expect("written");
    let (code, table, report) = tenants.run(&["--at-once", "2"]);
    assert_eq!(code, Some(1), "{table}");
    assert_eq!((&report["succeeded"], &report["failed"], &report["at_once"]), (&json!(3), &json!(3), &json!(2)));
    for number in [0, 4, 5] {
        assert_eq!(tickets(&tenants.of(number)).len(), 30, "{table}");
        let own = json_of(&tenants.of(number).join("report.json"));
        assert_eq!((&own["status"], &own["tenant"]), (&json!("succeeded"), &json!((1000 + number).to_string())));
        let foreign = tickets(&tenants.of(number))
            .iter()
            .filter(|ticket| ticket["record"]["_tenant_id"] != own["tenant"])
            .count();
        assert_eq!(foreign, 0);
        assert!(fs::read_to_string(tenants.of(number).join("tap.log")).expect("a log").contains("tickets: 30 records"));
    }
    assert_eq!(of(&report, "tenant_0001")["exit_code"], 3);
    assert!(of(&report, "tenant_0001")["next_step"].as_str().expect("text").contains("token"));
    assert_eq!(of(&report, "tenant_0002")["exit_code"], 2);
    assert!(of(&report, "tenant_0003")["error"].as_str().expect("text").contains("no room"), "{report:#}");
    let log = fs::read_to_string(tenants.of(1).join("tap.log")).expect("a log");
    assert!(log.lines().last().expect("a line").contains("access_token"), "{log}");
    for part in ["tenant ", "quota left", "next step", "tenant_0004", "failed"] {
        assert!(table.contains(part), "{part} in {table}");
    }
}

#[test]
fn each_tenant_goes_on_from_its_own_state() {
    let tenants = Tenants::start(3, 40);
    assert_eq!(tenants.run(&[]).0, Some(0));
    for number in 0..3 {
        let state = fs::read_to_string(tenants.of(number).join("state.json")).expect("a state");
        assert_eq!(state.lines().count(), 1);
        assert!(state.contains(&format!("\"portal_id\":\"{}\"", 1000 + number)), "{state}");
        fs::remove_file(tenants.of(number).join("messages.jsonl")).expect("there");
    }
    let created = tenants.portals[1].create("tickets", &[("subject", "new")]).to_string();
    let (code, _, report) = tenants.run(&[]);
    assert_eq!(code, Some(0), "{report:#}");
    assert!(tickets(&tenants.of(1)).iter().any(|ticket| ticket["record"]["id"].as_str() == Some(&created)));
    assert!(tickets(&tenants.of(1)).len() < 10);
    // The least recently run comes first.
    let old = std::time::SystemTime::now() - Duration::from_secs(3600);
    fs::File::open(tenants.of(2).join("report.json")).and_then(|report| report.set_modified(old)).expect("a time");
    let mut paced = tenants.command(&["--at-once", "1"]).stdout(Stdio::null()).spawn().expect("the tap runs");
    paced.wait().expect("a child");
    let begun = |number| {
        json_of(&tenants.of(number).join("report.json"))["started_at"].as_str().expect("an instant").to_owned()
    };
    assert!(begun(2) < begun(0) && begun(2) < begun(1));
}

#[test]
fn a_signal_stops_all_with_their_states_kept() {
    let tenants = Tenants::start(4, 900);
    for portal in &tenants.portals {
        portal.set_latency(Duration::from_millis(250));
    }
    let mut running =
        tenants.command(&["--at-once", "2"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
    let begin = Instant::now();
    while json_status(&tenants.of(0)) != "running" || json_status(&tenants.of(1)) != "running" {
        assert!(begin.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = running.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
    assert_eq!(running.wait().expect("a child").code(), Some(143));
    let report = json_of(&tenants.folder.path().join("report.json"));
    assert_eq!((&report["stopped"], report["ended"].as_array().expect("tenants").len()), (&json!(2), 2), "{report:#}");
    assert_eq!(tenants.run(&[]).0, Some(0));
    for number in 0..4 {
        let ids: std::collections::BTreeSet<String> =
            tickets(&tenants.of(number)).iter().map(|ticket| ticket["record"]["id"].to_string()).collect();
        assert_eq!(ids.len(), 900);
    }
}

#[test]
fn a_signal_ends_all_within_five_seconds_whatever_their_targets_do() {
    let tenants = Tenants::start(3, 900);
    for portal in &tenants.portals {
        portal.set_latency(Duration::from_millis(250));
    }
    for (number, command) in
        [(0, "exec sleep 600"), (1, "cat > /dev/null; exec sleep 600"), (2, "trap '' TERM; cat >/dev/null; sleep 600")]
    {
        fs::write(tenants.of(number).join("output"), format!("echo $$ > pid; {command}")).expect("written");
    }
    let mut running =
        tenants.command(&["--at-once", "3"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
    let begin = Instant::now();
    while (0..3).any(|number| !tenants.of(number).join("pid").exists()) {
        assert!(begin.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(20));
    }
    let asked = Instant::now();
    let pid = running.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill runs").success());
    assert_eq!(running.wait().expect("a child").code(), Some(130));
    assert!(asked.elapsed() < Duration::from_millis(5_500), "{:?}", asked.elapsed());
    let report = json_of(&tenants.folder.path().join("report.json"));
    assert_eq!((&report["stopped"], &report["failed"]), (&json!(3), &json!(0)), "{report:#}");
    for number in 0..3 {
        let pid = fs::read_to_string(tenants.of(number).join("pid")).expect("a process id");
        assert!(!fs::exists(format!("/proc/{}", pid.trim())).expect("proc"), "tenant {number}'s target is left");
    }
    // The one that ignores SIGTERM.
    let log = fs::read_to_string(tenants.of(2).join("tap.log")).expect("a log");
    assert!(log.contains("WARN the output command has not ended, and gets SIGKILL"), "{log}");
}

#[test]
fn a_locked_tenant_is_left_to_the_process_that_runs_it() {
    let tenants = Tenants::start(3, 10);
    let locks = tenants.folder.path().join("locks");
    fs::create_dir(&locks).expect("a folder");
    let hold = |path: PathBuf| {
        fs::write(&path, "process 17\n").expect("written");
        let file = fs::File::open(path).expect("a file");
        file.try_lock().expect("our lock");
        file
    };
    // By another --tenants, and by another run of the portal.
    let folder = hold(tenants.of(0).join("tap.lock"));
    let portal = hold(locks.join("tap-hubspot-tickets.1001.lock"));
    let mut config = json_of(&tenants.of(1).join("config.json"));
    config["lock_path"] = locks.display().to_string().into();
    fs::write(tenants.of(1).join("config.json"), config.to_string()).expect("written");
    let (code, table, report) = tenants.run(&[]);
    assert_eq!(code, Some(0), "{table}");
    assert_eq!((&report["locked"], &report["failed"], &report["succeeded"]), (&json!(2), &json!(0), &json!(1)));
    for name in ["tenant_0000", "tenant_0001"] {
        assert_eq!(of(&report, name)["status"], "locked");
        assert_eq!(of(&report, name)["next_step"], "locked, run by another process: process 17");
    }
    assert!(table.contains("locked, run by another process"), "{table}");
    drop((folder, portal));
    // A process that died holds nothing.
    assert_eq!(tenants.run(&[]).2["succeeded"], 3);
}

#[test]
fn a_large_log_is_moved_away_and_one_old_one_kept() {
    let tenants = Tenants::start(1, 10);
    for log in ["tap.log", "output.log"] {
        fs::write(tenants.of(0).join(log), vec![b'\n'; 5 << 20]).expect("written");
        fs::write(tenants.of(0).join(format!("{log}.1")), "older\n").expect("written");
    }
    assert_eq!(tenants.run(&[]).0, Some(0));
    for log in ["tap.log", "output.log"] {
        let size = |name: &str| fs::metadata(tenants.of(0).join(name)).expect("a log").len();
        assert!(size(log) < 100_000, "{log}");
        assert_eq!(size(&format!("{log}.1")), 5 << 20, "{log}");
    }
}

#[test]
fn logs_and_reports_that_cannot_be_written_stop_no_tenant() {
    let tenants = Tenants::start(2, 10);
    for name in ["tap.log", "output.log", "report.json"] {
        fs::create_dir(tenants.of(0).join(name)).expect("a folder in its place");
    }
    fs::create_dir(tenants.folder.path().join("all.json")).expect("a folder in its place");
    let output = tenants.command(&["--report", "all.json"]).current_dir(tenants.folder.path()).output();
    let output = output.expect("the tap runs");
    let log = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(0), "{log}");
    for number in 0..2 {
        assert_eq!(tickets(&tenants.of(number)).len(), 10, "{log}");
    }
    for file in ["tenant_0000/tap.log", "all.json"] {
        assert_eq!(log.lines().filter(|line| line.contains(" WARN ") && line.contains(file)).count(), 1, "{log}");
    }
    let full = fs::File::options().write(true).open("/dev/full").expect("a device");
    let other = full.try_clone().expect("a device");
    let code = tenants.command(&[]).stdout(full).stderr(other).status().expect("the tap runs").code();
    assert_eq!(code, Some(0), "without a log and a table");
}

#[test]
fn a_terminal_shows_the_tenants_under_way() {
    let tenants = Tenants::start(3, 300);
    for portal in &tenants.portals {
        portal.set_latency(Duration::from_millis(250));
    }
    let (program, folder) = (env!("CARGO_BIN_EXE_tap-hubspot-tickets"), tenants.folder.path());
    let inner = format!("{program} --tenants . --at-once 2 --output 'cat > /dev/null'");
    let mut command = Command::new("script");
    command.args(["-qec", &inner, "typescript"]).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null());
    command.env("TERM", "xterm").env_remove("RUST_LOG");
    assert!(command.status().expect("script of util-linux runs").success());
    let shown = String::from_utf8_lossy(&fs::read(folder.join("typescript")).expect("a typescript")).into_owned();
    for part in ["0 of 3 tenants are through, 2 are under way", "tenant_0002", " are under way; ", "next step"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
}

fn json_status(folder: &Path) -> String {
    let text = fs::read(folder.join("report.json")).unwrap_or_default();
    let report: Value = serde_json::from_slice(&text).unwrap_or_default();
    report["status"].as_str().unwrap_or_default().to_owned()
}

#[test]
#[ignore = "make test-clients runs it on what takes longer"]
fn a_thousand_small_tenants_are_through_in_minutes() {
    let tenants = Tenants::start(1000, 20);
    let begin = Instant::now();
    let (code, table, report) = tenants.run(&["--at-once", "16"]);
    eprintln!("a thousand tenants in {:.1} s", begin.elapsed().as_secs_f64());
    assert_eq!(code, Some(0), "{table}");
    assert_eq!(report["succeeded"], 1000);
    for number in 0..1000 {
        assert_eq!(tickets(&tenants.of(number)).len(), 20, "{number}");
    }
    assert!(begin.elapsed() < Duration::from_secs(600));
}
