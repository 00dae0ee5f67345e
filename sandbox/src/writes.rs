//! Writing CRM records: create, update and upsert, one by one and in batches.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::Millis;
use crate::link_writes::{self, TypedEnd};
use crate::object_type::ObjectType;
use crate::objects::{Scene, write_times};
use crate::options::CursorStyle;
use crate::portal::Portal;
use crate::record::{Record, Standing};
use crate::reply::{Errors, Reply};
use crate::unique::folded;
use crate::validation;

/// Inputs of one batch.
const BATCH_MAX: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Update,
    Upsert,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Input {
    id: Option<Value>,
    id_property: Option<String>,
    #[serde(default)]
    properties: BTreeMap<String, Value>,
    #[serde(default)]
    associations: Vec<Value>,
    object_write_trace_id: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Batch {
    inputs: Vec<Input>,
}

/// What answering a write takes besides the portal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writing<'a> {
    pub(crate) now: Millis,
    pub(crate) errors: &'a Errors,
    pub(crate) cursor: CursorStyle,
    /// Whether the token may see sensitive values.
    pub(crate) sensitive: bool,
}

impl Writing<'_> {
    fn scene<'p>(&'p self, portal: &'p Portal) -> Scene<'p> {
        let Self { now, errors, cursor, sensitive } = *self;
        Scene { portal, now, errors, cursor, sensitive, path: "" }
    }
}

/// Why one input is refused.
#[derive(Debug)]
struct Failure {
    status: u16,
    category: &'static str,
    message: String,
    context: Box<Value>,
    errors: Option<Box<Value>>,
}

/// What an input comes to.
#[derive(Debug)]
enum Step {
    Create {
        values: Vec<(String, String)>,
        ends: Vec<TypedEnd>,
    },
    Update {
        id: u64,
        values: Vec<(String, String)>,
    },
    /// Records that were merged away are left out of the answer without a word.
    Nothing,
}

type Answer = Result<Reply, Box<Reply>>;

impl Failure {
    fn invalid(message: String) -> Self {
        Self { status: 400, category: "VALIDATION_ERROR", message, context: Box::default(), errors: None }
    }

    fn not_found(kind: ObjectType, id: &str) -> Self {
        let name = kind.singular().to_uppercase();
        let message =
            format!("Could not get some {name} objects, they may be deleted or not exist. Check that ids are valid.");
        Self {
            status: 404,
            category: "OBJECT_NOT_FOUND",
            message,
            context: Box::new(json!({"ids": [id]})),
            errors: None,
        }
    }

    fn reply(&self, errors: &Errors) -> Reply {
        let context = self.context.as_object().is_some_and(|context| !context.is_empty());
        let mut reply =
            errors.with(self.status, &self.message, self.category, context.then(|| Value::clone(&self.context)));
        if let (Some(listed), Ok(mut body)) = (&self.errors, serde_json::from_slice::<Value>(&reply.body)) {
            body["errors"] = Value::clone(listed);
            reply.body = body.to_string().into_bytes();
        }
        reply
    }

