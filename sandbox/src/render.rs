//! CRM records as HubSpot writes them, assembled from fragments.

use std::collections::BTreeSet;

use crate::clock::{Millis, write_instant};
use crate::object_type::ObjectType;
use crate::portal::FakePortal;
use crate::property_definitions::PropertyDefinitions;
use crate::property_values::{PropertySlot, SINCE, json_text};
use crate::record::CrmRecord;

#[derive(Clone, Copy, Debug)]
enum ValueSource {
    Stored(PropertySlot),
    Id,
    Created,
    Updated,
}

#[derive(Debug)]
struct SelectedProperty {
    /// `"name":`, with a comma in front from the second on.
    key: Vec<u8>,
    source: ValueSource,
}

/// The properties that a request reads, resolved once: in order of name, defined ones only, the record's
/// id and its two instants always.
#[derive(Debug)]
pub(crate) struct PropertySelection {
    kind: ObjectType,
    columns: Vec<SelectedProperty>,
    /// Column of each slot, `NONE` where it was not asked for.
    by_slot: Vec<u16>,
}

const NONE: u16 = u16::MAX;

impl PropertySelection {
    pub(crate) fn new<'a>(
        kind: ObjectType,
        properties: &PropertyDefinitions,
        asked: impl IntoIterator<Item = &'a str>,
        sensitive: bool,
    ) -> Self {
        let mut names: BTreeSet<&str> = asked.into_iter().collect();
        if names.is_empty() {
            names.extend(kind.default_properties());
        }
        names.extend([kind.created_property(), "hs_object_id", kind.modified_property()]);
        let mut columns = Vec::with_capacity(names.len());
        let mut by_slot = vec![NONE; properties.len()];
        for name in names {
            let Some(slot) = properties.slot(name) else {
                continue;
            };
            if !sensitive && properties.def(slot).data_sensitivity != "non_sensitive" {
                continue;
            }
            let source = source(kind, name, slot);
            if let ValueSource::Stored(slot) = source {
                by_slot[usize::from(slot)] = u16::try_from(columns.len()).unwrap_or(NONE);
            }
            let mut key = if columns.is_empty() { Vec::new() } else { vec![b','] };
            key.extend(json_text(name));
            key.push(b':');
            columns.push(SelectedProperty { key, source });
        }
        Self { kind, columns, by_slot }
    }

    /// Writes `"name":value` members, separated by commas.
    pub(crate) fn write_properties(&self, out: &mut Vec<u8>, record: &CrmRecord, now: Millis) {
        let mut fragments: Vec<&[u8]> = vec![b"null"; self.columns.len()];
        for (slot, fragment) in record.values.iter() {
            let column = self.by_slot[usize::from(slot)];
            if column != NONE {
                fragments[usize::from(column)] = fragment;
            }
        }
        for (column, fragment) in self.columns.iter().zip(fragments) {
            out.extend_from_slice(&column.key);
            match column.source {
                ValueSource::Stored(_) => write_fragment(out, fragment, now),
                ValueSource::Id => write_quoted(out, |out| write_number(out, record.id)),
                ValueSource::Created => write_quoted(out, |out| write_instant(out, record.created)),
                ValueSource::Updated => write_quoted(out, |out| write_instant(out, record.updated)),
            }
        }
    }

    /// Writes one record; `history` names the properties whose past is wanted, `associations` is
    /// the finished member's value.
    pub(crate) fn write(
        &self,
        out: &mut Vec<u8>,
        record: &CrmRecord,
        context: RenderContext<'_>,
        associations: Option<&[u8]>,
    ) {
        out.extend_from_slice(b"{\"id\":");
        write_quoted(out, |out| write_number(out, record.id));
        out.extend_from_slice(b",\"properties\":{");
        self.write_properties(out, record, context.now);
        out.extend_from_slice(b"}");
        if let Some(history) = context.history {
            out.extend_from_slice(b",\"propertiesWithHistory\":{");
            history.write_history(out, record, context.now);
            out.extend_from_slice(b"}");
        }
        out.extend_from_slice(b",\"createdAt\":");
        write_quoted(out, |out| write_instant(out, record.created));
        out.extend_from_slice(b",\"updatedAt\":");
        write_quoted(out, |out| write_instant(out, record.updated));
        match record.archived_at() {
            None => out.extend_from_slice(b",\"archived\":false"),
            Some(at) => {
                out.extend_from_slice(b",\"archived\":true,\"archivedAt\":");
                write_quoted(out, |out| write_instant(out, at));
            }
        }
        if let Some(associations) = associations {
            out.extend_from_slice(b",\"associations\":");
            out.extend_from_slice(associations);
        }
        out.extend_from_slice(b",\"url\":\"https://app.hubspot.com/contacts/");
        write_number(out, context.portal_id);
        out.extend_from_slice(b"/record/");
        out.extend_from_slice(self.kind.id().as_bytes());
        out.push(b'/');
        write_number(out, record.id);
        out.extend_from_slice(b"\"}");
    }

    /// Writes `"name":[…]` members, each with the versions of a property. The id and the two instants of a record
    /// have none here.
    fn write_history(&self, out: &mut Vec<u8>, record: &CrmRecord, now: Millis) {
        let mut is_first = true;
        for column in &self.columns {
            let ValueSource::Stored(slot) = column.source else { continue };
            let key = column.key.strip_prefix(b",").unwrap_or(&column.key);
            if !std::mem::replace(&mut is_first, false) {
                out.push(b',');
            }
            out.extend_from_slice(key);
            out.push(b'[');
            for (at, mut version) in record.versions(self.kind, slot).into_iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                version.value = rendered(&version.value, now);
                version.write(out);
            }
            out.push(b']');
        }
    }
}

