//! A caller's connection: the byte stream below HTTP, plain or TLS, with the limits that the
//! HTTP library does not keep.
//!
//! actix-http could limit the time of a connection's first head and nothing else: not a second
//! head, not the rest of a body that no handler reads, and not a client that does not read
//! its answer. [`Connection`] has one deadline for all of these, which is moved as requests
//! begin and end. When it has passed, a head that has begun is answered 408, and the stream
//! reports its end, so that HTTP closes the connection in its usual way; a write that is stuck
//! fails.
//!
//! actix-http also reads and decodes requests for as long as they come, whether or not it
//! can serve them. [`Connection`] passes on one request at a time: reading stops while a
//! request is in the works, and goes on with its body or once its answer was sent. The
//! client's end is still noticed meanwhile.

mod request_end;
mod state;
mod stream;
mod unread;

use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::dev::Extensions;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::access_log::log_refusal;
use super::client_address::TrustedPeer;
use crate::domain::AddressRange;
use crate::identity::PeerCertificate;
use state::{ConnectionState, LINGER, ReadPosition};
use unread::UnreadAnswer;

pub use state::{ConnectionTimeouts, InFlightBody, InFlightRequest};
pub use stream::CallerStream;

/// How much is read of the requests after the one in the works, in bytes. While no more has
/// come, the client's end is noticed at once.
const READ_AHEAD: usize = 4 * 1024;
/// How often a client that has sent more is looked at, whether it is still connected.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// What all connections of a listener have in common.
#[derive(Debug)]
pub struct ConnectionConfig {
    /// Time limits.
    pub timeouts: ConnectionTimeouts,
    /// `server.public_url`, for problem documents.
    pub public_url: Arc<str>,
    /// `server.trusted_proxies`
    pub trusted_proxies: Arc<[AddressRange]>,
}

/// A stream with limits.
pub struct Connection<S> {
    stream: S,
    config: Arc<ConnectionConfig>,
    state: Rc<ConnectionState>,
    /// What was read beyond the present request.
    ahead: Vec<u8>,
    /// When a write that is stuck fails; none while the client takes what is sent.
    write_deadline: Option<Instant>,
    /// Never later than the deadline, often earlier: it is set again only when it has
    /// fired, since a deadline moves with each request and seldom passes.
    timer: Pin<Box<Sleep>>,
    refusal: Option<UnreadAnswer>,
}

impl<S> Connection<S> {
    /// A connection whose first request has not come.
    pub fn new(stream: S, config: Arc<ConnectionConfig>) -> Self {
        let deadline = Instant::now() + config.timeouts.head;
        Self {
            stream,
            state: Rc::new(ConnectionState::new(config.timeouts, deadline)),
            config,
            ahead: Vec::new(),
            write_deadline: None,
            timer: Box::pin(sleep_until(deadline)),
            refusal: None,
        }
    }

    /// Completes when the deadline has passed; else the task is woken when it does.
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let deadline = match (self.state.deadline(), self.write_deadline) {
            (Some(phase), Some(write)) => phase.min(write),
            (phase, write) => match phase.or(write) {
                Some(deadline) => deadline,
                None => return Poll::Pending,
            },
        };
        self.wake_by(deadline);
        loop {
            ready!(self.timer.as_mut().poll(context));
            if self.timer.deadline() == deadline {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(deadline);
        }
    }

    /// The timer fires at this time at the latest, once it is polled.
    fn wake_by(&mut self, time: Instant) {
        if self.timer.deadline() > time {
            self.timer.as_mut().reset(time);
        }
    }

    /// The client is not reading at present.
    fn poll_stuck<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        let limit = self.config.timeouts.write;
        self.write_deadline
            .get_or_insert_with(|| Instant::now() + limit);
        let timed_out = self.poll_deadline(context);
        timed_out.map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// The client is reading.
    fn not_stuck(&mut self) {
        if self.write_deadline.take().is_some() {
            self.state.read_on();
        }
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
        let proxies = &self.config.trusted_proxies;
        let peer = self.peer_addr().filter(|_| !proxies.is_empty());
        if let Some(proxy) = peer.and_then(|peer| TrustedPeer::among(proxies, peer.ip())) {
            data.insert(proxy);
        }
    }

    /// Whether reading has to stop here, at least until HTTP has parsed what it has.
    fn is_held(&self) -> bool {
        match self.state.position.get() {
            // A client that does not read its answers gets no further ones.
            ReadPosition::Head(_) => self.write_deadline.is_some(),
            ReadPosition::Body(_) => false,
            ReadPosition::Complete => self.state.is_serving(),
            ReadPosition::HeadComplete { paused, .. } => !paused,
        }
    }

