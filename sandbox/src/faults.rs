//! Scripted faults: which requests they strike and what happens then.

use std::time::Duration;

use fastrand::Rng;
use serde::Deserialize;
use serde_json::Value;

use crate::reply::Limit;

/// What goes wrong with a request.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Answers this instead of doing anything.
    Status {
        /// HTTP status.
        code: u16,
        /// Extra headers.
        #[serde(default)]
        headers: Vec<(String, String)>,
        /// Body; `None` is HubSpot's JSON error envelope.
        #[serde(default)]
        body: Option<String>,
    },
    /// Answers 429 with the body of that limit.
    RateLimited {
        /// Which limit.
        limit: Limit,
        /// Seconds in a `Retry-After` header.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// Answers 401 as for a token that has expired.
    ExpiredToken,
    /// Answers with an HTML page of this status.
    Html(u16),
    /// Cuts the connection before doing anything.
    ResetBeforeBody,
    /// Does what was asked, then cuts the connection without an answer.
    LostReply,
    /// Does what was asked, then answers this status as if it had failed.
    StatusAfter(u16),
    /// Somebody else creates a contact with the first address of a write just before it: 400, nothing is written.
    EmailRace,
    /// Writes the records of a batch, but none of the associations that they are sent with.
    AssociationsDropped,
    /// Cuts the connection in the middle of the body.
    ResetMidBody,
    /// Sends half of the JSON as if it were all.
    TruncatedJson,
    /// Answers as usual after this many milliseconds.
    SlowMs(u64),
    /// Sends headers and a body that never ends.
    EndlessBody,
    /// Answers 200 with text that is not JSON.
    NotJson,
    /// Answers 200 without the `results` member.
    ResultsMissing,
    /// Answers 200 with `results` that is no array.
    ResultsNotAnArray,
    /// Answers with an empty page that claims to be the last.
    EmptyPage,
    /// Answers with the body of the previous successful answer of that endpoint.
    RepeatedPage,
    /// Answers with a cursor that points back to the page's own first record.
    CursorBackwards,
    /// Answers with the page's records in descending order.
    IdsOutOfOrder,
    /// Answers with one record of the page missing, its cursor as usual.
    RecordMissing,
    /// Answers without `paging`, as if the page were the last.
    PagingMissing,
    /// Answers with a `total` that is so much greater, or less when it is negative; never below zero.
    TotalOff(i64),
    /// Leaves results out whose id, or whose `from.id`, is a multiple of `every`; with a category, `errors` says of them
    /// that they failed for it.
    LeaveOut {
        /// Ids that are multiples of it.
        every: u64,
        /// `INTERNAL_ERROR` and the like.
        #[serde(default)]
        category: Option<String>,
    },
    /// Answers as if the request had no cursors in its body and its query.
    IgnoreAfter,
    /// Answers with another `Date`: so many seconds ahead; `None`: without one.
    Date {
        /// Behind when negative.
        ahead_secs: Option<i64>,
    },
    /// Sets a member of the answer; a segment `*` of the path stands for every element.
    SetMember {
        /// Segments with slashes between: `results/*/metadata`.
        path: String,
        /// The value.
        value: Value,
    },
    /// Takes a member out of the answer.
    RemoveMember(String),
}

impl Fault {
    pub(crate) fn name(&self) -> String {
        let text = format!("{self:?}");
        text.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
    }

    /// Whether the request is not carried out at all.
    pub(crate) fn replaces(&self) -> bool {
        matches!(
            self,
            Self::Status { .. }
                | Self::RateLimited { .. }
                | Self::ExpiredToken
                | Self::Html(_)
                | Self::ResetBeforeBody
                | Self::NotJson
                | Self::EmailRace
        )
    }
}

/// Strikes requests whose `METHOD /path?query` or body contains a text.
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
    /// How many to strike after that.
    #[serde(default = "once")]
    pub times: usize,
    /// What happens.
    pub fault: Fault,
}

fn once() -> usize {
    1
}

impl FaultRule {
    /// Strikes the next request that matches.
    pub fn next(matches: &str, fault: Fault) -> Self {
        Self::nth(matches, 0, 1, fault)
    }

