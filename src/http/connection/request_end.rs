//! Where a request's body ends in a stream of bytes: the length or the last chunk of it.
//!
//! Only to pass no more than one request to HTTP at a time. What a request means is for the
//! HTTP library to say: it refuses whatever is malformed, and reads nothing after that.

use actix_web::http::header::{self, HeaderMap};

use crate::http1::{Chunks, ChunksRead};

/// What a body still lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyScan {
    /// This many bytes.
    Length(u64),
    /// Its last chunk.
    Chunked(Chunks),
    /// Nothing that could be told: a chunk is malformed. The HTTP library refuses that when it
    /// reads it, with an answer.
    Refused,
    /// Nothing that could be told: what follows the last chunk is malformed, which the HTTP
    /// library accepts.
    Malformed,
}

impl BodyScan {
    /// The body that a head announces, if it announces one (RFC 9112 section 6.3).
    pub fn announced(headers: &HeaderMap) -> Option<Self> {
        if headers.contains_key(header::TRANSFER_ENCODING) {
            return Some(Self::Chunked(Chunks::default()));
        }
        let length = headers.get(header::CONTENT_LENGTH)?;
        let length = length.to_str().ok()?.trim().parse().ok()?;
        (length > 0).then_some(Self::Length(length))
    }

    /// Whether all of it was received.
    pub fn is_complete(self) -> bool {
        matches!(self, Self::Length(0))
    }

    /// Whether it cannot be told where it ends, and the HTTP library does not notice.
    pub fn is_malformed(self) -> bool {
        matches!(self, Self::Malformed)
    }

    /// How many of these bytes belong to the body; they are taken as received.
    pub fn take(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::Length(left) => {
                let taken =
                    usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= taken as u64;
                taken
            }
            Self::Chunked(chunks) => match chunks.read(bytes) {
                ChunksRead::Part => bytes.len(),
                ChunksRead::Whole(length) => {
                    *self = Self::Length(0);
                    length
                }
                ChunksRead::Malformed(_) => {
                    *self = match chunks.is_behind_last_chunk() {
                        true => Self::Malformed,
                        false => Self::Refused,
                    };
                    bytes.len()
                }
            },
            Self::Refused | Self::Malformed => bytes.len(),
        }
    }
}

/// The length that a whole head announces for its body; 0 if it announces none. A head in
/// which this could be mistaken is refused by the HTTP library.
pub fn content_length(head: &[u8]) -> usize {
    const NAME: &[u8] = b"content-length:";
    let mut lines = head.split(|byte| *byte == b'\n');
    let value = lines.find_map(|line| {
        let (name, value) = line.split_at_checked(NAME.len())?;
        name.eq_ignore_ascii_case(NAME).then_some(value)
    });
    let text = value.and_then(|value| str::from_utf8(value).ok());
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body_end(scan: BodyScan, text: &str) -> Option<usize> {
        let bytes = text.as_bytes();
        let mut whole = scan;
        let taken = whole.take(bytes);
        for split in 0..bytes.len() {
            let (first, second) = bytes.split_at(split);
            let mut scan = scan;
            let mut parts = scan.take(first);
            parts += scan.take(second);
            assert_eq!((parts, scan), (taken, whole), "{text:?} split at {split}");
        }
        whole.is_complete().then_some(taken)
    }

    #[test]
    fn a_body_ends_with_its_length_or_its_last_chunk() {
        let chunked = BodyScan::Chunked(Chunks::default());
        for (scan, text, rest) in [
            (BodyScan::Length(3), "abcGET", Some("GET")),
            (BodyScan::Length(3), "ab", None),
            (chunked, "0\r\n\r\nGET", Some("GET")),
            (chunked, "3\r\nabc\r\n0\r\n\r\nGET", Some("GET")),
            (
                chunked,
                "A;x=\"0\"\r\n0\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n",
                Some(""),
            ),
            (
                chunked,
                "1 \r\nx\r\n000\r\nTrailer: 1\r\n\r\nGET",
                Some("GET"),
            ),
            (chunked, "0\r\nTrailer: 1\r\n", None),
            (chunked, "ffffffffffffffff\r\nx", None),
            (chunked, "", None),
        ] {
            let expected = rest.map(|rest| text.len() - rest.len());
            assert_eq!(body_end(scan, text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_announced_length_is_found_at_the_beginning_of_a_line() {
        for (head, length) in [
            ("POST / HTTP/1.1\r\ncontent-LENGTH: 12\r\n\r\n", 12),
            ("POST / HTTP/1.1\nContent-Length:7\n\n", 7),
            ("POST / HTTP/1.1\r\nX: Content-Length: 9\r\n\r\n", 0),
            ("POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 0),
            ("GET / HTTP/1.1\r\n\r\n", 0),
        ] {
            assert_eq!(content_length(head.as_bytes()), length, "{head:?}");
        }
    }

    #[test]
    fn a_malformed_body_is_passed_on_where_the_library_refuses_it() {
        for (text, expected) in [
            ("x\r\n", BodyScan::Refused),
            ("2\n{}", BodyScan::Refused),
            ("2\r\n{}2\r\n", BodyScan::Refused),
            ("10000000000000000\r\n", BodyScan::Refused),
            ("0\r\nA\n\r\n", BodyScan::Malformed),
            ("0\r\n\n", BodyScan::Malformed),
            ("0\r\nA\r\r\n\r\n", BodyScan::Malformed),
            ("0\r\nA: b\rc\r\n\r\n", BodyScan::Malformed),
        ] {
            let bytes = format!("{text}GET / HTTP/1.1");
            let mut scan = BodyScan::Chunked(Chunks::default());
            assert_eq!(scan.take(bytes.as_bytes()), bytes.len(), "{text:?}");
            assert_eq!(scan, expected, "{text:?}");
            // Nothing behind it is a request.
            assert_eq!(scan.take(b"0\r\n\r\n"), 5, "{text:?}");
            assert!(!scan.is_complete(), "{text:?}");
        }
    }
}
