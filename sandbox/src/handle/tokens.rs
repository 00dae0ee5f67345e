//! Adding, expiring and revoking tokens.

use crate::handle::Sandbox;

impl Sandbox {
    /// Adds a token with these scopes.
    pub fn add_token(&self, token: &str, scopes: &[&str]) {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        self.service().tokens().add(token, scopes, None);
    }

    /// Lets a token expire now: it gets 401 `EXPIRED_AUTHENTICATION`.
    pub fn expire_token(&self, token: &str) {
        let now = self.service().now();
        self.service().tokens().expire(token, now);
    }

    /// Forgets a token: it gets 401 `INVALID_AUTHENTICATION`.
    pub fn revoke_token(&self, token: &str) {
        self.service().tokens().revoke(token);
    }

    /// Voids the refresh token.
    pub fn revoke_refresh_token(&self) {
        self.service().tokens().revoke_refresh_token();
    }
}
