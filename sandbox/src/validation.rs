//! Which values HubSpot accepts for a property, and the errors for the others.

use chrono::NaiveDate;
use serde_json::{Value, json};

use crate::clock::{DAY, Millis, date_text, instant_text, parse_instant};
use crate::object_type::ObjectType;
use crate::portal::FakePortal;
use crate::property_definition::PropertyDef;

/// Characters of a text property.
const TEXT_MAX: usize = 65_536;

/// Why one value is rejected.
#[derive(Clone, Debug)]
pub(crate) struct ValidationProblem {
    name: String,
    message: String,
    code: &'static str,
}

impl ValidationProblem {
    fn new(name: &str, code: &'static str, message: String) -> Self {
        Self { name: name.to_owned(), message, code }
    }
}

/// The message in which HubSpot packs all problems of one record as JSON.
pub(crate) fn message(problems: &[ValidationProblem], portal_id: u64) -> String {
    let listed: Vec<Value> = problems
        .iter()
        .map(|problem| {
            json!({
                "isValid": false,
                "message": problem.message,
                "error": problem.code,
                "name": problem.name,
                "localizedErrorMessage": problem.message,
                "portalId": portal_id,
            })
        })
        .collect();
    format!("Property values were not valid: {}", Value::Array(listed))
}

/// `errors` of the response to a single write.
pub(crate) fn errors(problems: &[ValidationProblem]) -> Value {
    let each = problems.iter().map(|problem| {
        json!({"message": problem.message, "code": problem.code, "context": {"propertyName": [problem.name]}})
    });
    Value::Array(each.collect())
}

/// The values as the portal stores them, or all that is wrong with them.
pub(crate) fn checked(
    portal: &FakePortal,
    kind: ObjectType,
    given: &[(String, String)],
) -> Result<Vec<(String, String)>, Vec<ValidationProblem>> {
    let mut problems = Vec::new();
    let mut stored = Vec::with_capacity(given.len());
    for (name, value) in given {
        match one(portal, kind, name, value) {
            Ok(value) => stored.push((name.clone(), value)),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(stored) } else { Err(problems) }
}

fn one(portal: &FakePortal, kind: ObjectType, name: &str, value: &str) -> Result<String, ValidationProblem> {
    let properties = portal.properties(kind);
    let Some(slot) = properties.slot(name) else {
        let message = format!("Property \"{name}\" does not exist");
        return Err(ValidationProblem::new(name, "PROPERTY_DOESNT_EXIST", message));
    };
    let def = properties.def(slot);
    if def.read_only || def.calculated {
        let message = format!("\"{name}\" is a read only property; its value cannot be set.");
        return Err(ValidationProblem::new(name, "READ_ONLY_VALUE", message));
    }
    if value.is_empty() {
        return Ok(String::new());
    }
    if name == "email" && kind == ObjectType::Contacts {
        return email(value);
    }
    if ["hs_pipeline_stage", "dealstage"].contains(&name) {
        return stage(portal, kind, name, value);
    }
    typed(def, value).and_then(|value| ruled(def, value))
}

/// What the portal's admins ask of a value, as far as the sandbox knows their rules.
fn ruled(def: &PropertyDef, value: String) -> Result<String, ValidationProblem> {
    let length = value.chars().count();
    for (rule_type, arguments) in &def.validations {
        let bound = arguments.first().and_then(|text| text.parse::<f64>().ok());
        let number = value.parse::<f64>().ok();
        let broken = match (rule_type.as_str(), bound) {
            ("MIN_LENGTH", Some(least)) => (length as f64) < least,
            ("MAX_LENGTH", Some(most)) => (length as f64) > most,
            ("MIN_NUMBER", Some(least)) => number.is_some_and(|number| number < least),
            ("MAX_NUMBER", Some(most)) => number.is_some_and(|number| number > most),
            ("ALPHANUMERIC", _) if arguments.iter().any(|one| one == "NUMERIC_ONLY") => {
                !value.bytes().all(|byte| byte.is_ascii_digit())
            }
            ("WHITESPACE", _) => value.contains(char::is_whitespace),
            _ => false,
        };
        if broken {
            let message = format!("{value} does not satisfy the validation rule {rule_type} of {}", def.name);
            return Err(ValidationProblem::new(&def.name, "FAILED_VALIDATION_RULE", message));
        }
    }
    Ok(value)
}

fn email(value: &str) -> Result<String, ValidationProblem> {
    let folded = value.trim().to_lowercase();
    let sound = folded.split_once('@').is_some_and(|(local, domain)| {
        let hosts = domain.split('.').collect::<Vec<_>>();
        !local.is_empty() && hosts.len() > 1 && hosts.iter().all(|part| !part.is_empty()) && !folded.contains(' ')
    });
    if sound {
        return Ok(folded);
    }
    Err(ValidationProblem::new("email", "INVALID_EMAIL", format!("Email address {value} is invalid")))
}

fn stage(portal: &FakePortal, kind: ObjectType, name: &str, value: &str) -> Result<String, ValidationProblem> {
    let pipelines = portal.pipelines(kind);
    if pipelines.iter().any(|pipeline| pipeline.stage(value).is_some()) {
        return Ok(value.to_owned());
    }
    let valid: Vec<String> = pipelines
        .iter()
        .map(|pipeline| {
            let ids: Vec<&str> = pipeline.stages.iter().map(|stage| stage.id.as_str()).collect();
            format!("pipelineId={} : [{}]", pipeline.id, ids.join(", "))
        })
        .collect();
    let message = format!("{value} is not a valid pipeline stage ID. Valid options are: {}", valid.join(", "));
    Err(ValidationProblem::new(name, "INVALID_OPTION", message))
}

fn typed(def: &PropertyDef, value: &str) -> Result<String, ValidationProblem> {
    let refuse = |code, message: String| Err(ValidationProblem::new(&def.name, code, message));
    match def.kind.as_str() {
        "number" => match value.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(value.trim().to_owned()),
            _ => refuse("INVALID_DOUBLE", format!("{value} was not a valid number.")),
        },
        "bool" => match value.to_lowercase().as_str() {
            folded @ ("true" | "false") => Ok(folded.to_owned()),
            _ => refuse("INVALID_OPTION", format!("{value} was not one of the allowed options: [true, false]")),
        },
        "datetime" => match parse_instant(value) {
            Some(at) => Ok(instant_text(at)),
            None => refuse("INVALID_DATE", format!("{value} was not a valid long.")),
        },
        "date" => match date(value) {
            Some(at) => Ok(date_text(at)),
            None => refuse("INVALID_DATE", format!("{value} is not a valid date.")),
        },
        "enumeration" => options(def, value),
        _ if value.chars().count() > TEXT_MAX => {
            refuse("PROPERTY_VALUE_TOO_LONG", format!("The value exceeds {TEXT_MAX} characters"))
        }
        _ => Ok(value.to_owned()),
    }
}

