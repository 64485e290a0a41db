//! Limits on HTTP/2 that actix-http cannot be told.
//!
//! It leaves its HTTP/2 library to its defaults: as many requests at a time as the
//! client likes, whose answers pile up if it does not read them, and heads of 16 MiB,
//! which compression (HPACK) makes out of half a megabyte. So the frames (RFC 9113
//! section 4.1) of a connection are counted as they pass by. What is in them is not
//! looked at, and nothing is changed.

use std::cell::Cell;
use std::collections::HashSet;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

/// How many requests a connection may have open before it is ended. That is more than
/// well-behaved clients begin unasked (Go: 1000), and as much memory as one may cost.
const CUT_OFF: usize = 1024;
/// What a client begins with (RFC 9113 section 3.4), in bytes.
const PREFACE: u32 = 24;

// RFC 9113 section 6.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;

/// A connection whose frames are counted, if they are HTTP/2's.
pub struct Counted<S> {
    stream: S,
    frames: Option<Frames>,
    closed: CancellationToken,
}

impl<S> Drop for Counted<S> {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

impl<S> Counted<S> {
    /// Without limits: HTTP/1.1 has its own.
    pub fn single(stream: S) -> Self {
        Self {
            stream,
            frames: None,
            closed: CancellationToken::new(),
        }
    }

    /// A server's side of HTTP/2, before its first byte. A request's head may have
    /// `max_head` bytes as it is sent, compressed.
    pub fn multiplexed(stream: S, max_head: usize) -> Self {
        let frames = Frames {
            received: Heads::after(PREFACE),
            sent: Heads::after(0),
            open: HashSet::new(),
            newest: 0,
            head: 0,
            max_head,
            count: Rc::default(),
        };
        Self {
            stream,
            frames: Some(frames),
            closed: CancellationToken::new(),
        }
    }

    /// What is counted.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Set when the connection is gone: over HTTP/2 its requests outlive it.
    pub fn closed(&self) -> CancellationToken {
        self.closed.clone()
    }

    /// How many requests are open: begun by the client, and neither answered to the
    /// last byte nor reset. It is kept up to date. None if this is not HTTP/2.
    pub fn open(&self) -> Option<Rc<Cell<usize>>> {
        let frames = self.frames.as_ref();
        frames.map(|frames| Rc::clone(&frames.count))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        if let Some(frames) = &mut this.frames {
            frames.received(&buffer.filled()[before..])?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write(context, bytes))?;
        if let Some(frames) = &mut this.frames {
            frames.sent(&bytes[..written]);
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

/// What the frames of one connection say.
struct Frames {
    received: Heads,
    sent: Heads,
    open: HashSet<u32>,
    /// The last request begun; ids only go up.
    newest: u32,
    /// The bytes so far of the request's head that is coming in.
    head: usize,
    max_head: usize,
    count: Rc<Cell<usize>>,
}

impl Frames {
    fn received(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while let Some(frame) = self.received.next(&mut bytes) {
            match frame.kind {
                HEADERS => {
                    self.head = frame.length;
                    // Else these are trailers.
                    if frame.stream > self.newest {
                        self.newest = frame.stream;
                        self.open.insert(frame.stream);
                    }
                }
                CONTINUATION => self.head += frame.length,
                RST_STREAM => self.close(frame.stream),
                _ => {}
            }
            if self.head > self.max_head || self.open.len() > CUT_OFF {
                return Err(io::ErrorKind::QuotaExceeded.into());
            }
        }
        self.count.set(self.open.len());
        Ok(())
    }

    fn sent(&mut self, mut bytes: &[u8]) {
        while let Some(frame) = self.sent.next(&mut bytes) {
            let last = match frame.kind {
                DATA | HEADERS => frame.flags & END_STREAM != 0,
                RST_STREAM => true,
                _ => false,
            };
            if last {
                self.close(frame.stream);
            }
        }
        self.count.set(self.open.len());
    }

    fn close(&mut self, stream: u32) {
        self.open.remove(&stream);
    }
}

/// The head of a frame.
struct Frame {
    length: usize,
    kind: u8,
    flags: u8,
    stream: u32,
}

/// Finds the heads of frames in bytes that come in pieces.
struct Heads {
    /// How much is left of the last frame.
    skip: usize,
    head: [u8; 9],
    /// How much there is of the next head.
    have: usize,
}

impl Heads {
    fn after(preface: u32) -> Self {
        Self {
            skip: preface as usize,
            head: [0; 9],
            have: 0,
        }
    }

    /// The next head that is whole; `bytes` then begins behind it.
    fn next(&mut self, bytes: &mut &[u8]) -> Option<Frame> {
        let (skipped, rest) = bytes.split_at(self.skip.min(bytes.len()));
        self.skip -= skipped.len();
        let missing = self.head.len() - self.have;
        let (part, rest) = rest.split_at(missing.min(rest.len()));
        self.head[self.have..self.have + part.len()].copy_from_slice(part);
        self.have += part.len();
        *bytes = rest;
        if self.have < self.head.len() {
            return None;
        }
        self.have = 0;
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = self.head;
        self.skip = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        Some(Frame {
            length: self.skip,
            kind,
            flags,
            stream: u32::from_be_bytes([s0, s1, s2, s3]) & 0x7fff_ffff,
        })
    }
}

#[cfg(test)]
mod tests;
