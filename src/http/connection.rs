//! A caller's connection: the byte stream below HTTP, plain or TLS, with the time limits
//! that the HTTP library does not keep.
//!
//! actix-http limits the time of a connection's first head and nothing else: not a
//! second head, not the rest of a body that no handler reads, and not a client that
//! does not read its answer. [`Connection`] has one deadline for all of these, which is moved as requests
//! begin and end. When it has passed, the stream reports its end and HTTP closes the
//! connection in its usual way; a write that is stuck fails.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::HttpRequest;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::Extensions;
use actix_web::web::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::identity::PeerCertificate;

/// How long the rest of an unwanted body is read after the answer that refuses it, so
/// that its sender can read the answer.
const LINGER: Duration = Duration::from_secs(2);
/// How often HTTP may flush a long-lived answer without reading in between. It does not
/// read while 32 KiB of further requests are waiting, and then polls without a pause.
const MAX_FLUSHES_WITHOUT_READ: u32 = 64;

/// Time limits of a connection.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionTimeouts {
    /// Between an answer and the first byte of the next request.
    pub idle: Duration,
    /// For a request's head, or the rest of a body that was not wanted.
    pub head: Duration,
    /// Without the client taking anything of an answer.
    pub write: Duration,
}

/// The phase of a connection, with its deadline.
#[derive(Clone, Copy)]
enum ConnectionPhase {
    /// Between requests. The first byte begins [`ConnectionPhase::Receiving`].
    Idle(Instant),
    /// Bytes have come, but no whole head yet.
    Receiving(Instant),
    /// A handler or its answer's body is at work, which have time limits of their own.
    InFlight,
}

/// State shared by a connection and its requests.
struct ConnectionState {
    timeouts: ConnectionTimeouts,
    phase: Cell<ConnectionPhase>,
    long_lived: Cell<bool>,
}

/// A stream for serving callers.
pub trait CallerStream: AsyncRead + AsyncWrite + Unpin + 'static {
    /// The peer's address, if it is still connected.
    fn peer_addr(&self) -> Option<SocketAddr>;

    /// The certificate that the client has presented in the TLS handshake, if any.
    fn peer_certificate(&self) -> Option<PeerCertificate>;
}

impl CallerStream for TcpStream {
    fn peer_addr(&self) -> Option<SocketAddr> {
        Self::peer_addr(self).ok()
    }

