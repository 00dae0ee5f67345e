//! The settings of the tap, and of them those of every program that speaks to HubSpot.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::defaults;
use super::error::ConfigError;

/// A sweep that sends every row again is for once a week, one that sends changes for once a day.
const SWEEP_HOURS: f64 = 168.0;
const CACHED_SWEEP_HOURS: f64 = 24.0;
/// What the association types are when the user says nothing.
const DEFAULT_ASSOCIATIONS: [&str; 2] = ["contacts", "companies"];

/// Settings of one run against one portal.
///
/// Every field's comment is its description in `--about`, its attributes are its default, bounds and secrecy.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct Config {
    /// Service key or private app token of the portal. Give this, or client_id, client_secret and refresh_token.
    #[schemars(with = "Option<String>", length(min = 1), extend("secret" = true, "writeOnly" = true))]
    pub access_token: Option<SecretString>,

    /// OAuth client id of the app that the portal installed.
    #[schemars(length(min = 1))]
    pub client_id: Option<String>,

    /// OAuth client secret of the app.
    #[schemars(with = "Option<String>", length(min = 1), extend("secret" = true, "writeOnly" = true))]
    pub client_secret: Option<SecretString>,

    /// OAuth refresh token of the portal.
    #[schemars(with = "Option<String>", length(min = 1), extend("secret" = true, "writeOnly" = true))]
    pub refresh_token: Option<SecretString>,

    /// File that keeps OAuth tokens across runs, readable by its owner alone: refresh tokens that HubSpot rotated, and the
    /// access token while it lives. One file a portal.
    #[schemars(with = "Option<String>", length(min = 1))]
    pub token_cache_path: Option<PathBuf>,

    /// Hub ID of the portal (the tenant). When given, a token of another portal is refused before anything is written.
    #[serde(default, deserialize_with = "text_or_number")]
    #[schemars(with = "Option<String>", extend("type" = ["string", "integer", "null"]))]
    pub organization_id: Option<String>,

    /// Name of this run, written to `_scan_id` of every row. Default: made from the time and the portal.
    #[schemars(length(min = 1, max = 200))]
    pub scan_id: Option<String>,

    /// Only tickets modified at or after this date or instant (inclusive) are read: `2024-01-31`, midnight UTC, or
    /// `2024-01-31T13:45:00Z`.
    pub start_date: Option<DateTime<Utc>>,

    /// Only tickets modified before this date or instant (exclusive) are read.
    pub end_date: Option<DateTime<Utc>>,

    /// Only records created at or after this date or instant (inclusive) are read: what is new since. Such a run moves
    /// no bookmark.
    pub created_after: Option<DateTime<Utc>>,

    /// Stream names or globs (`ticket*`). When set, only these are selected by default; a catalog given with `--catalog`
    /// decides alone. Default: all but contacts, companies, deals and sync_audit.
    pub streams: Option<Vec<String>>,

    /// Further object types that have a stream each: notes, emails, calls, tasks, meetings, communications,
    /// feedback_submissions, leads, products, line_items, quotes, users; custom objects by id (`2-1234567`), name (`cars`,
    /// `p123_cars`) or glob. They are selected by default.
    pub objects: Option<Vec<String>>,

    /// Property names or globs (`hs_*`) of tickets, or of another object type (`contacts.email`). When set, only these of
    /// that type are selected by default; a catalog given with `--catalog` decides alone.
    pub properties: Option<Vec<String>>,

    /// Names or globs, as in drop, of sensitive properties that are read like any other; `*`: all that the token may see.
    /// The rest of them is in the catalog as unsupported, which no selection overrides, unless properties has the very name.
    pub sensitive_properties: Option<Vec<String>>,

    /// Property names or globs that are never read, whatever the catalog selects: `email`, or `contacts.email` for one
    /// object type. Holds for the primary contact and company, too.
    pub drop: Option<Vec<String>>,

    /// Property names or globs, as in drop, of which only a salted SHA-256 is written, in hexadecimal. To be set before
    /// the first load: the columns become text.
    pub hash: Option<Vec<String>>,

    /// Salt that hash needs. Under one salt equal values have equal hashes; under another one all are different.
    #[schemars(with = "Option<String>", length(min = 8), extend("secret" = true, "writeOnly" = true))]
    pub hash_salt: Option<SecretString>,

    /// Read which contacts, companies and other objects a ticket is associated with.
    #[serde(default = "defaults::yes")]
    pub include_associations: bool,

    /// Object types whose associations are read: contacts, companies, deals, or any other object type's name or id.
    /// Default: contacts and companies.
    pub associations: Option<Vec<String>>,

    /// Read archived (deleted) and merged tickets; they come out as tombstones.
    #[serde(default = "defaults::yes")]
    pub include_archived: bool,

    /// `columns`: a column for each property. `object`: all properties in one JSON column, for portals wider than a
    /// Postgres row.
    #[serde(default)]
    pub properties_layout: PropertiesLayout,

    /// Where the API is.
    #[serde(default = "defaults::api_base_url")]
    #[schemars(regex(pattern = "^https?://"))]
    pub api_base_url: String,

    /// Version of the API in its paths: any `YYYY-MM`, or `v3` (with v4 associations).
    #[serde(default = "defaults::api_version")]
    #[schemars(regex(pattern = "^(v3|20[0-9]{2}-(0[1-9]|1[0-2]))$"))]
    pub api_version: String,

    /// Seconds after which a request without a complete answer counts as failed.
    #[serde(default = "defaults::request_timeout_secs")]
    #[schemars(range(min = 0.1, max = 600))]
    pub request_timeout_secs: f64,

    /// Requests per ten seconds of the general pool. Default: learned from HubSpot's headers.
    #[schemars(range(min = 1))]
    pub rate_limit: Option<u32>,

    /// Share of each of HubSpot's rate limits that this run may use; the rest is left to other apps.
    #[serde(default = "defaults::rate_limit_share")]
    #[schemars(range(min = 0.01, max = 1))]
    pub rate_limit_share: f64,

    /// Share of the portal's daily quota that is left to other apps: a run that would use it ends with its STATE written
    /// and exit code 6. OAuth apps have no such quota.
    #[serde(default = "defaults::daily_reserve")]
    #[schemars(range(min = 0, max = 0.99))]
    pub daily_reserve: f64,

    /// How often a request that failed for a passing reason is sent again.
    #[serde(default = "defaults::retry_attempts")]
    #[schemars(range(max = 100))]
    pub retry_attempts: u32,

    /// Seconds before the first repeat; doubled for each further one, up to 30.
    #[serde(default = "defaults::retry_delay_secs")]
    #[schemars(range(min = 0, max = 600))]
    pub retry_delay_secs: f64,

    /// Tickets per page, 100 being HubSpot's maximum.
    #[serde(default = "defaults::page_size")]
    #[schemars(range(min = 1, max = 100))]
    pub page_size: u32,

    /// Pages between two STATE messages.
    #[serde(default = "defaults::checkpoint_every_pages")]
    #[schemars(range(min = 1, max = 100_000))]
    pub checkpoint_every_pages: u32,

    /// What an incremental run reads again before its bookmark, in minutes, because HubSpot's index lags.
    #[serde(default = "defaults::lookback_minutes")]
    #[schemars(range(max = 525_600))]
    pub lookback_minutes: u32,

    /// Hours between two readings of the archive (deleted tickets); 0: on each run. Default: by its size. One of up to
    /// 500 rows is read on each run, a larger one with an hour between for every 1,000 rows, at most 24 hours.
    #[schemars(range(min = 0, max = 87_600))]
    pub archive_hours: Option<f64>,

    /// Hours between two sweeps, which read everything again and find what changes without a trace: removed
    /// associations, calculated properties, permanent deletions. 0: on each run; null: never. Default: 168, with
    /// cache_path 24.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<f64>", range(min = 0, max = 87_600))]
    sweep_hours: Option<Option<f64>>,

    /// Minutes of one run that a sweep may take; the next run goes on with it.
    #[serde(default = "defaults::sweep_minutes")]
    #[schemars(range(min = 0, max = 10_080))]
    pub sweep_minutes: f64,

    /// File that remembers a hash of each row sent, so that a sweep sends only what changed and removed associations
    /// leave at once. One file a portal and target; it may be removed at any time.
    #[schemars(with = "Option<String>", length(min = 1))]
    pub cache_path: Option<PathBuf>,

    /// File that tells how the run is going and how it ended, as JSON: written whole every second and at the end.
    #[schemars(with = "Option<String>", length(min = 1))]
    pub report_path: Option<PathBuf>,

    /// Folder with a lock file for each portal: while a run holds a portal's lock, a second one of that portal says so
    /// and ends with exit code 8. Not on a network file system.
    #[schemars(with = "Option<String>", length(min = 1))]
    pub lock_path: Option<PathBuf>,

    /// User-Agent header of every request.
    #[serde(default = "defaults::user_agent")]
    #[schemars(length(min = 1, max = 200))]
    pub user_agent: String,
}

