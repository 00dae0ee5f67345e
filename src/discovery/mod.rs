//! What a portal has: its properties, what the token may read, and the catalog made of them.

mod catalog;
mod choices;
mod objects;
mod stream_set;
mod streams;

use std::collections::{BTreeSet, HashSet};
use std::fmt;

use futures_util::future::{join, join_all, join5};
use thiserror::Error;

use crate::client::{Account, Client, ClientError, ObjectType, Property};

pub use catalog::build_catalog;
pub use choices::{Choices, is_selected_by_default, kind_of, matches};
pub use objects::ObjectChoice;
pub use stream_set::StreamSet;
pub(crate) use streams::is_property;
#[cfg(test)]
pub use streams::stream;
pub use streams::{Field, Role, STREAMS, Stream, association_column, follows_properties};

/// Sensitivities beyond the plain one; each needs scopes of its own, and Enterprise.
const SENSITIVE: [&str; 2] = ["sensitive", "highly_sensitive"];

/// A portal as a token sees it.
#[derive(Debug)]
pub struct Portal {
    /// Which portal; none where HubSpot does not tell.
    pub account: Option<Account>,
    /// Why HubSpot does not tell, where it does not.
    pub account_failure: Option<ClientError>,
    /// The streams that it has.
    pub streams: StreamSet,
    /// Its ticket properties, sensitive ones that the token may see included.
    pub definitions: Definitions,
    /// The properties of other object types, where they were asked for and could be read.
    pub others: Vec<(&'static str, Vec<Property>)>,
    /// What the token may not read.
    pub access: Access,
}

/// The property definitions of tickets.
#[derive(Debug, Clone)]
pub struct Definitions {
    /// The definitions, by name.
    pub properties: Vec<Property>,
    /// Whether they are all that the token may see; sensitive ones may be missing where not.
    pub is_whole: bool,
}

/// What a token may not read.
#[derive(Debug, Default, Clone)]
pub struct Access {
    /// Streams, each with the scope that it needs.
    pub streams: Vec<(&'static str, String)>,
    /// Streams whose object type the portal does not know any more, with HubSpot's words.
    pub gone: Vec<(&'static str, String)>,
    /// Associations of tickets with an object type.
    pub associations: Vec<(ObjectType, Obstacle)>,
    /// Associations of other objects with an object type, each with the stream and the scope that it needs.
    pub columns: Vec<(&'static str, ObjectType, String)>,
}

/// Why associations cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// The token lacks a scope.
    Scope(String),
    /// The portal has no such object type, in HubSpot's words.
    UnknownType(String),
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
    /// A portal that cannot be compared with the one in the settings.
    #[error(
        "organization_id is {expected}, but HubSpot does not tell which portal the token belongs to; nothing was read: run again later, or leave organization_id out to read without this check ({source})"
    )]
    UnknownPortal {
        /// The config's portal.
        expected: String,
        /// Why HubSpot does not tell.
        #[source]
        source: ClientError,
    },
}

impl Portal {
    /// The properties of a stream's objects.
    pub fn properties_of(&self, stream: &str) -> &[Property] {
        match self.others.iter().find(|(name, _)| *name == stream) {
            Some((_, properties)) => properties,
            None if stream == "tickets" => &self.definitions.properties,
            None => &[],
        }
    }
}

impl Access {
    /// The scope that a stream would need.
    pub fn missing_for_stream(&self, stream: &str) -> Option<&str> {
        self.streams.iter().find(|(denied, _)| *denied == stream).map(|(_, scope)| scope.as_str())
    }

    /// Whether the portal does not know the object type of a stream any more.
    pub fn is_gone(&self, stream: &str) -> bool {
        self.gone.iter().any(|(gone, _)| *gone == stream)
    }

    /// The scope that a stream's column of associations with a type would need.
    pub fn missing_for_column(&self, stream: &str, object_type: &ObjectType) -> Option<&str> {
        let mut denied = self.columns.iter().filter(|(denied, ..)| *denied == stream);
        denied.find(|(_, denied, _)| denied == object_type).map(|(.., scope)| scope.as_str())
    }

    /// Why associations of tickets with a type cannot be read.
    pub fn obstacle(&self, object_type: &ObjectType) -> Option<&Obstacle> {
        self.associations.iter().find(|(denied, _)| denied == object_type).map(|(_, obstacle)| obstacle)
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scope(scope) => write!(formatter, "the token lacks the scope {scope}"),
            Self::UnknownType(words) => write!(formatter, "the portal does not know the object type ({words})"),
        }
    }
}

