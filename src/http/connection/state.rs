//! What a connection and its requests know of each other: how far the present request was
//! received, and whether it is being served.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::web::Bytes;
use tokio::time::Instant;

use super::request_end::{BodyScan, content_length};
use crate::http1::HeadScan;

/// How long the rest of an unwanted body is read after the answer that refuses it, so
/// that its sender can read the answer.
pub const LINGER: Duration = Duration::from_secs(2);

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
#[derive(Debug, Clone, Copy)]
pub enum ConnectionPhase {
    /// Between requests. The first byte begins [`ConnectionPhase::Receiving`].
    Idle(Instant),
    /// A head has begun, or the rest of an unwanted body is awaited.
    Receiving(Instant),
    /// A handler or its answer's body is at work, which have time limits of their own.
    InFlight,
}

/// How far the present request was passed on to HTTP.
#[derive(Debug, Clone, Copy)]
pub enum ReadPosition {
    /// Not to the end of its head.
    Head(HeadScan),
    /// To the end of its head, and `body` bytes beyond. HTTP parses it when reading pauses,
    /// which it has done once `paused` is set.
    HeadComplete { body: u64, paused: bool },
    /// Not to the end of its body.
    Body(BodyScan),
    /// All of it.
    Complete,
}

/// State shared by a connection and its requests.
pub struct ConnectionState {
    pub timeouts: ConnectionTimeouts,
    pub phase: Cell<ConnectionPhase>,
    pub position: Cell<ReadPosition>,
    /// Whether a handler has answered the present request.
    pub answered: Cell<bool>,
    /// Whether a line of the present head is too long for the library.
    pub has_long_line: Cell<bool>,
    /// Reads on, when reading has stopped although there may be more.
    reader: Cell<Option<Waker>>,
}

impl ConnectionState {
    /// A connection whose first head has to be received by `deadline`.
    pub fn new(timeouts: ConnectionTimeouts, deadline: Instant) -> Self {
        Self {
            timeouts,
            phase: Cell::new(ConnectionPhase::Receiving(deadline)),
            position: Cell::new(ReadPosition::Head(HeadScan::default())),
            answered: Cell::new(false),
            has_long_line: Cell::new(false),
            reader: Cell::new(None),
        }
    }

    /// The phase's deadline, if it has one.
    pub fn deadline(&self) -> Option<Instant> {
        match self.phase.get() {
            ConnectionPhase::Idle(deadline) | ConnectionPhase::Receiving(deadline) => {
                Some(deadline)
            }
            ConnectionPhase::InFlight => None,
        }
    }

    /// Whether anything of the present request was received.
    pub fn has_begun(&self) -> bool {
        match self.position.get() {
            ReadPosition::Head(scan) => scan.has_begun(),
            _ => true,
        }
    }

    /// Whether a request is being served of which nothing more is to come.
    pub fn is_serving(&self) -> bool {
        matches!(self.phase.get(), ConnectionPhase::InFlight)
            && matches!(self.position.get(), ReadPosition::Complete)
    }

