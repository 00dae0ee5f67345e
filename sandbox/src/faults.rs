//! Scripted faults: which requests they strike and what happens then.

use serde::Deserialize;
use serde_json::Value;

use crate::pool::RateLimitKind;

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
        limit: RateLimitKind,
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