    /// Strikes every request that matches.
    pub fn always(matches: &str, fault: Fault) -> Self {
        Self::nth(matches, 0, usize::MAX, fault)
    }

    /// Lets `skip` matching requests through, then strikes `times`.
    pub fn nth(matches: &str, skip: usize, times: usize, fault: Fault) -> Self {
        let matches = matches.to_owned();
        let (longer_than, more_inputs_than, limit_above, names_multiple_of) = (0, 0, 0, 0);
        let body = String::new();
        Self { matches, body, longer_than, more_inputs_than, limit_above, names_multiple_of, skip, times, fault }
    }

    /// Strikes only requests whose body contains a text.
    #[must_use]
    pub fn with_body(self, text: &str) -> Self {
        Self { body: text.to_owned(), ..self }
    }

    /// Strikes only requests whose `METHOD /path?query` is longer.
    #[must_use]
    pub fn longer_than(self, characters: usize) -> Self {
        Self { longer_than: characters, ..self }
    }

    /// Strikes only pages of more records.
    #[must_use]
    pub fn limit_above(self, limit: usize) -> Self {
        Self { limit_above: limit, ..self }
    }

    /// Strikes only batches of more inputs.
    #[must_use]
    pub fn more_inputs_than(self, inputs: usize) -> Self {
        Self { more_inputs_than: inputs, ..self }
    }

    /// Strikes only batches with an input whose id is a multiple of this.
    #[must_use]
    pub fn names_multiple_of(self, divisor: u64) -> Self {
        Self { names_multiple_of: divisor, ..self }
    }

    fn applies_to(&self, line: &str, body: &str) -> bool {
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

/// Random faults of every kind that a client can survive.
#[derive(Clone, Debug, Deserialize)]
pub struct Storm {
    /// Share of requests struck.
    pub share: f64,
    /// Seed of the choice.
    #[serde(default)]
    pub seed: u64,
    /// Faults to choose from; empty: the default set.
    #[serde(default)]
    pub faults: Vec<Fault>,
}

#[derive(Debug, Default)]
pub(crate) struct Faults {
    rules: Vec<FaultRule>,
    storm: Option<(Storm, Rng)>,
}

impl Faults {
    pub(crate) fn add(&mut self, rules: impl IntoIterator<Item = FaultRule>) {
        self.rules.extend(rules);
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
        self.storm = None;
    }

    pub(crate) fn storm(&mut self, storm: Option<Storm>) {
        self.storm = storm.map(|mut storm| {
            if storm.faults.is_empty() {
                storm.faults = usual_faults();
            }
            let rng = Rng::with_seed(storm.seed);
            (storm, rng)
        });
    }

    /// The fault that strikes this request, if any; the first rule that matches decides.
    pub(crate) fn strike(&mut self, line: &str, body: &[u8]) -> Option<Fault> {
        if self.rules.is_empty() && self.storm.is_none() {
            return None;
        }
        let body = String::from_utf8_lossy(body);
        let matching = |rule: &&mut FaultRule| rule.applies_to(line, &body);
        let mut struck = None;
        for rule in self.rules.iter_mut().filter(matching) {
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if rule.times > 0 {
                rule.times -= rule.times.min(usize::from(rule.times != usize::MAX));
                struck = Some(rule.fault.clone());
                break;
            }
        }
        self.rules.retain(|rule| rule.times > 0);
        if struck.is_none()
            && let Some((storm, rng)) = &mut self.storm
            && rng.f64() < storm.share
        {
            struck = Some(storm.faults[rng.usize(..storm.faults.len())].clone());
        }
        struck
    }
}

fn usual_faults() -> Vec<Fault> {
    let status = |code| Fault::Status { code, headers: Vec::new(), body: None };
    let limited = |limit| Fault::RateLimited { limit, retry_after: Some(1) };
    vec![
        status(500),
        status(503),
        status(504),
        status(423),
        Fault::Html(502),
        Fault::Html(521),
        limited(Limit::TenSecondly),
        limited(Limit::Secondly),
        Fault::ResetBeforeBody,
        Fault::LostReply,
        Fault::ResetMidBody,
        Fault::TruncatedJson,
        Fault::NotJson,
        Fault::SlowMs(u64::try_from(Duration::from_millis(200).as_millis()).unwrap_or(200)),
    ]
}
