//! The table of what an error response means.

use super::request::Endpoint;

/// What the caller of an endpoint has to make of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The same request can succeed later: it is sent again as often as the settings say.
    Transient,
    /// A rate limit is reached: its whole pool waits.
    Limited,
    /// HubSpot moves the portal between data centres.
    Migrating,
    /// HubSpot looks for the portal in the wrong data centre.
    OtherDataCentre,
    /// Another address answers for HubSpot's: sent once again.
    Redirect,
    /// The access token is refused: renewed if it can be, and sent once again.
    Unauthorized,
    /// The token endpoint refuses the OAuth grant.
    GrantRefused,
    /// The token may not do this: what needs it is unavailable.
    Denied,
    /// The request is too long or too large: another path or a smaller page may succeed.
    TooLarge,
    /// The same request is refused however often it is sent.
    Refused,
}

/// What a status and the shape of its body mean. HubSpot itself answers errors with a JSON object; anything else comes from
/// what stands between, which knows nothing of the request and is mostly transient.
/// <https://developers.hubspot.com/docs/api-reference/error-handling>
pub(super) fn meaning(endpoint: Endpoint, status: u16, is_json: bool) -> Meaning {
    let of_grant = endpoint == Endpoint::Token;
    match status {
        400 | 401 if of_grant && is_json => Meaning::GrantRefused,
        401 if !of_grant => Meaning::Unauthorized,
        403 if is_json => Meaning::Denied,
        408 | 423 | 425 => Meaning::Transient,
        413 | 414 | 431 => Meaning::TooLarge,
        429 => Meaning::Limited,
        477 => Meaning::Migrating,
        // "Hub N is unknown to this Hublet", mostly for some minutes.
        488 => Meaning::OtherDataCentre,
        300..=399 => Meaning::Redirect,
        400..=499 if !is_json => Meaning::Transient,
        // HubSpot's own and those of its edge, from 520 to 530.
        500..=599 => Meaning::Transient,
        _ => Meaning::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_truth_table_of_answers() {
        use Meaning::*;
        // The meaning of a JSON body, and of any other.
        for (statuses, json, other) in [
            (&[301, 302, 304, 307, 308][..], Redirect, Redirect),
            (&[400, 404, 405, 409, 410, 422, 499], Refused, Transient),
            (&[401], Unauthorized, Unauthorized),
            (&[403], Denied, Transient),
            (&[408, 423, 425], Transient, Transient),
            (&[413, 414, 431], TooLarge, TooLarge),
            (&[429], Limited, Limited),
            (&[477], Migrating, Migrating),
            (&[488], OtherDataCentre, OtherDataCentre),
            (&[500, 501, 502, 503, 504, 507, 520, 521, 522, 523, 524, 525, 526, 527, 530, 599], Transient, Transient),
        ] {
            for status in statuses {
                for endpoint in [Endpoint::List, Endpoint::Owners, Endpoint::BatchCreate, Endpoint::Account] {
                    assert_eq!(meaning(endpoint, *status, true), json, "{status} in JSON at {}", endpoint.label());
                    assert_eq!(meaning(endpoint, *status, false), other, "{status} in HTML at {}", endpoint.label());
                }
            }
        }
        for (status, json, other) in [
            (400, GrantRefused, Transient),
            (401, GrantRefused, Transient),
            (403, Denied, Transient),
            (404, Refused, Transient),
            (429, Limited, Limited),
            (500, Transient, Transient),
        ] {
            assert_eq!(meaning(Endpoint::Token, status, true), json, "{status} in JSON");
            assert_eq!(meaning(Endpoint::Token, status, false), other, "{status} in HTML");
        }
    }
}
