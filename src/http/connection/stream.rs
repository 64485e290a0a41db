//! The streams that callers are served on: TCP, and TLS over it.

use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use actix_tls::accept::rustls_0_23::TlsStream;
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::TcpStream;

use crate::identity::PeerCertificate;

/// A stream for serving callers.
pub trait CallerStream: AsyncRead + AsyncWrite + Unpin + 'static {
    /// The peer's address, if it is still connected.
    fn peer_addr(&self) -> Option<SocketAddr>;

    /// The certificate that the client has presented in the TLS handshake, if any.
    fn peer_certificate(&self) -> Option<PeerCertificate>;

    /// Whether the client's end has arrived, behind data that was not read.
    fn has_ended(&self) -> bool;
}

impl CallerStream for TcpStream {
    fn peer_addr(&self) -> Option<SocketAddr> {
        Self::peer_addr(self).ok()
    }

    fn peer_certificate(&self) -> Option<PeerCertificate> {
        None
    }

    fn has_ended(&self) -> bool {
        let ready = pin!(self.ready(Interest::READABLE));
        match ready.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(ready)) => ready.is_read_closed(),
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        }
    }
}

impl CallerStream for TlsStream<TcpStream> {
    fn peer_addr(&self) -> Option<SocketAddr> {
        self.get_ref().0.peer_addr().ok()
    }

    fn peer_certificate(&self) -> Option<PeerCertificate> {
        let chain = self.get_ref().1.peer_certificates()?;
        Some(PeerCertificate::new(chain))
    }

    fn has_ended(&self) -> bool {
        self.get_ref().0.has_ended()
    }
}
