//! The files for clusters, carried out: the Kubernetes sample's command, the Airflow sample's tasks.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hubspot_sandbox::Options;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::clients::{program, repository, run};
use crate::support::portal::Portal;
use crate::support::postgres::Database;
use crate::support::tap::Tap;
use crate::support::targets::{SCHEMA, target_pg};

/// The folder of the programs.
fn bin() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_tap-hubspot-tickets")).parent().expect("a folder")
}

/// A PATH with the programs in it.
fn path() -> String {
    format!("{}:{}", bin().display(), std::env::var("PATH").expect("a PATH"))
}

/// Waits until something holds.
#[track_caller]
fn until(what: &str, patience: Duration, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < patience, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The processes whose working folder is this one, each with its parent.
fn processes_in(folder: &Path) -> Vec<(i32, i32)> {
    let folder = fs::canonicalize(folder).expect("a folder");
    let processes = fs::read_dir("/proc").expect("proc").filter_map(Result::ok);
    let inside = processes.filter(|process| fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == folder));
    let ids = |process: fs::DirEntry| {
        let status = fs::read_to_string(process.path().join("status")).ok()?;
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()?;
        Some((process.file_name().to_str()?.parse().ok()?, parent))
    };
    inside.filter_map(ids).collect()
}

#[test]
#[ignore = "make test-clients installs Kubernetes' schemas"]
fn kubernetes_takes_the_files_as_they_are() {
    let said = run(program("clusters", "kubernetes-validate")
        .arg("--strict")
        .arg(repository("sample_configs/kubernetes/tenants.yaml")));
    assert!(!said.contains("ERROR"), "{said}");
    let text = fs::read_to_string(repository("sample_configs/kubernetes/tenants.yaml")).expect("the file");
    assert!(
        ["Secret", "PersistentVolumeClaim", "CronJob"].iter().all(|kind| text.contains(&format!("kind: {kind}\n")))
    );
}

/// The command of the sample's container, as process 1 of a namespace of its own, as in a container, and as there with nothing
/// on the PATH but the programs of the image.
fn as_process_one(tap: &Tap) -> Command {
    let sample = fs::read_to_string(repository("sample_configs/kubernetes/tenants.yaml")).expect("the file");
    let lines = sample.lines().map(str::trim).skip_while(|line| *line != "command:").skip(1);
    let words = lines.map_while(|line| line.strip_prefix("- "));
    let config = format!("{}/", tap.path("").display().to_string().trim_end_matches('/'));
    let words: Vec<String> = words.map(|word| word.replace("/config/", &config)).collect();
    assert!(words.len() >= 4 && words[0] == "tap-hubspot-tickets", "{words:?}");
    let alone = Command::new("unshare").args(["--pid", "--fork", "true"]).output().expect("unshare of util-linux runs");
    // It is none of the image's programs.
    let mut command = Command::new(run(Command::new("sh").args(["-c", "command -v unshare"])).trim());
    if !alone.status.success() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--pid", "--fork"]).args(words).current_dir(tap.path("")).env("PATH", image_path(tap));
    command.stdin(Stdio::null());
    command
}

/// A PATH with the programs of the image and no others: no shell either.
fn image_path(tap: &Tap) -> String {
    let folder = tap.path("bin");
    if !folder.exists() {
        fs::create_dir(&folder).expect("a new folder");
        for program in ["tap-hubspot-tickets", "target-pg"] {
            symlink(bin().join(program), folder.join(program)).expect("a link");
        }
    }
    folder.display().to_string()
}

/// The process that another one has begun.
fn child_of(parent: &Child) -> Pid {
    let id = parent.id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).expect("a process");
    Pid::from_raw(children.trim().parse().expect("one child"))
}

