//! What its page and the sample files say of `target-hubspot` is true.

use std::fs;
use std::path::Path;
use std::process::Command;

use hubspot_sandbox::Options;
use serde_json::{Value, json};

use crate::support::delivery::{Target, contact, ends, lines, live, schema, with};
use crate::support::pages::read;
use crate::support::portal::Portal;

const PAGE: &str = "docs/target-hubspot.md";

fn empty() -> Portal {
    Portal::start(Options { merged: 0, ..Options::with_tickets(0) })
}

#[test]
fn the_page_of_target_hubspot_has_its_settings() {
    let portal = empty();
    let target = Target::of(&portal);
    let about = target.finish(target.bare_command(&["--about", "--format=markdown"])).succeeded();
    let table = &about.text()[about.text().find("| Setting |").expect("a table")..];
    // The page refers to the tap's table for what both have.
    let own: Vec<&str> = table.lines().skip_while(|line| !line.starts_with("| `streams` |")).collect();
    assert!(own.len() >= 7, "{table}");
    assert!(read(PAGE).contains(&own.join("\n")), "the page's settings are not those of --about:\n{}", own.join("\n"));
}

/// The service's three POST requests, its GET and a dry run, each in one line of the page with what it prints, in its
/// order and one folder, twice.
#[test]
fn the_pages_one_liners_do_what_the_service_did_and_print_what_it_says() {
    let portal = empty();
    let target = Target::of(&portal);
    fs::copy(target.path("target.json"), target.path("hubspot.json")).expect("a config");
    let programs = Path::new(env!("CARGO_BIN_EXE_target-hubspot")).parent().expect("a folder").to_owned();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").expect("a PATH"));
    let page = read(PAGE);
    let blocks: Vec<(&str, &str)> = page
        .split("```bash\n")
        .skip(1)
        .map(|rest| {
            let (command, rest) = rest.split_once("```\n```text\n").expect("what the command prints");
            (command, rest.split("\n```").next().unwrap_or_default())
        })
        .collect();
    assert_eq!(blocks.len(), 5, "four requests and a dry run");
    for round in 0..2 {
        for (block, prints) in &blocks {
            assert_eq!(block.lines().count(), 1, "{block}");
            let finished = Command::new("bash")
                .args(["-e", "-o", "pipefail", "-c", block])
                .current_dir(target.path(""))
                .env("PATH", &path)
                .output()
                .expect("bash runs");
            let said = [finished.stdout, finished.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert!(finished.status.success(), "{block}{said}");
            assert!(round > 0 || said.contains(prints), "{block}{said}");
        }
        let counts = ["contacts", "deals", "tickets"].map(|object_type| live(&portal, object_type).len());
        assert_eq!(counts, [1, 1, 1]);
    }
    let contact = with(&portal, "contacts", "email", "ann@example.com");
    let deal = with(&portal, "deals", "dealname", "Annual plan");
    let ticket = live(&portal, "tickets").remove(0);
    let id = |one: &Value| one["id"].as_str().expect("an id").to_owned();
    assert_eq!(ends(&deal, "contacts"), [id(&contact)]);
    assert_eq!((ends(&ticket, "contacts"), ends(&ticket, "deals")), (vec![id(&contact)], vec![id(&deal)]));
    assert_ne!(ticket["properties"]["content"], "");
}

#[test]
fn every_sample_config_of_the_target_delivers_without_a_warning() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_configs");
    let names = fs::read_dir(folder).expect("the folder");
    let names = names.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
    let names: Vec<String> = names.filter(|name| name.starts_with("target-hubspot")).collect();
    assert!(names.len() >= 3, "{names:?}");
    for name in names {
        let portal = empty();
        let def = hubspot_sandbox::PropertyDef::new("crm_id", "string", "text");
        portal.define_property("deals", hubspot_sandbox::PropertyDef { has_unique_value: true, ..def });
        let target = Target::of(&portal);
        fs::write(target.path("sample.json"), read(&format!("sample_configs/{name}"))).expect("a writable folder");
        let ours = json!({"api_base_url": portal.url(), "access_token": portal.access_token(), "organization_id": portal.portal_id(), "rate_limit": 100_000});
        fs::write(target.path("ours.json"), ours.to_string()).expect("a writable folder");
        let stream = if name.contains("streams") { "customers" } else { "contacts" };
        let mut line = contact("ann@x.example");
        if stream == "customers" {
            line["record"] = json!({"mail": "ann@x.example", "given_name": "Ann"});
        }
        line["stream"] = stream.into();
        fs::write(target.path("input.jsonl"), lines(&[schema(stream, &[]), line])).expect("a writable folder");
        let mut command = target.bare_command(&["--config", "sample.json", "--config", "ours.json"]);
        command.stdin(fs::File::open(target.path("input.jsonl")).expect("the input"));
        let finished = target.finish(command).succeeded();
        assert_eq!(finished.said(" WARN "), 0, "{name}: {}", finished.stderr);
        assert_eq!(live(&portal, "contacts").len(), 1, "{name}");
    }
}
