//! The command line, the settings and where they come from.

use std::fs;

use hubspot_sandbox::{Options, Sandbox};
use serde_json::{Value, json};

use crate::support::catalogs::only;
use crate::support::messages::{columns, records, states};
use crate::support::portal::Portal;
use crate::support::tap::Tap;

/// Every setting there is.
const SETTINGS: [&str; 39] = [
    "access_token",
    "api_base_url",
    "api_version",
    "archive_hours",
    "associations",
    "cache_path",
    "checkpoint_every_pages",
    "client_id",
    "client_secret",
    "created_after",
    "daily_reserve",
    "drop",
    "end_date",
    "hash",
    "hash_salt",
    "include_archived",
    "include_associations",
    "lock_path",
    "lookback_minutes",
    "objects",
    "organization_id",
    "page_size",
    "properties",
    "properties_layout",
    "rate_limit",
    "rate_limit_share",
    "refresh_token",
    "report_path",
    "request_timeout_secs",
    "retry_attempts",
    "retry_delay_secs",
    "scan_id",
    "sensitive_properties",
    "start_date",
    "streams",
    "sweep_hours",
    "sweep_minutes",
    "token_cache_path",
    "user_agent",
];
const SECRETS: [&str; 4] = ["access_token", "client_secret", "hash_salt", "refresh_token"];

fn portal() -> Portal {
    Portal::start(Options { merged: 0, ..Options::with_tickets(12) })
}

/// The scan ids that a run's records carry.
fn scan_ids(stdout: &crate::support::tap::Finished) -> Vec<Value> {
    let mut ids: Vec<Value> =
        records(&stdout.messages(), "owners").into_iter().map(|owner| owner["_scan_id"].clone()).collect();
    ids.dedup();
    ids
}

/// The `limit` of each page of tickets that was asked for.
fn limits(portal: &Sandbox) -> Vec<String> {
    let lists = portal.requests().into_iter().filter(|request| request.endpoint == "list tickets");
    let limit = |query: String| query.split('&').find_map(|pair| pair.strip_prefix("limit=").map(str::to_owned));
    let mut limits: Vec<String> = lists.filter_map(|request| limit(request.query)).collect();
    limits.dedup();
    limits
}

#[test]
fn discovery_answers_every_combination_that_meltano_sends() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    let catalog = tap.discover();
    let state = states(&tap.sync(None).succeeded().messages()).pop().expect("a state");
    tap.write("state.json", &state);
    for arguments in [
        &["--config", "config.json", "--discover"][..],
        &["--config", "config.json", "--state", "state.json", "--discover"],
        &["--discover", "--state", "nowhere.json", "--config", "config.json"],
        &["--config=config.json", "--catalog=catalog.json", "--discover"],
        &["--properties", "catalog.json", "--discover", "--config", "config.json"],
        &["-d", "-c", "config.json"],
    ] {
        let finished = tap.finish(tap.bare_command(arguments)).succeeded();
        let found: Value = serde_json::from_slice(&finished.stdout).expect("a catalog and nothing else");
        assert_eq!(found, catalog, "{arguments:?}");
    }
}

#[test]
fn a_sync_takes_its_flags_in_any_order() {
    let portal = portal();
    let mut tap = Tap::unhurried(&portal);
    tap.set("scan_id", "one".into());
    let mut catalog = tap.discover();
    let state = states(&tap.sync(None).succeeded().messages()).pop().expect("a state");
    tap.write("state.json", &state);
    catalog = only(&catalog, &["ticket_pipelines"]);
    tap.write("catalog.json", &catalog);
    let flags = [["--config", "config.json"], ["--catalog", "catalog.json"], ["--state", "state.json"]];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let arguments: Vec<&str> = order.iter().flat_map(|at| flags[*at]).collect();
        let messages = tap.finish(tap.bare_command(&arguments)).succeeded().messages();
        assert_eq!(records(&messages, "ticket_pipelines").len(), portal.truth().list("pipelines").len());
        let last = states(&messages).pop().expect("a state");
        assert_eq!(last["bookmarks"]["tickets"], state["bookmarks"]["tickets"], "{arguments:?}");
    }
}

#[test]
fn properties_is_another_name_of_catalog() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    let catalog = only(&tap.discover(), &["owners"]);
    tap.write("catalog.json", &catalog);
    let messages = tap.run(&["--properties", "catalog.json"]).succeeded().messages();
    assert!(messages.iter().all(|message| message.stream.as_deref().is_none_or(|stream| stream == "owners")));
    assert_eq!(records(&messages, "owners").len(), portal.truth().list("owners").len());
}