/// Asks which portal the token belongs to, and refuses another one than `organization_id`. The inner error says why HubSpot
/// does not tell.
///
/// # Errors
/// When the portals differ or cannot be compared, or no other request can succeed either.
pub async fn discover_account(
    client: &Client,
    organization_id: Option<&str>,
) -> Result<Result<Account, ClientError>, DiscoveryError> {
    let account = match client.account().await {
        Err(error) if error.ends_all() || matches!(error, ClientError::Unreachable { .. }) => return Err(error.into()),
        answer => answer.or_else(|error| client.granted_account().ok_or(error)),
    };
    match (account, organization_id) {
        (Ok(account), Some(expected)) if account.portal_id.to_string() != expected => {
            Err(DiscoveryError::OtherPortal { expected: expected.to_owned(), found: account.portal_id.to_string() })
        }
        (Err(source), Some(expected)) => Err(DiscoveryError::UnknownPortal { expected: expected.to_owned(), source }),
        (account, _) => {
            if let Err(error) = &account {
                tracing::warn!(
                    "HubSpot does not tell which portal the token belongs to, so that is not checked: {error}"
                );
            }
            Ok(account)
        }
    }
}

/// Asks what the token may read of associations between tickets and `associations`. What cannot be found out now is taken for
/// readable, with a warning.
///
/// # Errors
/// When no other request can succeed either.
pub async fn discover_access(client: &Client, associations: &[ObjectType]) -> Result<Access, ClientError> {
    let probes = join_all(associations.iter().map(|object_type| async move {
        let obstacle = probe_associations(client, &ObjectType::TICKETS, object_type).await?;
        Ok::<_, ClientError>(obstacle.map(|obstacle| (object_type.clone(), obstacle)))
    }));
    let associations = probes.await.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(Access { associations: associations.into_iter().flatten().collect(), ..Access::default() })
}

/// Why associations between two types cannot be read; none where they can.
async fn probe_associations(
    client: &Client,
    from: &ObjectType,
    to: &ObjectType,
) -> Result<Option<Obstacle>, ClientError> {
    match client.probe_associations(from, to).await {
        Ok(()) => Ok(None),
        Err(error) if error.missing_scope().is_some() => Ok(error.missing_scope().map(Obstacle::Scope)),
        Err(ClientError::Refused { status: 400 | 404, detail, .. }) => Ok(Some(Obstacle::UnknownType(detail))),
        Err(error) if error.ends_all() => Err(error),
        Err(error) => {
            tracing::warn!("whether the token may read associations of {from} with {to} cannot be told: {error}");
            Ok(None)
        }
    }
}

