//! X.509 certificates (RFC 5280): the only reader of what a certificate says about itself.
//! The signature is not checked here.

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::sign::SigningKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::San;

/// The parts of a certificate that the gateway uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// When its validity begins.
    pub not_before: Timestamp,
    /// When its validity ends.
    pub not_after: Timestamp,
    /// Its SubjectPublicKeyInfo (section 4.1.2.7), DER.
    public_key: Vec<u8>,
    /// The DNS names and URIs among its subject alternative names, wildcards left out.
    pub names: Vec<San>,
}

/// The public key of a certificate, of the kinds that sign callers' tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateKey {
    /// RSA: big-endian, perhaps with leading zeros.
    Rsa {
        /// The modulus.
        modulus: Vec<u8>,
        /// The public exponent.
        exponent: Vec<u8>,
    },
    /// A point on an elliptic curve, as SEC 1 section 2.3.3 writes it.
    Point(Vec<u8>),
}

/// A secret or certificate of a credential that expires within this many days is worth a
/// warning: its successor has to be requested, and registered with the application.
pub const EXPIRY_WARNING_DAYS: i64 = 30;

/// A certificate's validity at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// Not valid yet.
    NotYetValid,
    /// Expired.
    Expired,
    /// Valid, with this number of whole days left.
    Days(i64),
}

impl Certificate {
    /// Reads a certificate of any version; none if it is not one.
    #[must_use]
    pub fn parse(der: &CertificateDer<'_>) -> Option<Self> {
        let Ok((&[], certificate)) = X509Certificate::from_der(der) else {
            return None;
        };
        let validity = certificate.validity();
        Some(Self {
            not_before: timestamp(validity.not_before.timestamp()),
            not_after: timestamp(validity.not_after.timestamp()),
            public_key: certificate.public_key().raw.to_vec(),
            names: names(&certificate),
        })
    }

    /// Its validity at `now`.
    #[must_use]
    pub fn validity(&self, now: Timestamp) -> Validity {
        const DAY: i64 = 24 * 60 * 60;
        /// Tolerance between this machine's clock and that of an authority that issued it just now, in seconds.
        const LEEWAY: i64 = 300;
        if now.as_second() + LEEWAY < self.not_before.as_second() {
            Validity::NotYetValid
        } else if now > self.not_after {
            Validity::Expired
        } else {
            Validity::Days((self.not_after.as_second() - now.as_second()) / DAY)
        }
    }

    /// Its public key; none if it is of another kind.
    #[must_use]
    pub fn key(&self) -> Option<CertificateKey> {
        let (_, info) = SubjectPublicKeyInfo::from_der(&self.public_key).ok()?;
        match info.parsed().ok()? {
            PublicKey::RSA(key) => Some(CertificateKey::Rsa {
                modulus: key.modulus.to_vec(),
                exponent: key.exponent.to_vec(),
            }),
            PublicKey::EC(point) => Some(CertificateKey::Point(point.data().to_vec())),
            _ => None,
        }
    }

    /// Whether the private key belongs to it. As `CertifiedKey::keys_match`, which refuses
    /// certificates of version 1; Entra accepts those.
    #[must_use]
    pub fn fits(&self, key: &dyn SigningKey) -> bool {
        key.public_key().is_some_and(|own| *own == *self.public_key)
    }
}

/// 9999-12-31T23:59:59Z, which means "never" (section 4.1.2.5), is later than a
/// `Timestamp` can be.
fn timestamp(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}

/// A name counts only as the kind that the certificate says it is: a URI without a scheme
/// is not a DNS name.
fn names(certificate: &X509Certificate<'_>) -> Vec<San> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let names = extension.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(text) => San::parse(text)
                .ok()
                .filter(|san| matches!(san, San::Dns(_))),
            GeneralName::URI(text) => San::parse(text)
                .ok()
                .filter(|san| matches!(san, San::Uri(_))),
            _ => None,
        })
        .collect()
}
