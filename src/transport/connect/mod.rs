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
use super::framing::Filter;
use super::unreachable::{ProxyFailure, ProxyProblem, TlsProblem, Unreachable};
use crate::domain::{Egress, Proxy};

pub(super) use self::stream::Stale;
pub(super) use self::tls::client_config;

/// What awc reads from and writes to.
type Stream = Filter<Connected>;

/// Lays over a new connection what awc needs to read it rightly.
fn wrap(connected: Connected) -> Stream {
    let is_encrypted = connected.is_encrypted();
    Filter::new(connected, is_encrypted)
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
        let connecting = async {
            let mut channel = match proxy {
                Some(proxy) => {
                    let tunnel = self.tunnel(proxy, uri).await?;
                    at_proxy.set(None);
                    tunnel
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
                Some(proxy) => at(proxy, uri, ProxyProblem::Timeout),
                None => Unreachable::Timeout,
            })
        })
    }

    /// Connects to the proxy, and through it to the server.
    async fn tunnel(&self, proxy: &Arc<Proxy>, uri: &Uri) -> Result<Channel, Unreachable> {
        let failed = |problem| at(proxy, uri, problem);
        let reached = self.reach(&proxy.host, proxy.port).await;
        let mut channel = reached.map_err(|cause| match cause {
            Unreachable::Name => failed(ProxyProblem::Name),
            Unreachable::Connect => failed(ProxyProblem::Connect),
            own => own,
        })?;
        if proxy.secure {
            let encrypted = self.encrypt(channel, &proxy.host).await;
            channel = encrypted.map_err(|problem| failed(ProxyProblem::Tls(problem)))?;
        }
        let opened = tunnel::open(channel, proxy, &target(uri)).await;
        opened.map_err(failed)
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
        let tcp = connected?;
        // Without it the first request would wait for the acknowledgement of the handshake.
        tcp.set_nodelay(true)?;
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

/// What happened at a proxy on the way to an address.
fn at(proxy: &Arc<Proxy>, uri: &Uri, problem: ProxyProblem) -> Unreachable {
    Unreachable::Proxy(Arc::new(ProxyFailure {
        proxy: Arc::clone(proxy),
        target: target(uri),
        problem,
    }))
}

/// Where a tunnel for an encrypted connection leads.
fn target(uri: &Uri) -> String {
    let host = uri.host().unwrap_or_default();
    format!("{host}:{}", port(uri, Pool::Secure))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::{BoxFuture, join_all};
    use tokio::net::{TcpListener, TcpSocket};
    use tokio::time::Instant;

    use super::lookup::Lookup;
    use super::*;
    use crate::domain::NoProxy;

    /// Answers with two addresses of this machine, slowly; counts.
    #[derive(Clone, Default)]
    struct TwoAddresses(Arc<AtomicUsize>);

    const SILENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

    impl Lookup for TwoAddresses {
        fn begin(&self, _: &str, _: Arc<()>) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            async {
                tokio::time::sleep(Duration::from_millis(200)).await;
                Ok(vec![SILENT.into(), Ipv4Addr::LOCALHOST.into()])
            }
            .boxed()
        }
    }

    fn connector(lookups: impl Lookup + 'static, egress: Egress) -> PoolConnector {
        let options = ConnectOptions {
            tls: None,
            egress,
            timeout: Duration::from_secs(10),
            lookups: Arc::new(Lookups::new(lookups)),
        };
        PoolConnector::new(Arc::new(options), Pool::Plain)
    }

    #[tokio::test]
    async fn thirty_connections_past_a_silent_address_take_one_look_up_and_a_moment() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        // A listener whose queue is full never answers, as behind a firewall that drops.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((SILENT, port).into()).unwrap();
        let _silent = socket.listen(1).unwrap();
        let mut waiting = Vec::new();
        while let Ok(Ok(stream)) = timeout(
            Duration::from_millis(200),
            TcpStream::connect((SILENT, port)),
        )
        .await
        {
            waiting.push(stream);
        }
        let way = TwoAddresses::default();
        let connector = connector(way.clone(), Egress::default());
        let uri: Uri = format!("http://vendor.test:{port}/").parse().unwrap();
        let begun = Instant::now();
        let connected = join_all((0..30).map(|_| connector.connect(&uri))).await;
        assert!(connected.iter().all(Result::is_ok), "{connected:?}");
        assert!(
            begun.elapsed() < Duration::from_secs(2),
            "{:?}",
            begun.elapsed()
        );
        assert_eq!(way.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn only_what_is_encrypted_and_not_the_platforms_goes_by_the_proxy() {
        let proxy = Proxy {
            secure: false,
            host: "proxy.test".into(),
            port: 3128,
            authorization: None,
            key: "outbound.proxy_url",
        };
        let egress = Egress {
            proxy: Some(Arc::new(proxy)),
            no_proxy: NoProxy::parse("other.test:8443, 2001:db8::1"),
        };
        let options = ConnectOptions::new(None, egress, Duration::from_secs(1));
        for (uri, pool, by_proxy) in [
            ("http://vendor.test/", Pool::Secure, true),
            ("http://vendor.test/", Pool::Plain, false),
            ("http://vendor.test/", Pool::SecureDirect, false),
            ("http://other.test/", Pool::Secure, true),
            ("http://other.test:8443/", Pool::Secure, false),
            ("http://[2001:db8::1]:8443/", Pool::Secure, false),
            ("http://[2001:db8::2]:8443/", Pool::Secure, true),
            ("http://[::1]:8443/", Pool::Secure, false),
            ("http://localhost/", Pool::Secure, false),
        ] {
            let uri: Uri = uri.parse().unwrap();
            assert_eq!(
                options.proxy_for(&uri, pool).is_some(),
                by_proxy,
                "{uri} {pool:?}"
            );
        }
        let uri: Uri = "http://[2001:db8::2]/".parse().unwrap();
        assert_eq!(target(&uri), "[2001:db8::2]:443");
    }
}
