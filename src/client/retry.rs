//! The decision whether a request is sent again.

use std::time::Duration;

use super::meaning::Meaning;

/// No wait between two tries is longer.
const MAX_DELAY: Duration = Duration::from_secs(30);
/// 423 on bulk work: HubSpot asks for at least two seconds.
/// <https://developers.hubspot.com/docs/api-reference/error-handling>
const LOCKED_DELAY: Duration = Duration::from_secs(2);
/// A migration (477) that ends within this is waited for; it can take a day.
const MAX_MIGRATION_WAIT: Duration = Duration::from_secs(60);
/// Pauses after consecutive 429s of the ten-second limit: its window rolls, so that some of it is free after a second.
const TEN_SECONDLY_PAUSES: [u64; 5] = [1, 2, 4, 8, 10];
/// A request that meets this many 429s in a row has no chance.
const MAX_RATE_LIMITED: u32 = 30;

/// How hard to try.
#[derive(Debug, Clone, Copy)]
pub(super) struct RetryPolicy {
    /// How often a request is sent again after transient failures; 429s have a count of their own.
    pub(super) attempts: u32,
    /// The wait before the first repeat, doubled for each further one.
    pub(super) delay: Duration,
}

/// Why a try failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestFailure {
    /// The request was not sent.
    NotSent,
    /// It may have been received.
    Interrupted,
    /// A success whose body is not what is documented.
    Malformed,
    /// An answer that is no success.
    Status { status: u16, meaning: Meaning, limit: Option<Limit>, retry_after: Option<Duration> },
}

/// The limit that a 429 names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    Secondly,
    TenSecondly,
    Daily,
}

/// The tries so far.
#[derive(Debug, Default)]
pub(super) struct RetryState {
    failed: u32,
    rate_limited: u32,
    renewed: u32,
    /// Refused with 401 or redirected, and sent once again.
    refused: bool,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RetryDecision {
    /// Send it again after a wait.
    Retry(Duration),
    /// Hold the whole pool, then send it again.
    PausePool(Duration),
    /// Get a new access token, then send it again.
    RenewToken,
    /// Return the error.
    GiveUp,
}

impl RetryState {
    /// How often the request was sent.
    pub(super) fn sent(&self) -> u32 {
        self.failed + self.rate_limited + self.renewed + 1
    }
}

impl RequestFailure {
    /// Whether HubSpot refuses the token.
    pub(super) fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Status { meaning: Meaning::Unauthorized, .. })
    }
}

impl RetryPolicy {
    /// Decides on a failure: requests that were not sent or not carried out are always sent again, others only if idempotent.
    pub(super) fn decide(
        &self,
        failure: &RequestFailure,
        state: &mut RetryState,
        idempotent: bool,
        can_renew: bool,
    ) -> RetryDecision {
        let (status, meaning, limit, retry_after) = match *failure {
            RequestFailure::NotSent => return self.retry(state, Duration::ZERO),
            RequestFailure::Interrupted | RequestFailure::Malformed if idempotent => {
                return self.retry(state, Duration::ZERO);
            }
            RequestFailure::Interrupted | RequestFailure::Malformed => return RetryDecision::GiveUp,
            RequestFailure::Status { status, meaning, limit, retry_after } => (status, meaning, limit, retry_after),
        };
        let wait = retry_after.unwrap_or_default();
        match meaning {
            Meaning::Limited => Self::rate_limited(limit, retry_after, state),
            Meaning::Unauthorized if can_renew && state.renewed == 0 => {
                state.renewed += 1;
                RetryDecision::RenewToken
            }
            Meaning::Unauthorized if !can_renew => self.retry_once(state),
            Meaning::Redirect if idempotent => self.retry_once(state),
            Meaning::Migrating if wait <= MAX_MIGRATION_WAIT => self.retry(state, wait),
            Meaning::OtherDataCentre => self.retry(state, wait.min(MAX_DELAY)),
            Meaning::Transient if status == 423 => self.retry(state, wait.max(LOCKED_DELAY)),
            Meaning::Transient if idempotent => self.retry(state, wait.min(MAX_DELAY)),
            _ => RetryDecision::GiveUp,
        }
    }

    /// Sends a request once more: a second try may succeed, further ones would not.
    fn retry_once(&self, state: &mut RetryState) -> RetryDecision {
        match std::mem::replace(&mut state.refused, true) {
            true => RetryDecision::GiveUp,
            false => self.retry(state, Duration::ZERO),
        }
    }

    fn rate_limited(limit: Option<Limit>, retry_after: Option<Duration>, state: &mut RetryState) -> RetryDecision {
        let nth = state.rate_limited;
        state.rate_limited += 1;
        if limit == Some(Limit::Daily) || state.rate_limited > MAX_RATE_LIMITED {
            return RetryDecision::GiveUp;
        }
        // Retry-After is undocumented on 429 and mostly absent.
        let pause = retry_after.filter(|wait| *wait <= MAX_MIGRATION_WAIT).unwrap_or_else(|| match limit {
            Some(Limit::TenSecondly) => {
                let nth = usize::try_from(nth).unwrap_or(usize::MAX).min(TEN_SECONDLY_PAUSES.len() - 1);
                Duration::from_secs(TEN_SECONDLY_PAUSES[nth])
            }
            _ => Duration::from_secs(u64::from(nth + 1).min(10)),
        });
        RetryDecision::PausePool(pause)
    }

