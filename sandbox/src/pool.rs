//! The pools that HubSpot limits separately, and the limits that a 429 names.

use serde::Deserialize;

/// Which pool a request counts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RateLimitPool {
    General,
    Search,
    Associations,
    /// Token requests and the control API count nowhere.
    None,
}

impl RateLimitPool {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::General => "general",
            Self::Search => "search",
            Self::Associations => "associations",
            Self::None => "none",
        }
    }
}

/// Which limit a 429 names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateLimitKind {
    /// Requests a day.
    Daily,
    /// Requests in ten seconds.
    TenSecondly,
    /// Searches in a second.
    Secondly,
}

impl RateLimitKind {
    pub(crate) fn of(pool: RateLimitPool) -> Self {
        if pool == RateLimitPool::Search { Self::Secondly } else { Self::TenSecondly }
    }
}