/// The columns of associations that the token may not read, of streams other than tickets; `wanted` are the types of each.
///
/// # Errors
/// When no other request can succeed either.
pub async fn discover_columns(
    client: &Client,
    wanted: &[(&'static Stream, Vec<ObjectType>)],
) -> Result<Vec<(&'static str, ObjectType, String)>, ClientError> {
    let pairs = wanted.iter().flat_map(|(stream, types)| {
        let from = stream.object_type.as_ref();
        types.iter().filter_map(move |to| Some((stream.name, from?, to)))
    });
    let answers = join_all(pairs.map(|(stream, from, to)| async move {
        let obstacle = probe_associations(client, from, to).await?;
        Ok::<_, ClientError>(obstacle.map(|obstacle| match obstacle {
            Obstacle::Scope(scope) => (stream, to.clone(), scope),
            Obstacle::UnknownType(_) => (stream, to.clone(), to.read_scope()),
        }))
    }));
    let denied = answers.await.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(denied.into_iter().flatten().collect())
}

/// What of a portal is to be described.
#[derive(Debug)]
pub struct Survey<'s> {
    /// Which portal it is, or why HubSpot does not tell.
    pub account: Result<Account, ClientError>,
    /// The object types whose associations with tickets are offered.
    pub associations: &'s [ObjectType],
    /// The streams that there are.
    pub streams: StreamSet,
    /// The streams of objects other than tickets whose properties are asked for.
    pub described: Vec<&'static Stream>,
    /// Whether the token may read owners is asked, too; a run that reads them finds out by itself.
    pub asks_for_owners: bool,
}

/// Describes a portal; all its questions are asked side by side. Only the ticket properties must be answered: of anything
/// else that fails, a warning tells.
///
/// # Errors
/// When the ticket properties cannot be read.
pub async fn discover(client: &Client, survey: Survey<'_>) -> Result<Portal, DiscoveryError> {
    let Survey { account, associations, streams, described, asks_for_owners } = survey;
    let owners = async { if asks_for_owners { denied("owners", client.probe_owners().await) } else { Ok(None) } };
    let wanted: Vec<_> = described.iter().map(|stream| (*stream, stream.associated_types(associations))).collect();
    let columns = discover_columns(client, &wanted);
    let others = join_all(described.iter().filter_map(|stream| Some((stream.name, stream.object_type.as_ref()?))).map(
        |(name, object_type)| async move {
            match client.list_properties(object_type, "non_sensitive").await {
                Ok(properties) => Ok((name, properties, None)),
                Err(error) => denied(name, Err(error)).map(|scope| (name, Vec::new(), scope)),
            }
        },
    ));
    let (definitions, access, owners, columns, others) =
        join5(discover_properties(client), discover_access(client, associations), owners, columns, others).await;
    let mut access = access?;
    access.columns = columns?;
    access.streams.extend(owners?.map(|scope| ("owners", scope)));
    let mut found = Vec::new();
    for other in others {
        let (name, properties, scope) = other?;
        access.streams.extend(scope.map(|scope| (name, scope)));
        found.push((name, properties));
    }
    for (stream, scope) in &access.streams {
        tracing::warn!("{stream} is not selected by default: the token lacks the scope {scope}, which it needs");
    }
    let (account, account_failure) = match account {
        Ok(account) => (Some(account), None),
        Err(error) => (None, Some(error)),
    };
    Ok(Portal { account, account_failure, streams, definitions: definitions?, others: found, access })
}

/// All ticket properties that the token may see; without the sensitive ones where those cannot be read now.
///
/// # Errors
/// When the plain ones cannot be read.
pub async fn discover_properties(client: &Client) -> Result<Definitions, ClientError> {
    let tickets = &ObjectType::TICKETS;
    let sensitive = join_all(SENSITIVE.iter().map(|sensitivity| client.list_properties(tickets, sensitivity)));
    let (plain, sensitive) = join(client.list_properties(tickets, "non_sensitive"), sensitive).await;
    let mut definitions = Definitions { properties: plain?, is_whole: true };
    for (answer, level) in sensitive.into_iter().zip(SENSITIVE) {
        match answer {
            Ok(found) => definitions.add(found, level),
            // Portals without the feature and tokens without the scope are refused.
            Err(ClientError::MissingScopes { .. } | ClientError::Refused { .. }) => {}
            Err(error) if error.ends_all() => return Err(error),
            Err(error) => {
                definitions.is_whole = false;
                tracing::warn!("the {level} ticket properties cannot be read now, and are left out: {error}");
            }
        }
    }
    let unknown: BTreeSet<&str> = definitions.properties.iter().filter_map(Property::unknown_level).collect();
    for level in unknown {
        tracing::warn!("ticket properties of the unknown sensitivity {level:?} are treated as sensitive");
    }
    definitions.properties.sort_by(|one, other| one.name.cmp(&other.name));
    definitions.properties.dedup_by(|one, other| one.name == other.name);
    Ok(definitions)
}

impl Definitions {
    /// Adds the answer to a question for one level. Where HubSpot does not know the question, it lists plain ones again.
    fn add(&mut self, found: Vec<Property>, level: &str) {
        let known: HashSet<String> = self.properties.iter().map(|one| one.name.clone()).collect();
        self.properties.extend(found.into_iter().filter(|one| !known.contains(&one.name)).map(|mut property| {
            property.data_sensitivity.get_or_insert_with(|| level.to_owned());
            property
        }));
    }
}

/// The scope that a stream lacks; of another failure that leaves other streams readable, a warning tells.
fn denied(stream: &str, answer: Result<(), ClientError>) -> Result<Option<String>, ClientError> {
    match answer {
        Ok(()) => Ok(None),
        Err(error) if error.ends_all() => Err(error),
        Err(error) => {
            if error.missing_scope().is_none() {
                tracing::warn!("what there is of {stream} cannot be told now; discover again later: {error}");
            }
            Ok(error.missing_scope())
        }
    }
}
