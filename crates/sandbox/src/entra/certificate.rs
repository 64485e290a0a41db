//! The certificates of an application, and the assertions that their keys sign (RFC 7523,
//! and Entra's page "certificate credentials"). What Entra looks at is verified in earnest:
//! the key by its thumbprint, the signature, the audience, the times, and that no assertion
//! comes twice.

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

use super::Trouble;
use super::assertion::{Assertion, SKEW, base64url_decode};
use crate::text::hex;

/// The longest that an assertion may be good for, in seconds.
const LONGEST: i64 = 600;

/// Why text is no certificate to be registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unregistrable {
    #[error("there is no certificate in the PEM text")]
    None,
    #[error("the PEM text holds a private key; register the certificate alone")]
    PrivateKey,
    #[error("a certificate in the PEM text cannot be read: {0}")]
    Malformed(String),
}

/// One certificate that is registered with the application.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    /// Its public key, used as an RSA key whatever it is.
    key: DecodingKey,
    sha256: [u8; 32],
    sha1: [u8; 20],
    begins: Timestamp,
    ends: Timestamp,
    /// Assertions of its key that were good.
    used: u64,
}

impl Certificate {
    /// The certificates of a PEM text, of which there must be one at least.
    pub(crate) fn all_of(pem: &str) -> Result<Vec<Self>, Unregistrable> {
        if pem.contains("PRIVATE KEY-----") {
            return Err(Unregistrable::PrivateKey);
        }
        let all = CertificateDer::pem_slice_iter(pem.as_bytes())
            .map(|der| Self::of(&der.map_err(|error| malformed(&error))?))
            .collect::<Result<Vec<Self>, Unregistrable>>()?;
        if all.is_empty() {
            return Err(Unregistrable::None);
        }
        Ok(all)
    }

    fn of(der: &[u8]) -> Result<Self, Unregistrable> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|error| malformed(&error))?;
        let time = |time: ASN1Time| Timestamp::from_second(time.timestamp());
        let validity = parsed.validity();
        Ok(Self {
            key: DecodingKey::from_rsa_der(&parsed.public_key().subject_public_key.data),
            sha256: Sha256::digest(der).into(),
            // Its `Digest` is of a later version than that of SHA-256.
            sha1: <Sha1 as sha1::Digest>::digest(der).into(),
            begins: time(validity.not_before).map_err(|error| malformed(&error))?,
            ends: time(validity.not_after).map_err(|error| malformed(&error))?,
            used: 0,
        })
    }

    fn is_same(&self, other: &Self) -> bool {
        self.sha256 == other.sha256
    }

    /// Whether its key made this signature, in the manner that `alg` names.
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

fn malformed(error: &dyn std::fmt::Display) -> Unregistrable {
    Unregistrable::Malformed(error.to_string())
}

/// The application's certificates, and the assertions of theirs that were used up.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    all: Vec<Certificate>,
    /// Until when each `jti`, by its hash, is remembered: no longer than the assertion could
    /// be good for.
    spent: HashMap<[u8; 32], i64>,
}

impl Certificates {
    /// Those registered from now on. One that stays keeps its count; what was spent stays so.
    pub(super) fn set(&mut self, mut all: Vec<Certificate>) {
        for certificate in &mut all {
            let known = self.all.iter().find(|known| known.is_same(certificate));
            certificate.used = known.map_or(0, |known| known.used);
        }
        self.all = all;
    }

    pub(super) fn add(&mut self, more: Vec<Certificate>) {
        for certificate in more {
            if !self.all.iter().any(|known| known.is_same(&certificate)) {
                self.all.push(certificate);
            }
        }
    }

    pub(super) fn to_json(&self) -> Value {
        self.all.iter().map(Certificate::to_json).collect()
    }

