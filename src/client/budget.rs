//! Rate limits: requests are spread evenly, so that a 429 is the exception.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::request::Pool;
use super::response::LimitHeaders;

/// The window of HubSpot's burst limit.
const WINDOW: Duration = Duration::from_secs(10);
/// What a private app of a free or Starter portal may send per window: the least there is, until headers say more.
/// <https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines>
const MIN_GENERAL: u32 = 100;
/// The general limit from which on a portal is Professional or Enterprise.
const PROFESSIONAL_GENERAL: u32 = 190;
/// The greatest limit that HubSpot sells; a greater setting is for a sandbox.
const MAX_GENERAL: u32 = 250;
/// Association calls per window: Free and Starter, then Professional and Enterprise; reported by no header.
/// <https://developers.hubspot.com/docs/api-reference/latest/crm/associations/associate-records/guide>
const MIN_ASSOCIATIONS: u32 = 100;
const PROFESSIONAL_ASSOCIATIONS: u32 = 150;
/// Searches per window: five a second, for all apps of the account together.
/// <https://developers.hubspot.com/docs/api-reference/latest/crm/search-the-crm>
const SEARCHES: u32 = 50;
/// Requests for tokens per window: far more than a run sends, so that a 429 alone slows them down.
const TOKENS: u32 = 100;
/// At most this many requests at once, however much room the share leaves.
const MAX_BURST: f64 = 10.0;
/// After a 429 the pool continues at this part of its rate, since other apps use the limit too.
const SLOWDOWN: f64 = 0.8;
/// The rate never falls below one part in this many of the full rate.
const MAX_SLOWDOWN: u32 = 10;
/// After a slowdown the interval shrinks by this factor each second, down to its minimum: what other apps leave free
/// changes all the time.
const SPEEDUP: f64 = 0.98;

/// The pools of one portal.
#[derive(Debug)]
pub(super) struct Budget {
    share: f64,
    /// The user's own limit, which headers do not change.
    fixed: bool,
    general: Mutex<Limiter>,
    associations: Mutex<Limiter>,
    search: Mutex<Limiter>,
    tokens: Mutex<Limiter>,
}

/// Evenly spread grants (the generic cell rate algorithm): a grant each `interval`, and at most `burst` of them early.
#[derive(Debug)]
struct Limiter {
    limit: u32,
    /// Between two grants at the full rate.
    min_interval: Duration,
    interval: Duration,
    /// When the interval was changed last.
    last_adjusted: Instant,
    /// Until when nothing is sent.
    paused: Instant,
    burst: Duration,
    /// When the next grant is due.
    due: Instant,
    /// How long a grant was due while no request was waiting for it.
    idle_time: Duration,
}

impl Budget {
    pub(super) fn new(requests_per_10s: Option<u32>, share: f64) -> Self {
        let general = requests_per_10s.unwrap_or(MIN_GENERAL);
        // A setting above HubSpot's limits (for a sandbox) holds for every pool.
        let unreal = requests_per_10s.filter(|limit| *limit > MAX_GENERAL);
        let associations = unreal.unwrap_or(MIN_ASSOCIATIONS);
        let mut search = Limiter::new(unreal.unwrap_or(SEARCHES), share);
        // The limit is one per second: ten seconds' spare room must not be used in one of them.
        search.burst = Duration::ZERO;
        Self {
            share,
            fixed: requests_per_10s.is_some(),
            general: Mutex::new(Limiter::new(general, share)),
            associations: Mutex::new(Limiter::new(associations, share)),
            search: Mutex::new(search),
            tokens: Mutex::new(Limiter::new(unreal.unwrap_or(TOKENS), share)),
        }
    }

    /// Requests per ten seconds of the general, the search and the associations pool.
    pub(super) fn limits(&self) -> [f64; 3] {
        [&self.general, &self.search, &self.associations].map(|pool| f64::from(lock(pool).limit))
    }

    /// The share of each limit that is used.
    pub(super) fn share(&self) -> f64 {
        self.share
    }

    /// Waits until a request of the pool may be sent.
    pub(super) async fn acquire(&self, pool: Pool) {
        loop {
            let granted = lock(self.limiter(pool)).grant(Instant::now());
            let Some(at) = granted else { return };
            sleep_until(at).await;
            // A pause that began meanwhile voids the grant.
            if lock(self.limiter(pool)).paused <= Instant::now() {
                return;
            }
        }
    }

    /// How long the general pool had room for a request while none was waiting.
    pub(super) fn idle_time(&self) -> Duration {
        lock(&self.general).idle_time
    }

