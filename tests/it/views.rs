//! The analysts' views, made over loaded tables and held against the portal.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tap_hubspot_tickets::sandbox::Options;

use crate::support::pipeline;
use crate::support::portal::Portal;
use crate::support::postgres::Database;
use crate::support::tap::Tap;
use crate::support::targets::{SCHEMA, target_postgres};

#[test]
fn the_views_tell_what_the_portal_holds() {
    let portal = Portal::start(Options::with_tickets(300));
    let (tap, database) = (Tap::unhurried(&portal), Database::create());
    pipeline::run(&tap, &[], target_postgres(&tap, &database)).succeeded();
    let views = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_configs/postgres/views.sql");
    let views = fs::read_to_string(views).expect("the views");
    let make = format!("set search_path to {SCHEMA}; {views}");
    database.rows(&make);
    database.rows(&make);

    let truth = portal.truth();
    let live = truth.live_tickets();
    let number = |sql: &str| database.number(&sql.replace("from ", &format!("from {SCHEMA}.")));
    let live_count = i64::try_from(live.len()).expect("a count");
    assert_eq!(number("select count(*) from tickets_named"), live_count);
    assert_eq!(number("select count(*) from tickets_named where stage is null or pipeline is null"), 0);
    assert!(number("select count(*) from tickets_named where owner is not null") > 50);
    let open = number("select count(*) from open_tickets_by_age");
    let closed = number("select count(*) from tickets_named where is_closed");
    assert_eq!(open + closed, live_count);
    assert!(open > 20 && closed > 20, "{open} open, {closed} closed");
    assert_eq!(number("select count(*) from open_tickets_by_age where age_days < 0"), 0);
    assert!(number("select count(*) from time_to_close where hours_to_close >= 0") > 20);
    let by_month = "select coalesce(sum(tickets), 0)::bigint from tickets_by_stage_and_month";
    assert_eq!(number(by_month), live_count);

    let mut of_companies: BTreeMap<String, i64> = BTreeMap::new();
    for id in &live {
        for company in truth.ticket(id)["associations"]["companies"].as_array().into_iter().flatten() {
            *of_companies.entry(company["id"].as_str().expect("an id").to_owned()).or_default() += 1;
        }
    }
    assert!(of_companies.len() > 10, "{of_companies:?}");
    let rows = database.rows(&format!("select company_id, tickets from {SCHEMA}.tickets_per_company"));
    let held: BTreeMap<String, i64> = rows
        .into_iter()
        .map(|row| (row[0].clone().expect("an id"), row[1].as_deref().expect("a count").parse().expect("a number")))
        .collect();
    assert_eq!(held, of_companies);
}