    fn retry(&self, state: &mut RetryState, at_least: Duration) -> RetryDecision {
        if state.failed >= self.attempts {
            return RetryDecision::GiveUp;
        }
        let doubled = self.delay.saturating_mul(1 << state.failed.min(16)).min(MAX_DELAY);
        state.failed += 1;
        // Up to a quarter more, so that workers which failed together do not come back together.
        RetryDecision::Retry(doubled.mul_f64(1.0 + fastrand::f64() / 4.0).max(at_least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::meaning::meaning;
    use crate::client::request::Endpoint;

    const POLICY: RetryPolicy = RetryPolicy { attempts: 3, delay: Duration::from_secs(1) };

    fn answered(status: u16, is_json: bool, retry_after: Option<u64>) -> RequestFailure {
        let meaning = meaning(Endpoint::List, status, is_json);
        RequestFailure::Status { status, meaning, limit: None, retry_after: retry_after.map(Duration::from_secs) }
    }

    fn status(status: u16) -> RequestFailure {
        answered(status, true, None)
    }

    fn html(status: u16) -> RequestFailure {
        answered(status, false, None)
    }

    fn limited(limit: Limit) -> RequestFailure {
        RequestFailure::Status { status: 429, meaning: Meaning::Limited, limit: Some(limit), retry_after: None }
    }

    /// What is decided on the first and on the second failure of the kind.
    fn decisions(failure: RequestFailure, idempotent: bool, can_renew: bool) -> [&'static str; 2] {
        let mut state = RetryState::default();
        [(); 2].map(|()| match POLICY.decide(&failure, &mut state, idempotent, can_renew) {
            RetryDecision::Retry(_) => "again",
            RetryDecision::PausePool(_) => "pause",
            RetryDecision::RenewToken => "renew",
            RetryDecision::GiveUp => "give up",
        })
    }

    #[test]
    fn the_truth_table_of_retry() {
        let (again, once, never) = (["again", "again"], ["again", "give up"], ["give up", "give up"]);
        let (pause, renew) = (["pause", "pause"], ["renew", "give up"]);
        for (failure, idempotent, can_renew, expected) in [
            (RequestFailure::NotSent, true, false, again),
            (RequestFailure::NotSent, false, false, again),
            (RequestFailure::Interrupted, true, false, again),
            (RequestFailure::Interrupted, false, false, never),
            (RequestFailure::Malformed, true, false, again),
            (RequestFailure::Malformed, false, false, never),
            (status(307), true, true, once),
            (status(307), false, true, never),
            (status(400), true, true, never),
            (html(400), true, true, again),
            (html(400), false, true, never),
            (status(401), true, true, renew),
            (status(401), true, false, once),
            (status(401), false, false, once),
            (status(403), true, true, never),
            (html(403), true, true, again),
            (status(404), true, true, never),
            (html(404), true, true, again),
            (status(408), true, false, again),
            (status(409), true, false, never),
            (status(413), true, false, never),
            (status(414), true, false, never),
            (html(414), true, false, never),
            (status(423), false, false, again),
            (status(425), true, false, again),
            (status(431), true, false, never),
            (limited(Limit::Secondly), false, false, pause),
            (limited(Limit::TenSecondly), true, false, pause),
            (limited(Limit::Daily), true, false, never),
            (answered(477, true, Some(5)), true, false, again),
            (status(477), true, false, again),
            (answered(477, true, Some(7200)), true, false, never),
            (status(488), true, false, again),
            (status(488), false, false, again),
            (status(500), true, false, again),
            (status(500), false, false, never),
            (status(502), true, false, again),
            (status(503), true, false, again),
            (status(504), true, false, again),
            (html(520), true, false, again),
            (html(521), true, false, again),
            (html(522), true, false, again),
            (html(524), true, false, again),
            (html(525), true, false, again),
            (html(526), true, false, again),
            (html(530), true, true, again),
        ] {
            let decided = decisions(failure, idempotent, can_renew);
            assert_eq!(decided, expected, "{failure:?} {idempotent} {can_renew}");
        }
    }

    #[test]
    fn tries_end() {
        for failure in [status(500), html(522), html(526), status(488), status(477)] {
            let mut state = RetryState::default();
            let mut waits = Vec::new();
            while let RetryDecision::Retry(wait) = POLICY.decide(&failure, &mut state, true, false) {
                waits.push(wait);
            }
            assert_eq!((state.sent(), waits.len()), (4, 3), "{failure:?}");
            for (wait, least) in waits.iter().zip([1, 2, 4]) {
                assert!((least..=least + 1).contains(&wait.as_secs()), "{waits:?}");
            }
        }
    }

    #[test]
    fn nothing_is_sent_again_where_the_settings_say_so() {
        let policy = RetryPolicy { attempts: 0, ..POLICY };
        for failure in [status(401), status(307), status(500), html(403), status(488)] {
            assert_eq!(
                policy.decide(&failure, &mut RetryState::default(), true, false),
                RetryDecision::GiveUp,
                "{failure:?}"
            );
        }
    }

    #[test]
    fn retry_after_is_honoured() {
        assert_eq!(
            POLICY.decide(&answered(503, true, Some(7)), &mut RetryState::default(), true, false),
            RetryDecision::Retry(Duration::from_secs(7))
        );
    }
}
