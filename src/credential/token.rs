//! A token, and what a token endpoint grants.

use std::fmt;
use std::time::Duration;

use actix_web::http::header::HeaderValue;
use jsonwebtoken::dangerous::insecure_decode_claims;
use serde::Deserialize;
use tokio::time::Instant;

/// What a token endpoint grants: the header value, and for how long.
pub(super) struct Grant {
    pub(super) authorization: HeaderValue,
    pub(super) lifetime: Duration,
}

/// A token, ready to be put into a request.
pub struct Token {
    /// `Bearer …`, marked sensitive, so that no `Debug` prints it.
    pub(super) authorization: HeaderValue,
    /// The number of the fetch, from 1: distinguishes two fetches of the same token.
    pub(super) serial: u64,
    pub(super) granted_at: Instant,
    /// The token is not used after this.
    pub(super) usable_until: Instant,
}

impl Token {
    /// The value of the Authorization header.
    #[must_use]
    pub fn authorization(&self) -> &HeaderValue {
        &self.authorization
    }

    /// The time since it was granted.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.granted_at.elapsed()
    }

    /// The time for which it may still be used.
    #[must_use]
    pub fn usable_for(&self) -> Duration {
        self.usable_until.saturating_duration_since(Instant::now())
    }

    /// Its claims that help an operator; none if it is not a JWT.
    #[must_use]
    pub fn facts(&self) -> Option<TokenFacts> {
        let value = self.authorization.to_str().ok()?;
        insecure_decode_claims(value.strip_prefix("Bearer ")?).ok()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("serial", &self.serial)
            .finish_non_exhaustive()
    }
}

/// A token's claims that help an operator. They are shown, never decided by.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct TokenFacts {
    /// The audience.
    #[serde(default)]
    pub aud: serde_json::Value,
    /// The application (v1).
    pub appid: Option<String>,
    /// The application (v2).
    pub azp: Option<String>,
    /// The tenant.
    pub tid: Option<String>,
    /// The application's object in the tenant.
    pub oid: Option<String>,
    /// The application's roles.
    #[serde(default)]
    pub roles: serde_json::Value,
    /// The expiry, in seconds since 1970.
    pub exp: Option<f64>,
}
