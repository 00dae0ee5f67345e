//! The access token: given, or made from an OAuth grant and renewed in time.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use super::request::{Endpoint, Request, encode};
use super::token_cache::TokenCache;
use super::{Client, ClientError, Malformed, lenient};
use crate::config::Credentials;

/// A token is renewed this long before its end, or a fifth of its life if that is less.
const MAX_MARGIN: Duration = Duration::from_secs(120);

/// Where tokens come from.
#[derive(Debug)]
pub(super) enum Tokens {
    Given(SecretString),
    Granted {
        client_id: String,
        client_secret: SecretString,
        held: Box<Mutex<Held>>,
        /// The latest refresh token that came in place of the one given.
        rotated: watch::Sender<Option<SecretString>>,
        /// Which token is the current one.
        generation: AtomicU64,
        /// The portal that the grant is of; 0 until HubSpot has told.
        portal: AtomicU64,
    },
}

/// What an OAuth grant holds now.
#[derive(Debug)]
pub(super) struct Held {
    /// HubSpot may rotate it with each answer.
    refresh_token: SecretString,
    token: Option<Token>,
    generation: u64,
    cache: Option<TokenCache>,
    /// The portal of the tokens.
    portal: Option<u64>,
    /// The portal of the tokens that the cache holds from another grant.
    cached_portal: Option<u64>,
}

#[derive(Debug)]
struct Token {
    value: SecretString,
    renew_at: Instant,
}

/// A token to send, and which one it is.
#[derive(Debug)]
pub(super) struct Bearer {
    token: SecretString,
    pub(super) generation: u64,
}

/// The token endpoint's answer.
/// <https://developers.hubspot.com/docs/api-reference/latest/authentication/manage-oauth-tokens>
#[derive(Deserialize)]
struct Grant {
    access_token: SecretString,
    refresh_token: Option<SecretString>,
    expires_in: u64,
    #[serde(default, deserialize_with = "lenient::optional_id")]
    hub_id: Option<u64>,
}

impl Bearer {
    /// The Authorization header, which logs do not show.
    pub(super) fn header(&self) -> HeaderValue {
        let text = format!("Bearer {}", self.token.expose_secret());
        // A token that is no header is refused by HubSpot like any wrong one.
        let mut header = HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("Bearer -"));
        header.set_sensitive(true);
        header
    }
}

impl Tokens {
    /// The source of a client's tokens; with a cache, those of the last run are gone on with.
    ///
    /// # Errors
    /// When the cache cannot be used.
    pub(super) fn new(credentials: Credentials, cache: Option<PathBuf>) -> Result<Self, ClientError> {
        match credentials {
            Credentials::AccessToken(token) => Ok(Self::Given(token)),
            Credentials::OAuth { client_id, client_secret, refresh_token } => {
                let cache = cache.map(|path| TokenCache::new(path, &client_id, &refresh_token));
                let held = Held::new(refresh_token, cache)?;
                let portal = AtomicU64::new(held.portal.unwrap_or(0));
                Ok(Self::Granted {
                    client_id,
                    client_secret,
                    held: Box::new(Mutex::new(held)),
                    rotated: watch::Sender::new(None),
                    generation: AtomicU64::new(0),
                    portal,
                })
            }
        }
    }

    /// Tells of refresh tokens that come in place of the one given; none without a grant.
    pub(super) fn rotations(&self) -> Option<watch::Receiver<Option<SecretString>>> {
        match self {
            Self::Given(_) => None,
            Self::Granted { rotated, .. } => Some(rotated.subscribe()),
        }
    }

    /// Whether a 401 can be cured.
    pub(super) fn can_renew(&self) -> bool {
        matches!(self, Self::Granted { .. })
    }

    /// Whether a newer token has taken the place of one since it was sent.
    pub(super) fn is_replaced(&self, bearer: &Bearer) -> bool {
        match self {
            Self::Given(_) => false,
            Self::Granted { generation, .. } => generation.load(Ordering::Acquire) != bearer.generation,
        }
    }

    /// The portal of an OAuth grant, as the token endpoint has told it.
    pub(super) fn portal(&self) -> Option<u64> {
        match self {
            Self::Given(_) => None,
            Self::Granted { portal, .. } => Some(portal.load(Ordering::Acquire)).filter(|portal| *portal != 0),
        }
    }

