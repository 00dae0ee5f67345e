//! Objects: the list and the batch read.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::malformed::{Malformed, decode_json};
use super::request::{Endpoint, Request, encode};
use super::{Client, ClientError, ObjectId, ObjectType, PageCursor};

/// Inputs of one batch read.
/// <https://developers.hubspot.com/docs/api-reference/latest/crm/objects/tickets/guide>
pub const MAX_BATCH: usize = 100;

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

/// The value of a `properties` query parameter.
pub fn encode_properties<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let names: Vec<String> = names.into_iter().map(encode).collect();
    names.join(",")
}

impl Client {
    /// A page of a list, read by `decode` from the answer's body. The list is HubSpot's strongly consistent path. Properties
    /// that the token may not read are left out, and missing in the answer.
    ///
    /// # Errors
    /// Any [`ClientError`]; status 414 when the properties' names make the URL too long.
    pub async fn list_objects<T>(
        &self,
        request: ListRequest<'_>,
        decode: impl Fn(Bytes) -> Result<T, Malformed>,
    ) -> Result<T, ClientError> {
        let mut base = self.paths.objects(request.object_type);
        base.push_str(&format!("?limit={}&archived={}", request.limit, request.archived));
        if let Some(PageCursor(cursor)) = request.after {
            base.push_str("&after=");
            base.push_str(&encode(cursor));
        }
        loop {
            let mut url = base.clone();
            if !request.properties.is_empty() {
                url.push_str("&properties=");
                url.push_str(&self.denied.without(request.object_type, request.properties));
            }
            match self.call(Request::get(Endpoint::List, url), &decode).await {
                Err(error) if self.denied.learn(request.object_type, &error) => {}
                answer => return answer,
            }
        }
    }

    /// The properties of a type that HubSpot has refused to show so far.
    pub fn denied_properties(&self, object_type: &ObjectType) -> Vec<String> {
        self.denied.of(object_type)
    }

    /// Asks for one object of a type, to see whether the token may.
    ///
    /// # Errors
    /// [`ClientError::MissingScopes`] when it may not; any other.
    pub async fn probe_objects(&self, object_type: &ObjectType) -> Result<(), ClientError> {
        let request = ListRequest { object_type, archived: false, after: None, limit: 1, properties: "hs_object_id" };
        self.list_objects(request, decode_json::<IgnoredAny>).await.map(drop)
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
        Ok(self.list_objects(request, decode_json::<Page>).await?.results.is_empty())
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

    /// One live object by id, read by `decode` from the answer's body. A merged one answers with the record that it was
    /// merged into.
    ///
    /// # Errors
    /// Any [`ClientError`]; status 404 when there is no such live object.
    pub async fn read_object<T>(
        &self,
        object_type: &ObjectType,
        id: ObjectId,
        properties: &str,
        decode: impl Fn(Bytes) -> Result<T, Malformed>,
    ) -> Result<T, ClientError> {
        loop {
            let properties = self.denied.without(object_type, properties);
            let url = format!("{}/{id}?archived=false&properties={properties}", self.paths.objects(object_type));
            match self.call(Request::get(Endpoint::Get, url), &decode).await {
                Err(error) if self.denied.learn(object_type, &error) => {}
                answer => return answer,
            }
        }
    }
}
