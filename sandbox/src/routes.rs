//! Which endpoint a method and path name, in every version's spelling.

use crate::limits::Pool;
use crate::object_type::ObjectType;
use crate::writes::Operation;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
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
    BatchWrite(ObjectType, Operation),
    AssociationsBatchCreate(ObjectType, ObjectType),
    AssociationsBatchDefault(ObjectType, ObjectType),
    /// From, to, and whether the default type is meant.
    PutAssociation(ObjectType, String, ObjectType, String, bool),
    CreateProperty(ObjectType),
}

/// Why a request reaches no endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unroutable {
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

/// Finds the endpoint. The version stands second (`/crm/v3/objects`) or third (`/crm/objects/2026-03`).
pub(crate) fn route(method: &str, path: &str) -> Result<Endpoint, Unroutable> {
    let decoded: Vec<String> = path.trim_matches('/').split('/').map(crate::request::percent_decode).collect();
    let segments: Vec<&str> = decoded.iter().map(String::as_str).collect();
    let (family, area, rest) = match segments.as_slice() {
        [family, version, area, rest @ ..] if is_version(version) => (*family, *area, rest),
        [family, area, version, rest @ ..] if is_version(version) => (*family, *area, rest),
        _ => return Err(Unroutable::NoSuchPath),
    };
    let kind = |text: &str| ObjectType::parse(text).ok_or_else(|| Unroutable::NoSuchType(text.to_owned()));
    if let Some(endpoint) = write_route(method, family, area, rest)? {
        return Ok(endpoint);
    }
    let (expected, endpoint) = match (family, area, rest) {
        ("crm", "objects", [t]) => ("GET", Endpoint::List(kind(t)?)),
        ("crm", "objects", [t, "search"]) => ("POST", Endpoint::Search(kind(t)?)),
        ("crm", "objects", [t, "batch", "read"]) => ("POST", Endpoint::BatchRead(kind(t)?)),
        ("crm", "objects", [t, id]) => ("GET", Endpoint::Get(kind(t)?, (*id).to_owned())),
        ("crm", "objects", [t, id, "associations", to]) => {
            ("GET", Endpoint::RecordAssociations(kind(t)?, (*id).to_owned(), kind(to)?))
        }
        ("crm", "associations", [from, to, "batch", "read"]) => {
            ("POST", Endpoint::AssociationsBatchRead(kind(from)?, kind(to)?))
        }
        ("crm", "associations", [from, to, "labels"]) => ("GET", Endpoint::AssociationLabels(kind(from)?, kind(to)?)),
        ("crm", "properties", [t]) => ("GET", Endpoint::Properties(kind(t)?)),
        ("crm", "properties", [t, "batch", "read"]) => ("POST", Endpoint::PropertiesBatchRead(kind(t)?)),
        ("crm", "properties", [t, name]) => ("GET", Endpoint::Property(kind(t)?, (*name).to_owned())),
        ("crm", "property-validations", [t]) => ("GET", Endpoint::PropertyValidations(kind(t)?)),
        ("crm", "pipelines", [t]) => ("GET", Endpoint::Pipelines(kind(t)?)),
        ("crm", "pipelines", [t, id]) => ("GET", Endpoint::Pipeline(kind(t)?, (*id).to_owned())),
        ("crm", "pipelines", [t, id, "stages"]) => ("GET", Endpoint::Stages(kind(t)?, (*id).to_owned())),
        ("crm", "owners", []) => ("GET", Endpoint::Owners),
        ("crm", "owners", [id]) => ("GET", Endpoint::Owner((*id).to_owned())),
        ("account-info", "details", []) => ("GET", Endpoint::AccountDetails),
        ("account-info", "api-usage", ["daily", "private-apps"]) => ("GET", Endpoint::ApiUsage),
        ("oauth", "token", []) => ("POST", Endpoint::Token),
        ("oauth", "token", ["introspect"]) => ("POST", Endpoint::Introspect),
        ("oauth", "access-tokens", [token]) => ("GET", Endpoint::TokenDetails((*token).to_owned())),
        _ => return Err(Unroutable::NoSuchPath),
    };
    if method == expected { Ok(endpoint) } else { Err(Unroutable::WrongMethod) }
}

