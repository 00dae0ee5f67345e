//! The Airbyte face, held against the Singer face and against what Airbyte's protocol asks for.

use std::collections::{BTreeMap, BTreeSet};

use hubspot_sandbox::{CursorStyle, Fault, FaultRule, Options, PropertyDef};
use serde_json::{Value, json};

use crate::support::catalogs::{entry, metadata};
use crate::support::cell::Decimal;
use crate::support::clients::{program, tool};
use crate::support::messages::{Message, Row};
use crate::support::portal::Portal;
use crate::support::postgres::Database;
use crate::support::source::{Said, configured, discover, read, run};
use crate::support::tap::Tap;

/// Say when a row was read, not what it holds.
const OF_THE_READING: [&str; 1] = ["_extracted_at"];
const ALL: [&str; 10] = [
    "owners",
    "ticket_pipelines",
    "ticket_pipeline_stages",
    "ticket_properties",
    "tickets",
    "ticket_associations",
    "contacts",
    "companies",
    "deals",
    "sync_audit",
];
/// What no message may show.
const SECRETS: [&str; 4] = ["access_token", "client_secret", "hash_salt", "refresh_token"];
const FOLLOWING: [&str; 5] = ["tickets", "ticket_associations", "contacts", "companies", "deals"];

fn tap_of(portal: &Portal) -> Tap {
    let mut tap = Tap::unhurried(portal);
    // A settings page gives text.
    tap.set("scan_id", "one".into()).set("organization_id", portal.portal_id().to_string().into());
    tap
}

fn incremental(_: &str) -> &'static str {
    "incremental"
}

/// The records by their keys, each cell as it was written.
fn by_key<'r>(stream: &str, records: impl Iterator<Item = &'r Row>) -> BTreeMap<String, Vec<&'r Row>> {
    let key: &[&str] = match stream {
        "ticket_associations" => &["ticket_id", "to_object_type", "to_object_id", "category", "type_id"],
        "ticket_pipeline_stages" => &["pipeline_id", "id"],
        "ticket_properties" => &["name"],
        "sync_audit" => &["stream", "part"],
        _ => &["id"],
    };
    let mut rows: BTreeMap<String, Vec<&Row>> = BTreeMap::new();
    for record in records {
        rows.entry(key.iter().map(|name| record[*name].get()).collect::<Vec<_>>().join(" ")).or_default().push(record);
    }
    rows
}

/// Whether a number of the Singer face is one that doubles and numeric(38,9) hold as it is.
fn is_held(token: &str) -> bool {
    let number = Decimal::parse(token).expect("a number");
    let digits = number.to_string();
    let (digits, exponent) = digits.trim_start_matches('-').split_once('e').expect("an exponent");
    let exponent: i64 = exponent.parse().expect("a number");
    if digits == "0" || exponent < -9 {
        return digits == "0";
    }
    if exponent < 0 && digits.len() > 15 {
        return false;
    }
    let whole = i64::try_from(digits.len()).expect("a length") + exponent;
    // 2^53 has sixteen digits.
    whole < 16 || whole == 16 && format!("{digits:0<16}").as_str() <= "9007199254740992"
}

/// What differs between a record of both faces, but for what says when it was read. Numbers that these do not
/// hold are told apart, with the text that must stand in `_unparsed`.
fn differences(singer: &Row, airbyte: &Row) -> Vec<String> {
    let names: BTreeSet<&String> = singer.keys().chain(airbyte.keys()).collect();
    let mut found = Vec::new();
    for name in names.into_iter().filter(|name| !OF_THE_READING.contains(&name.as_str())) {
        let (one, other) = (singer.get(name).map(|value| value.get()), airbyte.get(name).map(|value| value.get()));
        let is_number = one.is_some_and(|token| Decimal::parse(token).is_some());
        if one == other && (!is_number || is_held(one.expect("a number"))) {
            continue;
        }
        let unparsed: Value =
            airbyte.get("_unparsed").map_or(Value::Null, |value| serde_json::from_str(value.get()).expect("JSON"));
        let kept =
            |raw: &Value| Decimal::parse(raw.as_str().unwrap_or("-").trim()) == Decimal::parse(one.unwrap_or("+"));
        let explained = match name.as_str() {
            "_unparsed" => unparsed.as_object().is_some_and(|kept| !kept.is_empty()),
            _ => is_number && unparsed.as_object().is_some_and(|texts| texts.values().any(kept)),
        };
        if !explained {
            found.push(format!("{name}: {one:?} by Singer, {other:?} by Airbyte"));
        }
    }
    found
}

