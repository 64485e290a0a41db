//! What awc reads of a connection: only framings that it reads rightly.
//!
//! awc takes an interim answer for the final one, reads a body that ends with the connection
//! as empty, takes one that breaks off for whole, and loses what follows an answer. This
//! filter lies between: interim answers are dropped, a body that ends with the connection is
//! passed on in chunks, an early end is an error, and a connection on which more comes than
//! its answer is not used again. Usual answers pass through as they are, without a copy.

mod head;
mod heads;
#[cfg(any(test, feature = "fuzzing"))]
mod replay;

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::rt::net::ActixStream;
use actix_web::web::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, Ready};

use crate::http1::{Chunks, ChunksRead};
use head::Framing;
use heads::Heads;

pub(super) use head::Misframed;
#[cfg(any(test, feature = "fuzzing"))]
pub(in crate::transport) use replay::Script;
#[cfg(any(test, feature = "fuzzing"))]
pub use replay::{Replay, ReplayEnd, replay};

/// How much of a body that ends with the connection is read at a time, in bytes.
const PIECE: usize = 4096;

/// The connection ended, and with it the body, without a proof that nothing is missing: over
/// plain TCP anything in between can end a connection, and some servers end TLS without
/// saying so.
#[derive(Debug, thiserror::Error)]
#[error("the body ended with the connection, which proves nothing")]
pub(super) struct UnprovenEnd;

/// A connection to a server, as awc reads it.
pub(super) struct Filter<Io> {
    io: Io,
    /// Whether an orderly end of the stream comes from the server itself: with TLS.
    proves_end: bool,
    state: State,
    /// Read, and to be passed on.
    pending: BytesMut,
}

/// Where in an exchange the connection is.
enum State {
    /// No request is unanswered.
    Idle,
    /// The head of the answer is read.
    Head(Heads),
    /// The body is read, and so many bytes are missing.
    Length(u64),
    /// The body is read.
    Chunked(Chunks),
    /// The body is read until the connection ends.
    UntilEnd,
    /// The connection has ended, or must not be used again.
    Over,
    /// The answer is refused, or has ended as it should not.
    Failed(Failure),
}

#[derive(Clone, Copy)]
enum Failure {
    Misframed(Misframed),
    Cut,
    UnprovenEnd,
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Misframed(error) => Self::new(io::ErrorKind::InvalidData, error),
            Failure::Cut => io::ErrorKind::UnexpectedEof.into(),
            Failure::UnprovenEnd => Self::new(io::ErrorKind::UnexpectedEof, UnprovenEnd),
        }
    }
}

impl<Io> Filter<Io> {
    /// Over a new connection. `proves_end`: its orderly end cannot be forged.
    pub(super) fn new(io: Io, proves_end: bool) -> Self {
        Self {
            io,
            proves_end,
            state: State::Idle,
            pending: BytesMut::new(),
        }
    }

    /// A request is about to be written.
    fn begin_exchange(&mut self) {
        self.state = State::Head(Heads::default());
    }