/// Where the properties of a ticket go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum PropertiesLayout {
    /// A column for each property.
    #[default]
    Columns,
    /// One JSON column `properties`.
    Object,
}

/// How the portal is to be spoken to as whom.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// A token that does not expire during a run.
    AccessToken(SecretString),
    /// An OAuth app's grant, from which access tokens are made.
    OAuth {
        /// The app.
        client_id: String,
        /// The app's secret.
        client_secret: SecretString,
        /// The portal's grant.
        refresh_token: SecretString,
    },
}

impl Config {
    /// The credentials of this config.
    ///
    /// # Errors
    /// When neither a token nor a whole OAuth grant is given.
    pub fn credentials(&self) -> Result<Credentials, ConfigError> {
        if let Some(token) = &self.access_token {
            return Ok(Credentials::AccessToken(token.clone()));
        }
        match (&self.client_id, &self.client_secret, &self.refresh_token) {
            (Some(client_id), Some(client_secret), Some(refresh_token)) => Ok(Credentials::OAuth {
                client_id: client_id.clone(),
                client_secret: client_secret.clone(),
                refresh_token: refresh_token.clone(),
            }),
            (None, None, None) => Err(ConfigError::NoCredentials { hint: String::new() }),
            (client_id, client_secret, refresh_token) => Err(ConfigError::HalfAnOAuthGrant {
                missing: [
                    ("client_id", client_id.is_none()),
                    ("client_secret", client_secret.is_none()),
                    ("refresh_token", refresh_token.is_none()),
                ]
                .into_iter()
                .filter_map(|(name, missing)| missing.then_some(name))
                .collect::<Vec<_>>()
                .join(", "),
                hint: String::new(),
            }),
        }
    }

