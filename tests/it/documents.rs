//! The README, the pages in `docs/`, the sample files and the catalog say what is true.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use hubspot_sandbox::Options;
use serde_json::{Value, json};

use crate::support::catalogs::{entry, metadata};
use crate::support::clients::{build_folder, tool};
use crate::support::pages::{
    anchors, blocks, code_spans, docs, in_reading_order, links, pages, read, repository, rows,
};
use crate::support::portal::Portal;
use crate::support::postgres::Database;
use crate::support::tap::Tap;
use crate::support::targets::{SCHEMA, target_pg, target_postgres};

fn read_json(path: &str) -> Value {
    serde_json::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn samples(prefix: &str) -> Vec<String> {
    let names = fs::read_dir(repository("sample_configs")).expect("the folder");
    let names = names.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
    names.filter(|name| name.starts_with(prefix)).collect()
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
fn the_page_of_settings_has_the_taps() {
    let portal = Portal::start(Options::with_tickets(1));
    let about = Tap::of(&portal).run(&["--about", "--format=markdown"]).succeeded();
    let about = String::from_utf8(about.stdout).expect("UTF-8");
    let table = &about[about.find("| Setting |").expect("a table")..];
    assert!(read("docs/settings.md").contains(table.trim()), "the page's settings are not those of --about:\n{table}");
}

/// The exit codes of the programs.
fn exit_codes() -> BTreeSet<String> {
    let source = read("src/exit.rs");
    let codes = source.lines().filter_map(|line| line.split_once(": u8 = ")?.1.strip_suffix(';'));
    let codes: BTreeSet<String> = codes.map(str::to_owned).collect();
    assert!(codes.len() >= 8, "{codes:?}");
    codes
}

/// The codes that the first cells of a table name.
fn codes_of(text: &str, header: &str) -> Vec<String> {
    let cells = rows(text, header).into_iter().map(|row| row[0].clone());
    cells.flat_map(|cell| cell.split(", ").map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn operations_and_the_readmes_rules_for_schedulers_tell_every_exit_code_once() {
    let (readme, operations) = (read("README.md"), read("docs/operations.md"));
    let (told, ruled) = (codes_of(&operations, "| code | meaning "), codes_of(&readme, "| exit code | meaning "));
    for codes in [&told, &ruled] {
        let set: BTreeSet<String> = codes.iter().cloned().collect();
        assert_eq!(set.len(), codes.len(), "a code twice: {codes:?}");
        assert!(exit_codes().is_subset(&set), "{codes:?}");
    }
    assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), ruled.into_iter().collect());
    // Both say the same of each code.
    let rules = rows(&readme, "| exit code | meaning ");
    let plain = operations.replace(" and ", ", ");
    for (row, verb) in rules[1..].iter().zip(["are tried again later", "alert a person"]) {
        assert!(plain.contains(&format!("{} {verb}", row[0])), "{}", row[0]);
    }
}

/// The README's `columns.json`.
fn choice() -> String {
    let blocks = blocks("README.md", "json");
    blocks.into_iter().find(|block| block.contains("\"streams\"")).expect("a choice of streams")
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

/// The commands that a page's table gives for the endpoints of the HTTP service.
fn service_commands(page: &str) -> Vec<String> {
    let text = read(page);
    let Some(table) = text.split("| the service's endpoint |").nth(1) else { return Vec::new() };
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

/// The samples for schedulers, the README and the pages run the same line.
#[test]
fn every_sample_for_a_scheduler_runs_the_readmes_line() {
    let line = blocks("README.md", "sh").first().expect("the README's first command").trim().to_owned();
    let plain = |text: &str| text.replace('=', " ").replace(['\'', '"', ',', '\n', '-', '[', ']'], " ");
    let words = |text: &str| plain(text).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert!(read("README.md").matches(&line).count() >= 2, "the first command, a real portal");
    assert!(read("docs/operations.md").matches(&line).count() >= 2, "one process, the service's table");
    for page in ["docs/target-pg.md", "sample_configs/systemd/hubspot-tickets@.service"] {
        assert!(read(page).contains(&line), "{page}");
    }
    for sample in ["cron/hubspot-tickets", "kubernetes/tenants.yaml", "airflow/hubspot_tickets.py"] {
        let text = words(&read(&format!("sample_configs/{sample}")).replace("/config/", ""));
        for word in words(&line) {
            assert!(text.contains(&word), "{sample}: {word}");
        }
    }
}

/// Every command line that a user types against a portal, of the README and then of the pages in the order in which it links
/// them, in one folder.
#[test]
fn the_commands_of_the_readme_and_of_every_page_run() {
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
    // As the page on other targets says of null objects.
    let of_unparsed = |condition: &str| {
        database.number(&format!("select count(*) from {SCHEMA}.tickets where not archived and {condition}"))
    };
    let mut ran = 0;
    let pages = in_reading_order();
    let commands = pages.iter().flat_map(|page| blocks(page, "sh").into_iter().chain(service_commands(page)));
    for block in commands {
        // The Hub ID of the pages is nobody's.
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
    assert!(ran >= 20, "{ran} blocks and commands");
    let truth = portal.truth();
    assert_eq!(
        database.number(&format!("select count(*) from {SCHEMA}.tickets where not archived")),
        i64::try_from(truth.live_tickets().len()).expect("a count")
    );
    assert_eq!(of_unparsed("jsonb_typeof(_unparsed) = 'object'"), 0);
    let lines = fs::read_to_string(tap.path("tickets.jsonl")).expect("the file of the shell pipeline");
    assert!(lines.lines().count() >= truth.live_tickets().len());
}

/// What a link leads to, seen from its page: the file and the heading.
fn end_of(page: &str, link: &str) -> (String, Option<String>) {
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor.to_owned())));
    if path.is_empty() {
        return (page.to_owned(), anchor);
    }
    let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." => assert!(parts.pop().is_some(), "{page}: {link} leads out of the repository"),
            part => parts.push(part),
        }
    }
    (parts.join("/"), anchor)
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_there_are() {
    let mut followed = 0;
    for page in pages() {
        for link in links(&read(&page)).iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = end_of(&page, link);
            assert!(repository(&file).exists(), "{page}: {link} leads to no file");
            if let Some(anchor) = anchor {
                assert!(anchors(&read(&file)).contains(&anchor), "{page}: {link} leads to no heading");
            }
            followed += 1;
        }
    }
    assert!(followed >= 60, "{followed} links");
}