    /// As one of the `errors` of a 207.
    fn item(&self, trace: Option<&str>) -> Value {
        let mut context = match &*self.context {
            Value::Null => json!({}),
            given => given.clone(),
        };
        if let Some(trace) = trace {
            context["objectWriteTraceId"] = json!([trace]);
        }
        json!({"status": "error", "category": self.category, "message": self.message, "context": context})
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn parsed<T: for<'a> Deserialize<'a>>(errors: &Errors, body: &[u8]) -> Result<T, Box<Reply>> {
    serde_json::from_slice(body).map_err(|error| Box::new(errors.input_json(&error)))
}

impl Input {
    fn given(&self) -> Vec<(String, String)> {
        self.properties.iter().map(|(name, value)| (name.clone(), text_of(value))).collect()
    }

    fn id_text(&self) -> String {
        self.id.as_ref().map(text_of).unwrap_or_default()
    }
}

/// What would happen to an input; `claimed` holds the unique values that earlier inputs of the batch take.
fn step(
    portal: &Portal,
    kind: ObjectType,
    operation: Operation,
    input: &Input,
    claimed: &mut HashSet<(String, String)>,
) -> Result<Step, Failure> {
    let found = match operation {
        Operation::Create => None,
        Operation::Update => match target(portal, kind, input)? {
            None => return Ok(Step::Nothing),
            found => found,
        },
        Operation::Upsert => upserted(portal, kind, input)?,
    };
    let given = input.given();
    let values = validation::checked(portal, kind, &given).map_err(|problems| Failure {
        errors: Some(Box::new(validation::errors(&problems))),
        ..Failure::invalid(validation::message(&problems, portal.id))
    })?;
    for (name, value) in &values {
        unshared(portal, kind, operation, found, name, value)?;
        let slot = portal.properties(kind).slot(name);
        let unique = slot.is_some_and(|slot| portal.properties(kind).def(slot).has_unique_value);
        if unique && found.is_none() && !value.is_empty() && !claimed.insert((name.clone(), folded(value))) {
            return Err(Failure::invalid(format!("Duplicate value {value} of {name} in batch input.")));
        }
    }
    if let Some(id) = found {
        return Ok(Step::Update { id, values });
    }
    if let Some(lacking) = validation::missing(kind, &values) {
        let name = kind.singular().to_uppercase();
        return Err(Failure {
            context: Box::new(json!({"properties": lacking})),
            ..Failure::invalid(format!("Error creating {name}. Some required properties were not set."))
        });
    }
    let ends = link_writes::inline_ends(portal, kind, &input.associations).map_err(Failure::invalid)?;
    Ok(Step::Create { values, ends })
}

/// The record that an update names; none when it was merged away.
fn target(portal: &Portal, kind: ObjectType, input: &Input) -> Result<Option<u64>, Failure> {
    let text = input.id_text();
    if let Some(name) = input.id_property.as_deref().filter(|name| *name != "hs_object_id") {
        if name == "email" {
            let message = format!("Unable to perform update/upsert by non-unique {} property", kind.id());
            return Err(Failure::invalid(message));
        }
        let id = unique_holder(portal, kind, name, &text)?;
        return id.map(Some).ok_or_else(|| Failure::not_found(kind, &text));
    }
    let id: Option<u64> = text.parse().ok();
    match id.and_then(|id| portal.head(kind, id)) {
        Some(head) if head.standing == Standing::Live => Ok(Some(head.id)),
        Some(head) if matches!(head.standing, Standing::Merged { .. }) => Ok(None),
        _ => Err(Failure::not_found(kind, &text)),
    }
}

fn unique_holder(portal: &Portal, kind: ObjectType, name: &str, value: &str) -> Result<Option<u64>, Failure> {
    let properties = portal.properties(kind);
    match properties.slot(name).filter(|slot| properties.def(*slot).has_unique_value) {
        Some(slot) => Ok(portal.holder(kind, slot, value)),
        None => {
            let message = format!("Unable to perform update/upsert by non-unique {} property: {name}", kind.id());
            Err(Failure::invalid(message))
        }
    }
}

fn upserted(portal: &Portal, kind: ObjectType, input: &Input) -> Result<Option<u64>, Failure> {
    let name = input.id_property.as_deref().unwrap_or("hs_object_id");
    if name == "hs_object_id" {
        return target(portal, kind, input);
    }
    if name == "email" && !input.properties.contains_key("email") {
        return Err(Failure::invalid("Partial upserts are not supported when using email as idProperty.".to_owned()));
    }
    unique_holder(portal, kind, name, &input.id_text())
}

/// Refuses a unique value that another record has.
fn unshared(
    portal: &Portal,
    kind: ObjectType,
    operation: Operation,
    own: Option<u64>,
    name: &str,
    value: &str,
) -> Result<(), Failure> {
    let properties = portal.properties(kind);
    let slot = properties.slot(name).filter(|slot| properties.def(*slot).has_unique_value && !value.is_empty());
    let holder = slot.and_then(|slot| portal.holder(kind, slot, value)).filter(|holder| Some(*holder) != own);
    let Some(holder) = holder else { return Ok(()) };
    if operation == Operation::Create && name == "email" {
        return Err(Failure {
            status: 409,
            category: "CONFLICT",
            ..Failure::invalid(format!("Contact already exists. Existing ID: {holder}"))
        });
    }
    Err(Failure::invalid(held_elsewhere(portal.id, kind, own.unwrap_or(holder + 1), name, value, holder)))
}

/// What HubSpot says when two writers meet.
pub(crate) fn held_elsewhere(
    portal_id: u64,
    kind: ObjectType,
    on: u64,
    name: &str,
    value: &str,
    holder: u64,
) -> String {
    format!(
        "Cannot set PropertyValueCoordinates{{portalId={portal_id}, objectTypeId=ObjectTypeId{{legacyObjectType={}}}, \
         objectId={on}, propertyName={name}, value={value}}} on {on}. {holder} already has that value.",
        kind.singular().to_uppercase()
    )
}

fn carry_out(portal: &mut Portal, kind: ObjectType, step: &Step, now: Millis) -> Option<(Arc<Record>, bool)> {
    // A stage sets dates; those that are given win.
    let pairs = |values: &[(String, String)]| -> Vec<(String, String)> {
        let mut values = values.to_vec();
        values.sort_by_key(|(name, _)| name != "hs_pipeline_stage");
        values
    };
    let (id, new) = match step {
        Step::Nothing => return None,
        Step::Create { values, ends } => {
            let values = pairs(values);
            let borrowed: Vec<(&str, &str)> = values.iter().map(|(name, value)| (&**name, &**value)).collect();
            let id = portal.create(kind, &borrowed, now).ok()?;
            link_writes::link(portal, kind, id, ends);
            (id, true)
        }
        Step::Update { id, values } => {
            let mut values = pairs(values);
            values.retain(|(name, value)| !moves_back(portal, kind, *id, name, value));
            let borrowed: Vec<(&str, &str)> = values.iter().map(|(name, value)| (&**name, &**value)).collect();
            portal.update(kind, *id, &borrowed, true, now).ok()?;
            (*id, false)
        }
    };
    portal.get(kind, id).map(|record| (record, new))
}

/// A lifecycle stage only moves forward, in the order of its options; another one is left without a word, unless it was
/// cleared first.
fn moves_back(portal: &Portal, kind: ObjectType, id: u64, name: &str, value: &str) -> bool {
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

fn render(scene: &Scene<'_>, kind: ObjectType, record: &Record, input: &Input) -> Vec<u8> {
    let names = input.properties.keys().map(String::as_str);
    let mut out = Vec::new();
    scene.selection(kind, names).write(&mut out, record, scene.context(None), None);
    out
}

pub(crate) fn batch(
    portal: &mut Portal,
    writing: Writing<'_>,
    (kind, operation): (ObjectType, Operation),
    body: &[u8],
) -> Answer {
    let Writing { errors, now, .. } = writing;
    let request: Batch = parsed(errors, body)?;
    let inputs = request.inputs;
    if inputs.len() > BATCH_MAX {
        let message = format!(
            "The maximum number of inputs supported in a batch request is {BATCH_MAX}. Found {}.",
            inputs.len()
        );
        return Err(Box::new(errors.invalid(&message)));
    }
    if operation != Operation::Create {
        refuse_repeated(errors, &inputs)?;
    }
    let traces: HashSet<&str> = inputs.iter().filter_map(|input| input.object_write_trace_id.as_deref()).collect();
    // Without a trace id on every input the batch is all or nothing, apart from ids that are not there.
    let traced = traces.len() == inputs.len();
    let mut claimed = HashSet::new();
    let mut steps = Vec::with_capacity(inputs.len());
    let mut listed = Vec::new();
    for input in &inputs {
        match step(portal, kind, operation, input, &mut claimed) {
            Ok(step) => steps.push((input, step)),
            Err(failure) if traced || failure.status == 404 => {
                listed.push(failure.item(input.object_write_trace_id.as_deref()));
            }
            Err(failure) => return Err(Box::new(failure.reply(errors))),
        }
    }
    let mut written = Vec::with_capacity(steps.len());
    for (input, step) in &steps {
        written.extend(carry_out(portal, kind, step, now).map(|(record, new)| (*input, record, new)));
    }
    let scene = writing.scene(portal);
    let mut out = b"{\"status\":\"COMPLETE\",\"results\":[".to_vec();
    // The answer is not in the order of the inputs.
    for (at, (input, record, new)) in written.iter().rev().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend(render(&scene, kind, record, input));
        out.pop();
        if operation == Operation::Upsert {
            out.extend_from_slice(format!(",\"new\":{new}").as_bytes());
        }
        if let Some(trace) = &input.object_write_trace_id {
            out.extend_from_slice(format!(",\"objectWriteTraceId\":{}", json!(trace)).as_bytes());
        }
        out.push(b'}');
    }
    out.push(b']');
    let mut status = if operation == Operation::Create { 201 } else { 200 };
    if !listed.is_empty() {
        status = 207;
        out.extend_from_slice(format!(",\"numErrors\":{},\"errors\":", listed.len()).as_bytes());
        out.extend_from_slice(Value::Array(listed).to_string().as_bytes());
    }
    write_times(&mut out, now);
    Ok(Reply::bytes(status, out))
}

fn refuse_repeated(errors: &Errors, inputs: &[Input]) -> Result<(), Box<Reply>> {
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
    portal: &mut Portal,
    writing: Writing<'_>,
    kind: ObjectType,
    named: Option<(&str, Option<&str>)>,
    body: &[u8],
) -> Answer {
    let Writing { errors, now, .. } = writing;
    let mut input: Input = parsed(errors, body)?;
    let operation = if named.is_some() { Operation::Update } else { Operation::Create };
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
    let step = step(portal, kind, operation, &input, &mut HashSet::new());
    let step = step.map_err(|failure| Box::new(failure.reply(errors)))?;
    let Some((record, new)) = carry_out(portal, kind, &step, now) else {
        return Err(Box::new(errors.not_found(&input.id_text())));
    };
    let body = render(&writing.scene(portal), kind, &record, &input);
    let reply = Reply::bytes(if new { 201 } else { 200 }, body);
    let location = format!("/crm/v3/objects/{}/{}", kind.plural(), record.id);
    Ok(if new { reply.header("Location", location) } else { reply })
}

/// Lets somebody else create a contact with the first address of a batch, just before it would be written.
pub(crate) fn email_race(portal: &mut Portal, errors: &Errors, body: &[u8], now: Millis) -> Reply {
    let first = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let inputs = first["inputs"].as_array().cloned().unwrap_or_else(|| vec![first.clone()]);
    let email = inputs.iter().find_map(|input| input["properties"]["email"].as_str()).unwrap_or_default().to_owned();
    if email.is_empty() {
        // No race without an address to race for.
        return errors.plain(500, "internal error");
    }
    let kind = ObjectType::Contacts;
    match portal.create(kind, &[("email", &folded(&email))], now) {
        Ok(holder) => errors.invalid(&held_elsewhere(portal.id, kind, holder + 7, "email", &email, holder)),
        Err(refusal) => errors.invalid(&refusal),
    }
}