    fn peer_certificate(&self) -> Option<PeerCertificate> {
        None
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
}

/// A stream with time limits.
pub struct Connection<S> {
    stream: S,
    state: Rc<ConnectionState>,
    /// When a write that is stuck fails; none while the client takes what is sent.
    write_deadline: Option<Instant>,
    /// Never later than the deadline, often earlier: it is set again only when it has
    /// fired, since a deadline moves with each request and seldom passes.
    timer: Pin<Box<Sleep>>,
    flushes_without_read: u32,
}

impl<S> Connection<S> {
    /// A connection whose first request has not come. `first_head` is the time limit for
    /// its head.
    pub fn new(stream: S, timeouts: ConnectionTimeouts, first_head: Duration) -> Self {
        let deadline = Instant::now() + first_head;
        Self {
            stream,
            state: Rc::new(ConnectionState {
                timeouts,
                phase: Cell::new(ConnectionPhase::Receiving(deadline)),
                long_lived: Cell::new(false),
            }),
            write_deadline: None,
            timer: Box::pin(sleep_until(deadline)),
            flushes_without_read: 0,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let phase = match self.state.phase.get() {
            ConnectionPhase::Idle(deadline) | ConnectionPhase::Receiving(deadline) => {
                Some(deadline)
            }
            ConnectionPhase::InFlight => None,
        };
        match (phase, self.write_deadline) {
            (Some(phase), Some(write)) => Some(phase.min(write)),
            (phase, write) => phase.or(write),
        }
    }

    /// Completes when the deadline has passed; else the task is woken when it does.
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline() else {
            return Poll::Pending;
        };
        if self.timer.deadline() > deadline {
            self.timer.as_mut().reset(deadline);
        }
        loop {
            ready!(self.timer.as_mut().poll(context));
            if self.timer.deadline() == deadline {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(deadline);
        }
    }

    /// Notes bytes from the client, and refuses them if they come too late: a client
    /// that never stops sending never lets [`Self::poll_deadline`] be asked.
    fn receive(&self) -> io::Result<()> {
        match self.state.phase.get() {
            ConnectionPhase::Idle(_) => {
                let deadline = Instant::now() + self.state.timeouts.head;
                self.state.phase.set(ConnectionPhase::Receiving(deadline));
                Ok(())
            }
            ConnectionPhase::Receiving(deadline) if deadline < Instant::now() => {
                Err(io::ErrorKind::TimedOut.into())
            }
            ConnectionPhase::Receiving(_) | ConnectionPhase::InFlight => Ok(()),
        }
    }

    /// The client is not reading at present.
    fn poll_stuck<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        let limit = self.state.timeouts.write;
        self.write_deadline
            .get_or_insert_with(|| Instant::now() + limit);
        let timed_out = self.poll_deadline(context);
        timed_out.map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: CallerStream> Connection<S> {
    /// The peer's address, if it is still connected.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.stream.peer_addr()
    }

    /// Makes the connection known to its requests, with its client's certificate.
    pub fn attach(&self, data: &mut Extensions) {
        data.insert(Rc::clone(&self.state));
        if let Some(certificate) = self.stream.peer_certificate() {
            data.insert(certificate);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.flushes_without_read = 0;
        match Pin::new(&mut this.stream).poll_read(context, buffer) {
            Poll::Ready(Ok(())) => Poll::Ready(this.receive()),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // Nothing was read: the end of the stream.
            Poll::Pending => this.poll_deadline(context).map(Ok),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_write(context, bytes) {
            Poll::Ready(written) => {
                this.write_deadline = None;
                Poll::Ready(written)
            }
            Poll::Pending => this.poll_stuck(context),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.state.long_lived.get() {
            this.flushes_without_read += 1;
            if this.flushes_without_read > MAX_FLUSHES_WITHOUT_READ {
                return Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into()));
            }
        }
        match Pin::new(&mut this.stream).poll_flush(context) {
            Poll::Ready(flushed) => {
                this.write_deadline = None;
                // HTTP flushes after each answer, and then reads again only when woken: the
                // deadline of the idle connection must be armed here.
                let _armed = this.poll_deadline(context);
                Poll::Ready(flushed)
            }
            Poll::Pending => this.poll_stuck(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_shutdown(context) {
            Poll::Pending => this.poll_stuck(context),
            end => end,
        }
    }
}

/// The certificate that the client of this request's connection has presented, and
/// proven to hold the key of. Whether it is (still) good is for
/// [`ClientCertificates`](crate::identity::ClientCertificates) to say.
#[must_use]
pub fn peer_certificate(request: &HttpRequest) -> Option<&PeerCertificate> {
    request.conn_data()
}

fn state_of(request: &HttpRequest) -> Option<Rc<ConnectionState>> {
    request.conn_data().cloned()
}

/// A request from its handler's start until its answer's body is complete. Its
/// connection is not idle as long as this exists.
pub struct InFlightRequest {
    connection: Option<Rc<ConnectionState>>,
    closes: bool,
}

impl InFlightRequest {
    /// Marks a request as received.
    pub fn begin(request: &HttpRequest) -> Self {
        let connection = state_of(request);
        if let Some(connection) = &connection {
            connection.phase.set(ConnectionPhase::InFlight);
        }
        Self {
            connection,
            closes: false,
        }
    }

    /// The answer's body; `closes` if the connection is to be closed after it.
    pub fn answer(mut self, body: BoxBody, closes: bool) -> InFlightBody {
        self.closes = closes;
        InFlightBody {
            body,
            _request: self,
        }
    }
}

impl Drop for InFlightRequest {
    fn drop(&mut self) {
        let Some(connection) = &self.connection else {
            return;
        };
        let now = Instant::now();
        connection.phase.set(if self.closes {
            ConnectionPhase::Receiving(now + LINGER)
        } else {
            ConnectionPhase::Idle(now + connection.timeouts.idle)
        });
    }
}

/// An answer's body, which keeps its request in flight.
pub struct InFlightBody {
    body: BoxBody,
    _request: InFlightRequest,
}

impl MessageBody for InFlightBody {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.body.as_pin_mut().poll_next(context)
    }
}

/// A delayed answer or a stream of events. Meanwhile the client must not fill its connection
/// with further requests, which would hide the end of the connection.
pub struct LongLivedResponse(Option<Rc<ConnectionState>>);

impl LongLivedResponse {
    /// From now on until it is dropped.
    pub fn begin(request: &HttpRequest) -> Self {
        let connection = state_of(request);
        if let Some(connection) = &connection {
            connection.long_lived.set(true);
        }
        Self(connection)
    }
}

impl Drop for LongLivedResponse {
    fn drop(&mut self) {
        if let Some(connection) = &self.0 {
            connection.long_lived.set(false);
        }
    }
}

#[cfg(test)]
mod tests;
