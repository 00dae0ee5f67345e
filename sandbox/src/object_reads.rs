//! Reading CRM records: list, get, batch read.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api_request::QueryParameters;
use crate::api_response::{ApiResponse, ApiResult};
use crate::association_reads::inline_associations;
use crate::cursor::{list_cursor, parse_list_cursor};
use crate::object_type::ObjectType;
use crate::options::{CursorStyle, UnknownCursor};
use crate::portal::FakePortal;
use crate::record::{CrmRecord, RecordState};
use crate::render::{PropertySelection, RenderContext};
use crate::request_context::{RequestContext, input_ids, number, object_type, write_paging, write_times};

/// Records a page may have.
const LIST_MAX: usize = 100;
const HISTORY_MAX: usize = 50;
const BATCH_MAX: usize = 100;

fn history(context: &RequestContext<'_>, kind: ObjectType, names: &[&str]) -> Option<PropertySelection> {
    (!names.is_empty()).then(|| context.selection(kind, names.iter().copied()))
}

fn association_types(
    context: &RequestContext<'_>,
    parameters: &QueryParameters,
) -> Result<Vec<ObjectType>, Box<ApiResponse>> {
    let names = parameters.list("associations");
    names.into_iter().map(|name| object_type(context.errors, name)).collect()
}

pub(crate) fn list(context: &RequestContext<'_>, kind: ObjectType, parameters: &QueryParameters) -> ApiResult {
    let asked_history = parameters.list("propertiesWithHistory");
    let most = if asked_history.is_empty() { LIST_MAX } else { HISTORY_MAX };
    let limit = number(context, parameters, "limit", 10)?;
    if limit == 0 || limit > most {
        let message = format!("Unable to parse value for query parameter: limit. limit must be between 1 and {most}");
        return Err(Box::new(context.errors.invalid(&message)));
    }
    let from = match parameters.get("after").filter(|text| !text.is_empty()) {
        None => 0,
        Some(text) => {
            parse_list_cursor(context.cursor, text).ok_or_else(|| Box::new(context.errors.query_value("after")))?
        }
    };
    let from = match context.cursor {
        CursorStyle::GivenOnly(stranger) if from > 0 && context.portal.table(kind).get(from - 1).is_none() => {
            match stranger {
                UnknownCursor::Refused => return Err(Box::new(context.errors.query_value("after"))),
                UnknownCursor::FirstPage => 0,
                UnknownCursor::EmptyPage => u64::MAX,
                UnknownCursor::LatePage => context.portal.table(kind).rows(from).nth(7).map_or(u64::MAX, |(id, _)| id),
            }
        }
        _ => from,
    };
    let page = page_of(context.portal, kind, from, limit, parameters.flag("archived"));
    let selection = context.selection(kind, parameters.list("properties"));
    let history = history(context, kind, &asked_history);
    let to_types = association_types(context, parameters)?;
    let rendering = RenderContext { history: history.as_ref(), ..context.render_context(None) };
    let mut out = Vec::with_capacity(page.records.len() * 4_096 + 256);
    out.extend_from_slice(b"{\"results\":[");
    for (at, record) in page.records.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let associations = inline_associations(context, kind, record, &to_types);
        selection.write(&mut out, record, rendering, associations.as_deref());
    }
    out.push(b']');
    if let Some(next) = page.next {
        write_paging(&mut out, &list_cursor(context.cursor, next), context.path);
    }
    out.push(b'}');
    Ok(ApiResponse::bytes(200, out))
}

struct ListPage {
    records: Vec<Arc<CrmRecord>>,
    /// Lower bound of the next page when there is one.
    next: Option<u64>,
}

fn page_of(portal: &FakePortal, kind: ObjectType, from: u64, limit: usize, archived: bool) -> ListPage {
    let table = portal.table(kind);
    let mut records: Vec<Arc<CrmRecord>> = Vec::with_capacity(limit);
    let mut more = false;
    if archived {
        for id in table.archived_from(from) {
            if records.len() == limit {
                more = true;
                break;
            }
            records.extend(table.get(id));
        }
    } else {
        for (_, row) in table.rows(from) {
            let live = table.head(&row).is_some_and(|head| head.state == RecordState::Live);
            if live && records.len() == limit {
                more = true;
                break;
            }
            if live {
                records.extend(table.load(&row));
            }
        }
    }
    let next = records.last().map(|record| record.id + 1).filter(|_| more);
    ListPage { records, next }
}

