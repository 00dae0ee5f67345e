//! The search endpoint: filters, sorting, the cap, and an index that is behind.

use std::cmp::Ordering;

use serde::Deserialize;
use serde_json::Value;

use crate::api_response::{ApiResponse, ApiResult};
use crate::clock::{HOUR, Millis, SECOND, parse_instant};
use crate::filter_matching::{SearchCandidate, contains, matches_groups};
use crate::object_type::ObjectType;
use crate::record::{RecordHeader, RecordState};
use crate::record_table::{RecordTable, TableRow};
use crate::request_context::RequestContext;
use crate::search_filters::{FilterBody, SearchField, SearchFilter, ValueKind, field, groups, min_id};
use crate::splitmix::mix;

const LIMIT_MAX: usize = 200;
/// Results that one query can page through.
const RESULTS_MAX: usize = 10_000;
const QUERY_CHARACTERS_MAX: usize = 3_000;

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct SearchBody {
    filter_groups: Vec<GroupBody>,
    filters: Vec<FilterBody>,
    sorts: Vec<Value>,
    query: Option<String>,
    properties: Option<Vec<String>>,
    limit: Option<usize>,
    after: Value,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct GroupBody {
    filters: Vec<FilterBody>,
}

pub(crate) fn search(context: &RequestContext<'_>, kind: ObjectType, body: &[u8], disorder: bool) -> ApiResult {
    let body: SearchBody = serde_json::from_slice(body).map_err(|error| Box::new(context.errors.input_json(&error)))?;
    let invalid = |message: &str| Box::new(context.errors.invalid(message));
    let limit = body.limit.unwrap_or(10);
    if limit > LIMIT_MAX {
        return Err(invalid(&format!("Invalid limit: {limit}. The maximum allowed limit is {LIMIT_MAX}.")));
    }
    let after = match &body.after {
        Value::Null => 0,
        Value::String(text) if text.is_empty() => 0,
        Value::String(text) => text.parse().map_err(|_| invalid("after must be a number"))?,
        Value::Number(number) => number.as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX),
        _ => return Err(invalid("after must be a number")),
    };
    if after >= RESULTS_MAX || after + limit > RESULTS_MAX {
        return Err(invalid("There was a problem with the request. Paging beyond 10000 results is not possible."));
    }
    if body.query.as_ref().is_some_and(|query| query.chars().count() > QUERY_CHARACTERS_MAX) {
        return Err(invalid("query must be at most 3000 characters"));
    }
    let mut lists: Vec<&[FilterBody]> = body.filter_groups.iter().map(|group| group.filters.as_slice()).collect();
    // Filters beside the groups count as one more group.
    if !body.filters.is_empty() {
        lists.push(&body.filters);
    }
    let groups = groups(context, kind, &lists)?;
    let sort = sort(context, kind, &body.sorts)?;
    let needle = body.query.as_deref().map(str::to_lowercase).filter(|query| !query.is_empty());
    let found = find(context, kind, &groups, needle.as_deref(), &sort, after + limit, disorder);
    let names = body.properties.as_deref().unwrap_or_default();
    let selection = context.selection(kind, names.iter().map(String::as_str));
    let mut out = format!("{{\"total\":{},\"results\":[", found.total).into_bytes();
    let table = context.portal.table(kind);
    let shown = found.rows.iter().skip(after).take(limit).filter_map(|row| table.load(row));
    for (at, record) in shown.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        selection.write(&mut out, &record, context.render_context(None), None);
    }
    out.push(b']');
    if found.total > after + limit && limit > 0 {
        let next = after + limit;
        let link = "https://api.hubapi.com".to_owned() + context.path;
        out.extend_from_slice(
            format!(",\"paging\":{{\"next\":{{\"after\":\"{next}\",\"link\":\"{link}?after={next}\"}}}}").as_bytes(),
        );
    }
    out.push(b'}');
    Ok(ApiResponse::bytes(200, out))
}

struct SortRule {
    field: SearchField,
    value_kind: ValueKind,
    descending: bool,
}

fn sort(context: &RequestContext<'_>, kind: ObjectType, sorts: &[Value]) -> Result<SortRule, Box<ApiResponse>> {
    let invalid = |message: &str| Box::new(context.errors.invalid(message));
    if sorts.len() > 1 {
        return Err(invalid("Only one sort rule is supported"));
    }
    let Some(rule) = sorts.first() else {
        return Ok(SortRule { field: SearchField::Created, value_kind: ValueKind::Instant, descending: false });
    };
    let (name, descending) = match rule {
        Value::String(name) => (name.trim_start_matches('-'), name.starts_with('-')),
        _ => (rule["propertyName"].as_str().unwrap_or_default(), rule["direction"] == "DESCENDING"),
    };
    let (field, value_kind) = field(context, kind, name)?;
    Ok(SortRule { field, value_kind, descending })
}

