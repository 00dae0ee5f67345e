//! Reading the records that are about to be written.

use bytes::Bytes;
use serde_json::json;

use super::outcome::{BatchOutcome, StoredObject, ValuesRead};
use crate::client::malformed::decode_json;
use crate::client::objects::MAX_BATCH;
use crate::client::request::{Endpoint, Request};
use crate::client::{Client, ClientError, ObjectId, ObjectType};

impl Client {
    /// Up to 100 live objects by id, or by the values of a unique property. Those that HubSpot says are not there are
    /// missing; one that was merged away answers with the record that it was merged into. Values that HubSpot fails on
    /// are asked for again.
    ///
    /// # Errors
    /// Any [`ClientError`]; [`ClientError::Refused`] when the property is not unique.
    pub async fn batch_read_values(
        &self,
        object_type: &ObjectType,
        id_property: Option<&str>,
        values: &[String],
        properties: &[&str],
    ) -> Result<ValuesRead, ClientError> {
        debug_assert!(values.len() <= MAX_BATCH, "HubSpot reads at most 100 objects at once");
        let url = format!("{}/batch/read?archived=false", self.paths.objects(object_type));
        let mut read = ValuesRead::default();
        let mut asked: Vec<String> = values.to_vec();
        let mut silent_once = false;
        for attempt in 0.. {
            let inputs: Vec<_> = asked.iter().map(|id| json!({"id": id})).collect();
            let mut body = json!({"inputs": inputs, "properties": properties, "propertiesWithHistory": []});
            if let Some(id_property) = id_property {
                body["idProperty"] = id_property.into();
            }
            let request = Request::post_json(Endpoint::BatchRead, url.clone(), body.to_string().into_bytes());
            let outcome = self.call(request, |body: Bytes| decode_json::<BatchOutcome>(body)).await?;
            let mut unanswered = outcome.unanswered(id_property, asked);
            read.found.extend(outcome.results);
            if !silent_once {
                silent_once = true;
                unanswered.failed.extend(unanswered.silent.drain(..).map(|value| (value, None)));
            }
            if attempt >= self.retry.attempts {
                read.failed =
                    unanswered.failed.into_iter().filter_map(|(value, error)| Some((value, error?))).collect();
                break;
            }
            if unanswered.failed.is_empty() {
                break;
            }
            if unanswered.failed.iter().any(|(_, error)| error.is_some()) {
                self.pause(attempt + 1).await;
            }
            asked = unanswered.failed.into_iter().map(|(value, _)| value).collect();
        }
        read.found.sort_by_key(|object| object.id);
        read.found.dedup_by_key(|object| object.id);
        Ok(read)
    }

    /// One live object by id, also by the id of one that was merged away; none when there is none.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn get_object(
        &self,
        object_type: &ObjectType,
        id: ObjectId,
        properties: &str,
    ) -> Result<Option<StoredObject>, ClientError> {
        let url = format!("{}/{id}?archived=false&properties={properties}", self.paths.objects(object_type));
        match self.call(Request::get(Endpoint::Get, url), |body: Bytes| decode_json::<StoredObject>(body)).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The live objects whose property has one of up to 100 values, as the search index has them: it lags behind.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn search_values(
        &self,
        object_type: &ObjectType,
        property: &str,
        values: &[String],
        properties: &[&str],
    ) -> Result<Vec<StoredObject>, ClientError> {
        // IN compares texts in lower case.
        let values: Vec<String> = values.iter().map(|value| value.to_lowercase()).collect();
        let filter = json!({"propertyName": property, "operator": "IN", "values": values});
        let mut found: Vec<StoredObject> = Vec::new();
        loop {
            // The specification calls all five required.
            let body = json!({
                "after": found.len().to_string(),
                "filterGroups": [{"filters": [filter]}],
                "limit": 200,
                "properties": properties,
                "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
            });
            let url = format!("{}/search", self.paths.objects(object_type));
            let request = Request::post_json(Endpoint::Search, url, body.to_string().into_bytes());
            let page = self.call(request, |body: Bytes| decode_json::<BatchOutcome>(body)).await?.results;
            let last = page.len() < 200;
            found.extend(page);
            if last || found.len() >= 9_800 {
                return Ok(found);
            }
        }
    }
}
