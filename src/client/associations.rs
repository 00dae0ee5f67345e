//! Associations, by the thousand.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::objects::Paging;
use super::request::{Endpoint, Request};
use super::{Client, ClientError, Malformed, ObjectId, ObjectType};

/// Inputs of one association batch read.
/// <https://developers.hubspot.com/docs/api-reference/latest/crm/associations/associate-records/guide>
const MAX_INPUTS: usize = 1000;
/// What a portal took before 2025; no portal takes less.
const MIN_INPUTS: usize = 100;

/// The associations of many records with the records of one type.
#[derive(Debug, Default)]
pub struct Associations {
    /// One entry for each pair and type, in no order, without repeats of a page.
    pub links: Vec<Link>,
    /// The types that `links` point at.
    pub types: Vec<AssociationType>,
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

/// How many inputs a batch may have: the limit until a portal refuses it.
#[derive(Debug)]
pub(super) struct BatchSize(AtomicUsize);

/// The links of an answer, and the cursors of records that have more.
type LinksAndCursors = (Associations, Vec<(ObjectId, String)>);

impl Default for BatchSize {
    fn default() -> Self {
        Self(AtomicUsize::new(MAX_INPUTS))
    }
}

impl Client {
    /// Reads all associations of `ids` with records of the type `to`, following each record's own paging. A record
    /// without associations has no links; HubSpot tells it with a 207, which is a success.
    ///
    /// # Errors
    /// Any [`ClientError`]; [`ClientError::MissingScopes`] unless both types may be read.
    pub async fn batch_read_associations(
        &self,
        from: &ObjectType,
        to: &ObjectType,
        ids: &[ObjectId],
    ) -> Result<Associations, ClientError> {
        let url = format!("{}/batch/read", self.paths.associations(from, to));
        let mut found = Associations::default();
        let mut inputs: Vec<(ObjectId, Option<String>)> = ids.iter().map(|id| (*id, None)).collect();
        while !inputs.is_empty() {
            let size = self.association_batch.0.load(Ordering::Relaxed).min(inputs.len());
            let asked = &inputs[..size];
            let request = Request::post_json(Endpoint::Associations, url.clone(), batch(asked));
            let answer = self.call(request, |body| read_answer(&body, asked)).await;
            match answer {
                Ok((page, more)) => {
                    found.merge(page);
                    inputs.drain(..size);
                    inputs.extend(more.into_iter().map(|(id, after)| (id, Some(after))));
                }
                // A portal that takes fewer inputs is never asked for more again.
                Err(ClientError::Refused { status: 400, .. }) if size > MIN_INPUTS => {
                    self.association_batch.0.fetch_min((size / 2).max(MIN_INPUTS), Ordering::Relaxed);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Asks for the associations of one id that need not exist, to see whether they can be read.
    ///
    /// # Errors
    /// [`ClientError::MissingScopes`] when the token may not; [`ClientError::Refused`] when the portal does not know one of
    /// the types; any other.
    pub async fn probe_associations(&self, from: &ObjectType, to: &ObjectType) -> Result<(), ClientError> {
        match self.batch_read_associations(from, to, &[ObjectId(1)]).await {
            // It may be the id that is refused: the types have an endpoint of their own.
            Err(ClientError::Refused { status: 400 | 404, .. }) => {
                self.list_association_types(from, to).await.map(drop)
            }
            answer => answer.map(drop),
        }
    }
}

impl Associations {
    fn merge(&mut self, page: Self) {
        let known = |one: &AssociationType| self.intern(&one.category, one.type_id, one.label.as_deref());
        let renumbered: Vec<u32> = page.types.iter().map(known).collect();
        self.links.extend(page.links.into_iter().map(|link| Link {
            association_type: renumbered[usize::try_from(link.association_type).expect("an index")],
            ..link
        }));
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

fn batch(inputs: &[(ObjectId, Option<String>)]) -> Vec<u8> {
    let inputs: Vec<_> = inputs
        .iter()
        .map(|(id, after)| match after {
            Some(after) => json!({"id": id.to_string(), "after": after}),
            None => json!({"id": id.to_string()}),
        })
        .collect();
    json!({ "inputs": inputs }).to_string().into_bytes()
}

/// Whether a record's cursor lies behind the one asked with; of cursors that are no numbers, whether it is another one.
fn goes_on(from: Option<&str>, to: &str) -> bool {
    match (from.map(str::parse::<u64>), to.parse::<u64>()) {
        (Some(Ok(from)), Ok(to)) => to > from,
        _ => from != Some(to),
    }
}

/// An answer to these inputs and no others: one that a cache between repeats would leave a record without its links.
fn read_answer(body: &Bytes, asked: &[(ObjectId, Option<String>)]) -> Result<LinksAndCursors, Malformed> {
    let (page, more) = read_page(body)?;
    let asked: HashMap<ObjectId, Option<&String>> = asked.iter().map(|(id, after)| (*id, after.as_ref())).collect();
    if let Some(link) = page.links.iter().find(|link| !asked.contains_key(&link.from)) {
        return Err(Malformed::new(format!("it tells of {}, which was not asked for", link.from)));
    }
    match more
        .iter()
        .find(|(id, after)| !asked.get(id).is_some_and(|before| goes_on(before.map(String::as_str), after)))
    {
        Some((id, after)) => Err(Malformed::new(format!("the page of {id} leads back to {after}"))),
        None => Ok((page, more)),
    }
}

/// The associations in a batch read's answer.
///
/// # Errors
/// When it is none.
pub fn decode_associations(body: &Bytes) -> Result<Associations, Malformed> {
    read_page(body).map(|(found, _)| found)
}

/// The links of an answer, and the cursors of records that have more.
fn read_page(body: &Bytes) -> Result<LinksAndCursors, Malformed> {
    let page: Page<'_> = serde_json::from_slice(body).map_err(|error| Malformed::json(&error))?;
    let mut found = Associations::default();
    let mut more = Vec::new();
    for FromOne { from, to, paging } in page.results {
        if let Some(after) = paging.and_then(|paging| paging.after()) {
            more.push((from.id, after));
        }
        for mut one in to {
            // The association counts even where its type is not told.
            if one.types.is_empty() {
                one.types.push(TypeOfOne { category: Cow::Borrowed(""), type_id: 0, label: None });
            }
            for TypeOfOne { category, type_id, label } in one.types {
                let association_type = found.intern(&category, type_id, label.as_deref());
                found.links.push(Link { from: from.id, to: one.to, association_type });
            }
        }
    }
    Ok((found, more))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str, asked: &[(u64, Option<&str>)]) -> Result<usize, Malformed> {
        let asked: Vec<_> = asked.iter().map(|(id, after)| (ObjectId(*id), after.map(str::to_owned))).collect();
        read_answer(&Bytes::copy_from_slice(body.as_bytes()), &asked).map(|(found, _)| found.links.len())
    }

    #[test]
    fn an_answer_to_another_question_is_refused() {
        let body = r#"{"results":[{"from":{"id":"1"},"to":[{"toObjectId":2}]}]}"#;
        assert_eq!(read(body, &[(1, None), (3, None)]).ok(), Some(1));
        assert!(read(body, &[(3, None)]).is_err());
    }

    #[test]
    fn a_cursor_that_leads_back_is_not_followed_for_ever() {
        let body = |after: &str| {
            format!(r#"{{"results":[{{"from":{{"id":"1"}},"paging":{{"next":{{"after":"{after}"}}}}}}]}}"#)
        };
        for (before, after, good) in [
            (None, "5", true),
            (Some("5"), "6", true),
            (Some("5"), "5", false),
            (Some("5"), "4", false),
            (Some("x"), "x", false),
        ] {
            assert_eq!(read(&body(after), &[(1, before)]).is_ok(), good, "{before:?} {after}");
        }
    }
}