#[test]
fn about_version_and_help_ignore_all_other_flags() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    let about = tap.finish(tap.bare_command(&["--about", "--format=json"])).succeeded().stdout;
    let version = tap.finish(tap.bare_command(&["--version"])).succeeded().stdout;
    let others = ["--config", "nowhere.json", "--catalog", "nowhere.json", "--state", "nowhere.json", "--discover"];
    for (flags, expected) in [(&["--about", "--format=json"][..], &about), (&["--version"], &version)] {
        for arguments in [[&others[..], flags].concat(), [flags, &others[..]].concat()] {
            assert_eq!(&tap.finish(tap.bare_command(&arguments)).succeeded().stdout, expected, "{arguments:?}");
        }
    }
    let help = tap.finish(tap.bare_command(&[&others[..], &["--help"]].concat())).succeeded();
    for flag in ["--config", "--state", "--catalog", "--properties", "--discover", "--test", "--about", "--version"] {
        assert!(help.text().contains(flag), "{flag}");
    }
    assert!(portal.requests().is_empty());
}

#[test]
fn version_is_the_packages() {
    let tap = Tap::unhurried(&portal());
    let version = tap.finish(tap.bare_command(&["--version"])).succeeded();
    assert_eq!(version.text(), format!("tap-hubspot-tickets v{}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn about_as_json_describes_every_setting() {
    let tap = Tap::unhurried(&portal());
    let finished = tap.finish(tap.bare_command(&["--about", "--format", "json"])).succeeded();
    let about: Value = serde_json::from_slice(&finished.stdout).expect("JSON");
    let keys: Vec<&String> = about.as_object().expect("an object").keys().collect();
    let expected =
        ["name", "description", "version", "sdk_version", "supported_python_versions", "capabilities", "settings"];
    assert_eq!(keys, expected);
    for capability in ["catalog", "discover", "state", "about", "activate-version"] {
        assert!(about["capabilities"].as_array().expect("capabilities").contains(&capability.into()), "{capability}");
    }
    let settings = about["settings"]["properties"].as_object().expect("settings");
    let mut names: Vec<&str> = settings.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, SETTINGS);
    for (name, definition) in settings {
        assert!(definition["description"].as_str().is_some_and(|text| text.len() > 10), "{name}");
        let secret = SECRETS.contains(&name.as_str());
        assert_eq!((definition["secret"] == true, definition["writeOnly"] == true), (secret, secret), "{name}");
    }
    assert_eq!(settings["page_size"]["default"], 100);
    assert_eq!(settings["page_size"]["maximum"], 100);
    assert!(settings["rate_limit"].get("maximum").is_none_or(|most| most.as_f64() >= Some(4e9)));
}

#[test]
fn about_names_every_setting_in_words_and_in_markdown() {
    let tap = Tap::unhurried(&portal());
    let text = tap.finish(tap.bare_command(&["--about"])).succeeded();
    let markdown = tap.finish(tap.bare_command(&["--about", "--format=markdown"])).succeeded();
    for setting in SETTINGS {
        assert!(text.text().contains(&format!("\n  {setting} (")), "{setting}");
        let row = markdown.text().lines().find(|line| line.starts_with(&format!("| `{setting}` |")));
        let row = row.unwrap_or_else(|| panic!("no row of {setting}"));
        assert_eq!(row.matches('|').count(), 5, "{row}");
        assert_eq!(row.contains("(secret)"), SECRETS.contains(&setting), "{row}");
    }
}

#[test]
fn of_several_configs_the_later_wins_key_by_key() {
    let portal = portal();
    let mut tap = Tap::unhurried(&portal);
    tap.set("scan_id", "first".into()).set("page_size", 5.into());
    tap.write("second.json", &json!({"scan_id": "second"}));
    tap.write("null.json", &json!({"api_base_url": portal.url(), "page_size": 7}));
    let finished = tap.run(&["--config", "second.json", "--config", "null.json"]).succeeded();
    assert_eq!(scan_ids(&finished), ["second"]);
    assert_eq!(limits(&portal), ["7"]);
    let finished = tap.finish(tap.bare_command(&["--config", "second.json", "--config", "config.json"])).succeeded();
    assert_eq!(scan_ids(&finished), ["first"]);
}

#[test]
fn the_environment_is_read_with_env_only() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    let mut command = tap.command(&[]);
    command.env("TAP_HUBSPOT_TICKETS_ACCESS_TOKEN", "wrong").env("HUBSPOT_SCAN_ID", "theirs");
    fs::write(tap.path(".env"), "TAP_HUBSPOT_TICKETS_SCAN_ID=theirs\n").expect("a writable folder");
    let finished = tap.finish(command).succeeded();
    assert_ne!(scan_ids(&finished), ["theirs"]);

    tap.write("config.json", &json!({"api_base_url": portal.url()}));
    let mut command = tap.command(&[]);
    command.env("TAP_HUBSPOT_TICKETS_ACCESS_TOKEN", portal.access_token());
    assert_eq!(tap.finish(command).code, Some(2), "a tenant's variables complete no other tenant's file");
}

