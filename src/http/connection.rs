//! Limits on what a connection may do between two requests.
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

use actix_web::HttpRequest;
use actix_web::dev::Extensions;

/// How often a worker looks for connections that have overstayed.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// How long the rest of an unwanted body is read on, so that its sender can read why.
const LINGER: Duration = Duration::from_secs(2);

thread_local! {
    /// The connections of this worker; none until its first one.
    static CONNECTIONS: RefCell<Option<Vec<Weak<Connection>>>> = const { RefCell::new(None) };
}

/// One connection, as far as its patience is concerned.
pub struct Connection {
    /// A second handle to the socket, to end it with.
    socket: TcpStream,
    /// When nothing may be outstanding any more; none while a handler is at work,
    /// which has limits of its own.
    deadline: Cell<Option<Instant>>,
    patience: Duration,
}

/// Begins to watch a connection: it is ended when no request has reached a handler
/// for `patience` since it began, or since the last answer. For `on_connect`.
pub fn watch_connection(io: &dyn Any, data: &mut Extensions, patience: Duration) {
    let Some(stream) = io.downcast_ref::<tokio::net::TcpStream>() else {
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
    /// A request has reached its handler.
    pub fn begin(request: &HttpRequest) {
        if let Some(connection) = request.conn_data::<Rc<Self>>() {
            connection.deadline.set(None);
        }
    }

    /// Its answer is ready; `closes` if nothing more is wanted of this client.
    pub fn end(request: &HttpRequest, closes: bool) {
        if let Some(connection) = request.conn_data::<Rc<Self>>() {
            let left = if closes { LINGER } else { connection.patience };
            connection.deadline.set(Some(Instant::now() + left));
        }
    }

    fn end_if_overdue(&self, now: Instant) {
        if self.deadline.get().is_some_and(|deadline| deadline < now) {
            // It may be gone already.
            let _gone = self.socket.shutdown(Shutdown::Both);
        }
    }
}
