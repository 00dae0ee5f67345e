//! Writing CRM records: create, update and upsert, one by one and in batches.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::api_response::{ApiResponse, ApiResult};
use crate::association_writes;
use crate::clock::Millis;
use crate::error_responses::ErrorResponses;
use crate::object_type::ObjectType;
use crate::portal::FakePortal;
use crate::property_history::ChangeSource;
use crate::record::CrmRecord;
use crate::request_context::{RequestContext, write_times};
use crate::unique_values::folded;
use crate::write_plan::{
    PlannedWrite, WriteBatch, WriteContext, WriteInput, WriteOperation, parsed, plan, unique_conflict_message,
    unique_holder,
};

/// Inputs of one batch.
const BATCH_MAX: usize = 100;

fn apply(
    portal: &mut FakePortal,
    kind: ObjectType,
    planned: &PlannedWrite,
    now: Millis,
) -> Option<(Arc<CrmRecord>, bool)> {
    // A stage sets dates; those that are given win.
    let pairs = |values: &[(String, String)]| -> Vec<(String, String)> {
        let mut values = values.to_vec();
        values.sort_by_key(|(name, _)| name != "hs_pipeline_stage");
        values
    };
    let (id, new) = match planned {
        PlannedWrite::Nothing => return None,
        PlannedWrite::Create { values, ends } => {
            let values = pairs(values);
            let borrowed: Vec<(&str, &str)> = values.iter().map(|(name, value)| (&**name, &**value)).collect();
            let id = portal.create(kind, &borrowed, ChangeSource::Integration, now).ok()?;
            association_writes::link(portal, kind, id, ends);
            (id, true)
        }
        PlannedWrite::Update { id, values } => {
            let mut values = pairs(values);
            values.retain(|(name, value)| !moves_back(portal, kind, *id, name, value));
            let borrowed: Vec<(&str, &str)> = values.iter().map(|(name, value)| (&**name, &**value)).collect();
            portal.update(kind, *id, &borrowed, ChangeSource::Integration, now).ok()?;
            (*id, false)
        }
    };
    portal.get(kind, id).map(|record| (record, new))
}

/// A lifecycle stage only moves forward, in the order of its options; any other change is silently ignored, unless the stage was
/// cleared first.
fn moves_back(portal: &FakePortal, kind: ObjectType, id: u64, name: &str, value: &str) -> bool {
    let properties = portal.properties(kind);
    let Some(slot) = properties.slot(name).filter(|_| name == "lifecyclestage" && !value.is_empty()) else {
        return false;
    };
    let options = &properties.def(slot).options;
    let place = |stage: &str| options.iter().position(|(known, _)| known == stage);
    let old = portal.get(kind, id).and_then(|record| record.values.text(slot));
    match (old.and_then(|old| place(&old)), place(value)) {
        (Some(old), Some(new)) => new < old,
        _ => false,
    }
}

/// Takes the associations out of the inputs of a batch.
pub(crate) fn drop_associations(body: &mut Vec<u8>) {
    let Ok(mut batch) = serde_json::from_slice::<Value>(body) else { return };
    for input in batch["inputs"].as_array_mut().into_iter().flatten() {
        input.as_object_mut().map(|input| input.shift_remove("associations"));
    }
    *body = batch.to_string().into_bytes();
}

fn render(context: &RequestContext<'_>, kind: ObjectType, record: &CrmRecord, input: &WriteInput) -> Vec<u8> {
    let names = input.properties.keys().map(String::as_str);
    let mut out = Vec::new();
    context.selection(kind, names).write(&mut out, record, context.render_context(None), None);
    out
}

