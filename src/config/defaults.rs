//! What settings are when nobody sets them.

/// HubSpot's public API.
const DEFAULT_API_BASE_URL: &str = "https://api.hubapi.com";
/// The oldest date version still supported in 2027; v3 and v4 are not.
const DEFAULT_API_VERSION: &str = "2026-03";

pub(super) fn yes() -> bool {
    true
}

pub(super) fn api_base_url() -> String {
    DEFAULT_API_BASE_URL.to_owned()
}

pub(super) fn api_version() -> String {
    DEFAULT_API_VERSION.to_owned()
}

pub(super) fn request_timeout_secs() -> f64 {
    30.0
}

pub(super) fn rate_limit_share() -> f64 {
    0.9
}

pub(super) fn daily_reserve() -> f64 {
    0.05
}

pub(super) fn retry_attempts() -> u32 {
    5
}

pub(super) fn retry_delay_secs() -> f64 {
    1.0
}

pub(super) fn page_size() -> u32 {
    100
}

pub(super) fn checkpoint_every_pages() -> u32 {
    10
}

pub(super) fn lookback_minutes() -> u32 {
    60
}

pub(super) fn sweep_minutes() -> f64 {
    30.0
}

pub(super) fn user_agent() -> String {
    concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")).to_owned()
}
