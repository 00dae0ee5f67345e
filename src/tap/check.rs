//! `--test`: is everything there that a sync would need?

use std::collections::BTreeSet;
use std::io::{self, Write};

use tokio::sync::mpsc;

use super::cli::{TapArguments, TestMode};
use super::singer::preamble;
use crate::client::Account;
use crate::extraction::{Bounds, Extracted, Records, SummaryHandle, extract};
use crate::messages::encode_records;
use crate::property::format_instant;
use crate::session::{Check, Prepared, TapError, prepare};

/// `--test`: reports the portal, the scopes each stream has or lacks, and the quota.
///
/// # Errors
/// When something that is read by default cannot be read; the report is written all the same.
pub(super) async fn connection(arguments: &TapArguments) -> Result<(), TapError> {
    let session = arguments.session()?;
    let checked = session.check_access().await?;
    let usage = session.client.daily_usage().await;
    let mut lines = vec![match &checked.account {
        None => "portal unknown: HubSpot does not tell".to_owned(),
        Some(Account { portal_id, account_type: None, .. }) => format!("portal {portal_id}"),
        Some(Account { portal_id, account_type: Some(account_type), .. }) => {
            format!("portal {portal_id}, {account_type}")
        }
    }];
    lines.extend(checked.checks.iter().map(Check::verdict));
    lines.extend(checked.properties.map(|count| format!("{count} ticket properties")));
    lines.push(match usage {
        Some(usage) => {
            let left = usage.limit.saturating_sub(usage.used);
            let resets_at = usage.resets_at.or_else(|| session.client.quota_resets_at());
            let resets_at = resets_at.map_or_else(String::new, |at| format!(", resets at {}", format_instant(at)));
            format!("{left} of {} API calls left today{resets_at}", usage.limit)
        }
        None => "no daily quota told, as for OAuth apps, which have none".to_owned(),
    });
    let report = lines.join("\n") + "\n";
    io::stdout().write_all(report.as_bytes()).map_err(TapError::Output)?;
    checked.conclude()
}

/// `--test=schema` and `--test=records`: writes SCHEMA messages, and a record of each stream that has one.
pub(super) async fn messages(arguments: &TapArguments, mode: TestMode) -> Result<(), TapError> {
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
async fn write_first_records(mut yields: mpsc::Receiver<Extracted>, wanted: &BTreeSet<&str>) -> io::Result<()> {
    let mut written: BTreeSet<&str> = BTreeSet::new();
    let small = wanted.iter().filter(|stream| !matches!(**stream, "tickets" | "ticket_associations")).count();
    // The first one is the state that came in, then each small stream has one.
    let mut checkpoints = 0;
    while let Some(yielded) = yields.recv().await {
        match yielded {
            Extracted::Records(mut records) if !records.ends.is_empty() && written.insert(records.stream) => {
                keep_first(&mut records);
                let mut lines = Vec::new();
                encode_records(&records, &mut lines)?;
                io::stdout().write_all(&lines)?;
            }
            Extracted::Checkpoint(_) => checkpoints += 1,
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
