//! What a batch came to, input by input.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::client::ids::ObjectId;

/// A record as HubSpot has it.
#[derive(Debug, Clone, Deserialize)]
pub struct StoredObject {
    /// Its id.
    pub id: ObjectId,
    /// The values asked for or written; null: none.
    #[serde(default)]
    pub properties: BTreeMap<String, Option<String>>,
    /// Of an upsert: whether the record is new.
    #[serde(default)]
    pub new: Option<bool>,
    /// The input's trace id.
    #[serde(rename = "objectWriteTraceId", default)]
    pub write_trace_id: Option<String>,
}

/// Why an input of a batch was not written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct WriteError {
    /// HubSpot's words.
    pub message: String,
    /// `VALIDATION_ERROR`, `OBJECT_NOT_FOUND`, `CONFLICT`, …
    pub category: String,
    /// What it is about: `objectWriteTraceId`, `ids`, `fromObjectId`, … each with a list of texts.
    pub context: Map<String, Value>,
}

/// What a batch came to: inputs may be missing in both lists, and results stand in no order.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct BatchOutcome {
    /// What was written.
    pub results: Vec<StoredObject>,
    /// What was not.
    pub errors: Vec<WriteError>,
    /// The answer's id, which HubSpot's support asks for.
    #[serde(skip)]
    pub correlation_id: String,
}

/// What a batch read came to. What is in neither list is not in the portal.
#[derive(Debug, Clone, Default)]
pub struct ValuesRead {
    /// The records that are there.
    pub found: Vec<StoredObject>,
    /// The values of which HubSpot did not say whether they are there, to the last try, and why.
    pub failed: Vec<(String, WriteError)>,
}

/// The values that a batch read's answer leaves open.
#[derive(Debug, Default)]
pub(super) struct Unanswered {
    /// HubSpot failed on them.
    pub(super) failed: Vec<(String, Option<WriteError>)>,
    /// The answer leaves them out.
    pub(super) silent: Vec<String>,
}

impl StoredObject {
    /// Whether it is the record that a batch read asked for by this value. A contact answers to its further addresses.
    fn answers(&self, id_property: Option<&str>, value: &str) -> bool {
        let Some(name) = id_property else { return self.id.to_string() == value };
        let same = |text: &str| text.trim().to_lowercase() == value.trim().to_lowercase();
        let text = |name: &str| self.properties.get(name).cloned().flatten().unwrap_or_default();
        same(&text(name)) || name == "email" && text("hs_additional_emails").split(';').any(same)
    }
}

impl BatchOutcome {
    /// Sorts the values of a batch read into those that are answered and those that are not.
    pub(super) fn unanswered(&self, id_property: Option<&str>, asked: Vec<String>) -> Unanswered {
        let named = |error: &WriteError, value: &str| {
            error.named("ids").chain(error.named("id")).any(|id| id.trim().eq_ignore_ascii_case(value.trim()))
        };
        let nameless = self
            .errors
            .iter()
            .find(|error| !error.is_absence() && error.named("ids").chain(error.named("id")).next().is_none());
        // The id of a survivor of a merge stands for one that was asked for; which one, the answer does not tell.
        let merged = id_property.is_none()
            && self.results.iter().any(|object| !asked.iter().any(|value| object.answers(None, value)));
        let mut unanswered = Unanswered::default();
        for value in asked {
            if self.results.iter().any(|object| object.answers(id_property, &value)) {
                continue;
            }
            match self.errors.iter().find(|error| named(error, &value)).or(nameless) {
                Some(error) if error.is_absence() => {}
                Some(error) => unanswered.failed.push((value, Some(error.clone()))),
                None if merged => {}
                // Older answers list absent values without naming them.
                None if self.errors.iter().any(WriteError::is_absence) => {}
                None => unanswered.silent.push(value),
            }
        }
        unanswered
    }
}

impl WriteError {
    /// Whether it says that a record is not there, and nothing else.
    pub fn is_absence(&self) -> bool {
        let category = self.category.to_ascii_uppercase();
        category.contains("NOT_FOUND") || category.is_empty() && self.message.to_lowercase().contains("not found")
    }

    /// Whether the same input may be taken when it is sent again.
    pub fn is_transient(&self) -> bool {
        ["INTERNAL_ERROR", "RATE_LIMITS", "TIMEOUT", "SERVICE_UNAVAILABLE", "LOCKED"]
            .contains(&self.category.to_ascii_uppercase().as_str())
    }

    /// The texts of one member of the context.
    pub fn named(&self, member: &str) -> impl Iterator<Item = &str> {
        self.context.get(member).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }
}