#[test]
fn every_stream_is_the_same_through_both_faces() {
    for (version, hostile, cursor) in [
        ("2026-03", true, CursorStyle::NextId),
        ("v3", false, CursorStyle::Opaque),
        ("2025-09", false, CursorStyle::NextId),
    ] {
        let portal = Portal::start(Options { hostile, cursor, ..Options::with_tickets(260) });
        let ticket = portal.truth().live_tickets()[0].clone();
        portal.define_property("tickets", PropertyDef::new("huge", "number", "number"));
        portal.update("tickets", ticket.parse().expect("an id"), &[("huge", "1e40")]);
        let mut tap = tap_of(&portal);
        tap.set("api_version", version.into()).set("associations", json!(["contacts", "companies", "deals"]));
        let streams = discover(&tap);
        let names: Vec<&str> = streams.iter().map(|stream| stream["name"].as_str().expect("a name")).collect();
        assert_eq!(names, ALL);
        let airbyte = read(&tap, &configured(&streams, incremental), &[]).succeeded();

        let mut catalog = tap.discover();
        for stream in ALL {
            metadata(entry(&mut catalog, stream), &[])["selected"] = true.into();
        }
        let singer = tap.sync_catalog(&catalog, None).succeeded().messages();
        for stream in ALL {
            let of_singer = |message: &&Message| message.kind == "RECORD" && message.stream.as_deref() == Some(stream);
            let of_singer = singer.iter().filter(of_singer).map(|message| message.record.as_ref().expect("a record"));
            let of_airbyte = airbyte.records(stream);
            if stream == "sync_audit" {
                // It tells instants and calls of its own run.
                assert_eq!(of_singer.count(), of_airbyte.len());
                continue;
            }
            let (one, other) = (by_key(stream, of_singer), by_key(stream, of_airbyte.iter()));
            assert!(!one.is_empty(), "{stream}");
            assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>(), "{stream}");
            for (key, rows) in &one {
                assert_eq!(rows.len(), other[key].len(), "{stream} {key}");
                for (one, other) in rows.iter().zip(&other[key]) {
                    let found = differences(one, other);
                    assert!(found.is_empty(), "{version} {stream} {key}: {found:#?}");
                }
            }
        }
        let huge = airbyte.records("tickets").into_iter().find(|row| row["id"].get() == format!("\"{ticket}\""));
        let huge = huge.expect("the ticket");
        assert_eq!(huge["huge"].get(), "null");
        let unparsed: Value = serde_json::from_str(huge["_unparsed"].get()).expect("JSON");
        assert_eq!(unparsed["huge"], "1e40");
    }
}

/// Each stream's records are counted by the states that follow them, and its statuses come in order.
fn is_well_formed(said: &Said, streams: &[&str]) {
    let mut since: BTreeMap<String, u64> = BTreeMap::new();
    for message in &said.messages {
        match message["type"].as_str().expect("a type") {
            "RECORD" => {
                let record = &message["record"];
                assert!(record["emitted_at"].is_i64(), "{message}");
                *since.entry(record["stream"].as_str().expect("a stream").to_owned()).or_default() += 1;
            }
            "STATE" => {
                let stream = message["state"]["stream"]["stream_descriptor"]["name"].as_str().expect("a stream");
                let counted = since.remove(stream).unwrap_or(0);
                assert_eq!(message["state"]["sourceStats"]["recordCount"], counted, "{stream}");
                assert_eq!(message["state"]["type"], "STREAM");
            }
            "TRACE" => assert!(message["trace"]["emitted_at"].is_number(), "{message}"),
            "LOG" => assert_ne!(message["log"]["level"], "WARNING", "{message}"),
            other => panic!("{other}"),
        }
    }
    assert!(since.is_empty(), "no state covers the last records of {since:?}");
    for stream in streams {
        let statuses = said.statuses(stream);
        let expected: &[&str] = match said.records(stream).is_empty() {
            true => &["STARTED", "COMPLETE"],
            false => &["STARTED", "RUNNING", "COMPLETE"],
        };
        assert_eq!(statuses, expected, "{stream}");
    }
}

