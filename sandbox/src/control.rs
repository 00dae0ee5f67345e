//! The control API under `/_sandbox/`: neither limited nor authenticated. What a body leaves out
//! has the value shown last; object types default to tickets, ids may be numbers or text.
//!
//! | call | body |
//! |---|---|
//! | `GET truth`, `GET requests`, `DELETE requests`, `GET counts`, `GET clock` | |
//! | `POST create` | `{"object_type":"tickets","properties":{"subject":"x"}}` |
//! | `POST update` | `{"id":"1","properties":{"subject":"y"},"bump":true}` |
//! | `POST archive`, `POST delete` | `{"id":"1"}` |
//! | `POST restore` | `{"id":"1","bump":false}` |
//! | `POST merge` | `{"winner":"1","loser":"2","new_id":false}` |
//! | `POST associate` | `{"from":"1","to_type":"companies","to":"2","type_id":0,"label":null,"bump":false}` |
//! | `POST dissociate` | `{"from":"1","to_type":"companies","to":"2","bump":false}` |
//! | `POST property` | `{"define":{"name":"x","type":"number","fieldType":"number"}}`, `{"archive":"x"}` or `{"change":"x","type":"string","label":"X"}` |
//! | `POST faults` | `{"rules":[{"match":"/search","body":"","skip":0,"times":1,"fault":{"status":{"code":500}}}],"storm":{"share":0.02,"seed":1},"clear":false}` |
//! | `POST behave` | `{"name":"list_ends_early_once"}`, one of those that `hubspot-sandbox --help` lists |
//! | `POST clock` | `{"freeze":"2026-01-01T00:00:00Z"}`, `{"set":...}`, `{"advance_secs":60}` or `{"run":true}` |
//! | `POST limits` | `{"general_per_10s":190,...}` as in [`RateLimits`], or `{"unlimited":true}` |
//! | `POST search` | `{"lag_secs":30,"disorder":true}` |
//! | `POST latency` | `{"ms":100}` |
//! | `POST change?tickets=20` | changes, archives and creates tickets at random |

use std::time::Duration;

use axum::body::Body;
use axum::http::{Response, header};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::active_faults::RandomFaults;
use crate::api_request::ApiRequest;
use crate::behaviours::behaviour;
use crate::clock::{Millis, instant_text, parse_instant};
use crate::fault_rules::FaultRule;
use crate::faults::Fault;
use crate::object_type::ObjectType;
use crate::options::RateLimits;
use crate::portal::ChangeError;
use crate::property_definition::PropertyDef;
use crate::property_history::ChangeSource;
use crate::service::PortalService;
use crate::truth;

pub(crate) fn answer(service: &PortalService, call: &str, request: &ApiRequest) -> Response<Body> {
    let (status, body) = match dispatch(service, call, request) {
        Ok(body) => (200, body),
        Err(refusal) => (400, json!({"error": refusal}).to_string().into_bytes()),
    };
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, "application/json");
    response.body(Body::from(body)).unwrap_or_default()
}

fn dispatch(service: &PortalService, call: &str, request: &ApiRequest) -> Result<Vec<u8>, ChangeError> {
    if call == "truth" {
        return Ok(truth::write(&service.portal(), service.now()));
    }
    let parsed = if request.body.is_empty() { Ok(json!({})) } else { serde_json::from_slice(&request.body) };
    let body: Value = parsed.map_err(|error| format!("body: {error}"))?;
    let done = match (request.method.as_str(), call) {
        ("GET", "requests") => json!(service.request_log().requests()),
        ("DELETE", "requests") => {
            service.request_log().clear();
            json!({})
        }
        ("GET", "counts") => json!(service.request_log().counts()),
        ("GET", "clock") => json!({"now": instant_text(service.now())}),
        ("POST", "change") => {
            let tickets = request.parameters().get("tickets").and_then(|text| text.parse().ok());
            change_random_tickets(service, tickets.unwrap_or(20))?
        }
        ("POST", "faults") => faults(service, &body)?,
        ("POST", "behave") => {
            let name = body["name"].as_str().unwrap_or_default();
            let behaviour = behaviour(name).ok_or_else(|| format!("no behaviour is called {name:?}"))?;
            service.faults().add(behaviour.rules());
            json!({})
        }
        ("POST", "clock") => clock(service, &body)?,
        ("POST", "limits") => limits(service, &body)?,
        ("POST", "property") => property(service, &body)?,
        ("POST", "search") => search(service, &body),
        ("POST", "latency") => {
            service.set_latency(Duration::from_millis(body["ms"].as_u64().unwrap_or(0)));
            json!({})
        }
        ("POST", call) => change(service, call, &body)?,
        _ => return Err(format!("no control call {} {call}", request.method)),
    };
    Ok(done.to_string().into_bytes())
}

