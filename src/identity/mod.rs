//! From a credential to a caller. Knowing who asks is not yet allowing anything.
//!
//! [`Identity`] is one version of the configuration: it is exchanged as a whole, and
//! a request keeps the one that it began with.

mod api_key;
mod certificate;
mod claims;
mod issuer;
mod jwks;
mod jwt;
mod keys;
mod token;

use std::sync::Arc;

pub use api_key::{ApiKeys, DuplicateKey, KeyRefused, MAX_KEY, MIN_KEY, hash};
pub use certificate::{
    CertificateRefused, ClientCa, ClientCertificates, DuplicateSan, InvalidCa, PeerCertificate,
};
pub use claims::Claims;
pub use issuer::{KeySource, KeysFailure};
pub use jwks::{KeySet, NoKeySet};
pub use jwt::{Rules, TokenRefused, Unverified};
pub use keys::{KeyKeeper, Keys, NoKey};
pub use token::{ClaimMatch, Issuer, NotKnown, NotOne, NotProven, Tokens};

use crate::domain::{Caller, San};

/// A credential as it was presented: exactly one.
pub enum Presented<'r> {
    /// An API key.
    ApiKey(&'r [u8]),
    /// A bearer token (RFC 6750).
    Bearer(&'r str),
    /// The certificate of the connection's client.
    Certificate(&'r PeerCertificate),
}

/// Who asks, and how the log calls the credential that says so.
pub struct Known {
    /// The caller.
    pub caller: Arc<Caller>,
    /// The beginning of a key's stored hash; a token's issuer and subject; a
    /// certificate's name.
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
    certificates: ClientCertificates,
    challenge: String,
    accepted: String,
}

impl Identity {
    /// Callers by their keys, their tokens and their certificates.
    #[must_use]
    pub fn new(keys: ApiKeys, tokens: Tokens, certificates: ClientCertificates) -> Self {
        let mut challenges = Vec::new();
        let mut words = Vec::new();
        if !keys.is_empty() {
            challenges.push("ApiKey header=\"X-Api-Key\"");
            words.push("an API key in the X-Api-Key header");
        }
        if !tokens.is_empty() {
            challenges.push("Bearer");
            words.push("a bearer token in the Authorization header");
        }
        if !certificates.is_empty() {
            challenges.push("ClientCertificate");
            words.push("a client certificate");
        }
        if words.is_empty() {
            // A 401 names at least one scheme (RFC 9110 section 15.5.2).
            challenges.push("ApiKey header=\"X-Api-Key\"");
            words.push("nobody at present");
        }
        Self {
            keys,
            tokens,
            certificates,
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
            Presented::Certificate(certificate) => {
                let (caller, name) = self.certificates.authenticate(certificate)?;
                let mark = format!("certificate {name}").into();
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

    /// Who may sign client certificates.
    #[must_use]
    pub fn client_ca(&self) -> Option<Arc<ClientCa>> {
        self.certificates.ca()
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
                reason: if several { SEVERAL_CALLERS } else { NO_CALLER },
            },
        }
    }
}

impl From<CertificateRefused> for Refused {
    fn from(why: CertificateRefused) -> Self {
        let nobody = |names: &[San], reason| {
            let names: Vec<String> = names.iter().map(San::to_string).collect();
            let names = names.join(" ");
            let names = &names[..names.floor_char_boundary(MAX_LOGGED)];
            Self::Nobody {
                mark: format!("certificate {names}").into(),
                reason,
            }
        };
        match why {
            CertificateRefused::Untrusted => Self::Unknown("untrusted-certificate"),
            CertificateRefused::NoCaller { names } => nobody(&names, NO_CALLER),
            CertificateRefused::SeveralCallers { names } => nobody(&names, SEVERAL_CALLERS),
        }
    }
}

/// The longest name or subject that is logged, in bytes: others choose it.
const MAX_LOGGED: usize = 256;
const NO_CALLER: &str = "no-caller-matches";
const SEVERAL_CALLERS: &str = "several-callers-match";