#[test]
#[ignore = "make test-clients makes a namespace of processes"]
fn kubernetes_ends_the_sample_in_order_and_loads_what_is_missing_with_the_next_run() {
    let portal = Portal::start(Options::with_tickets(900));
    let (mut tap, database) = (Tap::unhurried(&portal), Database::create());
    tap.set("report_path", "report.json".into());
    let _ = target_pg(&tap, &database);
    portal.set_latency(Duration::from_millis(200));
    let mut pod = as_process_one(&tap).stderr(Stdio::piped()).spawn().expect("unshare runs");
    until("records", Duration::from_secs(60), || {
        let report = fs::read(tap.path("report.json")).unwrap_or_default();
        serde_json::from_slice::<Value>(&report).is_ok_and(|report| report["records"].as_u64() > Some(100))
    });
    kill(child_of(&pod), Signal::SIGTERM).expect("a process");
    let asked = Instant::now();
    let code = pod.wait().expect("a child").code();
    assert_eq!(code, Some(143));
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    assert!(processes_in(&tap.path("")).is_empty());
    portal.set_latency(Duration::ZERO);
    run(&mut as_process_one(&tap));
    assert_eq!(
        database.number(&format!("select count(*) from {SCHEMA}.tickets where not archived")),
        i64::try_from(portal.truth().live_tickets().len()).expect("a count")
    );
    assert!(fs::read_to_string(tap.path("state.json")).expect("a state").contains("bookmarks"));
}

/// The line that a sample runs, with this tap's folder in the place of the sample's.
fn sample_line(sample: &str, before: &str) -> String {
    let text = fs::read_to_string(repository("sample_configs").join(sample)).expect("the sample");
    text.lines().find_map(|line| Some(line.split_once(before)?.1.to_owned())).expect("the command")
}

#[test]
fn the_lines_of_the_cron_and_systemd_samples_load_a_portal() {
    let portal = Portal::start(Options::with_tickets(60));
    let (tap, database) = (Tap::unhurried(&portal), Database::create());
    let _ = target_pg(&tap, &database);
    let folder = tap.path("").display().to_string();
    let cron =
        sample_line("cron/hubspot-tickets", "hubspot-tickets  ").replace("/srv/hubspot-tickets/12345678", &folder);
    assert!(cron.starts_with(&format!("cd {folder}")), "{cron}");
    let systemd = sample_line("systemd/hubspot-tickets@.service", "ExecStart=/usr/local/bin/");
    for line in [cron, systemd] {
        database.rows(&format!("drop schema if exists {SCHEMA} cascade"));
        let _ = fs::remove_file(tap.path("state.json"));
        let said = run(Command::new("sh").args(["-c", &line]).current_dir(&folder).env("PATH", path()));
        assert_eq!(
            database.number(&format!("select count(*) from {SCHEMA}.tickets where not archived")),
            i64::try_from(portal.truth().live_tickets().len()).expect("a count"),
            "{line}: {said}"
        );
        assert!(fs::read_to_string(tap.path("state.json")).is_ok_and(|state| state.contains("bookmarks")), "{line}");
    }
}

#[test]
#[ignore = "make test-clients runs it where systemd is installed"]
fn systemd_takes_the_files_as_they_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut units = Vec::new();
    for kind in ["service", "timer"] {
        let sample = repository("sample_configs/systemd").join(format!("hubspot-tickets@.{kind}"));
        let text = fs::read_to_string(sample).expect("the sample");
        // The program is not installed here.
        let unit = folder.path().join(format!("hubspot-tickets@12345678.{kind}"));
        fs::write(&unit, text.replace("/usr/local/bin", &bin().display().to_string())).expect("a writable folder");
        units.push(unit);
    }
    let said = run(Command::new("systemd-analyze").arg("verify").args(&units));
    assert!(!said.contains("hubspot-tickets@"), "{said}");
}

/// A folder for Airflow, with the sample and tenants.
struct Airflow<'t> {
    tap: &'t Tap,
    output: &'static str,
}

