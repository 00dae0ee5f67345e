//! The associations of the tickets of one chunk.

use std::io::Write;

use chrono::{DateTime, Utc};

use crate::client::{AssociationType, Associations, Link, ObjectId, ObjectType};
use crate::extraction::cache::entry::CachedAssociation;
use crate::extraction::plan::columns::AssociationColumns;
use crate::property::{format_instant, push_json_string};

/// The type of a ticket's primary company.
/// <https://developers.hubspot.com/docs/api-reference/latest/crm/associations/associate-records/guide>
const PRIMARY_COMPANY: u64 = 26;

/// Associations with one object type, sorted by ticket, then by the other record's id.
#[derive(Debug)]
pub(crate) struct AssociationIndex {
    links: Vec<Link>,
    types: Vec<AssociationType>,
}

impl AssociationIndex {
    pub(crate) fn new(associations: Associations) -> Self {
        // A record that HubSpot refuses to read counts as one without associations, which the client warns of.
        let Associations { mut links, types, refused: _ } = associations;
        links.sort_unstable();
        links.dedup();
        Self { links, types }
    }

    /// The links of a ticket, by the other record's id.
    pub(crate) fn of(&self, ticket: ObjectId) -> &[Link] {
        let begin = self.links.partition_point(|link| link.from < ticket);
        let length = self.links[begin..].partition_point(|link| link.from == ticket);
        &self.links[begin..begin + length]
    }

    /// The lowest id: HubSpot knows no primary contact of a ticket.
    pub(crate) fn primary_contact(&self, ticket: ObjectId) -> Option<ObjectId> {
        self.of(ticket).first().map(|link| link.to)
    }

    /// The company that HubSpot calls primary, else the one with the lowest id.
    pub(crate) fn primary_company(&self, ticket: ObjectId) -> Option<ObjectId> {
        let links = self.of(ticket);
        let is_primary = |link: &&Link| {
            let found = self.association_type(link);
            found.type_id == PRIMARY_COMPANY && found.category == "HUBSPOT_DEFINED"
        };
        links.iter().find(is_primary).or(links.first()).map(|link| link.to)
    }

    /// Appends the ids of the associated records as a JSON array of strings, ascending and without repeats.
    pub(crate) fn push_ids(&self, ticket: ObjectId, out: &mut Vec<u8>) {
        let mut separator = "[";
        let mut last = None;
        for link in self.of(ticket) {
            if last.replace(link.to) != Some(link.to) {
                write!(out, "{separator}\"{}\"", link.to).expect("writing to a Vec does not fail");
                separator = ",";
            }
        }
        out.extend_from_slice(if last.is_none() { b"[]" } else { b"]" });
    }

    /// Appends the beginnings of `ticket_associations` records of a ticket, and where each ends.
    pub(crate) fn push_records(
        &self,
        ticket: ObjectId,
        object_type: &ObjectType,
        columns: AssociationColumns,
        out: &mut Vec<u8>,
        ends: &mut Vec<usize>,
    ) {
        for link in self.of(ticket) {
            let found = self.association_type(link);
            write!(out, r#"{{"ticket_id":"{}","to_object_type":"#, link.from).expect("writing to a Vec does not fail");
            push_json_string(object_type.as_str(), out);
            write!(out, r#","to_object_id":"{}","category":"#, link.to).expect("writing to a Vec does not fail");
            push_json_string(&found.category, out);
            write!(out, r#","type_id":"{}""#, found.type_id).expect("writing to a Vec does not fail");
            if columns.label {
                out.extend_from_slice(b",\"label\":");
                match &found.label {
                    Some(label) => push_json_string(label, out),
                    None => out.extend_from_slice(b"null"),
                }
            }
            ends.push(out.len());
        }
    }

    /// The keys of a ticket's records, for the row cache.
    pub(crate) fn cached(&self, ticket: ObjectId, object_type: usize) -> impl Iterator<Item = CachedAssociation> + '_ {
        let object_type = u8::try_from(object_type).unwrap_or(u8::MAX);
        self.of(ticket).iter().map(move |link| {
            let AssociationType { category, type_id, .. } = self.association_type(link);
            let type_id = u32::try_from(*type_id).unwrap_or(u32::MAX);
            CachedAssociation { object_type, type_id, to: link.to, category: category.clone() }
        })
    }

    fn association_type(&self, link: &Link) -> &AssociationType {
        &self.types[usize::try_from(link.association_type).expect("an index")]
    }
}

/// Appends the beginning of a tombstone of a `ticket_associations` record.
pub(crate) fn push_tombstone(
    ticket: ObjectId,
    link: &CachedAssociation,
    types: &[ObjectType],
    columns: AssociationColumns,
    deleted_at: DateTime<Utc>,
    out: &mut Vec<u8>,
) {
    let object_type = types.get(usize::from(link.object_type)).map_or("", ObjectType::as_str);
    write!(out, r#"{{"ticket_id":"{ticket}","to_object_type":"#).expect("writing to a Vec does not fail");
    push_json_string(object_type, out);
    write!(out, r#","to_object_id":"{}","category":"#, link.to).expect("writing to a Vec does not fail");
    push_json_string(&link.category, out);
    write!(out, r#","type_id":"{}""#, link.type_id).expect("writing to a Vec does not fail");
    if columns.label {
        out.extend_from_slice(b",\"label\":null");
    }
    write!(out, r#","_sdc_deleted_at":"{}""#, format_instant(deleted_at)).expect("writing to a Vec does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(pairs: &[(u64, u64, u32)]) -> AssociationIndex {
        let types = [339, 26]
            .map(|type_id| AssociationType { category: "HUBSPOT_DEFINED".to_owned(), type_id, label: None })
            .to_vec();
        let links = pairs
            .iter()
            .map(|(from, to, association_type)| Link {
                from: ObjectId(*from),
                to: ObjectId(*to),
                association_type: *association_type,
            })
            .collect();
        AssociationIndex::new(Associations { links, types, ..Associations::default() })
    }

    #[test]
    fn ids_are_ascending_by_number_and_single() {
        let links = links(&[(1, 100, 0), (1, 20, 1), (1, 20, 0), (2, 3, 0), (1, 100, 0)]);
        let ids = |ticket: u64| {
            let mut out = Vec::new();
            links.push_ids(ObjectId(ticket), &mut out);
            String::from_utf8(out).expect("UTF-8")
        };
        assert_eq!(ids(1), r#"["20","100"]"#);
        assert_eq!(ids(2), r#"["3"]"#);
        assert_eq!(ids(3), "[]");
    }

    #[test]
    fn the_primary_company_is_the_labelled_one_else_the_lowest() {
        let links = links(&[(1, 5, 0), (1, 9, 0), (1, 9, 1), (2, 8, 0), (2, 7, 0)]);
        assert_eq!(links.primary_company(ObjectId(1)), Some(ObjectId(9)));
        assert_eq!(links.primary_company(ObjectId(2)), Some(ObjectId(7)));
        assert_eq!(links.primary_company(ObjectId(3)), None);
        assert_eq!(links.primary_contact(ObjectId(1)), Some(ObjectId(5)));
    }
}
