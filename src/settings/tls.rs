//! TLS on the public listener: certificate, private key, and who may sign clients'.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::server::ParsedCertificate;

use super::checker::Checker;
use super::field::{Field, Table};
use super::pem::{self, Age, Keys, Leaf};
use super::problem::KeyPath;
use super::{Tls, raw};

/// A certificate that ends sooner is worth a warning, in days.
const SOON: i64 = 7;

/// None inside: TLS is off. The outer none: something is wrong with it.
pub(super) fn tls(
    c: &mut Checker<'_>,
    at: &KeyPath,
    raw: raw::Section<raw::Tls>,
) -> Option<Option<Tls>> {
    let Some(Table(raw)) = c.optional(at, raw)? else {
        return Some(None);
    };
    let cert_key = at.key("cert_file");
    let chain = required(c, &cert_key, raw.cert_file, pem::certificates);
    let leaf = chain.as_ref().and_then(|chain| leaf(c, &cert_key, chain));
    let key_key = at.key("key_file");
    let key = required(c, &key_key, raw.key_file, |c, key, field| {
        pem::private_key(c, key, field, Keys::ForTls)
    });
    let client_ca = client_ca(c, &at.key("client_ca_file"), raw.client_ca_file);
    let identity = pem::identity(c, (&cert_key, chain?, &leaf?), (&key_key, key?))?;
    Some(Some(Tls {
        identity,
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

/// The server's own certificate, if it can be used; that it cannot be for long is worth
/// a warning.
fn leaf(c: &mut Checker<'_>, key: &KeyPath, chain: &[CertificateDer<'static>]) -> Option<Leaf> {
    let leaf = pem::leaf(c, key, chain)?;
    // Clients of TLS take version 3 only (RFC 8446, 4.4.2.2), and so does this.
    let understood = |der| ParsedCertificate::try_from(der).is_ok();
    if !chain.first().is_some_and(understood) {
        c.problem(key, pem::NO_LEAF);
        return None;
    }
    match leaf.age(Timestamp::now()) {
        Age::Over => c.warning(key, "the certificate has expired"),
        Age::NotYet => c.warning(key, "the certificate is not valid yet"),
        Age::Left(days) if days < SOON => {
            c.warning(key, "the certificate expires within 7 days");
        }
        Age::Left(_) => {}
    }
    Some(leaf)
}

/// Those who may sign clients' certificates; none if no file is named.
fn client_ca(
    c: &mut Checker<'_>,
    key: &KeyPath,
    field: Field<String>,
) -> Option<Option<Arc<[CertificateDer<'static>]>>> {
    let Some(found) = pem::certificates(c, key, field)? else {
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