/// What rendering needs besides the record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RenderContext<'a> {
    pub(crate) portal_id: u64,
    pub(crate) now: Millis,
    pub(crate) history: Option<&'a PropertySelection>,
}

fn source(kind: ObjectType, name: &str, slot: PropertySlot) -> ValueSource {
    match name {
        "hs_object_id" | "hs_ticket_id" => ValueSource::Id,
        _ if name == kind.created_property() => ValueSource::Created,
        _ if name == kind.modified_property() => ValueSource::Updated,
        _ => ValueSource::Stored(slot),
    }
}

pub(crate) fn write_fragment(out: &mut Vec<u8>, fragment: &[u8], now: Millis) {
    match fragment.split_first() {
        Some((&SINCE, rest)) => {
            let since = std::str::from_utf8(rest).ok().and_then(|text| text.parse().ok());
            let elapsed = (now - since.unwrap_or(now)).max(0);
            write_quoted(out, |out| write_number(out, elapsed.unsigned_abs()));
        }
        _ => out.extend_from_slice(fragment),
    }
}

/// A value as the API gives it.
fn rendered(fragment: &[u8], now: Millis) -> Vec<u8> {
    let mut out = Vec::with_capacity(fragment.len());
    write_fragment(&mut out, fragment, now);
    out
}

fn write_quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

pub(crate) fn write_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// A property's value of one record as JSON, whatever its source.
pub(crate) fn value_json(
    portal: &FakePortal,
    kind: ObjectType,
    record: &CrmRecord,
    slot: PropertySlot,
    now: Millis,
) -> Vec<u8> {
    let mut out = Vec::new();
    let name = &portal.properties(kind).def(slot).name;
    match source(kind, name, slot) {
        ValueSource::Id => write_quoted(&mut out, |out| write_number(out, record.id)),
        ValueSource::Created => write_quoted(&mut out, |out| write_instant(out, record.created)),
        ValueSource::Updated => write_quoted(&mut out, |out| write_instant(out, record.updated)),
        ValueSource::Stored(slot) => match record.values.get(slot) {
            Some(fragment) => write_fragment(&mut out, fragment, now),
            None => out.extend_from_slice(b"null"),
        },
    }
    out
}
