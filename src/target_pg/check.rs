//! `--test`: is everything there that a load would need?

use std::fmt::Write as _;
use std::io::{self, Write};

use super::cli::TargetPgArguments;
use super::connection::PgConnection;
use super::exit::LoadError;
use super::refusal::ending;
use super::run::configured;
use super::table::create_schema;
use super::table_name::quoted;

/// Connects, creates the schema when it is missing, and tells which rights the user has.
///
/// # Errors
/// When the database cannot be reached, or a right is missing: the error names it.
pub(super) async fn connection(arguments: &TargetPgArguments) -> Result<(), LoadError> {
    let (settings, address) = configured(arguments)?;
    let connection = PgConnection::open(address).await?;
    let mut report = format!("{}\n", connection.place());
    let outcome = examine(&connection, &settings.default_target_schema, &mut report).await;
    io::stdout().write_all(report.as_bytes()).map_err(LoadError::Output)?;
    outcome
}

async fn examine(connection: &PgConnection, schema: &str, report: &mut String) -> Result<(), LoadError> {
    let place = connection.place();
    let of_postgres = |error: tokio_postgres::Error| ending(&error, &place);
    let client = connection.client();
    let sql = "select current_user::text, current_database()::text, current_setting('server_version'), \
               coalesce((select ssl from pg_catalog.pg_stat_ssl where pid = pg_backend_pid()), false), \
               has_database_privilege(current_database(), 'temporary'), \
               has_database_privilege(current_database(), 'create'), \
               coalesce(current_schema()::text, '')";
    let row = client.query_one(sql, &[]).await.map_err(of_postgres)?;
    let (user, database): (String, String) = (row.get(0), row.get(1));
    let tls = if row.get(3) { "with TLS" } else { "without TLS" };
    let version: String = row.get(2);
    writeln!(report, "Postgres {version}, user {user}, {tls}").expect("a String takes it");
    let denied = |right: String| LoadError::Denied { reason: format!("a right is missing: {right}") };
    if !row.get::<_, bool>(4) {
        return Err(denied(format!("grant temporary on database {} to {}", quoted(&database), quoted(&user))));
    }
    let schema = if schema.is_empty() { row.get(6) } else { schema.to_owned() };
    let there = "select 1 from pg_catalog.pg_namespace where nspname = $1";
    if client.query_opt(there, &[&schema]).await.map_err(of_postgres)?.is_none() {
        if !row.get::<_, bool>(5) {
            return Err(denied(format!("grant create on database {} to {}", quoted(&database), quoted(&user))));
        }
        create_schema(client, &schema).await.map_err(of_postgres)?;
        writeln!(report, "schema {schema}: created").expect("a String takes it");
    }
    for right in ["usage", "create"] {
        let has = client.query_one("select has_schema_privilege($1::text, $2::text)", &[&schema, &right]).await;
        if !has.map_err(of_postgres)?.get::<_, bool>(0) {
            return Err(denied(format!("grant {right} on schema {} to {}", quoted(&schema), quoted(&user))));
        }
    }
    writeln!(report, "schema {schema}: ok").expect("a String takes it");
    Ok(())
}
