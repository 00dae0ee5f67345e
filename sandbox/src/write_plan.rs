//! What a write would do to each record, decided before anything is written.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api_response::ApiResponse;
use crate::association_writes;
use crate::association_writes::AssociationTarget;
use crate::clock::Millis;
use crate::error_responses::ErrorResponses;
use crate::object_type::ObjectType;
use crate::options::CursorStyle;
use crate::portal::FakePortal;
use crate::record::RecordState;
use crate::request_context::RequestContext;
use crate::unique_values::folded;
use crate::validation;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteOperation {
    Create,
    Update,
    Upsert,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WriteInput {
    pub(crate) id: Option<Value>,
    pub(crate) id_property: Option<String>,
    #[serde(default)]
    pub(crate) properties: BTreeMap<String, Value>,
    #[serde(default)]
    pub(crate) associations: Vec<Value>,
    pub(crate) object_write_trace_id: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct WriteBatch {
    pub(crate) inputs: Vec<WriteInput>,
}

/// What a write needs besides the portal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WriteContext<'a> {
    pub(crate) now: Millis,
    pub(crate) errors: &'a ErrorResponses,
    pub(crate) cursor: CursorStyle,
    /// Whether the token may see sensitive values.
    pub(crate) sensitive: bool,
}

impl WriteContext<'_> {
    pub(crate) fn request_context<'p>(&'p self, portal: &'p FakePortal) -> RequestContext<'p> {
        let Self { now, errors, cursor, sensitive } = *self;
        RequestContext { portal, now, errors, cursor, sensitive, path: "" }
    }
}

/// Why one input is rejected.
#[derive(Debug)]
pub(crate) struct RejectedInput {
    pub(crate) status: u16,
    category: &'static str,
    message: String,
    context: Box<Value>,
    errors: Option<Box<Value>>,
}

/// What one input will do.
#[derive(Debug)]
pub(crate) enum PlannedWrite {
    Create {
        values: Vec<(String, String)>,
        ends: Vec<AssociationTarget>,
    },
    Update {
        id: u64,
        values: Vec<(String, String)>,
    },
    /// Updates of records that were merged away are silently left out of the response.
    Nothing,
}

impl RejectedInput {
    pub(crate) fn invalid(message: String) -> Self {
        Self { status: 400, category: "VALIDATION_ERROR", message, context: Box::default(), errors: None }
    }

