//! A ticket, from the tokens of a page to the beginning of a record, without a step between.

use std::io::Write;

use crate::client::ObjectId;
use crate::extraction::plan::columns::ObjectColumns;
use crate::extraction::read::layout::Layout;
use crate::extraction::read::page::Row;
use crate::extraction::read::tombstone::{MERGED_IDS, Tombstone, merged_away_ids};
use crate::property::{Fit, Kind, encode_value, format_instant, push_json_string};

/// Writes tickets of one shape.
#[derive(Debug)]
pub(crate) struct Encoder {
    columns: ObjectColumns,
    layout: Layout,
    /// `,"subject":` of each property column, with the slot of its value.
    keys: Vec<(Vec<u8>, usize)>,
    associated_keys: Vec<Vec<u8>>,
    merged_slot: usize,
}

/// What a ticket has beside its own page.
pub(crate) trait Relations {
    /// Appends the ids of records of the type at `index`.
    fn push_ids(&self, index: usize, ticket: ObjectId, out: &mut Vec<u8>);
    /// The encoded primary record of the type at `index`.
    fn primary(&self, index: usize, ticket: ObjectId) -> Option<&[u8]>;
}

/// How often each property column's value did not fit.
pub(crate) type UnparsedCounts = Vec<u64>;

impl Encoder {
    /// An encoder of these columns.
    pub(crate) fn new(columns: ObjectColumns) -> Self {
        let layout = Self::layout_of(&columns);
        let slot = |property: &str| layout.slot(property).expect("the layout has all properties");
        let keys = columns.properties.iter().map(|one| (key(&one.column), slot(&one.property))).collect();
        let associated_keys = columns.associated.iter().map(|(_, column)| key(column)).collect();
        let merged_slot = slot(MERGED_IDS);
        Self { columns, layout, keys, associated_keys, merged_slot }
    }

    /// The values that records with these columns need.
    pub(crate) fn layout_of(columns: &ObjectColumns) -> Layout {
        Layout::new(columns.properties.iter().map(|one| one.property.as_str()).chain([MERGED_IDS]))
    }

