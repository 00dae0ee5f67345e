//! What is asked for: endpoints, their pools, and the one module that knows HubSpot's paths.

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde::Deserialize;

use super::object_types::ObjectType;

/// An endpoint, as the ledger counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Endpoint {
    /// The portal's own details.
    Account,
    /// A page of one object's associations with another type.
    Associations,
    /// The types of associations between two object types.
    AssociationTypes,
    /// Up to 100 new objects.
    BatchCreate,
    /// Up to 100 objects by id.
    BatchRead,
    /// Up to 100 changes by id.
    BatchUpdate,
    /// Up to 100 objects created or changed by a unique property.
    BatchUpsert,
    /// New associations.
    CreateAssociations,
    /// A new property definition.
    CreateProperty,
    /// The day's quota.
    DailyUsage,
    /// One object by id.
    Get,
    /// A page of objects.
    List,
    /// A page of users.
    Owners,
    /// All pipelines of a type with their stages.
    Pipelines,
    /// All property definitions of a type.
    Properties,
    /// The validation rules of the properties of a type.
    PropertyValidations,
    /// The schemas of all custom objects.
    Schemas,
    /// A page of a search.
    Search,
    /// A new access token.
    Token,
}

/// Number of endpoints.
pub(super) const ENDPOINTS: usize = 19;

/// The rate limits that HubSpot keeps apart.
/// <https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pool {
    /// Per ten seconds and app; told in the headers.
    General,
    /// Association endpoints, exempt from the general pool, with a limit of their own.
    Associations,
    /// Per second and account, shared by all its apps; told by no header.
    Search,
    /// The token endpoint, which no limit is documented for.
    Token,
}

impl Endpoint {
    /// Its name in logs and reports.
    pub fn label(self) -> &'static str {
        match self {
            Self::Account => "account details",
            Self::Associations => "associations batch read",
            Self::AssociationTypes => "association types",
            Self::BatchCreate => "batch create",
            Self::BatchRead => "batch read",
            Self::BatchUpdate => "batch update",
            Self::BatchUpsert => "batch upsert",
            Self::CreateAssociations => "associations batch create",
            Self::CreateProperty => "property creation",
            Self::DailyUsage => "daily usage",
            Self::Get => "get",
            Self::List => "list",
            Self::Owners => "owners",
            Self::Pipelines => "pipelines",
            Self::Properties => "properties",
            Self::PropertyValidations => "property validations",
            Self::Schemas => "schemas",
            Self::Search => "search",
            Self::Token => "token",
        }
    }

    pub(super) fn pool(self) -> Pool {
        match self {
            Self::Associations | Self::AssociationTypes | Self::CreateAssociations => Pool::Associations,
            Self::Search => Pool::Search,
            Self::Token => Pool::Token,
            _ => Pool::General,
        }
    }

    /// Whether sending it twice does what sending it once does. Batch reads and searches are POSTs that read; a token request whose
    /// answer was lost may have rotated the refresh token, but sending it again is the only way to find out. Updates,
    /// upserts and associations set what they set, and a property that is there already answers 409; a batch of records that is
    /// sent twice is created twice.
    pub(super) fn is_idempotent(self) -> bool {
        !matches!(self, Self::BatchCreate)
    }
}

/// A request, whole.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) endpoint: Endpoint,
    pub(super) method: Method,
    pub(super) url: String,
    /// Content type and body.
    pub(super) body: Option<(&'static str, Bytes)>,
}

impl Request {
    pub(super) fn get(endpoint: Endpoint, url: String) -> Self {
        Self { endpoint, method: Method::GET, url, body: None }
    }

    pub(super) fn post_json(endpoint: Endpoint, url: String, body: Vec<u8>) -> Self {
        Self { endpoint, method: Method::POST, url, body: Some(("application/json", body.into())) }
    }

    pub(super) fn post_form(endpoint: Endpoint, url: String, body: String) -> Self {
        Self { endpoint, method: Method::POST, url, body: Some(("application/x-www-form-urlencoded", body.into())) }
    }

    /// The object types that its path names: one, or the two ends of associations.
    pub(super) fn object_types(&self) -> Vec<ObjectType> {
        let path = self.url.split('?').next().unwrap_or_default();
        let segments: Vec<&str> = path.split('/').collect();
        let is_area = |segment: &&str| {
            ["objects", "properties", "property-validations", "pipelines", "associations"].contains(segment)
        };
        let Some(area) = segments.iter().position(is_area) else { return Vec::new() };
        // The date stands behind the area, `v3` and `v4` before it.
        let is_date = |segment: &&&str| segment.len() == 7 && segment.as_bytes()[4] == b'-';
        let names = segments[area + 1..].iter().skip_while(is_date);
        let count = if segments[area] == "associations" { 2 } else { 1 };
        names.take(count).map(|name| ObjectType::parse(name)).collect()
    }

    /// Whether it asks for a property of objects.
    pub(super) fn asks_for(&self, property: &str) -> bool {
        #[derive(Deserialize)]
        struct Body {
            #[serde(default)]
            properties: Vec<String>,
        }
        let in_url = || {
            let list = self.url.split(['?', '&']).find_map(|pair| pair.strip_prefix("properties="));
            list.is_some_and(|list| list.split(',').any(|name| name == encode(property)))
        };
        let in_body = || {
            let body = self.body.as_ref().and_then(|(_, body)| serde_json::from_slice::<Body>(body).ok());
            body.is_some_and(|body| body.properties.iter().any(|name| name == property))
        };
        in_url() || in_body()
    }
}

