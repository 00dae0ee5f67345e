//! Reading CRM records: list, get, batch read.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::{Millis, instant_text};
use crate::cursor::{list_cursor, parse_list_cursor};
use crate::links::inline_associations;
use crate::object_type::ObjectType;
use crate::options::{CursorStyle, Stranger};
use crate::portal::Portal;
use crate::record::{Record, Standing, json_text};
use crate::render::{Context, Selection};
use crate::reply::{Errors, Reply};
use crate::request::Parameters;

/// What answering a read takes besides its own parameters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) portal: &'a Portal,
    pub(crate) now: Millis,
    pub(crate) errors: &'a Errors,
    pub(crate) cursor: CursorStyle,
    /// Whether the token may see sensitive values.
    pub(crate) sensitive: bool,
    /// The path asked for, for `paging.next.link`.
    pub(crate) path: &'a str,
}

type Answer = Result<Reply, Box<Reply>>;

impl<'a> Scene<'a> {
    pub(crate) fn selection<'n>(&self, kind: ObjectType, names: impl IntoIterator<Item = &'n str>) -> Selection {
        Selection::new(kind, self.portal.properties(kind), names, self.sensitive)
    }

    pub(crate) fn context(&self, history: Option<&'a Selection>) -> Context<'a> {
        Context { portal_id: self.portal.id, now: self.now, history }
    }
}

/// Records a page may have.
const LIST_MAX: usize = 100;
const HISTORY_MAX: usize = 50;
const BATCH_MAX: usize = 100;

fn history(scene: &Scene<'_>, kind: ObjectType, names: &[&str]) -> Option<Selection> {
    (!names.is_empty()).then(|| scene.selection(kind, names.iter().copied()))
}

pub(crate) fn number(
    scene: &Scene<'_>,
    parameters: &Parameters,
    name: &str,
    default: usize,
) -> Result<usize, Box<Reply>> {
    match parameters.get(name) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| Box::new(scene.errors.query_value(name))),
    }
}

fn association_types(scene: &Scene<'_>, parameters: &Parameters) -> Result<Vec<ObjectType>, Box<Reply>> {
    let names = parameters.list("associations");
    names.into_iter().map(|name| object_type(scene.errors, name)).collect()
}

pub(crate) fn object_type(errors: &Errors, name: &str) -> Result<ObjectType, Box<Reply>> {
    ObjectType::parse(name)
        .ok_or_else(|| Box::new(errors.plain(400, &format!("Unable to infer object type from: {name}"))))
}

pub(crate) fn list(scene: &Scene<'_>, kind: ObjectType, parameters: &Parameters) -> Answer {
    let asked_history = parameters.list("propertiesWithHistory");
    let most = if asked_history.is_empty() { LIST_MAX } else { HISTORY_MAX };
    let limit = number(scene, parameters, "limit", 10)?;
    if limit == 0 || limit > most {
        let message = format!("Unable to parse value for query parameter: limit. limit must be between 1 and {most}");
        return Err(Box::new(scene.errors.invalid(&message)));
    }
    let from = match parameters.get("after").filter(|text| !text.is_empty()) {
        None => 0,
        Some(text) => {
            parse_list_cursor(scene.cursor, text).ok_or_else(|| Box::new(scene.errors.query_value("after")))?
        }
    };
    let from = match scene.cursor {
        CursorStyle::GivenOnly(stranger) if from > 0 && scene.portal.table(kind).get(from - 1).is_none() => {
            match stranger {
                Stranger::Refused => return Err(Box::new(scene.errors.query_value("after"))),
                Stranger::FirstPage => 0,
                Stranger::EmptyPage => u64::MAX,
                Stranger::LatePage => scene.portal.table(kind).rows(from).nth(7).map_or(u64::MAX, |(id, _)| id),
            }
        }
        _ => from,
    };
    let page = page_of(scene.portal, kind, from, limit, parameters.flag("archived"));
    let selection = scene.selection(kind, parameters.list("properties"));
    let history = history(scene, kind, &asked_history);
    let to_types = association_types(scene, parameters)?;
    let context = Context { history: history.as_ref(), ..scene.context(None) };
    let mut out = Vec::with_capacity(page.records.len() * 4_096 + 256);
    out.extend_from_slice(b"{\"results\":[");
    for (at, record) in page.records.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let associations = inline_associations(scene, kind, record, &to_types);
        selection.write(&mut out, record, context, associations.as_deref());
    }
    out.push(b']');
    if let Some(next) = page.next {
        write_paging(&mut out, &list_cursor(scene.cursor, next), scene.path);
    }
    out.push(b'}');
    Ok(Reply::bytes(200, out))
}

pub(crate) fn write_paging(out: &mut Vec<u8>, after: &str, path: &str) {
    out.extend_from_slice(b",\"paging\":{\"next\":{\"after\":");
    out.extend(json_text(after));
    out.extend_from_slice(b",\"link\":");
    out.extend(json_text(&format!("https://api.hubapi.com{path}?after={after}")));
    out.extend_from_slice(b"}}");
}

struct Page {
    records: Vec<Arc<Record>>,
    /// Lower bound of the next page when there is one.
    next: Option<u64>,
}

