//! From arguments to a portal: config, client, catalog.

use std::io::{self, Write};
use std::sync::Arc;

use super::cli::{Arguments, TestMode};
use super::exit::TapError;
use crate::catalog::Catalog;
use crate::client::{Client, Connection, ObjectType, Property};
use crate::config::{Config, ConfigSource, PropertiesLayout, load};
use crate::discovery::{
    Access, Choices, OBJECT_STREAMS, Portal, STREAMS, association_column, build_catalog, discover as discover_portal,
    discover_access, discover_account,
};
use crate::extraction::{AssociationSettings, ExtractError, wanted_associations};

/// A config and the client made of it.
pub(super) struct Session {
    pub(super) config: Config,
    pub(super) client: Arc<Client>,
    pub(super) associations: AssociationSettings,
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
    pub(super) fn open(arguments: &Arguments) -> Result<Self, TapError> {
        let sources: Vec<ConfigSource> = arguments.config.iter().map(|source| source.as_str().into()).collect();
        let loaded = load(&sources)?;
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
            // What is left is what --test tells.
            daily_reserve: if arguments.test == Some(TestMode::Connection) { 0.0 } else { config.daily_reserve },
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
        Ok(Self { config, client: Arc::new(client), associations })
    }

    /// Describes the portal; with all object types if `whole`, else with what is selected by default.
    pub(super) async fn discover(&self, whole: bool) -> Result<Portal, TapError> {
        let organization_id = self.config.organization_id.as_deref();
        Ok(discover_portal(&self.client, organization_id, &self.associations.types, whole).await?)
    }

    /// The catalog of the portal.
    pub(super) fn catalog_of(&self, portal: &Portal) -> Catalog {
        let choices = Choices {
            properties: self.config.properties.clone(),
            associations: self.associations.types.clone(),
            one_column: self.config.properties_layout == PropertiesLayout::Object,
        };
        for pattern in self.config.properties.iter().flatten() {
            let pattern_matches = wildmatch::WildMatch::new(pattern);
            if !portal.properties.iter().any(|property| pattern_matches.matches(&property.name)) {
                tracing::warn!("the portal has no ticket property that matches {pattern:?} of the setting properties");
            }
        }
        build_catalog(portal, &choices)
    }

    /// The catalog given, checked against the token's portal, or the one discovered now.
    pub(super) async fn survey(&self, arguments: &Arguments) -> Result<Surveyed, TapError> {
        let Some(file) = arguments.catalog_file() else {
            let portal = self.discover(false).await?;
            let catalog = self.catalog_of(&portal);
            return Ok(Surveyed {
                portal_id: portal.account.portal_id.to_string(),
                catalog,
                access: portal.access,
                properties: Some(portal.properties),
            });
        };
        let catalog = Catalog::read(file)?;
        let account = discover_account(&self.client, self.config.organization_id.as_deref()).await?;
        let portal_id = account.portal_id.to_string();
        catalog.check(&STREAMS.map(|stream| stream.name), &portal_id)?;
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

/// `--discover`: writes the catalog.
pub(super) async fn discover(arguments: &Arguments) -> Result<(), TapError> {
    let session = Session::open(arguments)?;
    let portal = session.discover(true).await?;
    let mut catalog = session.catalog_of(&portal);
    if arguments.portable {
        catalog.make_portable();
    }
    let mut text = serde_json::to_vec_pretty(&catalog).expect("a catalog is JSON");
    text.push(b'\n');
    io::stdout().write_all(&text).map_err(TapError::Output)
}
