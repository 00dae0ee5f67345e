//! Associations, by the thousand.

use std::borrow::Cow;
use std::collections::HashSet;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::ids::ObjectId;
use super::malformed::Malformed;
use super::paging::Paging;

/// The associations of many records with the records of one type.
#[derive(Debug, Default)]
pub struct Associations {
    /// One entry for each pair and type, in no order, without repeats of a page.
    pub links: Vec<Link>,
    /// The types that `links` point at.
    pub types: Vec<AssociationType>,
    /// Records that HubSpot refuses to read: whether they have associations is not known.
    pub refused: Vec<ObjectId>,
}

/// That one record is associated with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// The record asked for.
    pub from: ObjectId,
    /// The record it is associated with.
    pub to: ObjectId,
    /// In which way: an index into [`Associations::types`].
    pub association_type: u32,
}

/// A way to be associated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssociationType {
    /// `HUBSPOT_DEFINED`, `USER_DEFINED` or `INTEGRATOR_DEFINED`.
    pub category: String,
    /// The id, which is one per direction: ticket to contact is 16, contact to ticket 15.
    pub type_id: u64,
    /// What people see; none for the unlabelled type.
    pub label: Option<String>,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    results: Vec<FromOne<'a>>,
    #[serde(borrow, default)]
    errors: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct RecordPage<'a> {
    #[serde(borrow)]
    results: Vec<ToOne<'a>>,
    #[serde(default)]
    paging: Option<Paging>,
}

/// One of the `errors` of a partial success.
#[derive(Deserialize)]
struct BatchError<'a> {
    #[serde(borrow, default)]
    category: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "subCategory")]
    sub_category: Option<Cow<'a, str>>,
    #[serde(default)]
    context: ErrorContext,
}

#[derive(Deserialize, Default)]
struct ErrorContext {
    #[serde(default, rename = "fromObjectId")]
    from_object_id: Vec<ObjectId>,
}

#[derive(Deserialize)]
struct FromOne<'a> {
    from: Reference,
    #[serde(borrow, default)]
    to: Vec<ToOne<'a>>,
    paging: Option<Paging>,
}

#[derive(Deserialize)]
struct Reference {
    id: ObjectId,
}

#[derive(Deserialize)]
struct ToOne<'a> {
    #[serde(rename = "toObjectId")]
    to: ObjectId,
    #[serde(rename = "associationTypes", borrow, default)]
    types: Vec<TypeOfOne<'a>>,
}

#[derive(Deserialize)]
struct TypeOfOne<'a> {
    #[serde(borrow, default)]
    category: Cow<'a, str>,
    #[serde(rename = "typeId", default)]
    type_id: u64,
    #[serde(borrow, default)]
    label: Option<Cow<'a, str>>,
}

/// What an answer says of the records that were asked for.
#[derive(Debug, Default)]
pub(super) struct AssociationResponse {
    pub(super) found: Associations,
    /// Records that the answer has a result of.
    pub(super) named: HashSet<ObjectId>,
    /// The next page of records that have more.
    pub(super) cursors: Vec<(ObjectId, String)>,
    /// Records that have no association, as `errors` says.
    pub(super) absent: HashSet<ObjectId>,
    /// `errors` says nothing else.
    pub(super) is_clean: bool,
}

impl Associations {
    /// The associations of these records.
    pub(super) fn of(mut self, ids: &HashSet<ObjectId>) -> Self {
        self.links.retain(|link| ids.contains(&link.from));
        self
    }

    pub(super) fn merge(&mut self, page: Self) {
        let known = |one: &AssociationType| self.intern(&one.category, one.type_id, one.label.as_deref());
        let renumbered: Vec<u32> = page.types.iter().map(known).collect();
        self.links.extend(page.links.into_iter().map(|link| Link {
            association_type: renumbered[usize::try_from(link.association_type).expect("an index")],
            ..link
        }));
    }

    /// Adds what one record is associated with.
    fn push(&mut self, from: ObjectId, to: Vec<ToOne<'_>>) {
        for mut one in to {
            // The association counts even where its type is not told.
            if one.types.is_empty() {
                one.types.push(TypeOfOne { category: Cow::Borrowed(""), type_id: 0, label: None });
            }
            for TypeOfOne { category, type_id, label } in one.types {
                let association_type = self.intern(&category, type_id, label.as_deref());
                self.links.push(Link { from, to: one.to, association_type });
            }
        }
    }

