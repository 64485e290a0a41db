//! Limits on what a connection may do besides what its handlers are busy with.
//!
//! actix-http times the first head of a connection and its idling, but neither a
//! second head that never ends nor the rest of a chunked body that no handler wants
//! to read. Without this, ten thousand half-sent requests would fill the gateway.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::HttpRequest;
use actix_web::dev::Extensions;
use tokio_util::sync::CancellationToken;

use super::{Counted, Problem};
use crate::domain::ProblemCode;
use crate::identity::PeerCertificate;

/// How often a worker looks for connections that have overstayed.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// How long the rest of an unwanted body is read on, so that its sender can read why.
const LINGER: Duration = Duration::from_secs(2);
/// How many requests a connection may have at once, which over HTTP/2 can be several.
/// One counts until its answer has been taken: answers that nobody reads are memory.
const MAX_REQUESTS: usize = 256;

/// A connection that speaks TLS.
type Secure = Counted<TlsStream<tokio::net::TcpStream>>;

thread_local! {
    /// The connections of this worker; none until its first one.
    static CONNECTIONS: RefCell<Option<Vec<Weak<Connection>>>> = const { RefCell::new(None) };
}

/// One connection, as far as its patience is concerned.
struct Connection {
    /// A second handle to the socket, to end it with.
    socket: TcpStream,
    /// When nothing may be outstanding any more; none while a handler is at work,
    /// which has limits of its own.
    deadline: Cell<Option<Instant>>,
    patience: Duration,
    /// Handlers at work: over HTTP/2 there can be several.
    at_work: Cell<usize>,
    /// Requests over HTTP/2 whose answers have not been taken; none: one at a time.
    open: Option<Rc<Cell<usize>>>,
    /// Set when it is gone; none where its requests go with it.
    closed: Option<CancellationToken>,
    /// When each of its streams must have been asked for more.
    streams: RefCell<Vec<Weak<Cell<Instant>>>>,
    /// Answers on it that are held back, or go on and on.
    lasting: Cell<usize>,
    /// Whether it had unread bytes when it was last looked at.
    unread: Cell<bool>,
}

/// Begins to watch a connection: it is ended when no request has been in the hands of
/// a handler for `patience`. Also notes the certificate of its client. For `on_connect`.
pub fn watch_connection(io: &dyn Any, data: &mut Extensions, patience: Duration) {
    let (stream, open, closed) = if let Some(secure) = io.downcast_ref::<Secure>() {
        let (stream, session) = secure.get_ref().get_ref();
        if let Some(chain) = session.peer_certificates() {
            data.insert(PeerCertificate::new(chain));
        }
        (stream, secure.open(), Some(secure.closed()))
    } else if let Some(stream) = io.downcast_ref::<tokio::net::TcpStream>() {
        (stream, None, None)
    } else {
        return;
    };
    // Without a second descriptor (they may be used up) it goes unwatched.
    let Ok(duplicate) = stream.as_fd().try_clone_to_owned() else {
        return;
    };
    let connection = Rc::new(Connection {
        socket: TcpStream::from(duplicate),
        deadline: Cell::new(Some(Instant::now() + patience)),
        patience,
        at_work: Cell::new(0),
        open,
        closed,
        streams: RefCell::default(),
        lasting: Cell::default(),
        unread: Cell::default(),
    });
    CONNECTIONS.with_borrow_mut(|known| {
        known
            .get_or_insert_with(|| {
                tokio::task::spawn_local(sweep());
                Vec::new()
            })
            .push(Rc::downgrade(&connection));
    });
    data.insert(connection);
}

/// The certificate that the client of this request's connection has presented, and
/// proven to hold the key of. Whether it is (still) good is for
/// [`ClientCertificates`](crate::identity::ClientCertificates) to say.
#[must_use]
pub fn peer_certificate(request: &HttpRequest) -> Option<&PeerCertificate> {
    request.conn_data()
}

/// Completes when the connection of this request is gone, and nobody can be answered.
/// A handler over HTTP/1.1 does not live to see that.
pub async fn closed(request: &HttpRequest) {
    let connection = request.conn_data::<Rc<Connection>>();
    match connection.and_then(|connection| connection.closed.clone()) {
        Some(closed) => closed.cancelled_owned().await,
        None => std::future::pending().await,
    }
}

async fn sweep() {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    loop {
        ticks.tick().await;
        let now = Instant::now();
        CONNECTIONS.with_borrow_mut(|known| {
            known.iter_mut().for_each(|known| {
                known.retain(|connection| match connection.upgrade() {
                    Some(connection) => {
                        connection.end_if_overdue(now);
                        true
                    }
                    None => false,
                });
            });
        });
    }
}

