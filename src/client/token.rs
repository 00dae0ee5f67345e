//! The access token: given, or made from an OAuth grant and renewed in time.

use std::time::Duration;

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use super::request::{Endpoint, Request, encode};
use super::{Client, ClientError, Malformed};
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
        held: Mutex<Held>,
        /// The latest refresh token that came in place of the one given.
        rotated: watch::Sender<Option<SecretString>>,
    },
}

/// What an OAuth grant holds now.
#[derive(Debug)]
pub(super) struct Held {
    /// HubSpot may rotate it with each answer.
    refresh_token: SecretString,
    token: Option<Token>,
    generation: u64,
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
    pub(super) fn new(credentials: Credentials) -> Self {
        match credentials {
            Credentials::AccessToken(token) => Self::Given(token),
            Credentials::OAuth { client_id, client_secret, refresh_token } => Self::Granted {
                client_id,
                client_secret,
                held: Mutex::new(Held { refresh_token, token: None, generation: 0 }),
                rotated: watch::Sender::new(None),
            },
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

    /// A token that is good for now.
    pub(super) async fn bearer(&self, client: &Client) -> Result<Bearer, ClientError> {
        match self {
            Self::Given(token) => Ok(Bearer { token: token.clone(), generation: 0 }),
            Self::Granted { client_id, client_secret, held, rotated } => {
                let mut held = held.lock().await;
                if held.token.as_ref().is_none_or(|token| token.renew_at <= Instant::now()) {
                    held.renew(client, client_id, client_secret, rotated).await?;
                }
                let token = held.token.as_ref().expect("just renewed").value.clone();
                Ok(Bearer { token, generation: held.generation })
            }
        }
    }

    /// Replaces the token of a generation that HubSpot refused; once, however many workers were refused with it.
    pub(super) async fn renew(&self, client: &Client, refused: u64) -> Result<(), ClientError> {
        let Self::Granted { client_id, client_secret, held, rotated } = self else { return Ok(()) };
        let mut held = held.lock().await;
        if held.generation == refused {
            held.renew(client, client_id, client_secret, rotated).await?;
        }
        Ok(())
    }
}

impl Held {
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
        self.token = Some(Token { value: grant.access_token, renew_at });
        self.generation += 1;
        if let Some(rotated) = grant.refresh_token {
            if rotated.expose_secret() != self.refresh_token.expose_secret() {
                told.send_replace(Some(rotated.clone()));
            }
            self.refresh_token = rotated;
        }
        Ok(())
    }
}
