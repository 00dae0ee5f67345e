//! `check`: is everything there that a read would need?

use std::path::Path;

use super::message;
use super::read::Rotation;
use crate::session::{Session, TapError};

/// Tells in a CONNECTION_STATUS; only stdout itself can make it fail.
pub(super) async fn run(config: &Path) -> Result<(), TapError> {
    let outcome = connect(config).await;
    let failure = outcome.err().map(|error| error.to_string());
    message::write(&message::connection_status(failure.as_deref())).map_err(TapError::Output)
}

async fn connect(config: &Path) -> Result<(), TapError> {
    let session = Session::open_to_look(&[config.into()])?;
    let rotation = Rotation::watch(&session, config);
    let checked = session.check_access().await;
    rotation.end().await?;
    let checked = checked?;
    if let Some(account) = &checked.account {
        tracing::info!("portal {} with {} ticket properties", account.portal_id, checked.properties.unwrap_or(0));
    }
    for check in checked.checks.iter().filter(|check| !check.problems.is_empty()) {
        tracing::warn!("{}", check.verdict());
    }
    checked.conclude()
}