    /// Refuses an assertion of the client's own that Entra would refuse, and spends it if it
    /// is good. `is_ours` tells this tenant's token endpoint from other audiences.
    pub(super) fn check(
        &mut self,
        assertion: &Assertion<'_>,
        client: &str,
        is_ours: impl Fn(&str) -> bool,
        now: Timestamp,
    ) -> Result<(), Trouble> {
        if assertion.text("iss") != client || assertion.text("sub") != client {
            return Err(Trouble::AssertionSubject);
        }
        let place = self.signer(assertion, now)?;
        if !assertion.audiences().into_iter().any(is_ours) {
            return Err(Trouble::AssertionAudience);
        }
        check_times(assertion, now)?;
        self.spend(assertion, now)?;
        self.all[place].used += 1;
        Ok(())
    }

    /// The place of the certificate that verifies the assertion.
    fn signer(&self, assertion: &Assertion<'_>, now: Timestamp) -> Result<usize, Trouble> {
        let typed = assertion.header["typ"].as_str();
        let alg = assertion.header["alg"].as_str();
        if !typed.is_some_and(|typ| typ.eq_ignore_ascii_case("JWT"))
            || !matches!(alg, Some("PS256" | "RS256"))
        {
            return Err(Trouble::AssertionSignature);
        }
        let print = Thumbprint::of(&assertion.header).ok_or(Trouble::AssertionThumbprint)?;
        let named = print.to_string();
        let place = self.all.iter().position(|known| print.is_of(known));
        let place = place.ok_or_else(|| Trouble::CertificateUnknown(named.clone()))?;
        let certificate = &self.all[place];
        if now < certificate.begins || now >= certificate.ends {
            let (begins, ends) = (certificate.begins.to_string(), certificate.ends.to_string());
            return Err(Trouble::CertificateExpired(begins, ends, named));
        }
        if !certificate.signed(assertion) {
            return Err(Trouble::CertificateSignature(named));
        }
        Ok(place)
    }

    /// Remembers the assertion by its `jti`. Only verified ones come so far, so that nobody
    /// else can use up the client's.
    fn spend(&mut self, assertion: &Assertion<'_>, now: Timestamp) -> Result<(), Trouble> {
        let jti = assertion.text("jti");
        if jti.is_empty() {
            return Err(Trouble::AssertionMalformed);
        }
        let ends = assertion.time("exp")? + SKEW;
        self.spent.retain(|_, until| *until > now.as_second());
        let before = self.spent.insert(Sha256::digest(jti).into(), ends);
        match before {
            Some(_) => Err(Trouble::AssertionReplayed),
            None => Ok(()),
        }
    }
}

/// An assertion says all three times, and ends ten minutes after it was made at the latest.
fn check_times(assertion: &Assertion<'_>, now: Timestamp) -> Result<(), Trouble> {
    let (issued, ends) = (assertion.time("iat")?, assertion.time("exp")?);
    assertion.time("nbf")?;
    assertion.check_times(now)?;
    let too_long = ends - issued > LONGEST || ends > now.as_second() + LONGEST + SKEW;
    if too_long || issued > now.as_second() + SKEW {
        return Err(assertion.untimely(now));
    }
    Ok(())
}

/// The certificate that a header names.
enum Thumbprint {
    Sha256(Vec<u8>),
    Sha1(Vec<u8>),
}

impl Thumbprint {
    fn of(header: &Value) -> Option<Self> {
        let hash = |name: &str, length: usize| {
            let hash = header[name].as_str().and_then(base64url_decode)?;
            (hash.len() == length).then_some(hash)
        };
        hash("x5t#S256", 32)
            .map(Self::Sha256)
            .or_else(|| hash("x5t", 20).map(Self::Sha1))
    }

    fn is_of(&self, certificate: &Certificate) -> bool {
        match self {
            Self::Sha256(hash) => certificate.sha256[..] == hash[..],
            Self::Sha1(hash) => certificate.sha1[..] == hash[..],
        }
    }
}

impl std::fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Sha256(hash) | Self::Sha1(hash)) = self;
        f.write_str(&hex(hash).to_ascii_uppercase())
    }
}