pub(crate) fn get(context: &RequestContext<'_>, kind: ObjectType, id: &str, parameters: &QueryParameters) -> ApiResult {
    let missing = || Box::new(context.errors.not_found(id));
    let record = match parameters.get("idProperty").filter(|name| *name != "hs_object_id") {
        Some(name) => by_value(context, kind, name, id)?,
        None => id.parse().ok().and_then(|id| context.portal.resolve(kind, id)),
    };
    let archived = parameters.flag("archived");
    let record = record.filter(|record| record.archived_at().is_some() == archived).ok_or_else(missing)?;
    let selection = context.selection(kind, parameters.list("properties"));
    let history = history(context, kind, &parameters.list("propertiesWithHistory"));
    let to_types = association_types(context, parameters)?;
    let associations = inline_associations(context, kind, &record, &to_types);
    let mut out = Vec::new();
    let rendering = RenderContext { history: history.as_ref(), ..context.render_context(None) };
    selection.write(&mut out, &record, rendering, associations.as_deref());
    Ok(ApiResponse::bytes(200, out))
}

/// Finds the live record with a value of a unique property.
fn by_value(
    context: &RequestContext<'_>,
    kind: ObjectType,
    name: &str,
    value: &str,
) -> Result<Option<Arc<CrmRecord>>, Box<ApiResponse>> {
    let properties = context.portal.properties(kind);
    let unique = properties.slot(name).filter(|slot| properties.def(*slot).has_unique_value);
    let slot = unique
        .ok_or_else(|| Box::new(context.errors.invalid(&format!("idProperty {name} is not a unique property"))))?;
    Ok(context.portal.holder(kind, slot, value).and_then(|id| context.portal.get(kind, id)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchRead {
    inputs: Vec<Value>,
    #[serde(default)]
    properties: Vec<String>,
    #[serde(default)]
    properties_with_history: Vec<String>,
    #[serde(default)]
    id_property: Option<String>,
}

pub(crate) fn batch_read(
    context: &RequestContext<'_>,
    kind: ObjectType,
    parameters: &QueryParameters,
    body: &[u8],
) -> ApiResult {
    let request: BatchRead =
        serde_json::from_slice(body).map_err(|error| Box::new(context.errors.input_json(&error)))?;
    let most = if request.properties_with_history.is_empty() { BATCH_MAX } else { HISTORY_MAX };
    let ids = input_ids(context, &request.inputs)?;
    if ids.len() > most {
        let message = format!(
            "The maximum number of inputs supported in a batch request for property reads is {most}. Found {} inputs.",
            ids.len()
        );
        return Err(Box::new(context.errors.invalid(&message)));
    }
    refuse_repeated(context, &ids)?;
    let archived = parameters.flag("archived");
    let id_property = request.id_property.as_deref().filter(|name| *name != "hs_object_id");
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for id in ids {
        let record = match id_property {
            Some(name) => by_value(context, kind, name, &id)?,
            None => id.parse().ok().and_then(|id| context.portal.resolve(kind, id)),
        };
        match record.filter(|record| record.archived_at().is_some() == archived) {
            Some(record) => found.push(record),
            None => missing.push(id),
        }
    }
    // Two inputs may lead to one record after a merge; the results are not in the order of the inputs.
    found.sort_unstable_by_key(|record| record.id);
    found.dedup_by_key(|record| record.id);
    let selection = context.selection(kind, request.properties.iter().map(String::as_str));
    let names: Vec<&str> = request.properties_with_history.iter().map(String::as_str).collect();
    let history = history(context, kind, &names);
    let rendering = RenderContext { history: history.as_ref(), ..context.render_context(None) };
    let mut out = Vec::with_capacity(found.len() * 4_096 + 512);
    out.extend_from_slice(b"{\"status\":\"COMPLETE\",\"results\":[");
    for (at, record) in found.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        selection.write(&mut out, record, rendering, None);
    }
    out.push(b']');
    let status = if missing.is_empty() { 200 } else { 207 };
    if status == 207 {
        let name = kind.singular().to_uppercase();
        let message =
            format!("Could not get some {name} objects, they may be deleted or not exist. Check that ids are valid.");
        let error = json!([{"status": "error", "category": "OBJECT_NOT_FOUND", "message": message, "context": {"ids": missing}}]);
        out.extend_from_slice(b",\"numErrors\":1,\"errors\":");
        out.extend_from_slice(error.to_string().as_bytes());
    }
    write_times(&mut out, context.now);
    Ok(ApiResponse::bytes(status, out))
}

fn refuse_repeated(context: &RequestContext<'_>, ids: &[String]) -> Result<(), Box<ApiResponse>> {
    let mut sorted: Vec<&String> = ids.iter().collect();
    sorted.sort_unstable();
    let repeated: Vec<&String> = sorted.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    if repeated.is_empty() {
        return Ok(());
    }
    let listed = repeated.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(", ");
    let message = format!("Duplicate IDs found in batch input: [{listed}]. IDs must be unique");
    Err(Box::new(context.errors.with(400, &message, "VALIDATION_ERROR", Some(json!({"ids": repeated})))))
}
