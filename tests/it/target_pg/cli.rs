//! The command line, what is logged, and the settings.

use serde_json::{Value, json};

use crate::support::delivery::{record, state};
use crate::support::loader::{Loader, schema};
use crate::support::pages::read;
use crate::support::postgres::Database;

fn loader() -> (Database, Loader) {
    let database = Database::create();
    let loader = Loader::of(&database);
    (database, loader)
}

fn messages() -> [Value; 4] {
    [
        schema("s", json!({"id": {"type": "integer"}}), &["id"]),
        record("s", json!({"id": 1})),
        record("s", json!({"id": 2})),
        state(json!({"a": 1})),
    ]
}

#[test]
fn version_about_and_help_need_no_config() {
    let (_database, loader) = loader();
    let version = loader.finish(loader.bare_command(&["--version"])).succeeded();
    assert_eq!(version.text(), concat!("target-pg v", env!("CARGO_PKG_VERSION"), "\n"));
    let about = loader.finish(loader.bare_command(&["--about", "--format=json"])).succeeded();
    let about: Value = serde_json::from_slice(&about.stdout).expect("JSON");
    assert_eq!(about["name"], "target-pg");
    let settings = about["settings"]["properties"].as_object().expect("settings");
    for name in ["host", "sqlalchemy_url", "default_target_schema", "hard_delete", "batch_size_rows", "ssl_mode"] {
        assert!(settings.contains_key(name), "{name}");
    }
    for secret in ["password", "sqlalchemy_url", "ssl_client_private_key"] {
        assert_eq!(settings[secret]["secret"], true, "{secret}");
    }
    let meltano = loader.finish(loader.bare_command(&["--about", "--format=meltano"])).succeeded();
    assert!(meltano.text().contains("plugin_type: loaders") && !meltano.text().contains("access_token"));
    assert!(loader.finish(loader.bare_command(&["--help"])).succeeded().text().contains("--config"));
    let wrong = loader.finish(loader.bare_command(&["--cofnig"]));
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.last_line().contains("--cofnig"), "{}", wrong.stderr);
}

#[test]
fn every_setting_of_meltanolabs_target_postgres_is_known() {
    let (_database, mut loader) = loader();
    for (setting, value) in [
        ("validate_records", json!(true)),
        ("use_copy", json!(true)),
        ("dialect+driver", json!("postgresql+psycopg")),
        ("load_method", json!("append-only")),
        ("ssl_storage_directory", json!(".secrets")),
        ("ssh_tunnel", json!({"enable": false})),
        ("stream_maps", json!({})),
        ("flattening_enabled", json!(false)),
        ("interpret_content_encoding", json!(false)),
        ("host", Value::Null),
    ] {
        loader.set(setting, value);
    }
    let finished = loader.load(&messages()).succeeded();
    assert_eq!(finished.said(" WARN "), 0, "{}", finished.stderr);
}

#[test]
fn an_unknown_setting_is_a_warning_and_a_bad_one_an_error() {
    let (_database, mut loader) = loader();
    loader.set("batch_size_row", json!(5));
    let finished = loader.load(&messages()).succeeded();
    assert_eq!(finished.said("did you mean \"batch_size_rows\"?"), 1, "{}", finished.stderr);
    for (setting, value) in [
        ("batch_size_rows", json!(0)),
        ("hard_delete", json!("perhaps")),
        ("ssl_mode", json!("verify-fully")),
        ("ssh_tunnel", json!({"enable": true, "host": "bastion"})),
        ("stream_maps", json!({"s": {"x": "y"}})),
        ("flattening_enabled", json!(true)),
    ] {
        let (_database, mut loader) = self::loader();
        loader.set(setting, value);
        let finished = loader.load(&messages());
        assert_eq!(finished.code, Some(2), "{setting}: {}", finished.stderr);
        assert!(finished.last_line().contains(setting), "{}", finished.stderr);
    }
    loader.set("add_record_metadata", json!(false));
    let finished = loader.load(&messages());
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    assert!(finished.last_line().contains("activate_version"), "{}", finished.stderr);
}

#[test]
fn metrics_are_written_in_plain_and_in_structured_form() {
    let (_database, loader) = loader();
    let finished = loader.load(&messages()).succeeded();
    let metric = r#"METRIC: {"type":"counter","metric":"record_count","value":2,"tags":{"stream":"s"}}"#;
    assert_eq!(finished.said(metric), 1, "{}", finished.stderr);
    let mut command = loader.command(&["--log-format", "json"]);
    command.stdin(std::fs::File::open(loader.path("input.jsonl")).expect("the input"));
    let finished = loader.finish(command).succeeded();
    let logged = finished.stderr.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let metrics: Vec<Value> = logged.filter(|line| line["message"] == "METRIC").collect();
    let counter = metrics.iter().find(|line| line["metric_info"]["metric"] == "record_count").expect("a count");
    assert_eq!((&counter["metric_info"]["value"], &counter["stream_name"]), (&json!(2), &json!("s")));
}

#[test]
fn the_page_of_target_pg_has_its_settings() {
    let (_database, loader) = loader();
    let about = loader.finish(loader.bare_command(&["--about", "--format=markdown"])).succeeded();
    let table = &about.text()[about.text().find("| Setting |").expect("a table")..];
    assert!(read("docs/target-pg.md").contains(table.trim()), "the page's settings are not those of --about:\n{table}");
}