/// The endpoint that writes, where method and path name one.
fn write_route(method: &str, family: &str, area: &str, rest: &[&str]) -> Result<Option<Endpoint>, Unroutable> {
    let kind = |text: &str| ObjectType::parse(text).ok_or_else(|| Unroutable::NoSuchType(text.to_owned()));
    let own = |text: &str| text.to_owned();
    Ok(Some(match (method, family, area, rest) {
        ("POST", "crm", "objects", [t]) => Endpoint::Create(kind(t)?),
        ("POST", "crm", "objects", [t, "batch", "create"]) => Endpoint::BatchWrite(kind(t)?, Operation::Create),
        ("POST", "crm", "objects", [t, "batch", "update"]) => Endpoint::BatchWrite(kind(t)?, Operation::Update),
        ("POST", "crm", "objects", [t, "batch", "upsert"]) => Endpoint::BatchWrite(kind(t)?, Operation::Upsert),
        ("PATCH", "crm", "objects", [t, id]) => Endpoint::Update(kind(t)?, own(id)),
        ("PUT", "crm", "objects", [t, id, "associations", "default", to, to_id]) => {
            Endpoint::PutAssociation(kind(t)?, own(id), kind(to)?, own(to_id), true)
        }
        ("PUT", "crm", "objects", [t, id, "associations", to, to_id]) => {
            Endpoint::PutAssociation(kind(t)?, own(id), kind(to)?, own(to_id), false)
        }
        ("POST", "crm", "associations", [from, to, "batch", "create"]) => {
            Endpoint::AssociationsBatchCreate(kind(from)?, kind(to)?)
        }
        ("POST", "crm", "associations", [from, to, "batch", "associate", "default"]) => {
            Endpoint::AssociationsBatchDefault(kind(from)?, kind(to)?)
        }
        ("POST", "crm", "properties", [t]) => Endpoint::CreateProperty(kind(t)?),
        _ => return Ok(None),
    }))
}

impl Endpoint {
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

    /// What counts and logs call it.
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
            Self::Owners | Self::Owner(_) => "owners".to_owned(),
            Self::AccountDetails => "account_details".to_owned(),
            Self::ApiUsage => "api_usage".to_owned(),
            Self::Token | Self::Introspect | Self::TokenDetails(_) => "oauth_token".to_owned(),
            Self::Create(kind) => format!("create {}", kind.plural()),
            Self::Update(kind, _) => format!("update {}", kind.plural()),
            Self::BatchWrite(kind, Operation::Create) => format!("batch_create {}", kind.plural()),
            Self::BatchWrite(kind, Operation::Update) => format!("batch_update {}", kind.plural()),
            Self::BatchWrite(kind, Operation::Upsert) => format!("batch_upsert {}", kind.plural()),
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

    pub(crate) fn pool(&self) -> Pool {
        match self {
            Self::Search(_) => Pool::Search,
            Self::AssociationsBatchRead(..)
            | Self::AssociationLabels(..)
            | Self::AssociationsBatchCreate(..)
            | Self::AssociationsBatchDefault(..) => Pool::Associations,
            Self::Token | Self::Introspect | Self::TokenDetails(_) => Pool::None,
            _ => Pool::General,
        }
    }

    pub(crate) fn needs_token(&self) -> bool {
        self.pool() != Pool::None
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
            assert_eq!(route("GET", path), Ok(Endpoint::List(ObjectType::Tickets)), "{path}");
        }
        let batch = Endpoint::AssociationsBatchRead(ObjectType::Tickets, ObjectType::Companies);
        assert_eq!(route("POST", "/crm/v4/associations/0-5/company/batch/read"), Ok(batch.clone()));
        assert_eq!(route("POST", "/crm/associations/2026-03/tickets/companies/batch/read"), Ok(batch));
        assert_eq!(route("POST", "/oauth/2026-03/token"), Ok(Endpoint::Token));
    }

    #[test]
    fn a_wrong_method_is_told_from_a_wrong_path() {
        assert_eq!(route("GET", "/crm/v3/objects/tickets/search/x/y"), Err(Unroutable::NoSuchPath));
        assert_eq!(route("DELETE", "/crm/v3/objects/tickets"), Err(Unroutable::WrongMethod));
        assert_eq!(route("GET", "/crm/tickets"), Err(Unroutable::NoSuchPath));
    }
}