fn page_of(portal: &Portal, kind: ObjectType, from: u64, limit: usize, archived: bool) -> Page {
    let table = portal.table(kind);
    let mut records: Vec<Arc<Record>> = Vec::with_capacity(limit);
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
            let live = table.head(&row).is_some_and(|head| head.standing == Standing::Live);
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
    Page { records, next }
}

pub(crate) fn get(scene: &Scene<'_>, kind: ObjectType, id: &str, parameters: &Parameters) -> Answer {
    let missing = || Box::new(scene.errors.not_found(id));
    let record = match parameters.get("idProperty").filter(|name| *name != "hs_object_id") {
        Some(name) => by_value(scene, kind, name, id)?,
        None => id.parse().ok().and_then(|id| scene.portal.resolve(kind, id)),
    };
    let archived = parameters.flag("archived");
    let record = record.filter(|record| record.archived_at().is_some() == archived).ok_or_else(missing)?;
    let selection = scene.selection(kind, parameters.list("properties"));
    let history = history(scene, kind, &parameters.list("propertiesWithHistory"));
    let to_types = association_types(scene, parameters)?;
    let associations = inline_associations(scene, kind, &record, &to_types);
    let mut out = Vec::new();
    let context = Context { history: history.as_ref(), ..scene.context(None) };
    selection.write(&mut out, &record, context, associations.as_deref());
    Ok(Reply::bytes(200, out))
}

/// Finds the live record with a value of a unique property.
fn by_value(scene: &Scene<'_>, kind: ObjectType, name: &str, value: &str) -> Result<Option<Arc<Record>>, Box<Reply>> {
    let properties = scene.portal.properties(kind);
    let unique = properties.slot(name).filter(|slot| properties.def(*slot).has_unique_value);
    let slot =
        unique.ok_or_else(|| Box::new(scene.errors.invalid(&format!("idProperty {name} is not a unique property"))))?;
    Ok(scene.portal.holder(kind, slot, value).and_then(|id| scene.portal.get(kind, id)))
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

/// The ids of `[{"id": "1"}, {"id": 2}]`.
pub(crate) fn input_ids(scene: &Scene<'_>, inputs: &[Value]) -> Result<Vec<String>, Box<Reply>> {
    let id = |input: &Value| match &input["id"] {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let ids: Option<Vec<String>> = inputs.iter().map(id).collect();
    ids.ok_or_else(|| {
        let message = "Invalid input JSON on line 1, column 1: Some required fields were not set: [id]";
        Box::new(scene.errors.invalid(message))
    })
}

pub(crate) fn batch_read(scene: &Scene<'_>, kind: ObjectType, parameters: &Parameters, body: &[u8]) -> Answer {
    let request: BatchRead = serde_json::from_slice(body).map_err(|error| Box::new(scene.errors.input_json(&error)))?;
    let most = if request.properties_with_history.is_empty() { BATCH_MAX } else { HISTORY_MAX };
    let ids = input_ids(scene, &request.inputs)?;
    if ids.len() > most {
        let message = format!(
            "The maximum number of inputs supported in a batch request for property reads is {most}. Found {} inputs.",
            ids.len()
        );
        return Err(Box::new(scene.errors.invalid(&message)));
    }
    refuse_repeated(scene, &ids)?;
    let archived = parameters.flag("archived");
    let id_property = request.id_property.as_deref().filter(|name| *name != "hs_object_id");
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for id in ids {
        let record = match id_property {
            Some(name) => by_value(scene, kind, name, &id)?,
            None => id.parse().ok().and_then(|id| scene.portal.resolve(kind, id)),
        };
        match record.filter(|record| record.archived_at().is_some() == archived) {
            Some(record) => found.push(record),
            None => missing.push(id),
        }
    }
    // Two inputs may stand for one record after a merge; the answer is not in their order.
    found.sort_unstable_by_key(|record| record.id);
    found.dedup_by_key(|record| record.id);
    let selection = scene.selection(kind, request.properties.iter().map(String::as_str));
    let names: Vec<&str> = request.properties_with_history.iter().map(String::as_str).collect();
    let history = history(scene, kind, &names);
    let context = Context { history: history.as_ref(), ..scene.context(None) };
    let mut out = Vec::with_capacity(found.len() * 4_096 + 512);
    out.extend_from_slice(b"{\"status\":\"COMPLETE\",\"results\":[");
    for (at, record) in found.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        selection.write(&mut out, record, context, None);
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
    write_times(&mut out, scene.now);
    Ok(Reply::bytes(status, out))
}

/// Ends a batch answer's object with its two instants.
pub(crate) fn write_times(out: &mut Vec<u8>, now: Millis) {
    let ended = format!(",\"startedAt\":\"{}\",\"completedAt\":\"{}\"}}", instant_text(now - 7), instant_text(now));
    out.extend_from_slice(ended.as_bytes());
}

fn refuse_repeated(scene: &Scene<'_>, ids: &[String]) -> Result<(), Box<Reply>> {
    let mut sorted: Vec<&String> = ids.iter().collect();
    sorted.sort_unstable();
    let repeated: Vec<&String> = sorted.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    if repeated.is_empty() {
        return Ok(());
    }
    let listed = repeated.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(", ");
    let message = format!("Duplicate IDs found in batch input: [{listed}]. IDs must be unique");
    Err(Box::new(scene.errors.with(400, &message, "VALIDATION_ERROR", Some(json!({"ids": repeated})))))
}
