//! Reading what describes a portal: properties, pipelines, owners, the account itself.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::{Millis, instant_text};
use crate::cursor;
use crate::limits::{Usage, next_day};
use crate::object_type::ObjectType;
use crate::objects::{Scene, number, write_paging};
use crate::owners::Owner;
use crate::portal::Portal;
use crate::properties::PropertyDef;
use crate::reply::{Errors, Reply};
use crate::request::Parameters;

type Answer = Result<Reply, Box<Reply>>;

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
pub(crate) fn properties(scene: &Scene<'_>, kind: ObjectType, parameters: &Parameters) -> Answer {
    let sensitivity = parameters.get("dataSensitivity").unwrap_or("non_sensitive");
    if !["non_sensitive", "sensitive", "highly_sensitive"].contains(&sensitivity) {
        return Err(Box::new(scene.errors.query_value("dataSensitivity")));
    }
    if sensitivity != "non_sensitive" && !scene.sensitive {
        return Err(Box::new(scene.errors.missing_scopes(&[sensitive_scope(kind)])));
    }
    let listed = scene.portal.properties(kind).iter(parameters.flag("archived")).enumerate();
    let results: Vec<Value> = listed
        .filter(|(_, (_, def))| def.data_sensitivity == sensitivity)
        .map(|(order, (_, def))| def.to_json(order))
        .collect();
    Ok(Reply::json(200, &json!({"results": results})))
}

pub(crate) fn property(scene: &Scene<'_>, kind: ObjectType, name: &str) -> Answer {
    let properties = scene.portal.properties(kind);
    match properties.slot(name) {
        Some(slot) => Ok(Reply::json(200, &properties.def(slot).to_json(usize::from(slot)))),
        None => Err(Box::new(scene.errors.with(
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

pub(crate) fn properties_batch_read(scene: &Scene<'_>, kind: ObjectType, body: &[u8]) -> Answer {
    let request: NamedInputs =
        serde_json::from_slice(body).map_err(|error| Box::new(scene.errors.input_json(&error)))?;
    let properties = scene.portal.properties(kind);
    let found = request.inputs.iter().filter_map(|input| properties.slot(&input.name));
    let results: Vec<Value> = found.map(|slot| properties.def(slot).to_json(usize::from(slot))).collect();
    let missing = request.inputs.len() - results.len();
    let at = instant_text(scene.now);
    let mut body = json!({"status": "COMPLETE", "results": results, "startedAt": at, "completedAt": at});
    if missing > 0 {
        body["numErrors"] = json!(missing);
        body["errors"] = json!([{"status": "error", "category": "OBJECT_NOT_FOUND", "message": "Some properties do not exist", "context": {}}]);
    }
    Ok(Reply::json(if missing > 0 { 207 } else { 200 }, &body))
}

/// The properties that have validation rules, with these.
pub(crate) fn property_validations(scene: &Scene<'_>, kind: ObjectType) -> Reply {
    let ruled = scene.portal.properties(kind).iter(false).filter(|(_, def)| !def.validations.is_empty());
    let results: Vec<Value> = ruled
        .map(|(_, def)| {
            let rules = def.validations.iter().map(|(rule_type, arguments)| {
                json!({"ruleType": rule_type, "ruleArguments": arguments, "shouldApplyNormalization": false})
            });
            json!({"propertyName": def.name, "propertyValidationRules": rules.collect::<Vec<_>>()})
        })
        .collect();
    Reply::json(200, &json!({"results": results}))
}

pub(crate) fn pipelines(scene: &Scene<'_>, kind: ObjectType) -> Reply {
    let all = scene.portal.pipelines(kind).iter().enumerate();
    let results: Vec<Value> = all.map(|(order, pipeline)| pipeline.to_json(order)).collect();
    Reply::json(200, &json!({"results": results}))
}

pub(crate) fn pipeline(scene: &Scene<'_>, kind: ObjectType, id: &str, stages_only: bool) -> Answer {
    let all = scene.portal.pipelines(kind);
    let at = all.iter().position(|pipeline| pipeline.id == id);
    let at = at.ok_or_else(|| Box::new(scene.errors.not_found(id)))?;
    let mut body = all[at].to_json(at);
    if stages_only {
        body = json!({"results": body["stages"]});
    }
    Ok(Reply::json(200, &body))
}

pub(crate) fn owners(scene: &Scene<'_>, parameters: &Parameters) -> Answer {
    let limit = number(scene, parameters, "limit", 100)?;
    if limit == 0 || limit > 500 {
        return Err(Box::new(scene.errors.invalid("limit must be between 1 and 500")));
    }
    let skipped = match parameters.get("after").filter(|text| !text.is_empty()) {
        None => 0,
        Some(text) => cursor::decode(text)
            .and_then(|text| text.strip_prefix("owners:")?.parse().ok())
            .ok_or_else(|| Box::new(scene.errors.query_value("after")))?,
    };
    let archived = parameters.flag("archived");
    let email = parameters.get("email");
    let wanted = |owner: &&Owner| owner.archived == archived && email.is_none_or(|email| owner.email == email);
    let all: Vec<&Owner> = scene.portal.owners.iter().filter(wanted).collect();
    let shown: Vec<Value> = all.iter().skip(skipped).take(limit).map(|owner| owner.to_json()).collect();
    let reached = skipped + shown.len();
    let mut out = format!("{{\"results\":{}", Value::Array(shown)).into_bytes();
    if reached < all.len() {
        write_paging(&mut out, &cursor::encode(&format!("owners:{reached}")), scene.path);
    }
    out.push(b'}');
    Ok(Reply::bytes(200, out))
}

pub(crate) fn owner(scene: &Scene<'_>, id: &str, parameters: &Parameters) -> Answer {
    let by_user = parameters.get("idProperty") == Some("userId");
    let archived = parameters.flag("archived");
    let found = scene.portal.owners.iter().find(|owner| {
        let own = if by_user { owner.user_id } else { owner.id };
        own.to_string() == id && owner.archived == archived
    });
    let owner = found.ok_or_else(|| Box::new(scene.errors.not_found(id)))?;
    Ok(Reply::json(200, &owner.to_json()))
}

pub(crate) fn account_details(scene: &Scene<'_>) -> Reply {
    Reply::json(
        200,
        &json!({
            "portalId": scene.portal.id,
            "accountType": "STANDARD",
            "timeZone": "US/Eastern",
            "companyCurrency": "USD",
            "additionalCurrencies": ["EUR"],
            "utcOffset": "-05:00",
            "utcOffsetMilliseconds": -18_000_000,
            "uiDomain": "app.hubspot.com",
            "dataHostingLocation": "na1",
        }),
    )
}

pub(crate) fn api_usage(scene: &Scene<'_>, usage: &Usage) -> Reply {
    Reply::json(
        200,
        &json!({"results": [{
            "name": "private-apps-api-calls-daily",
            "usageLimit": usage.daily(),
            "currentUsage": usage.daily_used(),
            "collectedAt": instant_text(scene.now),
            "fetchStatus": "SUCCESS",
            "resetsAt": instant_text(next_day(scene.now)),
        }]}),
    )
}

/// Properties of one object type whose values may be unique.
const UNIQUE_MAX: usize = 10;

/// `POST /crm/v3/properties/TYPE`.
pub(crate) fn create_property(
    portal: &mut Portal,
    errors: &Errors,
    kind: ObjectType,
    now: Millis,
    body: &[u8],
) -> Answer {
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
    Ok(Reply::json(201, &properties.def(slot).to_json(usize::from(slot))))
}
