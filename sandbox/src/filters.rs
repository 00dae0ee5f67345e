//! The filters of a search and what they match.

use std::cmp::Ordering;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use crate::clock::parse_instant;
use crate::object_type::ObjectType;
use crate::objects::{Scene, object_type};
use crate::portal::Portal;
use crate::record::{Record, Slot};
use crate::reply::Reply;
use crate::table::{Head, Row, Table};

type Refused = Box<Reply>;

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
pub(crate) enum Field {
    Id,
    Created,
    Updated,
    Stored(Slot),
    Associated(ObjectType),
    /// A property that matches nothing, such as `hs_lastmodifieddate` on contacts.
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Number,
    Instant,
    Choice,
    Text,
}

#[derive(Debug)]
pub(crate) struct Filter {
    field: Field,
    shape: Shape,
    operator: String,
    /// Value, or value and high value, or values.
    operands: Vec<String>,
}

pub(crate) struct Candidate<'a> {
    pub(crate) head: Head,
    pub(crate) row: &'a Row,
    pub(crate) record: Option<Arc<Record>>,
}

/// Reads the groups of a search, within HubSpot's limits on their number.
pub(crate) fn groups(
    scene: &Scene<'_>,
    kind: ObjectType,
    lists: &[&[FilterBody]],
) -> Result<Vec<Vec<Filter>>, Refused> {
    let invalid = |message: String| Box::new(scene.errors.invalid(&message));
    if lists.len() > GROUPS_MAX {
        return Err(invalid(format!("The maximum number of filter groups is {GROUPS_MAX}")));
    }
    if lists.iter().any(|list| list.len() > FILTERS_PER_GROUP) {
        return Err(invalid(format!("The maximum number of filters in a group is {FILTERS_PER_GROUP}")));
    }
    if lists.iter().map(|list| list.len()).sum::<usize>() > FILTERS_MAX {
        return Err(invalid(format!("The maximum number of filters is {FILTERS_MAX}")));
    }
    lists.iter().map(|list| list.iter().map(|body| filter(scene, kind, body)).collect()).collect()
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn filter(scene: &Scene<'_>, kind: ObjectType, body: &FilterBody) -> Result<Filter, Refused> {
    let invalid = |message: String| Box::new(scene.errors.invalid(&message));
    let (field, shape) = field(scene, kind, &body.property_name)?;
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
    if shape == Shape::Instant && operands.iter().any(|text| parse_instant(text).is_none()) {
        return Err(invalid(format!("Invalid date value for property {}", body.property_name)));
    }
    Ok(Filter { field, shape, operator: body.operator.clone(), operands })
}

pub(crate) fn field(scene: &Scene<'_>, kind: ObjectType, name: &str) -> Result<(Field, Shape), Refused> {
    if let Some(other) = name.strip_prefix("associations.") {
        return Ok((Field::Associated(object_type(scene.errors, other)?), Shape::Number));
    }
    match name {
        "hs_object_id" | "hs_ticket_id" => return Ok((Field::Id, Shape::Number)),
        "createdate" => return Ok((Field::Created, Shape::Instant)),
        _ if name == kind.modified_property() => return Ok((Field::Updated, Shape::Instant)),
        "hs_lastmodifieddate" | "lastmodifieddate" => return Ok((Field::Nothing, Shape::Instant)),
        _ => {}
    }
    let properties = scene.portal.properties(kind);
    let slot = properties.slot(name).ok_or_else(|| {
        let message = format!("There was a problem with the request. Property \"{name}\" does not exist");
        Box::new(scene.errors.invalid(&message))
    })?;
    let shape = match properties.def(slot).kind.as_str() {
        "number" => Shape::Number,
        "date" | "datetime" => Shape::Instant,
        "enumeration" | "bool" => Shape::Choice,
        _ => Shape::Text,
    };
    Ok((Field::Stored(slot), shape))
}

/// The id below which no record can match, so that keyset paging does not read what it has passed.
pub(crate) fn least_id(groups: &[Vec<Filter>]) -> u64 {
    let least = |filter: &Filter| {
        let bound = filter.operands.first()?.parse::<u64>().ok()?;
        match (filter.field, filter.operator.as_str()) {
            (Field::Id, "GT") => Some(bound + 1),
            (Field::Id, "GTE" | "BETWEEN" | "EQ") => Some(bound),
            _ => None,
        }
    };
    let of_group = |group: &Vec<Filter>| group.iter().filter_map(least).max().unwrap_or(0);
    groups.iter().map(of_group).min().unwrap_or(0)
}

pub(crate) fn matches_groups(
    portal: &Portal,
    kind: ObjectType,
    table: &Table,
    groups: &[Vec<Filter>],
    candidate: &mut Candidate<'_>,
) -> bool {
    groups.is_empty()
        || groups.iter().any(|group| group.iter().all(|filter| holds(portal, kind, table, filter, candidate)))
}

impl Candidate<'_> {
    fn record(&mut self, table: &Table) -> Option<&Record> {
        if self.record.is_none() {
            self.record = table.load(self.row);
        }
        self.record.as_deref()
    }

    /// The value as text; empty counts as none.
    pub(crate) fn text(&mut self, table: &Table, slot: Slot) -> Option<String> {
        self.record(table)?.values.text(slot).filter(|text| !text.is_empty())
    }
}