#[test]
fn a_second_read_is_incremental_and_a_full_refresh_is_whole() {
    let portal = Portal::start(Options::with_tickets(400));
    let tap = tap_of(&portal);
    let streams = discover(&tap);
    let catalog = configured(&streams, incremental);
    let first = read(&tap, &catalog, &[]).succeeded();
    is_well_formed(&first, &ALL);
    let tickets = portal.truth().live_tickets();
    assert!(first.records("tickets").len() >= tickets.len());

    let number = |id: &String| id.parse().expect("an id");
    let changing: Vec<u64> = tickets[..7].iter().map(number).collect();
    portal.update_many("tickets", &changing, &[("subject", "changed")]);
    portal.archive("tickets", number(&tickets[20]));
    let second = read(&tap, &catalog, &first.states()).succeeded();
    is_well_formed(&second, &ALL);
    let changed: Vec<Row> = second.records("tickets");
    assert_eq!(changed.iter().filter(|row| row["subject"].get() == "\"changed\"").count(), 7);
    assert!(changed.len() < 30, "{}", changed.len());
    let gone = changed.iter().find(|row| row["id"].get() == format!("\"{}\"", tickets[20])).expect("a tombstone");
    assert_ne!(gone["_sdc_deleted_at"].get(), "null");

    for whole in ["tickets", "ticket_associations"] {
        let catalog = configured(&streams, |stream| if stream == whole { "full_refresh" } else { "incremental" });
        let third = read(&tap, &catalog, &second.states()).succeeded();
        is_well_formed(&third, &ALL);
        let live = third.records(whole).iter().filter(|row| !row.contains_key("_sdc_deleted_at")).count();
        let of_first = first.records(whole).iter().filter(|row| !row.contains_key("_sdc_deleted_at")).count();
        assert!(live + 10 >= of_first, "{whole}: {live} of {of_first}");
        assert!(third.records("contacts").is_empty());
    }
}

#[test]
fn a_stopped_read_goes_on_from_its_states() {
    let portal = Portal::start(Options::with_tickets(900));
    let mut tap = tap_of(&portal);
    tap.set("checkpoint_every_pages", 1.into()).set("retry_attempts", 0.into());
    let streams = discover(&tap);
    let only: Vec<Value> =
        streams.into_iter().filter(|stream| FOLLOWING[..2].contains(&stream["name"].as_str().unwrap_or(""))).collect();
    let catalog = configured(&only, incremental);
    let fault = Fault::Status { code: 500, headers: Vec::new(), body: None };
    portal.faults([FaultRule::nth("archived=false&after", 5, usize::MAX, fault)]);
    let first = read(&tap, &catalog, &[]);
    assert_eq!(first.error()["failure_type"], "transient_error");
    assert_eq!(first.statuses("tickets").last().map(String::as_str), Some("INCOMPLETE"));
    portal.clear_faults();
    let second = read(&tap, &catalog, &first.states()).succeeded();
    let ids =
        |said: &Said| said.records("tickets").iter().map(|row| row["id"].get().to_owned()).collect::<BTreeSet<_>>();
    let both: BTreeSet<String> = ids(&first).union(&ids(&second)).cloned().collect();
    for ticket in portal.truth().live_tickets() {
        assert!(both.contains(&format!("\"{ticket}\"")), "{ticket}");
    }
    assert!(ids(&first).len() >= 100 && ids(&second).len() < 900, "{} {}", ids(&first).len(), ids(&second).len());
}

#[test]
fn namespaces_go_out_as_they_came_in() {
    let portal = Portal::start(Options::with_tickets(3));
    let tap = tap_of(&portal);
    let mut streams = discover(&tap);
    assert!(streams.iter().all(|stream| stream.get("namespace").is_none()));
    for stream in &mut streams {
        stream["namespace"] = "tenant_7".into();
    }
    let said = read(&tap, &configured(&streams, incremental), &[]).succeeded();
    is_well_formed(&said, &ALL);
    for message in &said.messages {
        let namespace = match message["type"].as_str().expect("a type") {
            "RECORD" => &message["record"]["namespace"],
            "STATE" => &message["state"]["stream"]["stream_descriptor"]["namespace"],
            "TRACE" if message["trace"]["type"] == "STREAM_STATUS" => {
                &message["trace"]["stream_status"]["stream_descriptor"]["namespace"]
            }
            _ => continue,
        };
        assert_eq!(namespace, "tenant_7", "{message}");
    }
}

#[test]
fn estimates_are_told_before_the_records() {
    let portal = Portal::start(Options::with_tickets(230));
    let tap = tap_of(&portal);
    let said = read(&tap, &configured(&discover(&tap), incremental), &[]).succeeded();
    for stream in ["tickets", "contacts", "companies", "deals", "owners"] {
        let estimate = said.traces("ESTIMATE").into_iter().find(|trace| trace["estimate"]["name"] == stream);
        let estimate = estimate.unwrap_or_else(|| panic!("no estimate of {stream}"));
        let live = said.records(stream).iter().filter(|row| !row.contains_key("_sdc_deleted_at")).count();
        assert_eq!(estimate["estimate"]["row_estimate"], live, "{stream}");
        assert_eq!(estimate["estimate"]["type"], "STREAM");
    }
    let first_record = said.messages.iter().position(|message| message["type"] == "RECORD").expect("a record");
    let last = said.messages.iter().rposition(|message| message["trace"]["type"] == "ESTIMATE").expect("an estimate");
    assert!(last < first_record);
}

