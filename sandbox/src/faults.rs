//! Scripted faults: what goes wrong with a request.

use serde::Deserialize;
use serde_json::Value;

use crate::pool::RateLimitKind;

/// What goes wrong with a request.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Answers this; the request is not executed.
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
    /// Resets the connection before the request is executed.
    ResetBeforeBody,
    /// Executes the request, then resets the connection without a response.
    LostReply,
    /// Executes the request, then answers this status as if it had failed.
    StatusAfter(u16),
    /// Another client creates a contact with the first email address of a write just before it: 400, nothing is written.
    EmailRace,
    /// Writes the records of a batch, but none of the associations that they are sent with.
    AssociationsDropped,
    /// Resets the connection in the middle of the body.
    ResetMidBody,
    /// Sends the first half of the JSON as a complete body.
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
    /// Answers with the body of the previous successful response of that endpoint.
    RepeatedPage,
    /// Answers with a cursor that points back to the page's own first record.
    CursorBackwards,
    /// Answers with the page's records in descending order.
    IdsOutOfOrder,
    /// Answers with one record of the page missing, its cursor as usual.
    RecordMissing,
    /// Answers without `paging`, as if the page were the last.
    PagingMissing,
    /// Adds this to `total`, which does not become negative.
    TotalOff(i64),
    /// Leaves results out whose id, or whose `from.id`, is a multiple of `every`; with a category, `errors` reports
    /// them with it.
    LeaveOut {
        /// Ids that are multiples of it.
        every: u64,
        /// `INTERNAL_ERROR` and the like.
        #[serde(default)]
        category: Option<String>,
    },
    /// Answers as if the request had no cursors in its body and its query.
    IgnoreAfter,
    /// Answers with a `Date` this many seconds ahead; `None`: without one.
    Date {
        /// Behind when negative.
        ahead_secs: Option<i64>,
    },
    /// Sets a member of the response; a segment `*` of the path means every element.
    SetMember {
        /// Segments with slashes between: `results/*/metadata`.
        path: String,
        /// The value.
        value: Value,
    },
    /// Removes a member from the response.
    RemoveMember(String),
}

impl Fault {
    pub(crate) fn name(&self) -> String {
        let text = format!("{self:?}");
        text.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
    }

    /// Whether the request is not executed.
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
