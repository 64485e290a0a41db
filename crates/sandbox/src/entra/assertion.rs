//! Client assertions (RFC 7523), as far as those of certificates and of workload identities are
//! alike: a signed JWT, its audiences and its times. No claim may be trusted before the signature
//! is verified.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde_json::Value;

use super::EntraError;

/// The value of `client_assertion_type`.
pub(super) const KIND: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The clock skew that Entra accepts, in seconds.
pub(super) const SKEW: i64 = 300;

/// A JWT whose signature is not verified yet.
pub(super) struct Assertion<'a> {
    pub(super) header: Value,
    pub(super) claims: Value,
    /// What is signed: the first two parts and the dot between them.
    pub(super) message: &'a str,
    /// The third part, encoded.
    pub(super) signature: &'a str,
}

impl<'a> Assertion<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, EntraError> {
        Self::of(text).ok_or(EntraError::AssertionMalformed)
    }

    fn of(text: &'a str) -> Option<Self> {
        let (message, signature) = text.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let json = |part: &str| -> Option<Value> {
            let value: Value = serde_json::from_slice(&base64url_decode(part)?).ok()?;
            value.is_object().then_some(value)
        };
        (!base64url_decode(signature)?.is_empty()).then_some(Self {
            header: json(header)?,
            claims: json(claims)?,
            message,
            signature,
        })
    }

    pub(super) fn is_signed_by(&self, key: &DecodingKey, algorithm: Algorithm) -> bool {
        crypto::verify(self.signature, self.message.as_bytes(), key, algorithm).unwrap_or(false)
    }

    /// A claim that is text; empty if it is missing or not text.
    pub(super) fn text(&self, claim: &str) -> &str {
        self.claims[claim].as_str().unwrap_or_default()
    }

    /// A claim that is a time.
    pub(super) fn time(&self, claim: &str) -> Result<i64, EntraError> {
        let time = self.claims[claim].as_i64();
        time.ok_or(EntraError::AssertionMalformed)
    }

    /// `aud`, one or several.
    pub(super) fn audiences(&self) -> Vec<&str> {
        match &self.claims["aud"] {
            Value::String(one) => vec![one],
            Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// Checks `exp` and `nbf`.
    pub(super) fn check_times(&self, now: Timestamp) -> Result<(), EntraError> {
        let seconds = now.as_second();
        let begins = self.claims["nbf"].as_i64().unwrap_or(seconds);
        if self.time("exp")? + SKEW <= seconds || begins - SKEW > seconds {
            return Err(self.untimely(now));
        }
        Ok(())
    }

    /// The error that shows the times.
    pub(super) fn untimely(&self, now: Timestamp) -> EntraError {
        let moment = |claim: &str| {
            let second = self.claims[claim].as_i64().unwrap_or_default();
            Timestamp::from_second(second)
                .unwrap_or(Timestamp::MAX)
                .to_string()
        };
        EntraError::AssertionTime(now.to_string(), moment("nbf"), moment("exp"))
    }
}

/// Decodes base64url; `None` if it is not that.
pub(super) fn base64url_decode(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}