fn holds(portal: &Portal, kind: ObjectType, table: &Table, filter: &Filter, candidate: &mut Candidate<'_>) -> bool {
    let at: fn(&str) -> Option<i128> = |text| parse_instant(text).map(i128::from);
    match filter.field {
        Field::Nothing => false,
        Field::Id => holds_number(filter, Some(i128::from(candidate.head.id)), integer),
        Field::Created => holds_number(filter, Some(i128::from(candidate.head.created)), at),
        Field::Updated => holds_number(filter, Some(i128::from(candidate.head.updated)), at),
        Field::Associated(to) => {
            let ends = portal.associations.ends(kind, candidate.head.id, to);
            let mut live = ends.keys().filter(|end| portal.is_live(to, **end));
            match filter.operator.as_str() {
                "HAS_PROPERTY" => live.next().is_some(),
                "NOT_HAS_PROPERTY" => live.next().is_none(),
                "NEQ" | "NOT_IN" => !live.any(|end| filter.operands.contains(&end.to_string())),
                _ => live.any(|end| filter.operands.contains(&end.to_string())),
            }
        }
        Field::Stored(slot) => {
            let text = candidate.text(table, slot);
            match filter.shape {
                Shape::Instant => holds_number(filter, text.as_deref().and_then(at), at),
                Shape::Number if text.as_deref().is_none_or(|text| integer(text).is_some()) => {
                    holds_number(filter, text.as_deref().and_then(integer), integer)
                }
                Shape::Number => holds_decimal(filter, text.as_deref()),
                Shape::Choice => holds_choice(filter, text.as_deref()),
                Shape::Text => holds_text(filter, text.as_deref()),
            }
        }
    }
}

fn integer(text: &str) -> Option<i128> {
    text.parse().ok()
}

fn holds_number(filter: &Filter, value: Option<i128>, parse: fn(&str) -> Option<i128>) -> bool {
    let operand = |at: usize| filter.operands.get(at).and_then(|text| parse(text));
    let Some(value) = value else {
        return without_value(filter);
    };
    let order = operand(0).map(|bound| value.cmp(&bound));
    match filter.operator.as_str() {
        "BETWEEN" => order.is_some_and(Ordering::is_ge) && operand(1).is_some_and(|high| value <= high),
        "IN" => filter.operands.iter().any(|text| parse(text) == Some(value)),
        "NOT_IN" => !filter.operands.iter().any(|text| parse(text) == Some(value)),
        operator => ordered(operator, order),
    }
}

fn holds_decimal(filter: &Filter, value: Option<&str>) -> bool {
    let operand = |at: usize| filter.operands.get(at).and_then(|text| text.parse::<f64>().ok());
    let Some(value) = value.and_then(|text| text.parse::<f64>().ok()) else {
        return without_value(filter);
    };
    let order = operand(0).and_then(|bound| value.partial_cmp(&bound));
    match filter.operator.as_str() {
        "BETWEEN" => order.is_some_and(Ordering::is_ge) && operand(1).is_some_and(|high| value <= high),
        operator => ordered(operator, order),
    }
}

fn ordered(operator: &str, order: Option<Ordering>) -> bool {
    match operator {
        "EQ" => order == Some(Ordering::Equal),
        "NEQ" => order != Some(Ordering::Equal),
        "LT" => order == Some(Ordering::Less),
        "LTE" => order.is_some_and(Ordering::is_le),
        "GT" => order == Some(Ordering::Greater),
        "GTE" => order.is_some_and(Ordering::is_ge),
        "HAS_PROPERTY" => true,
        _ => false,
    }
}

fn without_value(filter: &Filter) -> bool {
    matches!(filter.operator.as_str(), "NOT_HAS_PROPERTY" | "NEQ" | "NOT_IN" | "NOT_CONTAINS_TOKEN")
}

/// Options are compared as they are, each of several joined by `;` on its own.
fn holds_choice(filter: &Filter, value: Option<&str>) -> bool {
    let Some(value) = value else {
        return without_value(filter);
    };
    let any = value.split(';').any(|one| filter.operands.iter().any(|operand| operand == one));
    match filter.operator.as_str() {
        "EQ" | "IN" | "CONTAINS_TOKEN" => any,
        "NEQ" | "NOT_IN" | "NOT_CONTAINS_TOKEN" => !any,
        operator => ordered(operator, filter.operands.first().map(|operand| value.cmp(operand))),
    }
}

fn holds_text(filter: &Filter, value: Option<&str>) -> bool {
    let Some(value) = value.map(str::to_lowercase) else {
        return without_value(filter);
    };
    let operand = filter.operands.first().map(|text| text.to_lowercase()).unwrap_or_default();
    match filter.operator.as_str() {
        // The index holds lower case, and IN does not lower what it is given.
        "IN" => filter.operands.contains(&value),
        "NOT_IN" => !filter.operands.contains(&value),
        "CONTAINS_TOKEN" => has_token(&value, &operand),
        "NOT_CONTAINS_TOKEN" => !has_token(&value, &operand),
        "BETWEEN" => value >= operand && filter.operands.get(1).is_some_and(|high| value <= high.to_lowercase()),
        operator => ordered(operator, Some(value.cmp(&operand))),
    }
}

/// Whether a word of the value equals the token; `*` stands for anything at its ends.
fn has_token(value: &str, token: &str) -> bool {
    let core = token.trim_matches('*');
    let words = || value.split(|c: char| !c.is_alphanumeric()).chain(value.split_whitespace());
    match (token.starts_with('*'), token.ends_with('*')) {
        (true, true) => value.contains(core),
        (true, false) => words().any(|word| word.ends_with(core)),
        (false, true) => words().any(|word| word.starts_with(core)),
        (false, false) => words().any(|word| word == core),
    }
}

pub(crate) fn contains(table: &Table, needle: Option<&str>, candidate: &mut Candidate<'_>) -> bool {
    let Some(needle) = needle else { return true };
    let Some(record) = candidate.record(table) else {
        return false;
    };
    record.values.iter().any(|(_, fragment)| String::from_utf8_lossy(fragment).to_lowercase().contains(needle))
}
