//! The portal's own details and its quota.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::objects::json;
use super::request::{Endpoint, Request};
use super::{Client, ClientError, ObjectId};

/// A portal.
/// <https://developers.hubspot.com/docs/api-reference/latest/account/account-information/guide>
#[derive(Debug, Clone, Deserialize)]
pub struct Account {
    /// The Hub ID.
    #[serde(rename = "portalId")]
    pub portal_id: ObjectId,
    /// STANDARD, DEVELOPER_TEST, SANDBOX or APP_DEVELOPER.
    #[serde(rename = "accountType", default)]
    pub account_type: Option<String>,
    /// The time zone in whose midnight the daily quota is reset.
    #[serde(rename = "timeZone", default)]
    pub time_zone: Option<String>,
    /// What that zone's clocks differ from UTC now, in milliseconds.
    #[serde(rename = "utcOffsetMilliseconds", default)]
    pub utc_offset_millis: Option<i64>,
}

/// The calls of all private apps of a portal in one day.
#[derive(Debug, Clone, Deserialize)]
pub struct DailyUsage {
    /// Calls a day.
    #[serde(rename = "usageLimit")]
    pub limit: u64,
    /// Calls made.
    #[serde(rename = "currentUsage")]
    pub used: u64,
    /// When the count begins anew.
    #[serde(rename = "resetsAt", default)]
    pub resets_at: Option<DateTime<Utc>>,
}

impl Client {
    /// The portal that the token belongs to.
    ///
    /// # Errors
    /// Any [`ClientError`]; [`ClientError::Unauthorized`] for a wrong token.
    pub async fn account(&self) -> Result<Account, ClientError> {
        let account: Account = self.call(Request::get(Endpoint::Account, self.paths.account("details")), json).await?;
        // No zone is further away than 14 hours.
        if let Some(offset) = account.utc_offset_millis.filter(|offset| offset.abs() <= 24 * 3_600_000) {
            self.utc_offset_millis.store(offset, Ordering::Relaxed);
        }
        Ok(account)
    }

    /// Today's usage; none where HubSpot has no figure (OAuth apps).
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn daily_usage(&self) -> Result<Option<DailyUsage>, ClientError> {
        #[derive(Deserialize)]
        struct Usages {
            #[serde(default)]
            results: Vec<DailyUsage>,
        }
        let url = self.paths.account("api-usage/daily/private-apps");
        let usages = self.call(Request::get(Endpoint::DailyUsage, url), |body: Bytes| json::<Usages>(body)).await?;
        Ok(usages.results.into_iter().next())
    }
}
