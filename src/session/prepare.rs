//! A run, made ready: everything is checked before the first message.

use std::time::Duration;

use chrono::Utc;
use serde_json::{Map, Value};

use super::exit::TapError;
use super::portal::{Session, Surveyed};
use crate::catalog::Catalog;
use crate::config::Config;
use crate::discovery::STREAMS;
use crate::extraction::{Bounds, Cache, ExtractError, Plan, Run, Stamp, read_small_streams};
use crate::state::State;

/// What a run is asked for beside its settings.
#[derive(Debug, Default)]
pub struct Assignment {
    /// Which streams and columns; none: those that are selected by default.
    pub catalog: Option<Catalog>,
    /// The state of the last run.
    pub state: Option<Map<String, Value>>,
    /// Streams that are read again from their beginning, whatever the state says.
    pub forget: Vec<String>,
}

/// Checks everything that can be wrong and reads what fits in memory; nothing has been written when it fails.
///
/// # Errors
/// When settings, catalog, state and portal do not belong together, or HubSpot refuses what is selected.
pub async fn prepare(session: &Session, assignment: Assignment) -> Result<Run, TapError> {
    let config = &session.config;
    let Assignment { catalog, state: incoming, forget } = assignment;
    let Surveyed { portal_id, catalog, access, properties } = session.survey(catalog).await?;
    let streams = STREAMS.map(|stream| stream.name);
    let mut state = State::of(incoming, &portal_id, &streams)?;
    for stream in &forget {
        if !streams.contains(&stream.as_str()) {
            return Err(TapError::UnknownStream { stream: stream.clone(), known: streams.join(", ") });
        }
        state.forget(stream);
    }
    let plan = Plan::new(&catalog, &session.associations, &access, &state)?;
    for warning in &plan.warnings {
        tracing::warn!("{warning}");
    }
    let small = read_small_streams(&session.client, &plan, properties).await?;
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
    Ok(Run { plan, small, stamp, bounds: bounds(config), state, cache })
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
