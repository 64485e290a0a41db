//! The rules for callers' JWTs, and the claims that identify a caller.

use std::collections::BTreeMap;

use jsonwebtoken::Algorithm;

/// The signature algorithms that can be accepted, with their names (RFC 7518, 3.1): only
/// asymmetric ones, since the gateway itself could make any other signature.
pub const JWT_ALGORITHMS: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// The rules for an issuer's tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRules {
    /// `iss`, compared character by character.
    pub issuer: String,
    /// `aud` must contain one of these; at least one.
    pub audiences: Vec<String>,
    /// The accepted signature algorithms; at least one.
    pub algorithms: Vec<Algorithm>,
    /// The `typ` that the header must have, if any (RFC 8725 section 3.11).
    pub typ: Option<String>,
}

/// The tokens that identify a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimMatch {
    /// The issuer.
    pub issuer: String,
    /// The claims that the token must have; at least one of
    /// [`IDENTIFYING_CLAIMS`](super::IDENTIFYING_CLAIMS) is among them.
    pub claims: BTreeMap<String, String>,
}