    /// The index of a type; there are a handful of them.
    fn intern(&mut self, category: &str, type_id: u64, label: Option<&str>) -> u32 {
        let same = |known: &AssociationType| {
            known.type_id == type_id && known.category == category && known.label.as_deref() == label
        };
        let index = self.types.iter().position(same).unwrap_or_else(|| {
            let (category, label) = (category.to_owned(), label.map(str::to_owned));
            self.types.push(AssociationType { category, type_id, label });
            self.types.len() - 1
        });
        u32::try_from(index).expect("fewer types than links")
    }
}

/// The associations in a batch read's answer.
///
/// # Errors
/// When it is none.
pub fn decode_associations(body: &Bytes) -> Result<Associations, Malformed> {
    parse_response(body).map(|response| response.found)
}

/// What the answer to a batch read says.
pub(super) fn parse_response(body: &Bytes) -> Result<AssociationResponse, Malformed> {
    let page: Page<'_> = serde_json::from_slice(body).map_err(|error| Malformed::json(&error))?;
    let mut response = AssociationResponse { is_clean: true, ..AssociationResponse::default() };
    for error in page.errors.into_iter().flatten() {
        match documented_absence(error) {
            ids if ids.is_empty() => response.is_clean = false,
            ids => response.absent.extend(ids),
        }
    }
    for FromOne { from, to, paging } in page.results {
        response.named.insert(from.id);
        if let Some(after) = paging.and_then(|paging| paging.after()) {
            response.cursors.push((from.id, after));
        }
        response.found.push(from.id, to);
    }
    Ok(response)
}

/// The associations on a page of one record's own endpoint, and the cursor of the next page.
pub(super) fn read_record(body: &Bytes, id: ObjectId) -> Result<(Associations, Option<String>), Malformed> {
    let page: RecordPage<'_> = serde_json::from_slice(body).map_err(|error| Malformed::json(&error))?;
    let mut found = Associations::default();
    found.push(id, page.results);
    Ok((found, page.paging.and_then(|paging| paging.after())))
}

/// The records that an error of a batch calls gone or without associations; none for any other error.
fn documented_absence(error: &RawValue) -> Vec<ObjectId> {
    let Ok(error) = serde_json::from_str::<BatchError<'_>>(error.get()) else { return Vec::new() };
    let is_absence = error.sub_category.is_some_and(|category| category.ends_with("NO_ASSOCIATIONS_FOUND"))
        || error.category.is_some_and(|category| category == "OBJECT_NOT_FOUND");
    if is_absence { error.context.from_object_id } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> AssociationResponse {
        parse_response(&Bytes::copy_from_slice(body.as_bytes())).expect(body)
    }

    #[test]
    fn an_absence_counts_only_where_the_answer_says_so_of_the_record() {
        let absent = r#"{"category":"OBJECT_NOT_FOUND","subCategory":"crm.associations.NO_ASSOCIATIONS_FOUND","context":{"fromObjectId":["3",4]}}"#;
        let failed = r#"{"category":"INTERNAL_ERROR","context":{"fromObjectId":["5"]}}"#;
        let response = read(&format!(r#"{{"results":[],"errors":[{absent},{failed},7],"numErrors":3}}"#));
        assert_eq!(response.absent, HashSet::from([ObjectId(3), ObjectId(4)]));
        assert!(!response.is_clean);
        assert!(read(r#"{"results":[{"from":{"id":"1"}}],"errors":null}"#).is_clean);
    }

    #[test]
    fn results_and_cursors_belong_to_their_records() {
        let response = read(
            r#"{"results":[{"from":{"id":"1"},"to":[{"toObjectId":2}],"paging":{"next":{"after":"9"}}},{"from":{"id":"8"},"to":[{"toObjectId":"7"}]}]}"#,
        );
        assert_eq!(response.cursors, [(ObjectId(1), "9".to_owned())]);
        assert_eq!(response.named.len(), 2);
        assert_eq!(response.found.of(&HashSet::from([ObjectId(1)])).links.len(), 1);
    }
}