#[test]
fn errors_are_typed_and_end_with_one() {
    let portal = Portal::start(Options::with_tickets(3));
    let mut tap = tap_of(&portal);
    tap.set("retry_attempts", 0.into());
    let catalog = configured(&discover(&tap), incremental);
    let of_tickets = read(&tap, &catalog, &[]).succeeded().states();

    let token = portal.access_token();
    tap.set("access_token", "wrong".into());
    let error = read(&tap, &catalog, &[]).error();
    assert_eq!(error["failure_type"], "config_error");
    assert!(error["message"].as_str().expect("text").contains("check access_token"), "{error}");
    let check = run(&tap, &["check", "--config", "config.json"]).succeeded();
    let status = &check.of("CONNECTION_STATUS")[0]["connectionStatus"];
    assert_eq!(status["status"], "FAILED");
    assert!(status["message"].as_str().expect("text").contains("check access_token"), "{status}");
    assert_eq!(run(&tap, &["discover", "--config", "config.json"]).error()["failure_type"], "config_error");

    tap.set("access_token", token.into()).set("page_size", 1000.into());
    let error = read(&tap, &catalog, &[]).error();
    assert_eq!(error["failure_type"], "config_error");
    assert!(error["message"].as_str().expect("text").contains("page_size"), "{error}");
    tap.set("page_size", 100.into());

    let other = Portal::start(Options { portal_id: 7, ..Options::with_tickets(3) });
    let elsewhere = Tap::unhurried(&other);
    assert_eq!(read(&elsewhere, &catalog, &of_tickets).error()["failure_type"], "config_error");

    tap.set("api_base_url", "http://127.0.0.1:9".into());
    assert_eq!(read(&tap, &catalog, &[]).error()["failure_type"], "transient_error");
    assert_eq!(run(&tap, &["read", "--config", "config.json"]).error()["failure_type"], "config_error");
    assert_eq!(run(&tap, &["write"]).error()["failure_type"], "config_error");
}

#[test]
fn the_spec_marks_secrets_and_says_how_rows_leave() {
    let portal = Portal::start(Options::with_tickets(1));
    let spec = run(&Tap::of(&portal), &["spec"]).succeeded().messages.remove(0);
    let settings = spec["spec"]["connectionSpecification"]["properties"].as_object().expect("settings");
    for (name, setting) in settings {
        let secret = SECRETS.contains(&name.as_str());
        assert_eq!(setting["airbyte_secret"] == true, secret, "{name}");
        assert!(setting["type"].is_string(), "{name}: {setting}");
    }
    assert!(settings["cache_path"]["description"].as_str().expect("text").contains("full refresh"));
    assert_eq!(settings["page_size"]["default"], 100);
}

#[test]
fn rotated_refresh_tokens_go_out_as_control() {
    let mut options = Options::with_tickets(5);
    options.oauth.rotate_refresh_tokens = true;
    let portal = Portal::start(options);
    let mut tap = tap_of(&portal);
    let app = Options::default().oauth;
    tap.set("client_id", app.client_id.into()).set("client_secret", app.client_secret.into());
    tap.set("access_token", Value::Null).set("refresh_token", app.refresh_token.into());
    let mut tokens = BTreeSet::new();
    let mut rotated = |tap: &mut Tap, said: &Said| {
        let control = said.of("CONTROL").pop().expect("a CONTROL");
        let config = &control["control"]["connectorConfig"]["config"];
        assert_eq!(config["client_id"], "sandbox-client");
        assert_eq!(config["organization_id"], portal.portal_id().to_string());
        assert!(tokens.insert(config["refresh_token"].as_str().expect("a token").to_owned()));
        tap.set("refresh_token", config["refresh_token"].clone());
    };
    let said = run(&tap, &["check", "--config", "config.json"]).succeeded();
    assert_eq!(said.of("CONNECTION_STATUS")[0]["connectionStatus"]["status"], "SUCCEEDED");
    rotated(&mut tap, &said);
    let said = run(&tap, &["discover", "--config", "config.json"]).succeeded();
    rotated(&mut tap, &said);
    let streams =
        said.of("CATALOG").pop().expect("a CATALOG")["catalog"]["streams"].as_array().expect("streams").clone();
    let said = read(&tap, &configured(&streams, incremental), &[]).succeeded();
    rotated(&mut tap, &said);
    assert!(!said.records("tickets").is_empty());
    // With a file for tokens of its own the source also goes on when nobody kept what CONTROL said.
    tap.set("token_cache_path", "tokens.json".into());
    let said = run(&tap, &["check", "--config", "config.json"]).succeeded();
    assert_eq!(said.of("CONTROL").len(), 1);
    let said = read(&tap, &configured(&streams, incremental), &[]).succeeded();
    assert!(!said.records("tickets").is_empty());
}

