//! `--test`: is everything there that a delivery would need?

use std::fmt::Write as _;
use std::io::{self, Write};

use super::cli::Arguments;
use super::definitions::Definitions;
use super::delivery::ORDER;
use super::exit::TargetError;
use super::portal::Session;
use crate::client::{ClientError, ObjectType};

/// Reports the portal, what may be written to it, the property for delivery keys, and the quota.
///
/// A write of nothing shows whether the token may: HubSpot asks for the scope before it looks at the body.
pub(super) async fn connection(arguments: &Arguments) -> Result<(), TargetError> {
    let session = Session::open(arguments).await?;
    let mut report = format!("portal {}", session.portal_id);
    if let Some(account_type) = &session.account_type {
        write!(report, ", {account_type}").expect("writing to a String does not fail");
    }
    report.push('\n');
    for object_type in ORDER {
        let verdict = match session.client.batch_update_objects(&object_type, &[]).await {
            Ok(_) | Err(ClientError::Refused { status: 400, .. }) => "ok".to_owned(),
            Err(ClientError::MissingScopes { scopes, .. }) => format!("missing: add the scope {}", scopes.join(" or ")),
            Err(error) => return Err(error.into()),
        };
        writeln!(report, "write {object_type}: {verdict}").expect("writing to a String does not fail");
    }
    if let Some(key) = session.config.ticket_key() {
        let verdict = match Definitions::read(&session.client, &ObjectType::TICKETS).await {
            Ok(definitions) => match definitions.by_name.get(key) {
                Some(definition) if definition.unique => "there",
                Some(_) => "there, but its values are not unique: set ticket_key to another property",
                None => "created on first use",
            },
            Err(ClientError::MissingScopes { .. }) => "not to be seen by this token",
            Err(error) => return Err(error.into()),
        };
        writeln!(report, "ticket property {key}: {verdict}").expect("writing to a String does not fail");
    }
    // OAuth apps have no such figure.
    if let Some(usage) = session.client.daily_usage().await {
        let left = usage.limit.saturating_sub(usage.used);
        writeln!(report, "{left} of {} API calls left today", usage.limit).expect("writing to a String does not fail");
    }
    io::stdout().write_all(report.as_bytes()).map_err(TargetError::Output)
}
