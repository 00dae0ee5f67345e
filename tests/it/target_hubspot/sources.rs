//! Real sources: Meltano's taps for CSV files and for Postgres tables, from PyPI.

use std::fs;
use std::process::{Command, Stdio};

use hubspot_sandbox::Options;
use serde_json::{Value, json};

use crate::support::clients::program;
use crate::support::delivery::{Target, ends, live, with};
use crate::support::portal::Portal;
use crate::support::postgres::Database;
use crate::support::tap::Finished;

fn empty() -> Portal {
    Portal::start(Options { merged: 0, ..Options::with_tickets(0) })
}

/// `tap | target-hubspot`, to the end of both.
fn pipe(mut tap: Command, target: &Target) -> Finished {
    let log = fs::File::create(target.path("tap.log")).expect("a writable folder");
    let mut tap = tap.stdout(Stdio::piped()).stderr(log).spawn().expect("the tap runs");
    let mut command = target.command(&[]);
    command.stdin(Stdio::from(tap.stdout.take().expect("a pipe")));
    let finished = target.finish(command);
    let said = fs::read_to_string(target.path("tap.log")).expect("a log");
    assert!(tap.wait().expect("a child").success(), "{said}");
    finished
}

#[test]
fn csv_files_become_contacts_deals_and_tickets() {
    let portal = empty();
    let mut target = Target::of(&portal);
    // What the tap calls a record is a line of a file, whose path is none of HubSpot's business.
    target.set("unknown_fields", json!("reject"));
    fs::create_dir(target.path("files")).expect("a folder");
    for (name, text) in [
        (
            "contacts.csv",
            "email,firstname,lastname,phone\nann@x.example,Ann,Abel,+1 555 0100\nbob@x.example,Bob,Böse,1\nbad,B,B,1\n",
        ),
        ("deals.csv", "contactEmail,dealname,amount,closedate\nann@x.example,Annual plan,1200.50,2026-12-31\n"),
        (
            "tickets.csv",
            "contactEmail,dealName,subject,description,priority\nann@x.example,Annual plan,Help,\"Line one\nline two\",HIGH\nbob@x.example,,Question,,\n",
        ),
    ] {
        fs::write(target.path("files").join(name), text).expect("a writable folder");
    }
    let config = json!({"path": target.path("files"), "read_mode": "one_stream_per_file", "filesystem": "local"});
    fs::write(target.path("tap.json"), config.to_string()).expect("a writable folder");
    for round in 0..2 {
        let mut tap = program("tap-csv-folder", "tap-csv-folder");
        tap.arg("--config").arg(target.path("tap.json")).current_dir(target.path(""));
        let finished = pipe(tap, &target).succeeded();
        assert!(finished.text().contains("bookmarks"), "the tap's state comes back: {}", finished.text());
        assert_eq!(finished.said("contacts: 0 created, 0 updated, 2 unchanged"), round, "{}", finished.stderr);
        assert_eq!(
            (live(&portal, "contacts").len(), live(&portal, "deals").len(), live(&portal, "tickets").len()),
            (2, 1, 2)
        );
    }
    let (ann, deal) =
        (with(&portal, "contacts", "email", "ann@x.example"), with(&portal, "deals", "dealname", "Annual plan"));
    let ticket = with(&portal, "tickets", "subject", "Help");
    assert_eq!(ends(&ticket, "contacts"), [ann["id"].as_str().expect("an id")]);
    assert_eq!(ends(&ticket, "deals"), [deal["id"].as_str().expect("an id")]);
    assert_eq!(ticket["properties"]["content"], "Line one\nline two");
    assert_eq!(deal["properties"]["closedate"], "2026-12-31T00:00:00Z");
    assert_eq!(target.rejects()[1]["record"]["email"], "bad");
}

#[test]
fn a_postgres_table_becomes_contacts() {
    let (portal, database) = (empty(), Database::create());
    database.rows(
        "create table public.people (mail text primary key, given text, family text, tel text, seen timestamptz, score numeric);
         insert into public.people select 'p' || n || '@x.example', 'Given ' || n, 'Family', '+1 555 ' || n,
             '2026-01-02 03:04:05.678+00', n + 0.5 from generate_series(1, 250) n",
    );
    let mut target = Target::of(&portal);
    target.set("streams", json!({"public-people": {
        "object_type": "contacts",
        "properties": {"mail": "email", "given": "firstname", "family": "lastname", "tel": "phone", "seen": "closedate", "score": "hubspotscore"},
    }}));
    let url = database.url().replace("postgresql:", "postgresql+psycopg2:");
    fs::write(target.path("tap.json"), json!({"sqlalchemy_url": url, "filter_schemas": ["public"]}).to_string())
        .expect("a writable folder");
    let tap = |arguments: &[&str]| {
        let mut tap = program("tap-postgres", "tap-postgres");
        tap.args(["--config", "tap.json"]).args(arguments).current_dir(target.path(""));
        tap
    };
    let discovered = tap(&["--discover"]).output().expect("the tap runs").stdout;
    let mut catalog: Value = serde_json::from_slice(&discovered).expect("a catalog");
    for entry in catalog["streams"].as_array_mut().expect("streams") {
        let metadata = entry["metadata"].as_array_mut().expect("metadata");
        let of_stream = metadata.iter_mut().find(|one| one["breadcrumb"] == json!([])).expect("the stream's own");
        of_stream["metadata"]["selected"] = true.into();
    }
    fs::write(target.path("catalog.json"), catalog.to_string()).expect("a writable folder");
    let tap = tap(&["--catalog", "catalog.json"]);
    let finished = pipe(tap, &target).succeeded();
    assert_eq!(finished.said("public-people: 250 created"), 1, "{}", finished.stderr);
    let one = with(&portal, "contacts", "email", "p7@x.example");
    assert_eq!(one["properties"]["closedate"], "2026-01-02T03:04:05.678Z");
    assert_eq!(one["properties"]["firstname"], "Given 7");
    assert!(target.rejects().is_empty());
}