    /// Takes what was read. Returns how many bytes of it are to be passed on as they are; the
    /// others are kept, or dropped because they belong to no answer.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let State::Head(heads) = &mut self.state else {
            return self.take_body(bytes);
        };
        match heads.take(bytes) {
            Ok(None) => 0,
            Ok(Some(head)) => {
                self.begin_body(head.framing);
                let body = &bytes[head.body..];
                match head.replaced {
                    None => head.body + self.take_body(body),
                    Some(replaced) => {
                        self.pending = replaced;
                        self.pass_body(body);
                        0
                    }
                }
            }
            Err(error) => {
                self.state = State::Failed(Failure::Misframed(error));
                0
            }
        }
    }

    fn begin_body(&mut self, framing: Framing) {
        self.state = match framing {
            Framing::None | Framing::Length(0) => State::Idle,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(Chunks::default()),
            Framing::UntilEnd => State::UntilEnd,
        };
    }

    /// How many of these bytes belong to the answer. If there are more, the connection is not
    /// used again: the next request would read them as its answer.
    fn take_body(&mut self, bytes: &[u8]) -> usize {
        let (taken, is_whole) = match &mut self.state {
            State::Length(missing) => {
                let wanted = usize::try_from(*missing).unwrap_or(usize::MAX);
                let taken = bytes.len().min(wanted);
                *missing -= taken as u64;
                (taken, *missing == 0)
            }
            State::Chunked(chunks) => match chunks.read(bytes) {
                ChunksRead::Part => (bytes.len(), false),
                ChunksRead::Whole(length) => (length, true),
                ChunksRead::Malformed(length) => {
                    self.state = State::Failed(Failure::Misframed(Misframed::Chunk));
                    return length;
                }
            },
            _ => (0, true),
        };
        if is_whole {
            self.state = match taken == bytes.len() {
                true => State::Idle,
                false => State::Over,
            };
        }
        taken
    }

    /// Passes on what has come of a body behind a head that is not passed on as it is.
    fn pass_body(&mut self, bytes: &[u8]) {
        if matches!(self.state, State::UntilEnd) {
            self.pass_chunk(bytes);
        } else {
            let taken = self.take_body(bytes);
            self.pending.extend_from_slice(&bytes[..taken]);
        }
    }

    /// Passes on a part of a body as a chunk.
    fn pass_chunk(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            let size = format!("{:x}\r\n", bytes.len());
            for part in [size.as_bytes(), bytes, b"\r\n"] {
                self.pending.extend_from_slice(part);
            }
        }
    }

    /// The connection has ended in a head, or in a body whose end is marked.
    fn end(&mut self) {
        self.state = match &self.state {
            // awc knows best what it means that nothing came.
            State::Head(heads) if heads.is_empty() => State::Over,
            State::Head(heads) => match heads.check_cut() {
                Ok(()) => State::Failed(Failure::Cut),
                Err(error) => State::Failed(Failure::Misframed(error)),
            },
            _ => State::Failed(Failure::Cut),
        };
    }
}

impl<Io: AsyncRead + Unpin> Filter<Io> {
    /// Reads on in a body that ends with the connection.
    fn poll_until_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut piece = [0; PIECE];
        let mut piece = ReadBuf::new(&mut piece);
        match ready!(Pin::new(&mut self.io).poll_read(cx, &mut piece)) {
            Ok(()) if !piece.filled().is_empty() => self.pass_chunk(piece.filled()),
            Ok(()) if self.proves_end => {
                self.pending.extend_from_slice(b"0\r\n\r\n");
                self.state = State::Over;
            }
            Ok(()) => self.state = State::Failed(Failure::UnprovenEnd),
            // TLS that was ended without saying so.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.state = State::Failed(Failure::UnprovenEnd);
            }
            Err(error) => return Poll::Ready(Err(error)),
        }
        Poll::Ready(Ok(()))
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Filter<Io> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            if !this.pending.is_empty() {
                let length = this.pending.len().min(buffer.remaining());
                buffer.put_slice(&this.pending.split_to(length));
                return Poll::Ready(Ok(()));
            }
            match this.state {
                // Nothing may come now; awc's pool drops the connection if something does.
                State::Idle => return Pin::new(&mut this.io).poll_read(cx, buffer),
                State::Over => return Poll::Ready(Ok(())),
                State::Failed(failure) => return Poll::Ready(Err(failure.into())),
                State::UntilEnd => ready!(this.poll_until_end(cx))?,
                State::Head(_) | State::Length(_) | State::Chunked(_) => {
                    let before = buffer.filled().len();
                    ready!(Pin::new(&mut this.io).poll_read(cx, buffer))?;
                    let read = &buffer.filled()[before..];
                    if read.is_empty() {
                        this.end();
                        continue;
                    }
                    let taken = this.take(read);
                    buffer.set_filled(before + taken);
                    if taken > 0 {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Filter<Io> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match this.state {
            // awc writes a request whole before it reads, so the first bytes after an answer
            // begin the next request, and what is written before an answer belongs to it.
            State::Idle => this.begin_exchange(),
            State::Head(_) => {}
            // awc reuses no connection whose answer is not over.
            _ => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
        Pin::new(&mut this.io).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

/// What awc's connector asks of a stream; it calls neither.
impl<Io: ActixStream> ActixStream for Filter<Io> {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        self.io.poll_read_ready(cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        self.io.poll_write_ready(cx)
    }
}

/// Without what was read: it may hold a token.
impl<Io> fmt::Debug for Filter<Io> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
