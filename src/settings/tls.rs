//! TLS on the public listener: certificate, private key, and who may sign clients'.
//!
//! The files are read here and not at the handshake: a certificate that does not
//! fit its key is found before anyone connects, and before a running gateway
//! takes it over.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{CertificateError, Error, RootCertStore};

use super::checker::Checker;
use super::field::{Field, Table};
use super::problem::KeyPath;
use super::{Tls, files, raw};

/// No chain and no bundle of authorities is longer, in bytes.
const MAX_CERTIFICATES_BYTES: u64 = 1024 * 1024;
/// A certificate that ends sooner is worth a warning.
const SOON: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// None inside: TLS is off. The outer none: something is wrong with it.
pub(super) fn tls(
    c: &mut Checker<'_>,
    at: &KeyPath,
    raw: raw::Section<raw::Tls>,
) -> Option<Option<Tls>> {
    let Some(Table(raw)) = c.optional(at, raw)? else {
        return Some(None);
    };
    let provider = aws_lc_rs::default_provider();
    let cert_key = at.key("cert_file");
    let chain = required(c, &cert_key, raw.cert_file, certificates);
    let chain = chain.filter(|chain| leaf_is_good(c, &cert_key, chain, &provider));
    let key_key = at.key("key_file");
    let key = required(c, &key_key, raw.key_file, |c, key, field| {
        private_key(c, key, field, &provider)
    });
    let client_ca = client_ca(c, &at.key("client_ca_file"), raw.client_ca_file);
    let identity = CertifiedKey::new(chain?, key?);
    // Also when it cannot be told, which is never the case with aws-lc.
    if identity.keys_match().is_err() {
        c.problem(
            &key_key,
            format!("does not belong to the first certificate of {cert_key}"),
        );
        return None;
    }
    Some(Some(Tls {
        identity: Arc::new(identity),
        client_ca: client_ca?,
    }))
}

/// Whether clients can present a certificate; true if it cannot be told.
pub(super) fn asks_for_certificates(raw: &raw::Section<raw::Tls>) -> bool {
    match raw {
        Field::Absent => false,
        Field::Set(Table(raw)) => !matches!(raw.client_ca_file, Field::Absent),
        Field::Spelled(_) | Field::Wrong(_) => true,
    }
}

/// What `read` finds under a key that must be there.
fn required<T>(
    c: &mut Checker<'_>,
    key: &KeyPath,
    field: Field<String>,
    read: impl FnOnce(&mut Checker<'_>, &KeyPath, Field<String>) -> Option<Option<T>>,
) -> Option<T> {
    let found = read(c, key, field)?;
    if found.is_none() {
        c.problem(key, "is required");
    }
    found
}

/// At least one certificate; none if no file is named.
fn certificates(
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

/// Whether the server's own certificate can be used, now and for a while.
fn leaf_is_good(
    c: &mut Checker<'_>,
    key: &KeyPath,
    chain: &[CertificateDer<'static>],
    provider: &CryptoProvider,
) -> bool {
    let Some(Ok(leaf)) = chain.first().map(ParsedCertificate::try_from) else {
        c.problem(
            key,
            "names a file whose first certificate cannot be understood",
        );
        return false;
    };
    let now = UnixTime::now();
    let soon = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + SOON);
    match validity(&leaf, now, provider) {
        Validity::Over => c.warning(key, "the certificate has expired"),
        Validity::NotYet => c.warning(key, "the certificate is not valid yet"),
        Validity::Fine => {
            if validity(&leaf, soon, provider) == Validity::Over {
                c.warning(key, "the certificate expires within 7 days");
            }
        }
    }
    true
}

#[derive(PartialEq, Eq)]
enum Validity {
    Fine,
    NotYet,
    Over,
}

/// Asks the verifier, which looks at the dates before it looks for an issuer, and
/// finds none here: its other complaints mean nothing.
fn validity(leaf: &ParsedCertificate<'_>, at: UnixTime, provider: &CryptoProvider) -> Validity {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    let nobody = RootCertStore::empty();
    let algorithms = provider.signature_verification_algorithms.all;
    match verify_server_cert_signed_by_trust_anchor(leaf, &nobody, &[], at, algorithms) {
        Err(Error::InvalidCertificate(Expired | ExpiredContext { .. })) => Validity::Over,
        Err(Error::InvalidCertificate(NotValidYet | NotValidYetContext { .. })) => Validity::NotYet,
        _ => Validity::Fine,
    }
}

/// A key that can sign; none if no file is named.
fn private_key(
    c: &mut Checker<'_>,
    key: &KeyPath,
    field: Field<String>,
    provider: &CryptoProvider,
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
    let Ok(signing_key) = provider.key_provider.load_private_key(der) else {
        c.problem(
            key,
            "names a file with a private key that cannot be used: it must be RSA of at least \
             2048 bits, ECDSA on P-256, P-384 or P-521, or Ed25519",
        );
        return None;
    };
    Some(Some(signing_key))
}

/// Those who may sign clients' certificates; none if no file is named.
fn client_ca(
    c: &mut Checker<'_>,
    key: &KeyPath,
    field: Field<String>,
) -> Option<Option<Arc<[CertificateDer<'static>]>>> {
    let Some(found) = certificates(c, key, field)? else {
        return Some(None);
    };
    let mut roots = RootCertStore::empty();
    for (index, certificate) in found.iter().enumerate() {
        if roots.add(certificate.clone()).is_err() {
            let number = index + 1;
            c.problem(
                key,
                format!("names a file whose certificate number {number} cannot be understood"),
            );
        }
    }
    (roots.len() == found.len()).then(|| Some(found.into()))
}
