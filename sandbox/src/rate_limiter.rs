//! The three pools of the rate limit and the daily quota.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::api_response::ApiResponse;
use crate::clock::{DAY, HOUR, Millis};
use crate::options::RateLimits;
use crate::pool::{RateLimitKind, RateLimitPool};

/// Rolling windows are in the machine's time, the day in the portal's.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    limits: Option<RateLimits>,
    windows: [VecDeque<Instant>; 3],
    day: i64,
    daily_used: u64,
}

/// The account's time zone: US/Eastern in winter.
const UTC_OFFSET: Millis = -5 * HOUR;

impl RateLimiter {
    pub(crate) fn new(limits: Option<RateLimits>) -> Self {
        let daily_used = limits.as_ref().map_or(0, |limits| limits.daily_used);
        Self { limits, windows: Default::default(), day: i64::MIN, daily_used }
    }

    pub(crate) fn set(&mut self, limits: Option<RateLimits>) {
        *self = Self::new(limits);
    }

    fn window(pool: RateLimitPool) -> Duration {
        Duration::from_secs(if pool == RateLimitPool::Search { 1 } else { 10 })
    }

    /// Counts a request, or returns the limit that it exceeds.
    pub(crate) fn admit(&mut self, pool: RateLimitPool, now: Millis) -> Result<(), RateLimitKind> {
        if pool == RateLimitPool::None {
            return Ok(());
        }
        let day = (now + UTC_OFFSET).div_euclid(DAY);
        if self.day != i64::MIN && day > self.day {
            self.daily_used = 0;
        }
        self.day = day;
        let Some(limits) = &self.limits else {
            self.daily_used += 1;
            return Ok(());
        };
        if self.daily_used >= limits.daily {
            return Err(RateLimitKind::Daily);
        }
        let most = match pool {
            RateLimitPool::Search => limits.search_per_second,
            RateLimitPool::Associations => limits.associations_per_10s,
            _ => limits.general_per_10s,
        };
        let times = &mut self.windows[pool as usize];
        let at = Instant::now();
        while times.front().is_some_and(|first| at.duration_since(*first) >= Self::window(pool)) {
            times.pop_front();
        }
        if times.len() >= most as usize {
            return Err(RateLimitKind::of(pool));
        }
        times.push_back(at);
        self.daily_used += 1;
        Ok(())
    }

    pub(crate) fn daily_used(&self) -> u64 {
        self.daily_used
    }

    pub(crate) fn daily(&self) -> u64 {
        self.limits.as_ref().map_or(1_000_000, |limits| limits.daily)
    }

    pub(crate) fn sends_retry_after(&self) -> bool {
        self.limits.as_ref().is_some_and(|limits| limits.retry_after)
    }

    /// Seconds until a limit lets the next request through.
    pub(crate) fn retry_after(limit: RateLimitKind, now: Millis) -> i64 {
        match limit {
            RateLimitKind::Secondly => 1,
            RateLimitKind::TenSecondly => 10,
            RateLimitKind::Daily => (next_day(now) - now) / 1_000 + 1,
        }
    }

    /// Adds the rate-limit headers of a response. Search and association batches are exempt from the ten
    /// second limit, so theirs tell the day only.
    pub(crate) fn add_headers(&self, pool: RateLimitPool, response: &mut ApiResponse) {
        let Some(limits) = self.limits.as_ref().filter(|_| pool != RateLimitPool::None) else {
            return;
        };
        let mut add = |name: &str, value: u64| response.headers.push((name.to_owned(), value.to_string()));
        if !limits.oauth_style_headers {
            add("X-HubSpot-RateLimit-Daily", limits.daily);
            add("X-HubSpot-RateLimit-Daily-Remaining", limits.daily.saturating_sub(self.daily_used));
        }
        if pool == RateLimitPool::General {
            let used = self.windows[0].len() as u64;
            let most = u64::from(limits.general_per_10s);
            add("X-HubSpot-RateLimit-Interval-Milliseconds", 10_000);
            add("X-HubSpot-RateLimit-Max", most);
            add("X-HubSpot-RateLimit-Remaining", most.saturating_sub(used));
            add("X-HubSpot-RateLimit-Secondly", most / 10);
            add("X-HubSpot-RateLimit-Secondly-Remaining", most.saturating_sub(used) / 10);
        }
    }
}

/// The next midnight of the account.
pub(crate) fn next_day(now: Millis) -> Millis {
    ((now + UTC_OFFSET).div_euclid(DAY) + 1) * DAY - UTC_OFFSET
}
