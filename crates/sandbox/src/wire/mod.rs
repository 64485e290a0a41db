//! HTTP/1.1 on a stream, written by hand: the sandbox has to cut bodies, reset connections
//! and send bytes that are not HTTP, which no server library allows. Reading is strict and
//! bounded; what is sent is broken only where a fault says so.

mod delivery;
mod request;
mod response;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

pub(super) use delivery::Disposition;
pub(super) use request::Request;
pub(super) use response::Response;

/// Longest request head, in bytes.
const HEAD_LIMIT: usize = 64 * 1024;
/// Longest request body, in bytes.
const BODY_LIMIT: usize = 8 * 1024 * 1024;
/// How long a client may take to send one request, and how long a kept-alive connection may
/// stay idle.
const READ_TIMEOUT: Duration = Duration::from_secs(120);

/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The first byte of a TLS connection: a handshake record.
const TLS_HANDSHAKE: u8 = 22;

type Stream = Either<TcpStream, TlsStream<TcpStream>>;

/// A client's connection, and the bytes read from it but not used yet.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    buffer: Vec<u8>,
    /// Counts connections from 1, so that the journal shows which requests shared one.
    pub(super) number: u64,
    /// The sandbox speaks TLS and the client does not.
    pub(super) plaintext: bool,
}

impl Connection {
    /// Performs the TLS handshake if there is a TLS configuration.
    pub(super) async fn open(
        stream: TcpStream,
        number: u64,
        tls: Option<Arc<ServerConfig>>,
    ) -> io::Result<Self> {
        // Responses are written in one piece; waiting for more would only delay them.
        stream.set_nodelay(true)?;
        let (stream, plaintext) = match tls {
            None => (Either::Left(stream), false),
            Some(tls) => timeout(HANDSHAKE_TIMEOUT, handshake(stream, tls)).await??,
        };
        Ok(Self {
            stream,
            buffer: Vec::new(),
            number,
            plaintext,
        })
    }

    fn tcp(&self) -> &TcpStream {
        match &self.stream {
            Either::Left(stream) => stream,
            Either::Right(stream) => stream.get_ref().0,
        }
    }

    /// Completes when the client has closed its side. What it sends meanwhile is kept for the
    /// next request, up to a limit.
    pub(super) async fn disconnected(&mut self) {
        loop {
            if self.buffer.len() > HEAD_LIMIT + BODY_LIMIT {
                return std::future::pending().await;
            }
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }
}

/// The stream after the handshake; or, with `true`, that of a client that does not speak TLS.
async fn handshake(stream: TcpStream, tls: Arc<ServerConfig>) -> io::Result<(Stream, bool)> {
    let mut first = [0];
    stream.peek(&mut first).await?;
    if first == [TLS_HANDSHAKE] {
        let stream = TlsAcceptor::from(tls).accept(stream).await?;
        Ok((Either::Right(stream), false))
    } else {
        Ok((Either::Left(stream), true))
    }
}