#[test]
fn a_second_read_of_a_locked_portal_says_so_and_is_to_be_repeated() {
    let portal = Portal::start(Options::with_tickets(5));
    let mut tap = tap_of(&portal);
    let folder = tap.path("locks");
    tap.set("lock_path", json!(folder));
    let catalog = configured(&discover(&tap), incremental);
    read(&tap, &catalog, &[]).succeeded();
    let lock = std::fs::read_dir(&folder).expect("a folder").next().expect("a lock").expect("a lock").path();
    let held = std::fs::File::open(lock).expect("a lock");
    held.try_lock().expect("free after the run");
    let error = read(&tap, &catalog, &[]).error();
    assert_eq!(error["failure_type"], "transient_error");
    assert!(error["message"].as_str().expect("text").contains("another run of portal"), "{error}");
    drop(held);
    read(&tap, &catalog, &[]).succeeded();
}

#[test]
fn the_catalog_tells_of_personal_data_what_comes() {
    let portal = Portal::start(Options::with_tickets(5));
    let mut tap = tap_of(&portal);
    tap.set("drop", json!(["content"])).set("hash", json!(["subject", "hs_num_times_contacted", "createdate"]));
    tap.set("hash_salt", "pepper and salt".into());
    for layout in ["columns", "object"] {
        tap.set("properties_layout", layout.into());
        let streams = discover(&tap);
        let tickets = streams.iter().find(|stream| stream["name"] == "tickets").expect("tickets");
        let columns = match layout {
            "columns" => &tickets["json_schema"]["properties"],
            _ => &tickets["json_schema"]["properties"]["properties"]["properties"],
        };
        assert!(columns["content"].is_null(), "{layout}: {columns}");
        assert_eq!(columns["createdate"], json!({"type": ["string", "null"]}), "{layout}: {columns}");
        let said = read(&tap, &configured(&streams, incremental), &[]).succeeded();
        for row in said.records("tickets") {
            let row: Value = serde_json::to_value(&row).expect("JSON");
            let cells = if layout == "columns" { &row } else { &row["properties"] };
            assert_eq!(cells["subject"].as_str().map(str::len), Some(64), "{row}");
            assert!(cells.get("content").is_none(), "{row}");
        }
    }
}

#[test]
fn rows_that_are_gone_come_as_tombstones_with_a_cache() {
    let portal = Portal::start(Options::with_tickets(300));
    let mut tap = tap_of(&portal);
    tap.set("cache_path", "cache.redb".into()).set("sweep_hours", 0.into());
    let streams = discover(&tap);
    let catalog = configured(&streams, incremental);
    let first = read(&tap, &catalog, &[]).succeeded();
    let gone = portal.truth().live_tickets()[5].clone();
    portal.delete_forever("tickets", gone.parse().expect("an id"));
    let second = read(&tap, &catalog, &first.states()).succeeded();
    is_well_formed(&second, &["tickets", "ticket_associations"]);
    let tombstone = second.records("tickets").into_iter().find(|row| row["id"].get() == format!("\"{gone}\""));
    assert_ne!(tombstone.expect("a tombstone")["_sdc_deleted_at"].get(), "null");
    assert!(second.records("tickets").len() < 30);
    for stream in ["tickets", "ticket_associations"] {
        let stream = streams.iter().find(|one| one["name"] == stream).expect("a stream");
        assert!(stream["json_schema"]["properties"]["_sdc_deleted_at"].is_object());
    }
}

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

/// What the README shows, with a token, a portal and a database that there are.
#[test]
#[ignore = "make test-clients installs PyAirbyte and runs it"]
fn the_readmes_python_loads_postgres() {
    let portal = Portal::start(Options::with_tickets(60));
    let (tap, database) = (tap_of(&portal), Database::create());
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("the README");
    let block = readme.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block");
    let [user, password, host, port, name] = database.parts();
    let id = format!("\"organization_id\": \"{}\", \"api_base_url\": \"{}\"", portal.portal_id(), portal.url());
    let mut code = block.to_owned();
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
