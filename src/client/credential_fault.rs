//! What is wrong with credentials that HubSpot refused.

/// What is wrong with the credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialFault {
    /// The access token has expired.
    Expired,
    /// HubSpot does not know the access token: it never did, or it was revoked or rotated.
    Unknown,
    /// A token that the OAuth grant has just returned is refused.
    NewTokenRefused,
    /// The refresh token was revoked, or is not this app's.
    RefreshToken,
    /// The OAuth app's id.
    ClientId,
    /// The OAuth app's secret.
    ClientSecret,
    /// Any other refusal of the token endpoint.
    Grant,
}

impl CredentialFault {
    /// What happened and what to do about it.
    pub(super) fn in_words(self) -> &'static str {
        match self {
            Self::Expired => {
                "the access token has expired; set access_token to a private app token or service key, which do not, or use an OAuth grant"
            }
            Self::Unknown => {
                "the access token is wrong, or was revoked or rotated; check access_token: copy it again from the private app or service key in HubSpot"
            }
            Self::NewTokenRefused => {
                "a new access token of the OAuth grant is refused as well; check that the portal still has the app installed"
            }
            Self::RefreshToken => {
                "the refresh token was revoked or is not this app's; have the portal install the app again and set refresh_token to the new one"
            }
            Self::ClientId => "the OAuth app is unknown; check client_id",
            Self::ClientSecret => "the OAuth app's secret is wrong; check client_secret",
            Self::Grant => "the OAuth grant is not accepted; check client_id, client_secret and refresh_token",
        }
    }

    /// By the `category` of an answer to a request with the token.
    pub(super) fn of(category: &str, oauth: bool) -> Self {
        match category {
            _ if oauth => Self::NewTokenRefused,
            "EXPIRED_AUTHENTICATION" => Self::Expired,
            _ => Self::Unknown,
        }
    }

    /// By the `status` of the token endpoint's answer.
    pub(super) fn of_grant(status: &str) -> Self {
        match status {
            "BAD_REFRESH_TOKEN" => Self::RefreshToken,
            "BAD_CLIENT_ID" => Self::ClientId,
            "BAD_CLIENT_SECRET" => Self::ClientSecret,
            _ => Self::Grant,
        }
    }
}