/// A plain date, or epoch milliseconds at midnight UTC.
fn date(value: &str) -> Option<Millis> {
    if value.parse::<NaiveDate>().is_ok() {
        return parse_instant(value);
    }
    value.parse::<Millis>().ok().filter(|at| at.rem_euclid(DAY) == 0)
}

fn options(def: &PropertyDef, value: &str) -> Result<String, ValidationProblem> {
    if def.external_options || def.options.is_empty() {
        return Ok(value.to_owned());
    }
    let several = def.field_type == "checkbox";
    let chosen: Vec<&str> = if several { value.trim_start_matches(';').split(';').collect() } else { vec![value] };
    let unknown = chosen.iter().find(|one| !def.options.iter().any(|(known, _)| known == *one));
    let Some(unknown) = unknown else { return Ok(value.to_owned()) };
    let allowed: Vec<&str> = def.options.iter().map(|(value, _)| value.as_str()).collect();
    let message = format!("{unknown} was not one of the allowed options: [{}]", allowed.join(", "));
    Err(ValidationProblem::new(&def.name, "INVALID_OPTION", message))
}

/// What a new record of a type must have; none: nothing is missing.
pub(crate) fn missing(kind: ObjectType, given: &[(String, String)]) -> Option<Vec<&'static str>> {
    let has = |name: &str| given.iter().any(|(known, value)| known == name && !value.is_empty());
    let (all, any): (&[&str], &[&str]) = match kind {
        ObjectType::Tickets => (&["hs_pipeline_stage"], &[]),
        ObjectType::Deals => (&["dealname", "dealstage"], &[]),
        ObjectType::Contacts => (&[], &["email", "firstname", "lastname"]),
        ObjectType::Companies => (&[], &["name", "domain"]),
        _ => (&[], &[]),
    };
    let lacking: Vec<&'static str> = all.iter().copied().filter(|name| !has(name)).collect();
    if !lacking.is_empty() {
        return Some(lacking);
    }
    (!any.is_empty() && !any.iter().any(|name| has(name))).then(|| any.to_vec())
}
