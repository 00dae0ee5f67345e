//! From a config to a portal that can be written to.

use std::sync::Arc;

use super::cli::TargetArguments;
use super::error::TargetError;
use crate::client::{Client, ClientError, Connection, NewProperty, ObjectType};
use crate::config::{ConfigSource, LoadedTarget, TargetConfig, load_target};
use crate::discovery::discover_account;
use crate::session::Lock;

/// Unique property of companies and deals that this target creates; tickets have the one that `ticket_key` names.
pub(super) const DELIVERY_KEY: &str = "tap_delivery_key";

/// What deals without a delivery key come to.
pub(super) const DOUBLE_DEALS: &str =
    "until then two deliveries at the same time can create a deal twice (lock_path keeps them apart)";

/// A config and the client made of it, whose token is known to belong to the right portal.
#[derive(Debug)]
pub(super) struct TargetSession {
    pub(super) config: TargetConfig,
    pub(super) client: Arc<Client>,
    pub(super) portal_id: String,
    pub(super) account_type: Option<String>,
    /// Held until the run ends.
    _lock: Option<Lock>,
}

impl TargetSession {
    /// Loads the config and asks which portal the token belongs to; nothing is written before that is known.
    pub(super) async fn open(arguments: &TargetArguments) -> Result<Self, TargetError> {
        let sources: Vec<ConfigSource> = arguments.config.iter().map(|source| source.as_str().into()).collect();
        let LoadedTarget { connection, target, warnings } = load_target(&sources)?;
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        let client = Client::new(Connection {
            base_url: connection.api_base_url.clone(),
            api_version: connection.api_version.clone(),
            credentials: connection.credentials()?,
            token_cache: connection.token_cache_path.clone(),
            user_agent: connection.user_agent.clone(),
            request_timeout: connection.request_timeout(),
            requests_per_10s: connection.rate_limit,
            rate_limit_share: connection.rate_limit_share,
            // --test must work whatever is left of the daily quota.
            daily_reserve: if arguments.test { 0.0 } else { connection.daily_reserve },
            retry_attempts: connection.retry_attempts,
            retry_delay: connection.retry_delay(),
        })?;
        // Nothing is written before the portal is known.
        let account = discover_account(&client, connection.organization_id.as_deref()).await??;
        // A run that writes nothing may run beside a delivery.
        let writes = !arguments.test && !arguments.dry_run;
        let lock = match connection.lock_path.as_deref() {
            Some(folder) if writes => Some(Lock::take(folder, "target-hubspot", &account.portal_id.to_string())?),
            Some(folder) => Lock::check(folder).map(|()| None)?,
            None => None,
        };
        Ok(Self {
            _lock: lock,
            config: target,
            client: Arc::new(client),
            portal_id: account.portal_id.to_string(),
            account_type: account.account_type,
        })
    }
}

/// Defines the unique property that holds delivery keys.
///
/// # Errors
/// A sentence with what to set, when the token may not; any other failure of HubSpot's.
pub(super) async fn define_key(
    client: &Client,
    object_type: &ObjectType,
    name: &str,
) -> Result<Result<(), String>, ClientError> {
    let group = match object_type.as_str() {
        "companies" => "companyinformation",
        "deals" => "dealinformation",
        _ => "ticketinformation",
    };
    let new = NewProperty {
        name,
        label: "Delivery key",
        group,
        description: "Keeps target-hubspot from writing a record twice.",
    };
    match client.create_unique_property(object_type, new).await {
        Ok(_) => Ok(Ok(())),
        Err(ClientError::MissingScopes { scopes, .. }) if !scopes.is_empty() => {
            Ok(Err(may_not_define(object_type, name, &scopes.join(" or "))))
        }
        Err(ClientError::MissingScopes { .. } | ClientError::Refused { status: 403, .. }) => {
            Ok(Err(may_not_define(object_type, name, &definition_scope(object_type))))
        }
        Err(error) => Err(error),
    }
}

/// The scope that HubSpot asks for before it defines a property.
pub(super) fn definition_scope(object_type: &ObjectType) -> String {
    match object_type.as_str() {
        "tickets" => "tickets".to_owned(),
        of => format!("crm.schemas.{of}.write"),
    }
}

fn may_not_define(object_type: &ObjectType, name: &str, scope: &str) -> String {
    let other = match object_type.as_str() {
        "tickets" => "or set ticket_key to another unique property, or to \"none\" to accept doubles",
        _ => "or set id_property of the stream to another unique property",
    };
    format!(
        "the portal has no property {name} and the token may not create it: add the scope {scope} to the token, or create \
         the property in HubSpot (single-line text, unique values), {other}"
    )
}
