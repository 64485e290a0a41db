//! A JWT (RFC 7519), taken apart and held against its issuer's rules (RFC 8725).
//!
//! Nothing in a token chooses how it is checked: the issuer's entry in the
//! configuration names the algorithms, and the issuer's own key set the keys.
//! `jku`, `x5u`, `x5c` and `jwk` in a header are not looked at.
//!
//! Header and claims are parsed once each, before the signature is looked at, since
//! what the token says is needed to find the key. `jsonwebtoken::decode` would parse
//! both twice more.

use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, crypto, decode_header};
use serde_json::Value;

use super::claims::{self, Claims, Unique};
use super::jwks::Key;

/// What an issuer's tokens must be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// `iss`, character by character.
    pub issuer: String,
    /// What `aud` must name one of.
    pub audiences: Vec<String>,
    /// What may have signed.
    pub algorithms: Vec<Algorithm>,
    /// The `typ` that the header must have, if any (RFC 8725 section 3.11).
    pub typ: Option<String>,
}

/// Why a token is not accepted. For the log; a caller is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRefused {
    /// It is no JWT.
    Malformed,
    /// Its `iss` is none of the configured issuers.
    Issuer,
    /// Its algorithm is not one of the issuer's.
    Algorithm,
    /// It demands extensions (`crit`, RFC 7515 section 4.1.11); we know none.
    Critical,
    /// Its `typ` is another one.
    Type,
    /// Its issuer publishes no such key.
    Key,
    /// Its signature is another one's.
    Signature,
    /// It is over.
    Expired,
    /// It has not begun.
    NotYet,
    /// It is for somebody else.
    Audience,
    /// `exp`, `iss` or `aud` is missing or malformed.
    Claims,
}

impl TokenRefused {
    /// The reason in one word.
    #[must_use]
    pub fn word(self) -> &'static str {
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

/// A token whose signature has not been looked at.
pub struct Unverified<'t> {
    text: &'t str,
    header: Header,
    issuer: String,
    claims: Claims,
}

impl<'t> Unverified<'t> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// [`TokenRefused`] if it is no JWT in compact form, says something twice, does not
    /// say who has issued it, or demands extensions.
    pub fn read(text: &'t str) -> Result<Self, TokenRefused> {
        if text.bytes().filter(|b| *b == b'.').count() != 2 {
            return Err(TokenRefused::Malformed);
        }
        let header = decode_header(text).map_err(|_| TokenRefused::Malformed)?;
        if header.crit.is_some() {
            return Err(TokenRefused::Critical);
        }
        let claims = insecure_decode_claims(text);
        let Unique(claims) = claims.map_err(|_| TokenRefused::Malformed)?;
        let Some(Value::String(issuer)) = claims.get("iss") else {
            return Err(TokenRefused::Malformed);
        };
        Ok(Self {
            text,
            header,
            issuer: issuer.clone(),
            claims,
        })
    }

    /// Who it says has issued it.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The key that it says has signed it, and how.
    #[must_use]
    pub fn key(&self) -> (Option<&str>, Algorithm) {
        (self.header.kid.as_deref(), self.header.alg)
    }

    /// Everything about it that can be held against the rules without a key.
    ///
    /// # Errors
    /// [`TokenRefused`]
    pub fn check_header(&self, rules: &Rules) -> Result<(), TokenRefused> {
        if self.issuer != rules.issuer {
            return Err(TokenRefused::Issuer);
        }
        if !rules.algorithms.contains(&self.header.alg) {
            return Err(TokenRefused::Algorithm);
        }
        if let Some(wanted) = &rules.typ {
            let found = self.header.typ.as_deref().unwrap_or_default();
            if !plain_type(found).eq_ignore_ascii_case(plain_type(wanted)) {
                return Err(TokenRefused::Type);
            }
        }
        Ok(())
    }

    /// What it says, if this key has signed it and it is valid now.
    ///
    /// # Errors
    /// [`TokenRefused`]
    pub fn verify(&self, key: &Key, rules: &Rules) -> Result<&Claims, TokenRefused> {
        self.check_header(rules)?;
        let (message, signature) = self.text.rsplit_once('.').unwrap_or_default();
        let algorithm = self.header.alg;
        match crypto::verify(signature, message.as_bytes(), key.decoding(), algorithm) {
            Ok(true) => {}
            Ok(false) => return Err(TokenRefused::Signature),
            Err(error) => return Err(unverifiable(error.kind())),
        }
        claims::check(&self.claims, rules)?;
        Ok(&self.claims)
    }

    /// Whether what it says would be accepted, had its issuer signed it. For explaining
    /// only: nothing may be decided by it.
    ///
    /// # Errors
    /// [`TokenRefused`], whoever has signed it.
    pub fn check_unproven(&self, rules: &Rules) -> Result<(), TokenRefused> {
        self.check_header(rules)?;
        claims::check(&self.claims, rules)
    }

    /// What it says, without any knowledge whether that is true. For explaining
    /// only: nothing may be decided by it.
    #[must_use]
    pub fn unproven_claims(&self) -> &Claims {
        &self.claims
    }
}

/// A media type without the prefix that may be left out (RFC 7515 section 4.1.9).
fn plain_type(typ: &str) -> &str {
    match typ.split_at_checked("application/".len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
        _ => typ,
    }
}

/// Why a signature cannot even be looked at.
fn unverifiable(kind: &ErrorKind) -> TokenRefused {
    match kind {
        ErrorKind::Base64(_) => TokenRefused::Malformed,
        // The rest tells of a key that cannot have signed this.
        _ => TokenRefused::Signature,
    }
}
