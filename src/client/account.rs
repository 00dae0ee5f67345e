//! The portal's own details and its quota.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::malformed::decode_json;
use super::request::{Endpoint, Request};
use super::{Client, ClientError, ObjectId, lenient};

/// A portal.
/// <https://developers.hubspot.com/docs/api-reference/latest/account/account-information/guide>
#[derive(Debug, Clone, Deserialize)]
pub struct Account {
    /// The Hub ID.
    #[serde(rename = "portalId")]
    pub portal_id: ObjectId,
    /// STANDARD, DEVELOPER_TEST, SANDBOX or APP_DEVELOPER.
    #[serde(rename = "accountType", default, deserialize_with = "lenient::optional_text")]
    pub account_type: Option<String>,
    /// The time zone in whose midnight the daily quota is reset.
    #[serde(rename = "timeZone", default, deserialize_with = "lenient::optional_text")]
    pub time_zone: Option<String>,
    /// What that zone's clocks differ from UTC now, in milliseconds.
    #[serde(rename = "utcOffsetMilliseconds", default, deserialize_with = "lenient::optional_number")]
    pub utc_offset_millis: Option<i64>,
}

/// The calls of all private apps of a portal in one day.
#[derive(Debug, Clone)]
pub struct DailyUsage {
    /// Calls a day.
    pub limit: u64,
    /// Calls made.
    pub used: u64,
    /// When the count begins anew.
    pub resets_at: Option<DateTime<Utc>>,
}

impl DailyUsage {
    /// Reads HubSpot's figures; none where one of the two counts is missing.
    fn of(figures: &Value) -> Option<Self> {
        let count = |name: &str| u64::try_from(lenient::number(&figures[name])?).ok();
        let resets_at = figures["resetsAt"].as_str().and_then(|text| text.parse().ok());
        Some(Self { limit: count("usageLimit")?, used: count("currentUsage")?, resets_at })
    }
}

impl Client {
    /// The portal that the token belongs to.
    ///
    /// # Errors
    /// Any [`ClientError`]; [`ClientError::Unauthorized`] for a wrong token.
    pub async fn account(&self) -> Result<Account, ClientError> {
        let account: Account =
            self.call(Request::get(Endpoint::Account, self.paths.account("details")), decode_json).await?;
        // No zone is further away than 14 hours.
        if let Some(offset) = account.utc_offset_millis.filter(|offset| offset.abs() <= 24 * 3_600_000) {
            self.clock.learn_offset(offset);
        }
        Ok(account)
    }

    /// The portal of an OAuth grant, which the token endpoint tells as well.
    pub fn granted_account(&self) -> Option<Account> {
        let portal_id = ObjectId(self.tokens.portal()?);
        Some(Account { portal_id, account_type: None, time_zone: None, utc_offset_millis: None })
    }

    /// Today's usage; none where HubSpot has no figure (OAuth apps), and none with a warning where it cannot be read: no run
    /// depends on it.
    pub async fn daily_usage(&self) -> Option<DailyUsage> {
        match self.read_daily_usage().await {
            Ok(usage) => usage,
            Err(ClientError::MissingScopes { .. } | ClientError::Refused { .. }) => None,
            Err(error) => {
                tracing::warn!("the calls of today cannot be told: {error}");
                None
            }
        }
    }

    async fn read_daily_usage(&self) -> Result<Option<DailyUsage>, ClientError> {
        #[derive(Deserialize)]
        struct Usages {
            #[serde(default)]
            results: Vec<Value>,
        }
        let url = self.paths.account("api-usage/daily/private-apps");
        let usages =
            self.call(Request::get(Endpoint::DailyUsage, url), |body: Bytes| decode_json::<Usages>(body)).await?;
        Ok(usages.results.first().and_then(DailyUsage::of))
    }
}
