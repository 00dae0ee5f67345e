//! Counts of calls, and how many are left today.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::request::{ENDPOINTS, Endpoint};
use super::response::LimitHeaders;

/// Counts of one client's calls; cheap to update from many workers.
#[derive(Debug)]
pub struct CallStats {
    calls: [AtomicU64; ENDPOINTS],
    retries: AtomicU64,
    rate_limited: AtomicU64,
    /// -1: no header has reported it.
    daily_remaining: AtomicI64,
    /// -1: no header has reported it.
    daily_limit: AtomicI64,
}

/// The counts at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallStatsSnapshot {
    /// Requests sent, by endpoint, repeats included.
    pub calls: Vec<(Endpoint, u64)>,
    /// Requests sent in all.
    pub total: u64,
    /// Repeats after transient failures.
    pub retries: u64,
    /// Answers with status 429.
    pub rate_limited: u64,
    /// Calls left today, where HubSpot reports them (not to OAuth apps).
    pub daily_remaining: Option<u64>,
}

const ALL: [Endpoint; ENDPOINTS] = [
    Endpoint::Account,
    Endpoint::Associations,
    Endpoint::AssociationTypes,
    Endpoint::BatchCreate,
    Endpoint::BatchRead,
    Endpoint::BatchUpdate,
    Endpoint::BatchUpsert,
    Endpoint::CreateAssociations,
    Endpoint::CreateProperty,
    Endpoint::DailyUsage,
    Endpoint::Get,
    Endpoint::List,
    Endpoint::Owners,
    Endpoint::Pipelines,
    Endpoint::Properties,
    Endpoint::PropertyValidations,
    Endpoint::Schemas,
    Endpoint::Search,
    Endpoint::Token,
];

impl Default for CallStats {
    fn default() -> Self {
        Self {
            calls: Default::default(),
            retries: AtomicU64::new(0),
            rate_limited: AtomicU64::new(0),
            daily_remaining: AtomicI64::new(-1),
            daily_limit: AtomicI64::new(-1),
        }
    }
}

impl CallStats {
    /// The counts now.
    pub fn snapshot(&self) -> CallStatsSnapshot {
        let calls: Vec<(Endpoint, u64)> = ALL
            .into_iter()
            .zip(&self.calls)
            .map(|(endpoint, count)| (endpoint, count.load(Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
            .collect();
        CallStatsSnapshot {
            total: calls.iter().map(|(_, count)| count).sum(),
            calls,
            retries: self.retries.load(Ordering::Relaxed),
            rate_limited: self.rate_limited.load(Ordering::Relaxed),
            daily_remaining: u64::try_from(self.daily_remaining.load(Ordering::Relaxed)).ok(),
        }
    }

    pub(super) fn count(&self, endpoint: Endpoint) {
        self.calls[endpoint as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_rate_limited(&self) {
        self.rate_limited.fetch_add(1, Ordering::Relaxed);
    }

    /// Calls left today, and calls a day; none where HubSpot does not report both.
    pub(super) fn daily(&self) -> Option<(u64, u64)> {
        let number = |of: &AtomicI64| u64::try_from(of.load(Ordering::Relaxed)).ok();
        Some((number(&self.daily_remaining)?, number(&self.daily_limit)?))
    }

    pub(super) fn learn(&self, limits: &LimitHeaders) {
        if let Some(remaining) = limits.daily_remaining {
            self.daily_remaining.store(i64::try_from(remaining).unwrap_or(i64::MAX), Ordering::Relaxed);
        }
        if let Some(limit) = limits.daily_limit {
            self.daily_limit.store(i64::try_from(limit).unwrap_or(i64::MAX), Ordering::Relaxed);
        }
    }
}