fn parse<T: for<'a> Deserialize<'a>>(value: &Value, name: &str) -> Result<T, ChangeError> {
    T::deserialize(value).map_err(|error| format!("{name}: {error}"))
}

fn type_of(body: &Value, name: &str) -> Result<ObjectType, ChangeError> {
    let text = body[name].as_str().unwrap_or("tickets");
    ObjectType::parse(text).ok_or_else(|| format!("no object type {text}"))
}

/// An id given as number or text.
fn id_of(body: &Value, name: &str) -> Result<u64, ChangeError> {
    let value = &body[name];
    let id = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    id.ok_or_else(|| format!("{name}: not an id: {value}"))
}

fn change(service: &PortalService, call: &str, body: &Value) -> Result<Value, ChangeError> {
    let kind = type_of(body, "object_type")?;
    let now = service.now();
    let empty = Map::new();
    let given = body["properties"].as_object().unwrap_or(&empty);
    let owned: Vec<(&str, String)> = given
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    let values: Vec<(&str, &str)> = owned.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let flag = |name: &str, default: bool| body[name].as_bool().unwrap_or(default);
    let mut portal = service.portal_mut();
    let id = match call {
        "create" => portal.create(kind, &values, ChangeSource::User, now)?,
        "update" => {
            let id = id_of(body, "id")?;
            let source = if flag("bump", true) { ChangeSource::User } else { ChangeSource::Calculated };
            portal.update(kind, id, &values, source, now)?;
            id
        }
        "archive" => {
            let id = id_of(body, "id")?;
            portal.archive(kind, id, now)?;
            id
        }
        "restore" => {
            let id = id_of(body, "id")?;
            portal.restore(kind, id, flag("bump", false), now)?;
            id
        }
        "delete" => {
            let id = id_of(body, "id")?;
            portal.delete_forever(kind, id, now)?;
            id
        }
        "merge" => portal.merge(kind, id_of(body, "winner")?, id_of(body, "loser")?, flag("new_id", false), now)?,
        "associate" | "dissociate" => {
            let from = (type_of(body, "from_type")?, id_of(body, "from")?);
            let to = (type_of(body, "to_type")?, id_of(body, "to")?);
            if call == "associate" {
                let type_id = body["type_id"].as_u64().and_then(|id| u32::try_from(id).ok()).unwrap_or(0);
                portal.associate(from, to, type_id, body["label"].as_str())?;
            } else {
                portal.dissociate(from, to);
            }
            if flag("bump", false) {
                portal.touch(from.0, from.1, now)?;
            }
            from.1
        }
        _ => return Err(format!("no control call {call}")),
    };
    Ok(json!({"id": id.to_string()}))
}

fn property(service: &PortalService, body: &Value) -> Result<Value, ChangeError> {
    let kind = type_of(body, "object_type")?;
    let now = service.now();
    let mut portal = service.portal_mut();
    if let Some(name) = body["archive"].as_str() {
        portal.archive_property(kind, name, now)?;
    }
    if let Some(define) = body.get("define") {
        let def: PropertyDef = parse(define, "define")?;
        portal.define_property(kind, def, now);
    }
    if let Some(name) = body["change"].as_str() {
        portal.change_property(kind, name, now, |def| {
            for (key, field) in [("type", &mut def.kind), ("fieldType", &mut def.field_type), ("label", &mut def.label)]
            {
                if let Some(text) = body[key].as_str() {
                    text.clone_into(field);
                }
            }
        })?;
    }
    Ok(json!({}))
}

