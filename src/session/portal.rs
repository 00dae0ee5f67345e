//! From settings to a portal: config, client, catalog.

use std::path::Path;
use std::sync::Arc;

use futures_util::future::join;
use serde_json::{Map, Value};

use super::exit::TapError;
use crate::catalog::Catalog;
use crate::client::{Account, Client, ClientError, Connection, ObjectType};
use crate::config::{Config, ConfigSource, Loaded, PropertiesLayout, load};
use crate::discovery::{
    Access, Choices, Definitions, ObjectChoice, Portal, Stream, StreamSet, Survey, association_column, build_catalog,
    discover as discover_portal, discover_access, discover_account, discover_columns, matches,
};
use crate::exit::{UNAVAILABLE, of_client};
use crate::extraction::{AssociationSettings, ExtractError, Privacy, SideLists, wanted_associations};
use crate::state::{State, UNKNOWN_PORTAL};

/// A config and the client made of it.
#[derive(Debug)]
pub struct Session {
    /// The settings.
    pub config: Config,
    /// The client, which has not spoken yet.
    pub client: Arc<Client>,
    /// Which associations are read.
    pub associations: AssociationSettings,
    /// Which object types have streams of their own.
    objects: ObjectChoice,
}

/// The catalog in force, of which portal, and what the token may read.
pub(super) struct Surveyed {
    pub(super) portal_id: String,
    /// Why HubSpot does not tell the portal, if it may tell later.
    pub(super) portal_failure: Option<ClientError>,
    pub(super) catalog: Catalog,
    pub(super) access: Access,
    /// Selected streams of objects that the token may not read.
    pub(super) denied: Vec<(&'static str, ClientError)>,
    /// The property definitions, when discovery has read them.
    pub(super) definitions: Option<Definitions>,
    /// What was asked for at the same time.
    pub(super) lists: SideLists,
}

impl Session {
    /// Loads the config and makes the client; nothing is sent yet.
    ///
    /// # Errors
    /// When a setting is wrong.
    pub fn open(sources: &[ConfigSource]) -> Result<Self, TapError> {
        Self::of(load(sources)?)
    }

    /// The same, with the files that the settings name looked for in a folder.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub fn open_in(sources: &[ConfigSource], folder: &Path) -> Result<Self, TapError> {
        let mut loaded = load(sources)?;
        loaded.config.move_into(folder);
        Self::of(loaded)
    }

