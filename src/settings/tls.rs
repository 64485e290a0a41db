//! `[server.tls]`: the listener's certificate, its private key, and the authorities of
//! client certificates.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;

use super::context::Context;
use super::expiry;
use super::pem::{self, Chain, UNREADABLE_CERTIFICATE};
use super::reader::Table;

/// A server certificate that ends sooner is worth a warning.
const RENEWAL_DAYS: i64 = 7;

const SUPPORTED_KEYS: &str = "it must be RSA of at least 2048 bits, ECDSA on P-256, P-384 or P-521, \
                              or Ed25519";

/// TLS on the public listener. The files have been read.
#[derive(Clone)]
pub struct TlsSettings {
    /// The certificate chain and its private key, which belong together.
    pub identity: Arc<CertifiedKey>,
    /// The authorities of client certificates; none: no client is asked for one.
    pub client_ca: Option<Arc<[CertificateDer<'static>]>>,
}

impl PartialEq for TlsSettings {
    fn eq(&self, other: &Self) -> bool {
        self.identity.cert == other.identity.cert && self.client_ca == other.client_ca
    }
}

impl fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsSettings")
    }
}

pub fn read(t: &mut Table<'_, '_>, context: &mut Context) -> Option<TlsSettings> {
    let chain = pem::chain(t, "cert_file");
    let chain = t.needed("cert_file", chain);
    let chain = chain.filter(|chain| check_server_certificate(t, chain));
    let key = pem::private_key(t, "key_file", |_| true, SUPPORTED_KEYS);
    let key = t.needed("key_file", key);
    context.client_certificates = t.has("client_ca_file");
    let client_ca = client_ca(t);
    Some(TlsSettings {
        identity: pem::identity(t, ("cert_file", chain?), ("key_file", key?))?,
        client_ca: client_ca?,
    })
}

/// Whether the server can use the certificate; warns if it cannot for long.
fn check_server_certificate(t: &mut Table<'_, '_>, chain: &Chain) -> bool {
    // TLS clients accept version 3 only (RFC 8446, 4.4.2.2), and so does this.
    let first = chain.certificates.first();
    if first.is_none_or(|der| ParsedCertificate::try_from(der).is_err()) {
        t.problem("cert_file", UNREADABLE_CERTIFICATE);
        return false;
    }
    let validity = chain.leaf.validity(Timestamp::now());
    if let Some(message) = expiry::warning("certificate", validity, RENEWAL_DAYS) {
        t.warn("cert_file", message);
    }
    true
}

fn client_ca(t: &mut Table<'_, '_>) -> Option<Option<Arc<[CertificateDer<'static>]>>> {
    let Some(found) = pem::certificates(t, "client_ca_file")? else {
        return Some(None);
    };
    let mut roots = RootCertStore::empty();
    for (number, certificate) in (1..).zip(&found) {
        if roots.add(certificate.clone()).is_err() {
            let message = format!("names a file whose certificate number {number} is unreadable");
            t.problem("client_ca_file", message);
        }
    }
    (roots.len() == found.len()).then(|| Some(found.into()))
}