struct SearchHits {
    total: usize,
    /// The first `wanted` matches in order.
    rows: Vec<TableRow>,
}

/// The order of one match.
#[derive(Clone, Debug)]
enum SortKey {
    Number(i128),
    Text(String),
}

fn find(
    context: &RequestContext<'_>,
    kind: ObjectType,
    groups: &[Vec<SearchFilter>],
    needle: Option<&str>,
    sort: &SortRule,
    wanted: usize,
    disorder: bool,
) -> SearchHits {
    let portal = context.portal;
    let table = portal.table(kind);
    let horizon = context.now - portal.lag;
    let mut matches: Vec<(SortKey, u64, TableRow)> = Vec::new();
    let mut ids: Vec<TableRow> = Vec::new();
    let by_id = sort.field == SearchField::Id && !sort.descending;
    let mut total = 0;
    for (id, row) in table.rows(min_id(groups)) {
        let row = match table.indexed(id, horizon) {
            None => row,
            Some(None) => continue,
            Some(Some(old)) => TableRow::Stored(old),
        };
        let Some(head) = table.head(&row).filter(|head| head.state == RecordState::Live) else {
            continue;
        };
        let mut candidate = SearchCandidate { head, row: &row, record: None };
        if !matches_groups(portal, kind, table, groups, &mut candidate) || !contains(table, needle, &mut candidate) {
            continue;
        }
        total += 1;
        if by_id {
            if ids.len() < wanted {
                ids.push(row);
            }
            continue;
        }
        let key = key_of(table, sort, &mut candidate, disorder);
        matches.push((key, id, row));
    }
    if by_id {
        return SearchHits { total, rows: ids };
    }
    matches.sort_by(|(a, a_id, _), (b, b_id, _)| {
        let order = compare_keys(a, b);
        if sort.descending { order.reverse() } else { order }.then(a_id.cmp(b_id))
    });
    matches.truncate(wanted);
    let rows = matches.into_iter().map(|(_, _, row)| row).collect();
    SearchHits { total, rows }
}

fn key_of(table: &RecordTable, sort: &SortRule, candidate: &mut SearchCandidate<'_>, disorder: bool) -> SortKey {
    let RecordHeader { id, created, updated, .. } = candidate.head;
    match sort.field {
        SearchField::Id => SortKey::Number(i128::from(id)),
        SearchField::Created => SortKey::Number(i128::from(misplaced(created, id, disorder))),
        SearchField::Updated => SortKey::Number(i128::from(misplaced(updated, id, disorder))),
        SearchField::Stored(slot) => {
            let text = candidate.text(table, slot).unwrap_or_default();
            match sort.value_kind {
                ValueKind::Instant => {
                    let at = parse_instant(&text).unwrap_or(Millis::MIN / 2);
                    SortKey::Number(i128::from(misplaced(at, id, disorder)))
                }
                ValueKind::Number => match text.parse::<f64>() {
                    Ok(number) => SortKey::Number((number * 1e6) as i128),
                    Err(_) => SortKey::Number(i128::MIN),
                },
                _ => SortKey::Text(text.to_lowercase()),
            }
        }
        _ => SortKey::Number(0),
    }
}

/// With disorder, a date sorts as if it were seconds to an hour off.
fn misplaced(at: Millis, id: u64, disorder: bool) -> Millis {
    if !disorder {
        return at;
    }
    let draw = mix(at.unsigned_abs(), 67, id);
    let most = if draw.is_multiple_of(4) { HOUR } else { 30 * SECOND };
    at + Millis::try_from((draw >> 8) % (2 * most).unsigned_abs()).unwrap_or(0) - most
}

fn compare_keys(a: &SortKey, b: &SortKey) -> Ordering {
    match (a, b) {
        (SortKey::Number(a), SortKey::Number(b)) => a.cmp(b),
        (SortKey::Text(a), SortKey::Text(b)) => a.cmp(b),
        (SortKey::Number(_), SortKey::Text(_)) => Ordering::Less,
        (SortKey::Text(_), SortKey::Number(_)) => Ordering::Greater,
    }
}
