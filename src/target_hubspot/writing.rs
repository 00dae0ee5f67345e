//! Batches of writes, each of whose inputs gets an outcome.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;

use super::breaker::{MIN_RECORDS, kind_of};
use super::error::TargetError;
use super::identity::folded;
use super::rejection::{MAX_FAILED_ALONE, Rejection, is_about_inputs, may_be_about_inputs};
use super::write_context::WriteContext;
use crate::client::{
    BatchOutcome, Client, ClientError, InlineAssociation, ObjectId, ObjectInput, ObjectType, WriteError,
};

/// How often an input is sent that HubSpot fails on.
const MAX_TRIES: u32 = 4;

/// What is done with a batch.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operation<'o> {
    Create,
    Update,
    /// By the value of this unique property.
    Upsert(&'o str),
}

/// An input that has no outcome yet.
#[derive(Debug, Clone)]
pub(super) struct PendingInput {
    /// Its place in the chunk.
    pub(super) at: usize,
    /// The id, or the value of the unique property.
    pub(super) id: Option<String>,
    pub(super) properties: BTreeMap<String, String>,
    pub(super) associations: Vec<InlineAssociation>,
    /// How often HubSpot failed on it.
    pub(super) failed: u32,
}

/// The outcome of one input.
#[derive(Debug)]
pub(super) enum InputOutcome {
    Written {
        id: ObjectId,
        new: Option<bool>,
        /// The values that HubSpot has now, as far as the response has them.
        properties: BTreeMap<String, Option<String>>,
    },
    /// Another record has the value by which this one is found: another writer created it first.
    Conflict(ObjectId),
    Rejected(Rejection),
    /// It may have been created.
    Unknown,
    /// The response does not mention it, as it does not mention records that were merged away.
    Missing,
}

/// The outcomes of a batch.
#[derive(Debug, Default)]
pub(super) struct BatchResult {
    pub(super) outcomes: Vec<(PendingInput, InputOutcome)>,
    /// Why the outcome of creations is unknown.
    pub(super) unknown: Option<ClientError>,
}

impl Operation<'_> {
    fn name(self) -> &'static str {
        match self {
            Self::Create | Self::Upsert(_) => "creation",
            Self::Update => "update",
        }
    }
}

/// Writes up to 100 inputs. A batch that HubSpot refuses as a whole is halved until the bad input is alone.
///
/// # Errors
/// Errors that concern no single input: credentials, scopes, an API that keeps failing, a reason that HubSpot refuses every
/// record for.
pub(super) async fn send(
    context: &WriteContext,
    object_type: &ObjectType,
    operation: Operation<'_>,
    inputs: Vec<PendingInput>,
) -> Result<BatchResult, TargetError> {
    let mut sent = BatchResult::default();
    let mut waiting = vec![inputs];
    let mut is_first = true;
    let mut probing = false;
    let mut is_halved = false;
    while let Some(mut batch) = waiting.pop() {
        if batch.is_empty() {
            continue;
        }
        let size = batch.len();
        let begun = sent.outcomes.len();
        match write(&context.client, object_type, operation, &batch).await {
            Ok(outcome) => {
                let again = settle(batch, &outcome, operation, &mut sent.outcomes);
                // An error that names no input is about one of those left; each of them is asked alone.
                waiting.extend(again.alone.into_iter().map(|one| vec![one]));
                if let Some(tries) = again.failed.iter().map(|one| one.failed).max() {
                    context.client.pause(tries).await;
                    waiting.push(again.failed);
                }
                is_first = is_first && size == sent.outcomes.len();
            }
            Err(error) => match (is_about_inputs(&error), operation) {
                (Some(reason), _) if size == 1 => {
                    let rejection = Rejection::of(reason);
                    sent.outcomes.extend(batch.into_iter().map(|one| (one, outcome_of(rejection.clone(), operation))));
                }
                (Some(_), _) if is_first && size >= MIN_RECORDS => {
                    // Three inputs that are far apart show whether the reason is common to all of them.
                    let [last, middle, first] = [size - 1, size / 2, 0].map(|at| vec![batch.remove(at)]);
                    let second = batch.split_off(batch.len() / 2);
                    waiting.extend([second, batch, last, middle, first]);
                    (is_first, probing) = (false, true);
                    continue;
                }
                (Some(_), _) => {
                    let second = batch.split_off(size / 2);
                    waiting.extend([second, batch]);
                }
                (None, Operation::Create) if error.is_unknown_outcome() => {
                    sent.outcomes.extend(batch.into_iter().map(|one| (one, InputOutcome::Unknown)));
                    sent.unknown = Some(error);
                }
                (None, _) if size == 1 => {
                    let rejection = failed_alone(context, object_type, operation, error).await?;
                    sent.outcomes.extend(batch.into_iter().map(|one| (one, InputOutcome::Rejected(rejection.clone()))));
                }
                (None, _) => {
                    // A failure may be about one of the inputs where HubSpot works without them.
                    if !is_halved {
                        answers_without_inputs(context, object_type, operation, error).await?;
                    }
                    is_halved = true;
                    let second = batch.split_off(size / 2);
                    waiting.extend([second, batch]);
                }
            },
        }
        let all = &sent.outcomes;
        if all[begun..].iter().any(|(_, input_outcome)| !matches!(input_outcome, InputOutcome::Rejected(_))) {
            context.breaker.accepted(object_type, operation.name());
            context.failed_alone.store(0, Ordering::Relaxed);
        } else if is_first && size >= MIN_RECORDS || probing && all.len() == 3 {
            stop_if_common(context, object_type, operation, all)?;
        }
        is_first = false;
    }
    Ok(sent)
}

