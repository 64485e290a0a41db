//! The only place that builds awc's clients: time limits, connections and TLS.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_service::Service;
use actix_tls::connect::{ConnectError, ConnectInfo, Connection};
use actix_web::http::Uri;
use actix_web::rt::net::ActixStream;

use super::connect::{ConnectOptions, Pool, PoolConnector, client_config};
use super::trust::{self, TransportError};
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
            let roots = trust::roots(options.ca_file.as_deref())?;
            Some(Arc::new(client_config(roots)?))
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
        // Our connector keeps to its own limit, and says more when it is reached.
        client_over(connector, self.connect.timeout + Duration::from_secs(1))
    }
}

/// A client over these connections, with an empty pool. `timeout` is for making one.
pub(super) fn client_over<S, Io>(connector: S, timeout: Duration) -> awc::Client
where
    S: Service<ConnectInfo<Uri>, Response = Connection<Uri, Io>, Error = ConnectError>
        + Clone
        + 'static,
    Io: ActixStream + fmt::Debug + 'static,
{
    let connector = awc::Connector::new()
        .connector(connector)
        .timeout(timeout)
        // The gateway bounds what is in flight itself; time spent in a queue in here
        // could not be distinguished from a request that was sent.
        .limit(0);
    awc::Client::builder()
        .connector(connector)
        .disable_redirects()
        .no_default_headers()
        .finish()
}
