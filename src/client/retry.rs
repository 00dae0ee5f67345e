//! The one decision whether a request is sent again.

use std::time::Duration;

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
/// 522, 525 and 526 mean a broken edge; HubSpot says to contact support.
const EDGE_ATTEMPTS: u32 = 2;

/// How hard to try.
#[derive(Debug, Clone, Copy)]
pub(super) struct RetryPolicy {
    /// How often a request is sent again for passing failures; 429s have a count of their own.
    pub(super) attempts: u32,
    /// The wait before the first repeat, doubled for each further one.
    pub(super) delay: Duration,
}

/// Why a try brought no good answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The request never left.
    NotSent,
    /// It may have arrived.
    Broken,
    /// A success whose body is not what is documented.
    Malformed,
    /// An answer that is no success.
    Status { status: u16, limit: Option<Limit>, retry_after: Option<Duration> },
}

/// The limit that a 429 names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    Secondly,
    TenSecondly,
    Daily,
}

/// What was tried so far.
#[derive(Debug, Default)]
pub(super) struct Tries {
    failed: u32,
    rate_limited: u32,
    renewed: u32,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Send it again after a wait.
    Again(Duration),
    /// Hold the whole pool, then send it again.
    PausePool(Duration),
    /// Get a new access token, then send it again.
    RenewToken,
    /// The failure stands.
    GiveUp,
}

impl Tries {
    /// How often the request was sent.
    pub(super) fn sent(&self) -> u32 {
        self.failed + self.rate_limited + self.renewed + 1
    }
}

impl Failure {
    pub(super) fn limit(&self) -> Option<Limit> {
        match self {
            Self::Status { limit, .. } => *limit,
            _ => None,
        }
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether HubSpot refuses the token.
    pub(super) fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Status { status: 401, .. })
    }

    /// Whether the same request can succeed later.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::NotSent | Self::Broken | Self::Malformed => true,
            Self::Status { status, .. } => matches!(status, 408 | 423 | 425 | 429 | 500..=529),
        }
    }
}

impl RetryPolicy {
    /// Decides on a failure: requests that were not sent are always sent again, others only if idempotent.
    pub(super) fn decide(&self, failure: &Failure, tries: &mut Tries, idempotent: bool, can_renew: bool) -> Decision {
        match *failure {
            Failure::Status { status: 401, .. } if can_renew && tries.renewed == 0 => {
                tries.renewed += 1;
                Decision::RenewToken
            }
            Failure::Status { status: 429, limit, retry_after } => Self::rate_limited(limit, retry_after, tries),
            Failure::Status { status: 477, retry_after: Some(wait), .. } if wait <= MAX_MIGRATION_WAIT => {
                self.again(tries, self.attempts, wait)
            }
            Failure::Status { status: 423, retry_after, .. } => {
                self.again(tries, self.attempts, retry_after.unwrap_or_default().max(LOCKED_DELAY))
            }
            Failure::Status { status: 522 | 525 | 526, .. } => {
                self.again(tries, self.attempts.min(EDGE_ATTEMPTS), Duration::ZERO)
            }
            Failure::NotSent => self.again(tries, self.attempts, Duration::ZERO),
            _ if failure.is_passing() && idempotent => {
                self.again(tries, self.attempts, failure.retry_after().unwrap_or_default().min(MAX_DELAY))
            }
            _ => Decision::GiveUp,
        }
    }

    fn rate_limited(limit: Option<Limit>, retry_after: Option<Duration>, tries: &mut Tries) -> Decision {
        let nth = tries.rate_limited;
        tries.rate_limited += 1;
        if limit == Some(Limit::Daily) || tries.rate_limited > MAX_RATE_LIMITED {
            return Decision::GiveUp;
        }
        // Retry-After is undocumented on 429 and mostly absent.
        let pause = retry_after.filter(|wait| *wait <= MAX_MIGRATION_WAIT).unwrap_or_else(|| match limit {
            Some(Limit::TenSecondly) => {
                let nth = usize::try_from(nth).unwrap_or(usize::MAX).min(TEN_SECONDLY_PAUSES.len() - 1);
                Duration::from_secs(TEN_SECONDLY_PAUSES[nth])
            }
            _ => Duration::from_secs(u64::from(nth + 1).min(10)),
        });
        Decision::PausePool(pause)
    }

