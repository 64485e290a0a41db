//! TLS on the public listener. The server is configured once; the certificate that it
//! presents and the CA of its clients can be replaced while it runs.
//!
//! Protocol versions (1.2 and 1.3), cipher suites and groups are rustls's defaults.

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
use crate::settings::TlsSettings;

/// TLS of the public listener. Clones share their state.
#[derive(Debug, Clone)]
pub struct ListenerTls(Arc<CurrentTls>);

/// Certificate and client CA of new handshakes. Established connections are not affected.
struct CurrentTls {
    certificates: ArcSwap<TlsCertificates>,
    algorithms: WebPkiSupportedAlgorithms,
}

struct TlsCertificates {
    server: Arc<CertifiedKey>,
    client_ca: Option<Arc<ClientCa>>,
}

impl ListenerTls {
    /// TLS with the certificate of the settings, for clients with certificates of this CA.
    #[must_use]
    pub fn new(tls: &TlsSettings, client_ca: Option<Arc<ClientCa>>) -> Self {
        Self(Arc::new(CurrentTls {
            certificates: ArcSwap::from_pointee(TlsCertificates::new(tls, client_ca)),
            algorithms: aws_lc_rs::default_provider().signature_verification_algorithms,
        }))
    }

    /// Replaces certificate and client CA for new connections.
    pub fn apply(&self, tls: &TlsSettings, client_ca: Option<Arc<ClientCa>>) {
        let certificates = TlsCertificates::new(tls, client_ca);
        self.0.certificates.store(Arc::new(certificates));
    }

    /// The configuration of a server, which follows later calls of [`Self::apply`].
    ///
    /// # Errors
    /// When the TLS library refuses its own defaults.
    pub fn server_config(&self) -> Result<ServerConfig, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(Arc::clone(&self.0) as _)
            .with_cert_resolver(Arc::clone(&self.0) as _);
        // ALPN (RFC 7301): a client that offers only other protocols is refused.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl TlsCertificates {
    fn new(tls: &TlsSettings, client_ca: Option<Arc<ClientCa>>) -> Self {
        Self {
            server: Arc::clone(&tls.identity),
            client_ca,
        }
    }
}

impl fmt::Debug for CurrentTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ListenerTls")
    }
}

impl ResolvesServerCert for CurrentTls {
    /// The same certificate for every name that a client asks for.
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.certificates.load().server))
    }
}

impl ClientCertVerifier for CurrentTls {
    /// Clients are asked for a certificate only if there is a CA to check it against.
    fn offer_client_auth(&self) -> bool {
        self.certificates.load().client_ca.is_some()
    }

    /// A client without a certificate can still authenticate by API key or token.
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// No hints: rustls borrows them, and the CA can be replaced. Clients choose their
    /// certificate without them.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match &self.certificates.load().client_ca {
            Some(ca) => ca
                .verifier()
                .verify_client_cert(end_entity, intermediates, now),
            // The CA was removed during the handshake.
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
