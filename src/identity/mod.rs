//! Authentication: from a credential to a caller. The `policy`
//! decides what the caller may do.
//!
//! An [`Authenticator`] is one version of the configuration. It is replaced as a whole,
//! and a request keeps the one that it began with.

mod api_key;
mod authenticated;
mod certificate;
mod jwt;

use std::sync::Arc;

pub use api_key::{ApiKeys, DuplicateKey, MAX_KEY, MIN_KEY, hash};
pub use authenticated::{AuthenticatedCaller, AuthenticationError};
pub use certificate::{ClientCa, ClientCertificates, DuplicateSan, InvalidCa, PeerCertificate};
pub use jwt::{
    CallerMatch, Candidates, Claims, InvalidKeySet, Issuer, KeyFetchError, KeyHint, KeyLookupError,
    KeyRefresher, KeySet, KeySource, KeyStore, KeyStoreStatus, LeftOutReason, TokenError, Tokens,
    UnverifiedToken, VerificationKey, VerifyError,
};

/// A credential as it was presented: exactly one.
pub enum Presented<'r> {
    /// An API key.
    ApiKey(&'r [u8]),
    /// A bearer token (RFC 6750).
    Bearer(&'r str),
    /// The certificate of the connection's client.
    Certificate(&'r PeerCertificate),
}

/// Every credential that names a caller.
pub struct Authenticator {
    keys: ApiKeys,
    tokens: Tokens,
    certificates: ClientCertificates,
    challenge: String,
    /// The answer to a bearer token that is not accepted.
    challenge_after_bearer: String,
    accepted: String,
}

impl Authenticator {
    /// Callers by their keys, their tokens and their certificates.
    #[must_use]
    pub fn new(keys: ApiKeys, tokens: Tokens, certificates: ClientCertificates) -> Self {
        let mut challenges = Vec::new();
        let mut descriptions = Vec::new();
        if !keys.is_empty() {
            challenges.push("ApiKey header=\"X-Api-Key\"");
            descriptions.push("an API key in the X-Api-Key header");
        }
        if !tokens.is_empty() {
            challenges.push("Bearer");
            descriptions.push("a bearer token in the Authorization header");
        }
        if !certificates.is_empty() {
            challenges.push("ClientCertificate");
            descriptions.push("a client certificate");
        }
        if descriptions.is_empty() {
            // A 401 names at least one scheme (RFC 9110 section 15.5.2).
            challenges.push("ApiKey header=\"X-Api-Key\"");
            descriptions.push("an API key in the X-Api-Key header (no caller is configured yet)");
        }
        let challenge = challenges.join(", ");
        challenges.retain(|scheme| *scheme != "Bearer");
        challenges.push("Bearer error=\"invalid_token\"");
        Self {
            keys,
            tokens,
            certificates,
            challenge,
            challenge_after_bearer: challenges.join(", "),
            accepted: descriptions.join(" or "),
        }
    }

    /// The caller that presents this.
    ///
    /// # Errors
    /// [`AuthenticationError`]
    pub async fn authenticate(
        &self,
        presented: Presented<'_>,
    ) -> Result<AuthenticatedCaller, AuthenticationError> {
        match presented {
            Presented::ApiKey(key) => self.keys.authenticate(key),
            Presented::Bearer(token) => self.tokens.authenticate(token).await,
            Presented::Certificate(certificate) => self.certificates.authenticate(certificate),
        }
    }

    /// The accepted schemes, for `WWW-Authenticate` (RFC 9110 section 11.6.1).
    #[must_use]
    pub fn challenge(&self) -> &str {
        &self.challenge
    }

    /// As [`Self::challenge`], for a request with a bearer token that is not accepted: OAuth
    /// clients get a new one then (RFC 6750 section 3.1).
    #[must_use]
    pub fn challenge_after_bearer(&self) -> &str {
        &self.challenge_after_bearer
    }

    /// The accepted credentials, as a phrase for a problem's detail.
    #[must_use]
    pub fn accepted(&self) -> &str {
        &self.accepted
    }

    /// Callers by their tokens.
    #[must_use]
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// The CA of client certificates.
    #[must_use]
    pub fn client_ca(&self) -> Option<Arc<ClientCa>> {
        self.certificates.ca()
    }

    /// Problems with issuers' keys, for an operator.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let issuers = self.tokens.issuers().iter();
        issuers.filter_map(|issuer| issuer.keys.warning()).collect()
    }
}
