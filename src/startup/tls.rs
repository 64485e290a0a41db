//! TLS on the public listener: what connects certificate and client CA, which can be
//! exchanged while it runs, with a server that is configured once.
//!
//! Protocol versions (1.2 and 1.3), cipher suites and groups are rustls's safe
//! defaults.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme,
};

use crate::identity::ClientCa;
use crate::settings;

/// The TLS of the public listener. All clones are one.
#[derive(Debug, Clone)]
pub struct ListenerTls(Arc<Current>);

/// What new connections are shown and checked against. Connections that exist keep
/// what they began with.
struct Current {
    shown: ArcSwap<Shown>,
    algorithms: WebPkiSupportedAlgorithms,
}

struct Shown {
    identity: Arc<CertifiedKey>,
    client_ca: Option<Arc<ClientCa>>,
}

impl ListenerTls {
    /// TLS as the settings have it; clients may have certificates of this CA.
    #[must_use]
    pub fn new(tls: &settings::Tls, client_ca: Option<Arc<ClientCa>>) -> Self {
        Self(Arc::new(Current {
            shown: ArcSwap::from_pointee(Shown::new(tls, client_ca)),
            algorithms: aws_lc_rs::default_provider().signature_verification_algorithms,
        }))
    }

    /// Shows new connections another certificate, and checks theirs against another
    /// client CA. Connections that exist are left alone.
    pub fn apply(&self, tls: &settings::Tls, client_ca: Option<Arc<ClientCa>>) {
        self.0.shown.store(Arc::new(Shown::new(tls, client_ca)));
    }

    /// What a server is configured with, once and for all.
    ///
    /// # Errors
    /// When the TLS library refuses its own defaults.
    pub fn server_config(&self) -> Result<ServerConfig, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(Arc::clone(&self.0) as _)
            .with_cert_resolver(Arc::clone(&self.0) as _);
        // A client that offers only others (ALPN, RFC 7301), such as h2, is refused.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl Shown {
    fn new(tls: &settings::Tls, client_ca: Option<Arc<ClientCa>>) -> Self {
        Self {
            identity: Arc::clone(&tls.identity),
            client_ca,
        }
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ListenerTls")
    }
}

impl ResolvesServerCert for Current {
    /// The one certificate, whatever name the client asks for.
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.shown.load().identity))
    }
}

impl ClientCertVerifier for Current {
    /// Nobody is asked for a certificate that nothing could be held against.
    fn offer_client_auth(&self) -> bool {
        self.shown.load().client_ca.is_some()
    }

    /// Whoever has no certificate may have an API key.
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// None: they would have to outlive an exchange of the CA. Clients then choose
    /// for themselves, as they do when they have but one certificate.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match &self.shown.load().client_ca {
            Some(ca) => ca
                .verifier()
                .verify_client_cert(end_entity, intermediates, now),
            // It was taken away while the client was getting its certificate out.
            None => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