pub(crate) fn batch(
    portal: &mut FakePortal,
    writing: WriteContext<'_>,
    (kind, operation): (ObjectType, WriteOperation),
    body: &[u8],
) -> ApiResult {
    let WriteContext { errors, now, .. } = writing;
    let request: WriteBatch = parsed(errors, body)?;
    let inputs = request.inputs;
    if inputs.len() > BATCH_MAX {
        let message = format!(
            "The maximum number of inputs supported in a batch request is {BATCH_MAX}. Found {}.",
            inputs.len()
        );
        return Err(Box::new(errors.invalid(&message)));
    }
    if operation != WriteOperation::Create {
        refuse_repeated(errors, &inputs)?;
    }
    let traces: HashSet<&str> = inputs.iter().filter_map(|input| input.object_write_trace_id.as_deref()).collect();
    // Without a trace id on every input the batch is all or nothing, apart from ids that are not there.
    let traced = traces.len() == inputs.len();
    let mut claimed = HashSet::new();
    let mut planned_writes = Vec::with_capacity(inputs.len());
    let mut listed = Vec::new();
    for input in &inputs {
        match plan(portal, kind, operation, input, &mut claimed) {
            Ok(planned) => planned_writes.push((input, planned)),
            Err(failure) if traced || failure.status == 404 => {
                listed.push(failure.item(input.object_write_trace_id.as_deref()));
            }
            Err(failure) => return Err(Box::new(failure.reply(errors))),
        }
    }
    let mut written = Vec::with_capacity(planned_writes.len());
    for (input, planned) in &planned_writes {
        written.extend(apply(portal, kind, planned, now).map(|(record, new)| (*input, record, new)));
    }
    let context = writing.request_context(portal);
    let mut out = b"{\"status\":\"COMPLETE\",\"results\":[".to_vec();
    // The results are not in the order of the inputs.
    for (at, (input, record, new)) in written.iter().rev().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend(render(&context, kind, record, input));
        out.pop();
        if operation == WriteOperation::Upsert {
            out.extend_from_slice(format!(",\"new\":{new}").as_bytes());
        }
        if let Some(trace) = &input.object_write_trace_id {
            out.extend_from_slice(format!(",\"objectWriteTraceId\":{}", json!(trace)).as_bytes());
        }
        out.push(b'}');
    }
    out.push(b']');
    let mut status = if operation == WriteOperation::Create { 201 } else { 200 };
    if !listed.is_empty() {
        status = 207;
        out.extend_from_slice(format!(",\"numErrors\":{},\"errors\":", listed.len()).as_bytes());
        out.extend_from_slice(Value::Array(listed).to_string().as_bytes());
    }
    write_times(&mut out, now);
    Ok(ApiResponse::bytes(status, out))
}

fn refuse_repeated(errors: &ErrorResponses, inputs: &[WriteInput]) -> Result<(), Box<ApiResponse>> {
    let mut seen = HashSet::new();
    let repeated: Vec<String> =
        inputs.iter().map(|input| folded(&input.id_text())).filter(|id| !seen.insert(id.clone())).collect();
    if repeated.is_empty() {
        return Ok(());
    }
    let message = format!("Duplicate IDs found in batch input: [{}]. IDs must be unique", repeated.join(", "));
    Err(Box::new(errors.with(400, &message, "VALIDATION_ERROR", Some(json!({"ids": repeated})))))
}

/// `POST /crm/v3/objects/TYPE`, or with an id `PATCH /crm/v3/objects/TYPE/ID`, which follows merges.
pub(crate) fn single(
    portal: &mut FakePortal,
    writing: WriteContext<'_>,
    kind: ObjectType,
    named: Option<(&str, Option<&str>)>,
    body: &[u8],
) -> ApiResult {
    let WriteContext { errors, now, .. } = writing;
    let mut input: WriteInput = parsed(errors, body)?;
    let operation = if named.is_some() { WriteOperation::Update } else { WriteOperation::Create };
    if let Some((id, id_property)) = named {
        let id_property = id_property.filter(|name| *name != "hs_object_id");
        let found = match id_property {
            Some(name) => unique_holder(portal, kind, name, id).map_err(|failure| Box::new(failure.reply(errors)))?,
            None => id.parse().ok().and_then(|id| portal.resolve(kind, id)).map(|record| record.id),
        };
        let found = found.ok_or_else(|| Box::new(errors.not_found(id)))?;
        input.id = Some(json!(found.to_string()));
        input.id_property = None;
    }
    let planned = plan(portal, kind, operation, &input, &mut HashSet::new());
    let planned = planned.map_err(|failure| Box::new(failure.reply(errors)))?;
    let Some((record, new)) = apply(portal, kind, &planned, now) else {
        return Err(Box::new(errors.not_found(&input.id_text())));
    };
    let body = render(&writing.request_context(portal), kind, &record, &input);
    let response = ApiResponse::bytes(if new { 201 } else { 200 }, body);
    let location = format!("/crm/v3/objects/{}/{}", kind.plural(), record.id);
    Ok(if new { response.header("Location", location) } else { response })
}

/// Creates a contact with the first email address of a batch before the batch is written, as another client may.
pub(crate) fn email_race(portal: &mut FakePortal, errors: &ErrorResponses, body: &[u8], now: Millis) -> ApiResponse {
    let first = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let inputs = first["inputs"].as_array().cloned().unwrap_or_else(|| vec![first.clone()]);
    let email = inputs.iter().find_map(|input| input["properties"]["email"].as_str()).unwrap_or_default().to_owned();
    if email.is_empty() {
        // No race without an address to race for.
        return errors.plain(500, "internal error");
    }
    let kind = ObjectType::Contacts;
    match portal.create(kind, &[("email", &folded(&email))], ChangeSource::Integration, now) {
        Ok(holder) => errors.invalid(&unique_conflict_message(portal.id, kind, holder + 7, "email", &email, holder)),
        Err(refusal) => errors.invalid(&refusal),
    }
}
