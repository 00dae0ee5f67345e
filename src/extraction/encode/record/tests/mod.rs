//! The encoder held against a slow and obvious one: records as values, built one by one.

mod arbitrary;
mod value;
use bytes::Bytes;
use proptest::prelude::*;

use self::arbitrary::{KINDS, NOTABLE, plain, scene};
use self::value::{Json, Sent, read};
use super::{Encoder, Relations};
use crate::client::ObjectId;
use crate::extraction::plan::columns::{ObjectColumns, PropertyColumn};
use crate::extraction::read::page::Page;
use crate::property::Kind;

#[derive(Debug, Clone)]
struct Record {
    id: u64,
    created_at: Sent,
    updated_at: Sent,
    archived_at: Sent,
    archived: Option<bool>,
    /// One for each column.
    values: Vec<Sent>,
    associated: Vec<Vec<u64>>,
    primaries: [Option<u64>; 2],
}

#[derive(Debug, Clone)]
struct Scene {
    columns: Vec<(String, Kind)>,
    one_column: bool,
    flags: [bool; 5],
    with_primaries: [bool; 2],
    records: Vec<Record>,
    /// Where the properties of a record begin: HubSpot's order is its own.
    turn: usize,
}

impl Scene {
    fn encoder(&self) -> Encoder {
        let [created_at, archived, archived_at, merged_into, unparsed] = self.flags;
        let column = |(at, (name, kind)): (usize, &(String, Kind))| PropertyColumn {
            property: name.clone(),
            column: self.column(at),
            kind: *kind,
            salt: None,
        };
        Encoder::new(ObjectColumns {
            stream: "tickets",
            created_at,
            archived,
            archived_at,
            merged_into,
            properties: self.columns.iter().enumerate().map(column).collect(),
            one_column: self.one_column,
            associated: vec![(0, "associated_contacts".to_owned()), (1, "associated_companies".to_owned())],
            primary_contact: self.with_primaries[0].then_some(0),
            primary_company: self.with_primaries[1].then_some(1),
            unparsed,
            extraction_type: false,
            page_number: false,
        })
    }

    fn column(&self, at: usize) -> String {
        if self.one_column { self.columns[at].0.clone() } else { format!("column_{at}") }
    }

