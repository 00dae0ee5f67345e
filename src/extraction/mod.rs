//! Reading a portal: from plans and cursors to the encoded records of pages, with checkpoints between them.
//!
//! The rooms, in the order in which records go through them; each imports only from those to its left:
//!
//! ```text
//!   cache, error, event, summary ─▶ plan ─▶ read ─▶ enrich ─▶ encode ─▶ emit ─▶ sync ─▶ extract
//!   what all rooms share            what is  pages   what      bytes     state   when to
//!                                   selected         a page    of        and     read
//!                                                    needs     records   sink    what
//! ```

mod cache;
mod emit;
mod encode;
mod enrich;
mod error;
mod event;
mod plan;
mod read;
mod summary;
mod sync;

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;

use emit::Emitter;
use sync::audit::Audit;
use sync::object_sync::ObjectSync;
use sync::small_streams::yield_small;

use crate::client::{Client, ObjectType};

pub use cache::Cache;
pub use cache::error::CacheError;
pub use encode::stamp::Stamp;
pub use encode::whole_page::encode_answer;
pub use error::ExtractError;
pub use event::{Extracted, Records, Sink};
pub use plan::Plan;
pub use plan::associations::{AssociationSettings, wanted_associations};
pub use plan::bounds::Bounds;
pub use plan::error::PlanError;
pub use plan::privacy::Privacy;
pub use plan::schemas::StreamSchema;
pub use summary::{Ending, Phase, PhaseKind, Reason, StreamSummary, Summary, SummaryHandle};
pub use sync::estimate::{AssociationCost, Calls, Estimate, HowRead};
pub use sync::run::Run;
pub use sync::side_streams::{KeptStream, SideLists, Sides, read_sides};
pub use sync::small_streams::SmallRecords;

/// Extracts what a run's plan selects: the small streams, then tickets with their associations.
///
/// # Errors
/// Everything yielded before the error stands, and the last checkpoint covers it.
pub async fn extract(client: Arc<Client>, run: Run, sink: &Sink, summary: &SummaryHandle) -> Result<(), ExtractError> {
    extract_until(client, run, sink, summary, pending()).await
}

/// The same, until `stop` comes to its end; what was yielded by then is covered by a last checkpoint.
///
/// # Errors
/// As [`extract`]; [`ExtractError::Stopped`] when it was stopped.
pub async fn extract_until(
    client: Arc<Client>,
    run: Run,
    sink: &Sink,
    summary: &SummaryHandle,
    stop: impl Future<Output = ()>,
) -> Result<(), ExtractError> {
    let Run { plan, small, mut kept, portal_failure, stamp, bounds, state, cache } = run;
    let bounds = bounds.in_millis();
    let mut emitter = Emitter::new(&stamp, sink, summary, state, plan.audit.is_some(), cache.map(Arc::new));
    // Safe: it is the state that came in. pipelinewise's target takes the first STATE for written when it writes anything.
    emitter.checkpoint().await?;
    for records in small {
        yield_small(records, &mut emitter).await?;
    }
    let mut audit = Audit::default();
    let mut outcome = Ok(());
    let mut stop = pin!(stop);
    for object in plan.objects {
        let (stream, is_side) = (object.streams()[0], object.object_type != ObjectType::TICKETS);
        let was_read = emitter.state.bookmark(stream).is_some();
        let ended = match ObjectSync::new(&client, object, &bounds, &emitter) {
            Ok(group) => tokio::select! {
                biased;
                () = &mut stop => Err(ExtractError::Stopped),
                outcome = group.run(&mut emitter, &mut audit) => outcome,
            },
            Err(error) => Err(error.into()),
        };
        let ended = match ended {
            // The row cache may know of rows that were about to be yielded, so that nothing may follow.
            Err(ExtractError::Client(error)) if is_side && !error.ends_all() && emitter.cache.is_none() => {
                tracing::warn!("{stream} cannot be read to its end now: {error}");
                // A scope that was missing from the beginning is told by the warning alone.
                let has_rows = |(name, counts): &(&str, StreamSummary)| *name == stream && counts.records > 0;
                let is_begun = was_read || summary.now().streams.iter().any(has_rows);
                let is_failure = is_begun || error.missing_scope().is_none();
                kept.push(KeptStream { stream, failure: is_failure.then_some(error) });
                Ok(())
            }
            ended => ended,
        };
        let goes_on = ended.as_ref().err().is_none_or(ExtractError::concerns_one_object);
        // The first failure is the one that is told.
        outcome = outcome.and(ended);
        if !goes_on {
            break;
        }
    }
    // What was read is told also when a part failed, and most of all then.
    let told = audit.write(plan.audit.as_ref(), &client, &emitter).await;
    let cut_short = matches!(outcome, Err(ExtractError::Client(_) | ExtractError::Stopped));
    if cut_short && told.is_ok() && emitter.cache.is_none() {
        // Safe: the state names nothing but what was yielded before. The row cache may know of rows that were about to be.
        emitter.checkpoint().await?;
    }
    outcome.and(told)?;
    // Safe: nothing has been yielded since the last part's own checkpoint but the audit.
    emitter.checkpoint().await?;
    // All else was read: only now the failure of a side decides how the run ends.
    let failed = kept.into_iter().find_map(|KeptStream { stream, failure }| failure.map(|source| (stream, source)));
    match (failed, portal_failure) {
        (Some((stream, source)), _) => Err(ExtractError::Kept { stream, source }),
        (None, Some(source)) => Err(ExtractError::UntoldPortal { source }),
        (None, None) => Ok(()),
    }
}
