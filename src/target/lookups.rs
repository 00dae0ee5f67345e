//! Questions about many records, asked side by side.

use std::collections::{BTreeSet, HashMap};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::wording::hubspot_words;
use super::writing::Refusal;
use crate::client::{Client, ClientError, MAX_BATCH, ObjectType, StoredObject};

/// Requests on their way at once: at 19 a second each may take half a second without a pause.
pub(super) const REQUESTS_AT_ONCE: usize = 10;

/// The records that were asked for.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) found: Vec<StoredObject>,
    /// Values of which HubSpot did not say whether they are there.
    pub(super) failed: HashMap<String, Refusal>,
}

/// Reads live records by id, or by the values of a unique property.
///
/// # Errors
/// What is about none of the values.
pub(super) async fn read(
    client: &Client,
    object_type: &ObjectType,
    id_property: Option<&str>,
    values: &BTreeSet<String>,
    names: &[&str],
) -> Result<Answers, ClientError> {
    let mut chunks = stream::iter(chunks(values))
        .map(async |chunk: Vec<String>| client.batch_read_values(object_type, id_property, &chunk, names).await)
        .buffer_unordered(REQUESTS_AT_ONCE);
    let mut answers = Answers::default();
    while let Some(read) = chunks.try_next().await? {
        answers.found.extend(read.found);
        answers.failed.extend(read.failed.into_iter().map(|(value, error)| {
            let said = hubspot_words(&error.message);
            let reason = format!("HubSpot does not say whether {object_type} has {value:?}: {said}");
            (value, Refusal { category: error.category, ..Refusal::new(reason) })
        }));
    }
    // Chunks are answered in any order, and two values may lead to one record.
    answers.found.sort_by_key(|object| object.id);
    answers.found.dedup_by_key(|object| object.id);
    Ok(answers)
}

/// Finds live records through the search, whose index lags, ascending by id.
///
/// # Errors
/// Any [`ClientError`].
pub(super) async fn search(
    client: &Client,
    object_type: &ObjectType,
    property: &str,
    values: &BTreeSet<String>,
    names: &[&str],
) -> Result<Vec<StoredObject>, ClientError> {
    let found: Vec<Vec<StoredObject>> = stream::iter(chunks(values))
        .map(async |chunk: Vec<String>| client.search_values(object_type, property, &chunk, names).await)
        .buffer_unordered(REQUESTS_AT_ONCE)
        .try_collect()
        .await?;
    let mut found: Vec<StoredObject> = found.into_iter().flatten().collect();
    found.sort_by_key(|object| object.id);
    Ok(found)
}

fn chunks(values: &BTreeSet<String>) -> Vec<Vec<String>> {
    let values: Vec<&String> = values.iter().collect();
    values.chunks(MAX_BATCH).map(|chunk| chunk.iter().map(|value| (*value).clone()).collect()).collect()
}
