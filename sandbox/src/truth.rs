//! The whole content of a portal as one JSON document, for tests to compare with.

use serde_json::{Value, json};

use crate::clock::{Millis, instant_text};
use crate::object_type::ObjectType;
use crate::portal::FakePortal;
use crate::property_definitions::PropertyDefinitions;
use crate::property_values::{decode, json_text};
use crate::record::{CrmRecord, RecordState};
use crate::render::{PropertySelection, value_json};

/// Writes every object of every type: records that were merged away carry `merged_into` and are
/// neither live nor archived to the API. Text that is no Unicode has U+FFFD where it is not.
pub(crate) fn write(portal: &FakePortal, now: Millis) -> Vec<u8> {
    let mut out = format!("{{\"portal_id\":{},\"now\":\"{}\"", portal.id, instant_text(now)).into_bytes();
    for kind in filled(portal) {
        out.extend_from_slice(format!(",\"{}\":[", kind.plural()).as_bytes());
        let table = portal.table(kind);
        let names = portal.properties(kind).iter(false).map(|(_, def)| def.name.as_str());
        let all = PropertySelection::new(kind, portal.properties(kind), names, true);
        let records = table.rows(0).filter_map(|(_, row)| table.load(&row));
        for (at, record) in records.enumerate() {
            out.extend_from_slice(if at > 0 { b",\n" } else { b"\n" });
            write_record(&mut out, portal, kind, &all, &record, now);
        }
        out.push(b']');
    }
    let rest = json!({
        "properties": by_type(portal, |kind| properties(portal.properties(kind))),
        "pipelines": pipelines(portal, ObjectType::Tickets),
        "deal_pipelines": pipelines(portal, ObjectType::Deals),
        "owners": portal.owners.iter().map(crate::owners::Owner::to_json).collect::<Vec<_>>(),
    });
    let rest = rest.to_string();
    out.push(b',');
    out.extend_from_slice(&rest.as_bytes()[1..]);
    out
}

/// The four types that each portal has, and the others of which it has records.
fn filled(portal: &FakePortal) -> impl Iterator<Item = ObjectType> + '_ {
    ObjectType::ALL.into_iter().filter(move |kind| !kind.is_other() || portal.table(*kind).last_id() > 0)
}

fn by_type(portal: &FakePortal, value: impl Fn(ObjectType) -> Value) -> Value {
    filled(portal).map(|kind| (kind.plural().to_owned(), value(kind))).collect()
}

fn properties(properties: &PropertyDefinitions) -> Value {
    let both = properties.iter(false).chain(properties.iter(true)).enumerate();
    both.map(|(order, (_, def))| def.to_json(order)).collect()
}

fn pipelines(portal: &FakePortal, kind: ObjectType) -> Value {
    portal.pipelines(kind).iter().enumerate().map(|(order, pipeline)| pipeline.to_json(order)).collect()
}

fn write_record(
    out: &mut Vec<u8>,
    portal: &FakePortal,
    kind: ObjectType,
    all: &PropertySelection,
    record: &CrmRecord,
    now: Millis,
) {
    let merged_into = match record.state {
        RecordState::Merged { into } => json!(into.to_string()),
        _ => Value::Null,
    };
    let archived_at = record.archived_at().map(instant_text);
    let head = json!({
        "id": record.id.to_string(),
        "created_at": instant_text(record.created),
        "updated_at": instant_text(record.updated),
        "archived": archived_at.is_some(),
        "archived_at": archived_at,
        "merged_into": merged_into,
    });
    let head = head.to_string();
    out.extend_from_slice(&head.as_bytes()[..head.len() - 1]);
    out.extend_from_slice(b",\"properties\":{");
    let start = out.len();
    all.write_properties(out, record, now);
    // Only surrogate escapes can make a fragment unreadable.
    if finds(&out[start..], b"\\ud") || finds(&out[start..], b"\\uD") {
        out.truncate(start);
        write_readable(out, portal, kind, record, now);
    }
    out.extend_from_slice(b"},\"associations\":");
    out.extend_from_slice(associations(portal, kind, record).to_string().as_bytes());
    out.push(b'}');
}

fn finds(text: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(text, needle).is_some()
}

/// Writes the properties one by one, repairing each value that is no Unicode.
fn write_readable(out: &mut Vec<u8>, portal: &FakePortal, kind: ObjectType, record: &CrmRecord, now: Millis) {
    for (at, (slot, def)) in portal.properties(kind).iter(false).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend(json_text(&def.name));
        out.push(b':');
        let value = value_json(portal, kind, record, slot, now);
        out.extend(if finds(&value, b"\\u") { json_text(&decode(&value)) } else { value });
    }
}

/// The associations that the API returns: those between live records.
fn associations(portal: &FakePortal, kind: ObjectType, record: &CrmRecord) -> Value {
    by_type(portal, |to| {
        let ends = portal.associations.ends(kind, record.id, to);
        let live = ends.iter().filter(|(end, _)| record.is_live() && portal.is_live(to, **end));
        live.map(|(end, types)| {
            let types: Vec<Value> = types
                .iter()
                .map(|key| {
                    let label = portal.associations.label((kind, to), *key);
                    json!({"category": key.category(), "type_id": key.type_id, "label": label})
                })
                .collect();
            json!({"id": end.to_string(), "types": types})
        })
        .collect()
    })
}