#[test]
fn the_readme_is_short_and_links_every_page() {
    let lines = read("README.md").lines().count();
    assert!(lines <= 250, "the README has {lines} lines; what is not for a newcomer goes to docs/");
    assert_eq!(in_reading_order().into_iter().skip(1).collect::<BTreeSet<_>>(), docs());
}

/// A misspelt path or target would send its reader nowhere.
#[test]
fn every_file_and_make_target_that_a_page_names_is_there() {
    let makefile = read("Makefile");
    let (mut files, mut targets) = (0, 0);
    for page in pages().iter().filter(|page| *page != "CHANGELOG.md" && *page != "sandbox/README.md") {
        for span in code_spans(&read(page)) {
            if let Some(target) = span.strip_prefix("make ").and_then(|rest| rest.split_whitespace().next()) {
                assert!(makefile.contains(&format!("\n{target}: ")), "{page}: the Makefile has no {target}");
                targets += 1;
            }
            let is_path = ["src/", "tests/", "docs/", "sandbox/", "sample_configs/", ".ci/", ".github/"];
            if is_path.iter().any(|folder| span.starts_with(folder)) {
                assert!(repository(&span).exists(), "{page}: there is no {span}");
                files += 1;
            }
        }
    }
    assert!(files >= 15 && targets >= 8, "{files} files, {targets} targets");
}

#[test]
fn the_table_of_streams_is_the_catalogs() {
    let portal = Portal::start(Options::with_tickets(1));
    let mut catalog = Tap::of(&portal).discover();
    let rows = rows(&read("docs/streams.md"), "| stream | key | ");
    let names: BTreeSet<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    let found = catalog["streams"].as_array().expect("streams");
    let found: Vec<String> =
        found.iter().map(|one| one["tap_stream_id"].as_str().expect("a name").to_owned()).collect();
    assert_eq!(names, found.iter().map(String::as_str).collect());
    for row in &rows {
        let entry = entry(&mut catalog, row[0].trim_matches('`'));
        let key: Vec<&str> = row[1].split(", ").map(|name| name.trim_matches('`')).collect();
        assert_eq!(entry["key_properties"], json!(key), "{}", row[0]);
        let selected = metadata(entry, &[])["selected-by-default"].as_bool();
        assert_eq!(selected, Some(row[3] == "yes"), "{}", row[0]);
    }
}

/// The long options that a program's help defines.
fn options_of(program: &str) -> BTreeSet<String> {
    let help = Command::new(program).arg("--help").output().expect("the program runs").stdout;
    let help = String::from_utf8(help).expect("UTF-8");
    // A definition begins with `--name` or `-n, --name`; other lines with a dash list possible values.
    let definitions = help.lines().map(str::trim).filter_map(|line| match line.split_once(", ") {
        Some((short, rest)) if short.len() == 2 && short.starts_with('-') => Some(rest),
        _ => line.starts_with("--").then_some(line),
    });
    let options = definitions.filter_map(|line| long_options(line).into_iter().next());
    options.filter(|option| !["--help", "--version"].contains(&option.as_str())).collect()
}

fn long_options(text: &str) -> BTreeSet<String> {
    let is_name = |one: &char| one.is_ascii_lowercase() || *one == '-';
    let found = text.match_indices("--").map(|(at, _)| text[at..].chars().take_while(is_name).collect::<String>());
    found.filter(|option| option.len() > 3).collect()
}

#[test]
fn the_pages_name_the_options_that_the_programs_have() {
    for (name, program, page) in [
        ("tap-hubspot-tickets", env!("CARGO_BIN_EXE_tap-hubspot-tickets"), "docs/settings.md"),
        ("target-hubspot", env!("CARGO_BIN_EXE_target-hubspot"), "docs/target-hubspot.md"),
        ("target-pg", env!("CARGO_BIN_EXE_target-pg"), "docs/target-pg.md"),
    ] {
        let (options, text) = (options_of(program), read(page));
        assert!(options.len() >= 6, "{options:?}");
        let missing: Vec<_> = options.difference(&long_options(&text)).cloned().collect();
        assert!(missing.is_empty(), "{page} does not name {missing:?}");
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with(&format!("{name} --"))).collect();
        assert!(lines.len() >= 2, "{page}");
        for line in lines.iter().filter(|line| !line.contains("--output '")) {
            assert!(long_options(line).is_subset(&options), "{page}: {line}");
        }
    }
}
