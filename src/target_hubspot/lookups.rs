//! Concurrent lookups of many records.

use std::collections::{BTreeSet, HashMap};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::breaker::MIN_RECORDS;
use super::rejection::{MAX_FAILED_ALONE, Rejection, is_about_inputs, may_be_about_inputs};
use super::wording::{hubspot_words, quoted};
use crate::client::{Client, ClientError, MAX_BATCH, ObjectType, StoredObject};

/// Requests on their way at once: at 19 a second each may take half a second without a pause.
pub(super) const REQUESTS_AT_ONCE: usize = 10;

/// The records that a lookup found.
#[derive(Debug, Default)]
pub(super) struct FoundRecords {
    pub(super) found: Vec<StoredObject>,
    /// Values of which HubSpot did not say whether a record has them.
    pub(super) failed: HashMap<String, Rejection>,
}

/// Reads live records by id, or by the values of a unique property.
///
/// # Errors
/// Errors that concern no single value.
pub(super) async fn read(
    client: &Client,
    object_type: &ObjectType,
    id_property: Option<&str>,
    values: &BTreeSet<String>,
    names: &[&str],
) -> Result<FoundRecords, ClientError> {
    let mut chunks = stream::iter(chunks(values))
        .map(async |chunk: Vec<String>| read_chunk(client, object_type, id_property, chunk, names).await)
        .buffer_unordered(REQUESTS_AT_ONCE);
    let mut answers = FoundRecords::default();
    while let Some(read) = chunks.try_next().await? {
        answers.found.extend(read.found);
        answers.failed.extend(read.failed);
    }
    // Chunks are answered in any order, and two values may lead to one record.
    answers.found.sort_by_key(|object| object.id);
    answers.found.dedup_by_key(|object| object.id);
    Ok(answers)
}

/// Reads up to 100 records. Of a batch that is refused as a whole, the values that are refused alone are found by halving.
async fn read_chunk(
    client: &Client,
    object_type: &ObjectType,
    id_property: Option<&str>,
    values: Vec<String>,
    names: &[&str],
) -> Result<FoundRecords, ClientError> {
    let read = async |values: &[String]| client.batch_read_values(object_type, id_property, values, names).await;
    let mut answers = FoundRecords::default();
    let unsure = |value: &str, reason: &str| {
        let reason = hubspot_words(reason);
        Rejection::new(format!("HubSpot does not say whether {object_type} has {}: {reason}", quoted(value)))
    };
    // Ids and addresses can always be asked for; of another property the refusal may be about the property.
    let mut is_answered = id_property.is_none_or(|name| name == "email");
    let mut rejection = None;
    let (mut is_probed, mut is_failing) = (false, false);
    let mut alone = 0;
    let mut waiting = vec![values];
    while let Some(mut values) = waiting.pop() {
        let error = match read(&values).await {
            Ok(found) => {
                is_answered = true;
                answers.found.extend(found.found);
                answers.failed.extend(found.failed.into_iter().map(|(value, error)| {
                    let rejection = Rejection { category: error.category, ..unsure(&value, &error.message) };
                    (value, rejection)
                }));
                continue;
            }
            Err(error) => error,
        };
        if may_be_about_inputs(&error) {
            if !is_failing && read(&[]).await.is_err_and(|error| is_about_inputs(&error).is_none()) {
                return Err(error);
            }
            is_failing = true;
            if values.len() > 1 {
                let second = values.split_off(values.len() / 2);
                waiting.extend([second, values]);
                continue;
            }
            alone += 1;
            if alone > MAX_FAILED_ALONE {
                return Err(error);
            }
            let value = values.swap_remove(0);
            answers.failed.insert(value.clone(), unsure(&value, &error.to_string()));
            rejection = Some(error);
            continue;
        }
        let Some(reason) = is_about_inputs(&error) else { return Err(error) };
        if values.len() == 1 {
            let value = values.swap_remove(0);
            let refused = Rejection { reason: unsure(&value, &reason.message).reason, ..Rejection::of(reason) };
            answers.failed.insert(value, refused);
            rejection = Some(error);
            continue;
        }
        if !std::mem::replace(&mut is_probed, true) && values.len() >= MIN_RECORDS {
            let mut probes = 0;
            for at in [0, values.len() / 2, values.len() - 1] {
                probes += u32::from(read(&values[at..=at]).await.is_err());
            }
            // What is refused wherever it is asked is about none of the values.
            if probes == 3 {
                return Err(error);
            }
        }
        let second = values.split_off(values.len() / 2);
        waiting.extend([second, values]);
    }
    match rejection.filter(|_| !is_answered) {
        Some(error) => Err(error),
        None => Ok(answers),
    }
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
