//! The heads of an answer as they come: interim ones are dropped, and the final one says how
//! the body is framed.
//!
//! A head that does not come at once is parsed when its end has come, however many pieces that
//! takes. What is made of an answer never depends on the pieces in which it comes.

use actix_web::web::BytesMut;

use super::head::{self, Framing, Head, Misframed};
use crate::http1::HeadScan;

/// The longest head, and the longest interim heads of one answer together, in bytes.
const MAX_HEAD: usize = 128 * 1024;
/// The most interim answers before one answer.
const MAX_INTERIM: usize = 100;
/// The most CR and LF before a head. They mean nothing, and few servers send any.
const MAX_BLANK: usize = 16;
/// How every answer begins.
const BEGINNING: &[u8] = b"HTTP/1.";

/// What has come of the heads of one answer.
#[derive(Default)]
pub(super) struct Heads {
    /// The beginning of a head.
    kept: BytesMut,
    scan: HeadScan,
    /// How many interim heads have come.
    interim: usize,
    /// Their length together, in bytes.
    interim_bytes: usize,
}

/// The final head.
pub(super) struct FinalHead {
    pub(super) framing: Framing,
    /// Where the body begins in the bytes that were taken last.
    pub(super) body: usize,
    /// What is passed on in place of the bytes before the body, if they cannot be as they are.
    pub(super) replaced: Option<BytesMut>,
}

impl Heads {
    /// Takes what was read, up to the end of the final head if that is in it.
    ///
    /// # Errors
    /// [`Misframed`]
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Option<FinalHead>, Misframed> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let Some((length, head)) = self.next(rest)? else {
                break;
            };
            let is_first = at == 0;
            at += length;
            self.scan = HeadScan::default();
            let kept = std::mem::take(&mut self.kept);
            match head {
                Head::Interim => {
                    self.interim += 1;
                    self.interim_bytes += kept.len().max(length);
                    if self.interim > MAX_INTERIM || self.interim_bytes > MAX_HEAD {
                        return Err(Misframed::TooMuchInterim);
                    }
                }
                Head::Final { framing, rewritten } => {
                    let replaced = match rewritten {
                        None if !kept.is_empty() => Some(kept),
                        None if !is_first => Some(rest[..length].into()),
                        rewritten => rewritten,
                    };
                    return Ok(Some(FinalHead {
                        framing,
                        body: at,
                        replaced,
                    }));
                }
            }
        }
        Ok(None)
    }

    /// The present head, and how many of these bytes belong to it. Until its end has come, and
    /// unless it came at once, all of it is kept.
    fn next(&mut self, bytes: &[u8]) -> Result<Option<(usize, Head)>, Misframed> {
        self.check_start(bytes)?;
        // Nearly every head comes at once, and is not searched for its end. What is wrong with
        // one is found below, as it is with one in pieces.
        if self.kept.is_empty()
            && let Ok(Some((length, head))) = head::read(bytes)
            && length <= MAX_HEAD
        {
            return Ok(Some((length, head)));
        }
        let end = self.scan.end_in(bytes);
        let taken = end.unwrap_or(bytes.len());
        if self.kept.len() + taken > MAX_HEAD {
            return Err(Misframed::LongHead);
        }
        self.kept.extend_from_slice(&bytes[..taken]);
        if end.is_none() {
            return Ok(None);
        }
        match head::read(&self.kept)? {
            Some((_, head)) => Ok(Some((taken, head))),
            // The parser sees no end where the search does.
            None => Err(Misframed::NotHttp),
        }
    }

    /// Whether an answer can begin like this. Not only its whole head is asked for that: what
    /// speaks another protocol need never send the end of one.
    fn check_start(&self, bytes: &[u8]) -> Result<(), Misframed> {
        let mut all = self.kept.iter().chain(bytes).peekable();
        for _ in 0..MAX_BLANK {
            if all.next_if(|byte| matches!(byte, b'\r' | b'\n')).is_none() {
                break;
            }
        }
        match all.zip(BEGINNING).all(|(byte, expected)| byte == expected) {
            true => Ok(()),
            false => Err(Misframed::NotHttp),
        }
    }

    /// Whether the connection may end here: nothing has come.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.interim == 0
    }

    /// Whether the head that broke off was the beginning of an answer.
    ///
    /// # Errors
    /// [`Misframed`]
    pub(super) fn check_cut(&self) -> Result<(), Misframed> {
        head::read(&self.kept).map(|_partial| ())
    }

    /// How many bytes are kept.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn kept_bytes(&self) -> usize {
        self.kept.len()
    }
}
