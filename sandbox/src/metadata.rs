//! Reading what describes a portal: properties, pipelines, owners, the account itself.

use serde_json::{Value, json};

use crate::api_request::QueryParameters;
use crate::api_response::{ApiResponse, ApiResult};
use crate::clock::instant_text;
use crate::cursor;
use crate::object_type::ObjectType;
use crate::owners::Owner;
use crate::rate_limiter::{RateLimiter, next_day};
use crate::request_context::{RequestContext, number, write_paging};

pub(crate) fn pipelines(context: &RequestContext<'_>, kind: ObjectType) -> ApiResponse {
    let all = context.portal.pipelines(kind).iter().enumerate();
    let results: Vec<Value> = all.map(|(order, pipeline)| pipeline.to_json(order)).collect();
    ApiResponse::json(200, &json!({"results": results}))
}

pub(crate) fn pipeline(context: &RequestContext<'_>, kind: ObjectType, id: &str, stages_only: bool) -> ApiResult {
    let all = context.portal.pipelines(kind);
    let at = all.iter().position(|pipeline| pipeline.id == id);
    let at = at.ok_or_else(|| Box::new(context.errors.not_found(id)))?;
    let mut body = all[at].to_json(at);
    if stages_only {
        body = json!({"results": body["stages"]});
    }
    Ok(ApiResponse::json(200, &body))
}

pub(crate) fn owners(context: &RequestContext<'_>, parameters: &QueryParameters) -> ApiResult {
    let limit = number(context, parameters, "limit", 100)?;
    if limit == 0 || limit > 500 {
        return Err(Box::new(context.errors.invalid("limit must be between 1 and 500")));
    }
    let skipped = match parameters.get("after").filter(|text| !text.is_empty()) {
        None => 0,
        Some(text) => cursor::decode(text)
            .and_then(|text| text.strip_prefix("owners:")?.parse().ok())
            .ok_or_else(|| Box::new(context.errors.query_value("after")))?,
    };
    let archived = parameters.flag("archived");
    let email = parameters.get("email");
    let wanted = |owner: &&Owner| owner.archived == archived && email.is_none_or(|email| owner.email == email);
    let all: Vec<&Owner> = context.portal.owners.iter().filter(wanted).collect();
    let shown: Vec<Value> = all.iter().skip(skipped).take(limit).map(|owner| owner.to_json()).collect();
    let reached = skipped + shown.len();
    let mut out = format!("{{\"results\":{}", Value::Array(shown)).into_bytes();
    if reached < all.len() {
        write_paging(&mut out, &cursor::encode(&format!("owners:{reached}")), context.path);
    }
    out.push(b'}');
    Ok(ApiResponse::bytes(200, out))
}

pub(crate) fn owner(context: &RequestContext<'_>, id: &str, parameters: &QueryParameters) -> ApiResult {
    let by_user = parameters.get("idProperty") == Some("userId");
    let archived = parameters.flag("archived");
    let found = context.portal.owners.iter().find(|owner| {
        let own = if by_user { owner.user_id } else { owner.id };
        own.to_string() == id && owner.archived == archived
    });
    let owner = found.ok_or_else(|| Box::new(context.errors.not_found(id)))?;
    Ok(ApiResponse::json(200, &owner.to_json()))
}

pub(crate) fn account_details(context: &RequestContext<'_>) -> ApiResponse {
    ApiResponse::json(
        200,
        &json!({
            "portalId": context.portal.id,
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

pub(crate) fn api_usage(context: &RequestContext<'_>, usage: &RateLimiter) -> ApiResponse {
    ApiResponse::json(
        200,
        &json!({"results": [{
            "name": "private-apps-api-calls-daily",
            "usageLimit": usage.daily(),
            "currentUsage": usage.daily_used(),
            "collectedAt": instant_text(context.now),
            "fetchStatus": "SUCCESS",
            "resetsAt": instant_text(next_day(context.now)),
        }]}),
    )
}
