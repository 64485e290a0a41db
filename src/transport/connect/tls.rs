//! TLS towards servers: what is trusted, and what a failed handshake means.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError,
    RootCertStore, SignatureScheme,
};

use crate::transport::unreachable::TlsProblem;

/// A client's side of TLS that trusts these authorities.
///
/// # Errors
/// When the TLS library refuses its own defaults.
pub(in crate::transport) fn client_config(
    roots: Arc<RootCertStore>,
) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
        .build()
        .map_err(|error| Error::General(error.to_string()))?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(ExplainingVerifier(verifier)))
        .with_no_client_auth();
    // HTTP/1.1 only: a connection carries one request at a time, so a broken connection
    // leaves exactly one request in doubt.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The name that a host's certificate must have: a DNS name, or an address (without the
/// brackets that IPv6 has in a URL).
pub(super) fn server_name(host: &str) -> Option<ServerName<'static>> {
    let name = host.strip_suffix('.').unwrap_or(host);
    ServerName::try_from(name.to_owned()).ok()
}

/// The library's own verifier, whose refusals say more: a certificate that signed itself is
/// told from one of an unknown authority. It accepts nothing that the library refuses.
#[derive(Debug)]
struct ExplainingVerifier(Arc<WebPkiServerVerifier>);

/// An untrusted certificate that signed itself, and whether it is an authority's.
#[derive(Debug)]
struct SignedItself {
    is_authority: bool,
}

impl fmt::Display for SignedItself {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("self-signed")
    }
}

impl std::error::Error for SignedItself {}

impl ServerCertVerifier for ExplainingVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let checked =
            self.0
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        checked.map_err(|error| {
            let is_authority = match &error {
                Error::InvalidCertificate(CertificateError::UnknownIssuer) => false,
                Error::InvalidCertificate(error) if is_of_authority(error) => true,
                _ => return error,
            };
            if is_its_own_issuer(end_entity) {
                let explained = OtherError(Arc::new(SignedItself { is_authority }));
                CertificateError::Other(explained).into()
            } else {
                error
            }
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Whether a certificate was refused because only an authority may use it.
fn is_of_authority(error: &CertificateError) -> bool {
    let CertificateError::Other(OtherError(other)) = error else {
        return false;
    };
    matches!(other.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

fn is_its_own_issuer(certificate: &CertificateDer<'_>) -> bool {
    x509_parser::parse_x509_certificate(certificate)
        .is_ok_and(|(_, parsed)| parsed.subject() == parsed.issuer())
}

/// Why a handshake failed.
pub(super) fn problem(error: &io::Error) -> TlsProblem {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(Error::InvalidCertificate(error)) => certificate_problem(error),
        Some(Error::NoCertificatesPresented) => TlsProblem::Certificate,
        Some(
            Error::InvalidMessage(_)
            | Error::InappropriateMessage { .. }
            | Error::PeerSentOversizedRecord,
        ) => TlsProblem::NotTls,
        Some(
            Error::PeerIncompatible(_)
            | Error::NoApplicationProtocol
            | Error::AlertReceived(
                AlertDescription::HandshakeFailure
                | AlertDescription::ProtocolVersion
                | AlertDescription::InsufficientSecurity
                | AlertDescription::NoApplicationProtocol,
            ),
        ) => TlsProblem::NothingInCommon,
        Some(Error::AlertReceived(AlertDescription::UnrecognisedName)) => TlsProblem::OtherName,
        Some(Error::AlertReceived(_)) => TlsProblem::Refused,
        Some(_) => TlsProblem::Other,
        None => TlsProblem::Closed,
    }
}

fn certificate_problem(error: &CertificateError) -> TlsProblem {
    match error {
        CertificateError::UnknownIssuer => TlsProblem::UnknownAuthority,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            TlsProblem::OtherName
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsProblem::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            TlsProblem::NotYetValid
        }
        CertificateError::Other(OtherError(other)) => match other.downcast_ref() {
            Some(SignedItself { is_authority: true }) => TlsProblem::SelfSignedAuthority,
            Some(SignedItself { .. }) => TlsProblem::SelfSigned,
            None if is_of_authority(error) => TlsProblem::IsAuthority,
            None => TlsProblem::Certificate,
        },
        _ => TlsProblem::Certificate,
    }
}
