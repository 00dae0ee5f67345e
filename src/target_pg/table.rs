//! A stream's table, made to fit what the stream declares.

use std::collections::BTreeMap;

use tokio_postgres::Client;

use super::column::Column;
use super::connection::PgConnection;
use super::plan::{TablePlan, Writing};
use super::sql_type::SqlType;
use super::stream_schema::{SchemaProperty, SingerSchema};
use super::table_name::{TableName, quoted};
use super::widening::{ValueFit, fit};

/// Two runs that begin at once may both make a table; whoever comes second looks again.
const ATTEMPTS: usize = 3;
/// What Postgres says when a schema, table or column is there already, or two sessions make it at once.
const THERE_ALREADY: [&str; 5] = ["42P06", "42P07", "42701", "23505", "42710"];

/// Why a table cannot be made to fit.
#[derive(Debug)]
pub(super) enum Unfit {
    /// The stream's declaration and the table contradict each other.
    Declaration(String),
    Postgres(tokio_postgres::Error),
}

impl From<tokio_postgres::Error> for Unfit {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

/// Makes the table of a stream, or adds and widens columns of the one that is there; tells how to load it.
///
/// # Errors
/// When a column cannot take what the stream declares, or Postgres refuses.
pub(super) async fn prepare(connection: &PgConnection, schema: &SingerSchema) -> Result<TablePlan, Unfit> {
    let mut attempt = 1;
    loop {
        match try_prepare(connection.client(), schema).await {
            Err(Unfit::Postgres(error)) if attempt < ATTEMPTS && is_there_already(&error) => attempt += 1,
            outcome => return outcome,
        }
    }
}

fn is_there_already(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| THERE_ALREADY.contains(&code.code()))
}

async fn try_prepare(client: &Client, schema: &SingerSchema) -> Result<TablePlan, Unfit> {
    let table = &schema.table;
    if let Some(name) = &table.schema {
        create_schema(client, name).await?;
    }
    let there = match columns(client, table).await? {
        there if there.is_empty() => {
            client.batch_execute(&create_table(schema)).await?;
            tracing::info!("table {table} created");
            columns(client, table).await?
        }
        there => {
            let changes = changes(schema, &there).map_err(Unfit::Declaration)?;
            if changes.is_empty() {
                there
            } else {
                client.batch_execute(&format!("alter table {table} {}", changes.join(", "))).await?;
                tracing::info!("table {table} changed: {}", changes.join(", "));
                columns(client, table).await?
            }
        }
    };
    let writing = match schema.keys.is_empty() {
        true => Writing::Append,
        false if has_unique_index(client, table, &schema.keys).await? => Writing::Upsert,
        false => Writing::UpdateAndInsert,
    };
    let column = |property: &SchemaProperty| Column {
        name: property.name.clone(),
        sql_type: there.get(&property.name).cloned().unwrap_or(SqlType::Text),
        kinds: property.declared.kinds,
        source: property.source,
        is_key: schema.keys.contains(&property.name),
    };
    let columns = schema.properties.iter().map(column).collect();
    Ok(TablePlan::new(schema.stream.clone(), table.clone(), columns, writing))
}

/// Creates a schema unless it is there: Postgres wants the right to create one even for `if not exists`.
///
/// # Errors
/// As Postgres has it.
pub(super) async fn create_schema(client: &Client, name: &str) -> Result<(), tokio_postgres::Error> {
    let there = client.query_opt("select 1 from pg_catalog.pg_namespace where nspname = $1", &[&name]).await?;
    if there.is_none() {
        client.batch_execute(&format!("create schema {}", quoted(name))).await?;
        tracing::info!("schema {} created", quoted(name));
    }
    Ok(())
}

/// The types of a table's columns; none when there is no such table.
async fn columns(client: &Client, table: &TableName) -> Result<BTreeMap<String, SqlType>, tokio_postgres::Error> {
    let sql = "select attname::text, pg_catalog.format_type(atttypid, atttypmod) from pg_catalog.pg_attribute \
               where attrelid = pg_catalog.to_regclass($1) and attnum > 0 and not attisdropped";
    let rows = client.query(sql, &[&table.to_string()]).await?;
    Ok(rows.iter().map(|row| (row.get(0), SqlType::of_postgres(row.get(1)))).collect())
}

