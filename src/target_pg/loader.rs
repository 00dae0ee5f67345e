//! Carries out what the assembly hands over: tables, batches, and what to do when the server is away for a while.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::assembly::Work;
use super::batch::Batch;
use super::connection::PgConnection;
use super::exit::LoadError;
use super::load::{Failure, Fate, LoadOutcome, TransactionId, fate, load};
use super::plan::TablePlan;
use super::refusal::{RefusalConsequence, consequence, ending, sentence};
use super::refused;
use super::stream_schema::SingerSchema;
use super::summary::LoadSummary;
use super::table::{Unfit, prepare};

/// How long one batch is tried again: a server may be away for two minutes, and more than once.
const PATIENCE: Duration = Duration::from_secs(300);
/// Between two attempts at a batch that another session was in the way of.
const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// Loads into one database.
pub(super) struct Loader {
    connection: PgConnection,
    hard_delete: bool,
    pub(super) summary: LoadSummary,
}

/// Attempts at one thing, and the waits between them.
struct Attempts {
    begun: Instant,
    delay: Duration,
}

impl Loader {
    /// Loads over a connection.
    pub(super) fn new(connection: PgConnection, hard_delete: bool) -> Self {
        Self { connection, hard_delete, summary: LoadSummary::default() }
    }

    /// Carries out one work; gives the STATE that is true now.
    ///
    /// # Errors
    /// What ends the run.
    pub(super) async fn carry_out(&mut self, work: Work) -> Result<Option<String>, LoadError> {
        match work {
            Work::Fail(error) => Err(error.into()),
            Work::Prepare { schema, reply } => {
                let plan = self.prepare(&schema).await?;
                // The assembly waits for nothing else.
                let _ = reply.send(Arc::new(plan));
                Ok(None)
            }
            Work::Load(batch) => {
                if !batch.has_no_rows() {
                    let begun = Instant::now();
                    let loaded = self.load(&batch).await?;
                    self.summary.count(&batch, &loaded, begun.elapsed());
                }
                Ok(batch.state)
            }
        }
    }

    async fn prepare(&mut self, schema: &SingerSchema) -> Result<TablePlan, LoadError> {
        let stream = &schema.stream;
        let mut attempts = Attempts::begin();
        loop {
            let error = match prepare(&self.connection, schema).await {
                Ok(plan) => return Ok(plan),
                Err(Unfit::Declaration(reason)) => return Err(LoadError::Stream { stream: stream.clone(), reason }),
                Err(Unfit::Postgres(error)) => error,
            };
            match consequence(&error) {
                RefusalConsequence::Lost | RefusalConsequence::Conflict => self.recover(&error, &mut attempts).await?,
                RefusalConsequence::Row | RefusalConsequence::Other => {
                    let reason = format!("Postgres refuses its table {}: {}", schema.table, sentence(&error));
                    return Err(LoadError::Stream { stream: stream.clone(), reason });
                }
                _ => return Err(ending(&error, &self.connection.place())),
            }
        }
    }

    /// Loads a batch, again and again if need be. Rows of a key are written once more, whatever became of the attempt
    /// before: after a crash the number of its transaction may be another's. Only for rows without a key its word counts.
    async fn load(&mut self, batch: &Batch) -> Result<LoadOutcome, LoadError> {
        let mut attempts = Attempts::begin();
        loop {
            let Failure { error, transaction, stream } = match load(&self.connection, batch, self.hard_delete).await {
                Ok(loaded) => return Ok(loaded),
                Err(failure) => failure,
            };
            match consequence(&error) {
                RefusalConsequence::Lost | RefusalConsequence::Conflict => {
                    self.recover(&error, &mut attempts).await?;
                    if let Some(transaction) = transaction
                        && self.was_committed(&transaction, &error, &mut attempts).await?
                        && batch.appends()
                    {
                        return Ok(LoadOutcome::default());
                    }
                }
                RefusalConsequence::Row => return Err(self.refused(batch, error).await),
                RefusalConsequence::Other if let Some(stream) = stream => {
                    let reason = format!("Postgres refuses: {}; nothing of its batch is loaded", sentence(&error));
                    return Err(LoadError::Stream { stream, reason });
                }
                _ => return Err(ending(&error, &self.connection.place())),
            }
        }
    }

    /// Whether a transaction whose end was not seen was committed. Waits for one that is in progress: to load its batch
    /// beside it would add rows without a key twice.
    async fn was_committed(
        &mut self,
        transaction: &TransactionId,
        error: &tokio_postgres::Error,
        attempts: &mut Attempts,
    ) -> Result<bool, LoadError> {
        loop {
            match fate(&self.connection, transaction).await {
                Ok(Fate::Committed) => return Ok(true),
                Ok(Fate::RolledBack) => return Ok(false),
                Ok(Fate::InProgress) if attempts.wait().await => {}
                Ok(Fate::InProgress) => return Err(ending(error, &self.connection.place())),
                Err(again) => self.recover(&again, attempts).await?,
            }
        }
    }

    async fn recover(&mut self, error: &tokio_postgres::Error, attempts: &mut Attempts) -> Result<(), LoadError> {
        let may_pass = matches!(consequence(error), RefusalConsequence::Lost | RefusalConsequence::Conflict);
        if !may_pass || !attempts.wait().await {
            return Err(ending(error, &self.connection.place()));
        }
        tracing::warn!("{}; trying again", sentence(error));
        if consequence(error) == RefusalConsequence::Lost {
            self.connection.reopen().await?;
        }
        Ok(())
    }

    async fn refused(&self, batch: &Batch, error: tokio_postgres::Error) -> LoadError {
        match refused::find(&self.connection, batch).await {
            Ok(Some(found)) => found,
            Ok(None) => ending(&error, &self.connection.place()),
            Err(other) => ending(&other, &self.connection.place()),
        }
    }
}

impl Attempts {
    fn begin() -> Self {
        Self { begun: Instant::now(), delay: FIRST_DELAY }
    }

    /// Waits for the next attempt; false when it is time to give up.
    async fn wait(&mut self) -> bool {
        if self.begun.elapsed() + self.delay > PATIENCE {
            return false;
        }
        // Two sessions that were in each other's way do not come back at the same instant.
        tokio::time::sleep(self.delay.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        self.delay = (2 * self.delay).min(LONGEST_DELAY);
        true
    }
}
