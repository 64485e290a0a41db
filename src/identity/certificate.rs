//! Callers by client certificate.
//!
//! A certificate names its holder in its subject alternative names (RFC 5280 section
//! 4.2.1.6), never in its common name (RFC 9525 section 6.3). The TLS handshake has
//! proven that the client holds the key; that the chain is to be trusted is checked
//! again here, since a connection, or a TLS session that is resumed, can outlive its
//! certificate and the CA that signed it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use webpki::EndEntityCert;

use crate::domain::{Caller, San};

/// How long a verification is believed: so much longer than itself does an expired
/// certificate live on a connection that is kept open.
const BELIEVED: Duration = Duration::from_secs(5 * 60);

/// Why certificates cannot be a client CA.
#[derive(Debug, thiserror::Error)]
pub enum InvalidCa {
    /// One of them is no certificate.
    #[error("a certificate cannot be used as a client CA: {0}")]
    Certificate(#[from] rustls::Error),
    /// There are none.
    #[error("the client CA cannot be used: {0}")]
    Verifier(#[from] VerifierBuilderError),
}

/// Two callers cannot share a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the same certificate name is configured for two callers")]
pub struct DuplicateSan;

/// Why a certificate names no caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateRefused {
    /// It has expired, or no client CA of ours stands behind it (any more).
    #[error("the certificate is not trusted")]
    Untrusted,
    /// It is trusted, but none of its names is a caller's.
    #[error("the certificate names no caller")]
    NoCaller {
        /// The names that it has.
        names: Arc<[San]>,
    },
    /// It is trusted, but it names more than one caller, and which is meant cannot
    /// be told.
    #[error("the certificate names several callers")]
    SeveralCallers {
        /// The names that it has.
        names: Arc<[San]>,
    },
}

/// Those who may sign client certificates.
pub struct ClientCa {
    verifier: Arc<dyn ClientCertVerifier>,
}

impl ClientCa {
    /// Trusts these certificates, and no others.
    ///
    /// # Errors
    /// [`InvalidCa`] if one of them is unusable, or if there are none.
    pub fn new(certificates: &[CertificateDer<'_>]) -> Result<Self, InvalidCa> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots.add(certificate.clone().into_owned())?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            // Whoever has no certificate may have an API key.
            .allow_unauthenticated()
            .build()?;
        Ok(Self { verifier })
    }

    /// What checks certificates during the handshake.
    #[must_use]
    pub fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.verifier)
    }

    /// Whether a chain, its end entity first, leads to one of these, and is valid now.
    fn trusts(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> bool {
        chain
            .split_first()
            .is_some_and(|(end_entity, intermediates)| {
                self.verifier
                    .verify_client_cert(end_entity, intermediates, now)
                    .is_ok()
            })
    }
}

impl fmt::Debug for ClientCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCa")
    }
}

/// The certificate that a connection's client has presented. It belongs to the
/// connection and its thread.
pub struct PeerCertificate {
    /// The end entity first.
    chain: Vec<CertificateDer<'static>>,
    names: Arc<[San]>,
    verified: RefCell<Option<Verified>>,
}

/// When, and by whose word, a certificate was last found good.
struct Verified {
    by: Arc<ClientCa>,
    at: UnixTime,
}

