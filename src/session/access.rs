//! A test of the connection: what each stream needs, and whether the token may read it.

use std::collections::BTreeSet;

use futures_util::future::{join, join_all, join4};

use super::exit::TapError;
use super::portal::Session;
use crate::client::{Account, Client, ClientError, ObjectType};
use crate::discovery::{Obstacle, Stream, discover_access, discover_account, discover_properties};

/// What a test of the connection found.
#[derive(Debug)]
pub struct Checked {
    /// The portal; none where HubSpot does not tell.
    pub account: Option<Account>,
    /// Each thing that can be read.
    pub checks: Vec<Check>,
    /// How many properties tickets have, where that can be told.
    pub properties: Option<usize>,
}

/// Something that can be read.
#[derive(Debug)]
pub struct Check {
    /// Streams, or associations.
    pub what: String,
    /// The scopes that it needs.
    pub scopes: String,
    /// Whether it is read unless the catalog says otherwise.
    pub is_default: bool,
    /// Why it cannot be read; empty where it can.
    pub problems: Vec<Problem>,
}

/// Why something cannot be read.
#[derive(Debug)]
pub enum Problem {
    /// The token or the portal is not made for it.
    Obstacle(Obstacle),
    /// It cannot be told now.
    Failed(ClientError),
}

impl Session {
    /// Tests the connection; everything is asked, whatever is missing.
    ///
    /// # Errors
    /// When the portal is another than the config's, or no other request can succeed either.
    pub async fn check_access(&self) -> Result<Checked, TapError> {
        let client = &*self.client;
        let account = discover_account(client, self.config.organization_id.as_deref()).await?.ok();
        let (tickets, definitions, pipelines, owners) = join4(
            client.probe_objects(&ObjectType::TICKETS),
            discover_properties(client),
            client.list_pipelines(&ObjectType::TICKETS),
            client.probe_owners(),
        )
        .await;
        let properties = definitions.as_ref().ok().map(|definitions| definitions.properties.len());
        let scope = || ObjectType::TICKETS.read_scope();
        let mut checks = vec![
            Check::new("tickets", scope(), true, [tickets])?,
            Check::new("ticket_properties", scope(), true, [definitions.map(drop)])?,
            Check::new("ticket_pipelines, ticket_pipeline_stages", scope(), true, [pipelines.map(drop)])?,
            Check::new("owners", "crm.objects.owners.read".to_owned(), true, [owners])?,
        ];
        let streams = self.streams().await?;
        let others = streams.of_objects().filter(|(stream, _)| stream.name != "tickets");
        let others =
            others.map(|(stream, object_type)| check_objects(client, stream, object_type, streams.is_asked(stream)));
        for check in join_all(others).await {
            checks.push(check?);
        }
        let access = discover_access(client, &self.associations.types).await?;
        checks.extend(self.associations.types.iter().map(|object_type| Check {
            what: format!("associations with {object_type}"),
            scopes: format!("{}, {}", scope(), object_type.read_scope()),
            is_default: true,
            problems: access.obstacle(object_type).cloned().map(Problem::Obstacle).into_iter().collect(),
        }));
        Ok(Checked { account, checks, properties })
    }
}

/// Definitions and records have scopes of their own.
async fn check_objects(
    client: &Client,
    stream: &Stream,
    object_type: &ObjectType,
    is_default: bool,
) -> Result<Check, TapError> {
    let records = client.probe_objects(object_type);
    let (records, definitions) = join(records, client.list_properties(object_type, "non_sensitive")).await;
    let scopes = format!("{}, {}", object_type.read_scope(), object_type.schema_scope());
    Check::new(stream.name, scopes, is_default, [records, definitions.map(drop)])
}

impl Check {
    /// Takes the answers to the questions about it.
    ///
    /// # Errors
    /// When no other request can succeed either.
    fn new(
        what: &str,
        scopes: String,
        is_default: bool,
        answers: impl IntoIterator<Item = Result<(), ClientError>>,
    ) -> Result<Self, TapError> {
        let mut problems = Vec::new();
        for error in answers.into_iter().filter_map(Result::err) {
            match error.missing_scope() {
                _ if error.ends_all() => return Err(error.into()),
                Some(scope) => problems.push(Problem::Obstacle(Obstacle::Scope(scope))),
                None => problems.push(Problem::Failed(error)),
            }
        }
        Ok(Self { what: what.to_owned(), scopes, is_default, problems })
    }

    /// One line: whether it can be read, and what to do where not.
    pub fn verdict(&self) -> String {
        let problems: Vec<String> = self.problems.iter().map(Problem::in_words).collect();
        match problems.is_empty() {
            true => format!("{}: ok (scope {})", self.what, self.scopes),
            false => format!("{}: {}", self.what, problems.join("; ")),
        }
    }
}

impl Problem {
    fn in_words(&self) -> String {
        match self {
            Self::Obstacle(Obstacle::Scope(scope)) => format!("missing: add the scope {scope}"),
            Self::Obstacle(Obstacle::UnknownType(words)) => {
                format!("unknown to this portal: leave it out of the setting associations ({words})")
            }
            Self::Failed(error) => format!("cannot be told now: {error}"),
        }
    }
}

impl Checked {
    /// The verdict on what is read by default.
    ///
    /// # Errors
    /// With every scope that is missing; else with the first failure.
    pub fn conclude(self) -> Result<(), TapError> {
        let problems = || self.checks.iter().filter(|check| check.is_default).flat_map(|check| &check.problems);
        let scopes: BTreeSet<&str> = problems()
            .filter_map(|problem| match problem {
                Problem::Obstacle(Obstacle::Scope(scope)) => Some(scope.as_str()),
                _ => None,
            })
            .collect();
        let mut sentences = Vec::new();
        if !scopes.is_empty() {
            let scopes: Vec<&str> = scopes.into_iter().collect();
            let word = if scopes.len() == 1 { "scope" } else { "scopes" };
            sentences
                .push(format!("add the {word} {} to the private app, service key or OAuth app", scopes.join(", ")));
        }
        for check in self.checks.iter().filter(|check| check.is_default) {
            let is_unknown = |problem: &Problem| matches!(problem, Problem::Obstacle(Obstacle::UnknownType(_)));
            if check.problems.iter().any(is_unknown) {
                sentences.push(check.verdict());
            }
        }
        if !sentences.is_empty() {
            return Err(TapError::MissingAccess { problems: sentences.join("; ") });
        }
        let defaults = self.checks.into_iter().filter(|check| check.is_default).flat_map(|check| check.problems);
        let failed = defaults.into_iter().find_map(|problem| match problem {
            Problem::Failed(error) => Some(error),
            Problem::Obstacle(_) => None,
        });
        failed.map_or(Ok(()), |error| Err(error.into()))
    }
}
