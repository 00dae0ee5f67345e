//! The one connection of a run, made again when it is lost.

use std::time::{Duration, Instant};

use tokio_postgres::{Client, SimpleQueryMessage};

use super::address::Address;
use super::exit::LoadError;
use super::refusal::{RefusalConsequence, consequence, ending};

/// How long a server may be away, as for a restart or a failover, before a run gives up.
const PATIENCE: Duration = Duration::from_secs(120);
/// At the start of a run a wrong address is the likelier reason.
const FIRST_PATIENCE: Duration = Duration::from_secs(5);
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// What a role or a database may have set otherwise.
///
/// The text of dates and of nulls in arrays must not depend on anybody's taste. A statement of a large batch may take longer
/// than suits interactive use; the bounds of time are set by what the server knows, since only later versions have all of
/// them. A commit must survive a crash of the server once its STATE is written.
const SESSION: &str = "set session timezone = 'UTC'; set session datestyle = 'ISO, YMD'; set session array_nulls = on; \
     set session standard_conforming_strings = on; set session client_min_messages = 'error'; \
     select pg_catalog.set_config(name, '0', false) from unnest(array['statement_timeout', 'transaction_timeout', \
         'idle_in_transaction_session_timeout', 'idle_session_timeout']) name \
         where pg_catalog.current_setting(name, true) <> '0'; \
     select pg_catalog.set_config('synchronous_commit', 'on', false) \
         where pg_catalog.current_setting('synchronous_commit') = 'off'";

/// A session with the database.
pub(super) struct PgConnection {
    address: Address,
    client: Client,
}

impl PgConnection {
    /// Connects; a server that is just starting is waited for a little.
    ///
    /// # Errors
    /// When the server cannot be reached or does not let the user in.
    pub(super) async fn open(address: Address) -> Result<Self, LoadError> {
        let client = connect_within(&address, FIRST_PATIENCE).await?;
        Ok(Self { address, client })
    }

    /// The session.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The server and database for people.
    pub(super) fn place(&self) -> String {
        self.address.shown()
    }

    /// Connects again, waiting for the server as long as it may be away.
    ///
    /// # Errors
    /// When it stays away, or does not let the user in any more.
    pub(super) async fn reopen(&mut self) -> Result<(), LoadError> {
        self.client = connect_within(&self.address, PATIENCE).await?;
        Ok(())
    }

    /// Runs statements, and gives the first field of the last row.
    ///
    /// # Errors
    /// As Postgres has it.
    pub(super) async fn run(&self, sql: &str) -> Result<Option<String>, tokio_postgres::Error> {
        let messages = self.client.simple_query(sql).await?;
        let last = messages.iter().rev().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        Ok(last.and_then(|row| row.get(0)).map(str::to_owned))
    }
}

async fn connect_within(address: &Address, patience: Duration) -> Result<Client, LoadError> {
    let (begun, mut delay) = (Instant::now(), FIRST_DELAY);
    loop {
        match connect(address).await? {
            Ok(client) => return Ok(client),
            Err(error) if consequence(&error) == RefusalConsequence::Lost && begun.elapsed() + delay < patience => {
                tracing::debug!("no connection yet: {error}");
                tokio::time::sleep(delay).await;
                delay = (2 * delay).min(LONGEST_DELAY);
            }
            Err(error) => return Err(ending(&error, &address.shown())),
        }
    }
}

async fn connect(address: &Address) -> Result<Result<Client, tokio_postgres::Error>, LoadError> {
    let connected = address.config.connect(address.tls.connector()?).await;
    let (client, connection) = match connected {
        Ok(connected) => connected,
        Err(error) => return Ok(Err(error)),
    };
    tokio::spawn(async move {
        // Whoever uses the client learns of it, too.
        if let Err(error) = connection.await {
            tracing::debug!("the connection ended: {error}");
        }
    });
    Ok(client.batch_execute(SESSION).await.map(|()| client))
}