    pub(crate) fn not_found(kind: ObjectType, id: &str) -> Self {
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

    pub(crate) fn reply(&self, errors: &ErrorResponses) -> ApiResponse {
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
    pub(crate) fn item(&self, trace: Option<&str>) -> Value {
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

pub(crate) fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub(crate) fn parsed<T: for<'a> Deserialize<'a>>(errors: &ErrorResponses, body: &[u8]) -> Result<T, Box<ApiResponse>> {
    serde_json::from_slice(body).map_err(|error| Box::new(errors.input_json(&error)))
}

impl WriteInput {
    pub(crate) fn given(&self) -> Vec<(String, String)> {
        self.properties.iter().map(|(name, value)| (name.clone(), text_of(value))).collect()
    }

    pub(crate) fn id_text(&self) -> String {
        self.id.as_ref().map(text_of).unwrap_or_default()
    }
}

/// Plans one input; `claimed` holds the unique values of earlier inputs of the batch.
pub(crate) fn plan(
    portal: &FakePortal,
    kind: ObjectType,
    operation: WriteOperation,
    input: &WriteInput,
    claimed: &mut HashSet<(String, String)>,
) -> Result<PlannedWrite, RejectedInput> {
    let found = match operation {
        WriteOperation::Create => None,
        WriteOperation::Update => match target(portal, kind, input)? {
            None => return Ok(PlannedWrite::Nothing),
            found => found,
        },
        WriteOperation::Upsert => upserted(portal, kind, input)?,
    };
    let given = input.given();
    let values = validation::checked(portal, kind, &given).map_err(|problems| RejectedInput {
        errors: Some(Box::new(validation::errors(&problems))),
        ..RejectedInput::invalid(validation::message(&problems, portal.id))
    })?;
    for (name, value) in &values {
        check_unique(portal, kind, operation, found, name, value)?;
        let slot = portal.properties(kind).slot(name);
        let unique = slot.is_some_and(|slot| portal.properties(kind).def(slot).has_unique_value);
        if unique && found.is_none() && !value.is_empty() && !claimed.insert((name.clone(), folded(value))) {
            return Err(RejectedInput::invalid(format!("Duplicate value {value} of {name} in batch input.")));
        }
    }
    if let Some(id) = found {
        return Ok(PlannedWrite::Update { id, values });
    }
    if let Some(lacking) = validation::missing(kind, &values) {
        let name = kind.singular().to_uppercase();
        return Err(RejectedInput {
            context: Box::new(json!({"properties": lacking})),
            ..RejectedInput::invalid(format!("Error creating {name}. Some required properties were not set."))
        });
    }
    let ends = association_writes::inline_ends(portal, kind, &input.associations).map_err(RejectedInput::invalid)?;
    Ok(PlannedWrite::Create { values, ends })
}

/// The record that an update names; none when it was merged away.
fn target(portal: &FakePortal, kind: ObjectType, input: &WriteInput) -> Result<Option<u64>, RejectedInput> {
    let text = input.id_text();
    if let Some(name) = input.id_property.as_deref().filter(|name| *name != "hs_object_id") {
        if name == "email" {
            let message = format!("Unable to perform update/upsert by non-unique {} property", kind.id());
            return Err(RejectedInput::invalid(message));
        }
        let id = unique_holder(portal, kind, name, &text)?;
        return id.map(Some).ok_or_else(|| RejectedInput::not_found(kind, &text));
    }
    let id: Option<u64> = text.parse().ok();
    match id.and_then(|id| portal.head(kind, id)) {
        Some(head) if head.state == RecordState::Live => Ok(Some(head.id)),
        Some(head) if matches!(head.state, RecordState::Merged { .. }) => Ok(None),
        _ => Err(RejectedInput::not_found(kind, &text)),
    }
}

pub(crate) fn unique_holder(
    portal: &FakePortal,
    kind: ObjectType,
    name: &str,
    value: &str,
) -> Result<Option<u64>, RejectedInput> {
    let properties = portal.properties(kind);
    match properties.slot(name).filter(|slot| properties.def(*slot).has_unique_value) {
        Some(slot) => Ok(portal.holder(kind, slot, value)),
        None => {
            let message = format!("Unable to perform update/upsert by non-unique {} property: {name}", kind.id());
            Err(RejectedInput::invalid(message))
        }
    }
}

fn upserted(portal: &FakePortal, kind: ObjectType, input: &WriteInput) -> Result<Option<u64>, RejectedInput> {
    let name = input.id_property.as_deref().unwrap_or("hs_object_id");
    if name == "hs_object_id" {
        return target(portal, kind, input);
    }
    if name == "email" && !input.properties.contains_key("email") {
        return Err(RejectedInput::invalid(
            "Partial upserts are not supported when using email as idProperty.".to_owned(),
        ));
    }
    unique_holder(portal, kind, name, &input.id_text())
}

/// Rejects a unique value that another record has.
fn check_unique(
    portal: &FakePortal,
    kind: ObjectType,
    operation: WriteOperation,
    own: Option<u64>,
    name: &str,
    value: &str,
) -> Result<(), RejectedInput> {
    let properties = portal.properties(kind);
    let slot = properties.slot(name).filter(|slot| properties.def(*slot).has_unique_value && !value.is_empty());
    let holder = slot.and_then(|slot| portal.holder(kind, slot, value)).filter(|holder| Some(*holder) != own);
    let Some(holder) = holder else { return Ok(()) };
    if operation == WriteOperation::Create && name == "email" {
        return Err(RejectedInput {
            status: 409,
            category: "CONFLICT",
            ..RejectedInput::invalid(format!("Contact already exists. Existing ID: {holder}"))
        });
    }
    Err(RejectedInput::invalid(unique_conflict_message(
        portal.id,
        kind,
        own.unwrap_or(holder + 1),
        name,
        value,
        holder,
    )))
}

/// HubSpot's message when another record already has a unique value.
pub(crate) fn unique_conflict_message(
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
