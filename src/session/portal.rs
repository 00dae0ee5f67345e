//! From settings to a portal: config, client, catalog.

use std::path::Path;
use std::sync::Arc;

use super::exit::TapError;
use crate::catalog::Catalog;
use crate::client::{Client, Connection, ObjectType, Property};
use crate::config::{Config, ConfigSource, Loaded, PropertiesLayout, load};
use crate::discovery::{
    Access, Choices, OBJECT_STREAMS, Portal, STREAMS, association_column, build_catalog, discover as discover_portal,
    discover_access, discover_account, matches,
};
use crate::extraction::{AssociationSettings, ExtractError, Privacy, wanted_associations};

/// A config and the client made of it.
#[derive(Debug)]
pub struct Session {
    /// The settings.
    pub config: Config,
    /// The client, which has not spoken yet.
    pub client: Arc<Client>,
    /// Which associations are read.
    pub associations: AssociationSettings,
}

/// The catalog in force, of which portal, and what the token may read.
pub(super) struct Surveyed {
    pub(super) portal_id: String,
    pub(super) catalog: Catalog,
    pub(super) access: Access,
    /// The property definitions, when discovery has read them.
    pub(super) properties: Option<Vec<Property>>,
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
            config.association_types().iter().map(|name| ObjectType::named(name)).collect();
        let mut seen = Vec::new();
        types.retain(|object_type| {
            !seen.contains(object_type) && {
                seen.push(object_type.clone());
                true
            }
        });
        let associations = AssociationSettings { types, chosen: config.associations.is_some() };
        let session = Self { config, client: Arc::new(client), associations };
        session.choices().check_streams()?;
        Ok(session)
    }

    /// Describes the portal; with all object types if `whole`, else with what is selected by default.
    ///
    /// # Errors
    /// When the portal is not the config's, or HubSpot does not answer.
    pub async fn discover(&self, whole: bool) -> Result<Portal, TapError> {
        let organization_id = self.config.organization_id.as_deref();
        Ok(discover_portal(&self.client, organization_id, &self.associations.types, whole).await?)
    }

    /// What the settings say of the catalog.
    fn choices(&self) -> Choices {
        Choices {
            streams: self.config.streams.clone(),
            properties: self.config.properties.clone(),
            sensitive_properties: self.config.sensitive_properties.clone().unwrap_or_default(),
            associations: self.associations.types.clone(),
            one_column: self.config.properties_layout == PropertiesLayout::Object,
        }
    }

    /// The catalog of the portal.
    pub fn catalog_of(&self, portal: &Portal) -> Catalog {
        let choices = self.choices();
        let all = || OBJECT_STREAMS.iter().flat_map(|stream| portal.properties_of(stream));
        for name in self.config.sensitive_properties.iter().flatten().filter(|name| !name.contains(['*', '?'])) {
            let name = name.split_once('.').map_or(name.as_str(), |(_, name)| name);
            if !all().any(|property| property.name == name) {
                tracing::warn!("the token sees no property {name:?}, which the setting sensitive_properties names");
            }
        }
        for stream in OBJECT_STREAMS {
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

    /// The catalog given, checked against the token's portal, or the one discovered now.
    pub(super) async fn survey(&self, catalog: Option<Catalog>) -> Result<Surveyed, TapError> {
        let Some(catalog) = catalog else {
            let choices = self.choices();
            let others =
                STREAMS.iter().filter(|stream| stream.name != "tickets" && OBJECT_STREAMS.contains(&stream.name));
            let selects_others = others.into_iter().any(|stream| choices.selects(stream));
            let portal = self.discover(selects_others).await?;
            let catalog = self.catalog_of(&portal);
            if selects_others {
                self.check_objects(&catalog, &self.associations.types, &portal.access).await?;
            }
            return Ok(Surveyed {
                portal_id: portal.account.portal_id.to_string(),
                catalog,
                access: portal.access,
                properties: Some(portal.properties),
            });
        };
        let account = discover_account(&self.client, self.config.organization_id.as_deref()).await?;
        let portal_id = account.portal_id.to_string();
        catalog.check(&STREAMS.map(|stream| stream.name), &portal_id)?;
        if let Some(sentence) = self.choices().difference(&catalog) {
            tracing::warn!("{sentence}");
        }
        let wanted = wanted_associations(&catalog, &self.associations.types);
        let access = discover_access(&self.client, &wanted).await?;
        self.check_objects(&catalog, &wanted, &access).await?;
        Ok(Surveyed { portal_id, catalog, access, properties: None })
    }

    /// Asks whether the token may read the selected objects, where nothing has shown it yet: a missing scope is better
    /// known before the first message than after.
    async fn check_objects(&self, catalog: &Catalog, wanted: &[ObjectType], access: &Access) -> Result<(), TapError> {
        // Who may read an association may read both its ends.
        let is_shown = |object_type: &ObjectType| match *object_type == ObjectType::TICKETS {
            true => wanted.iter().any(|one| access.missing_for(one).is_none()),
            false => wanted.contains(object_type) && access.missing_for(object_type).is_none(),
        };
        for stream in OBJECT_STREAMS {
            let object_type = ObjectType::named(stream);
            let follower = stream == "tickets" && catalog.selects("ticket_associations");
            if (follower || catalog.selects(stream)) && !is_shown(&object_type) {
                let probed = self.client.probe_objects(&object_type).await;
                probed.map_err(|source| ExtractError::Stream { stream, source })?;
            }
        }
        if catalog.selects_field("contacts", &association_column(&ObjectType::DEALS)) {
            let probed = self.client.probe_associations(&ObjectType::CONTACTS, &ObjectType::DEALS).await;
            probed.map_err(|source| ExtractError::Stream { stream: "contacts", source })?;
        }
        Ok(())
    }
}