    /// Passes nothing on, and completes only with the stream's end. A little is read ahead,
    /// since only that tells the end from further data.
    fn poll_held(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.ahead.len() < READ_AHEAD {
            let mut bytes = [const { MaybeUninit::uninit() }; READ_AHEAD];
            let rest = READ_AHEAD - self.ahead.len();
            let mut buffer = ReadBuf::uninit(&mut bytes[..rest]);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Pending => {
                    self.read_on_later(context);
                    return self.poll_deadline(context).map(Ok);
                }
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.ahead.extend_from_slice(buffer.filled());
                }
                end => return end,
            }
        }
        // More has come, so that the stream cannot wake this task at its end.
        if self.stream.has_ended() {
            return Poll::Ready(Ok(()));
        }
        self.read_on_later(context);
        if self.poll_deadline(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let probe = Instant::now() + PROBE_INTERVAL;
        if self.timer.is_elapsed() {
            self.timer.as_mut().reset(probe);
        }
        self.wake_by(probe);
        if self.timer.as_mut().poll(context).is_ready() {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Something was read ahead: HTTP has to ask for it, now if it is only to parse what it
    /// has, else when the request in the works is done.
    fn read_on_later(&mut self, context: &Context<'_>) {
        if self.ahead.is_empty() {
            return;
        }
        if let ReadPosition::HeadComplete { .. } = self.state.position.get() {
            context.waker().wake_by_ref();
        } else {
            self.state.reads_on(context.waker());
        }
    }
}

impl<S: CallerStream> Connection<S> {
    /// Begins to answer in the library's place if these bytes are an error of its own; returns
    /// whether they are.
    fn refuse_instead(&mut self, bytes: &[u8]) -> bool {
        if self.state.answered.get() {
            return false;
        }
        let has_long_line = self.state.has_long_line.get();
        match UnreadAnswer::instead_of(bytes, &self.config.public_url, has_long_line) {
            Some(answer) => {
                self.refuse(answer);
                true
            }
            None => false,
        }
    }

    fn refuse(&mut self, answer: UnreadAnswer) {
        if self.state.has_begun() {
            let peer = self.stream.peer_addr();
            log_refusal(answer.code, &answer.request_id, peer);
        }
        self.refusal = Some(answer);
    }

    /// The time limit of what was awaited is over: the stream ends. A head that has begun is
    /// answered first, unless an earlier answer is stuck.
    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.write_deadline.is_none() && self.state.gives_up_head() {
            self.refuse(UnreadAnswer::late(&self.config.public_url));
        }
        self.poll_refuse(context)
    }

    /// Sends the refusal, then reads for a moment. The library's own bytes count as written
    /// when all is done, since it drops the connection then.
    fn poll_refuse(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(refusal) = &mut self.refusal else {
            return Poll::Ready(Ok(()));
        };
        let stream = &mut self.stream;
        while !refusal.rest.is_empty() {
            match Pin::new(&mut *stream).poll_write(context, &refusal.rest) {
                Poll::Ready(Ok(written)) => drop(refusal.rest.split_to(written)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return self.poll_stuck(context),
            }
        }
        let until = match refusal.until {
            Some(until) => until,
            None => {
                if Pin::new(&mut *stream).poll_shutdown(context)?.is_pending() {
                    return self.poll_stuck(context);
                }
                *refusal.until.insert(Instant::now() + LINGER)
            }
        };
        self.write_deadline = None;
        self.timer.as_mut().reset(until);
        while self.timer.as_mut().poll(context).is_pending() {
            let mut bytes = [const { MaybeUninit::uninit() }; READ_AHEAD];
            let mut buffer = ReadBuf::uninit(&mut bytes);
            match ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                _ended => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: CallerStream> AsyncRead for Connection<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.refusal.is_some() {
            return this.poll_refuse(context);
        }
        let is_held = this.is_held();
        this.state.asks_for_more();
        if is_held {
            return this.poll_held(context);
        }
        if !this.ahead.is_empty() {
            let count = this.ahead.len().min(buffer.remaining());
            let Some(passed) = this.state.receive(&this.ahead[..count])? else {
                return this.poll_late(context);
            };
            let before = buffer.filled().len();
            buffer.put_slice(&this.ahead[..passed]);
            this.state.spoil(&mut buffer.filled_mut()[before..]);
            this.ahead.drain(..passed);
            if this.ahead.is_empty() {
                this.ahead = Vec::new();
            }
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        match Pin::new(&mut this.stream).poll_read(context, buffer) {
            Poll::Pending => {
                ready!(this.poll_deadline(context));
                this.poll_late(context)
            }
            Poll::Ready(Ok(())) if buffer.filled().len() > before => {
                let Some(passed) = this.state.receive(&buffer.filled()[before..])? else {
                    buffer.set_filled(before);
                    return this.poll_late(context);
                };
                let passed = before + passed;
                this.ahead.extend_from_slice(&buffer.filled()[passed..]);
                buffer.set_filled(passed);
                this.state.spoil(&mut buffer.filled_mut()[before..]);
                Poll::Ready(Ok(()))
            }
            end => end,
        }
    }
}

impl<S: CallerStream> AsyncWrite for Connection<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.refusal.is_some() || this.refuse_instead(bytes) {
            return this.poll_refuse(context).map_ok(|()| bytes.len());
        }
        match Pin::new(&mut this.stream).poll_write(context, bytes) {
            Poll::Ready(written) => {
                this.not_stuck();
                Poll::Ready(written)
            }
            Poll::Pending => this.poll_stuck(context),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_flush(context) {
            Poll::Ready(flushed) => {
                this.not_stuck();
                // HTTP flushes after each answer, and then reads again only when woken: the
                // deadline of the idle connection must be armed here.
                if this.poll_deadline(context).is_ready() {
                    context.waker().wake_by_ref();
                }
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

#[cfg(test)]
mod tests;
