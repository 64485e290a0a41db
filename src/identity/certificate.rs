//! Callers by client certificate.
//!
//! A certificate names its holder in its subject alternative names (RFC 5280 section
//! 4.2.1.6), never in its common name (RFC 9525 section 6.3). The TLS handshake has
//! proven that the client holds the key. The chain is checked again here, since a
//! connection, or a resumed TLS session, can outlive its certificate and the trust in its
//! CA.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};

use super::authenticated::{
    AuthenticatedCaller, AuthenticationError, MAX_LOGGED, NO_CALLER, SEVERAL_CALLERS,
};
use crate::domain::{Caller, Certificate, San};

/// A chain is verified again after this time, so an expired certificate works that much
/// longer on an open connection.
const REVERIFY_AFTER: Duration = Duration::from_secs(5 * 60);

/// Why certificates cannot serve as client CAs.
#[derive(Debug, thiserror::Error)]
pub enum InvalidCa {
    /// One of them cannot be read.
    #[error("a certificate cannot be used as a client CA: {0}")]
    Certificate(#[from] rustls::Error),
    /// There are none.
    #[error("the client CA cannot be used: {0}")]
    Verifier(#[from] VerifierBuilderError),
}

/// Two callers have the same certificate name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the same certificate name is configured for two callers")]
pub struct DuplicateSan;

/// The CAs that may sign client certificates.
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
            // A client without a certificate may have an API key.
            .allow_unauthenticated()
            .build()?;
        Ok(Self { verifier })
    }

    /// The verifier for the handshake.
    #[must_use]
    pub fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.verifier)
    }

    /// Whether a chain, end entity first, is valid now and leads to one of the CAs.
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

/// The certificate that the client of a connection has presented.
pub struct PeerCertificate {
    /// The end entity first.
    chain: Vec<CertificateDer<'static>>,
    names: Arc<[San]>,
    verified: RefCell<Option<Verified>>,
}

/// The last successful verification: when, and against which CAs.
struct Verified {
    ca: Arc<ClientCa>,
    at: UnixTime,
}

impl PeerCertificate {
    /// From the chain that TLS received, end entity first. It is verified when it is used.
    #[must_use]
    pub fn new(chain: &[CertificateDer<'_>]) -> Self {
        Self {
            chain: chain.iter().map(|one| one.clone().into_owned()).collect(),
            names: chain.first().map_or_else(Default::default, names),
            verified: RefCell::new(None),
        }
    }

    /// Its DNS names and URIs without wildcards. Until it is verified they prove nothing.
    #[must_use]
    pub fn names(&self) -> &[San] {
        &self.names
    }

    /// Verifies the chain, unless that was done against these CAs a short while ago.
    fn verify(&self, ca: &Arc<ClientCa>, now: UnixTime) -> Result<(), AuthenticationError> {
        let mut verified = self.verified.borrow_mut();
        if verified.as_ref().is_some_and(|last| last.is_valid(ca, now)) {
            return Ok(());
        }
        *verified = None;
        if !ca.trusts(&self.chain, now) {
            return Err(UNTRUSTED);
        }
        *verified = Some(Verified {
            ca: Arc::clone(ca),
            at: now,
        });
        Ok(())
    }
}

impl Verified {
    fn is_valid(&self, ca: &Arc<ClientCa>, now: UnixTime) -> bool {
        // `None` if the clock was set back.
        let age = now.as_secs().checked_sub(self.at.as_secs());
        Arc::ptr_eq(&self.ca, ca) && age.is_some_and(|age| age <= REVERIFY_AFTER.as_secs())
    }
}

impl fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PeerCertificate").field(&self.names).finish()
    }
}

/// The names in a certificate. A name counts only as the kind that the certificate says
/// it is: a URI without a scheme is not taken for a DNS name.
fn names(end_entity: &CertificateDer<'_>) -> Arc<[San]> {
    let certificate = Certificate::parse(end_entity);
    certificate.map_or_else(Default::default, |certificate| certificate.names.into())
}

/// Every name of a client certificate, with its caller.
#[derive(Debug)]
pub struct ClientCertificates {
    ca: Option<Arc<ClientCa>>,
    by_name: HashMap<San, Arc<Caller>>,
}

impl ClientCertificates {
    /// Indexes the callers by the names of their certificates. Without CAs, no certificate
    /// is trusted.
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

    /// The CAs that may sign certificates.
    #[must_use]
    pub fn ca(&self) -> Option<Arc<ClientCa>> {
        self.ca.clone()
    }

    /// Whether no caller is identified by a certificate.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The caller that a certificate names. It must be valid now, and name exactly one.
    ///
    /// # Errors
    /// [`AuthenticationError`]
    pub fn authenticate(
        &self,
        certificate: &PeerCertificate,
    ) -> Result<AuthenticatedCaller, AuthenticationError> {
        self.authenticate_at(certificate, UnixTime::now())
    }

    fn authenticate_at(
        &self,
        certificate: &PeerCertificate,
        now: UnixTime,
    ) -> Result<AuthenticatedCaller, AuthenticationError> {
        let ca = self.ca.as_ref().ok_or(UNTRUSTED)?;
        certificate.verify(ca, now)?;
        let names = &certificate.names;
        let mut known = names
            .iter()
            .filter_map(|name| Some((self.by_name.get(name)?, name)));
        let Some((caller, name)) = known.next() else {
            return Err(no_caller(names, NO_CALLER));
        };
        if known.any(|(other, _)| other.name != caller.name) {
            return Err(no_caller(names, SEVERAL_CALLERS));
        }
        Ok(AuthenticatedCaller {
            caller: Arc::clone(caller),
            credential_label: format!("certificate {name}").into(),
        })
    }
}

/// It has expired, or is not signed by a trusted CA (any more).
const UNTRUSTED: AuthenticationError = AuthenticationError::Rejected("untrusted-certificate");

fn no_caller(names: &[San], reason: &'static str) -> AuthenticationError {
    let names: Vec<String> = names.iter().map(San::to_string).collect();
    let names = names.join(" ");
    let names = &names[..names.floor_char_boundary(MAX_LOGGED)];
    AuthenticationError::NoCaller {
        credential_label: format!("certificate {names}").into(),
        reason,
    }
}

#[cfg(test)]
mod tests;