impl Connection {
    fn end_if_overdue(&self, now: Instant) {
        let is_overdue = self.deadline.get().is_some_and(|deadline| deadline < now);
        if is_overdue || self.has_stalled(now) || self.is_stuffed() {
            // It may be gone already.
            let _gone = self.socket.shutdown(Shutdown::Both);
        }
    }
}

impl Connection {
    /// Whether one of its streams has not been asked for more for long: its client takes
    /// nothing, and so could not be told even that it is to get nothing any more.
    fn has_stalled(&self, now: Instant) -> bool {
        let mut streams = self.streams.borrow_mut();
        streams.retain(|stream| stream.strong_count() > 0);
        let asked = streams.iter().filter_map(Weak::upgrade);
        asked.into_iter().any(|deadline| deadline.get() < now)
    }
}

impl Connection {
    /// Whether more is sent behind a lasting answer than is read: actix-http stops
    /// reading at 16 further requests and 128 KiB, and then neither rests nor notices
    /// that the client goes.
    fn is_stuffed(&self) -> bool {
        if self.lasting.get() == 0 || self.open.is_some() {
            return false;
        }
        let waits = self.socket.peek(&mut [0]).is_ok();
        self.unread.replace(waits) && waits
    }
}

/// An answer that is held back, or goes on and on.
pub struct Lasting(Option<Rc<Connection>>);

impl Lasting {
    /// From now on.
    pub fn begin(request: &HttpRequest) -> Self {
        let connection = request.conn_data::<Rc<Connection>>().cloned();
        if let Some(connection) = &connection {
            connection.lasting.update(|n| n + 1);
        }
        Self(connection)
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        if let Some(connection) = &self.0 {
            connection.lasting.update(|n| n - 1);
        }
    }
}

/// A stream of events on its connection, which is ended if its client takes nothing.
pub struct Streaming {
    deadline: Rc<Cell<Instant>>,
    patience: Duration,
    _under_way: UnderWay,
}

impl Streaming {
    /// The answer to this request goes on and on; its client may take nothing for
    /// `patience`.
    pub fn begin(request: &HttpRequest, patience: Duration) -> Self {
        let deadline = Rc::new(Cell::new(Instant::now() + patience));
        if let Some(connection) = request.conn_data::<Rc<Connection>>() {
            let mut streams = connection.streams.borrow_mut();
            streams.push(Rc::downgrade(&deadline));
        }
        Self {
            deadline,
            patience,
            _under_way: UnderWay::begin(request),
        }
    }

    /// Its client can take more at this moment.
    pub fn asked(&self) {
        self.deadline.set(Instant::now() + self.patience);
    }
}

/// A request in the hands of its handler. While there is one, its connection is not
/// ended; it ends when dropped, also midway.
pub struct UnderWay {
    connection: Option<Rc<Connection>>,
    /// How long the connection may be without a request after this one.
    left: Duration,
}

impl UnderWay {
    /// A request has reached us.
    pub fn begin(request: &HttpRequest) -> Self {
        let connection = request.conn_data::<Rc<Connection>>().cloned();
        if let Some(connection) = &connection {
            connection.at_work.update(|n| n + 1);
            connection.deadline.set(None);
        }
        Self {
            left: connection.as_ref().map_or(LINGER, |c| c.patience),
            connection,
        }
    }

    /// That there is room for it on its connection.
    ///
    /// # Errors
    /// 503 `overloaded`
    pub fn check_room(&self) -> Result<(), Problem> {
        // A request that its client has taken back is not open any more, but still at work.
        let is_full = |connection: &Rc<Connection>| {
            let open = connection.open.as_ref().map_or(0, |open| open.get());
            open.max(connection.at_work.get()) > MAX_REQUESTS
        };
        if !self.connection.as_ref().is_some_and(is_full) {
            return Ok(());
        }
        let detail = format!("A connection may have {MAX_REQUESTS} requests at once.");
        Err(Problem::new(ProblemCode::Overloaded, detail).retry_after(Duration::from_secs(1)))
    }

    /// The answer is ready; `closes` if nothing more is wanted of this client. Over
    /// HTTP/2 that concerns one request, and not the connection.
    pub fn end(mut self, closes: bool) {
        let connection = self.connection.as_ref();
        if closes && connection.is_some_and(|connection| connection.open.is_none()) {
            self.left = LINGER;
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            connection.at_work.update(|n| n - 1);
            if connection.at_work.get() == 0 {
                let deadline = Instant::now() + self.left;
                connection.deadline.set(Some(deadline));
            }
        }
    }
}
