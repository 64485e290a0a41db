//! The application's certificates, and the assertions signed by their keys (RFC 7523, and Entra's
//! page "certificate credentials"). What Entra verifies is verified here: the thumbprint, the
//! signature, the audience, the times, and that no assertion is used twice.

use std::collections::HashMap;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

use super::EntraError;
use super::assertion::{Assertion, SKEW, base64url_decode};
use crate::text::hex;

/// The longest lifetime of an assertion, in seconds.
const MAX_LIFETIME: i64 = 600;

/// Why a PEM text cannot be registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CertificateError {
    #[error("there is no certificate in the PEM text")]
    None,
    #[error("the PEM text holds a private key; register the certificate alone")]
    PrivateKey,
    #[error("a certificate in the PEM text cannot be read: {0}")]
    Malformed(String),
}

/// A certificate registered with the application.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    /// Its public key, taken for an RSA key: Entra accepts no others.
    key: DecodingKey,
    sha256: [u8; 32],
    sha1: [u8; 20],
    begins: Timestamp,
    ends: Timestamp,
    /// Valid assertions so far.
    used: u64,
}

impl Certificate {
    /// The certificates of a PEM text, at least one.
    pub(crate) fn parse_all(pem: &str) -> Result<Vec<Self>, CertificateError> {
        if pem.contains("PRIVATE KEY-----") {
            return Err(CertificateError::PrivateKey);
        }
        let all = CertificateDer::pem_slice_iter(pem.as_bytes())
            .map(|der| Self::of(&der.map_err(|error| malformed(&error))?))
            .collect::<Result<Vec<Self>, CertificateError>>()?;
        if all.is_empty() {
            return Err(CertificateError::None);
        }
        Ok(all)
    }

    fn of(der: &[u8]) -> Result<Self, CertificateError> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|error| malformed(&error))?;
        let time = |time: ASN1Time| Timestamp::from_second(time.timestamp());
        let validity = parsed.validity();
        Ok(Self {
            key: DecodingKey::from_rsa_der(&parsed.public_key().subject_public_key.data),
            sha256: Sha256::digest(der).into(),
            // `sha1` has a later version of `Digest` than `sha2`.
            sha1: <Sha1 as sha1::Digest>::digest(der).into(),
            begins: time(validity.not_before).map_err(|error| malformed(&error))?,
            ends: time(validity.not_after).map_err(|error| malformed(&error))?,
            used: 0,
        })
    }

    fn is_same(&self, other: &Self) -> bool {
        self.sha256 == other.sha256
    }

    /// Whether its key made this signature with the algorithm in `alg`.
    fn signed(&self, assertion: &Assertion<'_>) -> bool {
        match assertion.header["alg"].as_str() {
            Some("PS256") => assertion.is_signed_by(&self.key, Algorithm::PS256),
            Some("RS256") => assertion.is_signed_by(&self.key, Algorithm::RS256),
            _ => false,
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "sha256": hex(&self.sha256),
            "x5t#S256": BASE64_URL_SAFE_NO_PAD.encode(self.sha256),
            "x5t": BASE64_URL_SAFE_NO_PAD.encode(self.sha1),
            "notBefore": self.begins.to_string(),
            "notAfter": self.ends.to_string(),
            "used": self.used,
        })
    }
}

fn malformed(error: &dyn std::fmt::Display) -> CertificateError {
    CertificateError::Malformed(error.to_string())
}

/// The application's certificates, and the assertions that were used.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    all: Vec<Certificate>,
    /// Until when each `jti`, by its hash, is remembered: as long as the assertion could be
    /// valid.
    used_jtis: HashMap<[u8; 32], i64>,
}

impl Certificates {
    /// Replaces the certificates. One that stays keeps its count; used assertions stay used.
    pub(crate) fn set(&mut self, mut all: Vec<Certificate>) {
        for certificate in &mut all {
            let known = self.all.iter().find(|known| known.is_same(certificate));
            certificate.used = known.map_or(0, |known| known.used);
        }
        self.all = all;
    }

