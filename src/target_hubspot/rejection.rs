//! Why HubSpot does not take a record, and which failures may be about what a request holds.

use super::wording::hubspot_words;
use crate::client::{ClientError, RefusalReason, WriteError};

/// Failures in a row that are put down to a record, or to a batch with such a record, before the run ends with the next.
pub(super) const MAX_FAILED_ALONE: u32 = 8;

/// Why HubSpot did not write a record, in its own terms.
#[derive(Debug, Clone, Default)]
pub(super) struct Rejection {
    pub(super) reason: String,
    pub(super) category: String,
    pub(super) correlation_id: String,
}

impl Rejection {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), ..Self::default() }
    }

    pub(super) fn of(reason: &RefusalReason) -> Self {
        let RefusalReason { message, category, correlation_id } = reason;
        Self { reason: hubspot_words(message), category: category.clone(), correlation_id: correlation_id.clone() }
    }

    pub(super) fn of_error(error: &WriteError, correlation_id: &str) -> Self {
        let WriteError { message, category, .. } = error;
        Self { reason: hubspot_words(message), category: category.clone(), correlation_id: correlation_id.to_owned() }
    }
}

/// Whether a refusal is about what the batch holds, so that parts of it may do better.
pub(super) fn is_about_inputs(error: &ClientError) -> Option<&RefusalReason> {
    match error {
        ClientError::Refused { status: 400 | 409 | 413 | 422, reason, .. } => Some(reason),
        _ => None,
    }
}

/// Whether a failure that lasts may be about what the request holds.
pub(super) fn may_be_about_inputs(error: &ClientError) -> bool {
    match error {
        ClientError::Failing { status, .. } => *status >= 500,
        ClientError::Unreachable { .. } | ClientError::Malformed { .. } => true,
        _ => false,
    }
}
