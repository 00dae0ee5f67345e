//! Which endpoint a method and path name, in every version's spelling.

use crate::object_type::ObjectType;
use crate::pool::RateLimitPool;
use crate::write_plan::WriteOperation;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    List(ObjectType),
    Get(ObjectType, String),
    BatchRead(ObjectType),
    Search(ObjectType),
    RecordAssociations(ObjectType, String, ObjectType),
    AssociationsBatchRead(ObjectType, ObjectType),
    AssociationLabels(ObjectType, ObjectType),
    Properties(ObjectType),
    Property(ObjectType, String),
    PropertiesBatchRead(ObjectType),
    PropertyValidations(ObjectType),
    Pipelines(ObjectType),
    Pipeline(ObjectType, String),
    Stages(ObjectType, String),
    Owners,
    Owner(String),
    AccountDetails,
    ApiUsage,
    Token,
    Introspect,
    TokenDetails(String),
    Create(ObjectType),
    Update(ObjectType, String),
    BatchWrite(ObjectType, WriteOperation),
    AssociationsBatchCreate(ObjectType, ObjectType),
    AssociationsBatchDefault(ObjectType, ObjectType),
    /// From, to, and whether the default type is meant.
    PutAssociation(ObjectType, String, ObjectType, String, bool),
    CreateProperty(ObjectType),
    Schemas,
    Schema(ObjectType),
}

/// Why a request reaches no endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RouteError {
    NoSuchPath,
    WrongMethod,
    NoSuchType(String),
}

/// `v1` to `v4`, or a date such as `2026-03`.
fn is_version(text: &str) -> bool {
    let bytes = text.as_bytes();
    match bytes {
        [b'v', digit] => digit.is_ascii_digit(),
        [.., b'-', _, _] if bytes.len() == 7 => {
            bytes.iter().enumerate().all(|(at, byte)| at == 4 || byte.is_ascii_digit())
        }
        _ => false,
    }
}

/// Finds the endpoint. The version is the second segment (`/crm/v3/objects`) or the third (`/crm/objects/2026-03`).
pub(crate) fn route(method: &str, path: &str) -> Result<Route, RouteError> {
    let decoded: Vec<String> = path.trim_matches('/').split('/').map(crate::api_request::percent_decode).collect();
    let segments: Vec<&str> = decoded.iter().map(String::as_str).collect();
    let (family, area, rest) = match segments.as_slice() {
        [family, version, area, rest @ ..] if is_version(version) => (*family, *area, rest),
        [family, area, version, rest @ ..] if is_version(version) => (*family, *area, rest),
        _ => return Err(RouteError::NoSuchPath),
    };
    let kind = |text: &str| ObjectType::parse(text).ok_or_else(|| RouteError::NoSuchType(text.to_owned()));
    if let Some(endpoint) = write_route(method, family, area, rest)? {
        return Ok(endpoint);
    }
    let (expected, endpoint) = match (family, area, rest) {
        ("crm", "objects", [t]) => ("GET", Route::List(kind(t)?)),
        ("crm", "objects", [t, "search"]) => ("POST", Route::Search(kind(t)?)),
        ("crm", "objects", [t, "batch", "read"]) => ("POST", Route::BatchRead(kind(t)?)),
        ("crm", "objects", [t, id]) => ("GET", Route::Get(kind(t)?, (*id).to_owned())),
        ("crm", "objects", [t, id, "associations", to]) => {
            ("GET", Route::RecordAssociations(kind(t)?, (*id).to_owned(), kind(to)?))
        }
        ("crm", "associations", [from, to, "batch", "read"]) => {
            ("POST", Route::AssociationsBatchRead(kind(from)?, kind(to)?))
        }
        ("crm", "associations", [from, to, "labels"]) => ("GET", Route::AssociationLabels(kind(from)?, kind(to)?)),
        ("crm", "properties", [t]) => ("GET", Route::Properties(kind(t)?)),
        ("crm", "properties", [t, "batch", "read"]) => ("POST", Route::PropertiesBatchRead(kind(t)?)),
        ("crm", "properties", [t, name]) => ("GET", Route::Property(kind(t)?, (*name).to_owned())),
        ("crm", "property-validations", [t]) => ("GET", Route::PropertyValidations(kind(t)?)),
        ("crm", "pipelines", [t]) => ("GET", Route::Pipelines(kind(t)?)),
        ("crm", "pipelines", [t, id]) => ("GET", Route::Pipeline(kind(t)?, (*id).to_owned())),
        ("crm", "pipelines", [t, id, "stages"]) => ("GET", Route::Stages(kind(t)?, (*id).to_owned())),
        ("crm-object-schemas", "schemas", []) => ("GET", Route::Schemas),
        ("crm-object-schemas", "schemas", [t]) => ("GET", Route::Schema(kind(t)?)),
        ("crm", "owners", []) => ("GET", Route::Owners),
        ("crm", "owners", [id]) => ("GET", Route::Owner((*id).to_owned())),
        ("account-info", "details", []) => ("GET", Route::AccountDetails),
        ("account-info", "api-usage", ["daily", "private-apps"]) => ("GET", Route::ApiUsage),
        ("oauth", "token", []) => ("POST", Route::Token),
        ("oauth", "token", ["introspect"]) => ("POST", Route::Introspect),
        ("oauth", "access-tokens", [token]) => ("GET", Route::TokenDetails((*token).to_owned())),
        _ => return Err(RouteError::NoSuchPath),
    };
    if method == expected { Ok(endpoint) } else { Err(RouteError::WrongMethod) }
}

