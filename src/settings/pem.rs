//! PEM files (RFC 7468): certificates and private keys, for the public listener and for
//! Entra.
//!
//! They are read with the configuration and not at their first use: a key that does not
//! fit its certificate is found before a caller connects, and before a running gateway
//! applies it.

use std::sync::Arc;

use rustls::SignatureAlgorithm;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};

use super::files;
use super::reader::Table;
use crate::domain::{Certificate, without_byte_order_mark};

/// The longest chain or bundle of authorities, in bytes.
const MAX_CERTIFICATES_BYTES: u64 = 1024 * 1024;
pub(super) const UNREADABLE_CERTIFICATE: &str =
    "names a file whose first certificate is unreadable";

/// A certificate chain.
pub(super) struct Chain {
    pub(super) certificates: Vec<CertificateDer<'static>>,
    /// The first of them.
    pub(super) leaf: Certificate,
}

/// At least one certificate; none if no file is named.
pub fn certificates(
    t: &mut Table<'_, '_>,
    name: &'static str,
) -> Option<Option<Vec<CertificateDer<'static>>>> {
    let Some((at, path)) = t.path(name)? else {
        return Some(None);
    };
    let read = files::read(&path, MAX_CERTIFICATES_BYTES);
    let bytes = t.reading.good(&at, read)?.bytes;
    // The mark would be taken for a part of the first line.
    let sections = CertificateDer::pem_slice_iter(without_byte_order_mark(&bytes));
    let found: Result<Vec<_>, pem::Error> = sections.collect();
    let found = match found {
        Ok(found) if found.is_empty() => Err("names a file without a certificate; PEM is expected"),
        // The parser's error would quote the file.
        Err(_) => Err("names a file that is not valid PEM"),
        Ok(found) => Ok(found),
    };
    t.reading.good(&at, found).map(Some)
}

/// As [`certificates`], with the first one read.
pub fn chain(t: &mut Table<'_, '_>, name: &'static str) -> Option<Option<Chain>> {
    let Some(certificates) = certificates(t, name)? else {
        return Some(None);
    };
    let Some(leaf) = certificates.first().and_then(Certificate::parse) else {
        t.problem(name, UNREADABLE_CERTIFICATE);
        return None;
    };
    Some(Some(Chain { certificates, leaf }))
}

/// A key that can sign, of one of the algorithms that the problem calls `accepted`; none if
/// no file is named. Below 2048 bits, aws-lc has refused an RSA key.
pub fn private_key(
    t: &mut Table<'_, '_>,
    name: &'static str,
    accepts: fn(SignatureAlgorithm) -> bool,
    accepted: &str,
) -> Option<Option<Arc<dyn SigningKey>>> {
    let Some((at, path)) = t.path(name)? else {
        return Some(None);
    };
    // Around the key there may be text in any encoding (RFC 7468 section 2).
    let bytes = t.read_private(&at, &path)?;
    let der = PrivateKeyDer::from_pem_slice(without_byte_order_mark(&bytes)).map_err(|_| {
        "names a file without a private key; PEM is expected: PKCS#8, PKCS#1 or SEC1, not encrypted"
    });
    let der = t.reading.good(&at, der)?;
    let provider = aws_lc_rs::default_provider();
    let key = provider.key_provider.load_private_key(der).ok();
    let key = key.filter(|key| accepts(key.algorithm()));
    let wrong = || format!("names a file with an unsupported private key: {accepted}");
    t.reading.good(&at, key.ok_or_else(wrong)).map(Some)
}

/// Joins a chain and its private key, if they belong together.
pub fn identity(
    t: &mut Table<'_, '_>,
    (cert_name, chain): (&'static str, Chain),
    (key_name, key): (&'static str, Arc<dyn SigningKey>),
) -> Option<Arc<CertifiedKey>> {
    if !chain.leaf.fits(&*key) {
        let cert_key = t.at(cert_name).key;
        let message = format!("does not belong to the first certificate of {cert_key}");
        t.contradiction(key_name, message);
        return None;
    }
    Some(Arc::new(CertifiedKey::new(chain.certificates, key)))
}
