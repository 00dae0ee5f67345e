//! The schemas of custom objects.

use serde_json::{Value, json};

use crate::api_request::QueryParameters;
use crate::api_response::{ApiResponse, ApiResult};
use crate::clock::{DAY, HOUR, instant_text, parse_instant};
use crate::object_type::ObjectType;
use crate::request_context::RequestContext;

/// When the portal's own types were made.
const MADE: &str = "2024-02-20T18:07:11.390Z";

pub(crate) fn list(context: &RequestContext<'_>, parameters: &QueryParameters) -> ApiResponse {
    let archived = parameters.flag("archived");
    let listed =
        ObjectType::CUSTOM.into_iter().filter(|kind| context.portal.deleted_schemas.contains(kind) == archived);
    let results: Vec<Value> = listed.map(|kind| schema(context, kind)).collect();
    ApiResponse::json(200, &json!({"results": results}))
}

pub(crate) fn get(context: &RequestContext<'_>, kind: ObjectType) -> ApiResult {
    match kind.is_custom() {
        true => Ok(ApiResponse::json(200, &schema(context, kind))),
        false => Err(Box::new(context.errors.not_found(kind.id()))),
    }
}

fn schema(context: &RequestContext<'_>, kind: ObjectType) -> Value {
    let properties = context.portal.properties(kind);
    let shown: Vec<Value> = properties.iter(false).enumerate().map(|(order, (_, def))| def.to_json(order)).collect();
    let mine = properties.iter(false).filter(|(_, def)| !def.name.starts_with("hs_") && def.field_type == "text");
    let names: Vec<&str> = mine.map(|(_, def)| def.name.as_str()).collect();
    let made = parse_instant(MADE).unwrap_or_default();
    json!({
        "id": kind.id().split_once('-').map_or("", |(_, id)| id),
        "createdAt": instant_text(made),
        "updatedAt": instant_text(made + 3 * DAY + HOUR),
        "properties": shown,
        "associations": associations(context, kind),
        "labels": {"singular": kind.singular(), "plural": kind.plural()},
        "requiredProperties": names.first().into_iter().collect::<Vec<_>>(),
        "searchableProperties": names,
        "primaryDisplayProperty": names.first(),
        "secondaryDisplayProperties": [],
        "metaType": "PORTAL_SPECIFIC",
        "archived": context.portal.deleted_schemas.contains(&kind),
        "allowsSensitiveProperties": false,
        "objectTypeId": kind.id(),
        "fullyQualifiedName": format!("p{}_{}", context.portal.id, kind.plural()),
        "name": kind.plural(),
    })
}

/// Its associations with tickets, both ways.
fn associations(context: &RequestContext<'_>, kind: ObjectType) -> Vec<Value> {
    let both = [(kind, ObjectType::Tickets), (ObjectType::Tickets, kind)];
    let types = both.into_iter().flat_map(|(from, to)| {
        let types = context.portal.associations.types(from, to).iter();
        types.map(move |known| (from, to, known))
    });
    types
        .map(|(from, to, known)| {
            json!({
                "id": known.key.type_id.to_string(),
                "fromObjectTypeId": from.id(),
                "toObjectTypeId": to.id(),
                "name": known.name,
            })
        })
        .collect()
}
