//! Search: HubSpot's fast and eventually consistent path, used for ids alone.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::malformed::decode_json;
use super::paging::Paging;
use super::request::{Endpoint, Request};
use super::sizes::SearchPageSize;
use super::{Client, ClientError, ObjectId, ObjectType, lenient};

/// One filter; all filters of a search hold together.
#[derive(Debug, Clone, Copy)]
pub struct SearchFilter<'c> {
    /// The property.
    pub property: &'c str,
    /// `GTE`, `LT`, `GT`, …
    pub operator: &'static str,
    /// The value: a number, or an instant in epoch milliseconds.
    pub value: i64,
}

impl SearchFilter<'static> {
    /// A filter of ids.
    pub fn by_id(operator: &'static str, value: i64) -> Self {
        Self { property: "hs_object_id", operator, value }
    }
}

/// The first page of a search, by ascending id.
#[derive(Debug)]
pub struct SearchPage {
    /// All matches as the index counts them, also beyond the 10,000 that pages lead to. A hint: it has been seen too low
    /// and too high.
    pub total: u64,
    /// The records of the page, in the order of the answer.
    pub found: Vec<SearchHit>,
    /// Whether there may be a next page: this one is full, or names one.
    pub has_more: bool,
}

/// A record that a search found.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct SearchHit {
    /// Its id.
    pub id: ObjectId,
    /// When it was modified, as the index has it; none where the answer does not tell.
    #[serde(rename = "updatedAt", default, deserialize_with = "instant")]
    pub updated_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct SearchResponse {
    #[serde(default, deserialize_with = "lenient::optional")]
    total: Option<u64>,
    results: Vec<SearchHit>,
    #[serde(default, deserialize_with = "lenient::optional")]
    paging: Option<Paging>,
}

impl SearchPage {
    /// Whether the page holds all records that match, as far as the answer tells.
    pub fn is_complete(&self) -> bool {
        !self.has_more && self.total <= self.count()
    }

    /// The records of the page.
    pub fn count(&self) -> u64 {
        u64::try_from(self.found.len()).unwrap_or(u64::MAX)
    }
}

impl Client {
    /// Searches, and reads the first page of up to 200. Further pages are searches with a greater least id: offsets skip
    /// rows that move while they are read, and end at 10,000.
    ///
    /// # Errors
    /// Any [`ClientError`]; a [`ClientError::Refused`] with status 400 where the search does not take the filter.
    pub async fn search_objects(
        &self,
        object_type: &ObjectType,
        filters: &[SearchFilter<'_>],
    ) -> Result<SearchPage, ClientError> {
        self.search(object_type, filters, "ASCENDING").await
    }

    /// About the greatest id of all objects of a type, as the index has them and if it keeps to the order asked for; none
    /// when there is no object.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn max_id(&self, object_type: &ObjectType) -> Result<Option<ObjectId>, ClientError> {
        let search = self.search(object_type, &[], "DESCENDING").await?;
        Ok(search.found.iter().map(|found| found.id).max())
    }

    async fn search(
        &self,
        object_type: &ObjectType,
        filters: &[SearchFilter<'_>],
        direction: &str,
    ) -> Result<SearchPage, ClientError> {
        let limit = self.search_page_size.get();
        match self.search_page(object_type, filters, direction, limit).await {
            Err(ClientError::Refused { status: 400 | 413, .. }) if limit > SearchPageSize::SMALL => {
                let search = self.search_page(object_type, filters, direction, SearchPageSize::SMALL).await?;
                tracing::info!(
                    "the search takes no pages of {limit}; reading {} records a page",
                    SearchPageSize::SMALL
                );
                self.search_page_size.shrink();
                Ok(search)
            }
            answer => answer,
        }
    }

    async fn search_page(
        &self,
        object_type: &ObjectType,
        filters: &[SearchFilter<'_>],
        direction: &str,
        limit: u32,
    ) -> Result<SearchPage, ClientError> {
        let filters: Vec<_> = filters
            .iter()
            .map(|one| json!({"propertyName": one.property, "operator": one.operator, "value": one.value.to_string()}))
            .collect();
        // The specification calls all five required.
        let body = json!({
            "after": "0",
            "filterGroups": if filters.is_empty() { json!([]) } else { json!([{ "filters": filters }]) },
            "limit": limit,
            "properties": ["hs_object_id"],
            "sorts": [{"propertyName": "hs_object_id", "direction": direction}],
        });
        let url = format!("{}/search", self.paths.objects(object_type));
        let request = Request::post_json(Endpoint::Search, url, body.to_string().into_bytes());
        let answer = self.call(request, |body: Bytes| decode_json::<SearchResponse>(body)).await?;
        let count = u64::try_from(answer.results.len()).unwrap_or(u64::MAX);
        let has_more = count >= u64::from(limit) || answer.paging.is_some_and(|paging| paging.after().is_some());
        Ok(SearchPage { total: answer.total.unwrap_or(count), found: answer.results, has_more })
    }
}

/// An instant; none for null and for what is no instant.
fn instant<'de, D: Deserializer<'de>>(from: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let value = Value::deserialize(from)?;
    Ok(value.as_str().and_then(|text| text.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_an_answer_that_are_no_ids_may_be_of_any_type() {
        for body in [
            r#"{"results":[{"id":"1","updatedAt":null}]}"#,
            r#"{"total":null,"results":[{"id":1,"updatedAt":17}],"paging":null}"#,
            r#"{"total":"many","results":[{"id":"1"}],"paging":{"next":null}}"#,
        ] {
            let answer: SearchResponse = serde_json::from_str(body).expect(body);
            assert_eq!((answer.results[0].id, answer.results[0].updated_at), (ObjectId(1), None), "{body}");
            assert!(answer.paging.is_none_or(|paging| paging.after().is_none()), "{body}");
        }
    }

    #[test]
    fn a_page_is_complete_when_neither_cursor_nor_count_contradicts_it() {
        let found = SearchHit { id: ObjectId(1), updated_at: None };
        for (total, count, has_more, complete) in
            [(2, 2, false, true), (1, 2, false, true), (3, 2, false, false), (2, 2, true, false), (0, 0, false, true)]
        {
            let search = SearchPage { total, found: vec![found; count], has_more };
            assert_eq!(search.is_complete(), complete, "{total} {count} {has_more}");
        }
    }
}