/// The endpoint that writes, where method and path name one.
fn write_route(method: &str, family: &str, area: &str, rest: &[&str]) -> Result<Option<Route>, RouteError> {
    let kind = |text: &str| ObjectType::parse(text).ok_or_else(|| RouteError::NoSuchType(text.to_owned()));
    let own = |text: &str| text.to_owned();
    Ok(Some(match (method, family, area, rest) {
        ("POST", "crm", "objects", [t]) => Route::Create(kind(t)?),
        ("POST", "crm", "objects", [t, "batch", "create"]) => Route::BatchWrite(kind(t)?, WriteOperation::Create),
        ("POST", "crm", "objects", [t, "batch", "update"]) => Route::BatchWrite(kind(t)?, WriteOperation::Update),
        ("POST", "crm", "objects", [t, "batch", "upsert"]) => Route::BatchWrite(kind(t)?, WriteOperation::Upsert),
        ("PATCH", "crm", "objects", [t, id]) => Route::Update(kind(t)?, own(id)),
        ("PUT", "crm", "objects", [t, id, "associations", "default", to, to_id]) => {
            Route::PutAssociation(kind(t)?, own(id), kind(to)?, own(to_id), true)
        }
        ("PUT", "crm", "objects", [t, id, "associations", to, to_id]) => {
            Route::PutAssociation(kind(t)?, own(id), kind(to)?, own(to_id), false)
        }
        ("POST", "crm", "associations", [from, to, "batch", "create"]) => {
            Route::AssociationsBatchCreate(kind(from)?, kind(to)?)
        }
        ("POST", "crm", "associations", [from, to, "batch", "associate", "default"]) => {
            Route::AssociationsBatchDefault(kind(from)?, kind(to)?)
        }
        ("POST", "crm", "properties", [t]) => Route::CreateProperty(kind(t)?),
        _ => return Ok(None),
    }))
}

impl Route {
    /// Whether it changes the portal.
    pub(crate) fn writes(&self) -> bool {
        matches!(
            self,
            Self::Create(_)
                | Self::Update(..)
                | Self::BatchWrite(..)
                | Self::AssociationsBatchCreate(..)
                | Self::AssociationsBatchDefault(..)
                | Self::PutAssociation(..)
                | Self::CreateProperty(_)
        )
    }

    /// The type whose records, definitions or pipelines it is about; of associations both.
    pub(crate) fn object_types(&self) -> Vec<ObjectType> {
        match self {
            Self::List(kind)
            | Self::Get(kind, _)
            | Self::BatchRead(kind)
            | Self::Search(kind)
            | Self::Properties(kind)
            | Self::Property(kind, _)
            | Self::PropertiesBatchRead(kind)
            | Self::PropertyValidations(kind)
            | Self::Pipelines(kind)
            | Self::Create(kind)
            | Self::Update(kind, _)
            | Self::BatchWrite(kind, _)
            | Self::CreateProperty(kind) => vec![*kind],
            Self::RecordAssociations(from, _, to)
            | Self::AssociationsBatchRead(from, to)
            | Self::AssociationLabels(from, to)
            | Self::AssociationsBatchCreate(from, to)
            | Self::AssociationsBatchDefault(from, to)
            | Self::PutAssociation(from, _, to, ..) => vec![*from, *to],
            _ => Vec::new(),
        }
    }

