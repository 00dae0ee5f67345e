//! The README, the sample files and the catalog say what is true.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hubspot_sandbox::Options;
use serde_json::{Value, json};

use crate::support::clients::{build_folder, tool};
use crate::support::portal::Portal;
use crate::support::postgres::Database;
use crate::support::tap::Tap;
use crate::support::targets::{SCHEMA, target_pg, target_postgres};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn read_json(path: &str) -> Value {
    serde_json::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn samples(prefix: &str) -> Vec<String> {
    let names = fs::read_dir(repository("sample_configs")).expect("the folder");
    let names = names.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
    names.filter(|name| name.starts_with(prefix)).collect()
}

/// The README's blocks of one language.
fn blocks(language: &str) -> Vec<String> {
    let readme = read("README.md");
    let opening = format!("```{language}\n");
    readme.split(&opening).skip(1).map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn every_sample_config_syncs_the_sandbox_without_a_warning() {
    let portal = Portal::start(Options::with_tickets(60));
    let configs = samples("config.");
    assert!(configs.len() >= 6, "{configs:?}");
    for name in configs {
        let tap = Tap::of(&portal);
        // What differs from tenant to tenant, in a second file that wins.
        let mut ours =
            json!({"api_base_url": portal.url(), "organization_id": portal.portal_id(), "rate_limit": 100_000});
        match name.as_str() {
            "config.oauth.json" => {
                let app = Options::default().oauth;
                ours["client_id"] = app.client_id.into();
                ours["client_secret"] = app.client_secret.into();
                ours["refresh_token"] = app.refresh_token.into();
            }
            _ => ours["access_token"] = portal.access_token().into(),
        }
        tap.write("sample.json", &read_json(&format!("sample_configs/{name}")));
        tap.write("config.json", &ours);
        let finished = Command::new(env!("CARGO_BIN_EXE_tap-hubspot-tickets"))
            .current_dir(tap.path(""))
            .args(["--config", "sample.json", "--config", "config.json"])
            .output()
            .expect("the tap runs");
        let log = String::from_utf8_lossy(&finished.stderr);
        assert!(finished.status.success(), "{name}: {log}");
        assert!(!log.contains(" WARN "), "{name}: {log}");
        assert!(String::from_utf8_lossy(&finished.stdout).contains(r#""type":"SCHEMA","stream":"tickets""#), "{name}");
    }
}

#[test]
fn the_environment_sample_is_read() {
    let portal = Portal::start(Options::with_tickets(10));
    let tap = Tap::of(&portal);
    fs::write(tap.path(".env"), read("sample_configs/env.example")).expect("a writable folder");
    let finished = Command::new(env!("CARGO_BIN_EXE_tap-hubspot-tickets"))
        .current_dir(tap.path(""))
        .env("TAP_HUBSPOT_TICKETS_API_BASE_URL", portal.url())
        .env("TAP_HUBSPOT_TICKETS_ACCESS_TOKEN", portal.access_token())
        .env("TAP_HUBSPOT_TICKETS_ORGANIZATION_ID", portal.portal_id().to_string())
        .args(["--config", "ENV", "--test"])
        .output()
        .expect("the tap runs");
    assert!(finished.status.success(), "{}", String::from_utf8_lossy(&finished.stderr));
    let said = String::from_utf8_lossy(&finished.stdout);
    assert!(said.contains("associations with deals: ok"), "the sample's association types are read: {said}");
}

#[test]
fn the_target_samples_are_the_configs_that_the_tests_load_with() {
    let portal = Portal::start(Options::with_tickets(1));
    let (tap, database) = (Tap::of(&portal), Database::create());
    let _ = target_postgres(&tap, &database);
    let used: Value = serde_json::from_slice(&fs::read(tap.path("target.json")).expect("a config")).expect("JSON");
    let sample = read_json("sample_configs/target-postgres.json");
    let keys = |config: &Value| config.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&used), keys(&sample));
    let options = |config: &Value| {
        config["sqlalchemy_url"].as_str().expect("a URL").split_once('?').map(|(_, rest)| rest.to_owned())
    };
    assert_eq!(options(&used), options(&sample));
    for setting in ["sanitize_null_text_characters", "validate_records"] {
        assert_eq!(used[setting], sample[setting], "{setting}");
    }
    assert!(read("sample_configs/meltano.yml").contains("validate_records: false"));
    let _ = target_pg(&tap, &database);
    let used: Value = serde_json::from_slice(&fs::read(tap.path("target.json")).expect("a config")).expect("JSON");
    for setting in ["default_target_schema", "sanitize_null_text_characters"] {
        assert!(used[setting] != Value::Null && read_json("sample_configs/target-pg.json")[setting] != Value::Null);
        assert!(
            read("sample_configs/kubernetes/tenants.yaml").contains(&format!("      \"{setting}\": ")),
            "{setting}"
        );
    }
}

#[test]
fn the_catalog_is_the_sandboxs() {
    let portal = Portal::start(Options::default());
    let tap = Tap::of(&portal);
    let discovered = tap.run(&["--discover", "--portable"]).succeeded();
    let discovered: Value = serde_json::from_slice(&discovered.stdout).expect("a catalog");
    assert!(
        discovered == read_json("catalog/sandbox.catalog.json"),
        "catalog/sandbox.catalog.json is out of date: write it anew with --discover --portable"
    );
}

#[test]
fn the_readmes_settings_are_the_taps() {
    let portal = Portal::start(Options::with_tickets(1));
    let about = Tap::of(&portal).run(&["--about", "--format=markdown"]).succeeded();
    let about = String::from_utf8(about.stdout).expect("UTF-8");
    let table = &about[about.find("| Setting |").expect("a table")..];
    assert!(read("README.md").contains(table.trim()), "the README's settings are not those of --about:\n{table}");
}

#[test]
fn the_readmes_exit_codes_are_the_taps() {
    let (readme, source) = (read("README.md"), read("src/exit.rs"));
    let codes = source.lines().filter_map(|line| line.split_once(": u8 = ")?.1.strip_suffix(';'));
    let codes: Vec<&str> = codes.collect();
    assert!(codes.len() >= 8, "{codes:?}");
    for code in codes {
        assert!(
            readme.contains(&format!("| {code} |"))
                || readme.contains(&format!("| {code}, "))
                || readme.contains(&format!(", {code} |")),
            "the README does not tell exit code {code}"
        );
    }
}

/// The README's `columns.json`.
fn choice() -> String {
    blocks("json").into_iter().find(|block| block.contains("\"streams\"")).expect("a choice of streams")
}

#[test]
fn the_readme_and_about_say_in_one_place_how_streams_and_columns_are_chosen() {
    let portal = Portal::start(Options::with_tickets(1));
    let tap = Tap::of(&portal);
    let heading = "Choose streams and columns";
    let readme = read("README.md");
    let section = readme.split(&format!("\n## {heading}\n\n")).nth(1).expect("the section");
    let paragraph = section.split("\n\n").next().expect("a paragraph");
    for part in ["`streams`", "`properties`", "`--catalog`", "`sensitive_properties`"] {
        assert!(paragraph.contains(part), "{part}");
    }
    for (format, opening) in [("text", format!("{heading}:\n\n")), ("markdown", format!("## {heading}\n\n"))] {
        let about = tap.run(&["--about", &format!("--format={format}")]).succeeded();
        assert_eq!(about.text().matches(&format!("{opening}{paragraph}\n")).count(), 1, "{}", about.text());
    }
    let (choice, sample): (Value, _) = (serde_json::from_str(&choice()).expect("JSON"), "config.columns.json");
    for (setting, value) in choice.as_object().expect("settings") {
        assert_eq!(read_json(&format!("sample_configs/{sample}"))[setting], *value, "{setting}");
    }
}

/// The commands that the README's table gives for the endpoints of the HTTP service.
fn service_commands() -> Vec<String> {
    let readme = read("README.md");
    let table = readme.split("| the service's endpoint |").nth(1).expect("the table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let command = |row: &str| {
        let row = row.replace("\\|", "\u{1}");
        let cell = row.trim_end_matches('|').rsplit('|').next().expect("a cell").trim().to_owned();
        cell.trim_matches('`').replace('\u{1}', "|")
    };
    let commands: Vec<String> = rows.map(command).collect();
    assert!(commands.len() >= 7, "{commands:?}");
    commands
}

/// The samples for schedulers, the README and the page on operations run the same line.
#[test]
fn every_sample_for_a_scheduler_runs_the_readmes_line() {
    let line = blocks("sh").first().expect("the README's first command").trim().to_owned();
    let plain = |text: &str| text.replace('=', " ").replace(['\'', '"', ',', '\n', '-', '[', ']'], " ");
    let words = |text: &str| plain(text).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert!(read("README.md").matches(&line).count() >= 3, "the quickstart, a real portal, the service's table");
    for page in ["docs/operations.md", "docs/target-pg.md", "sample_configs/systemd/hubspot-tickets@.service"] {
        assert!(read(page).contains(&line), "{page}");
    }
    for sample in ["cron/hubspot-tickets", "kubernetes/tenants.yaml", "airflow/hubspot_tickets.py"] {
        let text = words(&read(&format!("sample_configs/{sample}")).replace("/config/", ""));
        for word in words(&line) {
            assert!(text.contains(&word), "{sample}: {word}");
        }
    }
}

/// Every command line of the README that a user types against a portal, in the README's order and one folder.
#[test]
fn the_readmes_commands_run() {
    let portal = Portal::start(Options::with_tickets(120));
    let (mut tap, database) = (Tap::of(&portal), Database::create());
    tap.set("report_path", "report.json".into());
    let _ = target_postgres(&tap, &database);
    fs::rename(tap.path("target.json"), tap.path("target-postgres.json")).expect("a config");
    let _ = target_pg(&tap, &database);
    let tenant = tap.path("tenants/12345678");
    fs::create_dir_all(&tenant).expect("a folder");
    for file in ["config.json", "target.json"] {
        fs::copy(tap.path(file), tenant.join(file)).expect("a copy");
    }
    fs::copy(repository("sample_configs/postgres/views.sql"), tap.path("views.sql")).expect("a copy");
    tap.write(
        "new_since.json",
        &json!({"created_after": read_json("sample_configs/config.new_since.json")["created_after"]}),
    );
    fs::write(tap.path("columns.json"), choice()).expect("a writable folder");
    let programs = [
        Path::new(env!("CARGO_BIN_EXE_tap-hubspot-tickets")).parent().expect("a folder").to_owned(),
        build_folder().join("clients/target-postgres/bin"),
    ];
    let path = std::env::var("PATH").expect("a PATH");
    let postgres = Command::new(tool("postgres.sh")).arg("programs").output().expect("the script runs").stdout;
    let postgres = String::from_utf8(postgres).expect("UTF-8");
    let path = format!("{}:{}:{}:{path}", programs[0].display(), programs[1].display(), postgres.trim());
    // As the README says of null objects.
    let of_unparsed = |condition: &str| {
        database.number(&format!("select count(*) from {SCHEMA}.tickets where not archived and {condition}"))
    };
    let mut ran = 0;
    for block in blocks("sh").into_iter().chain(service_commands()) {
        // The README's Hub ID is nobody's.
        let block = block.replace("hubspot_tickets_12345678", SCHEMA);
        if let Some(target) = block.trim().strip_prefix("make ") {
            assert!(read("Makefile").contains(&format!("\n{target}: ")), "the Makefile has no {target}");
            continue;
        }
        let finished = Command::new("bash")
            .args(["-e", "-o", "pipefail", "-c", &block])
            .current_dir(tap.path(""))
            .env("PATH", &path)
            .env("TAP_HUBSPOT_TICKETS_API_BASE_URL", portal.url())
            .env("TAP_HUBSPOT_TICKETS_ACCESS_TOKEN", portal.access_token())
            .env("DATABASE_URL", database.url())
            .output()
            .expect("bash runs");
        assert!(finished.status.success(), "{block}{}", String::from_utf8_lossy(&finished.stderr));
        if block.contains("| target-postgres ") {
            assert_eq!(of_unparsed("_unparsed is null"), 0);
            assert_eq!(of_unparsed("jsonb_typeof(_unparsed) = 'object'"), 0);
        }
        ran += 1;
    }
    assert!(ran >= 15, "{ran} blocks and commands");
    let truth = portal.truth();
    assert_eq!(
        database.number(&format!("select count(*) from {SCHEMA}.tickets where not archived")),
        i64::try_from(truth.live_tickets().len()).expect("a count")
    );
    assert_eq!(of_unparsed("jsonb_typeof(_unparsed) = 'object'"), 0);
    let lines = fs::read_to_string(tap.path("tickets.jsonl")).expect("the file of the shell pipeline");
    assert!(lines.lines().count() >= truth.live_tickets().len());
}
