//! The options of a sandbox.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;

/// How the list endpoint's `paging.next.after` looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CursorStyle {
    /// The last id plus one; any number is accepted as an inclusive lower bound.
    NextId,
    /// A token that means nothing to the caller; anything else is refused with 400.
    Opaque,
    /// The last id plus one; a cursor that no page returned is handled as given.
    GivenOnly(UnknownCursor),
}

/// The response to a cursor that no page returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownCursor {
    /// Status 400.
    Refused,
    /// The first page of the list.
    FirstPage,
    /// A page without records.
    EmptyPage,
    /// A page that skips some records.
    LatePage,
}

/// The portal's rate limits, as the usage guidelines tell them for a Professional account.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct RateLimits {
    /// Requests of the general pool in any ten seconds.
    pub general_per_10s: u32,
    /// Searches in any second.
    pub search_per_second: u32,
    /// Association batch and label requests in any ten seconds.
    pub associations_per_10s: u32,
    /// Requests a day, all pools together.
    pub daily: u64,
    /// Requests of the day already used by others.
    pub daily_used: u64,
    /// Leaves the daily headers out, as for OAuth apps.
    pub oauth_style_headers: bool,
    /// Sends `Retry-After` with a 429, which HubSpot usually does not.
    pub retry_after: bool,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            general_per_10s: 190,
            search_per_second: 5,
            associations_per_10s: 150,
            daily: 625_000,
            daily_used: 0,
            oauth_style_headers: false,
            retry_after: false,
        }
    }
}

/// The OAuth app that may refresh tokens.
#[derive(Clone, Debug)]
pub struct OAuthApp {
    /// Client id of the app.
    pub client_id: String,
    /// Client secret of the app.
    pub client_secret: String,
    /// The refresh token that is valid at the start.
    pub refresh_token: String,
    /// How long an access token lives, in the sandbox's clock.
    pub token_lifetime: Duration,
    /// Whether each refresh voids the refresh token used and hands out another.
    pub rotate_refresh_tokens: bool,
}

impl Default for OAuthApp {
    fn default() -> Self {
        Self {
            client_id: "sandbox-client".to_owned(),
            client_secret: "sandbox-secret".to_owned(),
            refresh_token: "sandbox-refresh".to_owned(),
            token_lifetime: Duration::from_secs(1_800),
            rotate_refresh_tokens: false,
        }
    }
}

/// An access token besides the main one.
#[derive(Clone, Debug)]
pub struct ExtraToken {
    /// The token as sent after `Bearer`.
    pub token: String,
    /// Scopes it was granted.
    pub scopes: Vec<String>,
    /// Whether it expired before the sandbox started.
    pub expired: bool,
}