    /// Its name in the request log and counts.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::List(kind) => format!("list {}", kind.plural()),
            Self::Get(kind, _) => format!("get {}", kind.plural()),
            Self::BatchRead(kind) => format!("batch_read {}", kind.plural()),
            Self::Search(kind) => format!("search {}", kind.plural()),
            Self::RecordAssociations(from, _, to) => {
                format!("record_associations {} {}", from.plural(), to.plural())
            }
            Self::AssociationsBatchRead(from, to) => {
                format!("associations_batch_read {} {}", from.plural(), to.plural())
            }
            Self::AssociationLabels(from, to) => {
                format!("association_labels {} {}", from.plural(), to.plural())
            }
            Self::Properties(kind) | Self::Property(kind, _) | Self::PropertiesBatchRead(kind) => {
                format!("properties {}", kind.plural())
            }
            Self::PropertyValidations(kind) => format!("property_validations {}", kind.plural()),
            Self::Pipelines(kind) | Self::Pipeline(kind, _) | Self::Stages(kind, _) => {
                format!("pipelines {}", kind.plural())
            }
            Self::Schemas | Self::Schema(_) => "schemas".to_owned(),
            Self::Owners | Self::Owner(_) => "owners".to_owned(),
            Self::AccountDetails => "account_details".to_owned(),
            Self::ApiUsage => "api_usage".to_owned(),
            Self::Token | Self::Introspect | Self::TokenDetails(_) => "oauth_token".to_owned(),
            Self::Create(kind) => format!("create {}", kind.plural()),
            Self::Update(kind, _) => format!("update {}", kind.plural()),
            Self::BatchWrite(kind, WriteOperation::Create) => format!("batch_create {}", kind.plural()),
            Self::BatchWrite(kind, WriteOperation::Update) => format!("batch_update {}", kind.plural()),
            Self::BatchWrite(kind, WriteOperation::Upsert) => format!("batch_upsert {}", kind.plural()),
            Self::AssociationsBatchCreate(from, to) => {
                format!("associations_batch_create {} {}", from.plural(), to.plural())
            }
            Self::AssociationsBatchDefault(from, to) => {
                format!("associations_batch_default {} {}", from.plural(), to.plural())
            }
            Self::PutAssociation(from, _, to, ..) => format!("put_association {} {}", from.plural(), to.plural()),
            Self::CreateProperty(kind) => format!("create_property {}", kind.plural()),
        }
    }

    pub(crate) fn pool(&self) -> RateLimitPool {
        match self {
            Self::Search(_) => RateLimitPool::Search,
            Self::AssociationsBatchRead(..)
            | Self::AssociationLabels(..)
            | Self::AssociationsBatchCreate(..)
            | Self::AssociationsBatchDefault(..) => RateLimitPool::Associations,
            Self::Token | Self::Introspect | Self::TokenDetails(_) => RateLimitPool::None,
            _ => RateLimitPool::General,
        }
    }

    pub(crate) fn needs_token(&self) -> bool {
        self.pool() != RateLimitPool::None
    }

    /// The scopes that must all be granted.
    pub(crate) fn scopes(&self) -> Vec<&'static str> {
        match self {
            Self::List(kind) | Self::Get(kind, _) | Self::BatchRead(kind) | Self::Search(kind) => {
                vec![kind.read_scope()]
            }
            Self::RecordAssociations(from, _, to)
            | Self::AssociationsBatchRead(from, to)
            | Self::AssociationLabels(from, to) => vec![from.read_scope(), to.read_scope()],
            Self::Properties(kind)
            | Self::Property(kind, _)
            | Self::PropertiesBatchRead(kind)
            | Self::PropertyValidations(kind) => {
                vec![kind.schema_scope()]
            }
            Self::Pipelines(kind) | Self::Pipeline(kind, _) | Self::Stages(kind, _) => {
                vec![kind.read_scope()]
            }
            Self::Schemas => vec!["crm.schemas.custom.read"],
            Self::Schema(kind) => vec![kind.schema_scope()],
            Self::Owners | Self::Owner(_) => vec!["crm.objects.owners.read"],
            Self::Create(kind) | Self::Update(kind, _) | Self::BatchWrite(kind, _) => vec![kind.write_scope()],
            Self::AssociationsBatchCreate(from, to)
            | Self::AssociationsBatchDefault(from, to)
            | Self::PutAssociation(from, _, to, ..) => vec![from.write_scope(), to.write_scope()],
            Self::CreateProperty(kind) => vec![kind.schema_write_scope()],
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_and_type_name_reaches_the_same_endpoint() {
        for path in [
            "/crm/v3/objects/tickets",
            "/crm/v4/objects/0-5",
            "/crm/objects/v3/TICKET",
            "/crm/objects/2026-03/ticket",
            "/crm/objects/2026-09/Tickets",
        ] {
            assert_eq!(route("GET", path), Ok(Route::List(ObjectType::Tickets)), "{path}");
        }
        let batch = Route::AssociationsBatchRead(ObjectType::Tickets, ObjectType::Companies);
        assert_eq!(route("POST", "/crm/v4/associations/0-5/company/batch/read"), Ok(batch.clone()));
        assert_eq!(route("POST", "/crm/associations/2026-03/tickets/companies/batch/read"), Ok(batch));
        assert_eq!(route("POST", "/oauth/2026-03/token"), Ok(Route::Token));
    }

    #[test]
    fn a_wrong_method_is_told_from_a_wrong_path() {
        assert_eq!(route("GET", "/crm/v3/objects/tickets/search/x/y"), Err(RouteError::NoSuchPath));
        assert_eq!(route("DELETE", "/crm/v3/objects/tickets"), Err(RouteError::WrongMethod));
        assert_eq!(route("GET", "/crm/tickets"), Err(RouteError::NoSuchPath));
    }
}
