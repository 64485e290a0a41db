//! From a credential to a caller. Knowing who asks is not yet allowing anything.
//!
//! [`Identity`] is one version of the configuration: it is exchanged as a whole, and
//! a request keeps the one that it began with.

mod api_key;
mod issuer;
mod jwks;
mod jwt;
mod keys;
mod token;

use std::sync::Arc;

pub use api_key::{ApiKeys, DuplicateKey, KeyRefused, MAX_KEY, MIN_KEY, hash};
pub use issuer::{KeySource, KeysFailure};
pub use jwks::{KeySet, NoKeySet};
pub use jwt::{Rules, TokenRefused, Unverified};
pub use keys::{KeyKeeper, Keys};
pub use token::{ClaimMatch, IDENTIFYING, Issuer, NotKnown, Tokens};

use crate::domain::Caller;

/// A credential as it was presented: exactly one.
pub enum Presented<'r> {
    /// An API key.
    ApiKey(&'r [u8]),
    /// A bearer token (RFC 6750).
    Bearer(&'r str),
}

/// Who asks, and how the log calls the credential that says so.
pub struct Known {
    /// The caller.
    pub caller: Arc<Caller>,
    /// The beginning of a key's stored hash; a token's issuer and subject.
    pub mark: Arc<str>,
}

/// Why a credential names no caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// It is not accepted. The reason is for the log only.
    Unknown(&'static str),
    /// It is good, but belongs to no caller, or to more than one.
    Nobody {
        /// How the log calls it.
        mark: Arc<str>,
        /// For the log.
        reason: &'static str,
    },
    /// It cannot be checked at the moment.
    Unavailable,
}

/// Everyone who may be asking.
pub struct Identity {
    keys: ApiKeys,
    tokens: Tokens,
    challenge: String,
    accepted: String,
}

impl Identity {
    /// Callers by their keys, their tokens and their certificates.
    #[must_use]
    pub fn new(keys: ApiKeys, tokens: Tokens) -> Self {
        let mut schemes = Vec::new();
        if !keys.is_empty() || tokens.is_empty() {
            schemes.push((
                "ApiKey header=\"X-Api-Key\"",
                "an API key in the X-Api-Key header",
            ));
        }
        if !tokens.is_empty() {
            schemes.push(("Bearer", "a bearer token in the Authorization header"));
        }
        let (challenges, words): (Vec<_>, Vec<_>) = schemes.into_iter().unzip();
        Self {
            keys,
            tokens,
            challenge: challenges.join(", "),
            accepted: words.join(" or "),
        }
    }

    /// Who presents this.
    ///
    /// # Errors
    /// [`Refused`]
    pub async fn authenticate(&self, presented: Presented<'_>) -> Result<Known, Refused> {
        match presented {
            Presented::ApiKey(key) => {
                let (caller, mark) = self
                    .keys
                    .authenticate(key)
                    .map_err(|KeyRefused| Refused::Unknown("unknown-key"))?;
                Ok(Known { caller, mark })
            }
            Presented::Bearer(token) => {
                let (caller, mark) = self.tokens.authenticate(token).await?;
                Ok(Known { caller, mark })
            }
        }
    }

    /// What is accepted, as a `WWW-Authenticate` says it (RFC 9110 section 11.6.1).
    #[must_use]
    pub fn challenge(&self) -> &str {
        &self.challenge
    }

    /// What is accepted, in words.
    #[must_use]
    pub fn accepted(&self) -> &str {
        &self.accepted
    }

    /// The issuers of tokens.
    #[must_use]
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// What an operator should know.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let issuers = self.tokens.issuers().iter();
        issuers
            .filter_map(|issuer| issuer.keys.complaint())
            .collect()
    }
}

impl From<NotKnown> for Refused {
    fn from(why: NotKnown) -> Self {
        match why {
            NotKnown::Refused(reason) => Self::Unknown(reason.word()),
            NotKnown::NoKeys => Self::Unavailable,
            NotKnown::Nobody { mark, several } => Self::Nobody {
                mark,
                reason: if several {
                    "several-callers-match"
                } else {
                    "no-caller-matches"
                },
            },
        }
    }
}