/// The options of a sandbox; the default is a realistic small portal without limits.
#[derive(Clone, Debug)]
pub struct Options {
    /// Everything random follows from it: equal seeds and sizes give equal portals.
    pub seed: u64,
    /// Hub ID.
    pub portal_id: u64,
    /// Tickets at the start, archived ones included.
    pub tickets: usize,
    /// Contacts at the start.
    pub contacts: usize,
    /// Companies at the start.
    pub companies: usize,
    /// Deals at the start.
    pub deals: usize,
    /// Records at the start of other types, such as `("notes", 100)` and `("cars", 10)`; five of six belong to a ticket.
    pub objects: Vec<(String, usize)>,
    /// Owners, of whom every fifth is deactivated.
    pub owners: usize,
    /// Share of records that are archived.
    pub archived_share: f64,
    /// Pairs of tickets that were merged.
    pub merged: usize,
    /// Custom ticket properties; the first twelve cover every type.
    pub custom_properties: usize,
    /// Whether the seven properties of each ticket stage exist.
    pub stage_properties: bool,
    /// Adds property names and values at the edge of what is legal.
    pub hostile: bool,
    /// Makes tickets when they are read instead of holding them: memory stays flat for millions.
    /// Associations are then seen from the ticket's side only, apart from changed ones.
    pub virtual_tickets: bool,
    /// The list endpoint's cursor.
    pub cursor: CursorStyle,
    /// `None`: no limits and no rate-limit headers.
    pub limits: Option<RateLimits>,
    /// Added to every response.
    pub latency: Duration,
    /// How far the search index is behind, in the sandbox's clock.
    pub search_lag: Duration,
    /// Whether search sorts dates wrongly, by seconds up to an hour.
    pub search_disorder: bool,
    /// Inputs that one association batch read takes; more are a 400.
    pub association_batch_max: usize,
    /// Associated ids per record before `paging.next.after`.
    pub association_page_size: usize,
    /// The main token.
    pub access_token: String,
    /// Scopes of the main token and of refreshed ones.
    pub scopes: Vec<String>,
    /// Other tokens.
    pub extra_tokens: Vec<ExtraToken>,
    /// The OAuth app.
    pub oauth: OAuthApp,
    /// `None`: the machine's clock; `Some`: a clock frozen there, moved by control calls.
    pub start_time: Option<DateTime<Utc>>,
    /// Whether responses over 1 KiB are compressed for clients that accept it.
    pub gzip: bool,
    /// How many of the latest requests are remembered; counts always cover all.
    pub request_log: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 42,
            portal_id: 245_001_234,
            tickets: 1_000,
            contacts: 400,
            companies: 120,
            deals: 150,
            objects: Vec::new(),
            owners: 8,
            archived_share: 0.02,
            merged: 2,
            custom_properties: 12,
            stage_properties: true,
            hostile: false,
            virtual_tickets: false,
            cursor: CursorStyle::NextId,
            limits: None,
            latency: Duration::ZERO,
            search_lag: Duration::ZERO,
            search_disorder: false,
            association_batch_max: 1_000,
            association_page_size: 500,
            access_token: "pat-na1-sandbox-token".to_owned(),
            scopes: [read_scopes(), write_scopes()].concat(),
            extra_tokens: Vec::new(),
            oauth: OAuthApp::default(),
            start_time: None,
            gzip: true,
            request_log: 10_000,
        }
    }
}

impl Options {
    /// The default portal with this many tickets, and contacts, companies and deals in proportion.
    pub fn with_tickets(tickets: usize) -> Self {
        Self {
            tickets,
            contacts: tickets * 2 / 5,
            companies: tickets * 3 / 25,
            deals: tickets * 3 / 20,
            merged: if tickets >= 50 { 2 } else { 0 },
            ..Self::default()
        }
    }
}

/// Every scope that reading takes.
pub fn read_scopes() -> Vec<String> {
    [
        "oauth",
        "tickets",
        "tickets.sensitive.v2",
        "crm.objects.contacts.read",
        "crm.objects.companies.read",
        "crm.objects.deals.read",
        "crm.objects.owners.read",
        "crm.schemas.contacts.read",
        "crm.schemas.companies.read",
        "crm.schemas.deals.read",
        "sales-email-read",
        "crm.objects.custom.read",
        "crm.objects.feedback_submissions.read",
        "crm.objects.leads.read",
        "crm.objects.line_items.read",
        "crm.objects.products.read",
        "crm.objects.quotes.read",
        "crm.objects.users.read",
        "crm.schemas.custom.read",
        "crm.schemas.feedback_submissions.read",
        "crm.schemas.leads.read",
        "crm.schemas.line_items.read",
        "crm.schemas.products.read",
        "crm.schemas.quotes.read",
        "crm.schemas.users.read",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Every scope that writing takes besides those of reading; tickets have one scope for both.
pub fn write_scopes() -> Vec<String> {
    [
        "crm.objects.contacts.write",
        "crm.objects.companies.write",
        "crm.objects.deals.write",
        "crm.schemas.contacts.write",
        "crm.schemas.companies.write",
        "crm.schemas.deals.write",
        "crm.objects.custom.write",
        "crm.objects.feedback_submissions.write",
        "crm.objects.leads.write",
        "crm.objects.line_items.write",
        "crm.objects.products.write",
        "crm.objects.quotes.write",
        "crm.objects.users.write",
        "crm.schemas.custom.write",
    ]
    .map(str::to_owned)
    .to_vec()
}
