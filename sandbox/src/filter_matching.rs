//! Whether a record matches the filters of a search.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::clock::parse_instant;
use crate::object_type::ObjectType;
use crate::portal::FakePortal;
use crate::property_values::PropertySlot;
use crate::record::{CrmRecord, RecordHeader};
use crate::record_table::{RecordTable, TableRow};
use crate::search_filters::{SearchField, SearchFilter, ValueKind};

pub(crate) struct SearchCandidate<'a> {
    pub(crate) head: RecordHeader,
    pub(crate) row: &'a TableRow,
    pub(crate) record: Option<Arc<CrmRecord>>,
}

pub(crate) fn matches_groups(
    portal: &FakePortal,
    kind: ObjectType,
    table: &RecordTable,
    groups: &[Vec<SearchFilter>],
    candidate: &mut SearchCandidate<'_>,
) -> bool {
    groups.is_empty()
        || groups.iter().any(|group| group.iter().all(|filter| matches_filter(portal, kind, table, filter, candidate)))
}

impl SearchCandidate<'_> {
    fn record(&mut self, table: &RecordTable) -> Option<&CrmRecord> {
        if self.record.is_none() {
            self.record = table.load(self.row);
        }
        self.record.as_deref()
    }

    /// The value as text; empty counts as none.
    pub(crate) fn text(&mut self, table: &RecordTable, slot: PropertySlot) -> Option<String> {
        self.record(table)?.values.text(slot).filter(|text| !text.is_empty())
    }
}

fn matches_filter(
    portal: &FakePortal,
    kind: ObjectType,
    table: &RecordTable,
    filter: &SearchFilter,
    candidate: &mut SearchCandidate<'_>,
) -> bool {
    let at: fn(&str) -> Option<i128> = |text| parse_instant(text).map(i128::from);
    match filter.field {
        SearchField::Nothing => false,
        SearchField::Id => matches_number(filter, Some(i128::from(candidate.head.id)), integer),
        SearchField::Created => matches_number(filter, Some(i128::from(candidate.head.created)), at),
        SearchField::Updated => matches_number(filter, Some(i128::from(candidate.head.updated)), at),
        SearchField::Associated(to) => {
            let ends = portal.associations.ends(kind, candidate.head.id, to);
            let mut live = ends.keys().filter(|end| portal.is_live(to, **end));
            match filter.operator.as_str() {
                "HAS_PROPERTY" => live.next().is_some(),
                "NOT_HAS_PROPERTY" => live.next().is_none(),
                "NEQ" | "NOT_IN" => !live.any(|end| filter.operands.contains(&end.to_string())),
                _ => live.any(|end| filter.operands.contains(&end.to_string())),
            }
        }
        SearchField::Stored(slot) => {
            let text = candidate.text(table, slot);
            match filter.value_kind {
                ValueKind::Instant => matches_number(filter, text.as_deref().and_then(at), at),
                ValueKind::Number if text.as_deref().is_none_or(|text| integer(text).is_some()) => {
                    matches_number(filter, text.as_deref().and_then(integer), integer)
                }
                ValueKind::Number => matches_decimal(filter, text.as_deref()),
                ValueKind::Choice => matches_choice(filter, text.as_deref()),
                ValueKind::Text => matches_text(filter, text.as_deref()),
            }
        }
    }
}

fn integer(text: &str) -> Option<i128> {
    text.parse().ok()
}

fn matches_number(filter: &SearchFilter, value: Option<i128>, parse: fn(&str) -> Option<i128>) -> bool {
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

fn matches_decimal(filter: &SearchFilter, value: Option<&str>) -> bool {
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

fn without_value(filter: &SearchFilter) -> bool {
    matches!(filter.operator.as_str(), "NOT_HAS_PROPERTY" | "NEQ" | "NOT_IN" | "NOT_CONTAINS_TOKEN")
}

/// Options are compared as they are, each of several joined by `;` on its own.
fn matches_choice(filter: &SearchFilter, value: Option<&str>) -> bool {
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

fn matches_text(filter: &SearchFilter, value: Option<&str>) -> bool {
    let Some(value) = value.map(str::to_lowercase) else {
        return without_value(filter);
    };
    let operand = filter.operands.first().map(|text| text.to_lowercase()).unwrap_or_default();
    match filter.operator.as_str() {
        // The index has lower case, and IN does not convert its operands.
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

pub(crate) fn contains(table: &RecordTable, needle: Option<&str>, candidate: &mut SearchCandidate<'_>) -> bool {
    let Some(needle) = needle else { return true };
    let Some(record) = candidate.record(table) else {
        return false;
    };
    record.values.iter().any(|(_, fragment)| String::from_utf8_lossy(fragment).to_lowercase().contains(needle))
}
