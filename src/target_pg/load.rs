//! A batch in one transaction.

use std::pin::pin;

use chrono::Utc;
use futures_util::SinkExt as _;
use tokio_postgres::Error;

use super::batch::{Activation, Batch, StreamRows};
use super::connection::PgConnection;
use super::refusal::{RefusalConsequence, consequence};
use super::table_name::literal;

/// A transaction as Postgres numbers it.
pub(super) type TransactionId = String;

/// A batch that was not committed, as far as is known.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    /// The transaction, once it has begun.
    pub(super) transaction: Option<TransactionId>,
    /// The stream that was being written, once the transaction has begun.
    pub(super) stream: Option<String>,
}

/// How far an attempt came.
#[derive(Default)]
struct Attempt<'b> {
    transaction: Option<TransactionId>,
    stream: Option<&'b str>,
}

/// What a batch did besides writing its rows.
#[derive(Debug, Default)]
pub(super) struct LoadOutcome {
    /// Rows that ACTIVATE_VERSION marked or deleted.
    pub(super) deactivated: u64,
}

/// Loads a batch and commits it.
///
/// # Errors
/// Nothing of it is there then, except where the answer to the commit was lost: [`fate`] tells.
pub(super) async fn load(connection: &PgConnection, batch: &Batch, hard_delete: bool) -> Result<LoadOutcome, Failure> {
    let mut attempt = Attempt::default();
    match write(connection, batch, hard_delete, &mut attempt).await {
        Ok(loaded) => Ok(loaded),
        Err(error) => {
            // A connection that is lost has rolled back by itself.
            let _ = connection.run("rollback").await;
            Err(Failure { error, transaction: attempt.transaction, stream: attempt.stream.map(str::to_owned) })
        }
    }
}

async fn write<'b>(
    connection: &PgConnection,
    batch: &'b Batch,
    hard_delete: bool,
    attempt: &mut Attempt<'b>,
) -> Result<LoadOutcome, Error> {
    let stages = batch.streams.iter().enumerate();
    let created = stages.filter_map(|(place, rows)| rows.plan.create_stage(&stage(place)));
    let begin = ["begin".to_owned()].into_iter().chain(created).chain(["select txid_current()".to_owned()]);
    attempt.transaction = connection.run(&begin.collect::<Vec<_>>().join("; ")).await?;
    for (place, rows) in batch.streams.iter().enumerate() {
        attempt.stream = Some(&rows.plan.stream);
        copy(connection, rows, 0..rows.len(), &stage(place)).await?;
    }
    let mut loaded = LoadOutcome::default();
    for (place, rows) in batch.streams.iter().enumerate() {
        attempt.stream = Some(&rows.plan.stream);
        if let Some(merge) = rows.plan.merge(&stage(place)) {
            connection.run(&merge).await?;
        }
    }
    for activation in &batch.activations {
        attempt.stream = Some(&activation.plan.stream);
        loaded.deactivated += connection.client().execute(&deactivate(activation, hard_delete), &[]).await?;
    }
    attempt.stream = None;
    connection.run("commit").await?;
    Ok(loaded)
}

/// The temporary table of the stream at a place.
pub(super) fn stage(place: usize) -> String {
    format!("pg_temp.target_pg_{place}")
}

/// Sends some rows of a stream.
///
/// # Errors
/// As Postgres has it.
pub(super) async fn copy(
    connection: &PgConnection,
    rows: &StreamRows,
    range: std::ops::Range<usize>,
    stage: &str,
) -> Result<(), Error> {
    let mut sink = pin!(connection.client().copy_in(&rows.plan.copy(stage)).await?);
    for piece in rows.pieces(range) {
        // When Postgres has refused a row already, the end of the COPY tells why.
        if sink.send(piece).await.is_err() {
            break;
        }
    }
    sink.finish().await.map(drop)
}

/// What became of a transaction whose connection was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Committed,
    /// Also when Postgres does not know it: it was lost in a crash.
    RolledBack,
    /// Its session has not noticed yet that nobody is there.
    InProgress,
}

/// Asks what became of a transaction. The session of one that is still in progress is ended: it would hold its locks until
/// the server notices that its client is gone.
///
/// # Errors
/// When the connection that asks is lost, too.
pub(super) async fn fate(connection: &PgConnection, transaction: &TransactionId) -> Result<Fate, Error> {
    let status = match connection.run(&format!("select txid_status({transaction})")).await {
        Ok(status) => status,
        // After a crash the number may not have been given to any transaction yet.
        Err(error) if error.as_db_error().is_some() && consequence(&error) == RefusalConsequence::Row => {
            return Ok(Fate::RolledBack);
        }
        Err(error) => return Err(error),
    };
    match status.as_deref() {
        Some("committed") => Ok(Fate::Committed),
        Some("in progress") => {
            // Sessions show the lower half of the number.
            let end = format!(
                "select pg_terminate_backend(pid) from pg_catalog.pg_stat_activity \
                 where backend_xid::text::bigint = {transaction} & 4294967295 and pid <> pg_backend_pid()"
            );
            // If that is not allowed, it ends by itself some day.
            let _ = connection.run(&end).await;
            Ok(Fate::InProgress)
        }
        _ => Ok(Fate::RolledBack),
    }
}

/// What an ACTIVATE_VERSION does: whatever is not of that version, or a later one, is gone at the source.
fn deactivate(Activation { plan, version }: &Activation, hard_delete: bool) -> String {
    let table = &plan.table;
    let old = format!("(_sdc_table_version < {version} or _sdc_table_version is null)");
    if hard_delete {
        return format!("delete from {table} where {old}");
    }
    let now = literal(&Utc::now().format("%Y-%m-%d %H:%M:%S%.6f").to_string());
    format!("update {table} set _sdc_deleted_at = {now} where {old} and _sdc_deleted_at is null")
}
