//! Airbyte's own programs: PyAirbyte and its standard checks.

use hubspot_sandbox::{Options, PropertyDef};
use serde_json::{Value, json};

use super::tap_of;
use crate::support::clients::{program, tool};
use crate::support::pages::blocks;
use crate::support::portal::Portal;
use crate::support::postgres::Database;
use crate::support::tap::Tap;

/// Reads all streams through PyAirbyte; gives what its script prints.
fn through_pyairbyte(tap: &Tap, cache: &[&str]) -> Value {
    let mut command = program("airbyte", "python");
    command.arg(tool("pyairbyte.py")).arg(env!("CARGO_BIN_EXE_source-hubspot-tickets")).arg(tap.path("config.json"));
    command.args(cache).current_dir(tap.path("")).env("HOME", tap.path(""));
    let output = command.output().expect("Python runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(said.lines().last().expect("a line")).expect("JSON")
}

/// Two reads into a cache, the second after changes in the portal; the cache holds the portal then.
fn pyairbyte_reads_twice(cache: impl Fn(&Tap) -> Vec<String>) {
    let portal = Portal::start(Options { hostile: true, ..Options::with_tickets(300) });
    let tap = tap_of(&portal);
    let words = cache(&tap);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let counts = |read: &Value| {
        let truth = portal.truth();
        assert_eq!(read["tables"]["tickets"], truth.list("tickets").len());
        assert_eq!(read["tables"]["owners"], truth.list("owners").len());
        assert!(read["tables"]["contacts"].as_u64() >= Some(120), "{read}");
    };
    let first = through_pyairbyte(&tap, &words);
    counts(&first);
    let tickets: Vec<u64> = portal.truth().live_tickets().iter().map(|id| id.parse().expect("an id")).collect();
    portal.update_many("tickets", &tickets[..9], &[("subject", "changed")]);
    portal.create("tickets", &[("subject", "new")]);
    let second = through_pyairbyte(&tap, &words);
    counts(&second);
    let processed = |read: &Value| read["processed"].as_u64().expect("a count");
    assert!(processed(&second) < processed(&first) / 2, "{first} {second}");
}

#[test]
#[ignore = "make test-clients installs PyAirbyte and runs it"]
fn pyairbyte_reads_into_duckdb_twice() {
    pyairbyte_reads_twice(|tap| vec!["duckdb".to_owned(), tap.path("").display().to_string()]);
}

#[test]
#[ignore = "make test-clients installs PyAirbyte and runs it"]
fn pyairbyte_reads_into_postgres_twice() {
    let database = Database::create();
    pyairbyte_reads_twice(|_| ["postgres", database.url(), "tenant"].map(str::to_owned).to_vec());
    let changed = "select count(*) from tenant.tickets where subject = 'changed'";
    assert_eq!(database.number(changed), 9);
    let columns: Vec<String> = database.columns("tenant", "tickets").into_iter().map(|(name, _)| name).collect();
    assert!(columns.iter().any(|name| name == "_sdc_deleted_at"), "{columns:?}");
}

/// What the column holds is the number, or none; what it does not hold stands in `_unparsed`.
#[test]
#[ignore = "make test-clients installs PyAirbyte and runs it"]
fn pyairbyte_changes_no_number_that_postgres_then_holds() {
    let portal = Portal::start(Options { merged: 0, archived_share: 0.0, ..Options::with_tickets(12) });
    portal.define_property("tickets", PropertyDef::new("weight", "number", "number"));
    let tickets: Vec<u64> = portal.truth().live_tickets().iter().map(|id| id.parse().expect("an id")).collect();
    let given = [
        ("123456789012345678901", None),
        ("18446744073709551616", None),
        ("9007199254740993", None),
        ("1e30", None),
        ("9007199254740992", Some("9007199254740992.000000000")),
        ("-123456789012345", Some("-123456789012345.000000000")),
        ("99999999999999.9", Some("99999999999999.900000000")),
        ("1234567.123456789", Some("1234567.123456789")),
        ("0.1", Some("0.100000000")),
    ];
    for (id, (number, _)) in tickets.iter().zip(given) {
        portal.update("tickets", *id, &[("weight", number)]);
    }
    let (tap, database) = (tap_of(&portal), Database::create());
    through_pyairbyte(&tap, &["postgres", database.url(), "tenant"]);
    for (id, (number, held)) in tickets.iter().zip(given) {
        let sql = format!("select weight::text, _unparsed ->> 'weight' from tenant.tickets where id = '{id}'");
        let row = database.rows(&sql).remove(0);
        assert_eq!(row[0].as_deref(), held, "{number}");
        assert!(held.is_some() || row[1].as_deref() == Some(number), "{number}: {row:?}");
    }
}

#[test]
#[ignore = "make test-clients installs Airbyte's connector kit and runs it"]
fn airbytes_standard_checks_pass() {
    let portal = Portal::start(Options { hostile: true, ..Options::with_tickets(120) });
    let tap = tap_of(&portal);
    tap.write(
        "wrong.json",
        &json!({"access_token": "a-wrong-token", "api_base_url": portal.url(), "retry_attempts": 0}),
    );
    let source = env!("CARGO_BIN_EXE_source-hubspot-tickets");
    let mut command = program("airbyte", "python");
    command.arg(tool("airbyte_checks.py")).arg(source).arg(tap.path("config.json")).arg(tap.path("wrong.json"));
    let output = command.output().expect("Python runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.lines().filter(|line| line.starts_with("PASS ")).count() >= 14, "{said}");

    let mut command = program("airbyte", "pyab");
    command.args(["validate", &format!("--connector={source}")]);
    command.arg(format!("--config={}", tap.path("config.json").display()));
    command
        .current_dir(tap.path(""))
        .env("HOME", tap.path(""))
        .env("AIRBYTE_OFFLINE_MODE", "1")
        .env("DO_NOT_TRACK", "1");
    let output = command.output().expect("pyab runs");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// What the page on Airbyte shows, with a token, a portal and a database that there are.
#[test]
#[ignore = "make test-clients installs PyAirbyte and runs it"]
fn the_python_of_the_page_loads_postgres() {
    let portal = Portal::start(Options::with_tickets(60));
    let (tap, database) = (tap_of(&portal), Database::create());
    let [block] = <[String; 1]>::try_from(blocks("docs/airbyte.md", "python")).expect("one block");
    let [user, password, host, port, name] = database.parts();
    let id = format!("\"organization_id\": \"{}\", \"api_base_url\": \"{}\"", portal.portal_id(), portal.url());
    let mut code = block;
    for (shown, real) in [
        ("pat-na1-00000000-0000-0000-0000-000000000000", portal.access_token().as_str()),
        ("\"organization_id\": \"12345678\"", id.as_str()),
        ("host=\"127.0.0.1\"", &format!("host=\"{host}\"")),
        ("port=5432", &format!("port={port}")),
        ("username=\"postgres\"", &format!("username=\"{user}\"")),
        ("password=\"secret\"", &format!("password=\"{password}\"")),
        ("database=\"postgres\"", &format!("database=\"{name}\"")),
    ] {
        assert!(code.contains(shown), "{shown}");
        code = code.replace(shown, real);
    }
    let source = std::path::Path::new(env!("CARGO_BIN_EXE_source-hubspot-tickets")).parent().expect("a folder");
    let mut command = program("airbyte", "python");
    command.args(["-c", &code]).current_dir(tap.path("")).env("HOME", tap.path(""));
    command.env("PATH", format!("{}:{}", source.display(), std::env::var("PATH").expect("a PATH")));
    command.env("AIRBYTE_OFFLINE_MODE", "1").env("DO_NOT_TRACK", "1");
    let output = command.output().expect("Python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tickets = i64::try_from(portal.truth().list("tickets").len()).expect("a count");
    assert_eq!(database.number("select count(*) from hubspot_tickets_12345678.tickets"), tickets);
}