    /// The answer as HubSpot would send it.
    fn answer(&self) -> String {
        let name = |text: &str| serde_json::to_string(text).expect("text is JSON");
        let records = self.records.iter().map(|record| {
            let mut properties: Vec<String> = vec![r#""not_asked_for":"\ud800 x""#.to_owned()];
            for ((property, _), value) in self.columns.iter().zip(&record.values) {
                properties.extend(value.token().map(|token| format!("{}:{token}", name(property))));
            }
            let turn = self.turn % properties.len();
            properties.rotate_left(turn);
            let mut members =
                vec![format!(r#""id":"{}""#, record.id), format!(r#""properties":{{{}}}"#, properties.join(","))];
            for (key, value) in [
                ("createdAt", &record.created_at),
                ("updatedAt", &record.updated_at),
                ("archivedAt", &record.archived_at),
            ] {
                members.extend(value.token().map(|token| format!("\"{key}\":{token}")));
            }
            members.extend(record.archived.map(|archived| format!("\"archived\":{archived}")));
            let turn = self.turn % members.len();
            members.rotate_left(turn);
            format!("{{{}}}", members.join(","))
        });
        format!(r#"{{"results":[{}]}}"#, records.collect::<Vec<_>>().join(","))
    }

    /// A record as it must come out, and how often each column's value did not fit.
    fn record(&self, record: &Record, unparsed_counts: &mut [u64]) -> Json {
        let [created_at, archived, archived_at, merged_into, unparsed] = self.flags;
        let instant = |value: &Sent| value.value(Kind::DateTime).0;
        let mut out = vec![("id".to_owned(), Json::Text(record.id.to_string()))];
        let mut push = |name: &str, value: Json| out.push((name.to_owned(), value));
        if created_at {
            push("created_at", instant(&record.created_at));
        }
        push("updated_at", instant(&record.updated_at));
        if archived {
            push("archived", Json::Boolean(record.archived == Some(true)));
        }
        if archived_at {
            push("archived_at", instant(&record.archived_at));
        }
        if merged_into {
            push("merged_into", Json::Null);
        }
        let (mut properties, mut raw) = (Vec::new(), Vec::new());
        for (at, ((property, kind), sent)) in self.columns.iter().zip(&record.values).enumerate() {
            let (value, misfit) = sent.value(*kind);
            properties.push((self.column(at), value));
            if misfit {
                unparsed_counts[at] += 1;
                raw.push((property.clone(), sent.raw()));
            }
        }
        if self.one_column {
            push("properties", Json::Object(properties));
        } else {
            properties.into_iter().for_each(|(column, value)| push(&column, value));
        }
        for (at, column) in ["associated_contacts", "associated_companies"].into_iter().enumerate() {
            push(column, Json::Array(record.associated[at].iter().map(|id| Json::Text(id.to_string())).collect()));
        }
        for (at, column) in ["primary_contact", "primary_company"].into_iter().enumerate() {
            if self.with_primaries[at] {
                let primary = |id: u64| Json::Object(vec![("id".to_owned(), Json::Text(id.to_string()))]);
                push(column, record.primaries[at].map_or(Json::Null, primary));
            }
        }
        if unparsed {
            push("_unparsed", if raw.is_empty() { Json::Null } else { Json::Object(raw) });
        }
        Json::Object(out)
    }
}

/// The associations of one record, as a chunk has them for many.
struct Beside {
    associated: Vec<Vec<u64>>,
    primaries: Vec<Option<Vec<u8>>>,
}

impl Beside {
    fn of(record: &Record) -> Self {
        let primary = |id: &Option<u64>| id.map(|id| format!(r#"{{"id":"{id}"}}"#).into_bytes());
        Self { associated: record.associated.clone(), primaries: record.primaries.iter().map(primary).collect() }
    }
}

impl Relations for Beside {
    fn push_ids(&self, index: usize, _ticket: ObjectId, out: &mut Vec<u8>) {
        let ids: Vec<String> = self.associated[index].iter().map(|id| format!("\"{id}\"")).collect();
        out.extend_from_slice(format!("[{}]", ids.join(",")).as_bytes());
    }

    fn primary(&self, index: usize, _ticket: ObjectId) -> Option<&[u8]> {
        self.primaries[index].as_deref()
    }
}

proptest! {
    #[test]
    fn the_encoder_equals_the_obvious_one(scene in scene()) {
        let encoder = scene.encoder();
        let page = Page::read(Bytes::from(scene.answer()), encoder.layout()).expect("a page");
        prop_assert_eq!(page.len(), scene.records.len());
        let mut unparsed_counts = encoder.zero_counts();
        let mut expected_misfits = encoder.zero_counts();
        for (row, record) in page.rows().zip(&scene.records) {
            let mut out = Vec::new();
            encoder.encode(row, &Beside::of(record), &mut unparsed_counts, &mut out);
            out.push(b'}');
            let written = String::from_utf8(out).expect("UTF-8");
            prop_assert!(!written.contains('\n'), "one line");
            prop_assert_eq!(read(&written), scene.record(record, &mut expected_misfits), "{}", written);
        }
        prop_assert_eq!(unparsed_counts, expected_misfits);
    }
}

#[test]
fn every_notable_value_is_encoded_as_the_obvious_one_does_in_every_type() {
    for kind in KINDS {
        for one_column in [false, true] {
            let values = NOTABLE.map(|text| Sent::Text(plain(text)));
            let columns = (0..NOTABLE.len()).map(|at| (format!("property {at}"), kind)).collect();
            let record = Record {
                id: 7,
                created_at: Sent::Absent,
                updated_at: Sent::Null,
                archived_at: Sent::Absent,
                archived: None,
                values: values.to_vec(),
                associated: vec![Vec::new(), vec![3, 20]],
                primaries: [None, Some(3)],
            };
            let scene = Scene {
                columns,
                one_column,
                flags: [true; 5],
                with_primaries: [true; 2],
                records: vec![record],
                turn: 5,
            };
            let encoder = scene.encoder();
            let page = Page::read(Bytes::from(scene.answer()), encoder.layout()).expect("a page");
            let (mut out, mut unparsed_counts) = (Vec::new(), encoder.zero_counts());
            encoder.encode(page.row(0), &Beside::of(&scene.records[0]), &mut unparsed_counts, &mut out);
            out.push(b'}');
            let expected = scene.record(&scene.records[0], &mut encoder.zero_counts());
            assert_eq!(read(std::str::from_utf8(&out).expect("UTF-8")), expected, "{kind:?}");
        }
    }
}
