//! What a portal has: its properties, what the token may read, and the catalog made of them.

mod catalog;
mod choices;
mod streams;

use futures_util::future::{join, join_all, join4};
use thiserror::Error;

use crate::client::{Account, Client, ClientError, ObjectType, Property};

pub use catalog::build_catalog;
pub use choices::{Choices, is_selected_by_default, is_sensitive, kind_of, matches};
pub use streams::{Field, OBJECT_STREAMS, Role, STREAMS, Stream, association_column, follows_properties, stream};

/// Sensitivities beyond the plain one; each needs scopes of its own, and Enterprise.
const SENSITIVE: [&str; 2] = ["sensitive", "highly_sensitive"];

/// A portal as a token sees it.
#[derive(Debug)]
pub struct Portal {
    /// Which portal.
    pub account: Account,
    /// Its ticket properties, sensitive ones that the token may see included.
    pub properties: Vec<Property>,
    /// The properties of other object types, where they were asked for.
    pub others: Vec<(&'static str, Vec<Property>)>,
    /// What the token may not read.
    pub access: Access,
}

/// The scopes that a token lacks.
#[derive(Debug, Default, Clone)]
pub struct Access {
    /// For whole streams.
    pub streams: Vec<(&'static str, String)>,
    /// For associations with an object type.
    pub associations: Vec<(ObjectType, String)>,
}

/// Why a portal cannot be described.
#[derive(Debug, Error)]
pub enum DiscoveryError {
    /// HubSpot did not answer as needed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A token of another tenant.
    #[error(
        "organization_id is {expected}, but the token belongs to portal {found}; nothing was read: fix the one that is wrong"
    )]
    OtherPortal {
        /// The config's portal.
        expected: String,
        /// The token's portal.
        found: String,
    },
}

impl Portal {
    /// The properties of a stream's objects.
    pub fn properties_of(&self, stream: &str) -> &[Property] {
        match self.others.iter().find(|(name, _)| *name == stream) {
            Some((_, properties)) => properties,
            None if stream == "tickets" => &self.properties,
            None => &[],
        }
    }
}

impl Access {
    /// The scope that a stream would need.
    pub fn missing_for_stream(&self, stream: &str) -> Option<&str> {
        self.streams.iter().find(|(denied, _)| *denied == stream).map(|(_, scope)| scope.as_str())
    }

    /// The scope that reading associations with a type would need.
    pub fn missing_for(&self, object_type: &ObjectType) -> Option<&str> {
        self.associations.iter().find(|(denied, _)| denied == object_type).map(|(_, scope)| scope.as_str())
    }
}

/// Asks which portal the token belongs to, and refuses another one than `organization_id`.
///
/// # Errors
/// When the portals differ or HubSpot does not tell.
pub async fn discover_account(client: &Client, organization_id: Option<&str>) -> Result<Account, DiscoveryError> {
    let account = client.account().await?;
    let found = account.portal_id.to_string();
    match organization_id {
        Some(expected) if expected != found => {
            Err(DiscoveryError::OtherPortal { expected: expected.to_owned(), found })
        }
        _ => Ok(account),
    }
}

/// Asks what the token may read of associations between tickets and `associations`.
///
/// # Errors
/// Any failure but a missing scope.
pub async fn discover_access(client: &Client, associations: &[ObjectType]) -> Result<Access, ClientError> {
    let probes = join_all(associations.iter().map(|object_type| async move {
        let scope = denied(client.probe_associations(&ObjectType::TICKETS, object_type).await)?;
        Ok::<_, ClientError>(scope.map(|scope| (object_type.clone(), scope)))
    }));
    let associations = probes.await.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(Access { streams: Vec::new(), associations: associations.into_iter().flatten().collect() })
}

/// Describes a portal, with all object types if `whole`; all its questions are asked side by side after the first one.
///
/// # Errors
/// When the portal is another than `organization_id`, or a question is not answered.
pub async fn discover(
    client: &Client,
    organization_id: Option<&str>,
    associations: &[ObjectType],
    whole: bool,
) -> Result<Portal, DiscoveryError> {
    let account = discover_account(client, organization_id).await?;
    let owners = async { denied(client.probe_owners().await) };
    let others =
        join_all(OBJECT_STREAMS.into_iter().filter(|name| whole && *name != "tickets").map(|name| async move {
            match client.list_properties(&ObjectType::named(name), "non_sensitive").await {
                Ok(properties) => Ok((name, properties, None)),
                Err(error) => denied(Err(error)).map(|scope| (name, Vec::new(), scope)),
            }
        }));
    let (properties, access, owners, others) =
        join4(discover_properties(client), discover_access(client, associations), owners, others).await;
    let mut access = access?;
    access.streams.extend(owners?.map(|scope| ("owners", scope)));
    let mut found = Vec::new();
    for other in others {
        let (name, properties, scope) = other?;
        access.streams.extend(scope.map(|scope| (name, scope)));
        found.push((name, properties));
    }
    Ok(Portal { account, properties: properties?, others: found, access })
}

/// All ticket properties that the token may see.
///
/// # Errors
/// When the plain ones cannot be read.
pub async fn discover_properties(client: &Client) -> Result<Vec<Property>, ClientError> {
    let tickets = &ObjectType::TICKETS;
    let sensitive = join_all(SENSITIVE.iter().map(|sensitivity| client.list_properties(tickets, sensitivity)));
    let (plain, sensitive) = join(client.list_properties(tickets, "non_sensitive"), sensitive).await;
    let mut properties = plain?;
    for answer in sensitive {
        match answer {
            Ok(found) => properties.extend(found),
            // Portals without the feature and tokens without the scope are refused.
            Err(ClientError::MissingScopes { .. } | ClientError::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    properties.sort_by(|one, other| one.name.cmp(&other.name));
    properties.dedup_by(|one, other| one.name == other.name);
    Ok(properties)
}

/// The scopes named by a refusal; any other error stays one.
fn denied(answer: Result<(), ClientError>) -> Result<Option<String>, ClientError> {
    match answer {
        Ok(()) => Ok(None),
        Err(ClientError::MissingScopes { scopes, .. }) => Ok(Some(scopes.join(" or "))),
        Err(error) => Err(error),
    }
}
