//! Sends an answer in the manner ordered: properly, or broken in one particular way. Every
//! way that leaves the connection in an unclear state closes it afterwards; a good answer
//! keeps it.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use super::answer::reason;
use super::{Answer, Connection};

const PIECE: usize = 64 * 1024;
const LINGER: Duration = Duration::from_secs(1);

/// An answer and how to send it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) answer: Answer,
    pub(crate) manner: Manner,
    /// Waits this long first; a client that leaves meanwhile gets nothing.
    pub(crate) delay: Duration,
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self {
            answer,
            manner: Manner::Proper,
            delay: Duration::ZERO,
        }
    }
}

/// How an answer goes out.
#[derive(Clone, Debug)]
pub(crate) enum Manner {
    /// As HTTP wants it.
    Proper,
    /// Never; the connection stays open until the client closes it.
    Hang,
    /// Content-Length names the whole body, but only `keep` bytes come (default: half).
    CutBody { keep: Option<usize> },
    /// Chunked, and cut.
    CutChunked(Cut),
    /// These bytes instead of HTTP.
    Garbage(Vec<u8>),
    /// TCP RST instead of an answer.
    Reset,
    /// TCP FIN instead of an answer.
    Close,
    /// A proper answer that promises to keep the connection, which is then closed.
    Stale,
    /// A 1xx answer, then the proper one after a while.
    Informational { status: u16, after: Duration },
    /// The head at once, then the body, a byte at a time.
    Drip { every: Duration },
    /// A body of that many bytes, whatever the answer's was.
    Huge { bytes: u64, chunked: bool },
}

/// Where a chunked body is cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Cut {
    /// After the head, before the first chunk.
    Start,
    /// In the middle of a chunk.
    #[default]
    Middle,
    /// After all of the body, before the last, empty chunk.
    End,
}

/// What becomes of a connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It carries the next request.
    Keep,
    /// It is ended properly.
    End,
    /// It is dropped as it is; with zero linger, that is a reset.
    Drop,
}

impl Manner {
    /// Whether a status line goes out at all.
    pub(crate) fn answers(&self) -> bool {
        !matches!(
            self,
            Self::Hang | Self::Garbage(_) | Self::Reset | Self::Close
        )
    }
}

impl Connection {
    /// Sends `reply`; says what becomes of the connection. `before` runs just before the
    /// first byte goes out.
    pub(crate) async fn deliver(
        &mut self,
        reply: Reply,
        keep_alive: bool,
        before: impl FnOnce(&Reply),
    ) -> io::Result<Next> {
        let usual = if keep_alive { Next::Keep } else { Next::End };
        if !reply.delay.is_zero() {
            tokio::select! {
                () = sleep(reply.delay) => {}
                () = self.gone() => return Ok(Next::End),
            }
        }
        before(&reply);
        let answer = &reply.answer;
        match reply.manner {
            Manner::Proper => self.send(answer, keep_alive).await.map(|()| usual),
            Manner::Stale => self.send(answer, true).await.map(|()| Next::End),
            Manner::Informational { status, after } => {
                let words = reason(status);
                let first = format!("HTTP/1.1 {status} {words}\r\n\r\n");
                self.write(first.as_bytes()).await?;
                sleep(after).await;
                self.send(answer, keep_alive).await.map(|()| usual)
            }
            Manner::Hang => {
                self.gone().await;
                Ok(Next::End)
            }
            Manner::Close => Ok(Next::End),
            Manner::Reset => self.stream.set_zero_linger().map(|()| Next::Drop),
            Manner::Garbage(bytes) => self.write(&bytes).await.map(|()| Next::End),
            Manner::CutBody { keep } => {
                let whole = answer.body.len();
                let keep = keep.unwrap_or(whole / 2).min(whole);
                // A body without bytes cannot be cut; it is announced longer instead.
                let announced = if keep == whole { whole + 1 } else { whole };
                let mut bytes = answer.head(answer.length(announced), true);
                bytes.extend(&answer.body[..keep]);
                self.write(&bytes).await.map(|()| Next::End)
            }
            Manner::CutChunked(cut) => {
                let bytes = cut_chunked(answer, cut);
                self.write(&bytes).await.map(|()| Next::End)
            }
            Manner::Drip { every } => {
                let head = answer.head(answer.length(answer.body.len()), keep_alive);
                self.write(&head).await?;
                for byte in &answer.body {
                    sleep(every).await;
                    self.write(&[*byte]).await?;
                }
                Ok(usual)
            }
            Manner::Huge { bytes, chunked } => self.send_huge(answer, bytes, chunked).await,
        }
    }

