//! A client that speaks HTTP/1.1 over TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
pub use tokio_rustls::client::TlsStream;

use crate::certs::{Ca, Issued};
use crate::client::{Answer, read_answer_to, request};

/// No answer of a test takes this long unless something is broken.
const TIMEOUT: Duration = Duration::from_secs(60);

pub const HTTP_1: &str = "http/1.1";
pub const HTTP_2: &str = "h2";

/// A client's TLS options.
pub struct TlsClientOptions<'a> {
    /// The CA that it trusts.
    pub ca: &'a Ca,
    /// Its own certificate, if it has one.
    pub identity: Option<&'a Issued>,
    /// The protocols that it offers (ALPN).
    pub protocols: &'a [&'a str],
    pub versions: &'a [&'static SupportedProtocolVersion],
}

impl<'a> TlsClientOptions<'a> {
    pub fn new(ca: &'a Ca) -> Self {
        Self {
            ca,
            identity: None,
            protocols: &[HTTP_1],
            versions: rustls::ALL_VERSIONS,
        }
    }

    /// A configuration that resumes no sessions: every connection is a new one.
    pub fn config(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.certificate.clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match self.identity {
            Some(own) => builder
                .with_client_auth_cert(vec![own.certificate.clone()], own.key.clone_key())
                .unwrap(),
            None => builder.with_no_client_auth(),
        };
        let protocols = self.protocols.iter();
        config.alpn_protocols = protocols.map(|p| p.as_bytes().to_vec()).collect();
        config.resumption = Resumption::disabled();
        Arc::new(config)
    }
}

/// A connection whose handshake is done, as far as the client can tell: over TLS 1.3
/// the server may still refuse its certificate.
pub async fn connect(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    handshake(TcpStream::connect(address).await?, config).await
}

/// The handshake on an open connection.
pub async fn handshake(
    stream: TcpStream,
    config: &Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::from(stream.peer_addr()?.ip());
    let handshake = TlsConnector::from(Arc::clone(config)).connect(name, stream);
    timeout(TIMEOUT, handshake).await.expect("no handshake")
}

/// One request on a connection of its own.
pub async fn send(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut stream = connect(address, config).await.expect("no TLS");
    let bytes = request(address, method, path, headers, body);
    exchange(&mut stream, &bytes).await
}

/// A cancel of `sync-1` on a connection that is kept.
pub async fn cancel_on(
    stream: &mut TlsStream<TcpStream>,
    address: SocketAddr,
    headers: &[(&str, &str)],
) -> Answer {
    let bytes = request(address, "POST", "/offers/sync-1/cancel", headers, "");
    exchange(stream, &bytes.replace("Connection: close\r\n", "")).await
}

async fn exchange(stream: &mut TlsStream<TcpStream>, bytes: &str) -> Answer {
    let exchange = async {
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let answer = read_answer_to(bytes.as_bytes(), stream).await;
        answer.expect("no answer")
    };
    timeout(TIMEOUT, exchange).await.expect("no answer in time")
}
