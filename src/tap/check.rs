//! `--test`: is everything there that a sync would need?

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Write};

use tokio::sync::mpsc;

use super::cli::{Arguments, TestMode};
use super::sync::preamble;
use crate::client::{ClientError, ObjectType};
use crate::extraction::{Bounds, Records, SummaryHandle, Yield, extract};
use crate::messages::encode_records;
use crate::property::format_instant;
use crate::session::{Prepared, TapError, prepare};

/// `--test`: reports the portal, the scopes each stream has or lacks, and the quota.
pub(super) async fn connection(arguments: &Arguments) -> Result<(), TapError> {
    let session = arguments.session()?;
    let portal = session.discover(true).await?;
    // OAuth apps have no such figure.
    let usage = session.client.daily_usage().await.ok().flatten();
    let account = &portal.account;
    let mut report = format!("portal {}", account.portal_id);
    if let Some(account_type) = &account.account_type {
        write!(report, ", {account_type}").expect("writing to a String does not fail");
    }
    report.push('\n');
    // Definitions and records have scopes of their own.
    let mut records = Vec::new();
    for stream in ["contacts", "companies", "deals"] {
        let scope = match portal.access.missing_for_stream(stream) {
            Some(scope) => Some(scope.to_owned()),
            None => missing_scope(session.client.probe_objects(&ObjectType::named(stream)).await)?,
        };
        records.push((stream, scope));
    }
    // Discovery has failed by now for a token without the scope of tickets.
    let mut lines: Vec<(String, String, Option<&str>)> =
        ["tickets", "ticket_properties", "ticket_pipelines, ticket_pipeline_stages"]
            .map(|streams| (streams.to_owned(), "tickets".to_owned(), None))
            .to_vec();
    let owners = portal.access.missing_for_stream("owners");
    lines.push(("owners".to_owned(), "crm.objects.owners.read".to_owned(), owners));
    lines.extend(records.iter().map(|(stream, missing)| {
        let scopes = format!("crm.objects.{stream}.read, crm.schemas.{stream}.read");
        ((*stream).to_owned(), scopes, missing.as_deref())
    }));
    lines.extend(session.associations.types.iter().map(|object_type| {
        let scope = format!("tickets, {}", scope_of(object_type));
        (format!("associations with {object_type}"), scope, portal.access.missing_for(object_type))
    }));
    for (what, scope, missing) in lines {
        let verdict = match missing {
            None => format!("ok (scope {scope})"),
            Some(missing) => format!("missing: add the scope {missing}"),
        };
        writeln!(report, "{what}: {verdict}").expect("writing to a String does not fail");
    }
    writeln!(report, "{} ticket properties", portal.properties.len()).expect("writing to a String does not fail");
    match usage {
        Some(usage) => {
            let left = usage.limit.saturating_sub(usage.used);
            let resets_at = usage.resets_at.or_else(|| session.client.quota_resets_at());
            let resets_at = resets_at.map_or_else(String::new, |at| format!(", anew from {}", format_instant(at)));
            writeln!(report, "{left} of {} API calls left today{resets_at}", usage.limit)
        }
        None => writeln!(report, "no daily quota told, as for OAuth apps, which have none"),
    }
    .expect("writing to a String does not fail");
    io::stdout().write_all(report.as_bytes()).map_err(TapError::Output)
}

/// The scope that a probe was refused for want of; none when it was let through.
fn missing_scope(probed: Result<(), ClientError>) -> Result<Option<String>, TapError> {
    match probed {
        Ok(()) => Ok(None),
        Err(ClientError::MissingScopes { scopes, .. }) => Ok(Some(scopes.join(" or "))),
        Err(error) => Err(error.into()),
    }
}

/// The scope that reading objects of a type takes, as far as there is one for each type.
fn scope_of(object_type: &ObjectType) -> String {
    match object_type.as_str() {
        "tickets" => "tickets".to_owned(),
        name @ ("contacts" | "companies" | "deals") => format!("crm.objects.{name}.read"),
        _ => "that of the type".to_owned(),
    }
}

/// `--test=schema` and `--test=records`: writes SCHEMA messages, and a record of each stream that has one.
pub(super) async fn messages(arguments: &Arguments, mode: TestMode) -> Result<(), TapError> {
    let session = arguments.session()?;
    let Prepared { mut run, .. } = prepare(&session, arguments.assignment()?).await?;
    io::stdout().write_all(&preamble(&run.plan)?).map_err(TapError::Output)?;
    if mode == TestMode::Schema {
        return Ok(());
    }
    let wanted: BTreeSet<&str> = run.plan.streams().collect();
    // What is shown here reaches no target, so the row cache is to know nothing of it.
    run.cache = None;
    // One page of live tickets is enough.
    run.bounds = Bounds { checkpoint_every_pages: 1, include_archived: false, ..run.bounds };
    let (sink, yields) = mpsc::channel(1);
    let summary = SummaryHandle::default();
    let extraction = extract(session.client.clone(), run, &sink, &summary);
    tokio::select! {
        written = write_first_records(yields, &wanted) => written.map_err(TapError::Output),
        extracted = extraction => extracted.map_err(TapError::from),
    }
}

/// Writes the first record of each stream, until each has one or the first page of tickets is through.
async fn write_first_records(mut yields: mpsc::Receiver<Yield>, wanted: &BTreeSet<&str>) -> io::Result<()> {
    let mut written: BTreeSet<&str> = BTreeSet::new();
    let small = wanted.iter().filter(|stream| !matches!(**stream, "tickets" | "ticket_associations")).count();
    // The first one is the state that came in, then each small stream has one.
    let mut checkpoints = 0;
    while let Some(yielded) = yields.recv().await {
        match yielded {
            Yield::Records(mut records) if !records.ends.is_empty() && written.insert(records.stream) => {
                keep_first(&mut records);
                let mut lines = Vec::new();
                encode_records(&records, &mut lines)?;
                io::stdout().write_all(&lines)?;
            }
            Yield::Checkpoint(_) => checkpoints += 1,
            _ => {}
        }
        if written.len() == wanted.len() || checkpoints > small + 1 {
            return Ok(());
        }
    }
    Ok(())
}

fn keep_first(records: &mut Records) {
    records.ends.truncate(1);
    records.bodies.truncate(records.ends[0]);
}
