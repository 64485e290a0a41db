//! Answers from memory through the filter, for the checks that feed it anything.

use std::collections::VecDeque;
use std::task::Waker;

use super::*;

/// A connection that gives these pieces, then ends, and takes everything.
pub(in crate::transport) struct Script(VecDeque<io::Result<Vec<u8>>>);

impl AsyncRead for Script {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let pieces = &mut self.get_mut().0;
        match pieces.pop_front() {
            Some(Ok(piece)) => {
                let length = piece.len().min(buffer.remaining());
                buffer.put_slice(&piece[..length]);
                if length < piece.len() {
                    pieces.push_front(Ok(piece[length..].to_vec()));
                }
                Poll::Ready(Ok(()))
            }
            Some(Err(error)) => Poll::Ready(Err(error)),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Script {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl ActixStream for Script {
    fn poll_read_ready(&self, _cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        Poll::Ready(Ok(Ready::READABLE))
    }

    fn poll_write_ready(&self, _cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        Poll::Ready(Ok(Ready::WRITABLE))
    }
}

impl Filter<Script> {
    /// Over a connection that gives these pieces, none of them empty, and then ends.
    /// `proves_end`: its end cannot be forged.
    pub(in crate::transport) fn from_memory(
        pieces: Vec<io::Result<Vec<u8>>>,
        proves_end: bool,
    ) -> Self {
        Self::new(Script(pieces.into()), proves_end)
    }
}

/// What awc gets to read of an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Replay {
    /// Everything that was passed on.
    pub passed: Vec<u8>,
    /// What came behind it.
    pub end: ReplayEnd,
    /// The most that the filter held at a time, in bytes.
    pub most_held: usize,
}

/// How what awc reads ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayEnd {
    /// Whole, and the connection may be used again.
    Usable,
    /// Whole, or nothing at all, and the connection is of no more use.
    Over,
    /// Broken off.
    Cut,
    /// With the connection, which proves nothing.
    Unproven,
    /// Refused.
    Refused(Misframed),
}

/// Reads the answer that comes in these pieces, none of them empty, until it or the connection
/// ends. `proves_end`: that end cannot be forged.
#[must_use]
pub fn replay(pieces: Vec<io::Result<Vec<u8>>>, proves_end: bool) -> Replay {
    let lengths = pieces.iter().flatten().map(Vec::len);
    let mut space = vec![0; lengths.max().unwrap_or(1)];
    let mut filter = Filter::from_memory(pieces, proves_end);
    filter.begin_exchange();
    let mut passed = Vec::new();
    let mut most_held = 0;
    let mut cx = Context::from_waker(Waker::noop());
    let end = loop {
        if matches!(filter.state, State::Idle) && filter.pending.is_empty() {
            // awc's pool drops a connection on which something comes between two exchanges.
            break match filter.io.0.is_empty() {
                true => ReplayEnd::Usable,
                false => ReplayEnd::Over,
            };
        }
        let mut buffer = ReadBuf::new(&mut space);
        let polled = Pin::new(&mut filter).poll_read(&mut cx, &mut buffer);
        let kept = match &filter.state {
            State::Head(heads) => heads.kept_bytes(),
            _ => 0,
        };
        most_held = most_held.max(kept + filter.pending.len());
        match polled {
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => break ReplayEnd::Over,
            Poll::Ready(Ok(())) => passed.extend_from_slice(buffer.filled()),
            Poll::Ready(Err(error)) => break end_of(&error),
            // A script is always ready.
            Poll::Pending => break ReplayEnd::Cut,
        }
    };
    Replay {
        passed,
        end,
        most_held,
    }
}

fn end_of(error: &io::Error) -> ReplayEnd {
    let Some(inner) = error.get_ref() else {
        return ReplayEnd::Cut;
    };
    match inner.downcast_ref::<Misframed>() {
        Some(misframed) => ReplayEnd::Refused(*misframed),
        None if inner.is::<UnprovenEnd>() => ReplayEnd::Unproven,
        None => ReplayEnd::Cut,
    }
}
