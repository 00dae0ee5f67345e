//! Objects: the list and the batch read.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::json;

use super::request::{Endpoint, Request, encode};
use super::{Client, ClientError, ObjectId, ObjectType, PageCursor};

/// Inputs of one batch read.
/// <https://developers.hubspot.com/docs/api-reference/latest/crm/objects/tickets/guide>
pub const MAX_BATCH: usize = 100;

/// Smaller pages than this one are not tried: what still fails has another reason.
const LEAST_PAGE: u32 = 10;
/// Property names of fewer characters are no reason for an edge to refuse a URL.
pub const MAX_SHORT_PROPERTIES: usize = 1_000;

/// What is wrong with an answer that was a success.
#[derive(Debug)]
pub struct Malformed(pub(super) String);

impl Malformed {
    /// Says it in words that continue "the answer …".
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }

    /// Where the parser stumbled, without the values that its own words would quote: they are a customer's.
    pub fn json(error: &serde_json::Error) -> Self {
        let words = error.to_string();
        let at = format!("at line {} column {}", error.line(), error.column());
        if !error.is_data() || words.starts_with("missing field") {
            return Self(words);
        }
        match words.rsplit_once(", expected ") {
            Some((_, expected)) => Self(format!("a value is not {expected}")),
            None => Self(format!("a value is not of its type {at}")),
        }
    }
}

/// A page of a list.
#[derive(Debug, Clone, Copy)]
pub struct ListRequest<'r> {
    /// Of which type.
    pub object_type: &'r ObjectType,
    /// Deleted objects instead of live ones.
    pub archived: bool,
    /// Where the page begins; none: at the beginning.
    pub after: Option<&'r PageCursor>,
    /// Records a page, at most 100.
    pub limit: u32,
    /// The properties' names with commas between, already encoded by [`encode_properties`].
    pub properties: &'r str,
}

impl ListRequest<'_> {
    /// Whether its URL is so long that an edge may refuse it.
    fn is_long(&self) -> bool {
        self.properties.len() > MAX_SHORT_PROPERTIES
    }
}

/// `paging` of an answer.
#[derive(Debug, Deserialize)]
pub(super) struct Paging {
    next: Option<Next>,
}

#[derive(Debug, Deserialize)]
struct Next {
    after: Option<String>,
}

impl Paging {
    pub(super) fn after(&self) -> Option<String> {
        self.next.as_ref()?.after.clone()
    }
}

/// The value of a `properties` query parameter.
pub fn encode_properties<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let names: Vec<String> = names.into_iter().map(encode).collect();
    names.join(",")
}

impl Client {
    /// A page of a list, read by `decode` from the answer's body. The list is HubSpot's strongly consistent path. Properties
    /// that the token may not read are left out, and missing in the answer. Where large pages fail for good, it is smaller
    /// than asked for.
    ///
    /// # Errors
    /// Any [`ClientError`]; status 414 when the properties' names make the URL too long.
    pub async fn list_objects<T>(
        &self,
        request: ListRequest<'_>,
        decode: impl Fn(Bytes) -> Result<T, Malformed>,
    ) -> Result<T, ClientError> {
        loop {
            let limit = request.limit.min(self.page_limit.load(Ordering::Relaxed));
            let url = self.list_url(request, limit);
            match self.call(Request::get(Endpoint::List, url), &decode).await {
                Err(error) if self.denied.learn(request.object_type, &error) => {}
                Err(error) if error.may_be_of_size() && limit > LEAST_PAGE && !request.is_long() => {
                    let smaller = (limit / 4).max(LEAST_PAGE);
                    tracing::warn!("pages of {limit} records fail; reading {smaller} at once from now on: {error}");
                    self.page_limit.fetch_min(smaller, Ordering::Relaxed);
                }
                answer => return answer,
            }
        }
    }

    fn list_url(&self, request: ListRequest<'_>, limit: u32) -> String {
        let mut url = self.paths.objects(request.object_type);
        url.push_str(&format!("?limit={limit}&archived={}", request.archived));
        if let Some(PageCursor(cursor)) = request.after {
            url.push_str("&after=");
            url.push_str(&encode(cursor));
        }
        if !request.properties.is_empty() {
            url.push_str("&properties=");
            url.push_str(&self.denied.without(request.object_type, request.properties));
        }
        url
    }

    /// Asks for one object of a type, to see whether the token may.
    ///
    /// # Errors
    /// [`ClientError::MissingScopes`] when it may not; any other.
    pub async fn probe_objects(&self, object_type: &ObjectType) -> Result<(), ClientError> {
        let request = ListRequest { object_type, archived: false, after: None, limit: 1, properties: "hs_object_id" };
        self.list_objects(request, json::<IgnoredAny>).await.map(drop)
    }

    /// Whether a type has no live object at all.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn has_no_objects(&self, object_type: &ObjectType) -> Result<bool, ClientError> {
        #[derive(Deserialize)]
        struct Page {
            results: Vec<IgnoredAny>,
        }
        let request = ListRequest { object_type, archived: false, after: None, limit: 1, properties: "hs_object_id" };
        Ok(self.list_objects(request, json::<Page>).await?.results.is_empty())
    }

    /// Up to 100 objects by id, read by `decode` from the answer's body. Missing ids are missing in the answer; a
    /// merged one answers with the record that it was merged into, under that record's id.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn batch_read_objects<T>(
        &self,
        object_type: &ObjectType,
        ids: &[ObjectId],
        properties: &[&str],
        decode: impl Fn(Bytes) -> Result<T, Malformed>,
    ) -> Result<T, ClientError> {
        debug_assert!(ids.len() <= MAX_BATCH, "HubSpot reads at most 100 objects at once");
        let inputs: Vec<_> = ids.iter().map(|id| json!({"id": id.to_string()})).collect();
        let url = format!("{}/batch/read?archived=false", self.paths.objects(object_type));
        loop {
            let properties: Vec<&str> =
                properties.iter().copied().filter(|name| !self.denied.has(object_type, name)).collect();
            let body = json!({"inputs": inputs, "properties": properties, "propertiesWithHistory": []});
            let request = Request::post_json(Endpoint::BatchRead, url.clone(), body.to_string().into_bytes());
            match self.call(request, &decode).await {
                Err(error) if self.denied.learn(object_type, &error) => {}
                answer => return answer,
            }
        }
    }
}

/// Decodes a JSON answer.
pub(super) fn json<T: DeserializeOwned>(body: Bytes) -> Result<T, Malformed> {
    serde_json::from_slice(&body).map_err(|error| Malformed::json(&error))
}