    pub(crate) fn add(&mut self, more: Vec<Certificate>) {
        for certificate in more {
            if !self.all.iter().any(|known| known.is_same(&certificate)) {
                self.all.push(certificate);
            }
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        self.all.iter().map(Certificate::to_json).collect()
    }

    /// Refuses an assertion of the client's own that Entra would refuse, and spends it if it
    /// is good. `is_known_publisher` tells this tenant's token endpoint from other audiences.
    pub(super) fn check(
        &mut self,
        assertion: &Assertion<'_>,
        client: &str,
        is_known_publisher: impl Fn(&str) -> bool,
        now: Timestamp,
    ) -> Result<(), EntraError> {
        if assertion.text("iss") != client || assertion.text("sub") != client {
            return Err(EntraError::AssertionSubject);
        }
        let index = self.signer(assertion, now)?;
        if !assertion.audiences().into_iter().any(is_known_publisher) {
            return Err(EntraError::AssertionAudience);
        }
        check_times(assertion, now)?;
        self.consume(assertion, now)?;
        self.all[index].used += 1;
        Ok(())
    }

    /// The index of the certificate that verifies the assertion.
    fn signer(&self, assertion: &Assertion<'_>, now: Timestamp) -> Result<usize, EntraError> {
        let typed = assertion.header["typ"].as_str();
        let alg = assertion.header["alg"].as_str();
        if !typed.is_some_and(|typ| typ.eq_ignore_ascii_case("JWT"))
            || !matches!(alg, Some("PS256" | "RS256"))
        {
            return Err(EntraError::AssertionSignature);
        }
        let print = thumbprint(&assertion.header).ok_or(EntraError::AssertionThumbprint)?;
        let named = hex(&print).to_ascii_uppercase();
        let index = self
            .all
            .iter()
            .position(|known| known.sha256[..] == print || known.sha1[..] == print);
        let index = index.ok_or_else(|| EntraError::CertificateUnknown(named.clone()))?;
        let certificate = &self.all[index];
        if now < certificate.begins || now >= certificate.ends {
            let (begins, ends) = (certificate.begins.to_string(), certificate.ends.to_string());
            return Err(EntraError::CertificateExpired(begins, ends, named));
        }
        if !certificate.signed(assertion) {
            return Err(EntraError::CertificateSignature(named));
        }
        Ok(index)
    }

    /// Marks the assertion's `jti` as used. Only verified assertions come this far, so that no
    /// forged one can use up a `jti`.
    fn consume(&mut self, assertion: &Assertion<'_>, now: Timestamp) -> Result<(), EntraError> {
        let jti = assertion.text("jti");
        if jti.is_empty() {
            return Err(EntraError::AssertionMalformed);
        }
        let ends = assertion.time("exp")? + SKEW;
        self.used_jtis.retain(|_, until| *until > now.as_second());
        let before = self.used_jtis.insert(Sha256::digest(jti).into(), ends);
        match before {
            Some(_) => Err(EntraError::AssertionReplayed),
            None => Ok(()),
        }
    }
}

/// An assertion must have all three times and a lifetime of at most ten minutes.
fn check_times(assertion: &Assertion<'_>, now: Timestamp) -> Result<(), EntraError> {
    let (issued, ends) = (assertion.time("iat")?, assertion.time("exp")?);
    assertion.time("nbf")?;
    assertion.check_times(now)?;
    let too_long = ends - issued > MAX_LIFETIME || ends > now.as_second() + MAX_LIFETIME + SKEW;
    if too_long || issued > now.as_second() + SKEW {
        return Err(assertion.untimely(now));
    }
    Ok(())
}

/// The thumbprint in a header, SHA-256 before SHA-1.
fn thumbprint(header: &Value) -> Option<Vec<u8>> {
    let members = [("x5t#S256", 32), ("x5t", 20)];
    members.into_iter().find_map(|(name, length)| {
        let hash = header[name].as_str().and_then(base64url_decode)?;
        (hash.len() == length).then_some(hash)
    })
}