    fn again(&self, tries: &mut Tries, attempts: u32, at_least: Duration) -> Decision {
        if tries.failed >= attempts {
            return Decision::GiveUp;
        }
        let doubled = self.delay.saturating_mul(1 << tries.failed.min(16)).min(MAX_DELAY);
        tries.failed += 1;
        // Up to a quarter more, so that workers which failed together do not come back together.
        Decision::Again(doubled.mul_f64(1.0 + fastrand::f64() / 4.0).max(at_least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy { attempts: 3, delay: Duration::from_secs(1) };

    fn status(status: u16) -> Failure {
        Failure::Status { status, limit: None, retry_after: None }
    }

    fn limited(limit: Limit) -> Failure {
        Failure::Status { status: 429, limit: Some(limit), retry_after: None }
    }

    fn first(failure: Failure, idempotent: bool, can_renew: bool) -> &'static str {
        match POLICY.decide(&failure, &mut Tries::default(), idempotent, can_renew) {
            Decision::Again(_) => "again",
            Decision::PausePool(_) => "pause",
            Decision::RenewToken => "renew",
            Decision::GiveUp => "give up",
        }
    }

    #[test]
    fn the_truth_table_of_retry() {
        let long = Failure::Status { status: 477, limit: None, retry_after: Some(Duration::from_secs(7200)) };
        let short = Failure::Status { status: 477, limit: None, retry_after: Some(Duration::from_secs(5)) };
        for (failure, idempotent, can_renew, expected) in [
            (Failure::NotSent, true, false, "again"),
            (Failure::NotSent, false, false, "again"),
            (Failure::Broken, true, false, "again"),
            (Failure::Broken, false, false, "give up"),
            (Failure::Malformed, true, false, "again"),
            (status(400), true, true, "give up"),
            (status(401), true, true, "renew"),
            (status(401), true, false, "give up"),
            (status(403), true, true, "give up"),
            (status(404), true, true, "give up"),
            (status(408), true, false, "again"),
            (status(409), true, false, "give up"),
            (status(414), true, false, "give up"),
            (status(423), false, false, "again"),
            (limited(Limit::Secondly), false, false, "pause"),
            (limited(Limit::TenSecondly), true, false, "pause"),
            (limited(Limit::Daily), true, false, "give up"),
            (short, true, false, "again"),
            (long, true, false, "give up"),
            (status(500), true, false, "again"),
            (status(500), false, false, "give up"),
            (status(502), true, false, "again"),
            (status(503), true, false, "again"),
            (status(504), true, false, "again"),
            (status(521), true, false, "again"),
            (status(522), true, false, "again"),
            (status(524), true, false, "again"),
            (status(530), true, true, "give up"),
        ] {
            assert_eq!(first(failure, idempotent, can_renew), expected, "{failure:?} {idempotent} {can_renew}");
        }
    }

    #[test]
    fn tries_end() {
        let mut tries = Tries::default();
        let mut waits = Vec::new();
        while let Decision::Again(wait) = POLICY.decide(&status(500), &mut tries, true, false) {
            waits.push(wait);
        }
        assert_eq!(tries.sent(), 4);
        for (wait, least) in waits.iter().zip([1, 2, 4]) {
            assert!((least..=least + 1).contains(&wait.as_secs()), "{waits:?}");
        }
        let mut tries = Tries::default();
        let renewals = (0..3).filter(|_| POLICY.decide(&status(401), &mut tries, true, true) == Decision::RenewToken);
        assert_eq!(renewals.count(), 1);
    }

    #[test]
    fn retry_after_is_honoured() {
        let failure = Failure::Status { status: 503, limit: None, retry_after: Some(Duration::from_secs(7)) };
        assert_eq!(
            POLICY.decide(&failure, &mut Tries::default(), true, false),
            Decision::Again(Duration::from_secs(7))
        );
    }
}
