//! Fault rules: which requests a fault affects.

use serde::Deserialize;
use serde_json::Value;

use crate::faults::Fault;

/// Applies a fault to requests whose `METHOD /path?query` and body contain given texts.
#[derive(Clone, Debug, Deserialize)]
pub struct FaultRule {
    /// Text that `METHOD /path?query` must contain; empty: any.
    #[serde(default, rename = "match")]
    pub matches: String,
    /// Text that the body must contain; empty: any.
    #[serde(default)]
    pub body: String,
    /// `METHOD /path?query` must be longer.
    #[serde(default)]
    pub longer_than: usize,
    /// The body must have more `inputs`.
    #[serde(default)]
    pub more_inputs_than: usize,
    /// The query must ask for a `limit` above this.
    #[serde(default)]
    pub limit_above: usize,
    /// The body must have an input whose id is a multiple; 0: any.
    #[serde(default)]
    pub names_multiple_of: u64,
    /// Matching requests to let through first.
    #[serde(default)]
    pub skip: usize,
    /// How many to affect after that.
    #[serde(default = "once")]
    pub times: usize,
    /// What happens.
    pub fault: Fault,
}

fn once() -> usize {
    1
}

impl FaultRule {
    /// Affects the next request that matches.
    pub fn next(matches: &str, fault: Fault) -> Self {
        Self::nth(matches, 0, 1, fault)
    }

    /// Affects every request that matches.
    pub fn always(matches: &str, fault: Fault) -> Self {
        Self::nth(matches, 0, usize::MAX, fault)
    }

    /// Skips `skip` matching requests, then affects `times`.
    pub fn nth(matches: &str, skip: usize, times: usize, fault: Fault) -> Self {
        let matches = matches.to_owned();
        let (longer_than, more_inputs_than, limit_above, names_multiple_of) = (0, 0, 0, 0);
        let body = String::new();
        Self { matches, body, longer_than, more_inputs_than, limit_above, names_multiple_of, skip, times, fault }
    }

    /// Affects only requests whose body contains a text.
    #[must_use]
    pub fn with_body(self, text: &str) -> Self {
        Self { body: text.to_owned(), ..self }
    }

    /// Affects only requests whose `METHOD /path?query` is longer.
    #[must_use]
    pub fn longer_than(self, characters: usize) -> Self {
        Self { longer_than: characters, ..self }
    }

    /// Affects only pages of more records.
    #[must_use]
    pub fn limit_above(self, limit: usize) -> Self {
        Self { limit_above: limit, ..self }
    }

    /// Affects only batches of more inputs.
    #[must_use]
    pub fn more_inputs_than(self, inputs: usize) -> Self {
        Self { more_inputs_than: inputs, ..self }
    }

    /// Affects only batches with an input whose id is a multiple of this.
    #[must_use]
    pub fn names_multiple_of(self, divisor: u64) -> Self {
        Self { names_multiple_of: divisor, ..self }
    }

    pub(crate) fn applies_to(&self, line: &str, body: &str) -> bool {
        line.contains(&self.matches)
            && body.contains(&self.body)
            && line.len() >= self.longer_than
            && (self.limit_above == 0 || limit(line).is_some_and(|limit| limit > self.limit_above))
            && (self.more_inputs_than == 0 || input_ids(body).count() > self.more_inputs_than)
            && (self.names_multiple_of == 0 || input_ids(body).any(|id| id.is_multiple_of(self.names_multiple_of)))
    }
}

/// The `limit` of a query.
fn limit(line: &str) -> Option<usize> {
    let (_, rest) = line.split_once("limit=")?;
    rest.split('&').next()?.parse().ok()
}

/// The ids of a body's inputs.
fn input_ids(body: &str) -> impl Iterator<Item = u64> {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let inputs = body["inputs"].as_array().cloned().unwrap_or_default();
    inputs.into_iter().filter_map(|input| input["id"].as_u64().or_else(|| input["id"].as_str()?.parse().ok()))
}