impl PeerCertificate {
    /// Takes over a chain, its end entity first, as TLS received it. It is verified
    /// when it is used.
    #[must_use]
    pub fn new(chain: &[CertificateDer<'_>]) -> Self {
        Self {
            chain: chain.iter().map(|one| one.clone().into_owned()).collect(),
            names: chain.first().map_or_else(Default::default, names),
            verified: RefCell::new(None),
        }
    }

    /// The DNS names and URIs in it, wildcards left out. They mean nothing as long as
    /// the certificate is not verified.
    #[must_use]
    pub fn names(&self) -> &[San] {
        &self.names
    }

    /// Verifies the chain, unless this CA has done so a short while ago.
    fn verify(&self, ca: &Arc<ClientCa>, now: UnixTime) -> Result<(), CertificateRefused> {
        let mut verified = self.verified.borrow_mut();
        if verified.as_ref().is_some_and(|last| last.holds(ca, now)) {
            return Ok(());
        }
        *verified = None;
        if !ca.trusts(&self.chain, now) {
            return Err(CertificateRefused::Untrusted);
        }
        *verified = Some(Verified {
            by: Arc::clone(ca),
            at: now,
        });
        Ok(())
    }
}

impl Verified {
    fn holds(&self, ca: &Arc<ClientCa>, now: UnixTime) -> bool {
        // A clock that was set back proves nothing.
        let age = now.as_secs().checked_sub(self.at.as_secs());
        Arc::ptr_eq(&self.by, ca) && age.is_some_and(|age| age <= BELIEVED.as_secs())
    }
}

impl fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PeerCertificate").field(&self.names).finish()
    }
}

/// What a certificate calls its holder. A name counts only as the kind that the
/// certificate says it is: a URI without a scheme is no DNS name.
fn names(end_entity: &CertificateDer<'_>) -> Arc<[San]> {
    let Ok(certificate) = EndEntityCert::try_from(end_entity) else {
        return Arc::default();
    };
    let dns = certificate.valid_dns_names().map(San::parse);
    let uri = certificate.valid_uri_names().map(San::parse);
    dns.filter(|name| matches!(name, Ok(San::Dns(_))))
        .chain(uri.filter(|name| matches!(name, Ok(San::Uri(_)))))
        .flatten()
        .collect()
}

/// Every name of a caller's certificates, and whose it is.
#[derive(Debug)]
pub struct ClientCertificates {
    ca: Option<Arc<ClientCa>>,
    by_name: HashMap<San, Arc<Caller>>,
}

impl ClientCertificates {
    /// Indexes the callers by the names of their certificates. Without a CA no
    /// certificate is trusted.
    ///
    /// # Errors
    /// [`DuplicateSan`] if two callers have the same name.
    pub fn new(
        ca: Option<Arc<ClientCa>>,
        callers: impl IntoIterator<Item = (Arc<Caller>, Vec<San>)>,
    ) -> Result<Self, DuplicateSan> {
        let mut by_name: HashMap<San, Arc<Caller>> = HashMap::new();
        for (caller, names) in callers {
            for name in names {
                let before = by_name.insert(name, Arc::clone(&caller));
                if before.is_some_and(|other| other.name != caller.name) {
                    return Err(DuplicateSan);
                }
            }
        }
        Ok(Self { ca, by_name })
    }

    /// Who may sign certificates.
    #[must_use]
    pub fn ca(&self) -> Option<Arc<ClientCa>> {
        self.ca.clone()
    }

    /// Whether nobody has one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Whose certificate this is, and by which name. It must be good now, and name
    /// exactly one caller.
    ///
    /// # Errors
    /// [`CertificateRefused`]
    pub fn authenticate(
        &self,
        certificate: &PeerCertificate,
    ) -> Result<(Arc<Caller>, San), CertificateRefused> {
        self.authenticate_at(certificate, UnixTime::now())
    }

    fn authenticate_at(
        &self,
        certificate: &PeerCertificate,
        now: UnixTime,
    ) -> Result<(Arc<Caller>, San), CertificateRefused> {
        let ca = self.ca.as_ref().ok_or(CertificateRefused::Untrusted)?;
        certificate.verify(ca, now)?;
        let names = || Arc::clone(&certificate.names);
        let mut known = certificate.names.iter().filter_map(|name| {
            let caller = self.by_name.get(name)?;
            Some((caller, name))
        });
        let Some((caller, name)) = known.next() else {
            return Err(CertificateRefused::NoCaller { names: names() });
        };
        if known.any(|(other, _)| other.name != caller.name) {
            return Err(CertificateRefused::SeveralCallers { names: names() });
        }
        Ok((Arc::clone(caller), name.clone()))
    }
}

#[cfg(test)]
mod tests;
