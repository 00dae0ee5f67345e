//! Batches of writes, each of whose inputs comes to a verdict.

use std::collections::{BTreeMap, HashMap};

use super::wording::hubspot_words;
use crate::client::{
    BatchOutcome, Client, ClientError, InlineAssociation, ObjectId, ObjectInput, ObjectType, Reason, WriteError,
};

/// What is done with a batch.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operation<'o> {
    Create,
    Update,
    /// By the value of this unique property.
    Upsert(&'o str),
}

/// An input on its way.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    /// Its place in the chunk.
    pub(super) at: usize,
    /// The id, or the value of the unique property.
    pub(super) id: Option<String>,
    pub(super) properties: BTreeMap<String, String>,
    pub(super) associations: Vec<InlineAssociation>,
}

/// Why HubSpot did not write a record, in its own terms.
#[derive(Debug, Clone, Default)]
pub(super) struct Refusal {
    pub(super) reason: String,
    pub(super) category: String,
    pub(super) correlation_id: String,
}

/// What an input came to.
#[derive(Debug)]
pub(super) enum Verdict {
    Written {
        id: ObjectId,
        new: Option<bool>,
    },
    /// Another record has the value by which this one is found: somebody else was faster.
    Held(ObjectId),
    Refused(Refusal),
    /// It may have been created.
    Unknown,
    /// HubSpot says nothing of it, as of records that were merged away.
    LeftOut,
}

/// What a batch came to.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) verdicts: Vec<(Pending, Verdict)>,
    /// Why the outcome of creations is unknown.
    pub(super) unknown: Option<ClientError>,
}

impl Refusal {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), ..Self::default() }
    }

    pub(super) fn of(reason: &Reason) -> Self {
        let Reason { message, category, correlation_id } = reason;
        Self { reason: hubspot_words(message), category: category.clone(), correlation_id: correlation_id.clone() }
    }

    fn of_error(error: &WriteError, correlation_id: &str) -> Self {
        let WriteError { message, category, .. } = error;
        Self { reason: hubspot_words(message), category: category.clone(), correlation_id: correlation_id.to_owned() }
    }
}

/// Whether a refusal is about what the batch holds, so that parts of it may do better.
pub(super) fn is_about_inputs(error: &ClientError) -> Option<&Reason> {
    match error {
        ClientError::Refused { status: 400 | 409 | 413 | 422, reason, .. } => Some(reason),
        _ => None,
    }
}

/// Writes up to 100 inputs. A batch that HubSpot refuses as a whole is halved until the bad input stands alone.
///
/// # Errors
/// What is about none of the inputs: credentials, scopes, an API that keeps failing.
pub(super) async fn send(
    client: &Client,
    object_type: &ObjectType,
    operation: Operation<'_>,
    inputs: Vec<Pending>,
) -> Result<Sent, ClientError> {
    let mut sent = Sent::default();
    let mut waiting = vec![inputs];
    while let Some(batch) = waiting.pop() {
        if batch.is_empty() {
            continue;
        }
        match write(client, object_type, operation, &batch).await {
            Ok(outcome) => {
                let again = settle(batch, &outcome, operation, &mut sent.verdicts);
                // An error that names no input is about one of those left; each of them is asked alone.
                waiting.extend(again.into_iter().map(|one| vec![one]));
            }
            Err(error) => match (is_about_inputs(&error), operation) {
                (Some(reason), _) if batch.len() == 1 => {
                    let refusal = Refusal::of(reason);
                    sent.verdicts.extend(batch.into_iter().map(|one| (one, verdict_of(refusal.clone(), operation))));
                }
                (Some(_), _) => {
                    let mut first = batch;
                    let second = first.split_off(first.len() / 2);
                    waiting.extend([second, first]);
                }
                (None, Operation::Create) if error.is_unknown_outcome() => {
                    sent.verdicts.extend(batch.into_iter().map(|one| (one, Verdict::Unknown)));
                    sent.unknown = Some(error);
                }
                (None, _) => return Err(error),
            },
        }
    }
    Ok(sent)
}

async fn write(
    client: &Client,
    object_type: &ObjectType,
    operation: Operation<'_>,
    batch: &[Pending],
) -> Result<BatchOutcome, ClientError> {
    let traces: Vec<String> = batch.iter().map(|one| one.at.to_string()).collect();
    let inputs: Vec<ObjectInput<'_>> = batch
        .iter()
        .zip(&traces)
        .map(|(one, trace)| ObjectInput {
            trace,
            id: one.id.as_deref(),
            properties: &one.properties,
            associations: &one.associations,
        })
        .collect();
    match operation {
        Operation::Create => client.batch_create_objects(object_type, &inputs).await,
        Operation::Update => client.batch_update_objects(object_type, &inputs).await,
        Operation::Upsert(property) => client.batch_upsert_objects(object_type, property, &inputs).await,
    }
}