    /// Sends `answer` as HTTP wants it.
    pub(crate) async fn send(&mut self, answer: &Answer, keep_alive: bool) -> io::Result<()> {
        let mut bytes = answer.head(answer.length(answer.body.len()), keep_alive);
        if !answer.is_bodiless() {
            bytes.extend(&answer.body);
        }
        self.write(&bytes).await
    }

    /// Ends the sending side, then gives the client a moment to take what was sent: closing
    /// with bytes unread would reset the connection and could lose the answer.
    pub(crate) async fn finish(mut self) {
        if self.stream.shutdown().await.is_ok() {
            let mut scrap = [0; 8192];
            let drain = async { while let Ok(1..) = self.stream.read(&mut scrap).await {} };
            // Out of time is as good as done: whoever has not taken it by now will not.
            let _ = timeout(LINGER, drain).await;
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// A JSON string of `size` bytes in all, never held in memory as a whole.
    async fn send_huge(&mut self, answer: &Answer, size: u64, chunked: bool) -> io::Result<Next> {
        let framing = if chunked {
            ("Transfer-Encoding", "chunked".to_owned())
        } else {
            ("Content-Length", size.to_string())
        };
        self.write(&answer.head(Some(framing), false)).await?;
        let mut left = size;
        while left > 0 {
            let length = left.min(PIECE as u64);
            let mut piece = vec![b'x'; usize::try_from(length).unwrap_or(PIECE)];
            if left == size {
                piece[0] = b'"';
            }
            left -= length;
            if let (0, Some(last)) = (left, piece.last_mut()) {
                *last = b'"';
            }
            if chunked {
                let mut framed = format!("{:x}\r\n", piece.len()).into_bytes();
                framed.extend(piece);
                framed.extend(b"\r\n");
                piece = framed;
            }
            self.write(&piece).await?;
        }
        if chunked {
            self.write(b"0\r\n\r\n").await?;
        }
        Ok(Next::End)
    }
}

fn cut_chunked(answer: &Answer, cut: Cut) -> Vec<u8> {
    let mut bytes = answer.head(Some(("Transfer-Encoding", "chunked".into())), true);
    let body: &[u8] = if answer.body.is_empty() {
        b"{}"
    } else {
        &answer.body
    };
    if cut != Cut::Start {
        bytes.extend(format!("{:x}\r\n", body.len()).as_bytes());
    }
    match cut {
        Cut::Start => {}
        Cut::Middle => bytes.extend(&body[..body.len() / 2]),
        Cut::End => {
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
    fn a_chunked_body_is_cut_where_ordered() {
        let answer = Answer::text(200, "abcd");
        let tail = |cut| {
            let bytes = String::from_utf8(cut_chunked(&answer, cut)).unwrap();
            bytes.split_once("\r\n\r\n").unwrap().1.to_owned()
        };
        assert_eq!(tail(Cut::Start), "");
        assert_eq!(tail(Cut::Middle), "4\r\nab");
        assert_eq!(tail(Cut::End), "4\r\nabcd\r\n");
    }

    #[test]
    fn only_what_sends_a_status_line_counts_as_answered() {
        assert!(Manner::CutBody { keep: None }.answers());
        assert!(!Manner::Reset.answers());
    }
}
