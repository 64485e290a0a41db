//! Connections below awc, which pools what this module connects.
//!
//! From a host's name to a stream that is ready for requests: the shared look-up, the race
//! between the addresses, a proxy's tunnel, and TLS, all within one time limit. Nothing of a
//! request is sent in here, so everything that fails in here is [`Unreachable`].

mod lookup;
mod race;
mod stream;
mod tls;
mod tunnel;

use std::cell::Cell;
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
use super::unreachable::{ProxyFailure, ProxyProblem, TlsProblem, Unreachable};
use crate::domain::{Egress, Proxy};

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
    /// The way out.
    pub(super) egress: Egress,
    /// For everything from the look-up to the end of the handshake.
    pub(super) timeout: Duration,
    lookups: Arc<Lookups>,
}

impl ConnectOptions {
    pub(super) fn new(
        tls: Option<Arc<rustls::ClientConfig>>,
        egress: Egress,
        timeout: Duration,
    ) -> Self {
        Self {
            tls,
            egress,
            timeout,
            lookups: Lookups::shared(),
        }
    }

    /// The proxy on the way to an address.
    pub(super) fn proxy_for(&self, uri: &Uri, pool: Pool) -> Option<&Arc<Proxy>> {
        match pool {
            Pool::Secure => {
                let (host, port) = (host(uri)?, uri.port_u16().unwrap_or(443));
                self.egress.proxy_for(host, port)
            }
            // A proxy wants other requests for plain HTTP, and reads them: it would see tokens
            // that `allow_plain_http` gave to the network in between alone.
            Pool::Plain | Pool::SecureDirect => None,
        }
    }
}

/// What the connections of one of awc's pools have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pool {
    /// Not encrypted, and never by a proxy.
    Plain,
    /// Encrypted, and by the proxy if there is one for the host.
    Secure,
    /// Encrypted, and never by a proxy.
    SecureDirect,
}

/// Makes the connections of one of awc's pools.
#[derive(Clone)]
pub(super) struct PoolConnector {
    options: Arc<ConnectOptions>,
    pool: Pool,
}

impl PoolConnector {
    pub(super) fn new(options: Arc<ConnectOptions>, pool: Pool) -> Self {
        Self { options, pool }
    }

    async fn connect(&self, uri: &Uri) -> Result<Stream, Unreachable> {
        let host = host(uri).ok_or(Unreachable::Request)?;
        let proxy = self.options.proxy_for(uri, self.pool);
        // Where time runs out: not at the proxy once that has opened a tunnel.
        let at_proxy = Cell::new(proxy);
        let failed = |proxy: &Arc<Proxy>, problem| {
            Unreachable::Proxy(Arc::new(ProxyFailure {
                proxy: Arc::clone(proxy),
                target: target(uri),
                problem,
            }))
        };
        let connecting = async {
            let mut channel = match proxy {
                Some(proxy) => {
                    let tunnel = self.tunnel(proxy, &target(uri)).await;
                    at_proxy.set(None);
                    tunnel.map_err(|problem| failed(proxy, problem))?
                }
                None => self.reach(host, port(uri, self.pool)).await?,
            };
            if self.pool != Pool::Plain {
                let encrypted = self.encrypt(channel, host).await;
                channel = encrypted.map_err(Unreachable::Tls)?;
            }
            Ok(wrap(Connected::new(channel)))
        };
        let connected = timeout(self.options.timeout, connecting).await;
        connected.unwrap_or_else(|_elapsed| {
            Err(match at_proxy.get() {
                Some(proxy) => failed(proxy, ProxyProblem::Timeout),
                None => Unreachable::Timeout,
            })
        })
    }

    async fn tunnel(&self, proxy: &Proxy, target: &str) -> Result<Channel, ProxyProblem> {
        let reached = self.reach(&proxy.host, proxy.port).await;
        let mut channel = reached.map_err(|cause| match cause {
            Unreachable::Name => ProxyProblem::Name,
            _ => ProxyProblem::Connect,
        })?;
        if proxy.secure {
            let encrypted = self.encrypt(channel, &proxy.host).await;
            channel = encrypted.map_err(ProxyProblem::Tls)?;
        }
        tunnel::open(channel, proxy, target).await
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
            match this.connect(&uri).await {
                Ok(stream) => Ok(Connection::new(uri, stream)),
                Err(cause) => Err(ConnectError::Io(io::Error::other(cause))),
            }
        }
        .boxed_local()
    }
}

/// The host of an address, without the brackets that IPv6 has there.
fn host(uri: &Uri) -> Option<&str> {
    let host = uri.host()?;
    Some(host.trim_start_matches('[').trim_end_matches(']'))
}

fn port(uri: &Uri, pool: Pool) -> u16 {
    let default = match pool {
        Pool::Plain => 80,
        Pool::Secure | Pool::SecureDirect => 443,
    };
    uri.port_u16().unwrap_or(default)
}

/// Where a tunnel for an encrypted connection leads.
fn target(uri: &Uri) -> String {
    let host = uri.host().unwrap_or_default();
    format!("{host}:{}", port(uri, Pool::Secure))
}
