//! TLS: a server configuration from PEM, or with a certificate issued by a new CA.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The names in a self-signed server certificate.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Some clients refuse server certificates that are valid for longer.
const LIFETIME: Duration = DAY.saturating_mul(397);

/// Why TLS cannot be set up. Never quotes a file, which may hold a key.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate file has no certificate in it.
    #[error("there is no valid certificate in the PEM text")]
    Certificate,
    /// The key file has no private key in it.
    #[error("there is no valid private key in the PEM text")]
    Key,
    /// Certificate and key do not fit together, or are not usable.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// No certificate could be made.
    #[error("no certificate can be generated: {0}")]
    Generate(#[from] rcgen::Error),
}

/// Presents the chain `certificates` with its `key`, both PEM, for HTTP/1.1.
///
/// # Errors
///
/// When one of them is not valid PEM, or they do not fit together.
pub fn server_config(certificates: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificates).collect();
    let chain = chain.map_err(|_| TlsError::Certificate)?;
    if chain.is_empty() {
        return Err(TlsError::Certificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::Key)?;
    configure(chain, key)
}

fn configure(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// A certificate for `localhost`, `127.0.0.1` and `::1`, issued by a CA made for it. The keys
/// exist only in memory.
#[derive(Clone, Debug)]
pub struct SelfSigned {
    /// The CA, for clients to trust.
    pub ca_pem: String,
    /// For [`Options::tls`](crate::Options::tls).
    pub config: Arc<ServerConfig>,
}

impl SelfSigned {
    /// Makes CA and certificate, valid from yesterday.
    ///
    /// # Errors
    ///
    /// When a key cannot be generated.
    pub fn generate() -> Result<Self, TlsError> {
        let mut ca = params([], "offergate sandbox CA")?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca_key = KeyPair::generate()?;
        let ca_pem = ca.self_signed(&ca_key)?.pem();
        let issuer = Issuer::new(ca, ca_key);

        let mut server = params(NAMES, "offergate sandbox")?;
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = server.signed_by(&key, &issuer)?.der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(|_| TlsError::Key)?;
        Ok(Self {
            ca_pem,
            config: configure(vec![certificate], key)?,
        })
    }
}

fn params<const N: usize>(
    names: [&str; N],
    common_name: &str,
) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::new(names.map(str::to_owned))?;
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    let yesterday = SystemTime::now() - DAY;
    params.not_before = yesterday.into();
    params.not_after = (yesterday + LIFETIME).into();
    Ok(params)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn pem_that_does_not_fit_is_refused() {
        let pair = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let certificate = params([name], name).unwrap().self_signed(&key).unwrap();
            (certificate.pem(), key.serialize_pem())
        };
        let ((one, one_key), (_, other_key)) = (pair("one"), pair("other"));
        assert!(server_config(one.as_bytes(), one_key.as_bytes()).is_ok());
        let error = |certificate: &str, key: &str| {
            server_config(certificate.as_bytes(), key.as_bytes()).unwrap_err()
        };
        assert!(matches!(error("", &one_key), TlsError::Certificate));
        assert!(matches!(error(&one_key, &one_key), TlsError::Certificate));
        assert!(matches!(error(&one, &one), TlsError::Key));
        assert!(matches!(error(&one, &other_key), TlsError::Unusable(_)));
    }
}
