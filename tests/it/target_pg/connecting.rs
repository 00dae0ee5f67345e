//! Ways to a database, and what is said when there is none.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::clients::{program, tool};
use crate::support::delivery::{lines, record};
use crate::support::loader::{Loader, schema};
use crate::support::own_server::OwnServer;
use crate::support::postgres::Database;
use crate::support::tap::Finished;
use crate::support::tls_way::TlsWay;

fn one_row() -> String {
    lines(&[schema("s", json!({"id": {"type": "integer"}}), &["id"]), record("s", json!({"id": 1}))])
}

fn load(loader: &Loader, mut command: Command) -> Finished {
    fs::write(loader.path("input.jsonl"), one_row()).expect("a writable folder");
    command.stdin(fs::File::open(loader.path("input.jsonl")).expect("the input"));
    loader.finish(command)
}

#[test]
fn the_parts_of_meltanolabs_config_a_url_and_the_variables_of_libpq_name_a_database() {
    let database = Database::create();
    let [user, password, host, port, name] = database.parts();
    let mut loader = Loader::of(&database);
    loader
        .set("sqlalchemy_url", Value::Null)
        .set("host", json!(host))
        .set("port", json!(port.parse::<u16>().expect("a port")));
    loader.set("user", json!(user)).set("password", json!(password)).set("database", json!(name));
    load(&loader, loader.command(&[])).succeeded();
    assert_eq!(database.number("select count(*) from loaded.s"), 1);

    load(&loader, loader.bare_command(&["--url", database.url()])).succeeded();
    let mut command = loader.bare_command(&[]);
    for (variable, value) in [("PGHOST", host), ("PGPORT", port), ("PGUSER", user), ("PGDATABASE", name)] {
        command.env(variable, value);
    }
    fs::write(loader.path(".pgpass"), format!("*:*:*:*:{password}\n")).expect("a writable folder");
    load(&loader, command).succeeded();
    let mut command = loader.bare_command(&["--config", "ENV"]);
    command.env("TARGET_PG_SQLALCHEMY_URL", database.url()).env("TARGET_PG_DEFAULT_TARGET_SCHEMA", "of_variables");
    load(&loader, command).succeeded();
    assert_eq!(database.number("select count(*) from melty.s"), 1);
    assert_eq!(database.number("select count(*) from of_variables.s"), 1);
}

#[test]
fn the_sample_config_loads_with_the_password_in_the_environment() {
    let database = Database::create();
    let [user, password, host, port, name] = database.parts();
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/sample_configs/target-pg.json");
    let mut config: Value = serde_json::from_str(&fs::read_to_string(sample).expect("the sample")).expect("JSON");
    config["port"] = json!(port.parse::<u16>().expect("a port"));
    for (setting, value) in [("host", host), ("user", user), ("database", name)] {
        assert!(config[setting].is_string(), "the sample has no {setting}");
        config[setting] = json!(value);
    }
    let loader = Loader::of(&database);
    fs::write(loader.path("sample.json"), config.to_string()).expect("a writable folder");
    let mut command = loader.bare_command(&["--config", "sample.json"]);
    command.env("PGPASSWORD", password);
    let finished = load(&loader, command).succeeded();
    assert_eq!(finished.said(" WARN "), 0, "{}", finished.stderr);
    let schema = config["default_target_schema"].as_str().expect("a schema");
    assert_eq!(database.number(&format!("select count(*) from {schema}.s")), 1);
}

#[test]
fn a_socket_is_a_way_to_the_server() {
    let server = OwnServer::start();
    let [user, password, _, port, name] = server.database.parts();
    let folder = server.cluster();
    let mut loader = Loader::of(&server.database);
    loader.set(
        "sqlalchemy_url",
        json!(format!("postgresql+psycopg://{user}:{password}@/{name}?host={folder}&port={port}")),
    );
    load(&loader, loader.command(&[])).succeeded();
    loader
        .set("sqlalchemy_url", Value::Null)
        .set("host", json!(folder))
        .set("port", json!(port.parse::<u16>().expect("a port")));
    loader.set("user", json!(user)).set("password", json!(password)).set("database", json!(name));
    load(&loader, loader.command(&[])).succeeded();
    assert_eq!(server.database.number("select count(*) from loaded.s"), 1);
}

/// A server with TLS.
struct WithTls {
    port: String,
    /// What the server says of the connection, which does not know of TLS in front of it.
    told: &'static str,
    _way: Option<TlsWay>,
}

/// Gives a server a certificate for `localhost`, signed by an authority whose own certificate is `ca.pem`.
///
/// One that was built without TLS, as those from PyPI are, gets it in front of itself.
fn with_tls(loader: &Loader, server: &OwnServer) -> WithTls {
    let made = program("target-postgres", "python").arg(tool("certificates.py")).arg(loader.path("")).status();
    assert!(made.expect("python runs").success());
    let own_port = server.database.parts()[3].to_owned();
    let able = "select count(*) from pg_config where name = 'CONFIGURE' and setting ~ 'with-(openssl|ssl=openssl)'";
    if server.database.number(able) == 0 {
        let way = TlsWay::open(&own_port, &loader.path(""));
        return WithTls { port: way.port(), told: "without TLS", _way: Some(way) };
    }
    for name in ["server.crt", "server.key"] {
        let text = fs::read_to_string(loader.path(name)).expect("a certificate");
        // Written by the server itself, so that the file is its own, and closed to others.
        server.database.rows(&format!(
            "do $do$ begin execute format('copy (select unnest(string_to_array(%L, chr(10)))) to program %L', \
             '{}', 'umask 077; cat > ' || current_setting('data_directory') || '/{name}'); end $do$",
            text.trim()
        ));
    }
    server.database.rows("alter system set ssl = on");
    server.database.rows("select pg_reload_conf()");
    while server.database.rows("show ssl")[0][0].as_deref() != Some("on") {
        std::thread::yield_now();
    }
    WithTls { port: own_port, told: "with TLS", _way: None }
}

