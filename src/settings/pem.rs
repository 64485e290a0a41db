//! PEM files: certificates and private keys, for our listener and for Entra.
//!
//! They are read here and not at their first use: a certificate that does not fit its
//! key is found before anyone connects, and before a running gateway takes it over.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::SignatureAlgorithm;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::checker::Checker;
use super::field::Field;
use super::files;
use super::problem::KeyPath;

/// No chain and no bundle of authorities is longer, in bytes.
const MAX_CERTIFICATES_BYTES: u64 = 1024 * 1024;
pub(super) const NO_LEAF: &str = "names a file whose first certificate cannot be understood";

/// At least one certificate; none if no file is named.
pub(super) fn certificates(
    c: &mut Checker<'_>,
    key: &KeyPath,
    field: Field<String>,
) -> Option<Option<Vec<CertificateDer<'static>>>> {
    let Some(path) = files::path(c, key, field)? else {
        return Some(None);
    };
    let bytes = match files::read(&path, MAX_CERTIFICATES_BYTES) {
        Ok((bytes, _)) => bytes,
        Err(error) => {
            c.problem(key, error.to_string());
            return None;
        }
    };
    // The parser's errors quote the file.
    let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Some(Some(found)),
        Ok(_) => {
            c.problem(key, "names a file without a certificate: PEM is expected");
            None
        }
        Err(_) => {
            c.problem(key, "names a file that is not valid PEM");
            None
        }
    }
}

/// What a certificate says of itself, without asking who signed it.
pub(super) struct Leaf {
    not_before: Timestamp,
    /// When it ends.
    pub(super) not_after: Timestamp,
    /// Its SubjectPublicKeyInfo (RFC 5280, 4.1.2.7), DER.
    public_key: Vec<u8>,
}

/// Where now is in a certificate's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    NotYet,
    Over,
    /// Valid, for as many whole days.
    Left(i64),
}

impl Leaf {
    pub(super) fn age(&self, now: Timestamp) -> Age {
        const DAY: i64 = 24 * 60 * 60;
        /// Between the clock of whoever issued it a moment ago and ours, in seconds.
        const LEEWAY: i64 = 300;
        if now.as_second() + LEEWAY < self.not_before.as_second() {
            Age::NotYet
        } else if now > self.not_after {
            Age::Over
        } else {
            Age::Left((self.not_after.as_second() - now.as_second()) / DAY)
        }
    }
}

/// Reads the first certificate of a chain.
pub(super) fn leaf(
    c: &mut Checker<'_>,
    key: &KeyPath,
    chain: &[CertificateDer<'static>],
) -> Option<Leaf> {
    let first = chain.first().map(|der| X509Certificate::from_der(der));
    let Some(Ok((&[], first))) = first else {
        c.problem(key, NO_LEAF);
        return None;
    };
    // 9999-12-31T23:59:59Z, which stands for "never" (RFC 5280, 4.1.2.5), is past what
    // a `Timestamp` can hold.
    let at = |second: i64| Timestamp::from_second(second).unwrap_or(Timestamp::MAX);
    let validity = first.validity();
    Some(Leaf {
        not_before: at(validity.not_before.timestamp()),
        not_after: at(validity.not_after.timestamp()),
        public_key: first.public_key().raw.to_vec(),
    })
}

/// Which private keys will do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    /// Every kind that TLS knows.
    ForTls,
    /// Those that Entra takes:
    /// <https://learn.microsoft.com/entra/identity-platform/certificate-credentials>.
    ForEntra,
}

impl Keys {
    fn wanted(self) -> &'static str {
        match self {
            Self::ForTls => {
                "names a file with a private key that cannot be used: it must be RSA of at least \
                 2048 bits, ECDSA on P-256, P-384 or P-521, or Ed25519"
            }
            Self::ForEntra => {
                "names a file with a private key that cannot be used: it must be RSA of at least \
                 2048 bits, as Entra takes no other"
            }
        }
    }

    fn include(self, key: &dyn SigningKey) -> bool {
        match self {
            Self::ForTls => true,
            // Shorter ones than 2048 bits are refused by aws-lc.
            Self::ForEntra => key.algorithm() == SignatureAlgorithm::RSA,
        }
    }
}

/// A key that can sign; none if no file is named.
pub(super) fn private_key(
    c: &mut Checker<'_>,
    key: &KeyPath,
    field: Field<String>,
    keys: Keys,
) -> Option<Option<Arc<dyn SigningKey>>> {
    let Some(path) = files::path(c, key, field)? else {
        return Some(None);
    };
    let text = files::secret(c, key, &path)?;
    let Ok(der) = PrivateKeyDer::from_pem_slice(text.expose().as_bytes()) else {
        c.problem(
            key,
            "names a file without a private key: PEM is expected, as PKCS#8, PKCS#1 or \
             SEC1, not encrypted",
        );
        return None;
    };
    let provider = aws_lc_rs::default_provider();
    match provider.key_provider.load_private_key(der) {
        Ok(signing_key) if keys.include(&*signing_key) => Some(Some(signing_key)),
        _ => {
            c.problem(key, keys.wanted());
            None
        }
    }
}

/// Puts a chain and its private key together, if they belong together.
pub(super) fn identity(
    c: &mut Checker<'_>,
    (cert_key, chain, leaf): (&KeyPath, Vec<CertificateDer<'static>>, &Leaf),
    (key_key, key): (&KeyPath, Arc<dyn SigningKey>),
) -> Option<Arc<CertifiedKey>> {
    // Also when it cannot be told, which is never the case with aws-lc.
    if key.public_key().is_none_or(|own| *own != *leaf.public_key) {
        c.problem(
            key_key,
            format!("does not belong to the first certificate of {cert_key}"),
        );
        return None;
    }
    Some(Arc::new(CertifiedKey::new(chain, key)))
}
