//! Which row of a batch Postgres refuses, found by halving.

use std::ops::Range;

use super::batch::{Batch, StreamRows};
use super::connection::PgConnection;
use super::exit::LoadError;
use super::load::{copy, stage};
use super::refusal::{RefusalConsequence, column, consequence, sentence};

/// Loads the streams of a batch one after the other in a transaction that is rolled back, and tells the first row that
/// is refused; none when none is.
///
/// # Errors
/// When Postgres fails for another reason than a row.
pub(super) async fn find(connection: &PgConnection, batch: &Batch) -> Result<Option<LoadError>, tokio_postgres::Error> {
    // Constraints that wait for the end of a transaction would not speak in one that is rolled back.
    connection.run("begin; set constraints all immediate").await?;
    let mut found = None;
    for (place, rows) in batch.streams.iter().enumerate() {
        found = halve(connection, rows, place).await?;
        if found.is_some() {
            break;
        }
    }
    connection.run("rollback").await?;
    Ok(found)
}

async fn halve(
    connection: &PgConnection,
    rows: &StreamRows,
    place: usize,
) -> Result<Option<LoadError>, tokio_postgres::Error> {
    let Some(mut error) = attempt(connection, rows, 0..rows.len(), place).await? else { return Ok(None) };
    let (mut begin, mut end) = (0, rows.len());
    // What stands before `begin` is loaded, and the rows up to `end` are refused.
    while end - begin > 1 {
        let middle = begin + (end - begin) / 2;
        match attempt(connection, rows, begin..middle, place).await? {
            Some(earlier) => (end, error) = (middle, earlier),
            None => begin = middle,
        }
    }
    // The error of the last attempt that failed may be about another row of it.
    if let Some(own) = attempt(connection, rows, begin..end, place).await? {
        error = own;
    }
    let column = blamed_columns(connection, &error).await?;
    Ok(Some(LoadError::Row {
        stream: rows.plan.stream.clone(),
        line: rows.line(begin),
        row: described(rows, begin, &column),
        reason: sentence(&error),
    }))
}

/// Loads some rows; they stay if they are taken.
async fn attempt(
    connection: &PgConnection,
    rows: &StreamRows,
    range: Range<usize>,
    place: usize,
) -> Result<Option<tokio_postgres::Error>, tokio_postgres::Error> {
    connection.run("savepoint rows").await?;
    let error = match write(connection, rows, range, place).await {
        Ok(()) => {
            connection.run("release savepoint rows").await?;
            return Ok(None);
        }
        Err(error) => error,
    };
    if consequence(&error) != RefusalConsequence::Row {
        return Err(error);
    }
    connection.run("rollback to savepoint rows").await?;
    Ok(Some(error))
}

async fn write(
    connection: &PgConnection,
    rows: &StreamRows,
    range: Range<usize>,
    place: usize,
) -> Result<(), tokio_postgres::Error> {
    let stage = stage(place);
    if let Some(create) = rows.plan.create_stage(&stage) {
        connection.run(&create).await?;
    }
    copy(connection, rows, range, &stage).await?;
    if let Some(merge) = rows.plan.merge(&stage) {
        connection.run(&format!("{merge}; drop table {stage}")).await?;
    }
    Ok(())
}

/// The columns that an error is about: as it says, else those of the constraint that it names.
async fn blamed_columns(
    connection: &PgConnection,
    error: &tokio_postgres::Error,
) -> Result<Vec<String>, tokio_postgres::Error> {
    let Some(refusal) = error.as_db_error() else { return Ok(Vec::new()) };
    if let Some(column) = column(refusal) {
        return Ok(vec![column]);
    }
    let (Some(schema), Some(table), Some(constraint)) = (refusal.schema(), refusal.table(), refusal.constraint())
    else {
        return Ok(Vec::new());
    };
    // A unique index need not be a constraint.
    let sql = "select a.attname::text from pg_catalog.pg_class t join pg_catalog.pg_namespace n on n.oid = t.relnamespace \
               join pg_catalog.pg_attribute a on a.attrelid = t.oid \
               where n.nspname = $1 and t.relname = $2 and (a.attnum = any (\
                   select unnest(c.conkey) from pg_catalog.pg_constraint c where c.conrelid = t.oid and c.conname = $3) \
                 or a.attnum = any (select unnest(i.indkey::int2[]) from pg_catalog.pg_index i \
                   join pg_catalog.pg_class x on x.oid = i.indexrelid where i.indrelid = t.oid and x.relname = $3)) \
               order by a.attnum";
    let rows = connection.client().query(sql, &[&schema, &table, &constraint]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

fn described(rows: &StreamRows, row: usize, columns: &[String]) -> String {
    let key = match rows.plan.keys.is_empty() {
        true => "without a key".to_owned(),
        false => format!("key {}", rows.key(row)),
    };
    match columns {
        [] => key,
        [column] => format!("{key}, column {column:?}"),
        several => format!("{key}, columns {}", several.join(", ")),
    }
}