    /// The object types whose associations are read, as written by the user or by default; none when switched off.
    pub fn association_types(&self) -> Vec<String> {
        if !self.include_associations {
            return Vec::new();
        }
        match &self.associations {
            Some(types) => types.clone(),
            None => DEFAULT_ASSOCIATIONS.map(str::to_owned).to_vec(),
        }
    }

    /// Makes the files that the settings name by a relative path files of `folder`.
    pub fn move_into(&mut self, folder: &Path) {
        let files = [&mut self.cache_path, &mut self.report_path, &mut self.lock_path, &mut self.token_cache_path];
        for path in files.into_iter().flatten() {
            *path = folder.join(&*path);
        }
    }

    /// How long one request may take.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs_f64(self.request_timeout_secs)
    }

    /// The wait before the first repeat of a request.
    pub fn retry_delay(&self) -> Duration {
        Duration::from_secs_f64(self.retry_delay_secs)
    }

    /// Hours between two sweeps; none: never.
    pub fn sweep_hours(&self) -> Option<f64> {
        let default = if self.cache_path.is_some() { CACHED_SWEEP_HOURS } else { SWEEP_HOURS };
        self.sweep_hours.unwrap_or(Some(default))
    }

    /// What is read again before a bookmark.
    pub fn lookback(&self) -> chrono::TimeDelta {
        chrono::TimeDelta::minutes(i64::from(self.lookback_minutes))
    }
}

/// The JSON Schema of the settings, draft 2020-12, made from [`Config`].
pub fn settings_schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| schemars::schema_for!(Config).to_value());
    &SCHEMA
}

/// A Hub ID as people write it in JSON.
fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let value = Option::<serde_json::Value>::deserialize(deserializer)?;
    Ok(value.map(|value| match value {
        serde_json::Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    }))
}

/// A value that is there, null included.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<f64>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}