    /// Takes note of received bytes.
    ///
    /// # Returns
    /// How many of them may be passed on to HTTP: not those of the next request. None if they
    /// come too late: a client that never stops sending never lets the deadline be asked
    /// otherwise.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`]: they do not tell where the body ends.
    pub fn receive(&self, bytes: &[u8]) -> io::Result<Option<usize>> {
        let mut begins = false;
        let taken = match self.position.get() {
            ReadPosition::Head(mut scan) => {
                let is_first = !scan.has_begun();
                let end = scan.end_in(bytes);
                begins = scan.has_begun();
                if scan.has_long_line() {
                    self.has_long_line.set(true);
                }
                let (taken, position) = match end {
                    None => (bytes.len(), ReadPosition::Head(scan)),
                    Some(end) => {
                        // A body in the same bytes is passed on at once.
                        let body = match bytes.len() - end {
                            0 => 0,
                            rest if is_first => content_length(&bytes[..end]).min(rest),
                            _ => 0,
                        };
                        let complete = ReadPosition::HeadComplete {
                            body: body as u64,
                            paused: false,
                        };
                        (end + body, complete)
                    }
                };
                self.position.set(position);
                taken
            }
            ReadPosition::Body(mut body) => {
                let taken = body.take(bytes);
                self.position.set(ReadPosition::Body(body));
                if body.is_complete() {
                    self.body_is_complete();
                }
                if body.is_malformed() {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                taken
            }
            ReadPosition::HeadComplete { .. } | ReadPosition::Complete => bytes.len(),
        };
        match self.phase.get() {
            ConnectionPhase::Idle(_) if begins => {
                let deadline = Instant::now() + self.timeouts.head;
                self.phase.set(ConnectionPhase::Receiving(deadline));
                self.answered.set(false);
                Ok(Some(taken))
            }
            ConnectionPhase::Idle(deadline) | ConnectionPhase::Receiving(deadline)
                if deadline < Instant::now() =>
            {
                Ok(None)
            }
            _ => Ok(Some(taken)),
        }
    }

    /// HTTP asks for more. After the end of a head it gets nothing once, so that it parses that
    /// head. If it asks again although no handler has begun, it still waits for the end of a
    /// head, and the search for that begins anew.
    pub fn asks_for_more(&self) {
        if let ReadPosition::HeadComplete { body, paused } = self.position.get() {
            self.position.set(match paused {
                false => ReadPosition::HeadComplete { body, paused: true },
                true => ReadPosition::Head(HeadScan::default()),
            });
        }
    }

    /// Gives up a head whose time is over, if one has begun: its answer has a moment to be sent.
    ///
    /// # Returns
    /// Whether there is one.
    pub fn gives_up_head(&self) -> bool {
        let has_begun = match self.position.get() {
            ReadPosition::Head(scan) => scan.has_begun(),
            // Its end came too late.
            ReadPosition::HeadComplete { .. } => true,
            ReadPosition::Body(_) | ReadPosition::Complete => false,
        };
        let is_late = match self.phase.get() {
            ConnectionPhase::Receiving(deadline) => deadline <= Instant::now(),
            _ => false,
        };
        if has_begun && is_late {
            let until = Instant::now() + LINGER;
            self.phase.set(ConnectionPhase::Receiving(until));
        }
        has_begun && is_late
    }

    /// Makes a head with a line that is too long unreadable: the library refuses it then,
    /// instead of panicking.
    pub fn spoil(&self, passed: &mut [u8]) {
        if self.has_long_line.get() {
            passed.fill(0);
        }
    }

    fn body_is_complete(&self) {
        if matches!(self.phase.get(), ConnectionPhase::InFlight) {
            self.position.set(ReadPosition::Complete);
        } else {
            // The rest of a body that was not wanted.
            self.await_request();
        }
    }

    fn await_request(&self) {
        let deadline = Instant::now() + self.timeouts.idle;
        self.phase.set(ConnectionPhase::Idle(deadline));
        self.position.set(ReadPosition::Head(HeadScan::default()));
    }

    /// Has `waker` woken when reading may go on.
    pub fn reads_on(&self, waker: &Waker) {
        self.reader.set(Some(waker.clone()));
    }

    /// Reading may go on.
    pub fn read_on(&self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn begin(&self, body: Option<BodyScan>) {
        self.phase.set(ConnectionPhase::InFlight);
        let passed = match self.position.get() {
            ReadPosition::HeadComplete { body, .. } => body,
            _ => 0,
        };
        let body = match body {
            Some(BodyScan::Length(length)) => Some(BodyScan::Length(length.saturating_sub(passed))),
            other => other,
        };
        self.position.set(match body {
            Some(body) if !body.is_complete() => ReadPosition::Body(body),
            _ => ReadPosition::Complete,
        });
    }

    fn end(&self, closes: bool) {
        if closes {
            let deadline = Instant::now() + LINGER;
            self.phase.set(ConnectionPhase::Receiving(deadline));
        } else if matches!(self.position.get(), ReadPosition::Body(_)) {
            let deadline = Instant::now() + self.timeouts.head;
            self.phase.set(ConnectionPhase::Receiving(deadline));
        } else {
            self.await_request();
        }
        self.read_on();
    }
}

/// A request from its handler's start until its answer's body is complete. Its
/// connection is not idle as long as this exists, and no further request is read from it.
pub struct InFlightRequest {
    connection: Option<Rc<ConnectionState>>,
    closes: bool,
}

impl InFlightRequest {
    /// Marks a request's head as received.
    pub fn begin(request: &HttpRequest) -> Self {
        let connection: Option<Rc<ConnectionState>> = request.conn_data().cloned();
        if let Some(connection) = &connection {
            connection.begin(BodyScan::announced(request.headers()));
        }
        Self {
            connection,
            closes: false,
        }
    }

    /// The answer's body; `closes` if the connection is to be closed after it.
    pub fn answer(mut self, body: BoxBody, closes: bool) -> InFlightBody {
        self.closes = closes;
        if let Some(connection) = &self.connection {
            connection.answered.set(true);
        }
        InFlightBody {
            body,
            _request: self,
        }
    }
}

impl Drop for InFlightRequest {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            connection.end(self.closes);
        }
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

#[cfg(test)]
impl InFlightRequest {
    /// A request in flight on this connection, with a body of this length to come.
    pub fn on(connection: &Rc<ConnectionState>, length: u64) -> Self {
        connection.begin(Some(BodyScan::Length(length)));
        Self {
            connection: Some(Rc::clone(connection)),
            closes: false,
        }
    }
}
