//! The way of a page from HubSpot's bytes to records, alone: what fuzzing and benchmarks exercise.

use bytes::Bytes;

use crate::client::{Malformed, ObjectId, ObjectType};
use crate::extraction::encode::record::{Encoder, Relations};
use crate::extraction::plan::columns::{ObjectColumns, PropertyColumn};
use crate::extraction::plan::privacy::Privacy;
use crate::extraction::read::page::Page;
use crate::property::Kind;

/// Properties of every kind, by the names that a seed corpus uses; the last one is hashed.
const PROPERTIES: [(&str, Kind); 6] = [
    ("subject", Kind::String),
    ("time_to_close", Kind::Number),
    ("hs_was_imported", Kind::Boolean),
    ("due", Kind::Date),
    ("createdate", Kind::DateTime),
    ("hashed", Kind::String),
];

/// A ticket without associations.
struct Alone;

impl Relations for Alone {
    fn push_ids(&self, _: usize, _: ObjectId, out: &mut Vec<u8>) {
        out.extend_from_slice(b"[]");
    }

    fn primary(&self, _: usize, _: ObjectId) -> Option<&[u8]> {
        None
    }
}

/// Encodes the tickets of an answer, each as a whole JSON object.
///
/// # Errors
/// When the answer is none of a list or a batch read.
pub fn encode_answer(body: Bytes) -> Result<Vec<Vec<u8>>, Malformed> {
    let privacy = Privacy::new(&[], &["hashed".to_owned()], None);
    let column = |(name, kind): (&str, Kind)| PropertyColumn {
        property: name.to_owned(),
        column: name.to_owned(),
        kind,
        salt: privacy.salt_of(&ObjectType::TICKETS, name),
    };
    let encoder = Encoder::new(ObjectColumns {
        stream: "tickets",
        created_at: true,
        archived: true,
        archived_at: true,
        merged_into: true,
        properties: PROPERTIES.map(column).to_vec(),
        one_column: false,
        associated: vec![(0, "associated_contacts".to_owned())],
        primary_contact: Some(0),
        primary_company: None,
        unparsed: true,
        extraction_type: false,
        page_number: false,
    });
    let page = Page::read(body, encoder.layout())?;
    let mut unparsed_counts = encoder.zero_counts();
    let encode = |row| {
        let mut record = Vec::new();
        encoder.encode(row, &Alone, &mut unparsed_counts, &mut record);
        record.push(b'}');
        record
    };
    Ok(page.rows().map(encode).collect())
}