impl Airflow<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let tap = self.tap;
        let mut command = program("clusters", "airflow");
        command.args(arguments).current_dir(tap.path("")).env("AIRFLOW_HOME", tap.path("airflow"));
        command.env("AIRFLOW__CORE__DAGS_FOLDER", tap.path("dags")).env("AIRFLOW__CORE__LOAD_EXAMPLES", "False");
        command.env("HUBSPOT_TENANTS", tap.path("tenants")).env("HOME", tap.path(""));
        command.env("HUBSPOT_OUTPUT", self.output).env("PATH", path());
        command
    }

    /// Writes the sample and tenants with these tokens, and begins a database.
    fn prepare(&self, portal: &Portal, tenants: &[(&str, String)]) {
        fs::create_dir_all(self.tap.path("dags")).expect("a folder");
        let sample = repository("sample_configs/airflow/hubspot_tickets.py");
        fs::copy(sample, self.tap.path("dags/hubspot_tickets.py")).expect("a copy");
        for (tenant, token) in tenants {
            fs::create_dir_all(self.tap.path("tenants").join(tenant)).expect("a folder");
            let config = json!({"access_token": token, "api_base_url": portal.url(), "rate_limit": 100_000});
            self.tap.write(&format!("tenants/{tenant}/config.json"), &config);
        }
        run(&mut self.command(&["db", "migrate"]));
    }
}

/// One mapped task a tenant, of which one fails.
#[test]
#[ignore = "make test-clients installs Airflow and runs it"]
fn airflow_runs_a_task_for_each_tenant() {
    let portal = Portal::start(Options::with_tickets(12));
    let tap = Tap::unhurried(&portal);
    let output = "tee messages.jsonl | grep '\"type\":\"STATE\"' | tail -n 1";
    let airflow = Airflow { tap: &tap, output };
    airflow.prepare(
        &portal,
        &[("one", portal.access_token()), ("two", "wrong".to_owned()), ("three", portal.access_token())],
    );
    let output = airflow.command(&["dags", "test", "hubspot_tickets"]).output().expect("Airflow runs");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    for tenant in ["one", "three"] {
        let folder = tap.path("tenants").join(tenant);
        let messages = fs::read_to_string(folder.join("messages.jsonl")).unwrap_or_default();
        let tickets =
            messages.lines().filter(|line| line.starts_with(r#"{"type":"RECORD","stream":"tickets""#)).count();
        assert_eq!(tickets, portal.truth().list("tickets").len(), "{tenant}: {said}");
        assert!(fs::read_to_string(folder.join("state.json")).is_ok_and(|state| state.contains("bookmarks")), "{said}");
    }
    assert!(said.contains("check access_token") && said.contains("state=failed"), "{said}");
}

#[test]
#[ignore = "make test-clients installs Airflow and runs it"]
fn a_killed_airflow_task_leaves_no_process_behind() {
    let portal = Portal::start(Options::with_tickets(900));
    let tap = Tap::unhurried(&portal);
    // As a target that takes its time.
    let airflow = Airflow { tap: &tap, output: "cat > messages.jsonl; sleep 600" };
    airflow.prepare(&portal, &[("one", portal.access_token())]);
    portal.set_latency(Duration::from_millis(500));
    let folder = tap.path("tenants/one");
    let mut task = airflow.command(&["dags", "test", "hubspot_tickets"]);
    let mut task = task.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("Airflow runs");
    let begun = || fs::metadata(folder.join("messages.jsonl")).is_ok_and(|messages| messages.len() > 0);
    until("messages", Duration::from_secs(180), begun);
    let processes = processes_in(&folder);
    let (_, worker) = processes
        .iter()
        .find(|(_, parent)| processes.iter().all(|(process, _)| process != parent))
        .copied()
        .expect("the task's own process");
    kill(Pid::from_raw(worker), Signal::SIGKILL).expect("the task's process");
    until("an end of tap and target", Duration::from_secs(8), || processes_in(&folder).is_empty());
    let _ = task.kill();
    task.wait().expect("a child");
}