    /// The same, for a look that may use the calls left to others: what is left is what it tells.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub fn open_to_look(sources: &[ConfigSource]) -> Result<Self, TapError> {
        let mut loaded = load(sources)?;
        loaded.config.daily_reserve = 0.0;
        Self::of(loaded)
    }

    fn of(loaded: Loaded) -> Result<Self, TapError> {
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let config = loaded.config;
        let client = Client::new(Connection {
            base_url: config.api_base_url.clone(),
            api_version: config.api_version.clone(),
            credentials: config.credentials()?,
            token_cache: config.token_cache_path.clone(),
            user_agent: config.user_agent.clone(),
            request_timeout: config.request_timeout(),
            requests_per_10s: config.rate_limit,
            rate_limit_share: config.rate_limit_share,
            daily_reserve: config.daily_reserve,
            retry_attempts: config.retry_attempts,
            retry_delay: config.retry_delay(),
        })?;
        let mut types: Vec<ObjectType> =
            config.association_types().iter().map(|name| ObjectType::parse_association(name)).collect();
        let mut seen = Vec::new();
        types.retain(|object_type| {
            !seen.contains(object_type) && {
                seen.push(object_type.clone());
                true
            }
        });
        let associations = AssociationSettings { types, chosen: config.associations.is_some() };
        let objects = ObjectChoice::new(config.objects.as_deref().unwrap_or_default());
        let session = Self { config, client: Arc::new(client), associations, objects };
        if !session.objects.needs_schemas() {
            session.choices(session.objects.standard_streams()).check_streams()?;
        }
        Ok(session)
    }

    /// Describes the portal with all object types.
    ///
    /// # Errors
    /// When the portal is not the config's, or HubSpot does not answer.
    pub async fn discover(&self) -> Result<Portal, TapError> {
        let streams = self.streams().await?;
        let described = streams.of_objects().map(|(stream, _)| stream).filter(|stream| stream.name != "tickets");
        let described = described.collect();
        self.discover_streams(self.account().await?, described, streams, true).await
    }

    /// Which portal it is, or why HubSpot does not tell; asked before anything else.
    async fn account(&self) -> Result<Result<Account, ClientError>, TapError> {
        Ok(discover_account(&self.client, self.config.organization_id.as_deref()).await?)
    }

    async fn discover_streams(
        &self,
        account: Result<Account, ClientError>,
        described: Vec<&'static Stream>,
        streams: StreamSet,
        asks_for_owners: bool,
    ) -> Result<Portal, TapError> {
        let associations = &self.associations.types[..];
        let survey = Survey { account, associations, streams, described, asks_for_owners };
        Ok(discover_portal(&self.client, survey).await?)
    }

    /// The streams that the settings ask for; the portal is asked where only it tells what is meant.
    ///
    /// # Errors
    /// When a setting names a stream or an object type that there is not, or HubSpot does not answer.
    pub async fn streams(&self) -> Result<StreamSet, TapError> {
        if !self.objects.needs_schemas() {
            return Ok(self.objects.standard_streams());
        }
        let schemas = match self.client.list_schemas().await {
            Ok(schemas) => schemas,
            Err(error) => match error.missing_scope().filter(|_| !error.ends_all()) {
                Some(scope) => {
                    let names = self.objects.custom().join(", ");
                    tracing::warn!(
                        "the custom objects {names} of the setting objects are left out, since the token lacks the scope {scope}"
                    );
                    return Ok(self.objects.standard_streams());
                }
                None => return Err(error.into()),
            },
        };
        let (streams, unknown) = self.objects.streams(&schemas)?;
        for sentence in unknown {
            tracing::warn!("{sentence}");
        }
        self.choices(streams.clone()).check_streams()?;
        Ok(streams)
    }

    /// What the settings say of the catalog.
    fn choices(&self, known: StreamSet) -> Choices {
        Choices {
            streams: self.config.streams.clone(),
            properties: self.config.properties.clone(),
            sensitive_properties: self.config.sensitive_properties.clone().unwrap_or_default(),
            associations: self.associations.types.clone(),
            associations_chosen: self.associations.chosen,
            known,
            one_column: self.config.properties_layout == PropertiesLayout::Object,
        }
    }

    /// The catalog of the portal.
    pub fn catalog_of(&self, portal: &Portal) -> Catalog {
        let choices = self.choices(portal.streams.clone());
        let streams: Vec<&str> = portal.streams.of_objects().map(|(stream, _)| stream.name).collect();
        let all = || streams.iter().flat_map(|stream| portal.properties_of(stream));
        for name in self.config.sensitive_properties.iter().flatten().filter(|name| !name.contains(['*', '?'])) {
            let name = name.split_once('.').map_or(name.as_str(), |(_, name)| name);
            if !all().any(|property| property.name == name) {
                tracing::warn!("the token sees no property {name:?}, which the setting sensitive_properties names");
            }
        }
        for stream in streams.iter().copied() {
            let properties = portal.properties_of(stream);
            // Not everything is asked for where it is not selected.
            for pattern in choices.patterns_of(stream).filter(|_| !properties.is_empty()) {
                if !properties.iter().any(|property| matches(pattern, &property.name)) {
                    tracing::warn!(
                        "the portal has no property of {stream} that matches {pattern:?} of the setting properties"
                    );
                }
            }
            let left_out: Vec<&str> = properties
                .iter()
                .filter(|property| choices.is_unsupported(stream, property))
                .map(|property| property.name.as_str())
                .collect();
            if !left_out.is_empty() {
                tracing::info!(
                    "sensitive properties of {stream} are not read: {}; the setting sensitive_properties allows them",
                    left_out.join(", ")
                );
            }
        }
        build_catalog(portal, &choices)
    }

    /// What of the personal data is not to be written.
    pub fn privacy(&self) -> Privacy {
        let patterns = |setting: &Option<Vec<String>>| setting.clone().unwrap_or_default();
        let config = &self.config;
        Privacy::new(&patterns(&config.drop), &patterns(&config.hash), config.hash_salt.as_ref())
    }

    /// The catalog given, checked against the token's portal, or the one discovered now. Where HubSpot does not tell the
    /// portal, it is that of the state or of the catalog.
    pub(super) async fn survey(
        &self,
        catalog: Option<Catalog>,
        state: Option<&Map<String, Value>>,
    ) -> Result<Surveyed, TapError> {
        let of_state = state.and_then(State::portal_of);
        let Some(catalog) = catalog else {
            let streams = self.streams().await?;
            let choices = self.choices(streams.clone());
            let others = streams.of_objects().map(|(stream, _)| stream).filter(|stream| stream.name != "tickets");
            let described: Vec<_> = others.filter(|stream| choices.selects(stream)).collect();
            let selects_others = !described.is_empty();
            let account = self.account().await?;
            let selected: Vec<&str> =
                streams.iter().filter(|stream| choices.selects(stream)).map(|stream| stream.name).collect();
            let lists = SideLists::ask(&self.client, |stream| selected.contains(&stream));
            let (portal, lists) = join(self.discover_streams(account, described, streams, false), lists).await;
            let portal = portal?;
            let catalog = self.catalog_of(&portal);
            let told = portal.account.as_ref().map(|account| account.portal_id.to_string());
            let mut access = portal.access;
            let mut denied = Vec::new();
            if selects_others {
                denied = self.check_objects(&catalog, &self.associations.types, &access).await?;
                note_denied(&mut access, &denied);
            }
            return Ok(Surveyed {
                portal_id: told.or(of_state).unwrap_or_else(|| UNKNOWN_PORTAL.to_owned()),
                portal_failure: portal.account_failure.filter(may_pass),
                catalog,
                access,
                denied,
                definitions: Some(portal.definitions),
                lists,
            });
        };
        let account = self.account().await?;
        let told = account.as_ref().ok().map(|account| account.portal_id.to_string());
        let portal_id = told.or(of_state).or_else(|| catalog.portal()).unwrap_or_else(|| UNKNOWN_PORTAL.to_owned());
        let streams = StreamSet::of_catalog(&catalog);
        catalog.check(&streams.names(), &portal_id)?;
        for name in self.objects.missing_in(&streams) {
            tracing::warn!(
                "the catalog has no stream of {name:?}, which the setting objects names; discover again to add it"
            );
        }
        if let Some(sentence) = self.choices(streams.clone()).difference(&catalog) {
            tracing::warn!("{sentence}");
        }
        let wanted = wanted_associations(&catalog, &self.associations.types);
        let lists = SideLists::ask(&self.client, |stream| catalog.selects(stream));
        let (access, lists) = join(discover_access(&self.client, &wanted), lists).await;
        let mut access = access?;
        let columns = self.columns_of(&catalog, &streams);
        access.columns = discover_columns(&self.client, &columns).await?;
        let denied = self.check_objects(&catalog, &wanted, &access).await?;
        note_denied(&mut access, &denied);
        let portal_failure = account.err().filter(may_pass);
        Ok(Surveyed { portal_id, portal_failure, catalog, access, denied, definitions: None, lists })
    }

    /// The columns of associations that a catalog selects of other streams than tickets.
    fn columns_of(&self, catalog: &Catalog, streams: &StreamSet) -> Vec<(&'static Stream, Vec<ObjectType>)> {
        let others = streams.of_objects().map(|(stream, _)| stream).filter(|stream| stream.name != "tickets");
        let selected = |stream: &'static Stream| {
            let mut types = stream.associated_types(&self.associations.types);
            types.retain(|one| catalog.selects_field(stream.name, &association_column(one)));
            (stream, types)
        };
        others.filter(|stream| catalog.selects(stream.name)).map(selected).collect()
    }

    /// The selected streams of objects that the token may not read, where nothing has shown it yet: a missing scope is better
    /// known before the first message than after.
    ///
    /// # Errors
    /// When tickets cannot be read, or nothing else can succeed either.
    async fn check_objects(
        &self,
        catalog: &Catalog,
        wanted: &[ObjectType],
        access: &Access,
    ) -> Result<Vec<(&'static str, ClientError)>, TapError> {
        // Who may read an association may read both its ends.
        let is_shown = |object_type: &ObjectType| match *object_type == ObjectType::TICKETS {
            true => wanted.iter().any(|one| access.obstacle(one).is_none()),
            false => wanted.contains(object_type) && access.obstacle(object_type).is_none(),
        };
        let mut denied = Vec::new();
        for (definition, object_type) in StreamSet::of_catalog(catalog).of_objects() {
            let stream = definition.name;
            let follower = stream == "tickets" && catalog.selects("ticket_associations");
            if !(follower || catalog.selects(stream)) || is_shown(object_type) {
                continue;
            }
            match self.client.probe_objects(object_type).await {
                Ok(()) => {}
                Err(source) if stream == "tickets" || source.ends_all() => {
                    return Err(ExtractError::Stream { stream, source }.into());
                }
                Err(error) if error.missing_scope().is_some() => denied.push((stream, error)),
                // A custom object whose schema was deleted.
                Err(error @ ClientError::Refused { status: 400 | 404, .. }) if definition.is_further() => {
                    denied.push((stream, error));
                }
                Err(error) => tracing::warn!("whether the token may read {stream} cannot be told: {error}"),
            }
        }
        Ok(denied)
    }
}

/// Takes over which streams cannot be read, and why.
fn note_denied(access: &mut Access, denied: &[(&'static str, ClientError)]) {
    for (stream, error) in denied {
        match (error.missing_scope(), error) {
            (Some(scope), _) => access.streams.push((stream, scope)),
            (None, ClientError::Refused { detail, .. }) => access.gone.push((stream, detail.clone())),
            _ => {}
        }
    }
}

/// Whether a failure to tell the portal may be none in a later run.
fn may_pass(error: &ClientError) -> bool {
    of_client(error) == UNAVAILABLE
}
