//! Rate limits: requests are spread evenly, so that a 429 is the exception.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::answer::LimitHeaders;
use super::request::Pool;

/// The window of HubSpot's burst limit.
const WINDOW: Duration = Duration::from_secs(10);
/// What a private app of a free or Starter portal may send per window: the least there is, until headers say more.
/// <https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines>
const LEAST_GENERAL: u32 = 100;
/// The general limit from which on a portal is Professional or Enterprise.
const PROFESSIONAL_GENERAL: u32 = 190;
/// The greatest limit that HubSpot sells; who sets more talks to a sandbox.
const MAX_GENERAL: u32 = 250;
/// Association calls per window: Free and Starter, then Professional and Enterprise; told by no header.
/// <https://developers.hubspot.com/docs/api-reference/latest/crm/associations/associate-records/guide>
const LEAST_ASSOCIATIONS: u32 = 100;
const PROFESSIONAL_ASSOCIATIONS: u32 = 150;
/// Searches per window: five a second, for all apps of the account together.
/// <https://developers.hubspot.com/docs/api-reference/latest/crm/search-the-crm>
const SEARCHES: u32 = 50;
/// No more requests than this at once, however much room the share leaves.
const MAX_BURST: f64 = 10.0;
/// After a 429 the pool goes on at this part of its rate, since somebody else uses the limit too.
const SLOWDOWN: f64 = 0.8;
/// Requests that were under way together are refused together: the pool is slowed once for all within this time.
const SAME_REFUSAL: Duration = Duration::from_secs(1);
/// Without a 429 for this long the pool takes a step back to its rate.
const EASE_AFTER: Duration = Duration::from_secs(60);
/// However often it is refused, it keeps this part of its rate.
const MIN_RATE: f64 = 0.1;

/// The pools of one portal.
#[derive(Debug)]
pub(super) struct Budget {
    share: f64,
    /// The user's own limit, which headers do not change.
    fixed: bool,
    general: Mutex<Spread>,
    associations: Mutex<Spread>,
    search: Mutex<Spread>,
}

/// Evenly spread grants (the generic cell rate algorithm): a grant each `interval`, and at most `burst` of them early.
#[derive(Debug)]
struct Spread {
    limit: u32,
    interval: Duration,
    /// The interval at full rate.
    full: Duration,
    burst: Duration,
    /// When the next grant is due.
    due: Instant,
    /// When the interval was changed last.
    changed: Option<Instant>,
}

impl Budget {
    pub(super) fn new(requests_per_10s: Option<u32>, share: f64) -> Self {
        let general = requests_per_10s.unwrap_or(LEAST_GENERAL);
        // Who sets a rate above HubSpot's (against a sandbox) means it for everything.
        let unreal = requests_per_10s.filter(|limit| *limit > MAX_GENERAL);
        let associations = unreal.unwrap_or(LEAST_ASSOCIATIONS);
        let mut search = Spread::new(unreal.unwrap_or(SEARCHES), share);
        // The limit is one per second: ten seconds' spare room must not be used in one of them.
        search.burst = Duration::ZERO;
        Self {
            share,
            fixed: requests_per_10s.is_some(),
            general: Mutex::new(Spread::new(general, share)),
            associations: Mutex::new(Spread::new(associations, share)),
            search: Mutex::new(search),
        }
    }

    /// Waits until a request of the pool may be sent.
    pub(super) async fn acquire(&self, pool: Pool) {
        let granted = self.spread(pool).and_then(|mut spread| spread.grant(Instant::now()));
        if let Some(at) = granted {
            sleep_until(at).await;
        }
    }

    /// Keeps the whole pool from sending for a while, and slower afterwards.
    pub(super) fn pause(&self, pool: Pool, pause: Duration) {
        let Some(mut spread) = self.spread(pool) else { return };
        let now = Instant::now();
        if spread.changed.is_none_or(|changed| changed + SAME_REFUSAL <= now) {
            spread.interval = spread.interval.div_f64(SLOWDOWN).min(spread.full.div_f64(MIN_RATE));
            spread.changed = Some(now);
        }
        spread.due = spread.due.max(now + pause + spread.burst);
    }

    /// Takes over what the headers of an answer say of the limits.
    pub(super) fn learn(&self, pool: Pool, headers: &LimitHeaders) {
        let (Some(limit), Pool::General, false) = (headers.max_per_window, pool, self.fixed) else { return };
        let window = headers.window.unwrap_or(WINDOW);
        let per_10s = f64::from(limit) * WINDOW.as_secs_f64() / window.as_secs_f64().max(0.001);
        // Whole requests; a limit is far below 2^32.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by the clamp")]
        let limit = per_10s.clamp(1.0, 1e6) as u32;
        let associations = if limit >= PROFESSIONAL_GENERAL { PROFESSIONAL_ASSOCIATIONS } else { LEAST_ASSOCIATIONS };
        lock(&self.general).change(limit, self.share);
        lock(&self.associations).change(associations, self.share);
    }

