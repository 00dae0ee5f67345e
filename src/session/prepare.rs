//! A run, made ready: everything is checked before the first message.

use std::time::Duration;

use chrono::Utc;
use serde_json::{Map, Value};

use super::drift;
use super::exit::TapError;
use super::lock::Lock;
use super::portal::{Session, Surveyed};
use crate::catalog::Catalog;
use crate::config::Config;
use crate::discovery::{StreamSet, discover_properties};
use crate::extraction::{Bounds, Cache, ExtractError, KeptStream, Plan, Run, Sides, Stamp, read_sides};
use crate::state::State;

/// The stream of the definitions that drift shows in.
const PROPERTIES: &str = "ticket_properties";

/// What a run is asked for beside its settings.
#[derive(Debug, Default)]
pub struct Assignment {
    /// Which streams and columns; none: those that are selected by default.
    pub catalog: Option<Catalog>,
    /// The state of the last run.
    pub state: Option<Map<String, Value>>,
    /// Streams that are read again from their beginning, whatever the state says.
    pub forget: Vec<String>,
    /// Nothing is written to a target, so another run of the portal does no harm.
    pub shares: bool,
}

/// A run that is ready.
#[derive(Debug)]
pub struct Prepared {
    /// The run.
    pub run: Run,
    /// Held until the run has ended.
    pub lock: Option<Lock>,
}

/// Checks everything that can be wrong and reads what fits in memory; nothing has been written when it fails.
///
/// # Errors
/// When settings, catalog, state and portal do not belong together, or HubSpot refuses what is selected.
pub async fn prepare(session: &Session, assignment: Assignment) -> Result<Prepared, TapError> {
    let config = &session.config;
    let Assignment { catalog, state: incoming, forget, shares } = assignment;
    let surveyed = session.survey(catalog, incoming.as_ref()).await?;
    let Surveyed { portal_id, portal_failure, catalog, access, denied, definitions, lists } = surveyed;
    let lock = match &config.lock_path {
        Some(folder) if !shares => Some(Lock::take(folder, "tap-hubspot-tickets", &portal_id)?),
        _ => None,
    };
    let streams = StreamSet::of_catalog(&catalog).names();
    let mut state = State::of(incoming, &portal_id, &streams)?;
    for stream in &forget {
        if !streams.contains(&stream.as_str()) {
            return Err(TapError::UnknownStream { stream: stream.clone(), known: streams.join(", ") });
        }
        state.forget(stream);
    }
    let plan = Plan::new(&catalog, &session.associations, &access, &state, &session.privacy())?;
    for warning in &plan.warnings {
        tracing::warn!("{warning}");
    }
    let definitions = match definitions {
        Some(definitions) => Some(Ok(definitions)),
        None if plan.reads_small(PROPERTIES) => Some(discover_properties(&session.client).await),
        None => None,
    };
    if let Some(Ok(definitions)) = &definitions {
        for sentence in drift::sentences(&catalog, &plan.ticket_properties(), definitions) {
            tracing::warn!("{sentence}");
        }
    }
    let Sides { records: small, mut kept } = read_sides(&session.client, &plan, &state, lists, definitions).await?;
    // What was read before and cannot be read any more wants somebody's attention.
    let was_read = |stream: &str| state.bookmark(stream).is_some();
    kept.extend(
        denied
            .into_iter()
            .filter(|(stream, _)| was_read(stream))
            .map(|(stream, error)| KeptStream { stream, failure: Some(error) }),
    );
    let scan_id = config
        .scan_id
        .clone()
        .unwrap_or_else(|| format!("scan-{portal_id}-{}", Utc::now().format("%Y%m%dT%H%M%S%3fZ")));
    let portal = portal_id.parse().expect("HubSpot's ids are numbers");
    let stamp = Stamp { tenant_id: portal_id, scan_id };
    let cache = match &config.cache_path {
        Some(path) => Some(Cache::open(path, portal).map_err(ExtractError::from)?),
        None => None,
    };
    Ok(Prepared { run: Run { plan, small, kept, portal_failure, stamp, bounds: bounds(config), state, cache }, lock })
}

fn bounds(config: &Config) -> Bounds {
    Bounds {
        page_size: config.page_size,
        checkpoint_every_pages: config.checkpoint_every_pages,
        lookback: config.lookback(),
        since: config.start_date,
        until: config.end_date,
        created_after: config.created_after,
        include_archived: config.include_archived,
        archive_hours: config.archive_hours,
        sweep_hours: config.sweep_hours(),
        sweep_time: Duration::from_secs_f64(config.sweep_minutes * 60.0),
    }
}
