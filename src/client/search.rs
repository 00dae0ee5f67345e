//! Search: HubSpot's fast and eventually consistent path, used for ids alone.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;

use super::objects::json as decode;
use super::request::{Endpoint, Request};
use super::{Client, ClientError, ObjectId, ObjectType};

/// Records of one page of a search, HubSpot's maximum.
/// <https://developers.hubspot.com/docs/api-reference/latest/crm/search-the-crm>
const PAGE: u32 = 200;

/// One filter; all filters of a search hold together.
#[derive(Debug, Clone, Copy)]
pub struct Criterion<'c> {
    /// The property.
    pub property: &'c str,
    /// `GTE`, `LT`, `GT`, …
    pub operator: &'static str,
    /// The value: a number, or an instant in epoch milliseconds.
    pub value: i64,
}

/// The first page of a search, by ascending id.
#[derive(Debug)]
pub struct Search {
    /// All matches, also beyond the 10,000 that pages lead to.
    pub total: u64,
    /// The records of the page, in the order of the answer.
    pub found: Vec<Found>,
}

/// A record that a search found.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Found {
    /// Its id.
    pub id: ObjectId,
    /// When it was modified, as the index has it.
    #[serde(rename = "updatedAt", default)]
    pub updated_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct Answer {
    total: u64,
    results: Vec<Found>,
}

impl Search {
    /// Whether the page holds all that the search counts.
    pub fn is_whole(&self) -> bool {
        u64::try_from(self.found.len()).unwrap_or(u64::MAX) >= self.total
    }
}

impl Client {
    /// Searches, and reads the first page of 200. Further pages are searches with a greater least id: offsets skip rows
    /// that move while they are read, and end at 10,000.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn search_objects(
        &self,
        object_type: &ObjectType,
        criteria: &[Criterion<'_>],
    ) -> Result<Search, ClientError> {
        let answer = self.search(object_type, criteria, "ASCENDING").await?;
        Ok(Search { total: answer.total, found: answer.results })
    }

    /// About the greatest id of all objects of a type, as the index has them and if it keeps to the order asked for; none
    /// when there is no object.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn greatest_id(&self, object_type: &ObjectType) -> Result<Option<ObjectId>, ClientError> {
        let answer = self.search(object_type, &[], "DESCENDING").await?;
        Ok(answer.results.iter().map(|found| found.id).max())
    }

    async fn search(
        &self,
        object_type: &ObjectType,
        criteria: &[Criterion<'_>],
        direction: &str,
    ) -> Result<Answer, ClientError> {
        let filters: Vec<_> = criteria
            .iter()
            .map(|one| json!({"propertyName": one.property, "operator": one.operator, "value": one.value.to_string()}))
            .collect();
        // The specification calls all five required.
        let body = json!({
            "after": "0",
            "filterGroups": if filters.is_empty() { json!([]) } else { json!([{ "filters": filters }]) },
            "limit": PAGE,
            "properties": ["hs_object_id"],
            "sorts": [{"propertyName": "hs_object_id", "direction": direction}],
        });
        let url = format!("{}/search", self.paths.objects(object_type));
        let request = Request::post_json(Endpoint::Search, url, body.to_string().into_bytes());
        self.call(request, |body: Bytes| decode::<Answer>(body)).await
    }
}
