//! Connections below awc, which pools what this module connects.
//!
//! From a host's name to a stream that is ready for requests: the shared look-up, the race
//! between the addresses, and TLS, all within one time limit. Nothing of a request is sent
//! in here, so everything that fails in here is [`Unreachable`].

mod lookup;
mod race;
mod stream;
mod tls;

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_service::Service;
use actix_tls::connect::{ConnectError, ConnectInfo, Connection};
use actix_web::http::Uri;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use self::lookup::Lookups;
use self::stream::{Channel, Connected};
use super::unreachable::{TlsProblem, Unreachable};

pub(super) use self::stream::Stale;
pub(super) use self::tls::client_config;

/// What awc reads from and writes to.
type Stream = Connected;

/// Lays over a new connection what awc needs to read it rightly.
fn wrap(connected: Connected) -> Stream {
    connected
}

/// How connections are made; shared by all threads.
pub(super) struct ConnectOptions {
    /// None: nothing is encrypted, and `https` is refused.
    pub(super) tls: Option<Arc<rustls::ClientConfig>>,
    /// For everything from the look-up to the end of the handshake.
    pub(super) timeout: Duration,
    lookups: Arc<Lookups>,
}

impl ConnectOptions {
    pub(super) fn new(tls: Option<Arc<rustls::ClientConfig>>, timeout: Duration) -> Self {
        Self {
            tls,
            timeout,
            lookups: Lookups::shared(),
        }
    }
}

/// Makes the connections of one of awc's pools: all encrypted, or none.
#[derive(Clone)]
pub(super) struct PoolConnector {
    options: Arc<ConnectOptions>,
    secure: bool,
}

impl PoolConnector {
    pub(super) fn new(options: Arc<ConnectOptions>, secure: bool) -> Self {
        Self { options, secure }
    }

    async fn connect(&self, uri: &Uri) -> Result<Stream, Unreachable> {
        let host = uri.host().ok_or(Unreachable::Request)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if self.secure { 443 } else { 80 });
        let mut channel = self.reach(host, port).await?;
        if self.secure {
            channel = self
                .encrypt(channel, host)
                .await
                .map_err(Unreachable::Tls)?;
        }
        Ok(wrap(Connected::new(channel)))
    }

    /// Connects to a port of a host, at the first of its addresses that accepts.
    async fn reach(&self, host: &str, port: u16) -> Result<Channel, Unreachable> {
        let addresses = match host.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => {
                let found = self.options.lookups.addresses(host).await;
                race::interleave(&found.map_err(|_| Unreachable::Name)?)
            }
        };
        let connected = race::race(addresses, |address| TcpStream::connect((address, port))).await;
        let tcp = connected.map_err(|_| Unreachable::Connect)?;
        // Without it the first request would wait for the acknowledgement of the handshake.
        tcp.set_nodelay(true).map_err(|_| Unreachable::Connect)?;
        Ok(Channel::Plain(tcp))
    }

    async fn encrypt(&self, channel: Channel, host: &str) -> Result<Channel, TlsProblem> {
        let config = self.options.tls.as_ref().ok_or(TlsProblem::Other)?;
        let name = tls::server_name(host).ok_or(TlsProblem::Other)?;
        let handshake = TlsConnector::from(Arc::clone(config)).connect(name, channel);
        let encrypted = handshake.await.map_err(|error| tls::problem(&error))?;
        Ok(Channel::Tls(Box::new(encrypted)))
    }
}

impl Service<ConnectInfo<Uri>> for PoolConnector {
    type Response = Connection<Uri, Stream>;
    type Error = ConnectError;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Self::Error>>;

    actix_service::always_ready!();

    fn call(&self, info: ConnectInfo<Uri>) -> Self::Future {
        let this = self.clone();
        async move {
            let uri = info.request().clone();
            let connected = within(this.options.timeout, this.connect(&uri)).await;
            match connected {
                Ok(stream) => Ok(Connection::new(uri, stream)),
                Err(cause) => Err(ConnectError::Io(io::Error::other(cause))),
            }
        }
        .boxed_local()
    }
}

async fn within<T>(
    limit: Duration,
    connecting: impl Future<Output = Result<T, Unreachable>>,
) -> Result<T, Unreachable> {
    timeout(limit, connecting)
        .await
        .unwrap_or(Err(Unreachable::Timeout))
}