/// Accounts for every input in results or errors: by trace id, else by id or unique value. Returns those that must be
/// asked for alone.
fn settle(
    batch: Vec<Pending>,
    outcome: &BatchOutcome,
    operation: Operation<'_>,
    verdicts: &mut Vec<(Pending, Verdict)>,
) -> Vec<Pending> {
    let mut by_trace: HashMap<&str, usize> = HashMap::new();
    let mut by_id: HashMap<String, usize> = HashMap::new();
    for (index, result) in outcome.results.iter().enumerate() {
        if let Some(trace) = &result.trace {
            by_trace.insert(trace, index);
        }
        let key = match operation {
            Operation::Upsert(property) => result.properties.get(property).cloned().flatten(),
            _ => Some(result.id.to_string()),
        };
        by_id.extend(key.map(|key| (folded(&key), index)));
    }
    let named = |error: &WriteError, one: &Pending, trace: &str| {
        error.named("objectWriteTraceId").any(|named| named == trace)
            || one.id.as_ref().is_some_and(|id| error.named("ids").any(|named| folded(named) == folded(id)))
    };
    let nameless = outcome
        .errors
        .iter()
        .find(|error| error.named("objectWriteTraceId").next().is_none() && error.named("ids").next().is_none());
    let alone = batch.len() == 1;
    let mut again = Vec::new();
    for one in batch {
        let trace = one.at.to_string();
        let written = by_trace.get(trace.as_str()).or_else(|| by_id.get(&folded(one.id.as_deref()?)));
        if let Some(result) = written.map(|index| &outcome.results[*index]) {
            verdicts.push((one, Verdict::Written { id: result.id, new: result.new }));
            continue;
        }
        let error = outcome.errors.iter().find(|error| named(error, &one, &trace)).or(nameless.filter(|_| alone));
        match (error, nameless, operation) {
            (Some(error), ..) => {
                let refusal = Refusal::of_error(error, &outcome.correlation_id);
                verdicts.push((one, verdict_of(refusal, operation)));
            }
            (None, _, Operation::Create) => verdicts.push((one, Verdict::Unknown)),
            (None, Some(_), _) => again.push(one),
            (None, None, _) => verdicts.push((one, Verdict::LeftOut)),
        }
    }
    again
}

fn folded(text: &str) -> String {
    text.trim().to_lowercase()
}

/// A conflict over the value that records are found by names the record that has it.
fn verdict_of(refusal: Refusal, operation: Operation<'_>) -> Verdict {
    let holder = match operation {
        Operation::Upsert(property) => holder(&refusal.reason, property),
        _ => None,
    };
    holder.map_or(Verdict::Refused(refusal), Verdict::Held)
}

/// `Contact already exists. Existing ID: 1`, or `Cannot set PropertyValueCoordinates{… propertyName=email, …} on 2. 1
/// already has that value.`
fn holder(message: &str, property: &str) -> Option<ObjectId> {
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
    if let Some((_, rest)) = message.split_once("Existing ID: ") {
        return digits(rest).map(ObjectId);
    }
    if !message.contains(&format!("propertyName={property},")) {
        return None;
    }
    let (before, _) = message.split_once(" already has that value")?;
    before.rsplit(' ').next()?.parse().ok().map(ObjectId)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pending(at: usize, id: &str) -> Pending {
        Pending { at, id: Some(id.to_owned()), properties: BTreeMap::new(), associations: Vec::new() }
    }

    #[test]
    fn the_holder_of_an_address_is_read_from_both_messages() {
        let race = "Cannot set PropertyValueCoordinates{portalId=1, objectTypeId=ObjectTypeId{legacyObjectType=CONTACT}, \
                    objectId=5, propertyName=email, value=a@b.c} on 5. 77 already has that value.";
        assert_eq!(holder(race, "email"), Some(ObjectId(77)));
        assert_eq!(holder(race, "code"), None);
        assert_eq!(holder("Contact already exists. Existing ID: 15875483046", "email"), Some(ObjectId(15_875_483_046)));
    }

    #[test]
    fn every_input_is_accounted_for() {
        let outcome: BatchOutcome = serde_json::from_value(json!({
            "results": [
                {"id": "3", "objectWriteTraceId": "2", "properties": {}},
                {"id": "1", "properties": {"email": "A@x"}, "new": true},
            ],
            "errors": [
                {"message": "bad", "category": "VALIDATION_ERROR", "context": {"objectWriteTraceId": ["1"]}},
                {"message": "gone", "category": "OBJECT_NOT_FOUND", "context": {"ids": ["d@x"]}},
            ],
        }))
        .expect("an outcome");
        let batch = vec![pending(0, "a@x"), pending(1, "b@x"), pending(2, "c@x"), pending(3, "d@x"), pending(4, "e@x")];
        let mut verdicts = Vec::new();
        let again = settle(batch, &outcome, Operation::Upsert("email"), &mut verdicts);
        assert!(again.is_empty());
        let told: Vec<String> = verdicts
            .iter()
            .map(|(_, verdict)| match verdict {
                Verdict::Written { id, .. } => id.to_string(),
                Verdict::Refused(refusal) => refusal.reason.clone(),
                other => format!("{other:?}"),
            })
            .collect();
        assert_eq!(told, ["1", "bad", "3", "gone", "LeftOut"]);
    }
}
