//! Values at the edge of what parsers, databases and calendars take, in every field, through both Postgres targets.

use std::time::Instant;

use fastrand::Rng;
use hubspot_sandbox::Options;
use serde_json::Value;

use crate::support::cell::Fidelity;
use crate::support::figures;
use crate::support::messages::fold;
use crate::support::pipeline;
use crate::support::portal::Portal;
use crate::support::postgres::Database;
use crate::support::tap::Tap;
use crate::support::targets::{SCHEMA, pipelinewise_target_postgres, target_postgres};

/// JSON strings as they stand on the wire.
const VALUES: [&str; 44] = [
    r#""nul\u0000in the middle""#,
    r#""\u0000""#,
    r#""lone \ud800 high""#,
    r#""lone \udc00 low""#,
    r#""\udc00\ud800 swapped""#,
    r#""pair \ud83d\ude00""#,
    r#""back\\slash \"quotes\" \t\r\n \/""#,
    r#""\\N""#,
    r#""'; drop table tickets; --""#,
    r#""%s %(id)s {0}""#,
    r#""{\"type\":\"STATE\"}""#,
    r#""\u2028\u2029\ufeff""#,
    r#""1234567890123456789012345678901234567890""#,
    r#""-1234567890123456789012345678901234567890.0987654321""#,
    r#""1.5E-300""#,
    r#""9.99e+306""#,
    r#""1e400""#,
    r#""1e-400""#,
    r#""NaN""#,
    r#""Infinity""#,
    r#""-Infinity""#,
    r#""N/A""#,
    r#""007""#,
    r#""+5""#,
    r#"".5""#,
    r#""5.""#,
    r#""-0""#,
    r#""1,234.5""#,
    r#""0x10""#,
    r#"" 12 ""#,
    r#""0001-01-01""#,
    r#""0000-01-01""#,
    r#""9999-12-31""#,
    r#""10000-01-01""#,
    r#""0001-01-01T00:00:00Z""#,
    r#""9999-12-31T23:59:59.999Z""#,
    r#""+10000-01-01T00:00:00Z""#,
    r#""1742569562943""#,
    r#""-62135596800001""#,
    r#""253402300800000""#,
    r#""2024-02-30""#,
    r#""an option that nobody defined""#,
    r#""a;b;unknown""#,
    r#""true""#,
];

/// What is not a user's to fill, or decides whether a record is read at all.
const SYSTEM: [&str; 6] =
    ["hs_object_id", "createdate", "hs_createdate", "hs_lastmodifieddate", "lastmodifieddate", "hs_merged_object_ids"];

fn id(record: &Value) -> u64 {
    record["id"].as_str().expect("an id").parse().expect("a number")
}

/// A text of this many bytes, with a NUL and characters of two bytes in it.
fn long(bytes: usize) -> String {
    format!("\"\\u0000{}\"", "x\u{e9}!".repeat(bytes / 4))
}

/// Gives every field of every ticket, and of contacts, companies and pipelines, a hostile value now and then.
fn poison(portal: &Portal, random: &mut Rng) -> usize {
    let truth = portal.truth();
    let names: Vec<String> =
        truth.definitions().iter().map(|one| one["name"].as_str().expect("a name").to_owned()).collect();
    let mut poisoned = 0;
    for ticket in truth.list("tickets") {
        for name in names.iter().filter(|name| !SYSTEM.contains(&name.as_str())) {
            if random.bool() {
                portal.set_raw_value("tickets", id(ticket), name, VALUES[random.usize(..VALUES.len())]);
                poisoned += 1;
            }
        }
    }
    for (list, names) in [("contacts", &["email", "firstname", "lastname"][..]), ("companies", &["name", "domain"])] {
        for record in truth.list(list) {
            for name in names {
                portal.set_raw_value(list, id(record), name, VALUES[random.usize(..11)]);
                poisoned += 1;
            }
        }
    }
    let live = truth.live_tickets();
    for (ticket, size) in live.iter().zip([64 << 10, 10 << 20]) {
        portal.set_raw_value("tickets", ticket.parse().expect("an id"), "content", &long(size));
    }
    portal.rename_pipeline("tickets", "0", "nul \0 and \"quotes\" and %s");
    poisoned
}

#[test]
fn hostile_values_in_every_field_arrive_through_both_targets() {
    let (seed, begun) = (figures::seed(), Instant::now());
    eprintln!("TAP_TEST_SEED={seed}");
    let portal = Portal::start(Options {
        hostile: true,
        stage_properties: false,
        contacts: 30,
        companies: 20,
        ..Options::with_tickets(60)
    });
    let poisoned = poison(&portal, &mut Rng::with_seed(seed));
    let tap = Tap::unhurried(&portal);
    let catalog = tap.discover();
    let truth = portal.truth();
    let tables = truth.tables(&catalog);
    let finished = tap.sync(None).succeeded();
    let folded = fold(&finished.messages());
    for table in &tables {
        table.assert_held(&table.in_messages(&folded), Fidelity::Exact);
    }
    assert_counted(&finished.stderr, &folded);
    let (one, other) = (Database::create(), Database::create());
    let arguments = ["--catalog", "catalog.json"];
    pipeline::run(&tap, &arguments, target_postgres(&tap, &one)).succeeded();
    pipeline::run(&tap, &arguments, pipelinewise_target_postgres(&tap, &other, 100, true)).succeeded();
    let mut rows = 0;
    for table in &tables {
        rows += table.rows.len();
        table.assert_held(&table.in_postgres(&one, SCHEMA), Fidelity::Exact);
        table.assert_held(&table.in_postgres(&other, SCHEMA), Fidelity::DoublesAndEscapes);
    }
    let seconds = begun.elapsed().as_secs_f64();
    figures::tell(
        "hostile values",
        &format!(
            "{poisoned} values of {} kinds and texts of 64 KiB and 10 MiB, {rows} rows in each of two targets; rows lost: 0; {seconds:.0} s; seed {seed}",
            VALUES.len()
        ),
    );
}

/// The summary counts what stands in `_unparsed`, property by property.
#[track_caller]
fn assert_counted(log: &str, tables: &crate::support::messages::Tables) {
    let mut counts = std::collections::BTreeMap::new();
    for held in tables.table("tickets").rows.values() {
        let unparsed = held.row.get("_unparsed").map_or("null", |raw| raw.get());
        let unparsed: Value = serde_json::from_str(unparsed).expect("JSON");
        for name in unparsed.as_object().into_iter().flatten().map(|(name, _)| name.clone()) {
            *counts.entry(name).or_insert(0) += 1;
        }
    }
    assert!(counts.len() > 5, "{counts:?}");
    for (name, count) in counts {
        let said = format!("tickets: {count} values of {name} did not fit its type and stand in _unparsed");
        assert!(log.contains(&said), "{said}");
    }
}
