//! The only place that builds awc's client: time limits, connections and TLS.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Uri;
use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::connect::{ConnectOptions, Pool, PoolConnector, client_config};
use crate::domain::{Egress, Proxy};

/// What a [`Transport`](super::Transport) is made from.
#[derive(Debug, Clone)]
pub struct TransportOptions {
    /// Certificates (PEM) trusted besides those of the operating system.
    pub ca_file: Option<PathBuf>,
    /// Time limit for name lookup, TCP and TLS together.
    pub connect_timeout: Duration,
    /// Time limit for a whole exchange, connecting included.
    pub request_timeout: Duration,
    /// Whether any target is https. If none is, no certificates are loaded.
    pub tls: bool,
    /// The way out, for https.
    pub egress: Egress,
}

/// Why no client can be made.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The file of extra certificates is unreadable or holds none.
    #[error("cannot read certificates from the ca_file: {0}")]
    CaFile(String),
    /// There is nothing to check a server's certificate against.
    #[error(
        "the operating system has no CA certificates; install its ca-certificates package or set ca_file"
    )]
    NoRoots,
    /// The TLS library refused its own defaults.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// The configuration that every thread builds its client from.
#[derive(Clone)]
pub(super) struct ClientConfig {
    connect: Arc<ConnectOptions>,
    pub(super) request_timeout: Duration,
}

impl ClientConfig {
    /// Loads the trusted certificates.
    pub(super) fn new(options: &TransportOptions) -> Result<Self, TransportError> {
        let tls = if options.tls {
            Some(Arc::new(tls_config(options.ca_file.as_deref())?))
        } else {
            None
        };
        // Connecting ends before the whole exchange does, so that it is always known whether
        // anything was sent.
        let connect_timeout = options
            .connect_timeout
            .min(options.request_timeout * 9 / 10);
        Ok(Self {
            connect: Arc::new(ConnectOptions::new(
                tls,
                options.egress.clone(),
                connect_timeout,
            )),
            request_timeout: options.request_timeout,
        })
    }

    /// The proxy on the way to an address.
    pub(super) fn proxy_for(&self, uri: &Uri) -> Option<&Arc<Proxy>> {
        let is_secure = uri.scheme_str() == Some("https");
        is_secure.then(|| self.connect.proxy_for(uri, Pool::Secure))?
    }

    /// A client for the calling thread, with an empty pool of connections.
    pub(super) fn build(&self, pool: Pool) -> awc::Client {
        let connector = PoolConnector::new(Arc::clone(&self.connect), pool);
        let connector = awc::Connector::new()
            .connector(connector)
            // Our connector keeps to its own limit, and says more when it is reached.
            .timeout(self.connect.timeout + Duration::from_secs(1))
            // The gateway bounds what is in flight itself; time spent in a queue in here
            // could not be distinguished from a request that was sent.
            .limit(0);
        awc::Client::builder()
            .connector(connector)
            .disable_redirects()
            .no_default_headers()
            .finish()
    }
}

fn tls_config(ca_file: Option<&Path>) -> Result<rustls::ClientConfig, TransportError> {
    let mut roots = rustls::RootCertStore::empty();
    // A system certificate that cannot be parsed is skipped; the start goes on.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        let unreadable = |e: rustls::pki_types::pem::Error| TransportError::CaFile(e.to_string());
        let mut found = 0;
        for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
            roots
                .add(certificate.map_err(unreadable)?)
                .map_err(|e| TransportError::CaFile(e.to_string()))?;
            found += 1;
        }
        if found == 0 {
            return Err(TransportError::CaFile("it holds no certificate".into()));
        }
    }
    if roots.is_empty() {
        return Err(TransportError::NoRoots);
    }
    Ok(client_config(roots)?)
}
