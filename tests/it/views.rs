//! The analysts' views, made over loaded tables and held against the portal.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use hubspot_sandbox::Options;

use crate::support::pipeline;
use crate::support::portal::Portal;
use crate::support::postgres::Database;
use crate::support::tap::Tap;
use crate::support::targets::{SCHEMA, target_postgres};

#[test]
fn the_views_tell_what_the_portal_holds_and_nothing_that_is_gone() {
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

    // A ticket that was deleted for good: after a sweep the target marks the row and changes no other column.
    assert_eq!(number("select count(*) from unparsed_values"), 0);
    let (gone, odd) = (&live[0], &live[1]);
    let deleted = "set _sdc_deleted_at = now(), archived = false";
    database.rows(&format!(
        "update {SCHEMA}.tickets {deleted}, _unparsed = '{{\"odd\": \"N/A\"}}' where id = '{gone}'; \
         update {SCHEMA}.tickets set _unparsed = '{{\"odd\": \"N/A\"}}' where id = '{odd}'; \
         update {SCHEMA}.tickets set _unparsed = 'null', primary_company = 'null' where id = '{}'",
        live[2]
    ));
    assert_eq!(
        database.rows(&format!("select id, property, text from {SCHEMA}.unparsed_values")),
        [[Some(odd.clone()), Some("odd".to_owned()), Some("N/A".to_owned())]]
    );
    for view in ["live_tickets", "tickets_named", "open_tickets_by_age", "time_to_close"] {
        assert_eq!(number(&format!("select count(*) from {view} where id = '{gone}'")), 0, "{view}");
    }
    assert_eq!(number("select count(*) from live_tickets"), live_count - 1);
    assert_eq!(number(by_month), live_count - 1);
    assert_eq!(number("select count(*) from tickets_named where company is null and company_id is not null"), 0);

    let live = &live[1..];
    let mut of_companies: BTreeMap<String, i64> = BTreeMap::new();
    for id in live {
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
