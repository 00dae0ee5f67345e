//! The access token: the configured one, or one of an OAuth grant, which is renewed in time.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use super::error::ClientError;
use super::lenient;
use super::malformed::Malformed;
use super::request::encode;
use super::token_cache::TokenCache;
use crate::config::Credentials;

/// A token is renewed this long before its end, or a fifth of its life if that is less.
const MAX_MARGIN: Duration = Duration::from_secs(120);

/// Where tokens come from.
#[derive(Debug)]
pub(super) enum Tokens {
    Static(SecretString),
    OAuth {
        client_id: String,
        client_secret: SecretString,
        state: Box<Mutex<OAuthState>>,
        /// The latest refresh token that replaced the configured one.
        rotated: watch::Sender<Option<SecretString>>,
        /// The generation of the current token.
        generation: AtomicU64,
        /// The portal that the grant is of; 0 until HubSpot has named it.
        portal: AtomicU64,
    },
}

/// The tokens of an OAuth grant now.
#[derive(Debug)]
pub(super) struct OAuthState {
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

/// A token to send, and its generation.
#[derive(Debug)]
pub(super) struct Bearer {
    token: SecretString,
    pub(super) generation: u64,
}

/// Sends a form to the token endpoint.
pub(super) type GrantRequest<'c> = dyn Fn(String) -> BoxFuture<'c, Result<Grant, ClientError>> + Sync + 'c;

/// The token endpoint's answer.
/// <https://developers.hubspot.com/docs/api-reference/latest/authentication/manage-oauth-tokens>
#[derive(Deserialize)]
pub(super) struct Grant {
    access_token: SecretString,
    refresh_token: Option<SecretString>,
    expires_in: u64,
    #[serde(default, deserialize_with = "lenient::optional_id")]
    hub_id: Option<u64>,
}

impl Grant {
    /// Decodes the token endpoint's answer.
    pub(super) fn decode(body: &Bytes) -> Result<Self, Malformed> {
        // The parser's words could show a token.
        serde_json::from_slice(body).map_err(|_| Malformed::new("it holds no access token"))
    }
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
    /// The source of a client's tokens; with a cache, those of the last run are used again.
    ///
    /// # Errors
    /// When the cache cannot be used.
    pub(super) fn new(credentials: Credentials, cache: Option<PathBuf>) -> Result<Self, ClientError> {
        match credentials {
            Credentials::AccessToken(token) => Ok(Self::Static(token)),
            Credentials::OAuth { client_id, client_secret, refresh_token } => {
                let cache = cache.map(|path| TokenCache::new(path, &client_id, &refresh_token));
                let state = OAuthState::new(refresh_token, cache)?;
                let portal = AtomicU64::new(state.portal.unwrap_or(0));
                Ok(Self::OAuth {
                    client_id,
                    client_secret,
                    state: Box::new(Mutex::new(state)),
                    rotated: watch::Sender::new(None),
                    generation: AtomicU64::new(0),
                    portal,
                })
            }
        }
    }

    /// Receives refresh tokens that replace the configured one; none without a grant.
    pub(super) fn rotations(&self) -> Option<watch::Receiver<Option<SecretString>>> {
        match self {
            Self::Static(_) => None,
            Self::OAuth { rotated, .. } => Some(rotated.subscribe()),
        }
    }

    /// Whether a new token can be had after a 401.
    pub(super) fn can_renew(&self) -> bool {
        matches!(self, Self::OAuth { .. })
    }

    /// Whether a newer token has taken the place of one since it was sent.
    pub(super) fn is_replaced(&self, bearer: &Bearer) -> bool {
        match self {
            Self::Static(_) => false,
            Self::OAuth { generation, .. } => generation.load(Ordering::Acquire) != bearer.generation,
        }
    }

    /// The portal of an OAuth grant, as the token endpoint named it.
    pub(super) fn portal(&self) -> Option<u64> {
        match self {
            Self::Static(_) => None,
            Self::OAuth { portal, .. } => Some(portal.load(Ordering::Acquire)).filter(|portal| *portal != 0),
        }
    }

    /// A token that has not expired.
    pub(super) async fn bearer(&self, request_grant: &GrantRequest<'_>) -> Result<Bearer, ClientError> {
        match self {
            Self::Static(token) => Ok(Bearer { token: token.clone(), generation: 0 }),
            Self::OAuth { client_id, client_secret, state, rotated, generation, portal } => {
                let mut state = state.lock().await;
                if state.token.as_ref().is_none_or(|token| token.renew_at <= Instant::now()) {
                    state.renew(request_grant, client_id, client_secret, rotated).await?;
                    generation.store(state.generation, Ordering::Release);
                    portal.store(state.portal.unwrap_or(0), Ordering::Release);
                }
                let token = state.token.as_ref().expect("just renewed").value.clone();
                Ok(Bearer { token, generation: state.generation })
            }
        }
    }

    /// Replaces the token of a generation that HubSpot refused; once, however many workers were refused with it.
    pub(super) async fn renew(&self, request_grant: &GrantRequest<'_>, refused: u64) -> Result<(), ClientError> {
        let Self::OAuth { client_id, client_secret, state, rotated, generation, .. } = self else { return Ok(()) };
        let mut state = state.lock().await;
        if state.generation == refused {
            state.renew(request_grant, client_id, client_secret, rotated).await?;
            generation.store(state.generation, Ordering::Release);
        }
        Ok(())
    }
}

impl OAuthState {
    fn new(refresh_token: SecretString, cache: Option<TokenCache>) -> Result<Self, ClientError> {
        let stored = match &cache {
            Some(cache) => cache.read()?,
            None => None,
        };
        let mut state =
            Self { refresh_token, token: None, generation: 0, cache: None, portal: None, cached_portal: None };
        if let (Some(cache), Some(stored)) = (&cache, stored) {
            if cache.is_of_grant(&stored) {
                let life = (stored.expires_at - Utc::now()).to_std().unwrap_or_default();
                // The original lifetime of a stored token is not known.
                let renew_at = Instant::now() + life.saturating_sub(MAX_MARGIN);
                state.token = Some(Token { value: stored.access_token, renew_at });
                state.refresh_token = stored.refresh_token;
                state.portal = stored.hub_id;
            } else {
                state.cached_portal = stored.hub_id;
            }
        }
        state.cache = cache;
        Ok(state)
    }

    async fn renew(
        &mut self,
        request_grant: &GrantRequest<'_>,
        id: &str,
        secret: &SecretString,
        rotated: &watch::Sender<Option<SecretString>>,
    ) -> Result<(), ClientError> {
        // Secrets go into the body: a query ends up in logs.
        let form = format!(
            "grant_type=refresh_token&client_id={}&client_secret={}&refresh_token={}",
            encode(id),
            encode(secret.expose_secret()),
            encode(self.refresh_token.expose_secret()),
        );
        let grant = request_grant(form).await?;
        let life = Duration::from_secs(grant.expires_in);
        let renew_at = Instant::now() + life - MAX_MARGIN.min(life / 5);
        let refresh_token = grant.refresh_token.unwrap_or_else(|| self.refresh_token.clone());
        self.keep(grant.hub_id, &refresh_token, &grant.access_token, Utc::now() + life)?;
        self.token = Some(Token { value: grant.access_token, renew_at });
        self.portal = grant.hub_id.or(self.portal);
        self.generation += 1;
        if refresh_token.expose_secret() != self.refresh_token.expose_secret() {
            rotated.send_replace(Some(refresh_token.clone()));
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