/// Paths of one API version. The date versions differ from v3 and v4 in shape, not only in prefix.
#[derive(Debug)]
pub(super) struct Paths {
    base: String,
    /// None: v3, with v4 associations.
    date: Option<String>,
}

impl Paths {
    pub(super) fn new(base_url: &str, api_version: &str) -> Self {
        let date = (api_version != "v3").then(|| api_version.to_owned());
        Self { base: base_url.trim_end_matches('/').to_owned(), date }
    }

    /// The date of the version; none for v3.
    pub(super) fn date(&self) -> Option<&str> {
        self.date.as_deref()
    }

    /// `/crm/objects/2026-03/tickets`, `/crm/v3/objects/tickets`.
    pub(super) fn objects(&self, object_type: &ObjectType) -> String {
        self.crm("objects", "v3", object_type.as_str())
    }

    pub(super) fn properties(&self, object_type: &ObjectType) -> String {
        self.crm("properties", "v3", object_type.as_str())
    }

    /// By the type's id: `/crm/property-validations/2026-09/0-1`.
    pub(super) fn property_validations(&self, object_type: &ObjectType) -> String {
        self.crm("property-validations", "v3", object_type.type_id())
    }

    pub(super) fn pipelines(&self, object_type: &ObjectType) -> String {
        self.crm("pipelines", "v3", object_type.as_str())
    }

    /// `/crm/associations/2026-03/tickets/contacts`, `/crm/v4/associations/tickets/contacts`.
    pub(super) fn associations(&self, from: &ObjectType, to: &ObjectType) -> String {
        self.crm("associations", "v4", &format!("{}/{}", encode(from.as_str()), encode(to.as_str())))
    }

    /// `/crm-object-schemas/2026-03/schemas`, in each version of this shape.
    pub(super) fn schemas(&self) -> String {
        format!("{}/crm-object-schemas/{}/schemas", self.base, self.date.as_deref().unwrap_or("v3"))
    }

    pub(super) fn owners(&self) -> String {
        match &self.date {
            Some(date) => format!("{}/crm/owners/{date}", self.base),
            None => format!("{}/crm/v3/owners", self.base),
        }
    }

    pub(super) fn account(&self, what: &str) -> String {
        let version = self.date.as_deref().unwrap_or("v3");
        format!("{}/account-info/{version}/{what}", self.base)
    }

    /// v1 of the token endpoint is switched off in February 2027.
    pub(super) fn token(&self) -> String {
        let version = self.date.as_deref().unwrap_or("v3");
        format!("{}/oauth/{version}/token", self.base)
    }

    fn crm(&self, area: &str, undated: &str, rest: &str) -> String {
        let rest = if area == "associations" { rest.to_owned() } else { encode(rest) };
        match &self.date {
            Some(date) => format!("{}/crm/{area}/{date}/{rest}", self.base),
            None => format!("{}/crm/{undated}/{area}/{rest}", self.base),
        }
    }
}

/// What may not stand in a path segment or a query value. Commas may, since HubSpot's own lists of properties have them.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b',');

/// Percent-encodes a path segment or a query value.
pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, &RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn creations_alone_are_not_sent_twice_blindly() {
        assert!(!Endpoint::BatchCreate.is_idempotent());
        for endpoint in [
            Endpoint::CreateProperty,
            Endpoint::BatchRead,
            Endpoint::BatchUpdate,
            Endpoint::BatchUpsert,
            Endpoint::CreateAssociations,
            Endpoint::Search,
            Endpoint::Token,
        ] {
            assert!(endpoint.is_idempotent(), "{}", endpoint.label());
        }
    }

    #[test]
    fn both_shapes_of_paths_are_known() {
        let dated = Paths::new("http://h/", "2026-03");
        let undated = Paths::new("http://h", "v3");
        let tickets = &ObjectType::TICKETS;
        for (path, date, v3) in [
            (
                Paths::objects as fn(&Paths, &ObjectType) -> String,
                "crm/objects/2026-03/tickets",
                "crm/v3/objects/tickets",
            ),
            (Paths::properties, "crm/properties/2026-03/tickets", "crm/v3/properties/tickets"),
            (Paths::pipelines, "crm/pipelines/2026-03/tickets", "crm/v3/pipelines/tickets"),
        ] {
            assert_eq!(path(&dated, tickets), format!("http://h/{date}"));
            assert_eq!(path(&undated, tickets), format!("http://h/{v3}"));
        }
        let (from, to) = (tickets, &ObjectType::CONTACTS);
        assert_eq!(dated.associations(from, to), "http://h/crm/associations/2026-03/tickets/contacts");
        assert_eq!(undated.associations(from, to), "http://h/crm/v4/associations/tickets/contacts");
        assert_eq!(dated.owners(), "http://h/crm/owners/2026-03");
        assert_eq!(undated.owners(), "http://h/crm/v3/owners");
        assert_eq!(dated.schemas(), "http://h/crm-object-schemas/2026-03/schemas");
        assert_eq!(undated.schemas(), "http://h/crm-object-schemas/v3/schemas");
        assert_eq!(dated.account("details"), "http://h/account-info/2026-03/details");
        assert_eq!(undated.account("details"), "http://h/account-info/v3/details");
        assert_eq!(dated.token(), "http://h/oauth/2026-03/token");
        assert_eq!(undated.token(), "http://h/oauth/v3/token");
    }
}