/// Whether a unique index is there on exactly these columns, for `on conflict` to name.
async fn has_unique_index(client: &Client, table: &TableName, keys: &[String]) -> Result<bool, tokio_postgres::Error> {
    let sql = "select exists (select from pg_catalog.pg_index i where i.indrelid = pg_catalog.to_regclass($1) \
               and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null \
               and (select array_agg(a.attname::text order by a.attname::text) from pg_catalog.pg_attribute a \
                    where a.attrelid = i.indrelid and a.attnum = any (i.indkey[0:i.indnkeyatts - 1])) \
                 = (select array_agg(k order by k) from unnest($2::text[]) k))";
    Ok(client.query_one(sql, &[&table.to_string(), &keys]).await?.get(0))
}

fn create_table(schema: &SingerSchema) -> String {
    let columns = schema.properties.iter().map(|SchemaProperty { name, declared, .. }| {
        let not_null = if schema.keys.contains(name) { " not null" } else { "" };
        format!("{} {}{not_null}", quoted(name), declared.sql_type)
    });
    let keys: Vec<_> = schema.keys.iter().map(|key| quoted(key)).collect();
    let key = (!keys.is_empty()).then(|| format!("primary key ({})", keys.join(", ")));
    format!("create table {} ({})", schema.table, columns.chain(key).collect::<Vec<_>>().join(", "))
}

/// The parts of an `alter table` that makes a table fit.
fn changes(schema: &SingerSchema, there: &BTreeMap<String, SqlType>) -> Result<Vec<String>, String> {
    let mut changes = Vec::new();
    for SchemaProperty { name, declared, .. } in &schema.properties {
        let (column, wanted) = (quoted(name), &declared.sql_type);
        let Some(existing) = there.get(name) else {
            changes.push(format!("add column {column} {wanted}"));
            continue;
        };
        match fit(existing, wanted) {
            ValueFit::Keep => {}
            ValueFit::Widen { to, using } => {
                changes.push(format!("alter column {column} type {to} using {}", using.replace('$', &column)));
            }
            ValueFit::Conflict => {
                return Err(format!(
                    "the column {name:?} of {} is {existing}, and the stream now has {wanted}, which it cannot hold \
                     without a loss; rename or drop the column, or give the property its old type in the tap's catalog",
                    schema.table
                ));
            }
        }
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema(properties: serde_json::Value) -> SingerSchema {
        let settings = serde_json::from_value(json!({"add_record_metadata": false})).expect("settings");
        let schema = json!({"properties": properties});
        SingerSchema::read("s", schema.as_object().expect("an object"), &["id".to_owned()], &settings)
            .expect("a schema")
    }

    #[test]
    fn a_table_is_made_with_its_key() {
        let schema = schema(json!({"name": {"type": "string"}, "id": {"type": "integer"}}));
        let expected = r#"create table "melty"."s" ("name" text, "id" bigint not null, primary key ("id"))"#;
        assert_eq!(create_table(&schema), expected);
    }

    #[test]
    fn a_table_that_is_there_gets_what_it_lacks() {
        let schema = schema(json!({"id": {"type": "number"}, "new": {"type": "boolean"}, "same": {"type": "string"}}));
        let there = BTreeMap::from([("id".to_owned(), SqlType::BigInt), ("same".to_owned(), SqlType::Text)]);
        let expected = [r#"alter column "id" type numeric using "id""#, r#"add column "new" boolean"#];
        assert_eq!(changes(&schema, &there).expect("changes"), expected);
        let there = BTreeMap::from([("id".to_owned(), SqlType::Boolean)]);
        let said = changes(&schema, &there).expect_err("a conflict");
        assert!(said.contains("\"id\"") && said.contains("boolean") && said.contains("numeric"), "{said}");
    }
}