    pub(crate) fn columns(&self) -> &ObjectColumns {
        &self.columns
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Counters of misfits, one a property column.
    pub(crate) fn zero_counts(&self) -> UnparsedCounts {
        vec![0; self.keys.len()]
    }

    /// Appends the beginning of a live ticket's record.
    pub(crate) fn encode(
        &self,
        row: Row<'_>,
        related: &impl Relations,
        unparsed_counts: &mut UnparsedCounts,
        out: &mut Vec<u8>,
    ) {
        let columns = &self.columns;
        write!(out, r#"{{"id":"{}""#, row.id()).expect("writing to a Vec does not fail");
        if columns.created_at {
            out.extend_from_slice(b",\"created_at\":");
            encode_value(Kind::DateTime, row.created_at(), out);
        }
        out.extend_from_slice(b",\"updated_at\":");
        encode_value(Kind::DateTime, row.updated_at(), out);
        if columns.archived {
            out.extend_from_slice(if row.archived() { b",\"archived\":true" } else { b",\"archived\":false" });
        }
        if columns.archived_at {
            out.extend_from_slice(b",\"archived_at\":");
            encode_value(Kind::DateTime, row.archived_at(), out);
        }
        if columns.merged_into {
            out.extend_from_slice(b",\"merged_into\":null");
        }
        let misfitting = self.encode_properties(row, unparsed_counts, out);
        for ((index, _), key) in columns.associated.iter().zip(&self.associated_keys) {
            out.extend_from_slice(key);
            related.push_ids(*index, row.id(), out);
        }
        for (key, index) in [
            (&b",\"primary_contact\":"[..], columns.primary_contact),
            (b",\"primary_company\":", columns.primary_company),
        ] {
            let Some(index) = index else { continue };
            out.extend_from_slice(key);
            out.extend_from_slice(related.primary(index, row.id()).unwrap_or(b"null"));
        }
        if columns.unparsed {
            self.encode_unparsed(row, misfitting, out);
        }
    }

    /// Appends the property columns; returns whether a value did not fit.
    fn encode_properties(&self, row: Row<'_>, unparsed_counts: &mut UnparsedCounts, out: &mut Vec<u8>) -> bool {
        let mut misfitting = false;
        let begin = if self.columns.one_column {
            out.extend_from_slice(b",\"properties\":{");
            out.len()
        } else {
            0
        };
        for (index, ((key, slot), column)) in self.keys.iter().zip(&self.columns.properties).enumerate() {
            // The first key of an object has no comma before it.
            let key = if out.len() == begin { &key[1..] } else { key };
            out.extend_from_slice(key);
            let fit = match &column.salt {
                Some(salt) => salt.push(row.property(*slot), out),
                None => encode_value(column.kind, row.property(*slot), out),
            };
            if matches!(fit, Fit::Misfit | Fit::Rounded) {
                unparsed_counts[index] += 1;
                misfitting = true;
            }
        }
        if self.columns.one_column {
            out.push(b'}');
        }
        misfitting
    }

    /// Appends the raw text of what did not fit, so that nothing is lost.
    fn encode_unparsed(&self, row: Row<'_>, misfitting: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"_unparsed\":");
        if !misfitting {
            out.extend_from_slice(b"null");
            return;
        }
        let mut scratch = Vec::new();
        let mut separator = b'{';
        for ((_, slot), column) in self.keys.iter().zip(&self.columns.properties) {
            scratch.clear();
            // A hash fits always, so the value itself has no way in here.
            let unparsed_counts = |scratch: &mut Vec<u8>| {
                matches!(encode_value(column.kind, row.property(*slot), scratch), Fit::Misfit | Fit::Rounded)
            };
            if column.salt.is_none() && unparsed_counts(&mut scratch) {
                out.push(separator);
                push_json_string(&column.property, out);
                out.push(b':');
                encode_value(Kind::String, row.property(*slot), out);
                separator = b',';
            }
        }
        out.push(b'}');
    }

    /// The losers of merges that this ticket has won.
    pub(crate) fn merged(&self, row: Row<'_>) -> Vec<ObjectId> {
        merged_away_ids(row, self.merged_slot).collect()
    }

    /// Appends the beginning of a tombstone: the key, what is known of the deletion, all else null.
    pub(crate) fn encode_tombstone(&self, tombstone: &Tombstone, out: &mut Vec<u8>) {
        let columns = &self.columns;
        let instant = |instant| format!("\"{}\"", format_instant(instant));
        let archived_at = tombstone.archived_at.map_or_else(|| "null".to_owned(), instant);
        write!(out, r#"{{"id":"{}""#, tombstone.id).expect("writing to a Vec does not fail");
        if columns.created_at {
            out.extend_from_slice(b",\"created_at\":null");
        }
        out.extend_from_slice(b",\"updated_at\":null");
        if columns.archived {
            out.extend_from_slice(b",\"archived\":true");
        }
        if columns.archived_at {
            out.extend_from_slice(b",\"archived_at\":");
            out.extend_from_slice(archived_at.as_bytes());
        }
        if columns.merged_into {
            match tombstone.merged_into {
                Some(winner) => write!(out, r#","merged_into":"{winner}""#).expect("writing to a Vec does not fail"),
                None => out.extend_from_slice(b",\"merged_into\":null"),
            }
        }
        let properties = if columns.one_column { &[][..] } else { &self.keys[..] };
        for key in properties.iter().map(|(key, _)| key).chain(&self.associated_keys) {
            out.extend_from_slice(key);
            out.extend_from_slice(b"null");
        }
        for (key, present) in [
            (&b",\"properties\":null"[..], columns.one_column),
            (b",\"primary_contact\":null", columns.primary_contact.is_some()),
            (b",\"primary_company\":null", columns.primary_company.is_some()),
            (b",\"_unparsed\":null", columns.unparsed),
        ] {
            if present {
                out.extend_from_slice(key);
            }
        }
        write!(out, r#","_sdc_deleted_at":{}"#, instant(tombstone.deleted_at)).expect("writing to a Vec does not fail");
    }
}

/// `,"name":`.
fn key(name: &str) -> Vec<u8> {
    let mut key = vec![b','];
    push_json_string(name, &mut key);
    key.push(b':');
    key
}

#[cfg(test)]
mod tests;
