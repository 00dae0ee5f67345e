//! The endpoints of property definitions.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api_request::QueryParameters;
use crate::api_response::{ApiResponse, ApiResult};
use crate::clock::{Millis, instant_text};
use crate::error_responses::ErrorResponses;
use crate::object_type::ObjectType;
use crate::portal::FakePortal;
use crate::property_definition::PropertyDef;
use crate::request_context::RequestContext;

fn sensitive_scope(kind: ObjectType) -> &'static str {
    match kind {
        ObjectType::Tickets => "tickets.sensitive.v2",
        ObjectType::Companies => "crm.objects.companies.sensitive.read.v2",
        ObjectType::Deals => "crm.objects.deals.sensitive.read.v2",
        _ => "crm.objects.contacts.sensitive.read.v2",
    }
}

pub(crate) fn is_sensitive_scope(kind: ObjectType, scope: &str) -> bool {
    scope == sensitive_scope(kind)
}

/// Definitions of one sensitivity, in force or archived.
pub(crate) fn properties(context: &RequestContext<'_>, kind: ObjectType, parameters: &QueryParameters) -> ApiResult {
    let sensitivity = parameters.get("dataSensitivity").unwrap_or("non_sensitive");
    if !["non_sensitive", "sensitive", "highly_sensitive"].contains(&sensitivity) {
        return Err(Box::new(context.errors.query_value("dataSensitivity")));
    }
    if sensitivity != "non_sensitive" && !context.sensitive {
        return Err(Box::new(context.errors.missing_scopes(&[sensitive_scope(kind)])));
    }
    let listed = context.portal.properties(kind).iter(parameters.flag("archived")).enumerate();
    let results: Vec<Value> = listed
        .filter(|(_, (_, def))| def.data_sensitivity == sensitivity)
        .map(|(order, (_, def))| def.to_json(order))
        .collect();
    Ok(ApiResponse::json(200, &json!({"results": results})))
}

pub(crate) fn property(context: &RequestContext<'_>, kind: ObjectType, name: &str) -> ApiResult {
    let properties = context.portal.properties(kind);
    match properties.slot(name) {
        Some(slot) => Ok(ApiResponse::json(200, &properties.def(slot).to_json(usize::from(slot)))),
        None => Err(Box::new(context.errors.with(
            404,
            &format!("Property {name} does not exist"),
            "OBJECT_NOT_FOUND",
            Some(json!({"propertyName": [name]})),
        ))),
    }
}

#[derive(Deserialize)]
struct NamedInputs {
    inputs: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

pub(crate) fn properties_batch_read(context: &RequestContext<'_>, kind: ObjectType, body: &[u8]) -> ApiResult {
    let request: NamedInputs =
        serde_json::from_slice(body).map_err(|error| Box::new(context.errors.input_json(&error)))?;
    let properties = context.portal.properties(kind);
    let found = request.inputs.iter().filter_map(|input| properties.slot(&input.name));
    let results: Vec<Value> = found.map(|slot| properties.def(slot).to_json(usize::from(slot))).collect();
    let missing = request.inputs.len() - results.len();
    let at = instant_text(context.now);
    let mut body = json!({"status": "COMPLETE", "results": results, "startedAt": at, "completedAt": at});
    if missing > 0 {
        body["numErrors"] = json!(missing);
        body["errors"] = json!([{"status": "error", "category": "OBJECT_NOT_FOUND", "message": "Some properties do not exist", "context": {}}]);
    }
    Ok(ApiResponse::json(if missing > 0 { 207 } else { 200 }, &body))
}

/// The properties that have validation rules, with these.
pub(crate) fn property_validations(context: &RequestContext<'_>, kind: ObjectType) -> ApiResponse {
    let ruled = context.portal.properties(kind).iter(false).filter(|(_, def)| !def.validations.is_empty());
    let results: Vec<Value> = ruled
        .map(|(_, def)| {
            let rules = def.validations.iter().map(|(rule_type, arguments)| {
                json!({"ruleType": rule_type, "ruleArguments": arguments, "shouldApplyNormalization": false})
            });
            json!({"propertyName": def.name, "propertyValidationRules": rules.collect::<Vec<_>>()})
        })
        .collect();
    ApiResponse::json(200, &json!({"results": results}))
}

/// Properties of one object type whose values may be unique.
const UNIQUE_MAX: usize = 10;

/// `POST /crm/v3/properties/TYPE`.
pub(crate) fn create_property(
    portal: &mut FakePortal,
    errors: &ErrorResponses,
    kind: ObjectType,
    now: Millis,
    body: &[u8],
) -> ApiResult {
    let given: Value = serde_json::from_slice(body).map_err(|error| Box::new(errors.input_json(&error)))?;
    let lacking: Vec<&str> = ["name", "label", "type", "fieldType", "groupName"]
        .into_iter()
        .filter(|field| given[*field].as_str().is_none_or(str::is_empty))
        .collect();
    if !lacking.is_empty() {
        let message = format!("Invalid input JSON on line 1, column 1: Some required fields were not set: {lacking:?}");
        return Err(Box::new(errors.invalid(&message)));
    }
    let text = |field: &str| given[field].as_str().unwrap_or_default().to_owned();
    let name = text("name");
    if !name.starts_with(|first: char| first.is_ascii_lowercase())
        || name.contains(|one: char| !one.is_ascii_lowercase() && !one.is_ascii_digit() && one != '_')
    {
        return Err(Box::new(errors.invalid(&format!("Property name \"{name}\" is invalid"))));
    }
    let properties = portal.properties(kind);
    if properties.slot(&name).is_some() {
        let message = format!("A property named '{name}' already exists.");
        return Err(Box::new(errors.with(409, &message, "OBJECT_ALREADY_EXISTS", None)));
    }
    let unique = given["hasUniqueValue"] == true;
    let taken = properties.iter(false).filter(|(_, def)| def.has_unique_value && !def.hubspot_defined).count();
    if unique && taken >= UNIQUE_MAX {
        return Err(Box::new(errors.invalid(&format!("No more than {UNIQUE_MAX} properties may have unique values"))));
    }
    let mut def = PropertyDef::new(&name, &text("type"), &text("fieldType"));
    def.label = text("label");
    def.group_name = text("groupName");
    def.description = text("description");
    def.has_unique_value = unique;
    def.hidden = given["hidden"] == true;
    for option in given["options"].as_array().into_iter().flatten() {
        let field = |field: &str| option[field].as_str().unwrap_or_default().to_owned();
        def.options.push((field("value"), field("label")));
    }
    portal.define_property(kind, def, now);
    let properties = portal.properties(kind);
    let slot = properties.slot(&name).unwrap_or_default();
    Ok(ApiResponse::json(201, &properties.def(slot).to_json(usize::from(slot))))
}
