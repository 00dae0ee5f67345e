//! Reading associations: inline, per record, in batches, and their labels.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api_request::QueryParameters;
use crate::api_response::{ApiResponse, ApiResult};
use crate::association_store::AssociationTypeId;
use crate::cursor;
use crate::object_type::ObjectType;
use crate::record::CrmRecord;
use crate::render::write_number;
use crate::request_context::{RequestContext, input_ids, number, write_paging, write_times};
use crate::splitmix::mix;

/// Entries per type in an inline association before it is paged.
const INLINE_PAGE: usize = 100;

/// Live ends of a live record's associations, in order of id.
fn ends(context: &RequestContext<'_>, from: ObjectType, id: u64, to: ObjectType) -> Vec<(u64, Vec<AssociationTypeId>)> {
    if !context.portal.is_live(from, id) {
        return Vec::new();
    }
    let ends = context.portal.associations.ends(from, id, to);
    let live = ends.iter().filter(|(end, _)| context.portal.is_live(to, **end));
    live.map(|(end, types)| (*end, types.clone())).collect()
}

/// The `associations` member of a record. HubSpot lists an id once per association type, type by
/// type, so ids repeat.
pub(crate) fn inline_associations(
    context: &RequestContext<'_>,
    kind: ObjectType,
    record: &CrmRecord,
    to_types: &[ObjectType],
) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for to in to_types {
        let ends = ends(context, kind, record.id, *to);
        let mut by_type: BTreeMap<AssociationTypeId, Vec<u64>> = BTreeMap::new();
        for (end, types) in &ends {
            types.iter().for_each(|key| by_type.entry(*key).or_default().push(*end));
        }
        if by_type.is_empty() {
            continue;
        }
        out.push(if out.is_empty() { b'{' } else { b',' });
        out.extend_from_slice(format!("\"{}\":{{\"results\":[", to.plural()).as_bytes());
        let known = context.portal.associations.types(kind, *to);
        let name = |key: &AssociationTypeId| {
            known.iter().find(|known| known.key == *key).map_or("", |known| known.name.as_str())
        };
        let entries: Vec<(u64, &str)> =
            by_type.iter().flat_map(|(key, ids)| ids.iter().map(|id| (*id, name(key)))).collect();
        for (at, (id, name)) in entries.iter().take(INLINE_PAGE).enumerate() {
            let comma = if at > 0 { "," } else { "" };
            out.extend_from_slice(format!("{comma}{{\"id\":\"{id}\",\"type\":\"{name}\"}}").as_bytes());
        }
        out.push(b']');
        if let Some((next, _)) = entries.get(INLINE_PAGE) {
            let path = format!("/crm/v3/objects/{}/{}/associations/{}", kind.plural(), record.id, to.plural());
            write_paging(&mut out, &next.to_string(), &path);
        }
        out.push(b'}');
    }
    if out.is_empty() {
        return None;
    }
    out.push(b'}');
    Some(out)
}

/// One page of a record's associations from `after` on, and the first id of the next page.
fn page(
    ends: &[(u64, Vec<AssociationTypeId>)],
    after: u64,
    size: usize,
) -> (&[(u64, Vec<AssociationTypeId>)], Option<u64>) {
    let start = ends.partition_point(|(end, _)| *end < after);
    let rest = &ends[start..];
    let size = size.min(rest.len());
    (&rest[..size], rest.get(size).map(|(end, _)| *end))
}

fn write_ends(
    context: &RequestContext<'_>,
    out: &mut Vec<u8>,
    (from, to): (ObjectType, ObjectType),
    ends: &[(u64, Vec<AssociationTypeId>)],
) {
    for (at, (end, types)) in ends.iter().enumerate() {
        out.extend_from_slice(if at > 0 { b",{\"toObjectId\":" } else { b"{\"toObjectId\":" });
        write_number(out, *end);
        out.extend_from_slice(b",\"associationTypes\":[");
        for (at, key) in types.iter().enumerate() {
            let label = context.portal.associations.label((from, to), *key);
            let label = label.map_or_else(|| "null".to_owned(), |label| json!(label).to_string());
            let comma = if at > 0 { "," } else { "" };
            let (category, type_id) = (key.category(), key.type_id);
            out.extend_from_slice(
                format!("{comma}{{\"category\":\"{category}\",\"typeId\":{type_id},\"label\":{label}}}").as_bytes(),
            );
        }
        out.extend_from_slice(b"]}");
    }
}

/// A cursor consists of the type and the id of the next associated record.
fn cursor_of(to: ObjectType, next: u64) -> String {
    cursor::encode(&format!("{}-{next}", to.id()))
}