/// The rejection of an input that HubSpot fails on whenever it is sent, alone at last.
///
/// # Errors
/// The failure itself, when HubSpot fails without the input, too, or on several inputs in a row.
pub(super) async fn failed_alone(
    context: &WriteContext,
    object_type: &ObjectType,
    operation: Operation<'_>,
    error: ClientError,
) -> Result<Rejection, TargetError> {
    let reason = format!("HubSpot fails on this record whenever it is sent: {error}");
    answers_without_inputs(context, object_type, operation, error).await?;
    Ok(Rejection { category: "FAILED".to_owned(), ..Rejection::new(reason) })
}

/// Whether the endpoint that fails works without inputs: HubSpot refuses such a request as it checks it.
///
/// # Errors
/// The failure, when it does not.
async fn answers_without_inputs(
    context: &WriteContext,
    object_type: &ObjectType,
    operation: Operation<'_>,
    error: ClientError,
) -> Result<(), TargetError> {
    let fails_on_all = context.failed_alone.fetch_add(1, Ordering::Relaxed) >= MAX_FAILED_ALONE;
    if fails_on_all || !may_be_about_inputs(&error) {
        return Err(error.into());
    }
    match write(&context.client, object_type, operation, &[]).await {
        Ok(_) | Err(ClientError::Refused { .. }) => Ok(()),
        Err(_) => Err(error.into()),
    }
}

/// Stops the run when all inputs of a batch, or the ones probed, are refused for one reason, as those of the
/// batches before were.
fn stop_if_common(
    context: &WriteContext,
    object_type: &ObjectType,
    operation: Operation<'_>,
    outcomes: &[(PendingInput, InputOutcome)],
) -> Result<(), TargetError> {
    // A value that another record has is a reason of its own for each record.
    let is_conflict = |rejection: &Rejection| rejection.category == "CONFLICT" || holder(&rejection.reason).is_some();
    let mut reasons = outcomes.iter().filter_map(|(_, input_outcome)| match input_outcome {
        InputOutcome::Rejected(rejection) if !is_conflict(rejection) => Some(rejection.reason.as_str()),
        _ => None,
    });
    let Some(first) = reasons.next() else { return Ok(()) };
    let kind = kind_of(first);
    let common = reasons.all(|reason| kind_of(reason) == kind);
    if common && context.breaker.refused(object_type, operation.name(), first) {
        return Err(TargetError::RefusesAll { what: format!("record of {object_type}"), reason: first.to_owned() });
    }
    Ok(())
}

