//! How to reach a portal.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::Credentials;

/// How to reach a portal, and how hard to try.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Scheme and host, `https://api.hubapi.com`.
    pub base_url: String,
    /// `YYYY-MM`, or `v3`.
    pub api_version: String,
    /// The token or OAuth grant.
    pub credentials: Credentials,
    /// Where OAuth tokens are kept across runs.
    pub token_cache: Option<PathBuf>,
    /// The User-Agent header.
    pub user_agent: String,
    /// A request without a complete response has failed after this long.
    pub request_timeout: Duration,
    /// Requests per ten seconds of the general pool; none: learned from the headers.
    pub requests_per_10s: Option<u32>,
    /// Share of each limit that may be used, above 0 and at most 1.
    pub rate_limit_share: f64,
    /// Share of the daily quota that is not used; 0: none.
    pub daily_reserve: f64,
    /// How often a request is sent again.
    pub retry_attempts: u32,
    /// The wait before the first repeat.
    pub retry_delay: Duration,
}
