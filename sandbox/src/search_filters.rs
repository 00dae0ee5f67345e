//! The filters of a search and what they match.

use serde::Deserialize;
use serde_json::Value;

use crate::api_response::ApiResponse;
use crate::clock::parse_instant;
use crate::object_type::ObjectType;
use crate::property_values::PropertySlot;
use crate::request_context::{RequestContext, object_type};

const GROUPS_MAX: usize = 5;
const FILTERS_PER_GROUP: usize = 6;
const FILTERS_MAX: usize = 18;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FilterBody {
    property_name: String,
    operator: String,
    #[serde(default)]
    value: Option<Value>,
    #[serde(default)]
    high_value: Option<Value>,
    #[serde(default)]
    values: Option<Vec<Value>>,
}

/// What a filter or sort looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SearchField {
    Id,
    Created,
    Updated,
    Stored(PropertySlot),
    Associated(ObjectType),
    /// A property that matches nothing, such as `hs_lastmodifieddate` on contacts.
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueKind {
    Number,
    Instant,
    Choice,
    Text,
}

#[derive(Debug)]
pub(crate) struct SearchFilter {
    pub(crate) field: SearchField,
    pub(crate) value_kind: ValueKind,
    pub(crate) operator: String,
    /// Value, or value and high value, or values.
    pub(crate) operands: Vec<String>,
}

/// Reads the groups of a search, within HubSpot's limits on their number.
pub(crate) fn groups(
    context: &RequestContext<'_>,
    kind: ObjectType,
    lists: &[&[FilterBody]],
) -> Result<Vec<Vec<SearchFilter>>, Box<ApiResponse>> {
    let invalid = |message: String| Box::new(context.errors.invalid(&message));
    if lists.len() > GROUPS_MAX {
        return Err(invalid(format!("The maximum number of filter groups is {GROUPS_MAX}")));
    }
    if lists.iter().any(|list| list.len() > FILTERS_PER_GROUP) {
        return Err(invalid(format!("The maximum number of filters in a group is {FILTERS_PER_GROUP}")));
    }
    if lists.iter().map(|list| list.len()).sum::<usize>() > FILTERS_MAX {
        return Err(invalid(format!("The maximum number of filters is {FILTERS_MAX}")));
    }
    lists.iter().map(|list| list.iter().map(|body| filter(context, kind, body)).collect()).collect()
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn filter(context: &RequestContext<'_>, kind: ObjectType, body: &FilterBody) -> Result<SearchFilter, Box<ApiResponse>> {
    let invalid = |message: String| Box::new(context.errors.invalid(&message));
    let (field, value_kind) = field(context, kind, &body.property_name)?;
    let mut operands: Vec<String> = body.value.iter().chain(&body.high_value).map(text_of).collect();
    if let Some(values) = &body.values {
        operands = values.iter().map(text_of).collect();
    }
    let needed = match body.operator.as_str() {
        "EQ" | "NEQ" | "LT" | "LTE" | "GT" | "GTE" | "CONTAINS_TOKEN" | "NOT_CONTAINS_TOKEN" | "IN" | "NOT_IN" => 1,
        "BETWEEN" => 2,
        "HAS_PROPERTY" | "NOT_HAS_PROPERTY" => 0,
        other => return Err(invalid(format!("Invalid operator {other}"))),
    };
    if operands.len() < needed {
        return Err(invalid(format!("operator {} requires a value", body.operator)));
    }
    if value_kind == ValueKind::Instant && operands.iter().any(|text| parse_instant(text).is_none()) {
        return Err(invalid(format!("Invalid date value for property {}", body.property_name)));
    }
    Ok(SearchFilter { field, value_kind, operator: body.operator.clone(), operands })
}

pub(crate) fn field(
    context: &RequestContext<'_>,
    kind: ObjectType,
    name: &str,
) -> Result<(SearchField, ValueKind), Box<ApiResponse>> {
    if let Some(other) = name.strip_prefix("associations.") {
        return Ok((SearchField::Associated(object_type(context.errors, other)?), ValueKind::Number));
    }
    match name {
        "hs_object_id" | "hs_ticket_id" => return Ok((SearchField::Id, ValueKind::Number)),
        _ if name == kind.created_property() => return Ok((SearchField::Created, ValueKind::Instant)),
        _ if name == kind.modified_property() => return Ok((SearchField::Updated, ValueKind::Instant)),
        "hs_lastmodifieddate" | "lastmodifieddate" => return Ok((SearchField::Nothing, ValueKind::Instant)),
        _ => {}
    }
    let properties = context.portal.properties(kind);
    let slot = properties.slot(name).ok_or_else(|| {
        let message = format!("There was a problem with the request. Property \"{name}\" does not exist");
        Box::new(context.errors.invalid(&message))
    })?;
    let value_kind = match properties.def(slot).kind.as_str() {
        "number" => ValueKind::Number,
        "date" | "datetime" => ValueKind::Instant,
        "enumeration" | "bool" => ValueKind::Choice,
        _ => ValueKind::Text,
    };
    Ok((SearchField::Stored(slot), value_kind))
}

/// The id below which no record can match, so that a search with a lower bound on ids skips the records below it.
pub(crate) fn min_id(groups: &[Vec<SearchFilter>]) -> u64 {
    let least = |filter: &SearchFilter| {
        let bound = filter.operands.first()?.parse::<u64>().ok()?;
        match (filter.field, filter.operator.as_str()) {
            (SearchField::Id, "GT") => Some(bound + 1),
            (SearchField::Id, "GTE" | "BETWEEN" | "EQ") => Some(bound),
            _ => None,
        }
    };
    let of_group = |group: &Vec<SearchFilter>| group.iter().filter_map(least).max().unwrap_or(0);
    groups.iter().map(of_group).min().unwrap_or(0)
}
