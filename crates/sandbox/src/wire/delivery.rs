//! Sends a response as HTTP demands or broken as a fault says. A fault that leaves the
//! connection in an unclear state closes it afterwards.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use super::response::reason;
use super::{Connection, Response};
use crate::fault_kind::{CutPoint, FaultKind};

const CHUNK: usize = 64 * 1024;
const LINGER: Duration = Duration::from_secs(1);

/// The default of `garbage`: the start of a TLS alert.
const GARBAGE: &[u8] = b"\x15\x03\x03\x00\x02\x02\x28 this is not HTTP\r\n\r\n";

/// What becomes of the connection after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// It carries the next request.
    KeepAlive,
    /// It is closed properly.
    Close,
    /// It is dropped as it is; with zero linger, that is a reset.
    Abort,
}

impl Connection {
    /// Sends a response, broken as the fault says; returns what becomes of the connection.
    /// `before` runs just before the first byte is sent.
    pub(crate) async fn deliver(
        &mut self,
        response: &Response,
        fault: Option<&FaultKind>,
        keep_alive: bool,
        before: impl FnOnce(),
    ) -> io::Result<Disposition> {
        let proper = if keep_alive {
            Disposition::KeepAlive
        } else {
            Disposition::Close
        };
        if let Some(FaultKind::Delay { ms }) = fault {
            tokio::select! {
                () = sleep(Duration::from_millis(*ms)) => {}
                () = self.disconnected() => return Ok(Disposition::Close),
            }
        }
        before();
        match fault {
            Some(FaultKind::Reset {}) => {
                self.tcp().set_zero_linger()?;
                return Ok(Disposition::Abort);
            }
            Some(FaultKind::Close {}) => {}
            Some(FaultKind::Hang {}) => self.disconnected().await,
            Some(FaultKind::Stale {}) => self.send(response, true).await?,
            Some(FaultKind::Garbage { bytes }) => {
                let bytes = bytes.as_ref().map_or(GARBAGE, String::as_bytes);
                self.write(bytes).await?;
            }
            Some(FaultKind::CutBody { keep }) => {
                let whole = response.body.len();
                let keep = keep.unwrap_or(whole / 2).min(whole);
                // Where nothing is cut, the announced length is too long instead.
                let announced = if keep == whole { whole + 1 } else { whole };
                let mut bytes = response.head(response.length(announced), true);
                bytes.extend(&response.body[..keep]);
                self.write(&bytes).await?;
            }
            Some(FaultKind::CutChunked { at }) => self.write(&cut_chunked(response, *at)).await?,
            Some(FaultKind::Huge { bytes, chunked }) => {
                self.send_huge(response, *bytes, *chunked).await?;
            }
            Some(FaultKind::Informational { status, after_ms }) => {
                let interim = format!("HTTP/1.1 {status} {}\r\n\r\n", reason(*status));
                self.write(interim.as_bytes()).await?;
                sleep(Duration::from_millis(*after_ms)).await;
                self.send(response, keep_alive).await?;
                return Ok(proper);
            }
            Some(FaultKind::Drip { every_ms }) => {
                let head = response.head(response.length(response.body.len()), keep_alive);
                self.write(&head).await?;
                for byte in &response.body {
                    sleep(Duration::from_millis(*every_ms)).await;
                    self.write(&[*byte]).await?;
                }
                return Ok(proper);
            }
            _ => {
                self.send(response, keep_alive).await?;
                return Ok(proper);
            }
        }
        Ok(Disposition::Close)
    }

    /// Sends a response as HTTP demands.
    pub(crate) async fn send(&mut self, response: &Response, keep_alive: bool) -> io::Result<()> {
        let mut bytes = response.head(response.length(response.body.len()), keep_alive);
        if !response.is_bodiless() {
            bytes.extend(&response.body);
        }
        self.write(&bytes).await
    }

    /// Closes the sending side, then gives the client a moment to read what was sent: closing
    /// with bytes unread would reset the connection and could lose the response.
    pub(crate) async fn finish(mut self) {
        if self.stream.shutdown().await.is_ok() {
            let mut discarded = [0; 8192];
            let drain = async { while let Ok(1..) = self.stream.read(&mut discarded).await {} };
            // A client that is still sending after this time is cut off.
            let _ = timeout(LINGER, drain).await;
        }
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Sends a JSON string of `size` bytes in all, never held in memory as a whole.
    async fn send_huge(&mut self, response: &Response, size: u64, chunked: bool) -> io::Result<()> {
        let framing = if chunked {
            ("Transfer-Encoding", "chunked".to_owned())
        } else {
            ("Content-Length", size.to_string())
        };
        self.write(&response.head(Some(framing), false)).await?;
        let mut left = size;
        while left > 0 {
            let length = left.min(CHUNK as u64);
            let mut chunk = vec![b'x'; usize::try_from(length).unwrap_or(CHUNK)];
            if left == size {
                chunk[0] = b'"';
            }
            left -= length;
            if let (0, Some(last)) = (left, chunk.last_mut()) {
                *last = b'"';
            }
            if chunked {
                let mut framed = format!("{:x}\r\n", chunk.len()).into_bytes();
                framed.extend(chunk);
                framed.extend(b"\r\n");
                chunk = framed;
            }
            self.write(&chunk).await?;
        }
        if chunked {
            self.write(b"0\r\n\r\n").await?;
        }
        Ok(())
    }
}

fn cut_chunked(response: &Response, cut: CutPoint) -> Vec<u8> {
    let mut bytes = response.head(Some(("Transfer-Encoding", "chunked".into())), true);
    let body: &[u8] = if response.body.is_empty() {
        b"{}"
    } else {
        &response.body
    };
    if cut != CutPoint::Start {
        bytes.extend(format!("{:x}\r\n", body.len()).as_bytes());
    }
    match cut {
        CutPoint::Start => {}
        CutPoint::Middle => bytes.extend(&body[..body.len() / 2]),
        CutPoint::End => {
            bytes.extend(body);
            bytes.extend(b"\r\n");
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_chunked_body_is_cut_at_the_requested_point() {
        let response = Response::text(200, "abcd");
        let tail = |cut| {
            let bytes = String::from_utf8(cut_chunked(&response, cut)).unwrap();
            bytes.split_once("\r\n\r\n").unwrap().1.to_owned()
        };
        assert_eq!(tail(CutPoint::Start), "");
        assert_eq!(tail(CutPoint::Middle), "4\r\nab");
        assert_eq!(tail(CutPoint::End), "4\r\nabcd\r\n");
    }
}
