//! Storms: faults at random in eight of a hundred answers, and tokens that live a few seconds.

use std::time::{Duration, Instant};

use hubspot_sandbox::{OAuthApp, Options, RandomFaults};
use serde_json::{Value, json};

use crate::support::catalogs::tickets_with;
use crate::support::cell::Fidelity;
use crate::support::figures;
use crate::support::messages::fold;
use crate::support::pipeline;
use crate::support::portal::Portal;
use crate::support::postgres::Database;
use crate::support::selected::differences;
use crate::support::tap::Tap;
use crate::support::targets::{SCHEMA, target_postgres};

/// Share of all answers that are faulty.
const SHARE: f64 = 0.08;
/// Ten properties of every type.
const PROPERTIES: [&str; 10] = [
    "subject",
    "content",
    "hs_pipeline",
    "hs_pipeline_stage",
    "hs_ticket_priority",
    "hubspot_owner_id",
    "createdate",
    "closed_date",
    "time_to_close",
    "hs_lastmodifieddate",
];
/// Everything of a ticket that is no property.
const OWN: [&str; 10] = [
    "created_at",
    "archived",
    "archived_at",
    "merged_into",
    "associated_contacts",
    "associated_companies",
    "primary_contact",
    "primary_company",
    "_unparsed",
    "_page_number",
];

fn portal(tickets: usize) -> Portal {
    let oauth = OAuthApp { token_lifetime: Duration::from_secs(3), rotate_refresh_tokens: true, ..OAuthApp::default() };
    Portal::start(Options { oauth, stage_properties: false, custom_properties: 0, ..Options::with_tickets(tickets) })
}

/// A tap with an OAuth grant, and a catalog of tickets with ten properties and their associations.
fn tap(portal: &Portal) -> (Tap, Value, Value) {
    let mut tap = Tap::unhurried(portal);
    let discovered = tap.discover();
    let fields: Vec<&str> = PROPERTIES.iter().chain(&OWN).copied().collect();
    let mut catalog = tickets_with(&discovered, &fields);
    crate::support::catalogs::select(&mut catalog, "ticket_associations", "", true);
    tap.write("catalog.json", &catalog);
    tap.set("access_token", Value::Null)
        .set("client_id", "sandbox-client".into())
        .set("client_secret", "sandbox-secret".into())
        .set("refresh_token", "sandbox-refresh".into())
        .set("token_cache_path", "tokens.json".into())
        .set("retry_attempts", 20.into())
        .set("request_timeout_secs", json!(20));
    (tap, discovered, catalog)
}

/// How many requests there were, how many of them were struck, and how many tokens were made.
fn weathered(portal: &Portal) -> (u64, u64, u64) {
    let requests = portal.requests();
    let struck = requests.iter().filter(|request| request.fault.is_some()).count();
    let count = |number: usize| u64::try_from(number).expect("a count");
    (count(requests.len()), count(struck), portal.request_counts().get("oauth_token").copied().unwrap_or(0))
}

#[test]
fn fifty_thousand_tickets_come_through_a_storm_without_a_difference() {
    let (seed, begun) = (figures::seed(), Instant::now());
    eprintln!("TAP_TEST_SEED={seed}");
    let portal = portal(50_000);
    let (mut tap, discovered, catalog) = tap(&portal);
    tap.set("page_size", 16.into());
    portal.clear_requests();
    portal.storm(Some(RandomFaults { share: SHARE, seed, faults: Vec::new() }));
    let finished = tap.sync_catalog(&catalog, None).succeeded();
    portal.storm(None);
    let loaded = begun.elapsed();
    let messages = finished.messages();
    let tables = fold(&messages);
    drop(messages);
    let held = tables.table("tickets").rows.len();
    let found = differences(&portal.truth(), &discovered, &tables, &[].into(), true);
    assert!(
        found.is_empty(),
        "TAP_TEST_SEED={seed}: {} differences: {:#?}",
        found.len(),
        &found[..found.len().min(10)]
    );
    let (requests, faults, tokens) = weathered(&portal);
    assert!(faults >= 300, "{faults} faults in {requests} requests");
    assert!(tokens >= 2, "{tokens} tokens");
    figures::tell(
        "storm",
        &format!(
            "{held} tickets of {} properties, {requests} requests, {faults} struck, {tokens} tokens; rows lost: 0; loaded in {:.0} s, compared in {:.0} s; seed {seed}",
            PROPERTIES.len(),
            loaded.as_secs_f64(),
            begun.elapsed().saturating_sub(loaded).as_secs_f64()
        ),
    );
}

#[test]
fn five_thousand_tickets_come_through_a_storm_into_postgres() {
    let (seed, begun) = (figures::seed(), Instant::now());
    eprintln!("TAP_TEST_SEED={seed}");
    let (portal, database) = (portal(5_000), Database::create());
    let (mut tap, discovered, _) = tap(&portal);
    tap.set("page_size", 16.into());
    portal.clear_requests();
    portal.storm(Some(RandomFaults { share: SHARE, seed, faults: Vec::new() }));
    pipeline::run(&tap, &["--catalog", "catalog.json"], target_postgres(&tap, &database)).succeeded();
    portal.storm(None);
    let mut rows = 0;
    for mut table in portal.truth().tables(&discovered) {
        match table.stream {
            "tickets" => {
                let kept = |column: &str| {
                    PROPERTIES.contains(&column) || OWN.contains(&column) || column == "id" || column == "updated_at"
                };
                table
                    .columns
                    .retain(|column, _| kept(column) || column.starts_with('_') && column != "_extraction_type");
            }
            "ticket_associations" => {}
            _ => continue,
        }
        rows += table.rows.len();
        table.assert_held(&table.in_postgres(&database, SCHEMA), Fidelity::Exact);
    }
    let (requests, faults, tokens) = weathered(&portal);
    assert!(faults > 0, "{requests} requests");
    figures::tell(
        "storm through target-postgres",
        &format!(
            "{rows} rows, {requests} requests, {faults} struck, {tokens} tokens; rows lost: 0; {:.0} s; seed {seed}",
            begun.elapsed().as_secs_f64()
        ),
    );
}
