//! A connected stream: plain or TLS, possibly inside a proxy's tunnel.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::rt::net::ActixStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, Ready};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Bytes to and from a server.
#[derive(Debug)]
pub(super) enum Channel {
    /// As they are on the wire.
    Plain(TcpStream),
    /// Encrypted, over a plain or an encrypted channel.
    Tls(Box<TlsStream<Channel>>),
}

/// A connection that was in use before and ended before any byte of an answer: most often
/// the server, or something in between, had given it up while it was idle.
#[derive(Debug, thiserror::Error)]
#[error("the idle connection had ended")]
pub(in crate::transport) struct Stale;

/// A connection to a server, ready for requests.
#[derive(Debug)]
pub(in crate::transport) struct Connected {
    channel: Channel,
    /// Whether an answer, or part of one, has ever come.
    was_used: bool,
    /// Whether a request was written and no byte of its answer has come.
    is_waiting: bool,
}

impl Channel {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0.tcp(),
        }
    }
}

impl Connected {
    pub(super) fn new(channel: Channel) -> Self {
        Self {
            channel,
            was_used: false,
            is_waiting: false,
        }
    }

    /// Whether what comes, and its orderly end, are the server's own.
    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self.channel, Channel::Tls(_))
    }

    /// What an operation's error means: [`Stale`] if an idle connection had ended.
    fn judge(&self, error: io::Error) -> io::Error {
        if self.was_used && self.is_waiting {
            io::Error::other(Stale)
        } else {
            error
        }
    }
}

impl AsyncRead for Channel {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Channel {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

impl AsyncRead for Connected {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        match Pin::new(&mut this.channel).poll_read(cx, buffer) {
            Poll::Ready(Ok(())) if buffer.filled().len() > before => {
                this.was_used = true;
                this.is_waiting = false;
                Poll::Ready(Ok(()))
            }
            // The end.
            Poll::Ready(Ok(())) if this.was_used && this.is_waiting => {
                Poll::Ready(Err(io::Error::other(Stale)))
            }
            result => result.map_err(|error| this.judge(error)),
        }
    }
}

impl AsyncWrite for Connected {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.is_waiting = true;
        let result = Pin::new(&mut this.channel).poll_write(cx, bytes);
        result.map_err(|error| this.judge(error))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.channel).poll_flush(cx);
        result.map_err(|error| this.judge(error))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().channel).poll_shutdown(cx)
    }
}

/// What awc's connector asks of a stream; it calls neither.
impl ActixStream for Connected {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(self.channel.tcp(), cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(self.channel.tcp(), cx)
    }
}