#[test]
fn with_verify_full_the_servers_certificate_and_name_must_be_right() {
    let server = OwnServer::start();
    let mut loader = Loader::of(&server.database);
    let tls = with_tls(&loader, &server);
    let [user, password, address, _, name] = server.database.parts();
    let port = &tls.port;
    let url = |host: &str, query: &str| format!("postgresql://{user}:{password}@{host}:{port}/{name}?{query}");
    let ca = loader.path("ca.pem").display().to_string();
    let other = loader.path("other.pem").display().to_string();
    for (host, query, says) in [
        ("localhost", format!("sslmode=verify-full&sslrootcert={ca}"), None),
        (address, format!("sslmode=verify-ca&sslrootcert={ca}"), None),
        (address, "sslmode=require".to_owned(), None),
        ("localhost", "sslmode=prefer".to_owned(), None),
        (address, format!("sslmode=verify-full&sslrootcert={ca}"), Some("not valid for name")),
        ("localhost", format!("sslmode=verify-full&sslrootcert={other}"), Some("certificate")),
        ("localhost", format!("sslmode=verify-ca&sslrootcert={other}"), Some("certificate")),
        ("localhost", "sslmode=verify-full&sslrootcert=/nowhere.pem".to_owned(), Some("/nowhere.pem")),
        ("localhost", "sslmode=verify-fully".to_owned(), Some("verify-full")),
    ] {
        loader.set("sqlalchemy_url", json!(url(host, &query)));
        let finished = loader.finish(loader.command(&["--test"]));
        match says {
            None => assert!(finished.succeeded().text().contains(tls.told), "{query}"),
            Some(says) => {
                assert_eq!(finished.code, Some(2), "{query}: {}", finished.stderr);
                assert!(finished.last_line().contains(says), "{query}: {}", finished.stderr);
                assert!(!finished.stderr.contains(password), "{}", finished.stderr);
            }
        }
    }
    // The same by meltanolabs' settings, with the certificate itself.
    loader
        .set("sqlalchemy_url", Value::Null)
        .set("host", json!("localhost"))
        .set("port", json!(port.parse::<u16>().expect("a port")));
    loader
        .set("user", json!(user))
        .set("password", json!(password))
        .set("database", json!(name))
        .set("ssl_enable", json!(true));
    loader.set("ssl_certificate_authority", json!(fs::read_to_string(&ca).expect("a certificate")));
    load(&loader, loader.command(&[])).succeeded();
    loader.set("host", json!(address));
    assert_eq!(load(&loader, loader.command(&[])).code, Some(2));
}

#[test]
fn a_server_without_tls_is_refused_where_tls_is_asked_for() {
    let database = Database::create();
    let mut loader = Loader::of(&database);
    loader.set("sqlalchemy_url", json!(format!("{}?sslmode=require", database.url())));
    let finished = loader.finish(loader.command(&["--test"]));
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    assert!(finished.last_line().contains("TLS"), "{}", finished.stderr);
}

#[test]
fn a_database_that_cannot_be_used_is_told_without_its_password() {
    let database = Database::create();
    let [user, password, host, port, name] = database.parts();
    let mut loader = Loader::of(&database);
    for (url, code, says) in [
        (format!("postgresql://{user}:hush-hush@{host}:{port}/{name}"), 3, "password"),
        (format!("postgresql://{user}:{password}@{host}:{port}/nowhere"), 2, "nowhere"),
        (format!("postgresql://{user}:{password}@{host}:1/{name}"), 4, "cannot be reached"),
        (format!("mysql://{user}:{password}@{host}/{name}"), 2, "postgresql://"),
    ] {
        loader.set("sqlalchemy_url", json!(url));
        let finished = load(&loader, loader.command(&[]));
        assert_eq!(finished.code, Some(code), "{says}: {}", finished.stderr);
        assert!(finished.last_line().contains(says), "{}", finished.stderr);
        assert!(!finished.stderr.contains(password) && !finished.stderr.contains("hush"), "{}", finished.stderr);
    }
}

#[test]
fn test_creates_the_schema_and_says_so() {
    let database = Database::create();
    let loader = Loader::of(&database);
    let report = loader.finish(loader.command(&["--test"])).succeeded();
    assert!(report.text().contains("schema loaded: created"), "{}", report.text());
    let report = loader.finish(loader.command(&["--test"])).succeeded();
    assert!(report.text().contains("schema loaded: ok") && !report.text().contains("created"), "{}", report.text());
}
