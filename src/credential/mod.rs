//! The managed credential: one current token per credential, renewed ahead of time.
//!
//! One file a kind says how a token is earned; `keeper` says when. The hot path takes
//! the current token with one atomic load.

mod application;
mod client_certificate;
mod client_secret;
mod disturbance;
mod failure;
mod grant;
mod handle;
mod keeper;
mod managed_identity;
mod source;
mod token_file;
mod workload_identity;

use std::time::Duration;

use actix_web::http::header::HeaderValue;
use jsonwebtoken::dangerous::insecure_decode_claims;
use serde::Deserialize;
use tokio::time::Instant;

pub use application::{Application, TokenEndpoint};
pub use client_certificate::{AssertionAlgorithm, ClientCertificate};
pub use client_secret::ClientSecret;
pub use failure::Failure;
pub use handle::{Handle, Refreshed, Standing, Unavailable};
pub use keeper::Keeper;
pub use managed_identity::{ManagedEndpoint, ManagedIdentity};
pub use source::Source;
pub use token_file::TokenFile;
pub use workload_identity::WorkloadIdentity;

/// A token, ready to be put into a request.
pub struct Token {
    /// `Bearer …`, marked sensitive, so that no `Debug` prints it.
    authorization: HeaderValue,
    /// Tells one fetched token from the next, also when both are the same text.
    serial: u64,
    granted_at: Instant,
    /// From here on it is not used any more.
    usable_until: Instant,
}

impl Token {
    /// The value of the Authorization header.
    #[must_use]
    pub fn authorization(&self) -> &HeaderValue {
        &self.authorization
    }

    /// How long ago it was granted.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.granted_at.elapsed()
    }

    /// How long it may still be used.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.usable_until.saturating_duration_since(Instant::now())
    }
}

/// What a token says of itself, as far as it helps an operator. Nothing of it is
/// decided by, and it is not the token.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct TokenFacts {
    /// Whom it is for.
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
    /// What the application may, in the tenant's words.
    #[serde(default)]
    pub roles: serde_json::Value,
    /// When it ends, in seconds since 1970.
    pub exp: Option<f64>,
}

impl Token {
    /// What it says of itself; none if it is no JWT.
    #[must_use]
    pub fn facts(&self) -> Option<TokenFacts> {
        let value = self.authorization.to_str().ok()?;
        insecure_decode_claims(value.strip_prefix("Bearer ")?).ok()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("serial", &self.serial)
            .finish_non_exhaustive()
    }
}

/// What a token endpoint grants: the header value, and for how long.
pub struct Grant {
    authorization: HeaderValue,
    lifetime: Duration,
}
