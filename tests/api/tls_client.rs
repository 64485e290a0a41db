//! A client that speaks TLS, and over it HTTP/1.1 or HTTP/2, whichever is agreed on.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use futures_util::future::poll_fn;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
pub use tokio_rustls::client::TlsStream;

use crate::certs::{Ca, Issued};
use crate::client::{Answer, read_answer, request};

/// No answer of a test takes this long unless something is broken.
const PATIENCE: Duration = Duration::from_secs(60);

pub const HTTP_1: &str = "http/1.1";
pub const HTTP_2: &str = "h2";

/// What a client wants of TLS.
pub struct Wish<'a> {
    /// Whom it trusts.
    pub ca: &'a Ca,
    /// Its own certificate, if it has one.
    pub identity: Option<&'a Issued>,
    /// What it offers to speak (ALPN).
    pub protocols: &'a [&'a str],
    pub versions: &'a [&'static SupportedProtocolVersion],
}

impl<'a> Wish<'a> {
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
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::from(address.ip());
    let handshake = TlsConnector::from(Arc::clone(config)).connect(name, stream);
    timeout(PATIENCE, handshake).await.expect("no handshake")
}

/// One request on a connection of its own, over HTTP/2 if that is agreed on.
pub async fn send(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut stream = connect(address, config).await.expect("no TLS");
    if stream.get_ref().1.alpn_protocol() == Some(HTTP_2.as_bytes()) {
        let connection = Http2::new(stream, address).await;
        return connection.send(method, path, headers, body).await;
    }
    let bytes = request(address, method, path, headers, body);
    let exchange = async {
        stream.write_all(bytes.as_bytes()).await.unwrap();
        read_answer(&mut stream).await.expect("no answer")
    };
    timeout(PATIENCE, exchange)
        .await
        .expect("no answer in time")
}

/// An HTTP/2 connection.
pub struct Http2 {
    address: SocketAddr,
    sender: SendRequest<Bytes>,
    driver: JoinHandle<Result<(), h2::Error>>,
}

/// A request that is under way.
pub struct Exchange {
    pub request: SendStream<Bytes>,
    response: ResponseFuture,
}

impl Http2 {
    pub async fn connect(address: SocketAddr, ca: &Ca) -> Self {
        Self::connect_with(address, ca, &mut h2::client::Builder::new()).await
    }

    /// A connection with a certificate of the client's.
    pub async fn connect_as(address: SocketAddr, ca: &Ca, identity: &Issued) -> Self {
        let wish = Wish {
            identity: Some(identity),
            protocols: &[HTTP_2],
            ..Wish::new(ca)
        };
        let stream = connect(address, &wish.config()).await.unwrap();
        Self::new(stream, address).await
    }

    pub async fn connect_with(
        address: SocketAddr,
        ca: &Ca,
        builder: &mut h2::client::Builder,
    ) -> Self {
        let wish = Wish {
            protocols: &[HTTP_2],
            ..Wish::new(ca)
        };
        let stream = connect(address, &wish.config()).await.unwrap();
        Self::over(stream, address, builder).await
    }

    async fn new(stream: TlsStream<TcpStream>, address: SocketAddr) -> Self {
        Self::over(stream, address, &mut h2::client::Builder::new()).await
    }

    async fn over(
        stream: TlsStream<TcpStream>,
        address: SocketAddr,
        builder: &mut h2::client::Builder,
    ) -> Self {
        // The server does not say how many it takes.
        builder.initial_max_send_streams(10_000);
        let (sender, connection) = builder.handshake(stream).await.unwrap();
        Self {
            address,
            sender,
            driver: tokio::spawn(connection),
        }
    }

    /// Sends a head, and leaves the body to the caller if there is to be one.
    pub async fn start(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        bodyless: bool,
    ) -> Result<Exchange, h2::Error> {
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("https://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut sender = self.sender.clone().ready().await?;
        let (response, request) = sender.send_request(request.body(()).unwrap(), bodyless)?;
        Ok(Exchange { request, response })
    }

    /// A whole exchange. The length of the body is not announced.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let exchange = async {
            let started = self.start(method, path, headers, body.is_empty()).await?;
            let mut exchange = started;
            if !body.is_empty() {
                let body = Bytes::copy_from_slice(body.as_bytes());
                exchange.request.send_data(body, true)?;
            }
            exchange.answer().await
        };
        let answer = timeout(PATIENCE, exchange).await;
        answer.expect("no answer in time").expect("no answer")
    }

    /// Completes when the other side has closed.
    pub async fn closed(self) {
        let Self { sender, driver, .. } = self;
        // While there is a sender the client does not close by itself.
        let _how = driver.await.unwrap();
        drop(sender);
    }
}

impl Exchange {
    /// Waits for the whole answer.
    pub async fn answer(self) -> Result<Answer, h2::Error> {
        let (head, mut stream) = self.response.await?.into_parts();
        let body = read_body(&mut stream).await?;
        let headers = head.headers.iter();
        Ok(Answer {
            status: head.status.as_u16(),
            headers: headers
                .map(|(name, value)| {
                    let value = value.to_str().expect("not ASCII");
                    (name.as_str().to_owned(), value.to_owned())
                })
                .collect(),
            body,
        })
    }

    /// Waits for the head of the answer: its status, and its body to be read or not.
    pub async fn head(self) -> Result<(u16, RecvStream), h2::Error> {
        let (head, body) = self.response.await?.into_parts();
        Ok((head.status.as_u16(), body))
    }
}

async fn read_body(stream: &mut RecvStream) -> Result<String, h2::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = poll_fn(|context| stream.poll_data(context)).await {
        let chunk = match chunk {
            // The answer is whole, and the rest of the request is not wanted (RFC 9113
            // section 8.1).
            Err(error) if error.reason() == Some(Reason::NO_ERROR) => break,
            chunk => chunk?,
        };
        body.extend_from_slice(&chunk);
        stream.flow_control().release_capacity(chunk.len())?;
    }
    Ok(String::from_utf8(body).expect("not UTF-8"))
}