    fn spread(&self, pool: Pool) -> Option<MutexGuard<'_, Spread>> {
        match pool {
            Pool::General => Some(lock(&self.general)),
            Pool::Associations => Some(lock(&self.associations)),
            Pool::Search => Some(lock(&self.search)),
            Pool::Unlimited => None,
        }
    }
}

impl Spread {
    fn new(limit: u32, share: f64) -> Self {
        let (burst, due) = (Duration::ZERO, Instant::now());
        let mut spread = Self { limit: 0, interval: WINDOW, full: WINDOW, burst, due, changed: None };
        spread.change(limit, share);
        spread
    }

    /// Takes the next grant; it is valid from the instant returned, or at once.
    fn grant(&mut self, now: Instant) -> Option<Instant> {
        if self.interval > self.full && self.changed.is_none_or(|changed| changed + EASE_AFTER <= now) {
            self.interval = self.interval.mul_f64(SLOWDOWN).max(self.full);
            self.changed = Some(now);
        }
        let at = self.due.checked_sub(self.burst).filter(|at| *at > now);
        self.due = self.due.max(now) + self.interval;
        at
    }

    /// Sets the limit, unless it is the one in force: a pool that was slowed down stays so.
    fn change(&mut self, limit: u32, share: f64) {
        if self.limit == limit {
            return;
        }
        self.limit = limit;
        self.full = WINDOW.div_f64(f64::from(limit) * share);
        self.interval = self.full;
        // What the share leaves free may be used at once without ever passing the limit in any window.
        let spare = (f64::from(limit) * (1.0 - share)).clamp(0.0, MAX_BURST).floor();
        self.burst = self.interval.mul_f64(spare);
    }
}

fn lock(spread: &Mutex<Spread>) -> MutexGuard<'_, Spread> {
    spread.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn granted_within(budget: &Budget, pool: Pool, window: Duration) -> usize {
        let start = Instant::now();
        let mut grants = 0;
        loop {
            budget.acquire(pool).await;
            if start.elapsed() >= window {
                return grants;
            }
            grants += 1;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_stay_within_the_share_and_the_burst() {
        let budget = Budget::new(Some(100), 0.9);
        let grants = granted_within(&budget, Pool::General, WINDOW).await;
        assert!((95..=101).contains(&grants), "{grants}");
        let grants = granted_within(&budget, Pool::General, WINDOW).await;
        assert!((89..=91).contains(&grants), "{grants}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_is_learned_from_headers() {
        let budget = Budget::new(None, 1.0);
        let headers = LimitHeaders { max_per_window: Some(190), window: Some(WINDOW), ..LimitHeaders::default() };
        budget.learn(Pool::General, &headers);
        let grants = granted_within(&budget, Pool::General, WINDOW).await;
        assert!((189..=191).contains(&grants), "{grants}");
        let grants = granted_within(&budget, Pool::Associations, WINDOW).await;
        assert!((149..=151).contains(&grants), "{grants}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_the_whole_pool_and_slows_it() {
        let budget = Budget::new(Some(100), 1.0);
        budget.acquire(Pool::General).await;
        budget.pause(Pool::General, Duration::from_secs(5));
        let start = Instant::now();
        budget.acquire(Pool::General).await;
        assert!(start.elapsed() >= Duration::from_secs(5));
        let grants = granted_within(&budget, Pool::General, WINDOW).await;
        assert!((78..=82).contains(&grants), "{grants}");
        let grants = granted_within(&budget, Pool::General, EASE_AFTER).await;
        assert!(grants > 480, "{grants}");
        let grants = granted_within(&budget, Pool::General, WINDOW).await;
        assert!((98..=102).contains(&grants), "back at its rate: {grants}");
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_are_refused_together_slow_the_pool_once_and_never_stop_it() {
        let budget = Budget::new(Some(100), 1.0);
        budget.acquire(Pool::General).await;
        for _ in 0..20 {
            budget.pause(Pool::General, Duration::ZERO);
        }
        let grants = granted_within(&budget, Pool::General, WINDOW).await;
        assert!((78..=82).contains(&grants), "{grants}");
        for _ in 0..50 {
            budget.pause(Pool::General, Duration::ZERO);
            tokio::time::sleep(SAME_REFUSAL).await;
        }
        let grants = granted_within(&budget, Pool::General, WINDOW).await;
        assert!((9..=11).contains(&grants), "{grants}");
    }
}
