//! Meltano itself, with the project file and the plugin definition that are in `sample_configs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hubspot_sandbox::Options;
use serde_json::Value;

use crate::support::clients::{build_folder, building, program};
use crate::support::pages::read;
use crate::support::portal::Portal;
use crate::support::postgres::Database;
use crate::support::tap::Tap;
use crate::support::targets::SCHEMA;

/// A project folder and what its commands see of the world.
struct Project<'p> {
    tap: Tap,
    portal: &'p Portal,
    database: Option<&'p Database>,
}

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_configs").join(name)
}

impl Project<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program("meltano", "meltano");
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("MELTANO") || name.starts_with("TAP_HUBSPOT") || name.starts_with("TARGET_") {
                command.env_remove(&*name);
            }
        }
        let programs = Path::new(env!("CARGO_BIN_EXE_tap-hubspot-tickets")).parent().expect("a folder").to_owned();
        let clients = build_folder().join("clients/meltano/bin");
        let path = std::env::var("PATH").expect("a PATH");
        command
            .args(arguments)
            .current_dir(self.tap.path(""))
            .env("PATH", format!("{}:{}:{path}", programs.display(), clients.display()))
            .env("NO_COLOR", "1")
            .env("MELTANO_SEND_ANONYMOUS_USAGE_STATS", "false")
            .env("TAP_HUBSPOT_TICKETS_ACCESS_TOKEN", self.portal.access_token())
            .env("TAP_HUBSPOT_TICKETS_API_BASE_URL", self.portal.url())
            .env("TAP_HUBSPOT_TICKETS_ORGANIZATION_ID", self.portal.portal_id().to_string())
            .env("TAP_HUBSPOT_TICKETS_RATE_LIMIT", "100000")
            .env("TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA", SCHEMA)
            .stdin(Stdio::null());
        if let Some(database) = self.database {
            let url = database.url().replace("postgresql:", "postgresql+psycopg:");
            command.env("TARGET_POSTGRES_SQLALCHEMY_URL", format!("{url}?options=-c%20TimeZone%3DUTC"));
        }
        command
    }

    /// Runs `meltano ARGUMENTS`; gives its exit code, and what it wrote to stdout and to stderr.
    fn meltano_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
        let output = self.command(arguments).envs(variables.iter().copied()).output().expect("Meltano runs");
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    #[track_caller]
    fn meltano(&self, arguments: &[&str]) -> String {
        let (code, stdout, stderr) = self.meltano_with(arguments, &[]);
        assert_eq!(code, Some(0), "meltano {arguments:?}: {stdout}{stderr}");
        assert!(!stderr.contains("Logging error"), "{stderr}");
        stdout + &stderr
    }
}

const RUN: [&str; 3] = ["run", "tap-hubspot-tickets", "target-postgres"];

#[test]
#[ignore = "make test-clients installs Meltano and runs it"]
fn the_sample_project_loads_and_goes_on() {
    let portal = Portal::start(Options::with_tickets(240));
    let database = Database::create();
    let project = Project { tap: Tap::of(&portal), portal: &portal, database: Some(&database) };
    fs::copy(sample("meltano.yml"), project.tap.path("meltano.yml")).expect("a copy");
    let page = read("docs/singer.md");
    let block = page.split("```").find(|block| block.contains("\nmeltano run ")).expect("Meltano's block");
    let lines: Vec<&str> = block.lines().filter_map(|line| line.strip_prefix("meltano ")).collect();
    assert_eq!(lines.last(), Some(&RUN.join(" ").as_str()));
    // The run itself comes below, once what it is to read was selected.
    for line in &lines[..lines.len() - 1] {
        project.meltano(&line.split(' ').collect::<Vec<_>>());
    }
    let selected = project.meltano(&["select", "tap-hubspot-tickets", "--list", "--all"]);
    assert!(selected.contains("tickets.subject"), "{selected}");
    project.meltano(&["select", "--exclude", "tap-hubspot-tickets", "tickets", "content"]);

    let log = project.meltano(&RUN);
    for told in ["metric_name=record_count", "metric_name=sync_duration"] {
        assert!(log.contains(told), "{told} in {log}");
    }
    let count = |table: &str| database.number(&format!("select count(*) from {SCHEMA}.{table}"));
    let tickets = || i64::try_from(portal.truth().list("tickets").len()).expect("a count");
    assert_eq!(count("tickets"), tickets());
    assert_eq!(count("owners"), i64::try_from(portal.truth().list("owners").len()).expect("a count"));
    let columns: Vec<String> = database.columns(SCHEMA, "tickets").into_iter().map(|(name, _)| name).collect();
    assert!(columns.contains(&"subject".to_owned()) && !columns.contains(&"content".to_owned()), "{columns:?}");

    let scans = || database.number(&format!("select count(distinct _scan_id) from {SCHEMA}.tickets"));
    let ids: Vec<u64> = portal.truth().live_tickets()[..6].iter().map(|id| id.parse().expect("an id")).collect();
    portal.update_many("tickets", &ids, &[("subject", "changed")]);
    portal.create("tickets", &[("subject", "new")]);
    project.meltano(&RUN);
    assert_eq!(count("tickets"), tickets());
    assert_eq!(database.number(&format!("select count(*) from {SCHEMA}.tickets where subject = 'changed'")), 6);
    assert_eq!(scans(), 2, "the second run read what changed");
    let state = project.meltano(&["state", "list"]);
    let id = state.lines().find(|line| line.contains("tap-hubspot-tickets-to-target-postgres")).expect("a state");
    let state = project.meltano(&["state", "get", id.trim()]);
    let state: Value = serde_json::from_str(state.lines().next().expect("a line")).expect("JSON");
    assert_eq!(state["singer_state"]["portal_id"], portal.portal_id().to_string());

    let (code, stdout, stderr) = project.meltano_with(&RUN, &[("TAP_HUBSPOT_TICKETS_ACCESS_TOKEN", "wrong")]);
    assert_eq!(code, Some(1), "{stdout}{stderr}");
    assert!(stderr.contains("check access_token"), "{stderr}");
    let (code, stdout, stderr) = project
        .meltano_with(&["config", "test", "tap-hubspot-tickets"], &[("TAP_HUBSPOT_TICKETS_ACCESS_TOKEN", "wrong")]);
    assert_eq!(code, Some(1));
    assert!((stdout + &stderr).contains("check access_token"));

    // A catalog from before the portal changed.
    let catalog = project.meltano_with(&["invoke", "tap-hubspot-tickets", "--discover"], &[]).1;
    fs::write(project.tap.path("stale.json"), catalog).expect("a writable folder");
    portal.archive_property("tickets", "hs_ticket_priority");
    let stale = [("TAP_HUBSPOT_TICKETS__CATALOG", "stale.json")];
    let (code, stdout, stderr) = project.meltano_with(&RUN, &stale);
    assert_eq!(code, Some(0), "{stdout}{stderr}");

    let full = [&RUN[..1], &["--full-refresh"], &RUN[1..]].concat();
    project.meltano(&full);
    assert_eq!(count("tickets"), tickets());
    let last =
        format!("select count(*) from {SCHEMA}.tickets where _scan_id = (select max(_scan_id) from {SCHEMA}.tickets)");
    assert_eq!(database.number(&last), tickets(), "a full refresh reads everything");
}