#[test]
fn the_environment_alone_is_a_config() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    let mut command = tap.bare_command(&["--config", "ENV"]);
    command
        .env("TAP_HUBSPOT_TICKETS_ACCESS_TOKEN", portal.access_token())
        .env("TAP_HUBSPOT_TICKETS_API_BASE_URL", portal.url())
        .env("TAP_HUBSPOT_TICKETS_RATE_LIMIT", "100000")
        .env("TAP_HUBSPOT_TICKETS_PAGE_SIZE", "6")
        .env("TAP_HUBSPOT_TICKETS_INCLUDE_ARCHIVED", "false")
        .env("TAP_HUBSPOT_TICKETS_ASSOCIATIONS", r#"["deals"]"#)
        .env("TAP_HUBSPOT_TICKETS_PROPERTIES", "subject, hs_pipeline*")
        .env("TAP_HUBSPOT_TICKETS_ORGANIZATION_ID", portal.portal_id().to_string())
        .env("TAP_HUBSPOT_TICKETS_SCAN_ID", "");
    let messages = tap.finish(command).succeeded().messages();
    assert_eq!(limits(&portal), ["6"]);
    assert!(
        portal
            .requests()
            .iter()
            .all(|request| !request.query.contains("archived=true") || request.path.contains("owners"))
    );
    let columns = columns(&messages, "tickets");
    for expected in ["subject", "hs_pipeline", "hs_pipeline_stage", "associated_deals"] {
        assert!(columns.iter().any(|column| column == expected), "{expected} in {columns:?}");
    }
    for left_out in ["content", "associated_contacts", "primary_contact"] {
        assert!(!columns.iter().any(|column| column == left_out), "{left_out} in {columns:?}");
    }
}

#[test]
fn the_guides_variables_are_settings_too() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    let base = || {
        let mut command = tap.bare_command(&["--config", "ENV"]);
        command
            .env("HUBSPOT_API_BASE_URL", portal.url())
            .env("HUBSPOT_API_RATE_LIMIT", "100000")
            .env("HUBSPOT_CLIENT_ID", "sandbox-client")
            .env("HUBSPOT_CLIENT_SECRET", "sandbox-secret")
            .env("HUBSPOT_REFRESH_TOKEN", "sandbox-refresh");
        command
    };
    tap.finish(base()).succeeded();
    assert_eq!(portal.request_counts()["oauth_token"], 1);
    for (variable, wrong, setting) in [
        ("HUBSPOT_API_TIMEOUT", "0", "request_timeout_secs"),
        ("HUBSPOT_API_RATE_LIMIT", "0", "rate_limit"),
        ("HUBSPOT_RETRY_ATTEMPTS", "-1", "retry_attempts"),
        ("HUBSPOT_RETRY_DELAY", "-0.5", "retry_delay_secs"),
        ("HUBSPOT_API_VERSION", "v9", "api_version"),
    ] {
        let mut command = base();
        command.env(variable, wrong);
        let finished = tap.finish(command);
        assert_eq!(finished.code, Some(2), "{variable}");
        assert!(finished.last_line().contains(setting) && finished.last_line().contains(wrong), "{}", finished.stderr);
    }
    let mut command = base();
    command.env("HUBSPOT_API_TIMEOUT", "soon");
    let finished = tap.finish(command);
    assert_eq!(finished.code, Some(2));
    assert!(finished.last_line().contains("HUBSPOT_API_TIMEOUT"), "{}", finished.stderr);
}

