//! Writing associations: in batches, with labels, and the unlabelled kind by default.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api_response::{ApiResponse, ApiResult};
use crate::association_store::AssociationTypeId;
use crate::error_responses::ErrorResponses;
use crate::object_type::ObjectType;
use crate::portal::FakePortal;
use crate::request_context::write_times;

/// Inputs of one batch.
const BATCH_MAX: usize = 2_000;

/// Another record, and the types that lead to it.
#[derive(Clone, Debug)]
pub(crate) struct AssociationTarget {
    to_kind: ObjectType,
    to: u64,
    keys: Vec<AssociationTypeId>,
}

#[derive(Debug, Deserialize)]
struct Batch {
    inputs: Vec<AssociationInput>,
}

#[derive(Debug, Deserialize)]
struct AssociationInput {
    from: Value,
    to: Value,
    #[serde(default)]
    types: Vec<Value>,
}

fn id_of(value: &Value) -> Option<u64> {
    let id = &value["id"];
    id.as_u64().or_else(|| id.as_str()?.parse().ok())
}

fn key_of(spec: &Value) -> Option<AssociationTypeId> {
    let type_id = u32::try_from(spec["associationTypeId"].as_u64()?).ok()?;
    Some(AssociationTypeId { user_defined: spec["associationCategory"] == "USER_DEFINED", type_id })
}

/// The types of a write, which must be known for the direction.
fn known_keys(
    portal: &FakePortal,
    from: ObjectType,
    to: ObjectType,
    specs: &[Value],
) -> Result<Vec<AssociationTypeId>, String> {
    let known = portal.associations.types(from, to);
    let mut keys = Vec::with_capacity(specs.len());
    for spec in specs {
        let key = key_of(spec).ok_or_else(|| format!("Invalid association spec {spec}"))?;
        if !known.iter().any(|one| one.key == key) {
            return Err(format!(
                "Association type {} {} is invalid from object type {} to {}",
                key.category(),
                key.type_id,
                from.id(),
                to.id()
            ));
        }
        keys.push(key);
    }
    Ok(keys)
}

/// `associations` of a new record. The object type of the other end follows from the association type.
pub(crate) fn inline_ends(
    portal: &FakePortal,
    from: ObjectType,
    given: &[Value],
) -> Result<Vec<AssociationTarget>, String> {
    let mut ends = Vec::with_capacity(given.len());
    for one in given {
        let to = id_of(&one["to"]).ok_or_else(|| "Some required fields were not set: [to]".to_owned())?;
        let specs = one["types"].as_array().cloned().unwrap_or_default();
        let first = specs.first().and_then(key_of);
        let to_kind = ObjectType::ALL.into_iter().find(|to_kind| {
            first.is_some_and(|key| portal.associations.types(from, *to_kind).iter().any(|known| known.key == key))
        });
        let to_kind = to_kind.ok_or_else(|| format!("No association type of {} is {specs:?}", from.singular()))?;
        let keys = known_keys(portal, from, to_kind, &specs)?;
        if !portal.is_live(to_kind, to) {
            return Err(format!("The object {to} of type {} does not exist", to_kind.id()));
        }
        ends.push(AssociationTarget { to_kind, to, keys });
    }
    Ok(ends)
}

pub(crate) fn link(portal: &mut FakePortal, from_kind: ObjectType, from: u64, ends: &[AssociationTarget]) {
    portal.version += 1;
    for AssociationTarget { to_kind, to, keys } in ends {
        if keys.is_empty() {
            portal.associations.associate((from_kind, *to_kind), from, *to, None);
        }
        for key in keys {
            portal.associations.associate((from_kind, *to_kind), from, *to, Some(*key));
        }
    }
}

