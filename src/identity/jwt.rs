//! A JWT (RFC 7519), taken apart and held against its issuer's rules (RFC 8725).
//!
//! Nothing in a token chooses how it is checked: the issuer's entry in the
//! configuration names the algorithms, and the issuer's own key set the keys.
//! `jku`, `x5u`, `x5c` and `jwk` in a header are not looked at.

use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header, get_current_timestamp};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::jwks::Key;

/// How far clocks may be apart, in seconds.
pub const LEEWAY_SECONDS: u64 = 30;

/// What a token says, once its signature is known to be good.
pub type Claims = Map<String, Value>;

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
}

impl<'t> Unverified<'t> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// [`TokenRefused`] if it is no JWT in compact form, or demands extensions.
    pub fn read(text: &'t str) -> Result<Self, TokenRefused> {
        #[derive(Deserialize)]
        struct Issuer {
            iss: String,
        }
        if text.bytes().filter(|b| *b == b'.').count() != 2 {
            return Err(TokenRefused::Malformed);
        }
        let header = decode_header(text).map_err(|_| TokenRefused::Malformed)?;
        if header.crit.is_some() {
            return Err(TokenRefused::Critical);
        }
        let claims: Issuer = insecure_decode_claims(text).map_err(|_| TokenRefused::Malformed)?;
        Ok(Self {
            text,
            header,
            issuer: claims.iss,
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
    pub fn verify(&self, key: &Key, rules: &Rules) -> Result<Claims, TokenRefused> {
        self.check_header(rules)?;
        let validation = validation(self.header.alg, rules);
        decode::<Claims>(self.text, key.decoding(), &validation)
            .map(|token| token.claims)
            .map_err(|error| refusal(error.kind()))
    }

    /// Whether what it says would be accepted, had its issuer signed it. For explaining
    /// only: nothing may be decided by it.
    ///
    /// # Errors
    /// [`TokenRefused`], whoever has signed it.
    pub fn check_unproven(&self, rules: &Rules) -> Result<(), TokenRefused> {
        self.check_header(rules)?;
        let claims = self.unproven_claims()?;
        let second = |name| match claims.get(name) {
            None => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or(TokenRefused::Claims),
        };
        let (end, begin) = (second("exp")?, second("nbf")?);
        let (now, leeway) = (get_current_timestamp() as f64, LEEWAY_SECONDS as f64);
        let audience = match claims.get("aud").ok_or(TokenRefused::Claims)? {
            Value::Array(several) => several.iter().collect(),
            one => vec![one],
        };
        let mut named = audience.into_iter().filter_map(Value::as_str);
        if end.ok_or(TokenRefused::Claims)? < now - leeway {
            return Err(TokenRefused::Expired);
        }
        if begin.is_some_and(|begin| begin > now + leeway) {
            return Err(TokenRefused::NotYet);
        }
        match named.any(|name| rules.audiences.iter().any(|wanted| wanted == name)) {
            true => Ok(()),
            false => Err(TokenRefused::Audience),
        }
    }

    /// What it says, without any knowledge whether that is true. For explaining
    /// only: nothing may be decided by it.
    ///
    /// # Errors
    /// [`TokenRefused::Malformed`]
    pub fn unproven_claims(&self) -> Result<Claims, TokenRefused> {
        insecure_decode_claims(self.text).map_err(|_| TokenRefused::Malformed)
    }
}

/// What must hold besides the signature.
fn validation(algorithm: Algorithm, rules: &Rules) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.leeway = LEEWAY_SECONDS;
    validation.validate_nbf = true;
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    validation.set_issuer(&[&rules.issuer]);
    validation.set_audience(&rules.audiences);
    validation
}

/// A media type without the prefix that may be left out (RFC 7515 section 4.1.9).
fn plain_type(typ: &str) -> &str {
    match typ.split_at_checked("application/".len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
        _ => typ,
    }
}

fn refusal(kind: &ErrorKind) -> TokenRefused {
    match kind {
        ErrorKind::InvalidSignature => TokenRefused::Signature,
        ErrorKind::ExpiredSignature => TokenRefused::Expired,
        ErrorKind::ImmatureSignature => TokenRefused::NotYet,
        ErrorKind::InvalidAudience => TokenRefused::Audience,
        ErrorKind::InvalidIssuer => TokenRefused::Issuer,
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) => {
            TokenRefused::Claims
        }
        ErrorKind::InvalidAlgorithm | ErrorKind::MissingAlgorithm => TokenRefused::Algorithm,
        ErrorKind::InvalidToken | ErrorKind::Base64(_) | ErrorKind::Json(_) => {
            TokenRefused::Malformed
        }
        // The rest tells of a key that cannot have signed this.
        _ => TokenRefused::Signature,
    }
}