#[test]
fn the_environment_wins_over_dotenv_and_files_and_own_names_over_the_guides() {
    let portal = portal();
    let mut tap = Tap::unhurried(&portal);
    tap.set("scan_id", "file".into());
    fs::write(
        tap.path(".env"),
        "# a comment\nexport HUBSPOT_SCAN_ID='dotenv guide'\nTAP_HUBSPOT_TICKETS_PAGE_SIZE=9\n",
    )
    .expect("a writable folder");
    let run = |variables: &[(&str, &str)]| {
        // Wherever ENV stands: the environment wins.
        let mut command = tap.bare_command(&["--config", "ENV", "--config", "config.json"]);
        command.envs(variables.iter().copied());
        scan_ids(&tap.finish(command).succeeded()).remove(0)
    };
    assert_eq!(run(&[]), "dotenv guide");
    assert_eq!(limits(&portal), ["9"]);
    assert_eq!(run(&[("HUBSPOT_SCAN_ID", "guide")]), "guide");
    assert_eq!(run(&[("HUBSPOT_SCAN_ID", "guide"), ("TAP_HUBSPOT_TICKETS_SCAN_ID", "own")]), "own");
    fs::write(tap.path(".env"), "TAP_HUBSPOT_TICKETS_SCAN_ID='dotenv own'\n").expect("a writable folder");
    assert_eq!(run(&[("HUBSPOT_SCAN_ID", "guide")]), "dotenv own");
}

#[test]
fn test_reports_the_portal_and_its_scopes() {
    let portal = portal();
    portal.add_token("lesser", &["oauth", "tickets", "crm.objects.contacts.read"]);
    let mut tap = Tap::unhurried(&portal);
    let report = tap.run(&["--test"]).succeeded();
    assert!(report.text().contains("245001234"), "{}", report.text());
    assert!(!report.text().contains("missing"), "{}", report.text());
    tap.set("access_token", "lesser".into());
    let report = tap.run(&["--test"]);
    assert_eq!(report.code, Some(3), "{}", report.stderr);
    for (what, verdict) in [
        ("owners", "missing: add the scope crm.objects.owners.read"),
        ("associations with companies", "missing: add the scope crm.objects.companies.read"),
        ("associations with contacts", "ok (scope tickets, crm.objects.contacts.read)"),
        ("tickets", "ok (scope tickets)"),
    ] {
        let line = format!("{what}: {verdict}");
        assert!(report.text().lines().any(|one| one == line), "{line} in {}", report.text());
    }
}

#[test]
fn test_schema_writes_schemas_alone() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    let messages = tap.run(&["--test=schema"]).succeeded().messages();
    let streams: Vec<_> = messages.iter().map(|message| (message.kind.as_str(), message.stream.as_deref())).collect();
    let all =
        ["owners", "ticket_pipelines", "ticket_pipeline_stages", "ticket_properties", "tickets", "ticket_associations"];
    assert_eq!(streams, all.map(|stream| ("SCHEMA", Some(stream))));
}

#[test]
fn test_records_writes_one_record_a_stream() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    let messages = tap.run(&["--test=records"]).succeeded().messages();
    let schemas = messages.iter().filter(|message| message.kind == "SCHEMA").count();
    let records: Vec<_> =
        messages[schemas..].iter().map(|message| (message.kind.as_str(), message.stream.as_deref())).collect();
    let all =
        ["owners", "ticket_pipelines", "ticket_pipeline_stages", "ticket_properties", "tickets", "ticket_associations"];
    assert_eq!(schemas, all.len());
    assert_eq!(records, all.map(|stream| ("RECORD", Some(stream))));
}

#[test]
fn test_records_ends_well_on_an_empty_portal() {
    let portal = Portal::start(Options { merged: 0, ..Options::with_tickets(0) });
    let messages = Tap::unhurried(&portal).run(&["--test=records"]).succeeded().messages();
    assert!(records(&messages, "tickets").is_empty());
    assert_eq!(records(&messages, "owners").len(), 1);
}

#[test]
fn nothing_selected_is_no_output_and_no_failure() {
    let portal = portal();
    let tap = Tap::unhurried(&portal);
    let catalog = tap.discover();
    for catalog in [only(&catalog, &[]), json!({"streams": []})] {
        let finished = tap.sync_catalog(&catalog, None).succeeded();
        assert_eq!(finished.text(), "");
    }
}

#[test]
fn wrong_arguments_are_told_in_the_last_line() {
    let tap = Tap::unhurried(&portal());
    for (arguments, said) in [
        (&["--nonsense"][..], "--nonsense"),
        (&["--about", "--format=xml"], "xml"),
        (&["--test=everything"], "everything"),
        (&["--config"], "--config"),
        (&[], "--config"),
        (&["stray"], "stray"),
    ] {
        let finished = tap.finish(tap.bare_command(arguments));
        assert_eq!((finished.code, finished.text()), (Some(2), ""), "{arguments:?}");
        assert!(finished.last_line().contains(said), "{arguments:?}: {}", finished.stderr);
    }
}