async fn write(
    client: &Client,
    object_type: &ObjectType,
    operation: Operation<'_>,
    batch: &[PendingInput],
) -> Result<BatchOutcome, ClientError> {
    let traces: Vec<String> = batch.iter().map(|one| one.at.to_string()).collect();
    let inputs: Vec<ObjectInput<'_>> = batch
        .iter()
        .zip(&traces)
        .map(|(one, trace)| ObjectInput {
            write_trace_id: trace,
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

/// Inputs that have to be sent again.
#[derive(Debug, Default)]
struct Again {
    /// HubSpot failed on them.
    failed: Vec<PendingInput>,
    /// An error that names no input is about one of them.
    alone: Vec<PendingInput>,
}

/// Accounts for every input in results or errors: by trace id, else by id or unique value.
fn settle(
    batch: Vec<PendingInput>,
    outcome: &BatchOutcome,
    operation: Operation<'_>,
    outcomes: &mut Vec<(PendingInput, InputOutcome)>,
) -> Again {
    let mut by_trace: HashMap<&str, usize> = HashMap::new();
    let mut by_id: HashMap<String, usize> = HashMap::new();
    for (index, result) in outcome.results.iter().enumerate() {
        if let Some(trace) = &result.write_trace_id {
            by_trace.insert(trace, index);
        }
        let key = match operation {
            Operation::Upsert(property) => result.properties.get(property).cloned().flatten(),
            _ => Some(result.id.to_string()),
        };
        by_id.extend(key.map(|key| (folded(&key), index)));
    }
    let named = |error: &WriteError, one: &PendingInput, trace: &str| {
        error.named("objectWriteTraceId").any(|named| named == trace)
            || one.id.as_ref().is_some_and(|id| error.named("ids").any(|named| folded(named) == folded(id)))
    };
    let nameless = outcome
        .errors
        .iter()
        .find(|error| error.named("objectWriteTraceId").next().is_none() && error.named("ids").next().is_none());
    let alone = batch.len() == 1;
    let mut again = Again::default();
    for mut one in batch {
        let trace = one.at.to_string();
        let by_id = one.id.as_deref().and_then(|id| by_id.get(&folded(id)));
        if let Some(result) = by_trace.get(trace.as_str()).or(by_id).map(|index| &outcome.results[*index]) {
            let (id, new, properties) = (result.id, result.new, result.properties.clone());
            outcomes.push((one, InputOutcome::Written { id, new, properties }));
            continue;
        }
        let error = outcome.errors.iter().find(|error| named(error, &one, &trace)).or(nameless.filter(|_| alone));
        match (error, nameless, operation) {
            (Some(error), _, Operation::Create) if error.is_transient() => outcomes.push((one, InputOutcome::Unknown)),
            (Some(error), ..) if error.is_transient() && one.failed < MAX_TRIES => {
                one.failed += 1;
                again.failed.push(one);
            }
            (Some(error), ..) => {
                let rejection = Rejection::of_error(error, &outcome.correlation_id);
                outcomes.push((one, outcome_of(rejection, operation)));
            }
            (None, _, Operation::Create) => outcomes.push((one, InputOutcome::Unknown)),
            (None, Some(_), _) => again.alone.push(one),
            (None, None, _) => outcomes.push((one, InputOutcome::Missing)),
        }
    }
    again
}

/// A conflict over the value that records are found by names the record that has it.
fn outcome_of(rejection: Rejection, operation: Operation<'_>) -> InputOutcome {
    let holder = match operation {
        Operation::Upsert(property) => {
            holder(&rejection.reason).filter(|(_, of)| of == property).map(|(holder, _)| holder)
        }
        _ => None,
    };
    holder.map_or(InputOutcome::Rejected(rejection), InputOutcome::Conflict)
}

/// The record that has a value that no second record may have, and the property: `Contact already exists. Existing ID: 1`,
/// which is about the address, or `Cannot set PropertyValueCoordinates{… propertyName=email, …} on 2. 1 already has that
/// value.`
pub(super) fn holder(message: &str) -> Option<(ObjectId, String)> {
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
    if let Some((_, rest)) = message.split_once("Existing ID: ") {
        return Some((ObjectId(digits(rest)?), "email".to_owned()));
    }
    let (_, rest) = message.split_once("propertyName=")?;
    let property = rest.split([',', '}']).next()?.to_owned();
    let (before, _) = message.split_once(" already has that value")?;
    Some((ObjectId(before.rsplit(' ').next()?.parse().ok()?), property))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pending(at: usize, id: &str) -> PendingInput {
        PendingInput { at, id: Some(id.to_owned()), properties: BTreeMap::new(), associations: Vec::new(), failed: 0 }
    }

    #[test]
    fn the_holder_of_an_address_is_read_from_both_messages() {
        let race = "Cannot set PropertyValueCoordinates{portalId=1, objectTypeId=ObjectTypeId{legacyObjectType=CONTACT}, \
                    objectId=5, propertyName=email, value=a@b.c} on 5. 77 already has that value.";
        assert_eq!(holder(race), Some((ObjectId(77), "email".to_owned())));
        let exists = "Contact already exists. Existing ID: 15875483046";
        assert_eq!(holder(exists), Some((ObjectId(15_875_483_046), "email".to_owned())));
        let rejection = Rejection::new(exists);
        assert!(matches!(outcome_of(rejection.clone(), Operation::Upsert("email")), InputOutcome::Conflict(_)));
        assert!(matches!(outcome_of(rejection, Operation::Upsert("customer_no")), InputOutcome::Rejected(_)));
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
        let mut outcomes = Vec::new();
        let again = settle(batch, &outcome, Operation::Upsert("email"), &mut outcomes);
        assert!(again.alone.is_empty() && again.failed.is_empty());
        let told: Vec<String> = outcomes
            .iter()
            .map(|(_, input_outcome)| match input_outcome {
                InputOutcome::Written { id, .. } => id.to_string(),
                InputOutcome::Rejected(rejection) => rejection.reason.clone(),
                other => format!("{other:?}"),
            })
            .collect();
        assert_eq!(told, ["1", "bad", "3", "gone", "Missing"]);
    }
}
