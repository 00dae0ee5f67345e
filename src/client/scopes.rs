//! The scopes that HubSpot's endpoints need, for answers that do not name them.

use super::request::{Endpoint, Request};

/// The scope of owners.
const OWNERS: &str = "crm.objects.owners.read";
/// The scope of the list of custom objects.
const SCHEMAS: &str = "crm.schemas.custom.read";

/// The scope that a request needs; none for requests that any token may make. Associations need the scopes of both ends, of
/// which the second is told: nothing is read without the first.
pub(super) fn scope_of(request: &Request) -> Option<String> {
    let object_type = || request.object_types().last().cloned();
    match request.endpoint {
        Endpoint::Account | Endpoint::DailyUsage | Endpoint::Token => None,
        Endpoint::Owners => Some(OWNERS.to_owned()),
        Endpoint::BatchRead
        | Endpoint::Get
        | Endpoint::List
        | Endpoint::Search
        | Endpoint::Associations
        | Endpoint::AssociationTypes => object_type().map(|one| one.read_scope()),
        Endpoint::Pipelines | Endpoint::Properties | Endpoint::PropertyValidations => {
            object_type().map(|one| one.schema_scope())
        }
        Endpoint::Schemas => Some(SCHEMAS.to_owned()),
        Endpoint::BatchCreate | Endpoint::BatchUpdate | Endpoint::BatchUpsert | Endpoint::CreateAssociations => {
            object_type().map(|one| one.scope("objects", "write"))
        }
        Endpoint::CreateProperty => object_type().map(|one| one.scope("schemas", "write")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::ObjectType;
    use crate::client::request::Paths;

    #[test]
    fn every_endpoint_has_its_scope() {
        for version in ["2026-03", "v3"] {
            let paths = Paths::new("https://api.hubapi.com", version);
            let (tickets, contacts) = (&ObjectType::TICKETS, &ObjectType::CONTACTS);
            for (endpoint, url, scope) in [
                (Endpoint::Owners, paths.owners(), "crm.objects.owners.read"),
                (Endpoint::Schemas, paths.schemas(), "crm.schemas.custom.read"),
                (Endpoint::List, format!("{}?limit=1", paths.objects(tickets)), "tickets"),
                (Endpoint::Search, format!("{}/search", paths.objects(contacts)), "crm.objects.contacts.read"),
                (
                    Endpoint::Properties,
                    format!("{}?archived=false", paths.properties(contacts)),
                    "crm.schemas.contacts.read",
                ),
                (Endpoint::Pipelines, paths.pipelines(tickets), "tickets"),
                (
                    Endpoint::Associations,
                    format!("{}/batch/read", paths.associations(tickets, contacts)),
                    "crm.objects.contacts.read",
                ),
                (
                    Endpoint::BatchUpdate,
                    format!("{}/batch/update", paths.objects(contacts)),
                    "crm.objects.contacts.write",
                ),
                (Endpoint::CreateProperty, paths.properties(contacts), "crm.schemas.contacts.write"),
                (Endpoint::List, paths.objects(&ObjectType::parse("2-77")), "crm.objects.custom.read"),
                (Endpoint::List, paths.objects(&ObjectType::parse("notes")), "crm.objects.contacts.read"),
            ] {
                assert_eq!(scope_of(&Request::get(endpoint, url.clone())).as_deref(), Some(scope), "{url}");
            }
            assert_eq!(scope_of(&Request::get(Endpoint::Account, paths.account("details"))), None);
        }
    }
}