#[test]
#[ignore = "make test-clients installs Meltano and runs it"]
fn the_plugin_definition_can_be_added() {
    let portal = Portal::start(Options::with_tickets(5));
    let project = Project { tap: Tap::of(&portal), portal: &portal, database: None };
    project.meltano(&["init", "project", "--no-usage-stats"]);
    let folder = project.tap.path("project");
    fs::copy(sample("tap-hubspot-tickets.plugin.yml"), folder.join("plugin.yml")).expect("a copy");
    let run = |arguments: &[&str]| {
        let output = project.command(arguments).current_dir(&folder).output().expect("Meltano runs");
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {said}");
        said
    };
    run(&["add", "tap-hubspot-tickets", "--from-ref", "plugin.yml"]);
    let settings = run(&["config", "list", "tap-hubspot-tickets", "--all"]);
    for setting in ["access_token", "rate_limit_share", "report_path", "properties_layout"] {
        assert!(settings.contains(setting), "{setting} in {settings}");
    }
    assert!(run(&["invoke", "tap-hubspot-tickets", "--version"]).contains(env!("CARGO_PKG_VERSION")));
    assert!(run(&["config", "test", "tap-hubspot-tickets"]).contains("valid"));
}

/// The program is on no PATH: Meltano builds it from the folder that the `pip_url` names, with PyPI's maturin.
#[test]
#[ignore = "make test-clients installs Meltano and runs it"]
fn meltano_installs_the_program_from_its_pip_url() {
    let portal = Portal::start(Options::with_tickets(30));
    let project = Project { tap: Tap::of(&portal), portal: &portal, database: None };
    let path = std::env::var("PATH").expect("a PATH");
    let run = |arguments: &[&str]| {
        let mut command = project.command(arguments);
        command.env("PATH", format!("{}:{path}", build_folder().join("clients/meltano/bin").display()));
        let output = building(&mut command).output().expect("Meltano runs");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {}{stderr}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    // The sample project without its loader, with the one line that the page on Meltano adds.
    let sample = fs::read_to_string(sample("meltano.yml")).expect("the project");
    let extractor = sample.split("\n  loaders:\n").next().expect("the extractor");
    let line = "    executable: tap-hubspot-tickets\n";
    assert!(extractor.contains(line));
    let pip_url = format!("    pip_url: {}\n{line}", env!("CARGO_MANIFEST_DIR"));
    fs::write(project.tap.path("meltano.yml"), extractor.replace(line, &pip_url) + "\n").expect("a writable folder");
    run(&["install"]);
    let installed = project.tap.path(".meltano/extractors/tap-hubspot-tickets/venv/bin/tap-hubspot-tickets");
    assert!(installed.is_file(), "{}", installed.display());
    assert!(run(&["invoke", "tap-hubspot-tickets", "--about"]).contains(env!("CARGO_PKG_VERSION")));
    let messages = run(&["invoke", "tap-hubspot-tickets"]);
    let tickets = messages.lines().filter(|line| line.starts_with(r#"{"type":"RECORD","stream":"tickets""#)).count();
    assert_eq!(tickets, portal.truth().list("tickets").len());
}

#[test]
fn the_plugin_definition_is_the_taps_own() {
    let portal = Portal::start(Options::with_tickets(1));
    let about = Tap::of(&portal).run(&["--about", "--format=meltano"]).succeeded();
    let definition = fs::read_to_string(sample("tap-hubspot-tickets.plugin.yml")).expect("the definition");
    assert_eq!(about.text(), definition, "write it anew with --about --format=meltano");
    // The project file has the same settings, in a form that is shorter to read.
    let project = fs::read_to_string(sample("meltano.yml")).expect("the project");
    let settings = project.lines().filter_map(|line| line.trim().strip_prefix("- {name: "));
    let mut names = 0;
    for setting in settings {
        let (name, rest) = setting.split_once(", kind: ").expect("a kind");
        let kind = rest.trim_end_matches('}').split(", ").next().expect("a kind");
        assert!(definition.contains(&format!("- name: {name}\n  kind: {kind}\n")), "{name}: {kind}");
        names += 1;
    }
    assert!(names >= 8, "{names}");
}