    /// Keeps the whole pool from sending for a while, and slower afterwards.
    pub(super) fn pause(&self, pool: Pool, pause: Duration) {
        let mut limiter = lock(self.limiter(pool));
        let until = Instant::now() + pause;
        // Requests that were in flight together are refused together: that is one slowdown, not several.
        if Instant::now() >= limiter.paused {
            limiter.interval = limiter.interval.div_f64(SLOWDOWN).min(limiter.min_interval * MAX_SLOWDOWN);
            limiter.last_adjusted = until;
        }
        limiter.paused = limiter.paused.max(until);
        limiter.due = limiter.due.max(until + limiter.burst);
    }

    /// Takes over what the headers of an answer say of the limits.
    pub(super) fn learn(&self, pool: Pool, headers: &LimitHeaders) {
        let (Some(limit), Pool::General, false) = (headers.max_per_window, pool, self.fixed) else { return };
        let window = headers.window.unwrap_or(WINDOW);
        let per_10s = f64::from(limit) * WINDOW.as_secs_f64() / window.as_secs_f64().max(0.001);
        // Whole requests; a limit is far below 2^32.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by the clamp")]
        let limit = per_10s.clamp(1.0, 1e6) as u32;
        let associations = if limit >= PROFESSIONAL_GENERAL { PROFESSIONAL_ASSOCIATIONS } else { MIN_ASSOCIATIONS };
        lock(&self.general).change(limit, self.share);
        lock(&self.associations).change(associations, self.share);
    }

    fn limiter(&self, pool: Pool) -> &Mutex<Limiter> {
        match pool {
            Pool::General => &self.general,
            Pool::Associations => &self.associations,
            Pool::Search => &self.search,
            Pool::Token => &self.tokens,
        }
    }
}

impl Limiter {
    fn new(limit: u32, share: f64) -> Self {
        let now = Instant::now();
        let mut limiter = Self {
            limit: 0,
            min_interval: WINDOW,
            interval: WINDOW,
            last_adjusted: now,
            paused: now,
            burst: Duration::ZERO,
            due: now,
            idle_time: Duration::ZERO,
        };
        limiter.change(limit, share);
        limiter
    }

    /// Takes the next grant; it is valid from the instant returned, or at once.
    fn grant(&mut self, now: Instant) -> Option<Instant> {
        let at = self.due.checked_sub(self.burst).filter(|at| *at > now);
        self.idle_time += now.saturating_duration_since(self.due);
        self.due = self.due.max(now) + self.interval;
        if self.interval > self.min_interval && now >= self.last_adjusted + Duration::from_secs(1) {
            self.last_adjusted = now;
            self.interval = self.interval.mul_f64(SPEEDUP).max(self.min_interval);
        }
        at
    }

    /// Sets the limit, unless it is the one in force: a pool that was slowed down stays so.
    fn change(&mut self, limit: u32, share: f64) {
        if self.limit == limit {
            return;
        }
        self.limit = limit;
        self.min_interval = WINDOW.div_f64(f64::from(limit) * share);
        self.interval = self.min_interval;
        // What the share leaves free may be used at once without ever passing the limit in any window.
        let spare = (f64::from(limit) * (1.0 - share)).clamp(0.0, MAX_BURST).floor();
        self.burst = self.interval.mul_f64(spare);
    }
}

fn lock(limiter: &Mutex<Limiter>) -> MutexGuard<'_, Limiter> {
    limiter.lock().unwrap_or_else(PoisonError::into_inner)
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
    async fn a_pause_holds_the_token_endpoint_as_well() {
        let budget = Budget::new(None, 0.9);
        budget.acquire(Pool::Token).await;
        budget.pause(Pool::Token, Duration::from_secs(5));
        let start = Instant::now();
        budget.acquire(Pool::Token).await;
        assert!(start.elapsed() >= Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_the_whole_pool_and_slows_it() {
        let budget = Budget::new(Some(100), 1.0);
        budget.acquire(Pool::General).await;
        budget.pause(Pool::General, Duration::from_secs(5));
        let start = Instant::now();
        budget.acquire(Pool::General).await;
        assert!(start.elapsed() >= Duration::from_secs(5));
        // Less than four fifths at first, and more each second.
        let grants = granted_within(&budget, Pool::General, WINDOW).await;
        assert!((80..=90).contains(&grants), "{grants}");
        granted_within(&budget, Pool::General, WINDOW).await;
        let grants = granted_within(&budget, Pool::General, WINDOW).await;
        assert!((99..=101).contains(&grants), "{grants}");
    }
}