fn parse_cursor(to: ObjectType, text: &str) -> Option<u64> {
    cursor::decode(text)?.strip_prefix(to.id())?.strip_prefix('-')?.parse().ok()
}

pub(crate) fn record_associations(
    context: &RequestContext<'_>,
    from: ObjectType,
    id: &str,
    to: ObjectType,
    parameters: &QueryParameters,
) -> ApiResult {
    let limit = number(context, parameters, "limit", 500)?;
    if limit == 0 || limit > 500 {
        return Err(Box::new(context.errors.invalid("limit must be between 1 and 500")));
    }
    let after = match parameters.get("after").filter(|text| !text.is_empty()) {
        None => 0,
        Some(text) => parse_cursor(to, text).ok_or_else(|| Box::new(context.errors.query_value("after")))?,
    };
    let record = id.parse().ok().and_then(|id| context.portal.resolve(from, id));
    let record = record.filter(|record| record.is_live()).ok_or_else(|| Box::new(context.errors.not_found(id)))?;
    let ends = ends(context, from, record.id, to);
    let (shown, next) = page(&ends, after, limit);
    let mut out = b"{\"results\":[".to_vec();
    write_ends(context, &mut out, (from, to), shown);
    out.push(b']');
    if let Some(next) = next {
        write_paging(&mut out, &cursor_of(to, next), context.path);
    }
    out.push(b'}');
    Ok(ApiResponse::bytes(200, out))
}

#[derive(Deserialize)]
struct BatchRead {
    inputs: Vec<Value>,
}

pub(crate) fn batch_read(
    context: &RequestContext<'_>,
    from: ObjectType,
    to: ObjectType,
    body: &[u8],
    most: usize,
    page_size: usize,
) -> ApiResult {
    let request: BatchRead =
        serde_json::from_slice(body).map_err(|error| Box::new(context.errors.input_json(&error)))?;
    if request.inputs.len() > most {
        let message = format!(
            "The maximum number of inputs supported in a batch request for reads is {most}. Found {} inputs.",
            request.inputs.len()
        );
        return Err(Box::new(context.errors.invalid(&message)));
    }
    let ids = input_ids(context, &request.inputs)?;
    let mut wanted: Vec<(u64, u64)> = Vec::with_capacity(ids.len());
    for (id, input) in ids.iter().zip(&request.inputs) {
        let id: u64 = id
            .parse()
            .map_err(|_| Box::new(context.errors.invalid(&format!("Invalid object id '{id}', expected a number"))))?;
        let after = match input["after"].as_str().filter(|text| !text.is_empty()) {
            None => 0,
            Some(text) => parse_cursor(to, text)
                .ok_or_else(|| Box::new(context.errors.invalid(&format!("Invalid paging cursor {text}"))))?,
        };
        wanted.push((id, after));
    }
    // Results stand in no order that follows the inputs.
    wanted.sort_unstable_by_key(|(id, _)| mix(0, 71, *id));
    wanted.dedup_by_key(|(id, _)| *id);
    let mut out = b"{\"status\":\"COMPLETE\",\"results\":[".to_vec();
    let (mut errors, mut some) = (Vec::new(), false);
    for (id, after) in wanted {
        let ends = ends(context, from, id, to);
        if ends.is_empty() {
            errors.push(no_association(from, id, to));
            continue;
        }
        let (shown, next) = page(&ends, after, page_size);
        if some {
            out.push(b',');
        }
        some = true;
        out.extend_from_slice(format!("{{\"from\":{{\"id\":\"{id}\"}},\"to\":[").as_bytes());
        write_ends(context, &mut out, (from, to), shown);
        out.push(b']');
        if let Some(next) = next {
            let after = cursor_of(to, next);
            write_paging(&mut out, &after, context.path);
        }
        out.push(b'}');
    }
    out.push(b']');
    let status = if errors.is_empty() { 200 } else { 207 };
    if status == 207 {
        let count = errors.len();
        out.extend_from_slice(format!(",\"errors\":{},\"numErrors\":{count}", Value::Array(errors)).as_bytes());
    }
    write_times(&mut out, context.now);
    Ok(ApiResponse::bytes(status, out))
}

fn no_association(from: ObjectType, id: u64, to: ObjectType) -> Value {
    let (from, to) = (from.singular(), to.singular());
    json!({
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
        "message": format!("No {to} is associated with {from} {id}."),
        "context": {"fromObjectId": [id.to_string()], "fromObjectType": [from], "toObjectType": [to]},
    })
}

pub(crate) fn labels(context: &RequestContext<'_>, from: ObjectType, to: ObjectType) -> ApiResponse {
    ApiResponse::json(200, &json!({"results": context.portal.associations.labels_json(from, to)}))
}
