//! A JWT (RFC 7519), parsed and checked against the rules of its issuer (RFC 8725).
//!
//! Nothing in a token chooses how it is checked: the configuration names the algorithms
//! and the issuer's key set the keys. `jku`, `x5u`, `x5c` and `jwk` in a header are
//! ignored.
//!
//! Header and claims are parsed once each, before the signature is verified, because
//! finding the key needs them; `jsonwebtoken::decode` would parse both twice more.

use std::sync::Arc;

use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Header, crypto, decode_header};
use serde_json::Value;

use super::claims::{self, Claims, UniqueClaims};
use super::key_hint::KeyHint;
use super::token_error::TokenError;
use super::verification_key::VerificationKey;
use crate::domain::TokenRules;

/// A token whose signature has not been verified.
pub struct UnverifiedToken<'t> {
    text: &'t str,
    header: Header,
    issuer: String,
    claims: Claims,
}

impl<'t> UnverifiedToken<'t> {
    /// Parses a token.
    ///
    /// # Errors
    /// [`TokenError`] if it is not a JWT in compact form, has a claim twice, has no `iss`,
    /// or demands an extension.
    pub fn read(text: &'t str) -> Result<Self, TokenError> {
        if text.bytes().filter(|b| *b == b'.').count() != 2 {
            return Err(TokenError::Malformed);
        }
        let header = decode_header(text).map_err(|_| TokenError::Malformed)?;
        if header.crit.is_some() {
            return Err(TokenError::Critical);
        }
        let claims = insecure_decode_claims(text);
        let UniqueClaims(claims) = claims.map_err(|_| TokenError::Malformed)?;
        let Some(Value::String(issuer)) = claims.get("iss") else {
            return Err(TokenError::Malformed);
        };
        Ok(Self {
            text,
            header,
            issuer: issuer.clone(),
            claims,
        })
    }

    /// Its `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// How it names its key, and the algorithm of its signature.
    #[must_use]
    pub fn key_hint(&self) -> KeyHint<'_> {
        let header = &self.header;
        KeyHint {
            kid: name(&header.kid),
            x5t: name(&header.x5t),
            x5t_s256: name(&header.x5t_s256),
            algorithm: self.header.alg,
        }
    }

    /// Checks what the rules say about the header and the issuer; needs no key.
    ///
    /// # Errors
    /// [`TokenError`]
    pub fn check_header(&self, rules: &TokenRules) -> Result<(), TokenError> {
        if self.issuer != rules.issuer {
            return Err(TokenError::Issuer);
        }
        if !rules.algorithms.contains(&self.header.alg) {
            return Err(TokenError::Algorithm);
        }
        if let Some(wanted) = &rules.typ {
            let found = self.header.typ.as_deref().unwrap_or_default();
            if !plain_type(found).eq_ignore_ascii_case(plain_type(wanted)) {
                return Err(TokenError::Type);
            }
        }
        Ok(())
    }

    /// The one of these keys that has signed it.
    ///
    /// # Errors
    /// [`TokenError::Malformed`] if the signature is not base64url.
    pub(super) fn signer<'k>(
        &self,
        keys: &'k [Arc<VerificationKey>],
    ) -> Result<Option<&'k Arc<VerificationKey>>, TokenError> {
        let (message, signature) = self.text.rsplit_once('.').unwrap_or_default();
        for key in keys {
            let algorithm = self.header.alg;
            match crypto::verify(signature, message.as_bytes(), key.decoding(), algorithm) {
                Ok(true) => return Ok(Some(key)),
                Err(error) if matches!(error.kind(), ErrorKind::Base64(_)) => {
                    return Err(TokenError::Malformed);
                }
                // The rest is about a key that cannot have signed this.
                Ok(false) | Err(_) => {}
            }
        }
        Ok(None)
    }

    /// Its claims, if it is valid now. Its signature must have been verified.
    ///
    /// # Errors
    /// [`TokenError`]
    pub(super) fn claims_in_force(&self, rules: &TokenRules) -> Result<&Claims, TokenError> {
        claims::check(&self.claims, rules)?;
        Ok(&self.claims)
    }

    /// Checks everything but the signature. For explanations only: decide nothing by it.
    ///
    /// # Errors
    /// [`TokenError`]
    pub fn check_unverified(&self, rules: &TokenRules) -> Result<(), TokenError> {
        self.check_header(rules)?;
        claims::check(&self.claims, rules)
    }

    /// Its claims, unverified. For explanations only: decide nothing by them.
    #[must_use]
    pub fn unverified_claims(&self) -> &Claims {
        &self.claims
    }
}

/// The name of a key; an empty one is none.
fn name(member: &Option<String>) -> Option<&str> {
    member.as_deref().filter(|name| !name.is_empty())
}

/// A media type without the optional prefix (RFC 7515 section 4.1.9).
fn plain_type(typ: &str) -> &str {
    match typ.split_at_checked("application/".len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
        _ => typ,
    }
}
