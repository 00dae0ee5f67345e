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
    let portal = session.discover(true).await;
    rotation.end().await?;
    let portal = portal?;
    tracing::info!("portal {} with {} ticket properties", portal.account.portal_id, portal.properties.len());
    for (stream, scope) in &portal.access.streams {
        tracing::warn!("{stream} cannot be read: the token lacks the scope {scope}");
    }
    for (object_type, scope) in &portal.access.associations {
        tracing::warn!("associations with {object_type} cannot be read: the token lacks the scope {scope}");
    }
    Ok(())
}
