//! Access tokens, their scopes and their refreshing.

use std::collections::HashMap;

use serde_json::json;

use crate::api_response::ApiResponse;
use crate::clock::{Millis, SECOND, instant_text};
use crate::error_responses::{ErrorResponses, uuid};
use crate::options::{OAuthApp, Options};

#[derive(Clone, Debug)]
struct TokenGrant {
    scopes: Vec<String>,
    expires: Option<Millis>,
}

#[derive(Debug)]
pub(crate) struct TokenStore {
    app: OAuthApp,
    scopes: Vec<String>,
    grants: HashMap<String, TokenGrant>,
    refresh_token: String,
    /// The previous refresh token, valid until the access token issued with the new one is used, since that response may be lost.
    before: Option<(String, String)>,
    refreshes: u64,
}

impl TokenStore {
    pub(crate) fn new(options: &Options, now: Millis) -> Self {
        let mut grants = HashMap::new();
        let main = TokenGrant { scopes: options.scopes.clone(), expires: None };
        grants.insert(options.access_token.clone(), main);
        for extra in &options.extra_tokens {
            let expires = extra.expired.then_some(now - SECOND);
            grants.insert(extra.token.clone(), TokenGrant { scopes: extra.scopes.clone(), expires });
        }
        Self {
            app: options.oauth.clone(),
            scopes: options.scopes.clone(),
            grants,
            refresh_token: options.oauth.refresh_token.clone(),
            before: None,
            refreshes: 0,
        }
    }

    /// The scopes of a token, or a 401 when it is unknown or expired.
    pub(crate) fn check(
        &mut self,
        token: Option<&str>,
        now: Millis,
        errors: &ErrorResponses,
    ) -> Result<Vec<String>, Box<ApiResponse>> {
        self.before.take_if(|(_, access_token)| Some(access_token.as_str()) == token);
        let grant = token.and_then(|token| self.grants.get(token));
        let grant = grant.ok_or_else(|| Box::new(errors.unauthenticated()))?;
        match grant.expires {
            Some(at) if at <= now => {
                let seconds = ((now - at) / SECOND).max(1);
                Err(Box::new(errors.expired(seconds, &instant_text(at))))
            }
            _ => Ok(grant.scopes.clone()),
        }
    }

    pub(crate) fn add(&mut self, token: &str, scopes: Vec<String>, expires: Option<Millis>) {
        self.grants.insert(token.to_owned(), TokenGrant { scopes, expires });
    }

    pub(crate) fn revoke(&mut self, token: &str) {
        self.grants.remove(token);
    }

    pub(crate) fn revoke_refresh_token(&mut self) {
        self.refresh_token = String::new();
        self.before = None;
    }

    pub(crate) fn expire(&mut self, token: &str, now: Millis) {
        if let Some(grant) = self.grants.get_mut(token) {
            grant.expires = Some(now);
        }
    }

    /// The response to `POST /oauth/{version}/token`.
    pub(crate) fn refresh(&mut self, form: &[(String, String)], portal_id: u64, now: Millis) -> ApiResponse {
        let field = |name: &str| form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value);
        if field("grant_type") != "refresh_token" {
            return refused("unsupported_grant_type", "BAD_GRANT_TYPE", "grant_type must be refresh_token");
        }
        if field("client_id") != self.app.client_id {
            return refused("invalid_client", "BAD_CLIENT_ID", "missing or unknown client id");
        }
        if field("client_secret") != self.app.client_secret {
            return refused("invalid_client", "BAD_CLIENT_SECRET", "missing or invalid client secret");
        }
        let given = field("refresh_token");
        let is_good = given == self.refresh_token || self.before.as_ref().is_some_and(|(before, _)| before == given);
        if given.is_empty() || !is_good {
            return refused("invalid_grant", "BAD_REFRESH_TOKEN", "refresh token is invalid, expired or revoked");
        }
        self.refreshes += 1;
        if self.app.rotate_refresh_tokens {
            self.refresh_token = format!("{}-{}", self.app.refresh_token, self.refreshes);
        }
        let lifetime = Millis::try_from(self.app.token_lifetime.as_millis()).unwrap_or(Millis::MAX);
        let token = format!("CPa{}-{}", self.refreshes, uuid());
        self.before = Some((given.to_owned(), token.clone()));
        self.add(&token, self.scopes.clone(), Some(now + lifetime));
        let body = json!({
            "token_type": "bearer",
            "refresh_token": self.refresh_token,
            "access_token": token,
            "hub_id": portal_id,
            "scopes": self.scopes,
            "expires_in": lifetime / SECOND,
            "user_id": 40_000_001,
            "token_use": "access_token",
        });
        ApiResponse::json(200, &body)
    }
}

/// Errors of the token endpoint have OAuth's shape, not that of the CRM.
fn refused(error: &str, status: &str, description: &str) -> ApiResponse {
    let body = json!({
        "error": error,
        "error_description": description,
        "status": status,
        "message": description,
    });
    ApiResponse::json(400, &body)
}