/// `batch/create` (201, types required) and `batch/associate/default` (200).
pub(crate) fn batch(
    portal: &mut FakePortal,
    errors: &ErrorResponses,
    now: i64,
    (from_kind, to_kind): (ObjectType, ObjectType),
    default: bool,
    body: &[u8],
) -> ApiResult {
    let request: Batch = serde_json::from_slice(body).map_err(|error| Box::new(errors.input_json(&error)))?;
    if request.inputs.len() > BATCH_MAX {
        let message = format!("The maximum number of inputs is {BATCH_MAX}. Found {}.", request.inputs.len());
        return Err(Box::new(errors.invalid(&message)));
    }
    let mut ends = Vec::with_capacity(request.inputs.len());
    for pair in &request.inputs {
        let (Some(from), Some(to)) = (id_of(&pair.from), id_of(&pair.to)) else {
            let message = "Invalid input JSON on line 1, column 1: Some required fields were not set: [from, to]";
            return Err(Box::new(errors.invalid(message)));
        };
        if !default && pair.types.is_empty() {
            return Err(Box::new(errors.invalid("Some required fields were not set: [types]")));
        }
        let specs = if default { &[][..] } else { pair.types.as_slice() };
        let keys =
            known_keys(portal, from_kind, to_kind, specs).map_err(|message| Box::new(errors.invalid(&message)))?;
        ends.push((from, AssociationTarget { to_kind, to, keys }));
    }
    let (mut results, mut failed) = (Vec::new(), Vec::new());
    for (from, end) in &ends {
        if !portal.is_live(from_kind, *from) || !portal.is_live(to_kind, end.to) {
            failed.push(json!({
                "status": "error",
                "category": "OBJECT_NOT_FOUND",
                "message": format!("One or both of the objects {from} and {} do not exist.", end.to),
                "context": {"fromObjectId": [from.to_string()], "toObjectId": [end.to.to_string()]},
            }));
            continue;
        }
        link(portal, from_kind, *from, std::slice::from_ref(end));
        let labels: Vec<&str> =
            end.keys.iter().filter_map(|key| portal.associations.label((from_kind, to_kind), *key)).collect();
        results.push(json!({
            "fromObjectTypeId": from_kind.id(),
            "fromObjectId": from,
            "toObjectTypeId": to_kind.id(),
            "toObjectId": end.to,
            "labels": labels,
        }));
    }
    results.reverse();
    let mut status = if default { 200 } else { 201 };
    let mut out = format!("{{\"status\":\"COMPLETE\",\"results\":{}", Value::Array(results)).into_bytes();
    if !failed.is_empty() {
        status = 207;
        out.extend_from_slice(format!(",\"numErrors\":{},\"errors\":", failed.len()).as_bytes());
        out.extend_from_slice(Value::Array(failed).to_string().as_bytes());
    }
    write_times(&mut out, now);
    Ok(ApiResponse::bytes(status, out))
}

/// `PUT .../associations/default/TYPE/ID` and, with types in the body, `PUT .../associations/TYPE/ID`, which replaces
/// the labels of the pair.
pub(crate) fn put(
    errors: &ErrorResponses,
    now: i64,
    portal: &mut FakePortal,
    (from_kind, from): (ObjectType, &str),
    (to_kind, to): (ObjectType, &str),
    default: bool,
    body: &[u8],
) -> ApiResult {
    let live = |kind: ObjectType, id: &str| id.parse::<u64>().ok().filter(|id| portal.is_live(kind, *id));
    let from_id = live(from_kind, from).ok_or_else(|| Box::new(errors.not_found(from)))?;
    let to_id = live(to_kind, to).ok_or_else(|| Box::new(errors.not_found(to)))?;
    let specs: Vec<Value> = match default {
        true => Vec::new(),
        false => serde_json::from_slice(body).map_err(|error| Box::new(errors.input_json(&error)))?,
    };
    let keys = known_keys(portal, from_kind, to_kind, &specs).map_err(|message| Box::new(errors.invalid(&message)))?;
    if !default {
        portal.dissociate((from_kind, from_id), (to_kind, to_id));
    }
    link(portal, from_kind, from_id, &[AssociationTarget { to_kind, to: to_id, keys: keys.clone() }]);
    if !default {
        let labels: Vec<&str> =
            keys.iter().filter_map(|key| portal.associations.label((from_kind, to_kind), *key)).collect();
        let body = json!({
            "fromObjectTypeId": from_kind.id(), "fromObjectId": from_id,
            "toObjectTypeId": to_kind.id(), "toObjectId": to_id, "labels": labels,
        });
        return Ok(ApiResponse::json(201, &body));
    }
    let spec = |from: ObjectType, to: ObjectType, one: u64, other: u64| {
        let plain = portal.associations.types(from, to).iter().find(|known| known.label.is_none());
        let type_id = plain.map_or(0, |known| known.key.type_id);
        json!({
            "from": {"id": one.to_string()},
            "to": {"id": other.to_string()},
            "associationSpec": {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id},
        })
    };
    let results = [spec(from_kind, to_kind, from_id, to_id), spec(to_kind, from_kind, to_id, from_id)];
    let mut out = format!("{{\"status\":\"COMPLETE\",\"results\":{}", Value::from(results.to_vec())).into_bytes();
    write_times(&mut out, now);
    Ok(ApiResponse::bytes(200, out))
}
