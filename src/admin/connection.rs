//! Connections of the admin listener, of which a newer one always finds room: health must be
//! answered however many clients hold connections open without asking anything.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Connections that are open at a time.
const MAX_OPEN: usize = 256;

/// The open connections of one thread, oldest first. Clones are the same.
#[derive(Clone, Default)]
pub struct AdminConnections(Rc<RefCell<VecDeque<Rc<OpenConnection>>>>);

struct OpenConnection {
    close: CancellationToken,
    /// Whether it has been sent anything.
    is_answered: Cell<bool>,
}

impl AdminConnections {
    /// A connection over this stream. If there are too many, the oldest one that has been sent
    /// nothing yet is closed, else the oldest one.
    pub fn open<S>(&self, stream: S) -> AdminConnection<S> {
        let connection = Rc::new(OpenConnection {
            close: CancellationToken::new(),
            is_answered: Cell::new(false),
        });
        let mut open = self.0.borrow_mut();
        if open.len() >= MAX_OPEN {
            let silent = open.iter().position(|other| !other.is_answered.get());
            if let Some(evicted) = open.remove(silent.unwrap_or(0)) {
                evicted.close.cancel();
            }
        }
        open.push_back(Rc::clone(&connection));
        AdminConnection {
            stream,
            closed: Box::pin(connection.close.clone().cancelled_owned()),
            connection,
            open: self.clone(),
        }
    }
}

/// A stream that ends when it has to make room for another one.
pub struct AdminConnection<S> {
    stream: S,
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
    connection: Rc<OpenConnection>,
    open: AdminConnections,
}

impl<S> AdminConnection<S> {
    /// The stream itself.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// Fails once the connection has to be closed; until then the task is woken when it has.
    fn poll_closed<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        let closed = self.closed.as_mut().poll(context);
        closed.map(|()| Err(io::ErrorKind::ConnectionAborted.into()))
    }
}

impl<S> Drop for AdminConnection<S> {
    fn drop(&mut self) {
        let mut open = self.open.0.borrow_mut();
        open.retain(|other| !Rc::ptr_eq(other, &self.connection));
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for AdminConnection<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Before reading: a client that never stops sending must not get around it.
        if let closed @ Poll::Ready(_) = this.poll_closed(context) {
            return closed;
        }
        Pin::new(&mut this.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for AdminConnection<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_write(context, bytes) {
            Poll::Ready(written) => {
                this.connection.is_answered.set(true);
                Poll::Ready(written)
            }
            Poll::Pending => this.poll_closed(context),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_flush(context) {
            Poll::Pending => this.poll_closed(context),
            flushed => flushed,
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_shutdown(context) {
            Poll::Pending => this.poll_closed(context),
            end => end,
        }
    }
}
