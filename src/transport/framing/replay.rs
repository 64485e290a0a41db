//! Answers from memory through the filter, for the checks that feed it anything.

use std::collections::VecDeque;
use std::task::Waker;

use super::*;

/// A connection that gives these pieces, then ends, and takes everything.
pub(super) struct Script(pub(super) VecDeque<io::Result<Vec<u8>>>);

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

/// What awc gets to read of an answer.
#[derive(Debug)]
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
    Misframed,
}

/// Sends a request, and reads the answer that comes in pieces of so many bytes, until it or the
/// connection ends. `proves_end` as for the filter.
#[must_use]
pub fn replay(request: &[u8], answer: &[u8], piece: usize, proves_end: bool) -> Replay {
    let pieces = answer.chunks(piece.max(1));
    let pieces = pieces.map(|piece| Ok(piece.to_vec())).collect();
    let mut filter = Filter::new(Script(pieces), proves_end);
    filter.begin_exchange(request);
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
        let mut space = [0; 1024];
        let mut buffer = ReadBuf::new(&mut space);
        let polled = Pin::new(&mut filter).poll_read(&mut cx, &mut buffer);
        most_held = most_held.max(filter.heads.len() + filter.pending.len());
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
    match error.get_ref() {
        Some(inner) if inner.is::<Misframed>() => ReplayEnd::Misframed,
        Some(inner) if inner.is::<UnprovenEnd>() => ReplayEnd::Unproven,
        _ => ReplayEnd::Cut,
    }
}