    /// A token that is good for now.
    pub(super) async fn bearer(&self, client: &Client) -> Result<Bearer, ClientError> {
        match self {
            Self::Given(token) => Ok(Bearer { token: token.clone(), generation: 0 }),
            Self::Granted { client_id, client_secret, held, rotated, generation, portal } => {
                let mut held = held.lock().await;
                if held.token.as_ref().is_none_or(|token| token.renew_at <= Instant::now()) {
                    held.renew(client, client_id, client_secret, rotated).await?;
                    generation.store(held.generation, Ordering::Release);
                    portal.store(held.portal.unwrap_or(0), Ordering::Release);
                }
                let token = held.token.as_ref().expect("just renewed").value.clone();
                Ok(Bearer { token, generation: held.generation })
            }
        }
    }

    /// Replaces the token of a generation that HubSpot refused; once, however many workers were refused with it.
    pub(super) async fn renew(&self, client: &Client, refused: u64) -> Result<(), ClientError> {
        let Self::Granted { client_id, client_secret, held, rotated, generation, .. } = self else { return Ok(()) };
        let mut held = held.lock().await;
        if held.generation == refused {
            held.renew(client, client_id, client_secret, rotated).await?;
            generation.store(held.generation, Ordering::Release);
        }
        Ok(())
    }
}

impl Held {
    fn new(refresh_token: SecretString, cache: Option<TokenCache>) -> Result<Self, ClientError> {
        let kept = match &cache {
            Some(cache) => cache.read()?,
            None => None,
        };
        let mut held =
            Self { refresh_token, token: None, generation: 0, cache: None, portal: None, cached_portal: None };
        if let (Some(cache), Some(kept)) = (&cache, kept) {
            if cache.is_of_grant(&kept) {
                let life = (kept.expires_at - Utc::now()).to_std().unwrap_or_default();
                // Of a kept token nobody knows how long its life was at first.
                let renew_at = Instant::now() + life.saturating_sub(MAX_MARGIN);
                held.token = Some(Token { value: kept.access_token, renew_at });
                held.refresh_token = kept.refresh_token;
                held.portal = kept.hub_id;
            } else {
                held.cached_portal = kept.hub_id;
            }
        }
        held.cache = cache;
        Ok(held)
    }

    async fn renew(
        &mut self,
        client: &Client,
        id: &str,
        secret: &SecretString,
        told: &watch::Sender<Option<SecretString>>,
    ) -> Result<(), ClientError> {
        // Secrets go into the body: a query ends up in logs.
        let form = format!(
            "grant_type=refresh_token&client_id={}&client_secret={}&refresh_token={}",
            encode(id),
            encode(secret.expose_secret()),
            encode(self.refresh_token.expose_secret()),
        );
        let request = Request::post_form(Endpoint::Token, client.paths.token(), form);
        let grant: Grant = client
            .call(request, |body| serde_json::from_slice(&body).map_err(|_| Malformed::new("it holds no access token")))
            .await?;
        let life = Duration::from_secs(grant.expires_in);
        let renew_at = Instant::now() + life - MAX_MARGIN.min(life / 5);
        let refresh_token = grant.refresh_token.unwrap_or_else(|| self.refresh_token.clone());
        self.keep(grant.hub_id, &refresh_token, &grant.access_token, Utc::now() + life)?;
        self.token = Some(Token { value: grant.access_token, renew_at });
        self.portal = grant.hub_id.or(self.portal);
        self.generation += 1;
        if refresh_token.expose_secret() != self.refresh_token.expose_secret() {
            told.send_replace(Some(refresh_token.clone()));
        }
        self.refresh_token = refresh_token;
        Ok(())
    }

    /// Writes tokens to the cache before they are used: after a crash the old refresh token may be worthless.
    fn keep(
        &mut self,
        hub_id: Option<u64>,
        refresh_token: &SecretString,
        access_token: &SecretString,
        expires_at: DateTime<Utc>,
    ) -> Result<(), ClientError> {
        let Some(cache) = &self.cache else { return Ok(()) };
        match (self.cached_portal, hub_id) {
            // Two tenants that share the file would void each other's tokens.
            (Some(other), Some(hub_id)) if other != hub_id => Err(cache.unusable(format!(
                "it holds the tokens of portal {other}, and these are of portal {hub_id}; name one file for each portal"
            ))),
            _ => cache.write(hub_id, refresh_token, access_token, expires_at),
        }
    }
}
