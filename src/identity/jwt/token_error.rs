//! Why a token is not accepted.

/// Why a token is not accepted. Logged, and withheld from callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenError {
    /// Not a JWT.
    Malformed,
    /// `iss` is not a configured issuer.
    Issuer,
    /// The algorithm is not one of the issuer's.
    Algorithm,
    /// `crit` demands an extension (RFC 7515 section 4.1.11); none is supported.
    Critical,
    /// `typ` is not the required one.
    Type,
    /// The issuer publishes no such key.
    Key,
    /// The signature is wrong.
    Signature,
    /// `exp` has passed.
    Expired,
    /// `nbf` has not come.
    NotYet,
    /// `aud` does not name the gateway.
    Audience,
    /// `exp`, `iss` or `aud` is missing or malformed.
    Claims,
}

impl TokenError {
    /// The reason as a code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed-token",
            Self::Issuer => "unknown-issuer",
            Self::Algorithm => "wrong-algorithm",
            Self::Critical => "critical-extension",
            Self::Type => "wrong-type",
            Self::Key => "unknown-signing-key",
            Self::Signature => "wrong-signature",
            Self::Expired => "expired",
            Self::NotYet => "not-yet-valid",
            Self::Audience => "wrong-audience",
            Self::Claims => "missing-claim",
        }
    }
}