fn faults(service: &PortalService, body: &Value) -> Result<Value, ChangeError> {
    if body["clear"] == true {
        service.faults().clear();
    }
    if let Some(rules) = body.get("rules") {
        let rules: Vec<FaultRule> = parse(rules, "rules")?;
        if rules.iter().any(|rule| rule.fault == Fault::RepeatedPage) {
            service.remember_bodies();
        }
        service.faults().add(rules);
    }
    if let Some(storm) = body.get("storm") {
        let storm: Option<RandomFaults> = parse(storm, "storm")?;
        service.faults().storm(storm);
    }
    Ok(json!({}))
}

fn clock(service: &PortalService, body: &Value) -> Result<Value, ChangeError> {
    let instant = |name: &str| match body[name].as_str() {
        None => Ok(None),
        Some(text) => parse_instant(text).map(Some).ok_or_else(|| format!("{name}: {text} is not an instant")),
    };
    if let Some(at) = instant("freeze")? {
        service.clock.freeze(at);
    }
    if let Some(at) = instant("set")? {
        service.clock.set(at);
    }
    if let Some(seconds) = body["advance_secs"].as_f64() {
        service.clock.advance((seconds * 1_000.0) as Millis);
    }
    if body["run"] == true {
        service.clock.run();
    }
    Ok(json!({"now": instant_text(service.now())}))
}

fn search(service: &PortalService, body: &Value) -> Value {
    if let Some(seconds) = body["lag_secs"].as_f64() {
        service.portal_mut().lag = (seconds * 1_000.0) as Millis;
    }
    if let Some(disorder) = body["disorder"].as_bool() {
        service.set_disorder(disorder);
    }
    json!({})
}

fn limits(service: &PortalService, body: &Value) -> Result<Value, ChangeError> {
    let limits: Option<RateLimits> = if body["unlimited"] == true { None } else { Some(parse(body, "limits")?) };
    service.usage().set(limits);
    Ok(json!({}))
}

/// Changes random live tickets (stage, priority or subject), archives and creates a few, and says
/// what it changed.
fn change_random_tickets(service: &PortalService, tickets: usize) -> Result<Value, ChangeError> {
    let kind = ObjectType::Tickets;
    let now = service.now();
    let mut portal = service.portal_mut();
    let mut live: Vec<u64> = Vec::new();
    for (id, row) in portal.table(kind).rows(0) {
        let state = portal.table(kind).head(&row).map(|head| head.state);
        if state == Some(crate::record::RecordState::Live) {
            live.push(id);
        }
    }
    let mut rng = portal.rng.fork();
    rng.shuffle(&mut live);
    let archived = (tickets / 10).max(1).min(live.len() / 4);
    let created = (tickets / 10).max(1);
    let mut updated = Vec::new();
    for id in live.iter().take(tickets) {
        let (name, value) = match rng.u8(..3) {
            0 => ("hs_pipeline_stage", ["1", "2", "3", "4"][rng.usize(..4)].to_owned()),
            1 => ("hs_ticket_priority", ["LOW", "MEDIUM", "HIGH", "URGENT"][rng.usize(..4)].to_owned()),
            _ => ("subject", format!("Changed: case {}", rng.u32(10_000..99_999))),
        };
        let mut values = vec![(name, value.as_str())];
        if name == "hs_pipeline_stage" {
            values.push(("hs_pipeline", "0"));
        }
        portal.update(kind, *id, &values, ChangeSource::User, now)?;
        updated.push(json!({"id": id.to_string(), "property": name, "value": value}));
    }
    let mut gone = Vec::new();
    for id in live.iter().skip(tickets).take(archived) {
        portal.archive(kind, *id, now)?;
        gone.push(id.to_string());
    }
    let mut fresh = Vec::new();
    for number in 0..created {
        let subject = format!("New case {} of the demo", number + 1);
        let values =
            [("subject", subject.as_str()), ("hs_ticket_priority", "HIGH"), ("content", "Created by the sandbox.")];
        fresh.push(portal.create(kind, &values, ChangeSource::User, now)?.to_string());
    }
    Ok(json!({"updated": updated, "archived": gone, "created": fresh}))
}
